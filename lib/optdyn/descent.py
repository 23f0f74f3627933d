"""Gradient descent whose weights are shaken: over given noise, or drawing its own.

`descend` takes the noise as an array, so that every method is one of its calls. `run` draws white
noise chunk by chunk, for runs whose noise would not fit in memory. Everything but sizes is traced:
other step sizes, noise levels, starts or data do not recompile.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.tree_util import Partial
from jax.typing import ArrayLike

from optdyn import arguments
from optdyn.noise import KINDS, white_noise

BLOCK = 32  # steps whose noise comes from one key: as many as a random word has bits
CHUNK = 1024  # steps, at most, whose noise is drawn at once


def descend(
    gradient: Callable[[Any], Any],
    w0: ArrayLike,
    noise: ArrayLike,
    *,
    step_size: ArrayLike,
    form: str = "w",
    record_every: int = 1,
) -> Array:
    """Gradient descent over a given noise array.

    form "w": w <- w - step_size * gradient(w) + noise[n], noise the kicks themselves;
    form "z": z <- z - step_size * gradient(z + noise[n]), noise before the gradient.

    With kicks xi_{n+1} - xi_n the first is Anti-PGD, and z_n = w_n - xi_n is the second with
    noise[n] = xi_n, started from z_0 = w_0 - xi_0. In float32 prefer "z" for long runs: the sum of
    the kicks telescopes there exactly.

    Args:
        gradient: of one point; the same one (or a `jax.tree_util.Partial` of the same function over
            other data) does not recompile, a new lambda does.
        w0: start, any shape.
        noise: shape (n_steps, *w0.shape).
        step_size: positive scalar.
        form: "w" or "z", static.
        record_every: a divisor of n_steps, static.

    Returns: shape (n_steps // record_every + 1, *w0.shape), the start included. Overflow is
        returned as inf and nan. The dtype is that of w0, noise and gradient together. [t] in
        everything but what is static.
    Raises: TypeError or ValueError naming the argument.
    Source: Orvieto et al., arXiv 2202.02831, equations (3) to (6).

    >>> kicks = jnp.array([0.5, -0.5])
    >>> descend(lambda w: w, 1.0, kicks, step_size=0.5).tolist()
    [1.0, 1.0, 0.0]
    """
    if form not in ("w", "z"):
        raise ValueError(
            f"form: got {form!r}, 'w' or 'z' is needed; 'w' adds noise to the weights."
        )
    start = jnp.asarray(arguments.real("w0", w0), arguments.precision(w0, noise))
    arguments.real("noise", noise)
    slope = as_pytree("gradient", gradient)
    dtype = _precision(slope, start)
    kicks = jnp.asarray(noise, dtype)
    if kicks.ndim == 0 or kicks.shape[1:] != start.shape:
        raise ValueError(
            f"noise: got shape {kicks.shape}, {('n_steps', *start.shape)} is needed for w0 of "
            f"shape {start.shape}; time is the leading axis, map over several runs with jax.vmap."
        )
    every = _divisor("record_every", record_every, "noise", len(kicks))
    eta = jnp.asarray(_number("step_size", step_size, positive=True), dtype)
    start = start.astype(dtype)
    path: Array = _descend(slope, start, kicks, eta, form=form, every=every)
    return path


@partial(jax.jit, static_argnames=("form", "every"))
def _descend(gradient: Any, w0: Array, noise: Array, eta: Array, *, form: str, every: int) -> Array:
    def step(w: Array, kick: Array) -> tuple[Array, None]:
        if form == "w":
            return w - eta * gradient(w) + kick, None
        return w - eta * gradient(w + kick), None

    def record(w: Array, kicks: Array) -> tuple[Array, Array]:
        w = lax.scan(step, w, kicks)[0]
        return w, w

    parts = noise.reshape(len(noise) // every, every, *w0.shape)
    return jnp.concatenate([w0[None], lax.scan(record, w0, parts)[1]])


def run(
    gradient: Callable[[Any], Any],
    w0: ArrayLike,
    key: ArrayLike,
    *,
    step_size: ArrayLike,
    sigma: ArrayLike,
    n_steps: int,
    kappa: ArrayLike = 1.0,
    record_every: int = 1,
    n_noisy: ArrayLike | None = None,
    kind: str = "rademacher",
    observe: Callable[[Any, Any], Any] | None = None,
) -> Any:
    """kappa-PGD, from PGD (kappa = 0) to Anti-PGD (kappa = 1), on white noise drawn on the way.

    w_{n+1} = w_n - step_size * gradient(w_n) + xi_{n+1} - kappa * xi_n, n = 0 .. n_steps - 1, with
    xi_n of deviation sigma in each coordinate, xi_0 drawn too, and xi_n = 0 for n > n_noisy. It is
    computed by z_n = w_n - kappa * xi_n, which loses nothing to rounding on flat directions:
    z_{n+1} = z_n - step_size * gradient(z_n + kappa * xi_n) + (1 - kappa) * xi_{n+1}.

    The noise depends on key, kind, dtype and the shape of w0, and on nothing else: the same key
    with more steps, other records or another kappa is the same noise. It is drawn 1024 steps at a
    time at the most; memory does not grow with n_steps but for the records.

    Args:
        gradient: of one point; the same one (or a `jax.tree_util.Partial` of the same function over
            other data) does not recompile, a new lambda does.
        w0: start w_0, any shape.
        key: a JAX key.
        step_size: positive scalar.
        sigma: 0 or more, scalar.
        n_steps: number of steps, static.
        kappa: memory of the noise, scalar.
        record_every: a divisor of n_steps, static.
        n_noisy: steps with noise, 0 to n_steps; the rest "cools". Default: all.
        kind: "rademacher" (cheap: 32 signs from one random word) or "gaussian", static.
        observe: of (w, z), returns an array or a pytree of them; default: w. As for gradient, the
            same function does not recompile.

    Returns: what observe returns, stacked: n_steps // record_every + 1 rows, the start included.
        Overflow is returned as inf and nan. The dtype is that of w0 and gradient together. [t] in
        everything but what is static. For several runs use `jax.vmap` over keys; or make them the
        last axis of w0, with `jax.vmap(gradient, -1, -1)`: on a CPU that is twice as fast where a
        point is small.
    Raises: TypeError or ValueError naming the argument.
    Source: Orvieto et al., arXiv 2202.02831, for kappa 0 and 1; kappa between: derived in
        chapters/noise.

    >>> import jax
    >>> flat = run(jnp.zeros_like, jnp.zeros(2), jax.random.key(0), step_size=0.1, sigma=1.0,
    ...            n_steps=1000, record_every=500)
    >>> bool((jnp.abs(flat) <= 2).all())
    True
    """
    if kind not in KINDS:
        raise ValueError(
            f"kind: got {kind!r}, 'gaussian' or 'rademacher' is needed; 'rademacher' is cheaper."
        )
    start = jnp.asarray(arguments.real("w0", w0), arguments.precision(w0))
    slope = as_pytree("gradient", gradient)
    dtype = _precision(slope, start)
    start = start.astype(dtype)
    n_steps = arguments.count("n_steps", n_steps)
    every = _divisor("record_every", record_every, "n_steps", n_steps)
    numbers = (
        jnp.asarray(_number("step_size", step_size, positive=True), dtype),
        jnp.asarray(_number("sigma", sigma, least=0), dtype),
        jnp.asarray(_number("kappa", kappa), dtype),
    )
    noisy = jnp.asarray(_n_noisy(n_noisy, n_steps), jnp.int32)
    seen = as_pytree("observe", _weights if observe is None else observe)
    return _run(slope, seen, start, key, *numbers, noisy, n_steps=n_steps, every=every, kind=kind)


def _weights(w: Array, z: Array) -> Array:
    return w


@partial(jax.jit, static_argnames=("n_steps", "every", "kind"))
def _run(
    gradient: Any,
    observe: Any,
    w0: Array,
    key: Any,
    eta: Array,
    sigma: Array,
    kappa: Array,
    n_noisy: Array,
    *,
    n_steps: int,
    every: int,
    kind: str,
) -> Any:
    n_records = n_steps // every
    size = _records_at_once(n_records, every)
    aligned = size * every % BLOCK == 0  # whether a block begins wherever noise is drawn
    first, later = jax.random.split(key)
    xi = white_noise(first, w0.shape, sigma=sigma, kind=kind, dtype=w0.dtype)

    def draw(n: Array, length: int) -> tuple[Array, Array]:
        """The blocks of noise in which the kicks n .. n + length - 1 are, and n in the first."""
        touched = -(-length // BLOCK) if aligned else (length + BLOCK - 2) // BLOCK + 1
        blocks = n // BLOCK + jnp.arange(touched)
        keys = jax.vmap(lambda block: jax.random.fold_in(later, block))(blocks)
        return jax.vmap(partial(_block, shape=w0.shape, kind=kind, dtype=w0.dtype))(keys), n % BLOCK

    def advance(carry: Any, noise: Array, offset: Array, length: int) -> Any:
        def step(carry: Any, i: Array) -> Any:
            z, w, n = carry
            kick = jnp.where(n < n_noisy, sigma * _kick(noise, offset + i, kind, w0.dtype), 0)
            z = z - eta * gradient(w) + (1 - kappa) * kick
            return (z, z + kappa * kick, n + 1), None

        # Not unrolled: XLA would fuse one step into the next and compute its sums many times.
        return lax.scan(step, carry, jnp.arange(length))[0]

    def chunk(carry: Any, n_records: int) -> Any:
        noise, offset = draw(carry[2], n_records * every)

        def record(carry: Any, j: Array) -> Any:
            carry = advance(carry, noise, offset + j * every, every)
            return carry, see(carry)

        return lax.scan(record, carry, jnp.arange(n_records))

    def long(carry: Any, _: None) -> Any:
        def piece(carry: Any, length: int) -> Any:
            return advance(carry, *draw(carry[2], length), length)

        size = _part(every, CHUNK, BLOCK)
        carry = lax.fori_loop(0, every // size, lambda _, carry: piece(carry, size), carry)
        carry = piece(carry, every % size) if every % size else carry
        return carry, see(carry)

    def see(carry: Any) -> Any:
        z, w, _ = carry
        return observe(w, z)

    # z and w are carried, not z and xi: a pass over memory less in each step on a CPU.
    z = w0 - kappa * xi
    carry = (z, z + kappa * xi, jnp.int32(0))
    parts = [jax.tree.map(lambda x: jnp.asarray(x)[None], observe(w0, z))]
    if every > CHUNK:
        parts.append(lax.scan(long, carry, length=n_records)[1])
    else:
        carry, rows = lax.scan(lambda c, _: chunk(c, size), carry, length=n_records // size)
        parts.append(jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), rows))
        if n_records % size:
            parts.append(chunk(carry, n_records % size)[1])
    return jax.tree.map(lambda *x: jnp.concatenate(x), *parts)


def _block(key: Any, *, shape: tuple[int, ...], kind: str, dtype: Any) -> Array:
    """The noise of BLOCK steps: a word of signs for each coordinate, or BLOCK normal numbers."""
    if kind == "rademacher":
        return jax.random.bits(key, shape, jnp.uint32)
    return white_noise(key, (BLOCK, *shape), dtype=dtype)


def _kick(noise: Array, i: Array, kind: str, dtype: Any) -> Array:
    """The noise of step i, of unit deviation, from blocks that lie one after the other."""
    block: Array = lax.dynamic_index_in_dim(noise, i // BLOCK, keepdims=False)
    if kind == "rademacher":
        bits = (block >> (i % BLOCK).astype(jnp.uint32)) & 1
        return 2 * bits.astype(dtype) - 1
    kick: Array = lax.dynamic_index_in_dim(block, i % BLOCK, keepdims=False)
    return kick


def _records_at_once(n_records: int, every: int) -> int:
    """How many records go to a chunk: CHUNK steps at most, in whole blocks if that can be."""
    most = min(n_records, max(1, CHUNK // every))
    whole = BLOCK // math.gcd(every, BLOCK)
    return _part(n_records, most, whole if most >= whole else 1)


def _part(whole: int, most: int, unit: int) -> int:
    """A multiple of unit up to most: the largest that divides whole, unless it is below most / 2.

    A divisor leaves no rest, whose loop would have to be compiled too.
    """
    sizes = range(most - most % unit, most // 2, -unit)
    return next((size for size in sizes if whole % size == 0), most - most % unit)


def as_pytree(name: str, function: Any) -> Any:
    """A function as a pytree that `jax.jit` takes: itself if it is one, else without leaves.

    >>> as_pytree("gradient", abs).func is abs
    True
    """
    if not callable(function):
        raise TypeError(
            f"{name}: got {function!r}, a function is needed; "
            f"pass one such as landscapes.quadratic(A).gradient."
        )
    leaf = jax.tree_util.all_leaves([function])
    return Partial(function) if leaf else function  # type: ignore[no-untyped-call]


def _precision(gradient: Any, w: Array) -> Any:
    """The floating type of w and of the gradient, which must have the shape of w."""
    found = jax.eval_shape(gradient, w)
    if getattr(found, "shape", None) != w.shape:
        raise ValueError(
            f"gradient: returns {found}, an array of shape {w.shape} like w0 is needed; "
            f"pass the gradient of the loss at one point."
        )
    return jnp.promote_types(found.dtype, w.dtype)


def _number(name: str, value: Any, *, positive: bool = False, least: float = -np.inf) -> Any:
    """Return `value` as a finite scalar, positive or at least `least` where it is concrete."""
    number = arguments.real(name, value)
    if number.ndim:
        raise ValueError(
            f"{name}: got shape {number.shape}, one number is needed; "
            f"map over several with jax.vmap."
        )
    if not arguments.is_traced(number) and (number < least or (positive and number <= 0)):
        needed = "a positive number" if positive else f"a number of at least {least}"
        raise ValueError(f"{name}: got {number}, {needed} is needed; change its sign or value.")
    return number


def _divisor(name: str, value: Any, whole_name: str, whole: int) -> int:
    number = arguments.count(name, value)
    if whole % number:
        raise ValueError(
            f"{name}: got {number}, a divisor of the {whole} steps of {whole_name} is needed; "
            f"use {whole_name} of {whole - whole % number} steps."
        )
    return number


def _n_noisy(value: Any, n_steps: int) -> Any:
    if value is None:
        return n_steps
    if arguments.is_traced(value):
        return arguments.real("n_noisy", value)
    return arguments.count("n_noisy", value, least=0, most=n_steps)
