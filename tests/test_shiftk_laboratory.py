"""The functions of the shiftk laboratory's cells against other ways to compute them.

They are those of the notebook's own cells, run here without the experiments.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import optimize, signal

import notebooks
from optdyn import filters, pole_families, recurrence
from optdyn.filters import Poles

NOTEBOOK = Path(__file__).resolve().parent.parent / "chapters/shiftk/3_laboratory.ipynb"
DEFINE = (  # how the cells begin that are run here, in order
    "WIDE, HIGH", "def two_poles", "def gain", "def cobweb", "def undamped_map",
    "def population_loss", "def learn", "LENGTH = ", "def impulse_response",
)  # fmt: skip
K = 64


@pytest.fixture(scope="module", autouse=True)
def double_precision() -> Iterator[None]:
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


@pytest.fixture(scope="module")
def cells(double_precision: None) -> dict[str, Any]:
    names: dict[str, Any] = dict(
        jax=jax, jnp=jnp, np=np, optax=optax, optimize=optimize, filters=filters, Poles=Poles,
        pole_families=pole_families, recurrence=recurrence, K=K,
    )  # fmt: skip
    sources = [c.source for c in notebooks.read(NOTEBOOK).cells if c.cell_type == "code"]
    for beginning in DEFINE:
        (source,) = (s for s in sources if s.startswith(beginning))
        exec(source, names)
    return names


def brute_error(log_a: np.ndarray, rho: float, n: int = 4_000) -> float:
    """Least squares over n steps of input, by an orthonormal basis of the filters."""
    filtered = signal.lfilter(
        [np.sqrt(1 - rho**2)], [1, -rho], np.exp(np.outer(np.arange(n), log_a)), axis=0
    )
    target = signal.lfilter([np.sqrt(1 - rho**2)], [1, -rho], np.arange(n) == K)
    basis, _ = np.linalg.qr(filtered)
    return float(target @ target - np.sum(abs(basis.conj().T @ target) ** 2))


@pytest.mark.parametrize("rho", [0.0, 0.6, 0.95, -0.9])
@pytest.mark.parametrize(("alpha", "phi"), [(0.77, 1.9), (0.4, 11.0), (2.5, 0.6)])
def test_a_pair_gains_what_least_squares_does(cells, alpha, phi, rho):
    log_a = np.array([-alpha + 1j * phi, -alpha - 1j * phi]) / K
    got = float(cells["pair_gain"](jnp.log(alpha), jnp.asarray(phi), rho))
    assert got == pytest.approx(1 - brute_error(log_a, rho), abs=1e-9)


def test_the_path_descends_to_a_hilltop_and_the_far_one_is_lower(cells):
    near, far = (
        jax.jit(cells["two_poles"])((jnp.array([x]), jnp.array([2.0])), 0.0) for x in (3.0, 11.0)
    )
    assert near["end"]["phi"][0] == pytest.approx(1.8986, abs=2e-2)
    assert near["end"]["alpha"][0] == pytest.approx(0.7723, abs=2e-2)
    assert near["end"]["reached"] == pytest.approx(1 - 0.98421178, abs=1e-5)
    assert far["end"]["reached"][0] < 0.8 * near["end"]["reached"][0]
    levels = np.asarray(near["map"]["level"])
    assert levels.shape == (64 * 40,) and set(levels) == set(range(10))


def test_the_cobweb_is_damped_irka_for_one_pole(cells):
    star = (K / (K + 1)) ** 0.5
    for damping, start in ((1.0, 0.3), (0.5, 1.7), (0.2, 0.6)):
        table = cells["cobweb"](damping, jnp.asarray(start))["modulus"]["a"]
        steps = filters.irka(1, K, damping=damping, n_steps=16, start=[star**start + 0j])[1]
        np.testing.assert_allclose(table, abs(steps[:, 0]), rtol=1e-12)


@pytest.mark.parametrize("q", [0.998, 1.001])
def test_scaled_poles_step_to_poles_scaled_back(cells, q):
    log_a = np.log(cells["comb"](5, 1.3, 1.4)) + 0.1j / K
    apart = cells["undamped_map"](log_a + np.log(q)) + np.log(q) - cells["undamped_map"](log_a)
    assert abs(apart).max() < 1e-10
    turned = cells["undamped_map"](log_a + 0.2j) - 0.2j - cells["undamped_map"](log_a)
    assert abs(turned).max() < 1e-10


def some_parameters(seed: int) -> tuple[Any, ...]:
    rng = np.random.default_rng(seed)
    return tuple(
        jnp.asarray(x)
        for x in (
            np.log(rng.uniform(0.5, 3, 8) / K),
            rng.uniform(0, 3, 8),
            *rng.normal(size=(2, 8)),
        )
    )


@pytest.mark.parametrize("rho", [0.0, 0.95])
def test_the_expected_loss_is_that_of_the_filter(cells, rho):
    p = some_parameters(1)
    n = 6_000
    a = np.exp(-np.exp(np.asarray(p[0])) + 1j * np.asarray(p[1]))
    b = (np.asarray(p[2]) + 1j * np.asarray(p[3])) * np.sqrt(1 - abs(a) ** 2)
    off = 2 * (a ** np.arange(n)[:, None] @ b).real - (np.arange(n) == K)
    shaped = signal.lfilter([np.sqrt(1 - rho**2)], [1, -rho], off)
    assert float(cells["population_loss"](p, rho)) == pytest.approx(shaped @ shaped, rel=1e-10)
    poles = Poles(jnp.exp(p[0]), p[1])
    library = recurrence.copy_error(poles, 2 * b, K, rho=rho, n=n)
    assert float(library) == pytest.approx(shaped @ shaped, rel=1e-10)
    np.testing.assert_allclose(
        cells["impulse_response"](p), (off + (np.arange(n) == K))[: 4 * K], atol=1e-9
    )


def test_a_batch_is_windows_of_correlated_input(cells):
    rho = jnp.asarray(0.9)
    windows, wanted = (np.asarray(x) for x in cells["batch"](jax.random.key(0), rho))
    windows, wanted = windows.reshape(-1, 16, 4 * K), wanted.reshape(-1, 16)
    np.testing.assert_array_equal(windows[..., K], wanted)  # column k: the input k steps ago
    np.testing.assert_array_equal(windows[1:, :, 1:], windows[:-1, :, :-1])
    np.testing.assert_array_equal(windows[0, :, K + 1 :], 0)
    u = windows[-1, :, ::-1].astype(float)
    assert np.mean(u**2) == pytest.approx(1, abs=0.25)
    assert np.mean(u[:, 1:] * u[:, :-1]) == pytest.approx(0.9, abs=0.25)


def test_learning_is_adam_with_slow_angles(cells):
    """Against optax's own chain on one leaf at a time."""
    p = some_parameters(2)
    grad = jax.grad(cells["population_loss"])
    last, path = cells["learn"](p, lambda p, t: grad(p, 0.0), 40, every=20)
    rates = optax.multi_transform(
        {"fast": optax.adam(0.01), "slow": optax.adam(0.001)}, ("fast", "slow", "fast", "fast")
    )
    state, x = rates.init(p), p
    for _ in range(40):
        step, state = rates.update(grad(x, 0.0), state)
        x = optax.apply_updates(x, step)
    for ours, theirs in zip(last, x, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9)
    assert path[0].shape == (2, 8)
    np.testing.assert_array_equal(path[1][0], p[1])
