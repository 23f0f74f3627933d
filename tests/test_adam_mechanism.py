"""The functions of the Adam chapter's second notebook, first half, against loops and SciPy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import norm

import notebooks
from optdyn import moments

NOTEBOOK = Path(__file__).resolve().parent.parent / "chapters/adam/2_mechanism.ipynb"


@pytest.fixture(autouse=True)
def double_precision() -> Iterator[None]:
    old = jax.config.jax_enable_x64  # type: ignore[attr-defined]
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", old)


@pytest.fixture(scope="module")
def sources() -> list[str]:
    return [c.source for c in notebooks.read(NOTEBOOK).cells if c.cell_type == "code"]


def run(sources: list[str], *beginnings: str) -> dict[str, Any]:
    names: dict[str, Any] = {
        "jax": jax,
        "jnp": jnp,
        "np": np,
        "lax": jax.lax,
        "moments": moments,
    }
    for beginning in beginnings:
        (source,) = (s for s in sources if s.startswith(beginning))
        exec(source, names)
    return names


def walk(g: np.ndarray, b1: float, b2: float) -> tuple[np.ndarray, np.ndarray]:
    """Both averages, in a plain loop."""
    m = v = 0.0
    rows = []
    for x in g:
        m, v = b1 * m + (1 - b1) * x, b2 * v + (1 - b2) * x * x
        rows.append((m, v))
    means, squares = np.array(rows).T
    return means, squares


@pytest.mark.parametrize(("b1", "b2"), [(0.9, 0.999), (0.95, 0.95), (0.95, 0.8), (0.0, 0.5)])
@pytest.mark.parametrize("stream", range(4))
def test_the_bench_is_a_plain_loop(sources, b1, b2, stream):
    cells = run(sources, "STEPS, WORST")
    rows = jax.jit(cells["bench"])(jnp.asarray(b1), jnp.asarray(b2), jnp.asarray(stream))
    i = np.arange(120)
    burst = np.where(i < 60, (b1 / b2) ** np.maximum(59.0 - i, 0), 0)
    g = [cells["NOISE"], np.ones(120), 1.0 * (i == 0), burst / burst.max()][stream]
    m, v = walk(g, b1, b2)
    unit = max(np.sqrt(v).max(), np.abs(m).max())
    d = m / np.sqrt(np.where(v > 0, v, 1))
    np.testing.assert_allclose(rows["stream"]["m"], m / unit, atol=1e-12)
    np.testing.assert_allclose(rows["stream"]["high"], np.sqrt(v) / unit, atol=1e-12)
    np.testing.assert_allclose(rows["step"]["d"], d, rtol=1e-9, atol=1e-9)
    assert float(rows["says"]["top"][0]) == pytest.approx(np.abs(d).max(), rel=1e-9)
    if b1 == b2:
        assert np.abs(d).max() <= 1


@pytest.mark.parametrize(("b1", "b2"), [(0.9, 0.999), (0.9, 0.95), (0.95, 0.9)])
def test_the_increment_is_what_one_more_gradient_does(sources, b1, b2):
    cells = run(sources, "import altair", "PAIRS = ")
    m, v, g = 0.7, 1.3, -0.4
    after = b2 * v + (1 - b2) * g * g - (b1 * m + (1 - b1) * g) ** 2
    found = cells["increment"](b1, b2, m, g)
    assert found == pytest.approx(after - b2 * (v - m * m), abs=1e-14)


@pytest.mark.parametrize("steps", [0, 1, 2, 4])
def test_the_map_has_its_levels_where_the_sums_are(sources, steps):
    cells = run(sources, "LEVELS = ", "def longest(")
    pair = jnp.array([np.log2(20)]), jnp.array([np.log2(10)])
    rows = jax.jit(cells["plane"])(pair, jnp.asarray(steps), jnp.asarray(1))
    level = np.asarray(rows["map"]["level"]).reshape(cells["HIGH"], cells["WIDE"])
    k = np.arange((1, 10, 100, 1000, 60_000)[steps])
    (y0, y1), (x0, x1) = cells["U1"], cells["U2"]
    for row, column in ((3, 90), (20, 10), (35, 36), (60, 20), (60, 60), (40, 80)):
        b1 = 1 - 2 ** -(y0 + (row + 0.5) / cells["HIGH"] * (y1 - y0))
        b2 = 1 - 2 ** -(x0 + (column + 0.5) / cells["WIDE"] * (x1 - x0))
        if steps == 4 and b1 * b1 >= b2:
            assert level[row, column] == 9
            continue
        sup = (1 - b1) / np.sqrt(1 - b2) * np.sqrt(np.sum((b1 * b1 / b2) ** k))
        assert level[row, column] == np.sum(sup > np.asarray(cells["LEVELS"]))
    assert np.asarray(rows["cells"]["ppl"]).min() == 21.92
    assert float(rows["now"]["b2"][0]) == pytest.approx(0.95)


@pytest.mark.parametrize(("z", "lam"), [(3.0, 0.25), (-0.4, 0.5), (0.0, 0.2), (8.0, 0.02)])
def test_the_reversed_step_minimises_the_reversed_objective(sources, z, lam):
    cells = run(sources, "X, FAR")
    mean, variance = (float(x[0]) for x in cells["reverse"](jnp.array([z]), lam))

    def cost(x):
        m, s = x[0], np.exp(x[1])
        return -norm.logpdf(z, m, np.sqrt(s)) + (s - 1 - x[1] + m * m) / (2 * lam)

    options = {"xatol": 1e-10, "fatol": 1e-15, "maxiter": 4000}
    best = minimize(cost, [0.1, 0.1], method="Nelder-Mead", options=options).x
    assert [mean, variance] == pytest.approx([best[0], np.exp(best[1])], abs=2e-6)
    assert abs(mean) < np.sqrt(lam)


@pytest.mark.parametrize("order", [0, 1])
def test_the_new_bell_is_a_density_with_the_moments_said(sources, order):
    cells = run(sources, "X, FAR", "def bells(")
    rows = jax.jit(cells["bells"])(jnp.asarray(1.5), jnp.asarray(0.8), jnp.asarray(order))
    x, new = (np.asarray(rows["bells"][name]) for name in ("x", "new"))
    weight = new * (x[1] - x[0])
    mean = float(rows["now"]["mean"][0])
    assert weight.sum() == pytest.approx(1, abs=1e-4)
    assert weight @ x == pytest.approx(mean, abs=1e-3)
    spread = np.sqrt(weight @ (x - mean) ** 2)
    assert spread == pytest.approx(float(rows["now"]["spread"][0]), abs=2e-3)
    if order == 0:  # the mixture, sampled
        rng = np.random.default_rng(0)
        mixture = np.where(rng.uniform(size=400_000) < 0.8, rng.normal(size=400_000), 1.5)
        assert [mean, spread] == pytest.approx([mixture.mean(), mixture.std()], abs=5e-3)


@pytest.mark.parametrize(("b1", "b2"), [(0.9, 0.999), (0.95, 0.95), (0.0, 0.8)])
def test_the_schedule_is_the_correction_times_warm_up_and_cosine(sources, b1, b2):
    cells = run(sources, "import altair", "def schedule(")
    warm, flat = (
        jax.jit(cells["schedule"])(*map(jnp.asarray, (b1, b2, 1000.0, choice)))["rates"]
        for choice in (1, 0)
    )
    t = np.asarray(warm["t"])
    rho = np.sqrt(1 - b2**t) / (1 - b1**t)
    rate = np.where(t < 100, t / 100, 0.5 + 0.5 * np.cos(np.pi * (t / 1000 - 0.1) / 0.9))
    np.testing.assert_allclose(warm["rho"], rho, rtol=1e-9)
    np.testing.assert_allclose(warm["both"], rate * rho, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(flat["both"], rho, rtol=1e-9)
