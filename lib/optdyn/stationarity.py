"""Closed forms: stationary laws, exit times and landing places of noisy gradient descent.

theta = step_size * curvature throughout. All but `stationary_variance` for kappa compute on the
host in NumPy float64.
"""

import math
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from numpy.typing import NDArray
from scipy.optimize import brentq  # type: ignore[import-untyped]
from scipy.special import gamma, zeta  # type: ignore[import-untyped]

from optdyn import arguments

Floats = NDArray[np.float64]


def polylogarithm(order: float, a: float) -> float:
    """Li_order(a) = sum over k >= 1 of k^-order a^k, for the orders that fractional noise needs.

    Args: order, in [-2, 0]; a, in (-1, 1).
    Returns: a float, to about 12 digits; to 1e-12 next to the zero at order = -2, a = -1. [h]
    Raises: TypeError or ValueError naming the argument.
    Source: the series; for a < 0 summed by Cohen, Rodriguez Villegas and Zagier (2000); towards 1
        by Gamma(1 - s) m^(s - 1) + sum over k of zeta(s - k) (-m)^k / k!, m = -log a.

    >>> polylogarithm(-1.0, 0.5)
    2.0
    """
    s, x = _number("order", order, -2, 0, ends=True), _number("a", a, -1, 1)
    return x * _over_argument(s, 1 - x)


def _over_argument(s: float, gap: float) -> float:
    """Li_s(a) / a with a = 1 - gap; 1 at a = 0. The gap is what is known exactly near a = 1."""
    a = 1 - gap
    if s in (0, -1, -2):
        return float((1 + a if s == -2 else 1.0) / gap ** (1 - s))
    if a < -1e-3:
        return _alternating(lambda k: (k + 1.0) ** -s * (-a) ** k)
    if a < 0.3:
        return float(sum((k + 1.0) ** -s * a**k for k in range(60)))
    mu = -math.log1p(-gap)
    near = [_zeta(s - k) * (-mu) ** k / math.factorial(k) for k in range(25)]
    return float(gamma(1 - s) * mu ** (s - 1) + math.fsum(near)) / a


def _zeta(x: float) -> float:
    """Riemann's zeta function for x <= 0, by its reflection."""
    x = 1 - (1 - x)  # so that 1 - x below is exact: near 0 it meets a pole
    if x == 0:
        return -0.5
    angle = math.sin(math.pi * math.fmod(x, 4) / 2)
    return float(2**x * math.pi ** (x - 1) * angle * gamma(1 - x) * zeta(1 - x))


def _alternating(term: Any, n: int = 24) -> float:
    """sum over k >= 0 of (-1)^k term(k): n terms weighted by Chebyshev polynomials."""
    d = (3 + math.sqrt(8)) ** n
    d = (d + 1 / d) / 2
    b, c, total = -1.0, -d, 0.0
    for k in range(n):
        c = b - c
        total += c * term(k)
        b *= (k + n) * (k - n) / ((k + 0.5) * (k + 1))
    return total / d


def stationary_variance(
    theta: ArrayLike, *, kappa: ArrayLike | None = None, hurst: ArrayLike | None = None
) -> Any:
    """Variance at rest of gradient descent on a quadratic, for noise of unit deviation.

    x' = (1 - theta) x + kick. kappa: the kicks are xi' - kappa xi, and the variance is
    ((1 - kappa)^2 + 2 kappa theta) / (theta (2 - theta)); 0 is PGD, 1 is Anti-PGD. hurst: they are
    unit fractional Gaussian noise, and it is (1 - a) / (a (1 + a)) Li_{-2 hurst}(a), a = 1 - theta.

    Args: theta, in (0, 2), any shape; exactly one of kappa, finite, and hurst, in [0, 1], of shapes
        that go with it.
    Returns: for kappa a JAX array if anything is one, else float64 [t]; for hurst float64 [h].
    Raises: TypeError or ValueError naming the argument.
    Source: derived in chapters/noise.

    >>> float(stationary_variance(0.5, kappa=0.0)), float(stationary_variance(0.5, hurst=0.5))
    (1.3333333333333333, 1.3333333333333333)
    """
    if (kappa is None) == (hurst is None):
        raise ValueError(
            f"kappa, hurst: got {'none of them' if kappa is None else 'both'}, exactly one is "
            f"needed; kappa=0 is PGD, kappa=1 is Anti-PGD."
        )
    t = arguments.real("theta", theta, finite=False)
    if not arguments.is_traced(t):
        _between("theta", t, 0, 2)
    if hurst is None:
        k = arguments.real("kappa", kappa)
        _together("kappa", k, t)
        on_host = not (arguments.is_traced(t) or arguments.is_traced(k))
        xp: Any = np if on_host and not _is_jax(theta, kappa) else jnp
        t, k = xp.asarray(t, float if on_host else arguments.precision(theta)), xp.asarray(k)
        return ((1 - k) ** 2 + 2 * k * t) / (t * (2 - t))
    arguments.not_traced(theta=theta, hurst=hurst)
    h = arguments.real("hurst", hurst, finite=False)
    _between("hurst", h, 0, 1, ends=True)
    _together("hurst", h, t)
    pairs = np.broadcast(t, h)
    values = [_fractional(float(x), float(y)) for x, y in pairs]
    return np.reshape(values, pairs.shape)[()]


def _fractional(theta: float, hurst: float) -> float:
    return theta / (2 - theta) * _over_argument(-2 * hurst, theta)


def saddle_exit_time(growth: float, *, hurst: float, radius: float, sigma: float = 1.0) -> float:
    """Mean number of steps in which fractional noise carries x from 0 to |x| >= radius.

    x' = growth * x + sigma * g, g unit fractional Gaussian noise. growth^-n x_n tends to a normal
    variable of variance sigma^2 K, K = (b - 1) / (b (b + 1)) Li_{-2 hurst}(1 / b), b = growth, so
    E n = (log(radius / (sigma sqrt K)) + (gamma_E + log 2) / 2) / log b + 1/2, the half for the
    overshoot of the last step. Good where radius is much larger than sigma sqrt K, and refused
    where it would be less than one step.

    Args: growth, above 1; hurst, in [0, 1]; radius and sigma, positive.
    Returns: a float; its error falls as sigma / radius does. [h]
    Raises: TypeError or ValueError naming the argument.
    Source: derived in chapters/noise.

    >>> round(saddle_exit_time(1.05, hurst=0.5, radius=1000), 2)
    131.76
    """
    b = _number("growth", growth, 1, math.inf)
    h = _number("hurst", hurst, 0, 1, ends=True)
    r, s = _number("radius", radius, 0, math.inf), _number("sigma", sigma, 0, math.inf)
    spread = _fractional((b - 1) / b, h) / b**2
    mean_log = (np.euler_gamma + math.log(2)) / 2
    steps = (math.log(r / s) - math.log(spread) / 2 + mean_log) / math.log(b) + 0.5
    if steps < 1:
        least = r * b ** (1 - steps)
        raise ValueError(
            f"radius: got {r:g}, at least {least:g} is needed, from where on the law gives a step "
            f"or more, and much more for it to be close; take {10 * least:g}."
        )
    return steps


def valley_beta(dim: int, kappa: float) -> tuple[float, float]:
    """Parameters (a, b) of the law of step_size |u|^2 / 2 at rest in the widening valley.

    a = (d - 1) / 2, b = 3/2 + 2 kappa / (1 - kappa)^2, for small noise xi' - kappa xi of any size.

    Args: dim, of u, at least 2; kappa, in [0, 1).
    Returns: (a, b) of the Beta law. [h]
    Raises: TypeError or ValueError naming the argument.
    Source: derived in chapters/noise.

    >>> valley_beta(8, 0.0)
    (3.5, 1.5)
    """
    d = arguments.count("dim", dim, least=2)
    k = _number("kappa", kappa, 0, 1, low=True)
    return (d - 1) / 2, 1.5 + 2 * k / (1 - k) ** 2


def valley_mean_field(
    n_steps: int,
    *,
    dim: int,
    start: float,
    step_size: float,
    sigma: float,
    kind: str = "rademacher",
) -> Floats:
    """E |p_n|^2 of Anti-PGD in the widening valley, p the u-part of z, with v averaged out.

    P' = P (1 - 2 eta m2 + eta^2 m4) + eta^2 m4 d sigma^2, P_0 = start + d sigma^2, where
    rho = eta (P + d sigma^2), m2 = 2 sigma^2 / (2 - rho) and m4 are the moments of v at rest.

    Args: n_steps; dim, d of u; start, |u_0|^2; step_size; sigma; kind, of the noise, as in `run`.
    Returns: float64, (n_steps + 1,); nan from where rho reaches 2. [h]
    Raises: TypeError or ValueError naming the argument.
    Source: derived in chapters/noise.

    >>> valley_mean_field(1000, dim=32, start=100, step_size=0.00125, sigma=0.39**0.5)[-1:].round(2)
    array([40.22])
    """
    n, d = arguments.count("n_steps", n_steps, least=0), arguments.count("dim", dim)
    eta = _number("step_size", step_size, 0, math.inf)
    variance = _number("sigma", sigma, 0, math.inf, low=True) ** 2
    if kind not in ("rademacher", "gaussian"):
        raise ValueError(f"kind: got {kind!r}, 'gaussian' or 'rademacher' is needed.")
    p = np.full(n + 1, np.nan)
    p[0] = _number("start", start, 0, math.inf, low=True) + d * variance
    for i in range(n):
        rho = eta * (p[i] + d * variance)
        if not rho < 2:
            break
        m2, q2 = 2 * variance / (2 - rho), rho * variance / (2 - rho)
        m4 = 3 * q2**2 + 6 * q2 * variance + (1 if kind == "rademacher" else 3) * variance**2
        p[i + 1] = p[i] * (1 - 2 * eta * m2 + eta**2 * m4) + eta**2 * m4 * d * variance
    return p


def valley_landing(hurst: float, *, dim: int, step_size: float, sigma: float) -> float:
    """E |u|^2 at which fractional noise of deviation sigma comes to rest in the widening valley.

    U = d sigma^2 V(eta sigma^2 V(eta U)), V = `stationary_variance` at that hurst: each of u and v
    moves in the curvature that the other makes.

    Args: hurst, in [0, 1/2); dim, d of u; step_size, eta; sigma.
    Returns: U, a float; inf where there is none below the edge of stability, 2 / eta. [h]
    Raises: TypeError or ValueError naming the argument.
    Source: derived in chapters/noise.

    >>> round(valley_landing(0.1, dim=8, step_size=0.0025, sigma=0.8**0.5), 2)
    10.25
    """
    h = _number("hurst", hurst, 0, 0.5, low=True)
    d, eta = arguments.count("dim", dim), _number("step_size", step_size, 0, math.inf)
    variance = _number("sigma", sigma, 0, math.inf) ** 2

    def excess(log_u: float) -> float:
        u = math.exp(log_u)
        theta_u = eta * variance * _fractional(eta * u, h)
        if theta_u >= 2:
            return math.inf
        return math.log(d * variance * _fractional(theta_u, h)) - log_u

    logs = np.linspace(math.log(1e-9 / eta), math.log(2 / eta * (1 - 1e-9)), 400)
    values = [excess(x) for x in logs]
    for i in range(len(logs) - 1):
        if values[i] > 0 >= values[i + 1] and math.isfinite(values[i]):
            return math.exp(brentq(excess, logs[i], logs[i + 1], xtol=1e-13))
    return math.inf


class ValleyTheorem(NamedTuple):
    """The constants under which PGD climbs and Anti-PGD slides, in expectation.

    >>> valley_theorem(0.25, 100, 32).least_dim
    32
    """

    step_size: float
    least_dim: int
    variance_up: float
    variance_down: float


def valley_theorem(alpha: float, sharpness: float, dim: int) -> ValleyTheorem:
    """What the theorem on the widening valley asks for, with |u_0|^2 = D.

    eta = alpha / (2 D). PGD: d >= 2 / alpha^2 and sigma^2 <= min(alpha^3 D / 2, D / (8 alpha)) give
    lim E |u_n|^2 >= D / alpha. Anti-PGD: sigma^2 <= alpha D / (2 d) as well gives <= alpha D.

    Args: alpha, in (0, 1); sharpness, D > 0; dim, d of u.
    Returns: step_size; least_dim, of PGD's part; variance_up and variance_down, the largest sigma^2
        of PGD's and of Anti-PGD's part. [h]
    Raises: TypeError or ValueError naming the argument.
    Source: Orvieto et al., arXiv 2202.02831, Theorem 3.1.

    >>> valley_theorem(0.25, 100, 32).variance_down
    0.390625
    """
    a, D = _number("alpha", alpha, 0, 1), _number("sharpness", sharpness, 0, math.inf)
    d = arguments.count("dim", dim)
    up = min(a**3 * D / 2, D / (8 * a))
    return ValleyTheorem(a / (2 * D), math.ceil(2 / a**2), up, min(up, a * D / (2 * d)))


def _is_jax(*values: Any) -> bool:
    return any(isinstance(value, jnp.ndarray) for value in values)


def _together(name: str, value: Any, theta: Any) -> None:
    try:
        np.broadcast_shapes(value.shape, theta.shape)
    except ValueError:
        raise ValueError(
            f"{name}: got shape {value.shape}, one that goes with theta's {theta.shape} is needed; "
            f"add axes of length 1 for a table of both."
        ) from None


def _between(name: str, value: Any, least: float, most: float, *, ends: bool = False) -> None:
    inside = (value >= least) & (value <= most) if ends else (value > least) & (value < most)
    if not np.all(inside):
        bad = np.asarray(value)[~np.asarray(inside)].flat[0]
        brackets = "[]" if ends else "()"
        raise ValueError(
            f"{name}: got {bad}, a number in {brackets[0]}{least}, {most}{brackets[1]} is needed; "
            f"outside of it there is no such law."
        )


def _number(
    name: str, value: Any, least: float, most: float, *, ends: bool = False, low: bool = False
) -> float:
    """One number between two bounds; `ends`: both may be reached, `low`: the lower one may."""
    arguments.not_traced(**{name: value})
    number = arguments.real(name, value, finite=False)
    if number.ndim:
        raise ValueError(f"{name}: got shape {number.shape}, one number is needed; loop over them.")
    x = float(number)
    above = x >= least if ends or low else x > least
    below = x <= most if ends and math.isfinite(most) else x < most
    if not (above and below):
        left, right = "[" if ends or low else "(", "]" if ends else ")"
        raise ValueError(
            f"{name}: got {x:g}, a number in {left}{least:g}, {most:g}{right} is needed; "
            f"see the docstring for its meaning."
        )
    return x
