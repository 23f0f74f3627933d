"""The functions of the noise chapter's second notebook, against NumPy and SciPy."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import altair as alt
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import beta

import notebooks
from optdyn import descent, landscapes, noise, stationarity

NOTEBOOK = Path(__file__).resolve().parent.parent / "chapters/noise/2_mechanism.ipynb"


@pytest.fixture(scope="module")
def sources() -> list[str]:
    return [c.source for c in notebooks.read(NOTEBOOK).cells if c.cell_type == "code"]


def run(sources: list[str], beginning: str, **names: Any) -> dict[str, Any]:
    (source,) = (s for s in sources if s.startswith(beginning))
    names = {"jax": jax, "jnp": jnp, "np": np, "noise": noise, **names}
    exec(source, names)
    return names


@pytest.mark.parametrize(("sigma", "width"), [(0.0, 0.1), (0.05, 0.1), (0.2, 0.3), (0.4, 0.05)])
def test_the_wells_are_smoothed_by_quadrature_too(sources, sigma, width):
    cells = run(sources, "LINE = ", landscapes=landscapes)
    rows = {k: np.asarray(v, float) for k, v in cells["two_wells"](sigma, width)["wells"].items()}

    def loss(x):
        narrow = np.exp(-((x + 1) ** 2) / (2 * width**2))
        return 1 - narrow - 0.9 * np.exp(-((x - 1) ** 2) / 0.5)

    x = rows["x"]
    np.testing.assert_allclose(rows["loss"], loss(x), atol=1e-5)
    t = np.linspace(-8, 8, 8001)
    weights = np.exp(-t * t / 2)
    smooth = (loss(x[:, None] + sigma * t) * weights).sum(1) / weights.sum()
    np.testing.assert_allclose(rows["smooth"], smooth, atol=1e-5)
    h = 1e-4
    bend = (loss(x + h) - 2 * loss(x) + loss(x - h)) / h**2
    np.testing.assert_allclose(rows["taylor"], loss(x) + sigma**2 / 2 * bend, atol=2e-4)


def test_the_density_of_the_beta_law_is_scipy_s(sources):
    kappas, dims = np.array([0.0, 0.3, 0.5, 0.7, 0.8]), (3, 8, 16)
    cells = run(
        sources, "BINS = ", stationarity=stationarity, KAPPAS=kappas, DIMS=dims,
        SETTLED=np.random.default_rng(0).random((3, 5, 100)),
    )  # fmt: skip
    for kappa in (0, 2, 4):
        for dim in range(3):
            tables = cells["beta_law"](kappa, dim)
            law = beta((dims[dim] - 1) / 2, 1.5 + 2 * kappas[kappa] / (1 - kappas[kappa]) ** 2)
            x = np.asarray(tables["law"]["x"], float)
            np.testing.assert_allclose(tables["law"]["density"], law.pdf(x), rtol=2e-3, atol=1e-4)
            share = np.asarray(tables["bars"]["density"]) / 30
            assert share.sum() == pytest.approx(1, abs=1e-5)


def test_the_measured_drift_has_the_sign_and_size_of_the_law(sources):
    """At (eta, u) = (0.2, 1), the fourth place: -eta u times v's variance at rest."""
    cells = run(sources, "PLACES = ", descent=descent)
    for kappa, spread in ((1.0, 2 / (2 - 0.4)), (0.0, 1 / (0.4 * (2 - 0.4)))):
        mean, error = (np.asarray(x)[3] for x in cells["drift"](jax.random.key(0), kappa))
        law = -0.2 * spread * 0.004**2
        assert float(mean) == pytest.approx(law, abs=4 * float(error) + 0.01 * abs(law))
        assert 0 < float(error) < 0.05 * abs(law)


@pytest.fixture(scope="module")
def of_the_valley(sources) -> dict[str, Any]:
    return run(
        sources, "D, ALPHA, DIM = ", stationarity=stationarity, landscapes=landscapes,
    )  # fmt: skip


@pytest.mark.parametrize(("alpha", "share", "dim"), [(0.5, 1, 8), (0.25, 0.5, 32), (0.6, 0.1, 2)])
def test_the_first_steps_are_a_plain_loop_s(sources, of_the_valley, alpha, share, dim):
    cells = run(sources, "PATHS, FIRST", descent=descent, **of_the_valley)
    cells["first_tables"] = run(sources, "def first_tables", alt=alt, **cells)["first_tables"]
    prepared = np.asarray(cells["draw_first"](jax.random.key(3)), float)
    tables = cells["first_steps"](alpha, share, float(dim), jnp.asarray(prepared, jnp.float32))

    sigma2 = share * min(alpha**3 * 50, alpha * 50 / dim)
    xi = np.sqrt(sigma2) * prepared[:, :, np.r_[:dim, 32]]
    w = np.append(np.full((60, dim), np.sqrt(100 / dim)), np.zeros((60, 1)), axis=1)
    sizes = [(w[:, :-1] ** 2).sum(1) / 100]
    for old, new in pairwise(xi):
        u, v = w[:, :-1], w[:, -1:]
        slope = np.append(v**2 * u, (u**2).sum(1, keepdims=True) * v, axis=1)
        w = w - alpha / 200 * slope + new - old
        sizes.append((w[:, :-1] ** 2).sum(1) / 100)
    sizes = np.array(sizes)
    found = np.asarray(tables["paths"]["u"]).reshape(60, 25)
    np.testing.assert_allclose(found, sizes.T, rtol=2e-4, atol=1e-5)
    left = []
    for path in sizes.T:
        out = [x for x in path if x >= 1 / alpha or x <= alpha]
        left.append(bool(out) and out[0] >= 1 / alpha)
    assert int(tables["words"]["left"][0]) == sum(left)
    assert np.asarray(tables["paths"]["kind"]).reshape(60, 25)[:, 0].tolist() == left


@pytest.mark.parametrize(("eta", "variance"), [(0.0025, 0.2), (0.015, 0.1), (0.001, 0.8)])
def test_the_recursion_of_the_figure_is_the_library_s(sources, of_the_valley, eta, variance):
    cells = run(sources, "SIX, SLID", **of_the_valley)
    law = stationarity.valley_mean_field(
        1_500, dim=4, start=100, step_size=eta, sigma=variance**0.5
    )
    np.testing.assert_allclose(cells["recursion"](eta, variance), law, rtol=2e-4)
