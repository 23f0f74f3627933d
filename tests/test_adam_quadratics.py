"""The functions of the Adam chapter's second notebook, second half, against loops and optax."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import altair as alt
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.integrate import quad
from scipy.stats import norm

import notebooks
from optdyn import optimizers, quadratics, sign_descent

FOLDER = Path(__file__).resolve().parent.parent / "chapters/adam"
HALVES = [FOLDER / "2_mechanism_m2.ipynb", FOLDER / "2_mechanism.ipynb"]  # alone, or inserted
NOTEBOOK = next(path for path in HALVES if path.exists())


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
        "alt": alt,
        "jax": jax,
        "jnp": jnp,
        "lax": jax.lax,
        "np": np,
        "optax": optax,
        "optimizers": optimizers,
        "quadratics": quadratics,
        "sign_descent": sign_descent,
    }
    for beginning in beginnings:
        (source,) = (s for s in sources if s.startswith(beginning))
        exec(source, names)
    return names


@pytest.mark.parametrize("batch", [3, 9])
def test_the_race_of_the_figure_is_that_of_optax(sources: list[str], batch: int) -> None:
    names = run(sources, "ROUNDS", "def runners")
    order = names["draw_order"](jax.random.key(3))
    rates = jnp.array([1e-4, 0.01, 0.01])
    losses, _ = names["runners"](names["ROWS"][0], rates, 0.9, batch, order)
    problem = names["HET"]
    places = np.asarray(order).reshape(500, 9, 9)[:, 4]
    makers = [
        lambda rate: optax.chain(optax.ema(0.9, debias=False), optax.scale_by_learning_rate(rate)),
        lambda rate: optimizers.signum(rate, 0.9),
        lambda rate: optimizers.adam(rate, 0.9, 0.9, eps=0.0, bias_correction=False),
    ]
    for method, make in enumerate(makers):
        rule = make(lambda n, rate=float(rates[method]): rate * names["WARM"](n))
        w, state = jnp.ones(9), rule.init(jnp.ones(9))
        for n in range(50):
            rows = problem.samples[places[n] < batch]
            update, state = rule.update(jnp.asarray(rows.T @ (rows @ w) / batch), state)
            w = w + update
        expected = float(w @ problem.hessian @ w) / 2
        # the count of optax is int32, and so its schedule float32
        assert float(losses[10, method, 4]) == pytest.approx(expected, rel=1e-6)


def test_each_step_of_the_figure_sees_a_batch_without_replacement(sources: list[str]) -> None:
    order = run(sources, "ROUNDS")["draw_order"](jax.random.key(0))
    np.testing.assert_array_equal(
        np.sort(order, axis=3), np.broadcast_to(np.arange(9), order.shape)
    )
    np.testing.assert_allclose((np.asarray(order) < 3).mean((0, 1, 2)), 1 / 3, atol=0.03)


@pytest.mark.parametrize("offset", [0.0, 0.25, 0.5])
@pytest.mark.parametrize("noise", ["gaussian", "t2", "cauchy"])
def test_the_walk_of_the_figure_is_that_of_the_library(
    sources: list[str], noise: str, offset: float
) -> None:
    names = run(sources, "PEAKS")
    for r in (0.02, 0.5, 2.0):
        x, p = names["walk_law"](r, offset, names["NOISES"].index(noise))
        exact = sign_descent.sign_descent_stationary_variance(1, 1, r, offset=offset, noise=noise)
        assert float(x**2 @ p) * r**2 == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("r", [0.05, 0.5, 1.0])
def test_the_law_of_the_sde_against_quadrature(sources: list[str], r: float, plain: bool) -> None:
    names = run(sources, "PEAKS", "def sde_law")
    x, p = names["sde_law"](r, 0, plain)
    points = np.linspace(0, 12 / np.sqrt(r), 20_001)
    s = 2 * norm.cdf(r * points) - 1
    wide = np.ones_like(s) if plain else 4 * norm.cdf(r * points) * norm.sf(r * points)
    pull = np.append(0, np.cumsum((2 * s / wide)[1:] + (2 * s / wide)[:-1])) * points[1] / 2
    density = np.where(pull < 700, np.exp(-np.minimum(pull, 700)) / wide, 0)
    expected = (density @ points**2) / density.sum()
    assert float(x**2 @ p) * names["CELL"] == pytest.approx(expected, rel=1e-2)


def test_the_variance_of_the_linear_sde(sources: list[str]) -> None:
    names = run(sources, "PEAKS", "def sde_law")
    a = 2 * norm.pdf(0) * 0.3  # dX = -a X dt + sqrt(1 - a^2 X^2) dW, so 2 a V = 1 - a^2 V
    over = float(names["law_sizes"](0.3, 0.0, 0)[3])
    assert over == pytest.approx(1 / (2 * a + a * a) * 4 * norm.pdf(0) * 0.3, rel=1e-12)


def test_the_drift_of_the_figure(sources: list[str]) -> None:
    names = run(sources, "PEAKS")
    y = jnp.array([-3.0, -0.5, 0.0, 2.0])
    s, up = names["drift"](y, 0)
    np.testing.assert_allclose(s, [1 - 2 * quad(norm.pdf, -9, -v)[0] for v in y], atol=1e-8)
    np.testing.assert_allclose(up, norm.logsf(y), rtol=1e-12)


def test_the_sum_over_a_cycle_of_three(sources: list[str]) -> None:
    drifts = run(sources, "MEMORIES")["cycle_of_three"](3.0)["drifts"]
    for tied in (0, 1):
        i = 100 * tied + 50
        b = float(drifts["beta"][i])
        m = v = total = 0.0
        for n in range(120):
            g = 3.0 if n % 3 == 0 else -1.0
            b1 = 0.0 if tied else b  # the second half is RMSprop
            m, v = b1 * m + (1 - b1) * g, b * v + (1 - b) * g * g
            total += m / v**0.5 if n >= 117 else 0
        assert float(drifts["sum"][i]) == pytest.approx(total, rel=1e-10)
