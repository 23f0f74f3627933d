"""Reference solutions of the convex problems that noise solves implicitly.

All functions compute on the host in NumPy float64. The solvers say how far the optimality
conditions are violated, so that nobody has to trust them.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from optdyn import arguments

Floats = NDArray[np.float64]
SWEEPS = 100_000  # over the coordinates, at most
POLISH_EVERY = 20  # sweeps between two attempts to solve for all non-zero coordinates at once


class Solution(NamedTuple):
    """A minimiser b, shape (d,), and the largest violation of the optimality conditions.

    residual: in units of the objective's gradient; where b_j is not 0, the size of the derivative
    in b_j; where it is 0, by how much the best one-sided derivative is negative.
    """

    b: Floats
    residual: float


def nonnegative_lasso(
    X: ArrayLike, y: ArrayLike, penalty: ArrayLike, *, shift: ArrayLike = 0.0
) -> Solution:
    """The lasso over b >= 0, which Anti-PGD solves on `landscapes.quadratic_regression`.

    min over b >= 0 of |X (b + shift) - y|^2 / (4 n) + sum_j penalty_j b_j.

    Args:
        X: shape (n, d).
        y: shape (n,).
        penalty: not negative, shape () or (d,).
        shift: added to b in the fit, shape () or (d,).

    Returns: Solution(b (d,), residual); residual is about 1e-15 where the solution is unique. [h]
    Raises: TypeError or ValueError naming the argument.
    Source: Tibshirani (1996) for the lasso; coordinate descent, then a solve for the support.

    >>> nonnegative_lasso([[1.0, 0.0], [0.0, 1.0]], [3.0, -1.0], 0.25).b
    array([2., 0.])
    """
    features, target, each = _data(X, y, penalty)
    moved = _one_each("shift", shift, features.shape[1])
    return _solve(features, target - features @ moved, each, signed=False)


def lasso(X: ArrayLike, y: ArrayLike, penalty: ArrayLike) -> Solution:
    """The lasso, which noise before the gradient solves on `landscapes.diagonal_network`.

    min over b of |X b - y|^2 / (4 n) + sum_j penalty_j |b_j|.

    Args:
        X: shape (n, d).
        y: shape (n,).
        penalty: not negative, shape () or (d,).

    Returns: Solution(b (d,), residual); residual is about 1e-15 where the solution is unique. [h]
    Raises: TypeError or ValueError naming the argument.
    Source: Tibshirani (1996) for the lasso; coordinate descent, then a solve for the support.

    >>> lasso([[1.0, 0.0], [0.0, 1.0]], [3.0, -2.0], 0.25).b
    array([ 2., -1.])
    """
    return _solve(*_data(X, y, penalty), signed=True)


def shrink_singular_values(A: ArrayLike, tau: float) -> Floats:
    """A with every singular value lowered by tau, down to 0 at the least.

    argmin over M of |M - A|_F^2 / 2 + tau |M|_*, the nuclear norm.

    Args: A, shape (m, n); tau, 0 or more.
    Returns: shape (m, n). [h]
    Raises: TypeError or ValueError naming the argument.
    Source: Cai, Candes and Shen, SIAM Journal on Optimization 20 (2010).

    >>> shrink_singular_values([[3.0, 0.0], [0.0, 1.0]], 2.0)
    array([[1., 0.],
           [0., 0.]])
    """
    matrix = _host("A", A)
    if matrix.ndim != 2 or matrix.size == 0:
        raise ValueError(f"A: got shape {matrix.shape}, (m, n) is needed; pass one matrix.")
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    shrunk: Floats = (left * np.maximum(values - _threshold(tau), 0)) @ right
    return shrunk


def shrink_norm(b: ArrayLike, tau: float) -> Floats:
    """A vector made shorter by tau, down to 0 at the least: the group's soft threshold.

    argmin over c of |c - b|^2 / 2 + tau |c|.

    Args: b, any shape, one group; tau, 0 or more.
    Returns: an array like b. [h]
    Raises: TypeError or ValueError naming the argument.
    Source: Yuan and Lin, Journal of the Royal Statistical Society B 68 (2006).

    >>> shrink_norm([3.0, 4.0], 2.5)
    array([1.5, 2. ])
    """
    vector, length = _host("b", b), _threshold(tau)
    norm = float(np.linalg.norm(vector))
    shrunk: Floats = vector * (max(norm - length, 0.0) / norm if norm > 0 else 0.0)
    return shrunk


def _solve(X: Floats, y: Floats, penalty: Floats, *, signed: bool) -> Solution:
    """Coordinate descent on b'Gb/2 - c'b + sum_j penalty_j |b_j|, G = X'X/(2n), c = X'y/(2n)."""
    G, c = X.T @ X / (2 * len(y)), X.T @ y / (2 * len(y))
    curvature = np.diag(G).copy()
    b = np.zeros(len(c))
    enough = 1e-14 * max(float(np.abs(c).max()), float(penalty.max()))
    best = Solution(b.copy(), _violation(G, c, penalty, b, signed))
    for sweep in range(1, SWEEPS + 1):
        if best.residual <= enough:
            break
        pull = c - G @ b
        moved = 0.0
        for j in np.flatnonzero(curvature > 0):
            whole = pull[j] + curvature[j] * b[j]
            size = max(abs(whole) - penalty[j], 0.0) / curvature[j]
            new = np.copysign(size, whole) if signed or whole > 0 else 0.0
            if new != b[j]:
                pull -= G[j] * (new - b[j])
                moved = max(moved, abs(new - b[j]))
                b[j] = new
        stands = moved <= 1e-16 * float(np.abs(b).max())
        if sweep % POLISH_EVERY == 0 or stands:
            for candidate in (b.copy(), _polished(G, c, penalty, b, signed)):
                residual = _violation(G, c, penalty, candidate, signed)
                if residual < best.residual:
                    best = Solution(candidate, residual)
        if stands:
            break
    return best


def _polished(G: Floats, c: Floats, penalty: Floats, b: Floats, signed: bool) -> Floats:
    """The stationary point with the signs of b, where it exists; a sign that changes becomes 0."""
    support = np.flatnonzero(b)
    signs = np.sign(b[support])
    right = c[support] - penalty[support] * signs
    values = np.linalg.lstsq(G[np.ix_(support, support)], right, rcond=None)[0]
    polished = np.zeros_like(b)
    polished[support] = np.where(values * signs > 0, values, 0.0)
    return polished


def _violation(G: Floats, c: Floats, penalty: Floats, b: Floats, signed: bool) -> float:
    slope = G @ b - c
    at_zero = np.abs(slope) - penalty if signed else -slope - penalty
    away = np.abs(slope + penalty * np.sign(b))
    return float(np.max(np.where(b == 0, np.maximum(at_zero, 0), away)))


def _host(name: str, value: Any) -> Floats:
    arguments.not_traced(**{name: value})
    return np.asarray(arguments.real(name, value), np.float64)


def _threshold(tau: Any) -> float:
    arguments.not_traced(tau=tau)
    return arguments.tolerance("tau", tau)


def _one_each(name: str, value: Any, d: int) -> Floats:
    number = _host(name, value)
    if number.shape not in ((), (d,)):
        raise ValueError(
            f"{name}: got shape {number.shape}, () or ({d},) is needed; "
            f"pass one number, or one for each column of X."
        )
    return np.broadcast_to(number, (d,))


def _data(X: Any, y: Any, penalty: Any) -> tuple[Floats, Floats, Floats]:
    features, target = _host("X", X), _host("y", y)
    if features.ndim != 2 or features.size == 0:
        raise ValueError(
            f"X: got shape {features.shape}, (n, d) with n and d at least 1 is needed; "
            f"put one observation in each row."
        )
    if target.shape != features.shape[:1]:
        raise ValueError(
            f"y: got shape {target.shape}, ({len(features)},) is needed; "
            f"pass one target for each row of X."
        )
    each = _one_each("penalty", penalty, features.shape[1])
    if (each < 0).any():
        raise ValueError(
            f"penalty: got {each.min()}, 0 or more is needed, or there is no minimum; "
            f"change its sign."
        )
    return features, target, each
