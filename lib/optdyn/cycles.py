r"""Orbits of gradient descent M(w) = w - step_size * grad L(w) on logistic regression.

`gd_orbit`, `bifurcation_diagram` and `lyapunov_exponent` are JAX functions: what a slider moves is
traced, and the number of points is padded with zero weights to a power of two, so that neither
moving it nor other data of about the same size recompiles. The rest computes in NumPy float64.
In few dimensions they and `basins` go through the points one by one, for all lanes at once.
"""

from collections.abc import Callable, Sequence
from functools import partial
from math import log
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike
from numpy.typing import NDArray
from scipy.special import expit  # type: ignore[import-untyped]

from optdyn import arguments, logistic
from optdyn.sigmoid import falling, falling2

Floats = NDArray[np.float64]
LONGEST = 1024  # period looked for
BLOCK = 4096  # orbits worked on at once
FEW = 4  # up to this many dimensions a loop over points beats matrix products
TOGETHER = 4  # points whose terms one pass over the lanes adds
LOG2 = log(2)


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
    rows, rows_p = arguments.distinct(z, p)
    pad = len(z) - len(rows)
    return np.pad(rows, [(0, pad)] + [(0, 0)] * (z.ndim - 1)), np.pad(rows_p, (0, pad)), len(rows)


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
    start = arguments.start("w0", w0, points)
    dtype = arguments.precision(w0, z)
    w = jnp.asarray(start, dtype)
    eta = jnp.asarray(arguments.step_size("step_size", step_size), dtype)
    orbit: Array = _orbit(w, *_padded(points, p, dtype), eta, n_steps=n_steps)
    return orbit


def _bits(x: Array) -> Array:
    return lax.bitcast_convert_type(x, jnp.int64 if x.dtype == jnp.float64 else jnp.int32)


@jax.custom_jvp
def _scaled(x: Array) -> tuple[Array, Array]:
    """m and e with x = 2^e m, for positive x: a logarithm put off. On a CPU 2 <= m < 4."""

    def by_bits(x: Array) -> tuple[Array, Array]:
        limits = np.finfo(x.dtype)
        e = (_bits(x) >> limits.nmant) - limits.maxexp
        power = lax.bitcast_convert_type((limits.maxexp - 1 - e) << limits.nmant, x.dtype)
        return x * power, e.astype(x.dtype)

    def by_logarithm(x: Array) -> tuple[Array, Array]:
        return jnp.ones_like(x), jnp.log2(x)

    if x.dtype not in (jnp.float32, jnp.float64):
        return by_logarithm(x)
    parts: tuple[Array, Array] = lax.platform_dependent(x, cpu=by_bits, default=by_logarithm)
    return parts


@_scaled.defjvp
def _scaled_slope(x: tuple[Array], change: tuple[Array]) -> tuple[Any, Any]:
    m, e = _scaled(*x)
    return (m, e), (m / x[0] * change[0], jnp.zeros_like(e))


class _Points(NamedTuple):
    """Data as the loops over points want them, shape (n, d), and how many rows are in use."""

    z: Array
    p: Array
    turns: Array  # z, and in float64 z / log 2
    pulls: Array  # p * z
    n_points: Array

    @classmethod
    def of(cls, z: Array, p: Array, n_points: Any) -> "_Points":
        turns = z / LOG2 if z.dtype == jnp.float64 else z
        return cls(z, p, turns, p[:, None] * z, n_points)


def _summed(term: Callable[[Array], Sequence[Array]], zero: Sequence[Array], data: _Points) -> Any:
    """zero + sum_i term(i) over the points in use, a few in one pass over the lanes."""
    together = min(TOGETHER, len(data.z))

    def add(block: Any, total: Sequence[Array]) -> Sequence[Array]:
        for i in range(together):
            terms = term(block * together + i)
            total = tuple(x + y for x, y in zip(total, terms, strict=True))
        return total

    if together == len(data.z):
        return add(0, zero)
    n_blocks = (data.n_points + together - 1) // together
    return lax.fori_loop(0, n_blocks, add, zero)


def _dot(row: Array, u: Sequence[Array]) -> Array:
    product: Array = sum(row[j] * u[j] for j in range(1, len(u))) + row[0] * u[0]
    return product


def _fall(data: _Points, i: Array, u: Sequence[Array]) -> Array:
    """sigma(-u.z_i) of every lane."""
    t = _dot(data.turns[i], u)
    return falling2(t) if t.dtype == jnp.float64 else falling(t)


def _moved(u: Any, eta: Array, data: _Points) -> Any:
    """A step from every lane of u: in few dimensions d arrays (lanes,), else one (d, lanes)."""
    if isinstance(u, Array):
        m = jnp.matmul(data.z, u, precision="highest")
        force = jnp.matmul(data.pulls.T, jax.nn.sigmoid(-m), precision="highest")
        return u + eta * force

    def term(i: Array) -> Sequence[Array]:
        low = _fall(data, i, u)
        return tuple(data.pulls[i, j] * low for j in range(len(u)))

    force = _summed(term, tuple(jnp.zeros_like(x) for x in u), data)
    return tuple(x + eta * f for x, f in zip(u, force, strict=True))


def _lanes(u: Array) -> Any:
    """u, shape (d, lanes), as `_moved` wants it."""
    return tuple(u) if len(u) <= FEW else u


def _sweep(
    z: Any, weights: Any, w0s: Any, step_sizes: Any, n_transient: Any
) -> tuple[Array, Array, Array, Array, Array, tuple[int, ...]]:
    """Checked: z (n, d) and p, padded, w0s (n_starts, d), step sizes, counts; the shape of w0s."""
    n_transient = arguments.count("n_transient", n_transient, least=0)
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
    u = jnp.asarray(starts.reshape(len(starts), -1), dtype)
    return points, p, u, eta, counts, starts.shape


@partial(jax.jit, static_argnames="n_keep")
def _diagram(
    z: Array, p: Array, w0s: Array, step_sizes: Array, counts: Array, *, n_keep: int
) -> Array:
    n_points, n_transient = counts
    eta = jnp.repeat(step_sizes, len(w0s))
    u0 = _lanes(jnp.tile(w0s.T, (1, len(step_sizes))))
    data = _Points.of(z, p, n_points)

    def step(u: Any) -> Any:
        return _moved(u, eta, data)

    u0 = lax.fori_loop(0, n_transient, lambda _, u: step(u), u0)
    kept = lax.scan(lambda u, _: (step(u), u), u0, length=n_keep)[1]
    return jnp.stack(kept, axis=-1) if isinstance(kept, tuple) else jnp.moveaxis(kept, 1, -1)


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
    n_keep = arguments.count("n_keep", n_keep)
    *lanes, shape = _sweep(z, weights, w0s, step_sizes, n_transient)
    kept: Array = _diagram(*lanes, n_keep=n_keep).reshape(n_keep, -1, *shape)
    return kept


@partial(jax.jit, static_argnames="max_period")
def _settled(
    z: Array, p: Array, eta: Array, u: Array, counts: Array, known: Array, *, max_period: int
) -> Array:
    """The label of every lane of u, shape (d, lanes), see `basins`; known = w*, 2 / lambda."""
    n_points, n_transient = counts
    data = _Points.of(z, p, n_points)

    def step(u: Any) -> Any:
        return _moved(u, eta, data)

    moved = lax.fori_loop(0, n_transient, lambda _, u: step(u), _lanes(u))
    kept = lax.scan(lambda u, _: (step(u), u), moved, length=3 * max_period)[1]
    tail = jnp.stack(kept, axis=1) if isinstance(kept, tuple) else kept
    target, critical = known[:-1, None], known[-1]
    scale = 1 / jnp.max(jnp.abs(z))
    eps = np.finfo(u.dtype).eps
    # Reductions over time are slow; what follows goes through it step after step, for all lanes.
    high = lax.fori_loop(1, len(tail), lambda t, x: jnp.maximum(x, tail[t]), tail[0])
    low = lax.fori_loop(1, len(tail), lambda t, x: jnp.minimum(x, tail[t]), tail[0])
    noise = eps**0.75 * jnp.max(jnp.maximum(jnp.abs(high), jnp.abs(low)), axis=0)

    def length(x: Array) -> Array:
        return jnp.abs(x[0]) if len(x) == 1 else jnp.sqrt(jnp.sum(x**2, axis=0))

    size = scale + length(high - low)

    def widest(far: Callable[[Array], Array]) -> tuple[Array, Array]:
        """The greatest far(t) of the first max_period steps, and of the next."""

        def add(block: Array, greatest: tuple[Array, Array]) -> tuple[Array, Array]:
            early, late = greatest
            for i in range(4):
                t = jnp.minimum(4 * block + i, max_period - 1)
                early, late = jnp.maximum(early, far(t)), jnp.maximum(late, far(t + max_period))
            return early, late

        zero = jnp.zeros_like(eta)
        found: tuple[Array, Array] = lax.fori_loop(0, (max_period + 3) // 4, add, (zero, zero))
        return found

    def look(k: Array, state: tuple[Array, ...]) -> tuple[Array, ...]:
        period, apart, still = state
        early, late = widest(lambda t: length(tail[t + k] - tail[t]))
        to_come = jnp.where(late < early, max_period * late / (1 - late / early), jnp.inf)
        to_come = jnp.where(late <= noise, noise, to_come)  # how far the orbit still moves
        # In float32 rounding errors can close a cycle of their own round a shorter one.
        found = (to_come <= jnp.maximum(1e-3 * size, noise)) & (apart > 10 * to_come)
        found &= apart > 100 * noise
        period = jnp.where(found & (period == 0), k, period)
        return period, jnp.minimum(apart, late), still | ((k == 1) & (late <= noise))

    unknown = jnp.zeros(eta.shape, jnp.int32), jnp.full_like(eta, jnp.inf), eta < 0
    period, _, still = lax.fori_loop(1, max_period + 1, look, unknown)
    before, distance = widest(lambda t: length(tail[t + max_period] - target))
    drawn = (eta < critical) & ((distance < before) | (distance <= eps**0.5 * scale))
    drawn |= still  # such as from a start on the stable manifold of an unstable w*
    at_minimizer = (distance <= 1e-3 * scale) & drawn
    return jnp.where(at_minimizer, 1, jnp.where(period == 1, 0, period))


def basins(
    z: ArrayLike,
    *,
    step_sizes: ArrayLike,
    w0s: ArrayLike,
    n_transient: int,
    max_period: int = 16,
    weights: ArrayLike | None = None,
) -> NDArray[np.int64]:
    """What gradient descent settles on, for every step size and every start: the period of it.

    1 where |w_t - w*| is below 0.001 / max|z_i| and shrinks; the smallest k >= 2 where the returns
    |w_{t+k} - w_t| shrink so fast that their sum, a geometric series, is below 0.001 of the size of
    the orbit (or where they are rounding errors); 0 else: chaos, a longer cycle, or a transient
    still going on. A slow drift is thus no cycle, however small its steps. Use float64: below it,
    rounding errors can hide that an orbit has settled (the answer is then 0).

    Args:
        z: absorbed data, shape (n,) or (n, d).
        step_sizes: positive, shape (n_step_sizes,), in units of w^2 / loss.
        w0s: starts, shape (n_starts,) or (n_starts, d).
        n_transient: steps made before the orbit is looked at, for 3 * max_period steps more.
        max_period: largest period looked for.
        weights: shape (n,), positive, zero pads, normalised inside; default equal.

    Returns: shape (n_step_sizes, n_starts), NumPy integers. Computed in the dtype of z and w0s, in
        blocks of lanes, so that memory does not grow with the number of starts.
    Raises: TypeError or ValueError naming the argument; as `logistic.minimizer`.
    Source: derived in chapters/cycles.

    >>> basins([1.0, 1.0, -1.0, 10.0], step_sizes=[9.0, 10.140377], w0s=[0.0, 0.7],
    ...        n_transient=2000)
    array([[1, 1],
           [2, 1]])
    """
    arguments.not_traced(step_sizes=step_sizes, w0s=w0s)
    max_period = arguments.count("max_period", max_period, most=LONGEST)
    points, p, *lanes, counts, _ = _sweep(z, weights, w0s, step_sizes, n_transient)
    starts, etas = map(np.asarray, lanes)
    rows, rows_p = arguments.host_data(z, weights)
    critical = logistic.critical_step_size(rows, rows_p)
    known = np.array([*logistic.minimizer(rows, rows_p).reshape(-1), critical], etas.dtype)
    n_lanes = len(etas) * len(starts)
    most = max(2**22 // (3 * max_period * starts.shape[1]), 1)
    block = min(BLOCK, 1 << (most.bit_length() - 1), 1 << (n_lanes - 1).bit_length())
    labels = np.empty(n_lanes, int)
    for first in range(0, n_lanes, block):
        lane = np.minimum(np.arange(first, first + block), n_lanes - 1)
        eta, start = etas[lane // len(starts)], starts[lane % len(starts)].T
        label = _settled(points, p, eta, start, counts, known, max_period=max_period)
        labels[first : first + block] = label[: n_lanes - first]
    return labels.reshape(len(etas), -1)


@jax.jit
def _lyapunov(w0: Array, z: Array, p: Array, step_size: Array, counts: Array) -> Array:
    """z (n, d), padded; w0 (d,); counts: rows in use, steps forgotten, steps averaged over."""
    n_points, n_transient, n_steps = counts
    data = _Points.of(z, p, n_points)
    tiny = np.finfo(w0.dtype).tiny
    first = jnp.cos(jnp.arange(w0.size, dtype=w0.dtype))
    first = _lanes(first / jnp.sqrt(jnp.sum(first**2)))

    def turn(w: Any, tangent: Any) -> tuple[Any, Any]:
        """Minus the gradient at w, and the Hessian there times the tangent."""
        if isinstance(w, Array):
            m = logistic.margins(w, z)
            curvature = p * jax.nn.sigmoid(m) * jax.nn.sigmoid(-m)
            bent = jnp.matmul(curvature * logistic.margins(tangent, z), z, precision="highest")
            return -logistic.slope(w, z, p), bent

        def term(i: Array) -> Sequence[Array]:
            low = _fall(data, i, w)
            bend = (low - low * low) * _dot(z[i], tangent)
            return [data.pulls[i, j] * x for x in (low, bend) for j in range(len(w))]

        found = _summed(term, 2 * tuple(jnp.zeros_like(x) for x in w), data)
        return found[: len(w)], found[len(w) :]

    def step(w: Any, tangent: Any) -> tuple[Any, Any, Array]:
        force, bent = turn(w, tangent)
        w = jax.tree.map(lambda x, f: x + step_size * f, w, force)
        moved = jax.tree.map(lambda x, b: x - step_size * b, tangent, bent)
        if w0.size == 1:  # the tangent stays 1
            return w, tangent, jnp.maximum(jnp.abs(moved[0]), tiny)
        size = jnp.maximum(jnp.sqrt(sum(x**2 for x in moved)), tiny)
        unit = jax.tree.map(lambda x, start: jnp.where(size > tiny, x / size, start), moved, first)
        return w, unit, size

    settled = lax.fori_loop(0, n_transient, lambda _, s: step(*s)[:2], (_lanes(w0), first))

    def add(_: Array, state: tuple[Any, ...]) -> tuple[Any, ...]:
        w, tangent, product, total, lost = state  # compensated, or the total drifts in float32
        w, tangent, size = step(w, tangent)
        product, power = _scaled(product * size)
        new = total + (power - lost)
        return w, tangent, product, new, (new - total) - (power - lost)

    zero = jnp.zeros_like(step_size)
    start = (*settled, jnp.ones_like(step_size), zero, zero)
    _, _, product, total, _ = lax.fori_loop(0, n_steps, add, start)
    exponent: Array = (LOG2 * total + jnp.log(product)) / n_steps
    return exponent


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
    in one dimension the mean of log |1 - step_size * L''(w_t)|. For chaos use float64: a float32
    orbit ends on a cycle of some hundred steps, whose exponent may be 0.04 off.

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
    start = arguments.start("w0", w0, points)
    dtype = arguments.precision(w0, z)
    w = jnp.asarray(start, dtype).reshape(-1)
    eta = jnp.asarray(arguments.step_size("step_size", step_size), dtype)
    points, p, n_points = _merged(points, p)
    points, p = _padded(points.reshape(len(points), -1), p, dtype)
    counts = jnp.asarray([n_points, n_transient, n_steps], jnp.int32)
    exponent: Array = _lyapunov(w, points, p, eta, counts)
    return exponent


class TwoCycles(NamedTuple):
    """Two-cycles {low, high} of one-dimensional data, with their step sizes and multipliers.

    >>> TwoCycles(np.float64(-1), np.float64(1), np.float64(9), np.float64(0)).high
    np.float64(1.0)
    """

    low: Floats
    high: Floats
    step_size: Floats
    multiplier: Floats


def two_cycles(force: ArrayLike, z: ArrayLike, weights: ArrayLike | None = None) -> TwoCycles:
    """All two-cycles of one-dimensional data, for all step sizes, on one curve.

    {low, high} is a two-cycle iff L'(high) = F = -L'(low) for some F in (0, Fmax) and
    step_size = eta(F) = (high - low) / F. Its multiplier (1 - eta L''(low)) (1 - eta L''(high)) is
    below 1, and the cycle thus attracting until it reaches -1, where eta(F) rises.

    Args:
        force: F, any shape, in (0, logistic.max_force(z, weights)), in units of loss / w.
        z, weights: as in `logistic.loss`, shape (n,) or (n, 1).

    Returns: four arrays of the shape of force, float64. As F -> 0, eta -> 2 / lambda.
    Raises: as `logistic.minimizer`; ValueError for more than one dimension or F out of range.
    Source: derived in chapters/cycles.

    >>> pair = two_cycles(0.25, [1.0, -1.0])  # L'(u) = tanh(u / 2) / 2
    >>> print(np.round([pair.high, 2 * np.arctanh(0.5), pair.step_size], 12))
    [1.09861229 1.09861229 8.78889831]
    """
    arguments.not_traced(force=force)
    rows, p = arguments.host_data(z, weights)
    rows = arguments.line(rows)
    top = logistic.max_force(rows, p)
    forces: Floats = arguments.real("force", force).astype(float)
    wrong = forces[~((forces > 0) & (forces < top))]
    if wrong.size or not forces.size:
        raise ValueError(
            f"force: got {wrong[0] if wrong.size else 'none'}, forces must be inside (0, {top}); "
            f"take fractions of logistic.max_force(z, weights)."
        )
    low, high = ends = logistic.slope_inverse(np.stack([-forces, forces]), rows, p)
    m = ends[..., None] * rows
    step_size = (high - low) / forces
    stretch = 1 - step_size * ((expit(m) * expit(-m)) @ (p * rows**2))
    return TwoCycles(low, high, step_size, stretch[0] * stretch[1])


def period(
    orbit: ArrayLike, *, max_period: int = 32, rtol: float | None = None, atol: float | None = None
) -> int:
    """The smallest period of a settled orbit, or 0 if there is none up to max_period.

    The smallest k with |w_{t+k} - w_t| <= rtol * diameter + atol for all t of the orbit.

    Args:
        orbit: the end of an orbit, shape (T,) or (T, d), T at least 2 * max_period.
        max_period: largest period looked for.
        rtol: 0 or more, relative to the diameter of the orbit; default 1e-6, below float64 1e-3.
        atol: 0 or more, absolute; default 64 units in the last place of the largest value.

    Raises: TypeError or ValueError naming the argument.
    Source: the definition.

    >>> period([0.0, 1.0] * 4, max_period=4), period(np.arange(8.0), max_period=4)
    (2, 0)
    """
    arguments.not_traced(orbit=orbit)
    max_period = arguments.count("max_period", max_period)
    points = arguments.real("orbit", orbit, finite=False)
    rtol = None if rtol is None else arguments.tolerance("rtol", rtol)
    atol = None if atol is None else arguments.tolerance("atol", atol)
    if points.ndim not in (1, 2) or len(points) < 2 * max_period:
        raise ValueError(
            f"orbit: got shape {points.shape}, (T,) or (T, d) with T at least {2 * max_period} is "
            f"needed; keep more iterates or lower max_period."
        )
    fine = points.dtype.itemsize >= 8 or points.dtype.kind != "f"
    if rtol is None:
        rtol = 1e-6 if fine else 1e-3
    if atol is None:
        atol = 64 * (2.0**-52 if fine else 2.0**-23) * np.abs(points).max()
    points = points.astype(float).reshape(len(points), -1)
    tolerance = rtol * np.linalg.norm(np.ptp(points, axis=0)) + atol
    for k in range(1, max_period + 1):
        if np.linalg.norm(points[k:] - points[:-k], axis=1).max() <= tolerance:
            return k
    return 0


class Cycle(NamedTuple):
    """A cycle: its points in order of visit, its period, and the eigenvalues of D(M^period).

    >>> Cycle(np.zeros(1), 1, np.array([0.5])).period
    1
    """

    points: Floats
    period: int
    multipliers: NDArray[Any]


def _around(w: Floats, z: Floats, p: Floats, eta: float, k: int) -> tuple[Floats, Floats]:
    """w and its k images, shape (k + 1, d), and the Jacobian of M^k at w."""
    visited, jacobian = [w], np.eye(len(w))
    for _ in range(k):
        m = z @ w
        sigma = expit(-m)
        jacobian = jacobian - eta * (z.T * (p * sigma * expit(m))) @ (z @ jacobian)
        w = w + eta * ((p * sigma) @ z)
        visited.append(w)
    return np.array(visited), jacobian


def _polish(w: Floats, z: Floats, p: Floats, eta: float, k: int) -> Floats:
    """A point of M^k(w) = w near w, by Newton's method; not finite if it fails."""
    for _ in range(40):
        visited, jacobian = _around(w, z, p, eta, k)
        try:
            move = np.linalg.solve(jacobian - np.eye(len(w)), w - visited[-1])
        except np.linalg.LinAlgError:
            return np.full_like(w, np.nan)
        w = w + move
        if not np.linalg.norm(move) > 1e-15 * np.linalg.norm(w):
            break
    return w


def find_cycle(
    w0: ArrayLike,
    z: ArrayLike,
    *,
    step_size: float,
    max_period: int = 32,
    n_transient: int = 10_000,
    weights: ArrayLike | None = None,
) -> Cycle | None:
    """The attracting cycle on which the orbit of w0 settles, polished by Newton's method.

    M^k(w) = w with the smallest such k; a minimiser is a cycle of period 1.

    Args:
        w0, z, step_size, weights: as in `gd_orbit`.
        max_period: largest period looked for.
        n_transient: steps made before the orbit is looked at.

    Returns: Cycle(points (period,) or (period, d), period, multipliers (d,)), float64, the points
        starting from the one with the smallest first coordinate, the multipliers from the largest;
        None if the orbit has not settled: chaos, a longer cycle, a transient still going on, or a
        multiplier within 1e-6 of modulus one, where float64 does not tell one cycle from another.
    Raises: TypeError or ValueError naming the argument.
    Source: derived in chapters/cycles.

    >>> cycle = find_cycle(0.0, [1.0, 1.0, -1.0, 10.0], step_size=10.140377)
    >>> print(cycle.period, cycle.points.round(5), cycle.multipliers.round(5))
    2 [0.34181 1.77023] [-0.46946]
    """
    arguments.not_traced(w0=w0, step_size=step_size)
    max_period = arguments.count("max_period", max_period, most=LONGEST)
    n_transient = arguments.count("n_transient", n_transient, least=0)
    rows, p = arguments.host_data(z, weights)
    eta = float(arguments.step_size("step_size", step_size))
    w = arguments.start("w0", w0, np.asarray(z)).astype(float)
    shape, rows, w = w.shape, rows.reshape(len(rows), -1), w.reshape(-1)
    for _ in range(n_transient):
        w = w + eta * ((p * expit(-(rows @ w))) @ rows)
    tail = _around(w, rows, p, eta, 3 * max_period)[0]
    size = np.linalg.norm(tail, axis=1).max() + 1 / np.abs(rows).max()
    k = period(tail, max_period=max_period, atol=1e-13 * size) if np.isfinite(size) else 0
    if k == 0:
        return None
    w = _polish(tail[-1], rows, p, eta, k)
    if not np.linalg.norm(w - tail[-1]) <= 1e-3 * size:
        return None
    returns = np.linalg.norm(_around(w, rows, p, eta, k)[0] - w, axis=1)
    k = next(j for j in range(1, k + 1) if k % j == 0 and returns[j] <= 1e-8 * size)
    w = _polish(w, rows, p, eta, k)
    points = _around(w, rows, p, eta, k)[0][:-1]
    points = np.roll(points, -np.argmin(points[:, 0]), axis=0)
    multipliers = np.linalg.eigvals(_around(points[0], rows, p, eta, k)[1])
    if not np.abs(multipliers).max() < 1 - 1e-6:
        return None
    if not multipliers.imag.any():  # from NumPy 2.5 on eigvals is complex always
        multipliers = multipliers.real
    order = np.argsort(-np.abs(multipliers), kind="stable")
    return Cycle(points.reshape(k, *shape), k, multipliers[order])
