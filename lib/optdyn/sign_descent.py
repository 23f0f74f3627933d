"""Descent by signs on a parabola h x^2 / 2: its exact stationary law, its paths, and its SDE.

x_{n+1} = x_n - step_size * sign(h x_n + sigma * Z): a walk of steps up or down by step_size on the
lattice step_size * (Z + offset), offset = x_0 / step_size. The stationary law follows from
detailed balance, on the host in NumPy float64.
"""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.scipy.special import erf
from jax.typing import ArrayLike
from numpy.typing import NDArray
from scipy.special import log_ndtr  # type: ignore[import-untyped]

from optdyn import arguments
from optdyn.anti_pgd import scalar

Floats = NDArray[np.float64]
NOISES = ("gaussian", "laplace", "t2", "cauchy")  # laws of a gradient's noise
SMALLEST = 1e-10  # curvature * step_size / sigma: there the lattice has about 10^6 positions
NEGLIGIBLE = 1e-30  # probability relative to the largest, below which the lattice is cut


def stationary_law(
    curvature: float,
    sigma: float,
    step_size: float,
    *,
    offset: float = 0.0,
    noise: str = "gaussian",
) -> tuple[Floats, Floats]:
    """Stationary law of descent by signs with noisy gradients on a parabola.

    p(x) F(-h x / sigma) = p(x + step_size) F(h (x + step_size) / sigma), F the distribution
    function of the noise: what goes up between two neighbours comes down. The walk has period 2:
    p is the average over time.

    Args: curvature h, sigma (scale of the noise; a standard deviation for "gaussian") and
        step_size, positive; offset, of the lattice step_size * (Z + offset); noise, one of NOISES.
    Returns: positions, ascending, and their probabilities, of sum 1; positions of probability
        under 1e-30 of the largest are left out. [h]
    Raises: TypeError or ValueError naming the argument; ValueError if h * step_size / sigma is
        below 1e-10, for more than 10^6 positions.
    Source: derived in chapters/adam.

    >>> positions, probabilities = stationary_law(1.0, 1e-3, 1.0)
    >>> positions.tolist(), probabilities.tolist()
    ([-1.0, 0.0, 1.0], [0.25, 0.5, 0.25])
    """
    h, s, eta = _setting(curvature, sigma, step_size)
    place, ratio = _number("offset", offset) % 1.0, h / s * eta
    _noise(noise)
    if ratio < SMALLEST:
        raise ValueError(
            f"step_size: got {step_size}, curvature * step_size / sigma is {ratio:.1e}, at least "
            f"{SMALLEST:g} is allowed, for the law covers more than 10^6 positions; take it as "
            f"normal, with the variance of sign_descent_stationary_variance."
        )
    up = _one_side(noise, place, ratio, 1)
    down = _one_side(noise, place, ratio, -1)
    logs = np.concatenate([down[:0:-1], up])
    weights = np.exp(logs - logs.max())
    kept = weights > NEGLIGIBLE
    positions = eta * (np.arange(1 - len(down), len(up)) + place)
    probabilities: Floats = weights[kept] / weights.sum()
    return positions[kept], probabilities


def _one_side(noise: str, place: float, ratio: float, way: int) -> Floats:
    """log p relative to the one at `place`, for the positions from there up or down."""
    logs, first = [np.zeros(1)], 0
    chunk = 64
    while logs[-1][-1] > -80:
        y = np.asarray(way * ratio * (place + way * np.arange(first, first + chunk + 1)), float)
        with np.errstate(over="ignore", under="ignore", divide="ignore"):
            gained = _log_cdf(noise, -y[:-1]) - _log_cdf(noise, y[1:])
        logs.append(logs[-1][-1] + np.cumsum(gained))
        first, chunk = first + chunk, 2 * chunk
    return np.concatenate(logs)


def _log_cdf(noise: str, y: Floats) -> Any:
    """log F(y), without cancellation in the lower tail."""
    if noise == "gaussian":
        return np.asarray(log_ndtr(y))
    if noise == "laplace":
        tail = np.exp(-np.abs(y)) / 2
        return np.where(y < 0, -np.abs(y) - math.log(2), np.log1p(-tail))
    if noise == "t2":
        root = np.hypot(y, math.sqrt(2))
        return np.where(
            y < 0, -np.log(root) - np.log(root + np.abs(y)), np.log1p(np.abs(y) / root) - np.log(2)
        )
    return np.asarray(np.log(np.arctan2(1, -y) / np.pi))


def sign_descent_stationary_variance(
    curvature: float,
    sigma: float,
    step_size: float,
    *,
    offset: float = 0.0,
    noise: str = "gaussian",
) -> float:
    """E x^2 of descent by signs on a parabola: exact, not its SDE's.

    sum over x of p(x) x^2, p the law of `stationary_law`. For small r = h * step_size / sigma
    and Gaussian noise it is step_size sqrt(pi / 8) sigma / h (1 + sqrt(pi / 2) r / 4 + O(r^2)).

    Args, raises: as `stationary_law`, but for Gaussian noise step_size may be as small as you like.
    Returns: a float. [h]
    Source: derived in chapters/adam.

    >>> round(sign_descent_stationary_variance(1.0, 1.0, 0.1), 7)
    0.0646482
    """
    h, s, eta = _setting(curvature, sigma, step_size)
    ratio = h / s * eta
    if ratio < 1e-9 and _noise(noise) == "gaussian":  # the next term is below rounding
        _number("offset", offset)
        return eta / h * s * math.sqrt(math.pi / 8) * (1 + math.sqrt(math.pi / 2) * ratio / 4)
    x, p = stationary_law(h, s, eta, offset=offset, noise=noise)
    return eta * eta * float(p @ (x / eta) ** 2)


def mean_sign(snr: ArrayLike, *, noise: str = "gaussian") -> Array:
    """Mean of the sign of a noisy number: the drift of descent by signs.

    E sign(snr + Z) = 2 F(snr) - 1. At x = snr it is erf(x / sqrt 2) for "gaussian",
    sign(x) (1 - e^-|x|) for "laplace", x / sqrt(2 + x^2) for "t2" and 2 atan(x) / pi for "cauchy".

    Args: snr, any shape: the mean over the scale of the noise; noise, one of NOISES, static.
    Returns: shape of snr. [t]
    Raises: TypeError or ValueError naming the argument.
    Source: Monzio Compagnoni et al., ICLR 2025, arXiv 2411.15958, for the first; the rest derived
        in chapters/adam.

    >>> mean_sign(jnp.array([0.0, 1.0]), noise="cauchy").round(6).tolist()
    [0.0, 0.5]
    """
    _noise(noise)
    arguments.real("snr", snr, finite=False)
    x = jnp.asarray(snr, arguments.precision(snr))
    if noise == "gaussian":
        return erf(x / math.sqrt(2))
    if noise == "laplace":
        return -jnp.sign(x) * jnp.expm1(-jnp.abs(x))
    if noise == "t2":
        return x / jnp.sqrt(2 + x * x)
    return 2 / math.pi * jnp.arctan(x)


def sign_descent_paths(
    x0: ArrayLike, noise: ArrayLike, *, curvature: ArrayLike, sigma: ArrayLike, step_size: ArrayLike
) -> Array:
    """Paths of descent by signs on a parabola, for given noise.

    x <- x - step_size * sign(curvature * x + sigma * noise[n])

    Args: x0, any shape, one a path; noise, of unit scale, shape (n_steps, *x0.shape), time first;
        curvature, sigma, step_size, scalars.
    Returns: shape (n_steps + 1, *x0.shape), the start included. [t]
    Raises: TypeError or ValueError naming the argument.
    Source: Bernstein et al., ICML 2018, on a parabola.

    >>> kicks = jnp.array([1.0, -4.0])
    >>> sign_descent_paths(0.5, kicks, curvature=1.0, sigma=1.0, step_size=0.5).tolist()
    [0.5, 0.0, 0.5]
    """
    x, z, (h, s, eta) = _given(x0, noise, curvature=curvature, sigma=sigma, step_size=step_size)
    path: Array = _sign_paths(x, z, h, s, eta)
    return path


@jax.jit
def _sign_paths(x: Array, noise: Array, h: Array, s: Array, eta: Array) -> Array:
    def step(x: Array, z: Array) -> tuple[Array, Array]:
        x = x - eta * jnp.sign(h * x + s * z)
        return x, x

    return jnp.concatenate([x[None], lax.scan(step, x, noise)[1]])


def sign_descent_sde(
    x0: ArrayLike,
    noise: ArrayLike,
    *,
    curvature: ArrayLike,
    sigma: ArrayLike,
    step_size: ArrayLike,
    substeps: int = 4,
    law: str = "gaussian",
) -> Array:
    """Paths of the stochastic differential equation of descent by signs on a parabola.

    dX = -r(h X / sigma) dt + sqrt(step_size (1 - r^2)) dW, r = `mean_sign`, by Euler and Maruyama
    with steps of step_size / substeps: time n * step_size is step n of the descent.

    Args: x0, any shape; noise, N(0, 1), shape (n_steps * substeps, *x0.shape), time first;
        curvature, sigma, step_size, scalars; substeps, static; law, the noise of the gradients,
        one of NOISES, static.
    Returns: shape (n_steps + 1, *x0.shape): each `substeps`-th point, the start included. [t]
    Raises: TypeError or ValueError naming the argument.
    Source: Monzio Compagnoni et al., ICLR 2025, arXiv 2411.15958.

    >>> still = jnp.zeros((8, 1))
    >>> path = sign_descent_sde([1.0], still, curvature=1.0, sigma=1e-3, step_size=0.1)
    >>> [round(x, 3) for x in path[:, 0].tolist()]
    [1.0, 0.9, 0.8]
    """
    x, z, (h, s, eta) = _given(x0, noise, curvature=curvature, sigma=sigma, step_size=step_size)
    count = arguments.count("substeps", substeps)
    _noise(law, "law")
    if len(z) % count:
        raise ValueError(
            f"noise: got {len(z)} rows, a multiple of substeps = {count} is needed; draw "
            f"n_steps * substeps rows."
        )
    path: Array = _sde_paths(x, z.reshape(-1, count, *x.shape), h, s, eta, law=law)
    return path


@partial(jax.jit, static_argnames="law")
def _sde_paths(x: Array, noise: Array, h: Array, s: Array, eta: Array, *, law: str) -> Array:
    dt = eta / noise.shape[1]

    def substep(x: Array, z: Array) -> tuple[Array, None]:
        r = mean_sign(h * x / s, noise=law)
        return x - dt * r + jnp.sqrt(eta * dt * jnp.maximum(1 - r * r, 0)) * z, None

    def step(x: Array, kicks: Array) -> tuple[Array, Array]:
        x = lax.scan(substep, x, kicks)[0]
        return x, x

    return jnp.concatenate([x[None], lax.scan(step, x, noise)[1]])


def _noise(noise: Any, name: str = "noise") -> str:
    if not isinstance(noise, str) or noise not in NOISES:
        raise ValueError(
            f"{name}: got {noise!r}, one of {', '.join(map(repr, NOISES))} is needed; leave it out "
            f"for 'gaussian'."
        )
    return noise


def _number(name: str, value: Any) -> float:
    arguments.not_traced(**{name: value})
    scalar(name, value)
    return float(value)


def _positive(name: str, value: Any) -> Any:
    scalar(name, value)
    if not arguments.is_traced(value) and not np.asarray(value) > 0:
        raise ValueError(f"{name}: got {value!r}, it must be positive; pass a value such as 1.")
    return value


def _setting(curvature: Any, sigma: Any, step_size: Any) -> list[float]:
    values = {"curvature": curvature, "sigma": sigma, "step_size": step_size}
    arguments.not_traced(**values)
    return [float(_positive(name, value)) for name, value in values.items()]


def _given(x0: Any, noise: Any, **numbers: Any) -> tuple[Array, Array, list[Array]]:
    scalars = [_positive(name, value) for name, value in numbers.items()]
    for name, value in (("x0", x0), ("noise", noise)):
        arguments.real(name, value, finite=False)
    dtype = arguments.precision(x0, noise)
    x, z = jnp.asarray(x0, dtype), jnp.asarray(noise, dtype)
    if z.ndim != x.ndim + 1 or z.shape[1:] != x.shape or not len(z):
        raise ValueError(
            f"noise: got shape {z.shape}, (n_steps, *x0.shape) is needed, time first, with x0 of "
            f"shape {x.shape}; draw one row for each step."
        )
    return x, z, [jnp.asarray(number, dtype) for number in scalars]
