r"""Logistic regression on absorbed data z_i = y_i x_i with weights p_i > 0, sum p_i = 1.

L(w) = sum_i p_i log(1 + exp(-w.z_i)), with sigma(s) = 1 / (1 + exp(-s)). A feature may be the
constant 1 (an intercept). `loss`, `gradient`, `hessian` and `absorb` are JAX functions; the rest
computes in NumPy float64 whatever comes in, and cannot be traced.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from numpy.typing import NDArray
from scipy.optimize import linprog, minimize_scalar  # type: ignore[import-untyped]
from scipy.special import expit  # type: ignore[import-untyped]

from optdyn import arguments

Floats = NDArray[np.float64]


def absorb(X: ArrayLike, y: ArrayLike, *, intercept: bool = False) -> Array:
    """Absorb labels into the features: z_i = y_i x_i, or y_i (x_i, 1) with an intercept.

    Args:
        X: features, shape (n, d) or (n,).
        y: labels, shape (n,), in {-1, 1}; {0, 1} is converted.
        intercept: whether a constant feature 1 is appended as last column.

    Returns: z, shape (n, d) or (n,); (n, d + 1) with an intercept.
    Raises: TypeError or ValueError naming X or y.
    Source: the usual reduction; see chapters/cycles.

    >>> print(absorb([[2.0], [3.0]], [0, 1], intercept=True))
    [[-2. -1.]
     [ 3.  1.]]
    """
    features, labels = arguments.real("X", X), arguments.real("y", y)
    if features.ndim not in (1, 2) or features.size == 0:
        raise ValueError(
            f"X: got shape {features.shape}, (n, d) or (n,) with n and d at least 1 is needed; "
            f"put one observation in each row."
        )
    if labels.shape != features.shape[:1]:
        raise ValueError(
            f"y: got shape {labels.shape}, {features.shape[:1]} is needed, one label for each row "
            f"of X; check that no row was dropped from one of them."
        )
    if not arguments.is_traced(labels):
        found = np.unique(labels)
        if not (np.isin(found, (-1, 1)).all() or np.isin(found, (0, 1)).all()):
            raise ValueError(
                f"y: got labels {found[:5].tolist()}, all must be in {{-1, 1}} or all in {{0, 1}}; "
                f"map one class to 1 and the other to -1."
            )
    dtype = arguments.precision(X)
    features = jnp.asarray(features, dtype)
    if intercept:
        columns = features.reshape(labels.size, -1)
        features = jnp.concatenate([columns, jnp.ones_like(columns[:, :1])], axis=1)
    sign = jnp.where(jnp.asarray(labels) > 0, 1, -1).astype(dtype)
    return sign * features if features.ndim == 1 else sign[:, None] * features


def _ready(w: Any, z: Any, weights: Any) -> tuple[Array, Array, Array]:
    points, p = arguments.data(z, weights)
    start = arguments.start("w", w, points, finite=False)
    dtype = arguments.precision(w, z)
    return jnp.asarray(start, dtype), jnp.asarray(points, dtype), jnp.asarray(p, dtype)


def margins(w: Array, z: Array) -> Array:
    """Margins m_i = w.z_i, shape (n,), of a point w, shape () or (d,); nothing is checked.

    >>> print(margins(jnp.asarray(2.0), jnp.array([1.0, -1.0])))
    [ 2. -2.]
    """
    return z * w if z.ndim == 1 else jnp.matmul(z, w, precision="highest")


@jax.jit
def _loss(w: Array, z: Array, p: Array) -> Array:
    return jnp.sum(p * jax.nn.softplus(-margins(w, z)))


@jax.jit
def slope(w: Array, z: Array, p: Array) -> Array:
    """The gradient for weights p that sum to one; nothing is checked. See `gradient`.

    >>> print(slope(jnp.asarray(0.0), jnp.array([1.0, -3.0]), jnp.array([0.5, 0.5])))
    0.5
    """
    return -jnp.matmul(p * jax.nn.sigmoid(-margins(w, z)), z, precision="highest")


@jax.jit
def _hessian(w: Array, z: Array, p: Array) -> Array:
    m = margins(w, z)
    curvature = p * jax.nn.sigmoid(m) * jax.nn.sigmoid(-m)
    return jnp.matmul(z.T * curvature, z, precision="highest")


def loss(w: ArrayLike, z: ArrayLike, weights: ArrayLike | None = None) -> Array:
    """Logistic loss L(w) = sum_i p_i log(1 + exp(-w.z_i)).

    Args:
        w: a point, shape () for z of shape (n,), (d,) for (n, d).
        z: absorbed data, shape (n,) or (n, d).
        weights: shape (n,), positive, zero pads, normalised inside; default equal.

    Returns: a scalar, in nats. Works under jit, vmap and grad.
    Raises: TypeError or ValueError naming the argument.
    Source: Meng et al., arXiv 2406.05033 (setting).

    >>> print(f"{loss(0.0, [1.0, -1.0]):.6f}")
    0.693147
    """
    value: Array = _loss(*_ready(w, z, weights))
    return value


def gradient(w: ArrayLike, z: ArrayLike, weights: ArrayLike | None = None) -> Array:
    """Gradient of the loss, -sum_i p_i z_i sigma(-w.z_i).

    Args, raises: as `loss`.
    Returns: an array of the shape of w. Works under jit, vmap and grad.
    Source: derived in chapters/cycles.

    >>> print(gradient(0.0, [1.0, -3.0]))
    0.5
    """
    value: Array = slope(*_ready(w, z, weights))
    return value


def hessian(w: ArrayLike, z: ArrayLike, weights: ArrayLike | None = None) -> Array:
    """Hessian of the loss, sum_i p_i z_i z_i^T sigma(m_i) sigma(-m_i) with m_i = w.z_i.

    Args, raises: as `loss`.
    Returns: shape () for z of shape (n,), (d, d) for (n, d). Works under jit, vmap and grad.
    Source: derived in chapters/cycles.

    >>> print(hessian(0.0, [1.0, -3.0]))
    1.25
    """
    value: Array = _hessian(*_ready(w, z, weights))
    return value


def _separating_direction(z: Floats) -> tuple[Floats | None, bool, int]:
    """A unit w with w.z_i >= 0 for all i and > 0 for some, or None; if > 0 for all; the rank of z.

    Two linear programmes, max sum_i w.z_i and max min_i w.z_i, both subject to w.z_i >= 0, are
    solved for rows of unit length in orthonormal coordinates, which changes no answer but makes the
    solver's tolerance a small angle.
    """
    columns = np.abs(z).max(axis=0)
    columns[columns == 0] = 1.0
    rows = (z / columns)[np.any(z != 0, axis=1)]
    if not len(rows):
        return None, False, 0
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    _, scales, axes = np.linalg.svd(rows, full_matrices=False)
    rank = int(np.sum(scales > scales[0] * max(rows.shape) * np.finfo(float).eps))
    to_rows = axes[:rank].T / scales[:rank]
    rows = rows @ to_rows
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)

    def largest(gain: Floats, share: float) -> Floats:
        """max gain.(w, t) subject to w.z_i >= share * t >= 0."""
        sides = -np.column_stack([rows, np.full(len(rows), -share)])
        bounds = [(-1, 1)] * rank + [(0, 1)]
        tight = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}
        answer = linprog(-gain, sides, np.zeros(len(rows)), bounds=bounds, options=tight)
        if answer.status != 0:
            raise ValueError(f"z: the linear programme ended with {answer.message!r}; rescale z.")
        return np.asarray(answer.x)

    w = largest(np.append(rows.sum(axis=0), 0.0), 0.0)[:-1]
    if (rows @ w).max() < 1e-7:
        return None, False, rank
    *inner, least = largest(np.append(np.zeros(rank), 1.0), 1.0)
    direction = to_rows @ (inner if least > 1e-7 else w) / columns
    strict = len(rows) == len(z) and bool(least > 1e-7)
    return direction / np.linalg.norm(direction), strict, rank


def is_separable(z: ArrayLike) -> bool:
    """Whether some w has w.z_i >= 0 for all i and w.z_i > 0 for some i.

    True for strictly separable data (all w.z_i > 0) and for quasi-separable data (some are zero):
    in both the loss has no minimiser. False otherwise: a minimiser exists, and it is unique iff the
    rows of z span R^d. In one dimension the test is of signs; beyond it is a linear programme,
    which resolves angles down to about 1e-7.

    Args: z, absorbed data, shape (n, d) or (n,).
    Raises: TypeError or ValueError naming z; TypeError if it is traced.
    Source: Albert and Anderson, Biometrika 71 (1984).

    >>> is_separable([1.0, 2.0, -0.1]), is_separable([[1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    (False, True)
    """
    rows, _ = arguments.host_data(z)
    if rows.ndim == 1 or rows.shape[1] == 1:
        return bool(np.any(rows != 0) and (np.all(rows >= 0) or np.all(rows <= 0)))
    return _separating_direction(rows)[0] is not None


def _refuse_separable(z: Floats) -> None:
    if z.ndim == 1 or z.shape[1] == 1:
        signs = set(np.sign(z).ravel())
        rank, strict = int(signs != {0.0}), 0.0 not in signs
        direction = np.array([sum(signs)]) if rank and not {-1.0, 1.0} <= signs else None
    else:
        direction, strict, rank = _separating_direction(z)
    if direction is not None:
        kind = "separable" if strict else "quasi-separable"
        raise ValueError(
            f"z: got {kind} data, w.z_i >= 0 for all i along w = "
            f"{np.round(direction, 6).tolist()}, so the loss has no minimiser; overlapping classes "
            f"are needed, so add observations, flip a label or drop a feature."
        )
    d = 1 if z.ndim == 1 else z.shape[1]
    if rank < d:
        raise ValueError(
            f"z: got rows that span {rank} of {d} dimensions, so the minimiser is not unique; "
            f"independent features are needed, so drop the redundant or constant-zero ones."
        )


def slope_inverse(force: Floats, z: Floats, p: Floats) -> Floats:
    """W(F) with L'(W(F)) = F in one dimension: Newton's method kept inside a bracket.

    Args: force, any shape, inside (-b, sum_i p_i |z_i| - b) with b = sum_{z_i > 0} p_i z_i; z and
        p, shape (n,). Nothing is checked.
    Returns: an array of the shape of force.
    Source: derived in chapters/cycles; the safeguard is that of Press et al., rtsafe.

    >>> slope_inverse(np.array([0.0]), np.array([1.0, -1.0]), np.array([0.5, 0.5]))
    array([0.])
    """

    def slopes(u: Floats) -> Floats:
        value: Floats = -expit(-u[..., None] * z) @ (p * z)
        return value

    high = np.full(np.shape(force), 1.0 / np.abs(z).max())
    while (short := slopes(high) < force).any():
        high[short] *= 2.0
    low = np.full(np.shape(force), -1.0 / np.abs(z).max())
    while (short := slopes(low) > force).any():
        low[short] *= 2.0
    u, move, before = np.zeros_like(high), high - low, high - low
    for _ in range(300):
        m = u[..., None] * z
        sigma = expit(-m)
        error = -sigma @ (p * z) - force
        low, high = np.where(error <= 0, u, low), np.where(error >= 0, u, high)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            newton = u - error / ((sigma * expit(m)) @ (p * z * z))
        keep = (low <= newton) & (newton <= high) & (2 * np.abs(newton - u) <= np.abs(before))
        new = np.where(keep, newton, 0.5 * (low + high))
        before, move, u = move, new - u, new
        if np.all(np.abs(move) <= 4e-16 * np.abs(u)):
            break
    return u


def minimizer(z: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    """The minimiser w* of the loss: grad L(w*) = 0, by Newton's method with backtracking.

    Args:
        z: absorbed data, shape (n, d) or (n,).
        weights: shape (n,), positive, zero pads, normalised inside; default equal.

    Returns: w*, shape (d,) or (), float64 whatever comes in.
    Raises: ValueError if the data are separable (the message names a direction along which the loss
        falls for ever) or if they do not span R^d; TypeError if an argument is traced.
    Source: Albert and Anderson, Biometrika 71 (1984), for existence.

    >>> print(minimizer([1.0, -1.0], [3, 1]) / np.log(3))
    1.0
    """
    rows, p = arguments.host_data(z, weights)
    _refuse_separable(rows)
    if rows.ndim == 1:
        return slope_inverse(np.zeros(()), rows, p)
    columns = np.abs(rows).max(axis=0)
    rows = rows / columns

    def losses(w: Floats) -> float:
        return float(p @ np.logaddexp(0.0, -(rows @ w)))

    w = np.zeros(rows.shape[1])
    for _ in range(500):
        m = rows @ w
        sigma = expit(-m)
        downhill = (p * sigma) @ rows
        step = np.linalg.lstsq((rows.T * (p * sigma * expit(m))) @ rows, downhill)[0]
        decrement, t = float(downhill @ step), 1.0
        while decrement > 1e-10 and losses(w + t * step) > losses(w) - 0.25 * t * decrement:
            t /= 2
        w = w + t * step
        if decrement < 1e-20:
            return np.asarray(w / columns)
    raise ValueError(
        f"z: got data so nearly separable that Newton's method stops at {(w / columns).tolist()}, "
        f"a minimiser at moderate distance is needed; add observations or drop a feature."
    )


def _top(z: Floats, p: Floats, w: Floats) -> tuple[Floats, Floats, Floats]:
    """Eigenvalues, eigenvectors and the matrix of the Hessian at w; z (n, d)."""
    m = z @ w
    matrix = (z.T * (p * expit(m) * expit(-m))) @ z
    values, vectors = np.linalg.eigh(matrix)
    return values, vectors, matrix


def critical_step_size(z: ArrayLike, weights: ArrayLike | None = None) -> float:
    """The step size 2 / lambda beyond which gradient descent no longer converges to w*.

    lambda is the largest eigenvalue of the Hessian at the minimiser w*.

    Args, raises: as `minimizer`.
    Returns: a float, in units of w^2 / loss.
    Source: Meng et al., arXiv 2406.05033, abstract.

    >>> round(critical_step_size([1.0, -1.0], [3, 1]) * 3 / 16, 12)
    2.0
    """
    rows, p = arguments.host_data(z, weights)
    w = minimizer(rows, p)
    rows = rows.reshape(len(rows), -1)
    return 2.0 / float(_top(rows, p, w.reshape(-1))[0][-1])


def max_force(z: ArrayLike, weights: ArrayLike | None = None) -> float:
    """The end of the range (0, Fmax) of the forces F that two-cycles exert, in one dimension.

    Fmax = min(b, sum_i p_i |z_i| - b) with b = sum_{z_i > 0} p_i z_i: L' takes all values in
    (-b, sum_i p_i |z_i| - b), and a two-cycle needs F and -F.

    Args: z, shape (n,) or (n, 1); weights as in `loss`.
    Raises: as `minimizer`; ValueError for more than one dimension.
    Source: derived in chapters/cycles.

    >>> max_force([1.0, 1.0, -1.0, 10.0])
    0.25
    """
    rows, p = arguments.host_data(z, weights)
    rows = arguments.line(rows)
    _refuse_separable(rows)
    return float(min(p @ np.maximum(rows, 0.0), p @ np.maximum(-rows, 0.0)))


def global_step_size(z: ArrayLike, weights: ArrayLike | None = None) -> float:
    """The step size below which gradient descent converges from every start, in one dimension.

    min(2 / lambda, min_F eta(F)) with eta(F) = (W(F) - W(-F)) / F, the step size of the two-cycle
    of force F, and W the inverse of L': an interval map without two-cycles sends every orbit to a
    fixed point (Coppel).

    Args: z, shape (n,) or (n, 1); weights as in `loss`.
    Returns: a float, at most `critical_step_size`.
    Raises: as `minimizer`; ValueError for more than one dimension.
    Source: derived in chapters/cycles; Coppel, Proc. Camb. Phil. Soc. 51 (1955).

    >>> flagship = [1.0, 1.0, -1.0, 10.0]
    >>> print(f"{2 * global_step_size(flagship) / critical_step_size(flagship):.12f}")
    1.859879397173
    """
    rows, p = arguments.host_data(z, weights)
    rows = arguments.line(rows)
    top = max_force(rows, p)

    def step_size(force: Floats) -> Floats:
        ends = slope_inverse(np.array([force, -force]), rows, p)
        value: Floats = (ends[0] - ends[1]) / force
        return value

    near, far = np.geomspace(1e-3, 0.02, 100), np.linspace(0.02, 0.999, 700)
    forces = top * np.concatenate([near[:-1], far])
    curve = step_size(forces)
    tolerance = {"xatol": 1e-9 * top}
    best = critical_step_size(z, weights)
    dips = 1 + np.flatnonzero((curve[1:-1] <= curve[:-2]) & (curve[1:-1] <= curve[2:]))
    for i in dips[curve[dips] < min(best, 1.001 * curve.min())]:
        bounds = (forces[i - 1], forces[i + 1])
        dip = minimize_scalar(step_size, bounds=bounds, method="bounded", options=tolerance)
        best = min(best, float(dip.fun))
    return best


def flip_coefficient(z: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Normal-form coefficient c of the period doubling at the critical step size.

    c = (3 T.H^{-1}T - Q) / (3 lambda), with v the top unit eigenvector of H = H(w*), m_i = w*.z_i,
    T = sum_i p_i (z_i.v)^2 sigma''(m_i) z_i, Q = sum_i p_i (z_i.v)^4 sigma'''(m_i). On the centre
    manifold, x -> -(1 + e) x + c x^3, with e = step_size * lambda - 2: for c > 0 a stable two-cycle
    w* +- sqrt(e / c) v is born (supercritical), for c < 0 an unstable one dies.

    Args, raises: as `minimizer`; also ValueError if the top eigenvalue is not simple.
    Returns: a float, in units of 1 / w^2.
    Source: Kuznetsov, Elements of Applied Bifurcation Theory, section 5.4; chapters/cycles.

    >>> round(flip_coefficient([1.0, -1.0], [3, 1]), 12) == round(2 / 3 - 2 * 3 / 16, 12)
    True
    """
    rows, p = arguments.host_data(z, weights)
    w = minimizer(rows, p).reshape(-1)
    rows = rows.reshape(len(rows), -1)
    values, vectors, matrix = _top(rows, p, w)
    if len(values) > 1 and values[-1] - values[-2] < 1e-8 * values[-1]:
        raise ValueError(
            f"z: got a Hessian at the minimiser with top eigenvalues {values[-2]} and "
            f"{values[-1]}, a simple one is needed; break the symmetry of the data."
        )
    sigma, rest = expit(rows @ w), expit(-(rows @ w))
    along, first = rows @ vectors[:, -1], p * sigma * rest
    third = (first * (rest - sigma) * along**2) @ rows
    fourth = float(np.sum(first * (1 - 6 * sigma * rest) * along**4))
    return float((3 * third @ np.linalg.solve(matrix, third) - fourth) / (3 * values[-1]))
