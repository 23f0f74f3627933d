"""optdyn.lasso against SciPy, scikit-learn's conditions written out, and closed forms."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize, nnls

from optdyn import lasso


def problem(seed, n=20, d=12):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    b = np.where(np.arange(d) < 3, [1.0, -2.0, 0.5] * (d // 3), 0)
    return X, X @ b + 0.1 * rng.normal(size=n)


def value(X, y, penalty, b, shift=0.0):
    return np.sum((X @ (b + shift) - y) ** 2) / (4 * len(y)) + np.sum(penalty * np.abs(b))


@pytest.mark.parametrize(("n", "d"), [(20, 12), (10, 30)])
def test_nonnegative_lasso_is_the_minimum(n, d):
    """L-BFGS-B within bounds, an independent method, gets as low and no lower."""
    X, y = problem(0, n, d)
    penalty = np.linspace(0.05, 0.2, d)
    found = lasso.nonnegative_lasso(X, y, penalty, shift=0.1)
    assert found.residual < 1e-12 and (found.b >= 0).all() and (found.b == 0).any()

    def both(b):
        slope = X.T @ (X @ (b + 0.1) - y) / (2 * n) + penalty
        return value(X, y, penalty, b, 0.1), slope

    other = minimize(
        both, np.ones(d), jac=True, bounds=[(0, None)] * d, method="L-BFGS-B",
        options={"ftol": 0, "gtol": 1e-10, "maxiter": 10_000},
    )  # fmt: skip
    np.testing.assert_allclose(found.b, other.x, rtol=0, atol=1e-6)
    assert value(X, y, penalty, found.b, 0.1) <= other.fun + 1e-14


def test_without_a_penalty_it_is_nonnegative_least_squares():
    X, y = problem(1)
    np.testing.assert_allclose(
        lasso.nonnegative_lasso(X, y, 0.0).b, nnls(X, y)[0], rtol=0, atol=1e-12
    )


@pytest.mark.parametrize(("n", "d"), [(20, 12), (10, 30)])
def test_lasso_is_the_nonnegative_one_of_both_signs(n, d):
    X, y = problem(2, n, d)
    found = lasso.lasso(X, y, 0.1)
    assert found.residual < 1e-12 and (found.b == 0).any() and (found.b < 0).any()
    pair = lasso.nonnegative_lasso(np.hstack([X, -X]), y, 0.1)
    np.testing.assert_allclose(found.b, pair.b[:d] - pair.b[d:], rtol=0, atol=1e-9)


def test_an_orthogonal_design_is_soft_thresholding():
    q = np.linalg.qr(np.random.default_rng(3).normal(size=(8, 5)))[0]
    y = np.random.default_rng(4).normal(size=8)
    ordinary, threshold = q.T @ y, 2 * 8 * 0.02
    soft = np.sign(ordinary) * np.maximum(np.abs(ordinary) - threshold, 0)
    np.testing.assert_allclose(lasso.lasso(q, y, 0.02).b, soft, rtol=0, atol=1e-14)
    positive = np.maximum(ordinary - threshold, 0)
    np.testing.assert_allclose(lasso.nonnegative_lasso(q, y, 0.02).b, positive, rtol=0, atol=1e-14)


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), signed=st.booleans(), size=st.sampled_from([(6, 4), (4, 9)]))
def test_the_residual_is_what_it_says(seed, signed, size):
    """The conditions written out, at the solution and nowhere near it."""
    X, y = problem(seed, *size[:1], 3 * (size[1] // 3) or 3)
    found = (lasso.lasso if signed else lasso.nonnegative_lasso)(X, y, 0.05)
    slope = X.T @ (X @ found.b - y) / (2 * len(y))
    worst = 0.0
    for b, g in zip(found.b, slope, strict=True):
        if b > 0:
            worst = max(worst, abs(g + 0.05))
        elif b < 0:
            assert signed
            worst = max(worst, abs(g - 0.05))
        else:
            worst = max(worst, -g - 0.05, (g - 0.05) if signed else 0.0)
    assert found.residual == pytest.approx(worst, abs=1e-15)
    assert found.residual < 1e-12


def test_a_large_penalty_and_columns_of_zeros():
    X, y = problem(5)
    most = np.abs(X.T @ y).max() / (2 * len(y))
    assert not lasso.lasso(X, y, most).b.any()
    assert lasso.lasso(X, y, 0.99 * most).b.any()
    assert not lasso.nonnegative_lasso(0 * X, y, 0.0).b.any()
    assert lasso.lasso(X, 0 * y, 0.0).residual == 0


def test_two_equal_columns():
    X, y = problem(6)
    X[:, 1] = X[:, 0]
    found = lasso.lasso(X, y, 0.05)
    assert found.residual < 1e-12
    one = lasso.lasso(X[:, 1:], y, 0.05)
    assert found.b[0] + found.b[1] == pytest.approx(one.b[0], abs=1e-9)


def test_shrinking():
    matrix = np.random.default_rng(7).normal(size=(4, 6))
    values = np.linalg.svd(matrix, compute_uv=False)
    tau = float(values[1] + values[2]) / 2
    shrunk = lasso.shrink_singular_values(matrix, tau)
    np.testing.assert_allclose(
        np.linalg.svd(shrunk, compute_uv=False), np.maximum(values - tau, 0), atol=1e-12
    )
    # The condition for a minimum: (A - M) / tau is a subgradient of the nuclear norm at M.
    rest = (matrix - shrunk) / tau
    assert np.linalg.norm(rest, 2) == pytest.approx(1, abs=1e-12)
    assert np.sum(rest * shrunk) == pytest.approx(np.linalg.norm(shrunk, "nuc"), rel=1e-12)
    np.testing.assert_allclose(lasso.shrink_singular_values(matrix, 0.0), matrix, atol=1e-12)

    vector = matrix[0]
    length = np.linalg.norm(vector)
    shorter = lasso.shrink_norm(vector, 0.25 * length)
    np.testing.assert_allclose(shorter, 0.75 * vector, rtol=1e-12)
    assert not lasso.shrink_norm(vector, length).any()
    assert not lasso.shrink_norm([0.0, 0.0], 0.0).any()


X0, Y0 = problem(8)
WRONG = [
    (lambda: lasso.lasso(Y0, Y0, 0.1), r"X: .*\(20,\)"),
    (lambda: lasso.lasso(X0, Y0[1:], 0.1), r"y: .*\(19,\).*\(20,\)"),
    (lambda: lasso.lasso(X0, Y0, -0.1), "penalty: .*-0.1"),
    (lambda: lasso.lasso(X0, Y0, [0.1, 0.2]), r"penalty: .*\(2,\).*\(12,\)"),
    (lambda: lasso.nonnegative_lasso(X0, Y0 * np.nan, 0.1), "y: .*nan"),
    (lambda: lasso.nonnegative_lasso(X0, Y0, 0.1, shift=np.inf), "shift: .*inf"),
    (lambda: lasso.nonnegative_lasso(X0, Y0, 0.1, shift=[1.0]), r"shift: .*\(1,\)"),
    (lambda: lasso.shrink_singular_values(Y0, 0.1), r"A: .*\(20,\)"),
    (lambda: lasso.shrink_singular_values(X0, -1.0), "tau: .*-1.0"),
    (lambda: lasso.shrink_norm(Y0, np.nan), "tau: .*nan"),
]


@pytest.mark.parametrize(("call", "message"), WRONG, ids=[message for _, message in WRONG])
def test_bad_input(call, message):
    with pytest.raises(ValueError, match="^" + message):
        call()


def test_it_does_not_trace():
    with pytest.raises(TypeError, match=r"^y: .*traced"):
        jax.jit(lambda y: lasso.lasso(X0, y, 0.1).b)(Y0)
