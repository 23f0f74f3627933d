"""The functions of the noise laboratory's cells against other ways to compute them.

They are those of the notebook's own cells, run here without the experiments.
"""

from __future__ import annotations

import ast
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special
from scipy.linalg import toeplitz
from scipy.optimize import linprog, minimize

import notebooks
from optdyn import descent, landscapes, lasso, noise, stationarity

FOLDER = Path(__file__).resolve().parent.parent / "chapters/noise"
NOTEBOOK = FOLDER / "3_laboratory.ipynb"
DEFINE = (  # cells to run
    "N_SEEDS = ", "def flattest(", "def sensing(", "NETWORKS = ", "LAGS = ", "def shifted",
    "def draw_kicks", "HURSTS = ", "def laws", "rng = np.random.default_rng(39)",
    "def train_layers", "WIDTHS = ", "def draw_relatives", "def four_relatives", "ORDERS = ",
)  # fmt: skip
ALONE = "group_gradient", "expected_loss"  # functions of cells that compute


@pytest.fixture(scope="module")
def cells() -> dict[str, Any]:
    names: dict[str, Any] = dict(
        jax=jax, jnp=jnp, np=np, partial=partial, linprog=linprog, LARGE=False, special=special,
        descent=descent, landscapes=landscapes, lasso=lasso, noise=noise,
    )  # fmt: skip
    nb = notebooks.read(NOTEBOOK)
    sources = [c.source for c in nb.cells if c.cell_type == "code"]
    for first in DEFINE:
        (source,) = [s for s in sources if s.startswith(first)]
        exec(source, names)
    for source in sources:
        for node in [] if "%pip" in source else ast.parse(source).body:
            if isinstance(node, ast.FunctionDef) and node.name in ALONE:
                exec(ast.unparse(node), names)
    return names


def small(seed: int, n: int = 4, d: int = 9) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    return X, X @ rng.uniform(0.1, 2, d)


@pytest.mark.parametrize("seed", range(5))
def test_the_flattest_interpolant_has_a_certificate(cells, seed):
    """By duality: prices of the equations at which every unknown costs at least its worth."""
    X, y = small(seed)
    b, costs = cells["flattest"](X, y), np.sum(X**2, axis=0)
    np.testing.assert_allclose(X @ b, y, atol=1e-9)
    assert b.min() >= 0
    prices = linprog(-y, A_ub=X.T, b_ub=costs, bounds=(None, None))
    assert costs @ b == pytest.approx(prices.x @ y, rel=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_the_nearest_interpolant_has_the_least_entropy(cells, seed):
    X, y = small(seed)
    start = 0.7
    b = cells["nearest"](X, y, start)
    np.testing.assert_allclose(X @ b, y, atol=1e-9)

    def entropy(b):
        return np.sum(b * np.log(np.maximum(b, 1e-300) / start) - b)

    found = minimize(
        entropy, np.ones(9), method="SLSQP", bounds=[(1e-9, None)] * 9, tol=1e-12,
        constraints={"type": "eq", "fun": lambda b: X @ b - y},
    )  # fmt: skip
    np.testing.assert_allclose(b, found.x, atol=2e-4)
    assert entropy(b) <= entropy(found.x) + 1e-7


def test_small_steps_end_at_the_nearest_interpolant(cells):
    X, y = small(7)
    off = []
    for step_size, n in ((0.02, 5_000), (0.002, 50_000)):
        w = np.ones(9)
        for _ in range(n):
            w = w - step_size * w * (X.T @ (X @ (w * w) - y)) / 4
        off.append(np.max(abs(w * w - cells["nearest"](X, y))))
    assert off[1] < 0.15 * off[0] < 0.15 * 0.1  # the distance is proportional to the step


def test_train_is_descent_with_noise_and_then_without(cells):
    """GD against a loop; with noise in 20 of 40 steps, the last ten are a loop too."""
    names = cells | {"N_NOISY": 20, "N_STEPS": 40, "EVERY": 10}
    nb = notebooks.read(NOTEBOOK)
    (source,) = [c.source for c in nb.cells if c.source.startswith("N_SEEDS = ")]
    source = "\n".join(s for s in source.split("\n") if not s.startswith("N_"))
    exec(source, names)
    X, y = small(1, 5, 8)
    keys = jax.random.split(jax.random.key(0), 3)
    z = names["train"](
        *names["single"](X, y), jnp.ones((3, 8)), keys, *names["single"]([0, 0.1, 0.1], [0, 0, 1])
    )
    assert z.shape == (3, 5, 8)
    w = np.ones(8)
    for _ in range(40):
        w = w - 0.01 * w * (X.T @ (X @ (w * w) - y)) / 5
    np.testing.assert_allclose(z[0, -1], w, atol=1e-5)
    for lane in (1, 2):
        w = np.asarray(z[lane, 3], float)
        for _ in range(10):
            w = w - 0.01 * w * (X.T @ (X @ (w * w) - y)) / 5
        np.testing.assert_allclose(z[lane, 4], w, atol=1e-5)


@pytest.mark.parametrize("kappa", [0.0, 0.5, 1.0])
def test_a_path_is_kappa_pgd_read_at_z(cells, kappa):
    """Noise in 20 of 40 steps; z by its own recursion."""
    quiet, xi = np.asarray(cells["signs"]((0, 0.1), (3,), 20, 40), float)
    assert xi.shape == (41, 3) and not quiet.any()
    np.testing.assert_allclose(abs(xi[:21]), 0.1, rtol=1e-6)
    assert not xi[21:].any()
    found = cells["path"](lambda w: w**3, jnp.ones(3), jnp.float32(xi), kappa, 0.05, 10)
    z, path = 1 - kappa * xi[0], []
    for n in range(40):
        path += [z] if n % 10 == 0 else []
        z = z - 0.05 * (z + kappa * xi[n]) ** 3 + (1 - kappa) * xi[n + 1]
    np.testing.assert_allclose(found, [*path, z], atol=1e-5)


def test_the_truth_of_the_sensing_data(cells):
    A, truth = cells["sensing"](2, d=5, m=7)
    assert np.linalg.matrix_rank(truth) == 1 and np.linalg.norm(truth) == pytest.approx(4)
    np.testing.assert_array_equal(A, A.transpose(0, 2, 1))


def test_the_mean_of_a_squared_measuring_matrix(cells):
    A = np.concatenate([cells["sensing"](seed, d=6, m=500)[0] for seed in range(20)])
    np.testing.assert_allclose(np.mean(A @ A, axis=0), 3.5 * np.eye(6), atol=0.15)


def test_a_relu_student_can_be_rescaled_and_its_trace_changes(cells):
    """The reason the text gives for the counterexample; with tanh the function changes."""
    X, y, _, _, start = cells["single"](*cells["taught"](0, lambda x: np.maximum(x, 0)))
    assert start.shape == (351,) and X.shape == (40, 5)
    scale = jnp.concatenate([jnp.full(300, 0.25), jnp.full(50, 4.0), jnp.ones(1)])

    def trace(w, act):
        def loss(w):
            return jnp.mean((cells["student"](w, X, act) - y) ** 2) / 2

        return float(jnp.trace(jax.hessian(loss)(w)))

    same = cells["student"](scale * start, X, jax.nn.relu)
    np.testing.assert_allclose(same, cells["student"](start, X, jax.nn.relu), atol=1e-5)
    assert trace(scale * start, jax.nn.relu) > 2 * trace(start, jax.nn.relu)
    tanh = cells["student"](scale * start, X, jnp.tanh) - cells["student"](start, X, jnp.tanh)
    assert abs(tanh).max() > 0.1


def test_at_zero_the_second_derivative_is_twice_the_slope_in_b():
    """So that the minima over w are those of the lasso over b >= 0."""
    X, y = small(3)
    model = landscapes.quadratic_regression(jnp.float32(X), jnp.float32(y))
    w = jnp.linspace(0.5, 1, 9).at[4].set(0.0)
    H = jax.hessian(model.smoothed_loss)(w, 0.3)
    r = X @ (np.asarray(w, float) ** 2 + 0.09) - y
    slope = X[:, 4] @ r / 8 + 0.09 / 4 * np.sum(X[:, 4] ** 2)
    assert float(H[4, 4]) == pytest.approx(2 * slope, rel=1e-4)


# --- the dial -----------------------------------------------------------


@pytest.mark.parametrize("hurst", [0.0, 0.1, 0.5, 0.95])
def test_the_gallery_s_covariance_and_density_are_the_library_s(cells, hurst):
    r = np.asarray(cells["covariance"](hurst, cells["LAGS"]), float)
    exact = noise.fgn_autocovariance(np.arange(200), hurst)
    np.testing.assert_allclose(r, exact, atol=3e-6)
    omega = np.array([0.5, 1.0, 2.0, np.pi])
    density = np.asarray(cells["spectrum"](hurst, jnp.asarray(omega, jnp.float32)))
    root = noise.fgn_spectrum(4096, hurst)
    sampled = np.interp(omega, np.pi * np.arange(4097) / 4096, root**2)
    np.testing.assert_allclose(density, sampled, rtol=5e-3)


def test_one_by_one_is_cholesky(cells):
    """The recursion is the linear map of Cholesky's factor: unit vectors give its columns."""
    n, lags = 200, cells["LAGS"]
    r = cells["covariance"](0.3, lags)
    columns = jax.jit(jax.vmap(lambda z: cells["coloured"](z, r)))(jnp.eye(n)).T
    factor = np.linalg.cholesky(toeplitz(noise.fgn_autocovariance(np.arange(n), 0.3)))
    np.testing.assert_allclose(columns, factor, atol=2e-5)


@pytest.mark.parametrize(("dim", "eta", "variance"), [(8, 0.0025, 0.8), (2, 0.005, 0.2)])
def test_the_memory_dial_is_the_library_s_laws(cells, dim, eta, variance):
    U, n = (np.asarray(x) for x in jax.jit(cells["laws"])(dim, eta, variance))
    for i in (0, 4, 8, 12):
        h = float(cells["HURSTS"][i])
        landing = stationarity.valley_landing(h, dim=dim, step_size=eta, sigma=variance**0.5)
        assert U[i] == pytest.approx(landing, rel=2e-3)
    for i in (0, 20, 38):
        law = stationarity.saddle_exit_time(
            1 + 20 * eta, hurst=float(cells["HURSTS"][i]), radius=100, sigma=variance**0.5
        )
        assert n[i] == pytest.approx(law, rel=2e-3)


# --- noise before the gradient, and relatives ----------------------------------------------------


def test_the_groups_gradient(cells):
    rng = np.random.default_rng(0)
    cells["groups"], cells["target"] = np.repeat(np.arange(4), (1, 2, 4, 8)), rng.normal(size=15)

    def loss(w):
        return jnp.sum((w[:4][cells["groups"]] * w[4:] - cells["target"]) ** 2) / 2

    w = jnp.asarray(rng.normal(size=19), jnp.float32)
    np.testing.assert_allclose(cells["group_gradient"](w), jax.grad(loss)(w), atol=1e-5)


@pytest.mark.parametrize("width", [3, 7])
def test_the_two_layers(cells, width):
    """Balanced factors of least squares; the gradient is that of the loss on the data."""
    W1, W2 = cells["factors"](width)
    np.testing.assert_allclose(W2 @ W1, cells["OLS"], atol=1e-5)
    balance = W1 @ cells["S"] @ W1.T - W2.T @ W2
    np.testing.assert_allclose(balance, 0 * balance, atol=1e-5)
    rng = np.random.default_rng(1)
    W1, W2 = (W + 0.5 * rng.normal(size=W.shape).astype(np.float32) for W in (W1, W2))

    def loss(W1, W2):
        return jnp.sum((cells["inputs"] @ (W2 @ W1).T - cells["outputs"]) ** 2) / 100

    for ours, exact in zip(cells["gradient"](W1, W2), jax.grad(loss, (0, 1))(W1, W2), strict=True):
        np.testing.assert_allclose(ours, exact, atol=1e-4)


def test_layers_are_trained_in_lanes(cells):
    """Each lane is a run of its own on the same noise; without noise nothing moves."""
    start = cells["factors"](4)
    train, sigma, turns = cells["train_layers"], np.array([0.0, 0.2, 0.2]), np.arange(3) > 1
    lanes = train(5, sigma, turns, start, 6)
    np.testing.assert_allclose(lanes[0], cells["OLS"], atol=1e-12)
    rng = np.random.default_rng(5)
    draws = [(rng.normal(size=(4, 5)), rng.normal(size=(3, 4))) for _ in range(6)]
    for lane in (1, 2):
        (W1, W2), total = start, 0.0
        for t, (E1, E2) in enumerate(draws):
            one = W1 + 0.2 * E1 if lane == 1 or t % 2 == 0 else W1
            two = W2 + 0.2 * E2 if lane == 1 or t % 2 == 1 else W2
            R = (two @ one - cells["OLS"]) @ cells["S"]
            W1, W2 = W1 - 0.02 * two.T @ R, W2 - 0.02 * R @ one.T
            total = total + (W2 @ W1 / 3 if t >= 3 else 0)
        np.testing.assert_allclose(lanes[lane], total, atol=1e-12)


def test_a_draw_is_the_polynomial_of_its_loss(cells):
    W1, W2 = cells["factors"](6)
    c = cells["one_draw"](np.random.default_rng(3), W1, W2)
    rng = np.random.default_rng(3)
    E1, E2 = rng.normal(size=W1.shape), rng.normal(size=W2.shape)

    def loss(P, Q):
        residuals = cells["outputs"] - cells["inputs"] @ (Q @ P).T
        return np.sum(residuals**2) / 100 - cells["RESIDUAL"]

    for s in (0.1, 0.3):
        P, Q = W1 + s * E1, W2 + s * E2
        assert loss(P, Q) == pytest.approx(c[0] * s**2 + c[1] * s**3 + c[2] * s**4)
        assert loss(P, W2) == pytest.approx(c[3] * s**2)
        assert loss(W1, Q) == pytest.approx(c[4] * s**2)
    slope = cells["gradient"](W1 + 0.1 * E1, W2 + 0.1 * E2)[1]
    assert c[5] == pytest.approx(np.sum(slope**2))


def test_the_expected_loss_under_noise(cells):
    """All layers, and by turns, at a noise so large that the product of two noises counts."""
    rng, sigma, width, draws = np.random.default_rng(2), 0.5, 6, 20_000
    x, y, S = cells["inputs"], cells["outputs"], cells["S"]
    W1, W2 = (np.asarray(W, float) for W in cells["factors"](width))
    cells["BRACKET"] = 3 * np.trace(W1 @ S @ W1.T) + np.sum(W2**2) * np.trace(S)
    P = W1 + sigma * rng.normal(size=(draws, *W1.shape))
    Q = W2 + sigma * rng.normal(size=(draws, *W2.shape))

    def losses(A):
        residuals = y - x @ np.swapaxes(A, 1, 2)
        return np.sum(residuals**2, (1, 2)) / 100

    together, turns = losses(Q @ P), (losses(W2 @ P) + losses(Q @ W1)) / 2
    for measured, by_turns in ((together, False), (turns, True)):
        error = measured.std() / np.sqrt(draws)
        exact = cells["expected_loss"](sigma, width, by_turns)
        assert measured.mean() == pytest.approx(exact, abs=5 * error)
        assert error < 0.02 * exact


def test_the_relatives_are_their_recursions(cells):
    """Anti-PGD in its w-form, the others as defined, in float64."""
    eta, sigma_y, r, copies = 0.003, 1.0, 0.08, 3
    x = np.random.default_rng(3).normal(size=(10_000, 2, copies))
    runs, laws = jax.jit(cells["four_relatives"])(eta, sigma_y, r, jnp.asarray(x, jnp.float32))
    sigma = np.sqrt(eta / 2) * sigma_y

    def slope(w):
        return np.stack([w[0] * w[1] ** 2, w[0] ** 2 * w[1]])

    start = np.stack([np.full(copies, 10.0), np.full(copies, 0.01)])
    anti, label, sam, pgd, old = start, start, start, start, np.zeros((2, copies))
    for n in range(10_000):
        anti = anti - eta * slope(anti) + sigma * (x[n] - old)
        e = label[0] * label[1] - sigma_y * x[n, 0]
        label = label - eta * np.stack([e * label[1], e * label[0]])
        g = slope(sam)
        sam = sam - eta * slope(sam + r * g / np.sqrt(np.sum(g**2, 0)))
        pgd = pgd - eta * slope(pgd) + sigma * x[n]
        old = x[n]
        if n + 1 in (50, 2_000, 10_000):
            z = anti - sigma * old
            path = np.stack([w[0] ** 2 for w in (z, label, sam, pgd)])
            np.testing.assert_allclose(runs[n // 50], path, rtol=2e-3)
            assert float(laws[n // 50, 1]) == pytest.approx(sam[0, 0] ** 2, rel=2e-3)
            assert float(laws[n // 50, 0]) == pytest.approx(np.mean(label[0] ** 2), rel=0.08)


def test_the_error_of_private_sums_is_that_of_the_matrices(cells):
    """|B|^2 max |C_j|^2 / n with B C the prefix sum, from powers of the shift matrix."""
    n, shift = 50, np.eye(50, k=-1)
    for power in (0.3, 0.5, 0.9):

        def raised(p):
            total, term = np.eye(n), np.eye(n)
            for k in range(1, n):
                term = term @ shift * (k - 1 + p) / k
                total = total + term
            return total

        B, C = raised(1 - power), raised(power)
        np.testing.assert_allclose(B @ C, np.tri(n), atol=1e-9)
        error = np.sum(B**2) * np.max(np.sum(C**2, 0)) / n
        assert cells["private_error"](power, 50) == pytest.approx(error)
