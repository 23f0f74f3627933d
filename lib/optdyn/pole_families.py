"""Poles people start a linear RNN from: combs, state space models, rings, disks, the real line.

A pole is a_s = exp(-decay_s + 1j * phase_s), and every pole counts: `order` is the number of all of
them, conjugates included. `s4d` and `legt` return sets closed under conjugation; so do `equispaced`
and `full_comb`, whose poles are in order of phase, and `ring` if it is asked to. The other random
families draw each pole by itself. Nothing here has a readout.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from numpy.typing import NDArray
from scipy.special import ive, kve  # type: ignore[import-untyped]

from optdyn import arguments
from optdyn.allpass import Poles

KINDS = ("lin", "inv", "legs", "real")
LARGEST = 256  # order of `legt`: tested up to here


class Range(NamedTuple):
    """Numbers from low to high, both included if it is closed.

    >>> Range(0, 1, True).closed
    True
    """

    low: float
    high: float
    closed: bool = False


OPEN, POSITIVE = Range(0, 1), Range(0, math.inf)


def equispaced(order: int, lag: int, *, alpha: ArrayLike, spacing: ArrayLike = 2.0) -> Poles:
    """Poles of equal decay, equally spaced in phase around 0: a piece of a comb.

    decay = alpha / lag, phase_s = 2 pi (s - (order - 1) / 2) / (spacing * lag), s = 0..order - 1:
    whole multiples of the step for odd orders, half-integer ones for even.

    Args: order, lag, static, at least 1; alpha, spacing, positive scalars.
    Returns: Poles of shape (order,), closed under conjugation. [t] in alpha and spacing.
    Raises: TypeError or ValueError naming the argument.
    Source: spacing 2, odd order: Francois, Orvieto and Bach, COLT 2025; other spacings: derived in
        chapters/shiftk/2_mechanism.

    >>> print(np.round(8 / np.pi * np.asarray(equispaced(4, 8, alpha=1.0).phase), 3))
    [-1.5 -0.5  0.5  1.5]
    """
    order, lag = arguments.count("order", order), arguments.count("lag", lag)
    size, gap = _numbers(alpha=(alpha, POSITIVE), spacing=(spacing, POSITIVE))
    decay, step = size / lag, 2 * math.pi / (gap * lag)
    return Poles(jnp.full(order, decay), step * (jnp.arange(order) - (order - 1) / 2))


def full_comb(order: int, radius: ArrayLike) -> Poles:
    """Poles at equal angles on a whole circle: radius times the roots of unity.

    a_s = radius * exp(2 pi i s / order), s = 0..order - 1. They are `order` independent one-pole
    problems: E = 1 - (1 - r^2S) r^(2S m), m = floor(lag / S).

    Args: order, static, at least 1; radius, a scalar strictly between 0 and 1.
    Returns: Poles of shape (order,), phases in (-pi, pi]. [t] in radius.
    Raises: TypeError or ValueError naming the argument.
    Source: derived in chapters/shiftk/3_laboratory.

    >>> print(np.round(np.asarray(full_comb(4, 0.5).phase) / np.pi, 3))
    [-0.5  0.   0.5  1. ]
    """
    order = arguments.count("order", order)
    (size,) = _numbers(radius=(radius, OPEN))
    turns = jnp.arange(order) - (order - 1) // 2
    return Poles(jnp.full(order, -jnp.log(size)), (2 * math.pi / order) * turns.astype(size.dtype))


def s4d(order: int, *, step: float, kind: str = "lin") -> Poles:
    """The initial poles of the diagonal state space models S4D, discretised exactly.

    a = exp(step * lambda), with conjugates, n = 0..order/2 - 1:
    "lin":  lambda = -1/2 + i pi n (n = 0: twice the same pole);
    "inv":  lambda = -1/2 + i (order / pi) (order / (2n + 1) - 1);
    "legs": the eigenvalues of the normal part of HiPPO-LegS, -1/2 times the identity plus a
            skew-symmetric matrix of entries sqrt((n + 1/2)(k + 1/2)) below the diagonal;
    "real": lambda = -1..-order, no conjugates.

    Args: order, at least 1, even for "lin" and "inv"; step, positive: 1 / lag for a memory of the
        last `lag` inputs; kind as above.
    Returns: Poles of shape (order,), NumPy float64, the upper half plane first. [h]
    Raises: TypeError or ValueError naming the argument.
    Source: Gu, Goel, Gupta and Re, NeurIPS 2022.

    >>> s4d(4, step=0.25).phase / np.pi
    array([ 0.  ,  0.25, -0.  , -0.25])
    """
    order = arguments.count("order", order)
    if kind not in KINDS:
        raise ValueError(
            f"kind: got {kind!r}, one of {', '.join(map(repr, KINDS))} is needed; 'lin' is the "
            f"usual one."
        )
    size = _host("step", step)
    if kind == "real":
        return Poles(size * np.arange(1.0, order + 1), np.zeros(order))
    if kind == "legs":
        root = np.sqrt(np.arange(order) + 0.5)
        skew = np.tril(np.outer(root, root), -1)
        frequency = np.linalg.eigvalsh(1j * (skew.T - skew))
        frequency = (frequency[::-1] - frequency) / 2  # conjugates to the last digit
    else:
        n = np.arange(_half(order, f"kind={kind!r}"))
        line = np.pi * n
        inverse = order / np.pi * (order / (2 * n + 1) - 1)
        upper = line if kind == "lin" else inverse
        frequency = np.concatenate([upper, -upper])
    return Poles(np.full(order, size / 2), size * frequency)


def legt(order: int, *, horizon: float) -> Poles:
    """The poles of the Legendre memory unit: a Pade delay of `horizon` steps, discretised exactly.

    a = exp(lambda / horizon), lambda the eigenvalues of the HiPPO-LegT matrix, which are the roots
    of the denominator of the [S - 1 / S] Pade approximant of exp(-s), S = order. An eigenvalue
    solver in float64 keeps 8 digits at order 16 and none at 32, so they are found as zeros of
    modified Bessel functions: at lambda = -2 x,

        K_{S+1/2}(x) - K_{S-1/2}(x) + (-1)^S pi (I_{S+1/2}(x) + I_{S-1/2}(x)) = 0.

    Args: order, 1 to 256; horizon, positive.
    Returns: Poles of shape (order,), NumPy float64, closed under conjugation, by phase. [h]
    Raises: TypeError or ValueError naming the argument.
    Source: Voelker, Kajic and Eliasmith, NeurIPS 2019, for the unit; the equation is derived here.

    >>> legt(1, horizon=4.0).decay
    array([0.25])
    """
    order = arguments.count("order", order, most=LARGEST)
    rate = 1 / _host("horizon", horizon)
    x = _pade_poles(order)
    x = x[np.argsort(-x.imag)]
    x = (x + x[::-1].conj()) / 2  # conjugates to the last digit
    return Poles(2 * rate * x.real, -2 * rate * x.imag)


def _pade_poles(order: int) -> NDArray[np.complex128]:
    """Zeros x of the equation of `legt`, all at once by Aberth's iteration."""
    high, low = order + 0.5, order - 0.5
    sign = np.exp(-1j * np.pi * high)
    x: NDArray[np.complex128] = (
        0.75 * order * np.exp(1j * np.pi * (np.arange(order) - (order - 1) / 2) / order)
    )
    for _ in range(100):
        shrink = np.exp(-2 * x)  # the common factor exp(x) is left out
        turn = np.pi * 1j * np.exp(-1j * x.imag)
        k1, k0 = (sign * shrink * kve(nu, x) for nu in (high, low))
        i1, i0 = (turn * ive(nu, x) for nu in (high, low))
        value = k1 - k0 - i1 - i0
        slope = (k1 - k0) - (high * k1 + low * k0) / x - (i1 + i0) + (high * i1 - low * i0) / x
        newton = value / (slope + value * (high / x - 1))  # for the polynomial x^high exp(-x) value
        gap = x[:, None] - x
        np.fill_diagonal(gap, np.inf)
        step = newton / (1 - newton * (1 / gap).sum(axis=1))
        x = x - step
        x = np.abs(x.real) + 1j * x.imag
        if (np.abs(step) < 1e-14 * np.abs(x)).all():
            break
    return x


def ring(
    key: ArrayLike,
    order: int,
    *,
    r_min: ArrayLike,
    r_max: ArrayLike,
    max_phase: ArrayLike = math.pi,
    conjugate: bool = False,
) -> Poles:
    """Random poles, uniform by area on a ring or a slice of it: the start of the LRU.

    |a|^2 uniform on (r_min^2, r_max^2); phase uniform on (-max_phase, max_phase) or, with
    conjugate=True, on (0, max_phase) for half of the poles, the rest being their conjugates.

    Args: key, a JAX key; order, static, even with conjugate=True; 0 <= r_min <= r_max < 1, scalars;
        max_phase, a scalar in [0, pi].
    Returns: Poles of shape (order,). [t] in key, r_min, r_max, max_phase.
    Raises: TypeError or ValueError naming the argument.
    Source: Orvieto et al., arXiv 2303.06349.

    >>> poles = ring(jax.random.key(0), 6, r_min=0.9, r_max=0.99, conjugate=True)
    >>> bool(jnp.all(poles.decay[:3] == poles.decay[3:]))
    True
    """
    order = arguments.count("order", order)
    inner, outer, widest = _numbers(
        r_min=(r_min, Range(0, 1, True)),
        r_max=(r_max, OPEN),
        max_phase=(max_phase, Range(0, math.pi, True)),
    )
    kind = inner.dtype
    if not any(map(arguments.is_traced, (r_min, r_max))) and inner > outer:
        raise ValueError(
            f"r_min: got {r_min}, at most r_max = {r_max} is needed; exchange the two."
        )
    free = _half(order, "conjugate=True") if conjugate else order
    radius_key, phase_key = jax.random.split(key)
    share = _open_uniform(radius_key, free, kind)
    decay = -jnp.log(inner**2 + share * (outer - inner) * (outer + inner)) / 2
    phase = widest * jax.random.uniform(phase_key, (free,), kind, 0 if conjugate else -1, 1)
    if conjugate:
        return Poles(jnp.tile(decay, 2), jnp.concatenate([phase, -phase]))
    return Poles(decay, phase)


def disk(key: ArrayLike, order: int) -> Poles:
    """Random poles, uniform by area on the unit disk: the limit of Glorot's dense matrix.

    |a|^2 uniform on (0, 1), phase uniform on (-pi, pi), each pole by itself.

    Args: key, a JAX key; order, static, at least 1.
    Returns: Poles of shape (order,), in the precision JAX computes in. [t] in key.
    Raises: TypeError or ValueError naming the argument.
    Source: Orvieto et al., arXiv 2303.06349.

    >>> disk(jax.random.key(0), 3).decay.shape
    (3,)
    """
    order = arguments.count("order", order)
    kind = arguments.precision()
    radius_key, phase_key = jax.random.split(key)
    decay = -jnp.log(_open_uniform(radius_key, order, kind)) / 2
    return Poles(decay, jax.random.uniform(phase_key, (order,), kind, -math.pi, math.pi))


def real_uniform(
    key: ArrayLike, order: int, *, low: ArrayLike = 0.0, high: ArrayLike = 1.0
) -> Poles:
    """Random real poles, uniform between low and high.

    A negative pole has phase pi.

    Args: key, a JAX key; order, static, at least 1; -1 <= low < high <= 1, scalars.
    Returns: Poles of shape (order,). [t] in key, low, high.
    Raises: TypeError or ValueError naming the argument.
    Source: the usual start of a real diagonal recurrence.

    >>> real_uniform(jax.random.key(0), 3).phase.tolist()
    [0.0, 0.0, 0.0]
    """
    order = arguments.count("order", order)
    least, most = _numbers(low=(low, Range(-1, 1, True)), high=(high, Range(-1, 1, True)))
    kind = least.dtype
    if not any(map(arguments.is_traced, (low, high))) and least >= most:
        raise ValueError(f"low: got {low}, less than high = {high} is needed; exchange the two.")
    a = least + (most - least) * _open_uniform(key, order, kind)
    a = jnp.where(a == 0, np.finfo(kind).tiny, a)
    return Poles(-jnp.log(jnp.abs(a)), jnp.where(a < 0, math.pi, jnp.zeros_like(a)))


def _open_uniform(key: ArrayLike, size: int, kind: Any) -> Array:
    """Uniform numbers strictly between 0 and 1."""
    return jax.random.uniform(key, (size,), kind, np.finfo(kind).tiny, 1)


def _half(order: int, why: str) -> int:
    if order % 2:
        raise ValueError(
            f"order: got {order}, an even number is needed with {why}, for conjugates are counted; "
            f"take {order + 1}."
        )
    return order // 2


def _numbers(**given: tuple[Any, Range]) -> list[Array]:
    """The named numbers, if they are in their ranges, as scalars of one floating type."""
    for name, (value, allowed) in given.items():
        _number(name, value, allowed)
    kind = arguments.precision(*(value for value, _ in given.values()))
    return [jnp.asarray(value, kind) for value, _ in given.values()]


def _host(name: str, value: Any) -> float:
    arguments.not_traced(**{name: value})
    return float(_number(name, value, POSITIVE))


def _number(name: str, value: Any, allowed: Range) -> Any:
    low, high, closed = allowed
    number = arguments.real(name, value)
    if number.ndim:
        raise ValueError(
            f"{name}: got shape {number.shape}, one number is needed; map over several with "
            f"jax.vmap."
        )
    if not arguments.is_traced(number):
        inside = low <= number <= high if closed else low < number < high
        if not inside:
            ends = "from {:.4g} to {:.4g}" if closed else "strictly between {:.4g} and {:.4g}"
            wanted = "positive, finite" if high == math.inf else ends.format(low, high)
            usual = 1.0 if high == math.inf else (low + high) / 2
            raise ValueError(
                f"{name}: got {number}, a number {wanted} is needed; start from {usual:.4g}."
            )
    return number
