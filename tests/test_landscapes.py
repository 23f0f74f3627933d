"""optdyn.landscapes against automatic differentiation, quadrature, enumeration and sampling."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optdyn import landscapes
from optdyn.javascript import translate
from tests.engine import Engine

if hasattr(jax, "enable_x64"):
    enable_x64 = jax.enable_x64
else:
    from jax.experimental import enable_x64


@pytest.fixture(autouse=True, scope="module")
def double():
    with enable_x64(True):
        yield


RNG = np.random.default_rng(1)
X, TARGET = RNG.normal(size=(5, 3)), RNG.normal(size=5)
FULL = RNG.normal(size=(6, 3, 3))
A, MEASURED = FULL + FULL.swapaxes(1, 2), RNG.normal(size=6)
MATRIX = RNG.normal(size=(3, 3))
NAMES = ["valley", "quadratic", "scalar", "regression", "network", "sensing", "wells"]
W = {
    "valley": RNG.normal(size=4),
    "quadratic": RNG.normal(size=3),
    "scalar": np.float64(0.7),
    "regression": RNG.normal(size=3),
    "network": RNG.normal(size=(2, 3)),
    "sensing": RNG.normal(size=(3, 2)),
    "wells": np.float64(0.4),
}
WELLS = ([-1.0, 1.0], [1.0, 0.9], [0.1, 0.5])


def objective(name):  # made in a test, where the precision is double
    return {
        "valley": landscapes.widening_valley,
        "quadratic": lambda: landscapes.quadratic(MATRIX),
        "scalar": lambda: landscapes.quadratic(2.5),
        "regression": lambda: landscapes.quadratic_regression(X, TARGET),
        "network": lambda: landscapes.diagonal_network(X, TARGET),
        "sensing": lambda: landscapes.matrix_sensing(A, MEASURED),
        "wells": lambda: landscapes.gaussian_wells(*WELLS),
    }[name]()


def plain_loss(name, w):
    """The losses, written out independently of the library."""
    if name == "valley":
        return w[-1] ** 2 * sum(w[:-1] ** 2) / 2
    if name == "quadratic":
        return sum(MATRIX[i, j] * w[i] * w[j] for i in range(3) for j in range(3)) / 2
    if name == "scalar":
        return 2.5 * w**2 / 2
    if name == "regression":
        return sum((row @ w**2 - t) ** 2 for row, t in zip(X, TARGET, strict=True)) / 20
    if name == "network":
        b = w[0] ** 2 - w[1] ** 2
        return sum((row @ b - t) ** 2 for row, t in zip(X, TARGET, strict=True)) / 20
    if name == "sensing":
        return sum((np.trace(a @ w @ w.T) - t) ** 2 for a, t in zip(A, MEASURED, strict=True)) / 24
    return 1 - sum(d * np.exp(-((w - c) ** 2) / (2 * s**2)) for c, d, s in zip(*WELLS, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_closed_forms_against_automatic_differentiation(name):
    model, w = objective(name), jnp.asarray(W[name])
    assert float(model.loss(w)) == pytest.approx(plain_loss(name, W[name]), rel=1e-12)
    np.testing.assert_allclose(
        model.gradient(w), jax.jit(jax.grad(model.loss))(w), rtol=0, atol=1e-10
    )
    hessian = jax.jit(jax.hessian(model.loss))(w).reshape(w.size, w.size)
    assert float(model.hessian_trace(w)) == pytest.approx(float(np.trace(hessian)), abs=1e-10)
    assert float(model.smoothed_loss(w, 0.0)) == pytest.approx(float(model.loss(w)), abs=1e-12)
    little = 1e-3  # the expansion behind the chapter, to fourth order in sigma
    found = (model.smoothed_loss(w, little) - model.loss(w)) / (little**2 / 2)
    assert float(found) == pytest.approx(float(model.hessian_trace(w)), rel=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_smoothed_losses_by_quadrature(name):
    """Gauss-Hermite in each coordinate: 3 points integrate a polynomial of degree 4 exactly."""
    model, w, sigma = objective(name), W[name], 0.3
    points, weights = np.polynomial.hermite_e.hermegauss(100 if name == "wells" else 3)
    grid = np.array(list(itertools.product(points, repeat=w.size))).reshape(-1, *w.shape)
    share = np.prod(list(itertools.product(weights / weights.sum(), repeat=w.size)), axis=1)
    expected = share @ np.array([plain_loss(name, w + sigma * shift) for shift in grid])
    assert float(model.smoothed_loss(w, sigma)) == pytest.approx(float(expected), rel=1e-11)


def test_the_valley_smoothed_by_random_signs_is_the_same():
    """The regularised loss is exact there, for signs too; so is its gradient: no remainder."""
    valley, w, sigma = objective("valley"), W["valley"], 0.6
    corners = sigma * np.array(list(itertools.product([-1, 1], repeat=4)))
    mean = np.mean([plain_loss("valley", w + corner) for corner in corners])
    assert float(valley.smoothed_loss(w, sigma)) == pytest.approx(float(mean), rel=1e-13)
    pushes = np.mean([valley.gradient(w + corner) for corner in corners], axis=0)
    smooth = jax.grad(valley.smoothed_loss)(jnp.asarray(w), sigma)
    np.testing.assert_allclose(pushes, smooth, rtol=0, atol=1e-12)


def test_smoothing_by_sampling():
    model, w = objective("network"), W["network"]
    shifts = 0.2 * np.random.default_rng(0).normal(size=(20_000, 2, 3))
    losses = jax.jit(jax.vmap(model.loss))(w + shifts)
    error = np.std(losses) / np.sqrt(len(losses))
    assert abs(float(model.smoothed_loss(w, 0.2) - np.mean(losses))) < 4 * error


def test_hutchinson():
    model, w = objective("regression"), W["regression"]
    key, n_probes = jax.random.key(5), 4000
    estimate, error = landscapes.hutchinson_trace(model.gradient, w, key, n_probes)
    trace = float(model.hessian_trace(w))
    assert abs(float(estimate) - trace) < 4 * float(error)
    hessian = np.asarray(jax.jit(jax.hessian(model.loss))(jnp.asarray(w)))
    off = hessian - np.diag(np.diag(hessian))
    assert float(error) == pytest.approx(np.sqrt(2 * (off**2).sum() / n_probes), rel=0.1)
    wells = objective("wells")  # one coordinate: exact
    exact, none = landscapes.hutchinson_trace(wells.gradient, 0.4, key, 2)
    assert float(exact) == pytest.approx(float(wells.hessian_trace(0.4)), rel=1e-12)
    assert float(none) == pytest.approx(0, abs=1e-12)


def test_other_data_do_not_recompile():
    count = []

    @jax.jit
    def steps(gradient, w):
        count.append(1)
        return gradient(w)

    for scale in (1.0, 2.0):
        model = landscapes.matrix_sensing(scale * A, scale * MEASURED)
        steps(model.gradient, W["sensing"])
    assert len(count) == 1
    compiled = landscapes._hutchinson._cache_size
    model = landscapes.diagonal_network(X, TARGET)
    landscapes.hutchinson_trace(model.gradient, W["network"], jax.random.key(0), 8)
    before = compiled()
    model = landscapes.diagonal_network(2 * X, 3 * TARGET)
    landscapes.hutchinson_trace(model.gradient, 2 * W["network"], jax.random.key(1), 8)
    assert compiled() == before


def test_traced_data_and_batches():
    def shapes(scale):
        model = landscapes.gaussian_wells([-1.0, scale], [1.0, scale], [0.1, 0.5 * scale])
        return jax.vmap(model.loss)(jnp.linspace(-1, 1, 5))

    np.testing.assert_allclose(
        jax.jit(shapes)(1.1),
        [1 - np.exp(-((w + 1) ** 2) / 0.02) - 1.1 * np.exp(-((w - 1.1) ** 2) / (2 * 0.55**2))
         for w in np.linspace(-1, 1, 5)],
        rtol=1e-12,
    )  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_in_float32_and_in_the_page(name):
    with enable_x64(False), Engine() as engine:
        model, w = objective(name), np.asarray(W[name], np.float32)

        def figure(w, sigma):
            return [f(w) for f in model[:3]] + [model.smoothed_loss(w, sigma)]

        given = (w, np.float32(0.3))
        expected = figure(*given)
        assert all(value.dtype == np.float32 for value in expected)
        found = engine.run(translate(figure, *given), *given)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)
    exact = objective(name)
    np.testing.assert_allclose(expected[1], exact.gradient(W[name]), rtol=1e-4, atol=1e-4)


WRONG = [
    (lambda: landscapes.quadratic([1.0, 2.0]), r"matrix: .*\(2,\)"),
    (lambda: landscapes.quadratic([[np.nan]]), "matrix: .*nan"),
    (lambda: landscapes.quadratic_regression(TARGET, TARGET), r"X: .*\(5,\)"),
    (lambda: landscapes.quadratic_regression(X, TARGET[:4]), r"y: .*\(4,\).*\(5,\)"),
    (lambda: landscapes.diagonal_network(X * np.inf, TARGET), "X: .*finite"),
    (lambda: landscapes.diagonal_network(X, X), r"y: .*\(5, 3\)"),
    (lambda: landscapes.matrix_sensing(A[0], MEASURED), r"A: .*\(3, 3\)"),
    (lambda: landscapes.matrix_sensing(FULL, MEASURED), "A: .*symmetric"),
    (lambda: landscapes.matrix_sensing(A, MEASURED[1:]), r"y: .*\(5,\)"),
    (lambda: landscapes.gaussian_wells([0.0], [1.0, 2.0], [1.0]), r"depths: .*\(2,\)"),
    (lambda: landscapes.gaussian_wells([0.0], [1.0], [0.0]), "widths: .*0.0"),
    (lambda: landscapes.widening_valley().loss(1.0), r"w: .*\(\)"),
    (lambda: landscapes.quadratic(MATRIX).gradient(W["valley"]), r"w: .*\(4,\).*\(3,\)"),
    (lambda: objective("network").loss(W["regression"]), r"w: .*\(3,\).*\(2, 3\)"),
    (lambda: objective("sensing").gradient(W["regression"]), r"w: .*\(3,\).*\(3, k\)"),
    (lambda: objective("wells").loss(W["regression"]), r"w: .*\(3,\)"),
    (
        lambda: landscapes.hutchinson_trace(jnp.sin, 1.0, jax.random.key(0), 1),
        "n_probes: .*1",
    ),
]


@pytest.mark.parametrize(("call", "message"), WRONG, ids=[message for _, message in WRONG])
def test_bad_input(call, message):
    with pytest.raises(ValueError, match="^" + message):
        call()


def test_hutchinson_wants_a_function():
    with pytest.raises(TypeError, match=r"^gradient: got 3"):
        landscapes.hutchinson_trace(3, 1.0, jax.random.key(0), 4)
