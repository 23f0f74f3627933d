"""The functions of the shift-K chapter's second notebook, against sums, quadrature and SciPy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad_vec
from scipy.linalg import toeplitz
from scipy.signal import lfilter
from scipy.special import eval_laguerre

import notebooks
from optdyn import filters
from optdyn.filters import Poles

NOTEBOOK = Path(__file__).resolve().parent.parent / "chapters/shiftk/2_mechanism.ipynb"


@pytest.fixture(autouse=True)
def double_precision() -> Iterator[None]:
    old = jax.config.jax_enable_x64  # type: ignore[attr-defined]
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", old)


@pytest.fixture(scope="module")
def sources() -> list[str]:
    return [c.source for c in notebooks.read(NOTEBOOK).cells if c.cell_type == "code"]


def run(sources: list[str], *beginnings: str, **names: Any) -> dict[str, Any]:
    names = {"jax": jax, "jnp": jnp, "np": np, "filters": filters, "Poles": Poles, **names}
    for beginning in beginnings:
        (source,) = (s for s in sources if s.startswith(beginning))
        exec(source, names)
    return names


@pytest.mark.parametrize(
    ("alpha", "spacing", "half"), [(1.0, 2.0, 4), (1.7, 1.1, 12), (1.35, 1, 4)]
)
def test_the_explicit_filter_and_its_gain_are_those_of_a_long_sum(sources, alpha, spacing, half):
    cells = run(sources, "TIME, HALF", "def readouts(", "def explicit(")
    rows = jax.jit(cells["explicit"])(jnp.asarray(alpha), jnp.asarray(spacing), jnp.asarray(half))
    lag, order = 8_000, 2 * half + 1
    s = np.arange(-half, half + 1)
    a = np.exp((-alpha + 2j * np.pi * s / spacing) / lag)
    waves = a ** np.arange(12 * lag)[:, None]
    bumps = np.exp(-2 * alpha * (1 + spacing * np.arange(400))).sum() + 0.5 * (spacing == 1)
    size = np.exp(-alpha) / (spacing * bumps)
    c = (waves @ (size / lag * np.exp(-2j * np.pi * s / spacing))).real
    gram, cross = 1 / (1 - a.conj()[:, None] * a), a.conj() ** lag
    b = np.linalg.solve(gram, cross)
    gains = {"formula": 2 * c[lag] - (c**2).sum(), "best": (cross.conj() @ b).real}
    curves = {"formula": c, "best": (waves @ b).real}
    for name, gain in gains.items():
        assert float(rows["now"][name][0]) == pytest.approx(gain * lag / order, abs=2e-3)
        drawn = np.asarray(rows["filter"][name])
        near = 1e-9 if name == "formula" else 5e-3
        np.testing.assert_allclose(drawn, curves[name][:: lag // 80][:321] * lag / order, atol=near)


@pytest.mark.parametrize(("alpha", "spacing", "kind"), [(1.0, 2.0, 0), (16.0, 2.0, 1)])
def test_the_delay_is_the_turn_of_the_all_pass_and_the_gain_its_tail(sources, alpha, spacing, kind):
    cells = run(sources, "OMEGA, LAG")
    rows = jax.jit(cells["budget"])(jnp.asarray(alpha), jnp.asarray(spacing), jnp.asarray(kind))
    angle = 2 * np.pi / (spacing * 64) * (np.arange(16) - 7.5) * (kind == 0)
    a = np.exp(-alpha / 64 + 1j * angle)
    omega = np.linspace(-np.pi, np.pi, 721)

    def phase(w):
        z = np.exp(-1j * w)
        return np.sum([np.angle((z - p.conj()) / (1 - p * z)) for p in a], axis=0)

    h = 1e-5
    turn = -(np.exp(1j * (phase(omega + h) - phase(omega - h)))).imag / (2 * h)
    np.testing.assert_allclose(rows["delay"]["delay"], turn / 64, rtol=1e-4, atol=1e-6)
    assert np.mean(np.asarray(rows["delay"]["delay"])[1:]) == pytest.approx(16 / 64, rel=2e-2)
    beta = np.eye(1, 4096)[0] + 0j
    for p in a:
        beta = lfilter([-p.conj(), 1], [1, -p], beta)
    assert float(rows["says"]["gain"][0]) == pytest.approx((abs(beta[65:]) ** 2).sum(), abs=1e-9)


def test_the_way_to_the_best_poles_is_one_of_best_readouts(sources):
    poles = Poles(np.linspace(0.8, 1.8, 8) / 64, np.linspace(-18, 18, 8) / 64)
    cells = run(sources, "OMEGA, LAG", "FROM = ", BEST={8: (poles, 0.0)})
    for way in (0.0, 0.4, 1.0):
        rows = jax.jit(cells["centre"])(way)
        decay, phase = (np.asarray(v) / 64 for v in rows["poles"].values())
        a = np.exp(-decay + 1j * phase)
        gram = 1 / (1 - a.conj()[:, None] * a)
        c = a ** np.arange(640)[:, None] @ np.linalg.solve(gram, a.conj() ** 64)
        energy = abs(c) ** 2
        np.testing.assert_allclose(rows["bump"]["energy"], energy[:257], atol=1e-12)
        middle = {k: float(v[0]) for k, v in rows["middle"].items()}
        assert middle["k"] == pytest.approx(np.arange(640) @ energy / energy.sum(), abs=1e-6)
        assert middle["gain"] == pytest.approx(c[64].real, abs=1e-6)
    np.testing.assert_allclose(decay, poles.decay)


@pytest.mark.parametrize(("rho", "lag"), [(0.0, 64), (0.9, 40), (-0.9, 33), (-0.9, 34)])
def test_what_is_lost_adds_up_to_the_error(sources, rho, lag):
    cells = run(sources, "POINTS = ", "def water(")
    a, _, error = cells["fitted"](jnp.asarray(rho), jnp.asarray(lag), 2.5, 1.12)
    k = np.arange(700)
    waves = np.asarray(a) ** k[:, None]
    cov = toeplitz(rho**k) if rho else np.eye(700)
    cross = waves.conj().T @ cov[:, lag]
    b = np.linalg.solve(waves.conj().T @ cov @ waves, cross)
    assert float(error) == pytest.approx(1 - (cross.conj() @ b).real, abs=1e-9)

    def lost(omega):
        z = np.exp(-1j * omega)
        gap = (1 / (1 - np.multiply.outer(z, np.asarray(a)))) @ b - z**lag
        return abs(gap) ** 2 * (1 - rho**2) / abs(1 - rho * z) ** 2

    assert quad_vec(lost, -np.pi, np.pi)[0] / (2 * np.pi) == pytest.approx(float(error), abs=1e-6)
    rows = jax.jit(cells["water"])(jnp.asarray(rho), jnp.asarray(lag), jnp.asarray(0))
    points = np.asarray(rows["spectrum"]["omega"])
    expected = np.maximum(lost(points), 1e-4)
    np.testing.assert_allclose(rows["spectrum"]["lost"], expected, rtol=1e-6, atol=1e-9)


def test_real_poles_are_scipy_s_laguerre_polynomials_and_the_condition_is_numpy_s(sources):
    cells = run(sources, "import altair", "def laguerre_gain(", "def real(")
    for order, x in ((1, 1.0), (4, 9.0), (16, 34.0)):
        expected = x * np.exp(-x) * sum(eval_laguerre(n, x) ** 2 for n in range(order))
        assert cells["laguerre_gain"](x, order) == pytest.approx(expected, rel=1e-10)
    for poles in cells["families"](3).values():
        a = np.asarray(poles.values)
        gram = 1 / (1 - a.conj()[:, None] * a)
        size = np.sqrt(gram.diagonal().real)
        expected = np.linalg.cond(gram / size[:, None] / size)
        assert cells["condition"](poles) == pytest.approx(expected, rel=1e-15 * expected + 1e-9)
