"""Losses whose gradient, Hessian trace and smoothed loss are known in closed form.

Each constructor returns an `Objective`: four functions of one point w. Where there are data, they
are `jax.tree_util.Partial` over them: to `jax.jit` the data are arguments, so that other data of
the same shape do not recompile. Noise of standard deviation sigma in every coordinate turns the
loss into the smoothed loss E loss(w + xi), to second order loss + sigma^2 / 2 * tr Hessian.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.tree_util import Partial
from jax.typing import ArrayLike

from optdyn import arguments
from optdyn.descent import as_pytree
from optdyn.noise import white_noise


class Objective(NamedTuple):
    """A loss and what follows from it, functions of one point w (smoothed_loss: of w and sigma).

    smoothed_loss(w, sigma) = E loss(w + xi), xi ~ N(0, sigma^2 I).
    """

    loss: Callable[[Any], Array]
    gradient: Callable[[Any], Array]
    hessian_trace: Callable[[Any], Array]
    smoothed_loss: Callable[[Any, Any], Array]


def widening_valley() -> Objective:
    """A valley along u whose floor v = 0 is the flatter the smaller |u|.

    loss(w) = v^2 |u|^2 / 2, w = (u_1, ..., u_d, v); tr Hessian = d v^2 + |u|^2;
    smoothed_loss = (v^2 + sigma^2) (|u|^2 + d sigma^2) / 2.

    Returns: an Objective of points w of shape (d + 1,), d at least 1. [t]
    Raises: its functions raise ValueError if w has another number of axes.
    Source: Orvieto et al., arXiv 2202.02831, section 3; the smoothed loss is derived here.

    >>> valley = widening_valley()
    >>> valley.gradient(jnp.array([3.0, 4.0, 2.0])).tolist()
    [12.0, 16.0, 50.0]
    >>> float(valley.hessian_trace(jnp.array([3.0, 4.0, 2.0])))
    33.0
    """
    return Objective(_valley_loss, _valley_gradient, _valley_trace, _valley_smoothed)


def _valley(w: Any) -> tuple[Array, Array]:
    """u, and v of shape (1,)."""
    w = jnp.asarray(w)
    if w.ndim != 1 or len(w) < 2:
        raise ValueError(
            f"w: got shape {w.shape}, (d + 1,) with d at least 1 is needed: u_1 .. u_d, then v; "
            f"map over several points with jax.vmap."
        )
    return w[:-1], w[-1:]


def _valley_loss(w: Any) -> Array:
    u, v = _valley(w)
    return 0.5 * v[0] ** 2 * jnp.sum(u * u)


def _valley_gradient(w: Any) -> Array:
    u, v = _valley(w)
    both: Array = jnp.asarray(w)
    # A choice of whole terms, not a concatenation: on a CPU the loop over time is the faster.
    along = jnp.arange(len(u) + 1) < len(u)
    square = jnp.sum(jnp.where(along, both * both, 0))
    return jnp.where(along, v * v * both, v * square)


def _valley_trace(w: Any) -> Array:
    u, v = _valley(w)
    return len(u) * v[0] ** 2 + jnp.sum(u * u)


def _valley_smoothed(w: Any, sigma: Array) -> Array:
    u, v = _valley(w)
    return 0.5 * (v[0] ** 2 + sigma**2) * (jnp.sum(u * u) + len(u) * sigma**2)


def quadratic(matrix: ArrayLike) -> Objective:
    """A quadratic form; of a matrix that is not symmetric only the symmetric part matters.

    loss(w) = w' A w / 2; tr Hessian = tr A; smoothed_loss = loss + sigma^2 / 2 * tr A.

    Args: matrix, shape (d, d) for points of shape (d,), or () for scalar points.
    Returns: an Objective of points w of shape (d,) or (). [t]
    Raises: TypeError or ValueError naming the argument.
    Source: none; a definition.

    >>> bowl = quadratic([[2.0, 0.0], [0.0, 1.0]])
    >>> bowl.gradient(jnp.array([1.0, 3.0])).tolist()
    [2.0, 3.0]
    >>> float(bowl.smoothed_loss(jnp.array([1.0, 3.0]), 2.0))
    11.5
    """
    a = _floats("matrix", matrix)
    if not (a.ndim == 0 or (a.ndim == 2 and a.shape[0] == a.shape[1] > 0)):
        raise ValueError(
            f"matrix: got shape {a.shape}, (d, d) or () is needed; "
            f"write numpy.diag(...) for a vector of curvatures."
        )
    return _with_data(
        [_quadratic_loss, _quadratic_gradient, _quadratic_trace, _quadratic_smoothed],
        0.5 * (a + a.T),
    )


def _quadratic_loss(a: Array, w: Any) -> Array:
    return 0.5 * jnp.vdot(w, _quadratic_gradient(a, w), precision="highest")


def _quadratic_gradient(a: Array, w: Any) -> Array:
    w = _point(w, a.shape[1:])
    return a * w if a.ndim == 0 else jnp.matmul(a, w, precision="highest")


def _quadratic_trace(a: Array, w: Any) -> Array:
    _point(w, a.shape[1:])
    return a if a.ndim == 0 else jnp.trace(a)


def _quadratic_smoothed(a: Array, w: Any, sigma: Array) -> Array:
    return _quadratic_loss(a, w) + 0.5 * sigma**2 * _quadratic_trace(a, w)


def quadratic_regression(X: ArrayLike, y: ArrayLike) -> Objective:
    """Linear regression on the squares of the weights: flat minima are sparse.

    loss(w) = |r|^2 / (4 n), r = X (w * w) - y;
    tr Hessian = sum_j ((X' r)_j + 2 |X_j|^2 w_j^2) / n;
    smoothed_loss = (|r + sigma^2 X 1|^2 + sum_j |X_j|^2 (4 sigma^2 w_j^2 + 2 sigma^4)) / (4 n).

    Args: X, shape (n, d); y, shape (n,).
    Returns: an Objective of points w of shape (d,). [t]
    Raises: TypeError or ValueError naming the argument.
    Source: the model is that of Orvieto et al., arXiv 2202.02831; the formulas are derived here.

    >>> model = quadratic_regression([[1.0, 2.0]], [5.0])
    >>> model.gradient(jnp.array([1.0, 1.0])).tolist()
    [-2.0, -4.0]
    """
    return _with_data(
        [_regression_loss, _regression_gradient, _regression_trace, _regression_smoothed],
        *_checked(X, y),
    )


def _regression_loss(X: Array, y: Array, w: Any) -> Array:
    w = _point(w, X.shape[1:])
    r = jnp.matmul(X, w * w, precision="highest") - y
    return jnp.sum(r * r) / (4 * len(y))


def _regression_gradient(X: Array, y: Array, w: Any) -> Array:
    w = _point(w, X.shape[1:])
    return jnp.multiply(w, _pull(X, y, w * w))


def _regression_trace(X: Array, y: Array, w: Any) -> Array:
    w = _point(w, X.shape[1:])
    columns = jnp.sum(X * X, axis=0)
    return jnp.sum(_pull(X, y, w * w)) + 2 * jnp.sum(columns * w * w) / len(y)


def _regression_smoothed(X: Array, y: Array, w: Any, sigma: Array) -> Array:
    w = _point(w, X.shape[1:])
    r = jnp.matmul(X, w * w + sigma**2, precision="highest") - y
    spread = jnp.sum(X * X, axis=0) * (4 * sigma**2 * w * w + 2 * sigma**4)
    return (jnp.sum(r * r) + jnp.sum(spread)) / (4 * len(y))


def diagonal_network(X: ArrayLike, y: ArrayLike) -> Objective:
    """Linear regression on a difference of squares: flat minima are sparse, with signs.

    loss(w) = |r|^2 / (4 n), r = X (u * u - v * v) - y, w = (u, v);
    tr Hessian = 2 sum_j |X_j|^2 (u_j^2 + v_j^2) / n;
    smoothed_loss = (|r|^2 + 4 sum_j |X_j|^2 (sigma^2 (u_j^2 + v_j^2) + sigma^4)) / (4 n).

    Args: X, shape (n, d); y, shape (n,).
    Returns: an Objective of points w of shape (2, d). [t]
    Raises: TypeError or ValueError naming the argument.
    Source: Orvieto et al., arXiv 2206.04613, for the model; the formulas are derived here.

    >>> model = diagonal_network([[1.0, 2.0]], [5.0])
    >>> model.gradient(jnp.array([[1.0, 1.0], [0.0, 1.0]])).tolist()
    [[-4.0, -8.0], [0.0, 8.0]]
    """
    return _with_data(
        [_network_loss, _network_gradient, _network_trace, _network_smoothed], *_checked(X, y)
    )


def _network_loss(X: Array, y: Array, w: Any) -> Array:
    u, v = _point(w, (2, X.shape[1]))
    r = jnp.matmul(X, u * u - v * v, precision="highest") - y
    return jnp.sum(r * r) / (4 * len(y))


def _network_gradient(X: Array, y: Array, w: Any) -> Array:
    u, v = _point(w, (2, X.shape[1]))
    pull = _pull(X, y, u * u - v * v)
    return jnp.stack([u * pull, -v * pull])


def _network_trace(X: Array, y: Array, w: Any) -> Array:
    u, v = _point(w, (2, X.shape[1]))
    return 2 * jnp.sum(jnp.sum(X * X, axis=0) * (u * u + v * v)) / len(y)


def _network_smoothed(X: Array, y: Array, w: Any, sigma: Array) -> Array:
    trace = _network_trace(X, y, w)
    rest = sigma**4 * jnp.sum(X * X) / len(y)
    return _network_loss(X, y, w) + 0.5 * sigma**2 * trace + rest


def matrix_sensing(A: ArrayLike, y: ArrayLike) -> Objective:
    """A matrix U U' seen through linear measurements: flat minima have a small nuclear norm.

    loss(U) = sum_i r_i^2 / (4 m), r_i = <A_i, U U'> - y_i;
    tr Hessian = sum_i (k r_i tr A_i + 2 |A_i U|^2) / m;
    smoothed_loss = sum_i ((r_i + k s tr A_i)^2 + 4 s |A_i U|^2 + 2 k s^2 |A_i|^2) / (4 m),
    s = sigma^2, with Frobenius norms.

    Args: A, shape (m, d, d), each A_i symmetric; y, shape (m,).
    Returns: an Objective of points U of shape (d, k), any k. [t]
    Raises: TypeError or ValueError naming the argument.
    Source: the model is that of Orvieto et al., arXiv 2202.02831; the formulas are derived here.

    >>> model = matrix_sensing([[[1.0, 0.0], [0.0, 2.0]]], [1.0])
    >>> model.gradient(jnp.array([[1.0], [1.0]])).tolist()
    [[2.0], [4.0]]
    """
    a, target = _floats("A", A), _floats("y", y)
    if a.ndim != 3 or a.shape[1] != a.shape[2] or a.size == 0:
        raise ValueError(
            f"A: got shape {a.shape}, (m, d, d) is needed; stack the measuring matrices."
        )
    if not arguments.is_traced(a) and not np.array_equal(a, np.swapaxes(a, 1, 2)):
        raise ValueError(
            "A: got a matrix that is not symmetric, all must be; pass (A + A.swapaxes(1, 2)) / 2, "
            "which measures U U' alike."
        )
    _check_targets(target, len(a), "A")
    return _with_data(
        [_sensing_loss, _sensing_gradient, _sensing_trace, _sensing_smoothed], a, target
    )


def _sensing_residuals(A: Array, y: Array, w: Any) -> Array:
    w = jnp.asarray(w)
    if w.ndim != 2 or len(w) != A.shape[1]:
        raise ValueError(
            f"w: got shape {w.shape}, ({A.shape[1]}, k) is needed; "
            f"map over several points with jax.vmap."
        )
    seen = jnp.matmul(w, w.T, precision="highest")
    return jnp.tensordot(A, seen, axes=2, precision="highest") - y


def _sensing_loss(A: Array, y: Array, w: Any) -> Array:
    r = _sensing_residuals(A, y, w)
    return jnp.sum(r * r) / (4 * len(y))


def _sensing_gradient(A: Array, y: Array, w: Any) -> Array:
    r = _sensing_residuals(A, y, w)
    pull = jnp.tensordot(r, A, axes=1, precision="highest")
    return jnp.matmul(pull, jnp.asarray(w), precision="highest") / len(y)


def _sensing_products(A: Array, w: Any) -> Array:
    """sum_i |A_i U|^2."""
    products = jnp.einsum("ijl,lk->ijk", A, jnp.asarray(w), precision="highest")
    return jnp.sum(products * products)


def _sensing_trace(A: Array, y: Array, w: Any) -> Array:
    r = _sensing_residuals(A, y, w)
    traces = jnp.trace(A, axis1=1, axis2=2)
    both = jnp.shape(w)[1] * jnp.sum(r * traces) + 2 * _sensing_products(A, w)
    return both / len(y)


def _sensing_smoothed(A: Array, y: Array, w: Any, sigma: Array) -> Array:
    k, s = jnp.shape(w)[1], sigma**2
    r = _sensing_residuals(A, y, w) + k * s * jnp.trace(A, axis1=1, axis2=2)
    spread = 4 * s * _sensing_products(A, w) + 2 * k * s * s * jnp.sum(A * A)
    return (jnp.sum(r * r) + spread) / (4 * len(y))


def gaussian_wells(centres: ArrayLike, depths: ArrayLike, widths: ArrayLike) -> Objective:
    """A line with wells in the shape of a bell: smoothing fills the narrow ones first.

    loss(w) = 1 - sum_i depth_i exp(-(w - c_i)^2 / (2 width_i^2)); smoothing replaces width_i^2 by
    s_i = width_i^2 + sigma^2 and multiplies depth_i by width_i / sqrt(s_i).

    Args: centres, depths, widths, all of shape (k,); widths positive.
    Returns: an Objective of scalar points w, shape (). [t]
    Raises: TypeError or ValueError naming the argument.
    Source: derived in chapters/noise.

    >>> wells = gaussian_wells([-1.0, 1.0], [1.0, 0.9], [0.1, 0.5])
    >>> [round(float(wells.smoothed_loss(w, 0.2)), 3) for w in (-1.0, 1.0)]
    [0.552, 0.164]
    """
    parts = {
        name: _floats(name, values)
        for name, values in [("centres", centres), ("depths", depths), ("widths", widths)]
    }
    shape = parts["centres"].shape
    for name, values in parts.items():
        if values.ndim != 1 or values.shape != shape or values.size == 0:
            raise ValueError(
                f"{name}: got shape {values.shape}, (k,) is needed, the same for centres, depths "
                f"and widths; give each well one of each."
            )
    smallest = parts["widths"]
    if not arguments.is_traced(smallest) and not (smallest > 0).all():
        raise ValueError(
            f"widths: got {float(smallest.min())}, all must be positive; "
            f"change the sign of the depth for a hill."
        )
    return _with_data(
        [_wells_loss, _wells_gradient, _wells_trace, _wells_smoothed], *parts.values()
    )


def _wells_bells(c: Array, depth: Array, width: Array, w: Any) -> tuple[Array, Array]:
    away = (_point(w, ()) - c) / width
    return away, depth * jnp.exp(-0.5 * away * away)


def _wells_loss(c: Array, depth: Array, width: Array, w: Any) -> Array:
    return 1 - jnp.sum(_wells_bells(c, depth, width, w)[1])


def _wells_gradient(c: Array, depth: Array, width: Array, w: Any) -> Array:
    away, bells = _wells_bells(c, depth, width, w)
    return jnp.sum(bells * away / width)


def _wells_trace(c: Array, depth: Array, width: Array, w: Any) -> Array:
    away, bells = _wells_bells(c, depth, width, w)
    return jnp.sum(bells * (1 - away * away) / (width * width))


def _wells_smoothed(c: Array, depth: Array, width: Array, w: Any, sigma: Array) -> Array:
    wide = jnp.sqrt(width * width + sigma**2)
    return _wells_loss(c, depth * width / wide, wide, w)


def hutchinson_trace(
    gradient: Callable[[Any], Any], w: ArrayLike, key: ArrayLike, n_probes: int
) -> tuple[Array, Array]:
    """The trace of the Hessian from products with random signs, and its standard error.

    mean_i p_i . H(w) p_i, p_i of independent random signs: unbiased, of variance
    2 sum_{i != j} H_ij^2 / n_probes, exact for a diagonal Hessian.

    Args:
        gradient: of one point; JAX differentiates it (products only, no Hessian is formed).
        w: the point, any shape.
        key: a JAX key.
        n_probes: number of random vectors, at least 2, static.

    Returns: the estimate and its standard error, two scalars. [t]
    Raises: TypeError or ValueError naming the argument.
    Source: Hutchinson, Communications in Statistics 18 (1989).

    >>> bowl = quadratic([[2.0, 0.0], [0.0, 1.0]])
    >>> [float(x) for x in hutchinson_trace(bowl.gradient, jnp.ones(2), jax.random.key(0), 8)]
    [3.0, 0.0]
    """
    n_probes = arguments.count("n_probes", n_probes, least=2)
    w = _floats("w", w)
    estimate: tuple[Array, Array] = _hutchinson(
        as_pytree("gradient", gradient), w, key, n_probes=n_probes
    )
    return estimate


@partial(jax.jit, static_argnames="n_probes")
def _hutchinson(gradient: Any, w: Array, key: Any, *, n_probes: int) -> tuple[Array, Array]:
    probes = white_noise(key, (n_probes, *w.shape), kind="rademacher", dtype=w.dtype)

    def product(probe: Array) -> Array:
        return jnp.sum(probe * jax.jvp(gradient, (w,), (probe,))[1])

    values = jax.vmap(product)(probes)
    return jnp.mean(values), jnp.std(values, ddof=1) / n_probes**0.5


def _with_data(functions: list[Callable[..., Array]], *data: Array) -> Objective:
    return Objective(*(Partial(function, *data) for function in functions))  # type: ignore[no-untyped-call]


def _floats(name: str, value: Any) -> Array:
    """A checked argument as a JAX array of floats."""
    return jnp.asarray(arguments.real(name, value), arguments.precision(value))


def _point(w: Any, shape: tuple[int, ...]) -> Array:
    point: Array = jnp.asarray(w)
    if point.shape != shape:
        raise ValueError(
            f"w: got shape {point.shape}, {shape} is needed; map over several points with jax.vmap."
        )
    return point


def _check_targets(y: Array, n: int, name: str) -> None:
    if y.shape != (n,):
        raise ValueError(
            f"y: got shape {y.shape}, ({n},) is needed; pass one target for each row of {name}."
        )


def _checked(X: Any, y: Any) -> tuple[Array, Array]:
    features, target = _floats("X", X), _floats("y", y)
    if features.ndim != 2 or features.size == 0:
        raise ValueError(
            f"X: got shape {features.shape}, (n, d) with n and d at least 1 is needed; "
            f"put one observation in each row."
        )
    _check_targets(target, len(features), "X")
    return features, target


def _pull(X: Array, y: Array, b: Array) -> Array:
    """X' (X b - y) / n."""
    r = jnp.matmul(X, b, precision="highest") - y
    return jnp.matmul(X.T, r, precision="highest") / len(y)
