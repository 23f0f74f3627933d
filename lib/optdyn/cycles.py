r"""Orbits of gradient descent M(w) = w - step_size * grad L(w) on logistic regression.

`gd_orbit`, `bifurcation_diagram` and `lyapunov_exponent` are JAX functions: what a slider moves is
traced, and the number of points is padded with zero weights to a power of two, so that neither
moving it nor other data of about the same size recompiles. The rest computes in NumPy float64.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike
from numpy.typing import NDArray

from optdyn import arguments, logistic

Floats = NDArray[np.float64]
FEW = 4  # up to this many dimensions a loop over points beats matrix products


def _padded(z: Any, p: Any, dtype: Any) -> tuple[Array, Array]:
    """z and p with zeros appended up to the next power of two of points."""
    pad = (1 << (z.shape[0] - 1).bit_length()) - z.shape[0]
    widths = [(0, pad)] + [(0, 0)] * (z.ndim - 1)
    numpy = jnp if arguments.is_traced(z) or arguments.is_traced(p) else np
    z, p = numpy.pad(z, widths), numpy.pad(p, (0, pad))
    return jnp.asarray(z, dtype), jnp.asarray(p, dtype)


def _merged(z: Any, p: Any) -> tuple[Any, Any, int]:
    """Equal rows of z merged, those of zero weight left out; zeros keep the size; rows in use."""
    if arguments.is_traced(z) or arguments.is_traced(p):
        return z, p, z.shape[0]
    rows, inverse = np.unique(z[p > 0], axis=0, return_inverse=True)
    pad = len(z) - len(rows)
    rows_p = np.pad(np.bincount(inverse.ravel(), p[p > 0]), (0, pad))
    return np.pad(rows, [(0, pad)] + [(0, 0)] * (z.ndim - 1)), rows_p, len(z) - pad


@partial(jax.jit, static_argnames="n_steps")
def _orbit(w0: Array, z: Array, p: Array, step_size: Array, *, n_steps: int) -> Array:
    def step(w: Array, _: None) -> tuple[Array, Array]:
        return w - step_size * logistic.slope(w, z, p), w

    return lax.scan(step, w0, length=n_steps + 1)[1]


def gd_orbit(
    w0: ArrayLike,
    z: ArrayLike,
    *,
    step_size: ArrayLike,
    n_steps: int,
    weights: ArrayLike | None = None,
) -> Array:
    """The orbit of gradient descent, w_{t+1} = w_t - step_size * grad L(w_t).

    Args:
        w0: start, shape () for z of shape (n,), (d,) for (n, d).
        z: absorbed data, shape (n,) or (n, d).
        step_size: positive scalar, in units of w^2 / loss.
        n_steps: number of steps, static.
        weights: shape (n,), positive, zero pads, normalised inside; default equal.

    Returns: shape (n_steps + 1, *w0.shape), the start included. Works under jit, vmap and grad in
        everything but n_steps. The dtype is that of w0 and z.
    Raises: TypeError or ValueError naming the argument.
    Source: Meng et al., arXiv 2406.05033.

    >>> print(np.round(gd_orbit(1.0, [1.0, -1.0], step_size=8.0, n_steps=2).tolist(), 3))
    [ 1.    -0.848  0.753]
    """
    n_steps = arguments.count("n_steps", n_steps)
    points, p = arguments.data(z, weights)
    dtype = arguments.precision(w0, z)
    w = jnp.asarray(arguments.start("w0", w0, points), dtype)
    eta = jnp.asarray(arguments.step_size("step_size", step_size), dtype)
    return _orbit(w, *_padded(points, p, dtype), eta, n_steps=n_steps)


def _force(u: Array, z: Array, p: Array, n_points: Array) -> Array:
    """Minus the gradient at every lane of u, shape (d, lanes), from the first n_points rows."""
    if len(u) > FEW:
        m = jnp.matmul(z, u, precision="highest")
        return jnp.matmul(z.T, p[:, None] * jax.nn.sigmoid(-m), precision="highest")

    def add(i: Array, total: tuple[Array, ...]) -> tuple[Array, ...]:
        pull = p[i] * jax.nn.sigmoid(-sum(a * x for a, x in zip(z[i], u, strict=True)))
        return tuple(t + a * pull for a, t in zip(z[i], total, strict=True))

    return jnp.stack(lax.fori_loop(0, n_points, add, tuple(jnp.zeros_like(u))))


@partial(jax.jit, static_argnames="n_keep")
def _diagram(
    z: Array,
    p: Array,
    step_sizes: Array,
    w0s: Array,
    n_points: Array,
    n_transient: Array,
    *,
    n_keep: int,
) -> Array:
    d, n_starts = z.shape[1], len(w0s)
    eta = jnp.repeat(step_sizes, n_starts)
    u0 = jnp.tile(w0s.reshape(n_starts, d).T, (1, len(step_sizes)))

    def step(u: Array) -> Array:
        return u + eta * _force(u, z, p, n_points)

    u0 = lax.fori_loop(0, n_transient, lambda _, u: step(u), u0)
    kept = lax.scan(lambda u, _: (step(u), u), u0, length=n_keep)[1]
    return jnp.moveaxis(kept, 1, -1).reshape(n_keep, len(step_sizes), *w0s.shape)


def bifurcation_diagram(
    z: ArrayLike,
    *,
    step_sizes: ArrayLike,
    w0s: ArrayLike,
    n_transient: int,
    n_keep: int,
    weights: ArrayLike | None = None,
) -> Array:
    """Where gradient descent settles, for every step size and every start.

    w_{t+1} = w_t - step_size * grad L(w_t); the iterates n_transient .. n_transient + n_keep - 1.

    Args:
        z: absorbed data, shape (n,) or (n, d).
        step_sizes: positive, shape (n_step_sizes,), in units of w^2 / loss.
        w0s: starts, shape (n_starts,) or (n_starts, d).
        n_transient: steps made and forgotten first, 0 or more; never stored, no recompilation.
        n_keep: iterates kept, static.
        weights: shape (n,), positive, zero pads, normalised inside; default equal.

    Returns: shape (n_keep, n_step_sizes, n_starts) or (n_keep, n_step_sizes, n_starts, d).
    Raises: TypeError or ValueError naming the argument.
    Source: Meng et al., arXiv 2406.05033.

    >>> kept = bifurcation_diagram([1.0, -1.0], step_sizes=[7.9, 8.1], w0s=[1.0],
    ...                            n_transient=2000, n_keep=2)
    >>> print(np.abs(np.round(kept[:, :, 0].tolist(), 2)))
    [[0.   0.39]
     [0.   0.39]]
    """
    n_transient = arguments.count("n_transient", n_transient, least=0)
    n_keep = arguments.count("n_keep", n_keep)
    points, p = arguments.data(z, weights)
    starts = arguments.real("w0s", w0s)
    if starts.ndim != points.ndim or starts.shape[1:] != points.shape[1:] or starts.size == 0:
        raise ValueError(
            f"w0s: got shape {starts.shape}, {('n_starts', *points.shape[1:])} is needed for z of "
            f"shape {points.shape}; wrap one start in a list."
        )
    dtype = arguments.precision(z, w0s)
    eta = jnp.asarray(arguments.step_size("step_sizes", step_sizes, ndim=1), dtype)
    points, p, n_points = _merged(points, p)
    points, p = _padded(points.reshape(len(points), -1), p, dtype)
    counts = jnp.asarray([n_points, n_transient], jnp.int32)
    return _diagram(points, p, eta, jnp.asarray(starts, dtype), *counts, n_keep=n_keep)


@jax.jit
def _lyapunov(
    w0: Array, z: Array, p: Array, step_size: Array, n_transient: Array, n_steps: Array
) -> Array:
    tiny = jnp.finfo(w0.dtype).tiny

    def step(w: Array, tangent: Array) -> tuple[Array, Array, Array]:
        m = logistic.margins(w, z)
        curvature = p * jax.nn.sigmoid(m) * jax.nn.sigmoid(-m)
        bent = jnp.matmul(curvature * logistic.margins(tangent, z), z, precision="highest")
        tangent = tangent - step_size * bent
        size = jnp.maximum(jnp.sqrt(jnp.sum(tangent**2)), tiny)
        unit = jnp.where(size > tiny, tangent / size, first)
        return w - step_size * logistic.slope(w, z, p), unit, jnp.log(size)

    first = jnp.cos(jnp.arange(w0.size, dtype=w0.dtype)).reshape(w0.shape)
    first = first / jnp.sqrt(jnp.sum(first**2))
    settled = lax.fori_loop(0, n_transient, lambda _, s: step(*s)[:2], (w0, first))

    def add(_: Array, state: tuple[Array, ...]) -> tuple[Array, ...]:
        w, tangent, total, lost = state  # summed with compensation, or float32 drifts
        w, tangent, growth = step(w, tangent)
        new = total + (growth - lost)
        return w, tangent, new, (new - total) - (growth - lost)

    zero = jnp.zeros_like(step_size)
    return lax.fori_loop(0, n_steps, add, (*settled, zero, zero))[2] / n_steps


def lyapunov_exponent(
    w0: ArrayLike,
    z: ArrayLike,
    *,
    step_size: ArrayLike,
    n_transient: int,
    n_steps: int,
    weights: ArrayLike | None = None,
) -> Array:
    """The largest Lyapunov exponent of an orbit: > 0 for chaos, < 0 for an attracting cycle.

    The mean of log |v_t|, with v_t = (1 - step_size * H(w_t)) v_{t-1} / |v_{t-1}| a tangent vector;
    in one dimension the mean of log |1 - step_size * L''(w_t)|.

    Args:
        w0, z, step_size, weights: as in `gd_orbit`.
        n_transient: steps made first, 0 or more.
        n_steps: steps averaged over; neither count recompiles.

    Returns: a scalar, per step. Works under jit and vmap in everything but the counts.
    Raises: TypeError or ValueError naming the argument.
    Source: derived in chapters/cycles.

    >>> lam = 0.25  # data [1, -1]: the minimiser 0 attracts with multiplier 1 - step_size * lam
    >>> exponent = lyapunov_exponent(0.0, [1.0, -1.0], step_size=6.0, n_transient=0, n_steps=9)
    >>> print(f"{exponent:.4f}")
    -0.6931
    """
    n_transient = arguments.count("n_transient", n_transient, least=0)
    n_steps = arguments.count("n_steps", n_steps)
    points, p = arguments.data(z, weights)
    dtype = arguments.precision(w0, z)
    w = jnp.asarray(arguments.start("w0", w0, points), dtype)
    eta = jnp.asarray(arguments.step_size("step_size", step_size), dtype)
    counts = jnp.asarray([n_transient, n_steps], jnp.int32)
    return _lyapunov(w, *_padded(points, p, dtype), eta, *counts)
