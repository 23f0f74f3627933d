"""The closing chapter's figures and formulas: what its functions return, against NumPy.

The functions are those of the notebook's own cells, run here without their charts.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import signal
from scipy.linalg import solve_discrete_lyapunov

import notebooks

NOTEBOOK = Path(__file__).resolve().parent.parent / "book/closing.ipynb"
CELLS = (  # how the cells begin that are run here, in order
    "import altair",
    "N_PATH, N_LAGS",
    "def remembered",
    "def one_filter",
    "def variance",
    "N_LOOP, RATE",
    "def thermostat",
    "def excess",
)
SETTINGS = [(0.2, 0, 0), (0.2, 1, 0), (1.95, 1, 0), (0.2, 0, 0.9), (2.9, 0.5, 0.4), (0.5, 1, 0.95)]


@pytest.fixture(scope="module", autouse=True)
def double() -> Iterator[None]:
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


@pytest.fixture(scope="module")
def cells(double: None) -> dict[str, Any]:
    names: dict[str, Any] = {"jax": jax}
    sources = [c.source for c in notebooks.read(NOTEBOOK).cells if c.cell_type == "code"]
    for beginning in CELLS:
        (source,) = (s for s in sources if s.startswith(beginning))
        head = source.split("\nclaim(")[0].split("\nborders")[0].split("\nsettings")[0]
        if beginning == "def excess":
            (before,) = (s for s in sources if "def turned" in s)
            exec(before[before.index("def turned") :], names)
        exec(head, names)
    return names


def called(fn: Any, **values: Any) -> dict[str, dict[str, np.ndarray]]:
    return jax.tree.map(np.asarray, jax.jit(fn)(**values))


def coefficients(theta, kappa, beta):
    """Numerator and denominator of the filter, in powers of the delay."""
    return np.polymul([-kappa, 1], [-beta, 1])[::-1], [1, -(1 + beta - theta * (1 - beta)), beta]


# --- one filter -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("theta", "kappa", "beta"), SETTINGS)
def test_one_filter_is_the_loop(cells, theta, kappa, beta):
    xi = np.asarray(cells["draw_kicks"](jax.random.key(3)))
    given = dict(theta=1.0 * theta, kappa=1.0 * kappa, beta=1.0 * beta, prepared=jnp.asarray(xi))
    tables = called(cells["one_filter"], **given)
    w, m, path = 0.0, 0.0, []
    for n in range(1, len(xi)):
        m = beta * m + (1 - beta) * theta * w
        w += float(xi[n]) - kappa * float(xi[n - 1]) - m
        path.append(w)
    np.testing.assert_allclose(tables["path"]["w"], path, atol=1e-9)

    above, below = coefficients(theta, kappa, beta)
    points = tables["points"]["x"] + 1j * tables["points"]["y"]
    np.testing.assert_allclose(np.poly(points[:2]), below, atol=1e-12)
    np.testing.assert_allclose(np.sort(points[2:]), np.sort([kappa, beta]), atol=0)
    _, response = signal.freqz(above, below, worN=tables["spectrum"]["omega"])
    np.testing.assert_allclose(tables["spectrum"]["power"], abs(response) ** 2, rtol=1e-9)

    c = (1 - beta) * theta  # the share of a kick in (w, m), by a regression's normal equations
    a, b, curve = np.array([[1 - c, -beta], [c, beta]]), np.array([1.0, 0]), []
    inverse = np.linalg.inv(solve_discrete_lyapunov(a, np.outer(b, b)))
    for _ in range(25):
        curve.append(b @ inverse @ b)
        b = a @ b
    np.testing.assert_allclose(tables["memory"]["share"], curve, atol=1e-9)


@pytest.mark.parametrize(("beta", "critical"), [(0.0, 2.0), (0.1, 2.2 / 0.9)])
def test_one_filter_flips_where_the_text_says(cells, beta, critical):
    for side, inside in ((-1e-9, True), (1e-9, False)):
        given = dict(theta=critical + side, kappa=0.0, beta=beta, prepared=jnp.zeros(161))
        tables = called(cells["one_filter"], **given)
        moduli = np.hypot(tables["points"]["x"], tables["points"]["y"])[:2]
        assert (moduli.max() < 1) == inside == (tables["memory"]["share"][0] > 0)


def test_too_far_is_tamed_by_a_little_momentum_and_by_no_zero(cells):
    def largest(kappa, beta):
        given = dict(theta=2.05, kappa=kappa, beta=beta, prepared=jnp.zeros(161))
        tables = called(cells["one_filter"], **given)
        return np.hypot(tables["points"]["x"], tables["points"]["y"])[:2].max()

    assert largest(0.0, 0.02) < 1 < largest(0.0, 0.01)
    assert largest(1.0, 0.0) == largest(0.0, 0.0) > 1


@pytest.mark.parametrize(("theta", "kappa", "beta"), SETTINGS)
def test_the_variance_is_the_energy_of_the_response(cells, theta, kappa, beta):
    kick = np.zeros(60_000)
    kick[0] = 1
    h = signal.lfilter(*coefficients(theta, kappa, beta), kick)
    assert cells["variance"](theta, kappa, beta) == pytest.approx(np.sum(h**2), rel=1e-9)


def test_the_rule_for_kicks_taken_back_in_part_holds_for_every_filter():
    rng = np.random.default_rng(0)
    for _ in range(20):
        h = rng.normal(size=9)

        def energy(kappa, h=h):
            return np.sum((np.append(h, 0) - kappa * np.append(0, h)) ** 2)

        kappa = rng.uniform(-1, 2)
        expected = (1 - kappa) ** 2 * energy(0) + kappa * energy(1)
        assert energy(kappa) == pytest.approx(expected)


def test_taking_back_is_four_times_as_loud_at_the_flip(cells):
    for beta in (0.0, 0.5, 0.9):
        theta = 2 * (1 + beta) / (1 - beta) * (1 - 1e-9)
        ratio = cells["variance"](theta, 1, beta) / cells["variance"](theta, 0, beta)
        assert ratio == pytest.approx(4, rel=1e-6)


# --- the loop that closes -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("b1", "b2", "size"), [(0.2, 0.2, 0), (0, 0.9, 0), (0.9, 0.9, 0), (0.2, 0.9, 1)]
)
def test_thermostat_is_adam(cells, b1, b2, size):
    errors = np.asarray(cells["draw_errors"](jax.random.key(1)))
    given = dict(b1=1.0 * b1, b2=1.0 * b2, size=1.0 * size, prepared=jnp.asarray(errors))
    tables = called(cells["thermostat"], **given)
    w, m, v, sizes, thetas = 1.0, 0.0, 0.0, [], []
    for error in errors.astype(float):
        g = w + size * error
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        sizes.append(abs(w))
        w -= 0.1 * m / v**0.5
        thetas.append(0.1 / v**0.5 * (1 - b1) / (1 + b1) / 2)
    np.testing.assert_allclose(tables["loop"]["size"], np.maximum(sizes, 1e-9), rtol=1e-6)
    np.testing.assert_allclose(tables["loop"]["theta"], thetas, rtol=1e-6)
    x = 0.1 * (1 - b1) / (2 * (1 + b1))
    assert tables["pair"]["x"][0] == pytest.approx(x)
    if size == 0 and tables["pair"]["settles"][0]:
        assert sizes[-1] == pytest.approx(x, rel=1e-6)
        assert thetas[-1] == pytest.approx(1, rel=1e-6)
    elif size == 0:
        late = np.array(sizes[200:])
        assert late.max() > 1.3 * x and late.min() < 0.5 * x
        assert 0.6 < np.exp(np.mean(np.log(thetas[200:]))) < 1.6
    else:
        assert np.max(thetas[50:]) < 0.5


def test_without_noise_the_curvature_moves_nothing():
    def path(curvature):
        w, m, v, out = 1.0, 0.0, 0.0, []
        for _ in range(300):
            g = curvature * w
            m, v = 0.2 * m + 0.8 * g, 0.2 * v + 0.8 * g * g
            w -= 0.1 * m / v**0.5
            out.append(w)
        return out

    np.testing.assert_allclose(path(1e4), path(1e-3), rtol=1e-9, atol=1e-12)


def test_the_multipliers_are_the_roots_of_the_cubic(cells):
    rng = np.random.default_rng(1)
    for b1, b2 in rng.uniform(0.02, 0.98, (40, 2)):
        cubic = np.poly([1, b1, b2]) + 2 * (1 - b2) * np.array([0, 1, b1, 0])
        largest = np.abs(np.roots(cubic)).max()
        assert cells["excess"](b1, b2) == pytest.approx(largest - 1, abs=1e-7)
        assert (largest < 1) == (1 + b1**2 * b2 > 3 * b1 * (1 + b2))


def test_where_noise_rules_adam_is_the_linear_filter():
    """V = η² / (θ (2 − qθ)) with θ = ηλ/s, for long memories of the square."""
    rng, (b1, b2, rate, s) = np.random.default_rng(2), (0.5, 0.999, 0.1, 1.0)
    w, m, v, total = np.zeros(400), np.zeros(400), np.full(400, s * s), 0.0
    for n in range(6_000):
        g = w + s * rng.normal(size=400)
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        w = w - rate * m / np.sqrt(v)
        total += np.mean(w**2) / 4_000 if n >= 2_000 else 0
    q, theta = (1 - b1) / (1 + b1), rate / s
    assert total == pytest.approx(rate**2 / (theta * (2 - q * theta)), rel=0.05)
