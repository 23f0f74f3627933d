"""How far back a linear RNN can look: its filters, their errors, and the bounds on them.

A linear RNN with poles a_1, ..., a_S and readout b is the filter c_k = sum_s b_s a_s^k. Asked for
its input of `lag` steps ago it is wrong by E |y_n - u_{n-lag}|^2, a fraction of the variance of u.
"""

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike
from numpy.typing import NDArray

from optdyn import arguments
from optdyn.allpass import (
    Poles,
    correlation,
    exit_time_pmf,
    memory_curve,
    mt_realization,
    optimal_filter,
    optimal_readout,
    shift_error,
)
from optdyn.reduction import irka, irka_step, optimal_poles

__all__ = [
    "Poles",
    "Widths",
    "arctan_law",
    "error_lower_bound",
    "exit_time_pmf",
    "explicit_filter",
    "irka",
    "irka_step",
    "memory_curve",
    "mt_realization",
    "optimal_filter",
    "optimal_poles",
    "optimal_readout",
    "shift_error",
    "widths",
]


def explicit_filter(
    order: int, lag: int, *, alpha: ArrayLike, spacing: ArrayLike = 2.0
) -> tuple[Poles, Array, Array]:
    """A filter by formula: equally spaced poles of equal decay, and a readout that lines them up.

    a_s = exp((-alpha + 2 pi i s / spacing) / lag),    b_s = size * exp(-2 pi i s / spacing),
    s = -(order - 1) / 2, ..., (order - 1) / 2;
    size = exp(-alpha) / (spacing * lag * sum over j of exp(-2 alpha (1 + j spacing))),

    j running over the echoes at lag (1 + j spacing) * lag >= 0, one at 0 counted half. All terms
    agree at k = lag, so c_lag = order * size * exp(-alpha). spacing = 2 is the paper's filter, with
    size = exp(-alpha) sinh(2 alpha) / lag and signs that alternate; its error is about
    1 - (1 - exp(-4 alpha)) / 2 * order / lag.

    Args: order, odd; lag, at least 1; alpha, positive; spacing, positive, the poles' distance in
        units of 2 pi / (spacing lag) (slightly above 1 is best).
    Returns: poles, the readout (order,), complex, and its exact error, white input (not the error
        of the best readout: `shift_error`). [t] in alpha and spacing.
    Raises: TypeError or ValueError naming the argument.
    Source: François, Orvieto and Bach (2025) for spacing = 2; other spacings: derived in
        chapters/shiftk.

    >>> poles, readout, error = explicit_filter(11, 40, alpha=1.3)
    >>> round(float(error), 5)
    0.87944
    """
    order, lag = arguments.count("order", order), arguments.count("lag", lag)
    if order % 2 == 0:
        raise ValueError(
            f"order: got {order}, an odd number is needed, for there is a pole at phase 0; use "
            f"pole_families.equispaced and shift_error for an even one."
        )
    for name, value in (("alpha", alpha), ("spacing", spacing)):
        number = arguments.real(name, value)
        if number.ndim or (not arguments.is_traced(number) and not number > 0):
            raise ValueError(
                f"{name}: got {value!r}, one positive number is needed; alpha = 1 and spacing = 2 "
                f"are a start."
            )
    kind = arguments.precision(alpha, spacing)
    parts: tuple[Poles, Array, Array]
    parts = _explicit(jnp.asarray(alpha, kind), jnp.asarray(spacing, kind), order, float(lag))
    return parts


@partial(jax.jit, static_argnames="order")
def _explicit(alpha: Array, spacing: Array, order: int, lag: float) -> tuple[Poles, Array, Array]:
    angle = 2 * jnp.pi * (jnp.arange(order) - order // 2) / spacing
    first = 1 - spacing * jnp.floor(1 / spacing)
    echoes = jnp.exp(-2 * alpha * first) / -jnp.expm1(-2 * alpha * spacing)
    size = jnp.exp(-alpha) / (spacing * lag * (echoes - jnp.where(first == 0, 0.5, 0.0)))

    # energy: sum over m of (order - |m|) exp(-i turn) / (1 - exp((i turn - 2 alpha) / lag))
    m = jnp.arange(1, order)
    turn = 2 * jnp.pi * m / spacing
    fall, rise = -jnp.expm1(-2 * alpha / lag), jnp.exp(-2 * alpha / lag)
    below = lax.complex(fall + 2 * rise * jnp.sin(turn / lag / 2) ** 2, -rise * jnp.sin(turn / lag))
    pairs = (order - m) * (jnp.exp(lax.complex(jnp.zeros_like(turn), -turn)) / below).real
    energy = size**2 * (order / fall + 2 * jnp.sum(pairs))
    error = 1 - 2 * order * size * jnp.exp(-alpha) + energy
    poles = Poles(jnp.full(order, alpha / lag), angle / lag)
    return poles, size * jnp.exp(lax.complex(jnp.zeros_like(angle), -angle)), error


def error_lower_bound(order: int, lag: int, *, rho: float = 0.0) -> float:
    """What no linear time-invariant state of this order gets below, whatever its poles.

    rho = 0: 1 - S / (K + 1);    else (1 / (K + 1)) * sum over i > S + 1 of lambda_i,

    with lambda_1 >= ... >= lambda_{K+1} the eigenvalues of the covariance rho^|i - j| of K + 1
    inputs: the error of their first S + 1 principal components. (S + 1: the input's own pole makes
    one more; so the bound jumps by 1 / (K + 1) at rho = 0.) lambda_i is the spectrum
    (1 - rho^2) / |exp(i theta) - |rho||^2 where K theta + 2 arg(exp(i theta) - |rho|) = i pi.

    Args: order S, at least 1; lag K, 0 or more; rho, in (-1, 1).
    Returns: a float in [0, 1), 0 for order > lag. [h]
    Raises: TypeError or ValueError naming the argument.
    Source: derived in chapters/shiftk; the eigenvalues: Kac, Murdock and Szegő (1953).

    >>> error_lower_bound(16, 63)
    0.75
    >>> round(error_lower_bound(8, 64, rho=0.9), 5)
    0.15518
    """
    order = arguments.count("order", order)
    lag = arguments.count("lag", lag, least=0)
    arguments.not_traced(rho=rho)
    correlation(rho, float)
    r = abs(float(rho))
    if r == 0:
        return max(0.0, (lag + 1 - order) / (lag + 1))
    goal = np.pi * np.arange(order + 2, lag + 2)
    low, high = np.zeros(len(goal)), np.full(len(goal), np.pi)
    for _ in range(55):
        theta = (low + high) / 2
        below = lag * theta + 2 * np.arctan2(np.sin(theta), np.cos(theta) - r) < goal
        low, high = np.where(below, theta, low), np.where(below, high, theta)
    eigenvalues = (1 - r) * (1 + r) / ((1 - r) ** 2 + 4 * r * np.sin((low + high) / 4) ** 2)
    return float(eigenvalues.sum() / (lag + 1))


def arctan_law(fraction: ArrayLike, rho: ArrayLike) -> Any:
    """The error of the best poles when lag and order grow with order / lag = fraction.

    1 - (2 / pi) arctan((1 + |rho|) / (1 - |rho|) * tan(pi x / 2)):

    the share of the spectrum (1 - rho^2) / |1 - rho exp(i omega)|^2 outside the band of measure
    2 pi x where it is largest. 1 - x for white input.

    Args: fraction x, in [0, 1]; rho, in (-1, 1); arrays are broadcast.
    Returns: a float for two numbers, else an array. [t]
    Raises: TypeError or ValueError naming the argument.
    Source: derived in chapters/shiftk (the lower side a proof, the upper side a sketch).

    >>> arctan_law(0.25, 0.0)
    0.75
    >>> round(arctan_law(0.125, 0.9), 5)
    0.16467
    """
    x, r = arguments.real("fraction", fraction), arguments.real("rho", rho)
    if not arguments.is_traced(x) and not ((x >= 0) & (x <= 1)).all():
        raise ValueError(
            f"fraction: got {x[~((x >= 0) & (x <= 1))].flat[0]}, numbers from 0 to 1 are needed; "
            f"pass order / lag."
        )
    if not arguments.is_traced(r) and not (np.abs(r) < 1).all():
        raise ValueError(
            f"rho: got {r[~(np.abs(r) < 1)].flat[0]}, numbers strictly between -1 and 1 are "
            f"needed; pass the correlation of neighbouring inputs."
        )
    traced = arguments.is_traced(x) or arguments.is_traced(r)
    xp: Any = jnp if traced else np
    r = abs(r)
    kept = (1 + r) * xp.sin(np.pi * x / 2)
    lost = (1 - r) * xp.sin(np.pi * (1 - x) / 2)
    law = 2 / np.pi * xp.arctan2(lost, kept)
    return law if traced or law.ndim else float(law)


class Widths(NamedTuple):
    """Where a filter looks, and how widely.

    peak, the lag of its largest value; fwhm, the full width of |c|^2 at half of its peak, linearly
    interpolated (nan where it does not fall to half on both sides); energy, |c|^2 summed over its
    value at the lag asked for; centroid, the mean lag under |c|^2; rms, the root mean square
    distance from the lag asked for. In steps.

    >>> Widths(2, 1.0, 1.0, 2.0, 0.0).peak
    2
    """

    peak: int
    fwhm: float
    energy: float
    centroid: float
    rms: float


def widths(c: ArrayLike, lag: int) -> Widths:
    """How widely a filter averages around a lag, in five numbers.

    Args: c, c_0, c_1, ..., real or complex, long enough that its rest does not matter (8 lag);
        lag, smaller than the length of c.
    Returns: `Widths`. [h]
    Raises: TypeError or ValueError naming the argument.
    Source: for the best poles and readout centroid = lag and energy = 1 / (1 - error): derived in
        chapters/shiftk.

    >>> widths([0.0, 1.0, 2.0, 1.0, 0.0], 2)
    Widths(peak=2, fwhm=1.3333333333333333, energy=1.5, centroid=2.0, rms=0.5773502691896257)
    """
    arguments.not_traced(c=c)
    values = np.asarray(c)
    size = np.hypot(arguments.real("c", values.real), arguments.real("c", values.imag))
    if size.ndim != 1 or not size.any():
        raise ValueError(
            f"c: got shape {size.shape}{'' if size.any() else ', all zero'}, the values (n,) of "
            f"one filter are needed, one of them not 0; pass optimal_filter(poles, lag, 8 * lag)."
        )
    lag = arguments.count("lag", lag, least=0, most=len(size) - 1)
    power = (size / size.max()) ** 2
    k = np.arange(len(power)) - lag
    peak = int(power.argmax())
    return Widths(
        peak=peak,
        fwhm=_until_half(power[peak::-1]) + _until_half(power[peak:]),
        energy=float(power.sum() / power[lag]) if power[lag] else math.inf,
        centroid=float(lag + k @ power / power.sum()),
        rms=math.sqrt(k**2 @ power / power.sum()),
    )


def _until_half(power: NDArray[np.float64]) -> float:
    below = np.flatnonzero(power < 0.5)
    if not below.size:
        return math.nan
    j = int(below[0])
    return float(j - 1 + (power[j - 1] - 0.5) / (power[j - 1] - power[j]))
