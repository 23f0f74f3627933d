"""The statistics inside Adam, of a given stream of gradients g_1, g_2, ...: no weights, no loss.

Time is the leading axis of a stream; everything else is coordinate by coordinate. Averages start
from 0 and are computed in float32 at least. A direction is 0 where its denominator is 0.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike

from optdyn import arguments
from optdyn.averages import decay, mass, nonnegative, positive, quotient, rates
from optdyn.sign_descent import (
    sign_descent_stationary_variance as sign_descent_stationary_variance,
)

METHODS = ("adam", "signum")
ORDERS = ("old||new", "new||old")


def ema(x: ArrayLike, beta: ArrayLike, *, init: str = "zero", debias: bool = False) -> Array:
    """Exponential moving average.

    m_k = beta * m_{k-1} + (1 - beta) * x_k, k = 1, 2, ..., from m_0 = 0 (init "zero") or from
    m_1 = x_1 (init "first"). debias divides by the sum of the weights of x_1..x_k: 1 - beta^k for
    "zero"; for "first" that is 1 already.

    Args: x, shape (T, ...), T at least 1, time first; beta, in [0, 1), a scalar or an array that
        broadcasts to x.shape[1:]; init, debias, static.
    Returns: m_1..m_T, shape of x. [t] in x and beta; there nan and inf go on, concrete ones are
        refused.
    Raises: TypeError or ValueError naming the argument.
    Source: Orvieto and Gower, arXiv 2505.21829, equation (1).

    >>> ema(np.array([4.0, 0.0, 8.0]), 0.5).tolist()
    [2.0, 1.0, 4.5]
    >>> ema(np.array([4.0, 0.0, 8.0]), 0.5, init="first").tolist()
    [4.0, 2.0, 5.0]
    """
    if init not in ("zero", "first"):
        raise ValueError(f"init: got {init!r}, 'zero' or 'first' is needed; Adam uses 'zero'.")
    stream = _stream("x", x)
    a, b = rates(decay("beta", beta, stream.shape[1:]), stream.dtype)
    average: Array = _ema(stream, a, b, init=init)
    if debias and init == "zero":
        average = average / _masses(average, b)
    return average


@partial(jax.jit, static_argnames="init")
def _ema(x: Array, a: Array, b: Array, *, init: str = "zero") -> Array:
    def step(m: Array, new: Array) -> tuple[Array, Array]:
        m = b * new + a * m
        return m, m

    if init == "first":
        return jnp.concatenate([x[:1], lax.scan(step, x[0], x[1:])[1]])
    return lax.scan(step, jnp.zeros_like(x[0]), x)[1]


def mean_variance_filter(gradients: ArrayLike, beta: ArrayLike) -> tuple[Array, Array]:
    """The two averages of Adam with equal betas, as an online mean and an online variance.

    m_k = beta * m_{k-1} + (1 - beta) * g_k,
    s_k = beta * s_{k-1} + beta * (1 - beta) * (g_k - m_{k-1})^2, from zeros.

    s_k = v_k - m_k^2 >= 0 exactly, v_k the average of the squares; that difference cancels in
    floating-point numbers and may come out negative, this recursion cannot.

    Args: gradients, shape (T, ...), time first; beta, in [0, 1), broadcasts to gradients.shape[1:].
    Returns: (m, s), each of the shape of gradients. [t]
    Raises: TypeError or ValueError naming the argument.
    Source: Orvieto and Gower, arXiv 2505.21829, Proposition 1.

    >>> m, s = mean_variance_filter(np.array([4.0, 0.0]), 0.5)
    >>> m.tolist(), s.tolist()
    ([2.0, 1.0], [4.0, 3.0])
    """
    stream = _stream("gradients", gradients, squares=True)
    a, b = rates(decay("beta", beta, stream.shape[1:]), stream.dtype)
    mean, variance = _mean_variance(stream, a, b)
    return mean, variance


@jax.jit
def _mean_variance(g: Array, a: Array, b: Array) -> tuple[Array, Array]:
    def step(old: tuple[Array, Array], new: Array) -> tuple[Any, Any]:
        m, s = old
        both = b * new + a * m, a * s + a * b * jnp.square(new - m)
        return both, both

    zero = jnp.zeros_like(g[0])
    both: tuple[Array, Array] = lax.scan(step, (zero, zero), g)[1]
    return both


def adam_direction(
    gradients: ArrayLike,
    b1: ArrayLike,
    b2: ArrayLike,
    *,
    eps: ArrayLike = 0.0,
    bias_correction: bool = False,
) -> Array:
    """The direction of Adam on a given stream: what is multiplied by the learning rate.

    d_k = m_k / (sqrt(v_k) + eps), m_k and v_k the averages (b1, b2) of g and of g^2; with
    bias_correction, of m_k / (1 - b1^k) and v_k / (1 - b2^k). b1 = 0: RMSprop; b1 = b2 = 0: the
    sign of g_k.

    Squares are formed: with eps = 0, where v_k underflows (|g| below 1e-19 in float32, 1e-154 in
    float64) d_k is 0. Multiply such a stream by a constant.

    Args: gradients, shape (T, ...), time first; b1, b2, in [0, 1), eps, 0 or more, each a scalar or
        broadcasting to gradients.shape[1:]; bias_correction, static.
    Returns: shape of gradients. [t]
    Raises: TypeError or ValueError naming the argument.
    Source: Kingma and Ba, ICLR 2015, Algorithm 1.

    >>> d = adam_direction(np.array([-3.0, 0.0]), 0.5, 0.75, bias_correction=True)
    >>> [round(x, 4) for x in d.tolist()]
    [-1.0, -0.5092]
    """
    stream = _stream("gradients", gradients, squares=True)
    shape, dtype = stream.shape[1:], stream.dtype
    a1, c1 = rates(decay("b1", b1, shape), dtype)
    a2, c2 = rates(decay("b2", b2, shape), dtype)
    small = jnp.asarray(nonnegative("eps", eps, shape), dtype)
    m, v = _ema(stream, a1, c1), _ema(jnp.square(stream), a2, c2)
    if bias_correction:
        m, v = m / _masses(m, c1), v / _masses(v, c2)
    return quotient(m, jnp.sqrt(v) + small)


def family_direction(
    gradients: ArrayLike, beta: ArrayLike, kappa: ArrayLike, *, eps: ArrayLike = 0.0
) -> Array:
    """One family from Signum through Adam with equal betas to AdaBelief.

    d_k = m_k / (sqrt(m_k^2 + kappa * s_k) + eps), m and s of `mean_variance_filter`;
    kappa = 0: the sign of m_k (Signum), 1: Adam(beta, beta); large: AdaBelief(beta, beta) divided
    by sqrt(kappa / beta).

    Args: gradients, shape (T, ...), time first; beta, in [0, 1), kappa, eps, 0 or more, each a
        scalar or broadcasting to gradients.shape[1:].
    Returns: shape of gradients, within [-1, 1]. [t]
    Raises: TypeError or ValueError naming the argument.
    Source: Orvieto and Gower, arXiv 2505.21829, C.4 (AdaVar); AdaBelief: derived in chapters/adam.

    >>> [round(d, 4) for d in family_direction(np.array([4.0, 0.0]), 0.5, 1.0).tolist()]
    [0.7071, 0.5]
    """
    m, s = mean_variance_filter(gradients, beta)
    weight = jnp.asarray(nonnegative("kappa", kappa, m.shape[1:]), m.dtype)
    small = jnp.asarray(nonnegative("eps", eps, m.shape[1:]), m.dtype)
    return quotient(m, jnp.sqrt(m * m + weight * s) + small)


def direction_bound(b1: ArrayLike, b2: ArrayLike, n_steps: ArrayLike | None = None) -> Any:
    """Sharp bound on the direction of Adam: the supremum of |d_k| over all streams.

    sup |d_k|^2 = (1 - b1)^2 / (1 - b2) * sum over j < k of (b1^2 / b2)^j;
    k -> infinity: b2 * (1 - b1)^2 / ((1 - b2) * (b2 - b1^2)) where b1^2 < b2, else infinite; it is
    at least 1, and 1 only for b1 = b2.

    eps = 0, no bias correction: with it, times `bias_correction_factor`. `extremal_gradients`
    attains it.

    Args: b1, b2, in [0, 1); n_steps, k, 1 or more; default: all k.
    Returns: a float, or an array where an argument is one; may be inf. [h]; [t] if one is traced.
    Raises: TypeError or ValueError naming the argument.
    Source: derived in chapters/adam, by Cauchy and Schwarz.

    >>> round(direction_bound(0.9, 0.999), 4), direction_bound(0.9, 0.9), direction_bound(0.9, 0.8)
    (7.2703, 1.0, inf)
    """
    xp, p, q = _either(b1, b2, n_steps)
    with np.errstate(all="ignore"):
        if n_steps is None:
            free = (p**2 < q) | (p == 0)
            below = xp.where(free & (p != q), (1 - q) * (q - p**2), 1)
            square = xp.where(p == q, 1, q * (1 - p) ** 2 / below)
            return _plain(xp.where(free, xp.sqrt(xp.maximum(square, 1)), np.inf))
        k = _steps("n_steps", n_steps)
        ratio = xp.where(p == 0, 0, p**2 / xp.where(q > 0, q, 1))
        flat = (ratio == 1) | (k == 1)
        log = xp.log(xp.where(flat, 0.5, ratio))
        terms = xp.where(flat, k, xp.expm1(k * log) / xp.expm1(log))
        terms = xp.where((q == 0) & (p > 0) & (k > 1), np.inf, terms)
        return _plain((1 - p) * xp.sqrt(terms / (1 - q)))


def extremal_gradients(b1: ArrayLike, b2: ArrayLike, n_steps: int) -> Array:
    """A stream on which the direction of Adam attains its bound at the last step.

    g_i = (b1 / b2)^(n_steps - i), i = 1..n_steps, divided by the largest.

    Args: b1, b2, in [0, 1), scalars; n_steps, static. For b2 = 0 < b1 nothing attains the bound:
        refused.
    Returns: shape (n_steps,), positive or 0. [t] in b1 and b2.
    Raises: TypeError or ValueError naming the argument.
    Source: derived in chapters/adam: equality in Cauchy and Schwarz.

    >>> extremal_gradients(0.5, 0.25, 3).tolist(), extremal_gradients(0.25, 0.5, 3).tolist()
    ([1.0, 0.5, 0.25], [0.25, 0.5, 1.0])
    """
    n = arguments.count("n_steps", n_steps)
    p, q = decay("b1", b1), decay("b2", b2)
    if not (arguments.is_traced(p) or arguments.is_traced(q)) and q == 0 < p:
        raise ValueError(
            f"b2: got 0 with b1 = {p}, b2 must be positive unless b1 is 0, for the bound is "
            f"infinite and not attained; pass a small b2."
        )
    dtype = arguments.precision(b1, b2)
    p, q = jnp.asarray(p, dtype), jnp.asarray(q, dtype)
    log = jnp.log(jnp.where(p == 0, 0, p / jnp.where(q > 0, q, 1)))
    back = jnp.arange(n - 1, -1, -1, dtype=dtype)  # steps before the last
    power = jnp.where(log > 0, back - (n - 1), back)
    return jnp.where(power == 0, 1, jnp.exp(jnp.where(power == 0, 0, power) * log))


def bias_correction_factor(t: ArrayLike, b1: ArrayLike, b2: ArrayLike) -> Array:
    """What bias correction multiplies the direction by, at step t: a schedule of learning rates.

    rho(t) = sqrt(1 - b2^t) / (1 - b1^t)

    Args: t, 1 or more, any shape; b1, b2, in [0, 1); the three broadcast.
    Returns: an array. [t]
    Raises: TypeError or ValueError naming the argument.
    Source: Laing and Orvieto, arXiv 2511.20516.

    >>> rho = bias_correction_factor(np.array([1, 12, 3915]), 0.9, 0.999)
    >>> [round(x, 4) for x in rho.tolist()]
    [0.3162, 0.1522, 0.99]
    """
    steps, p, q = _steps("t", t), decay("b1", b1, None), decay("b2", b2, None)
    dtype = jnp.promote_types(arguments.precision(t, b1, b2), jnp.float32)
    count = jnp.asarray(steps, dtype)
    first, second = (mass(count, rates(beta, dtype)[1]) for beta in (p, q))
    return jnp.sqrt(second) / first


def _masses(average: Array, rate: Array) -> Array:
    steps = jnp.arange(1, len(average) + 1, dtype=average.dtype)
    return mass(steps.reshape(-1, *[1] * (average.ndim - 1)), rate)


def variational_step(
    mean: ArrayLike, variance: ArrayLike, gradient: ArrayLike, lam: ArrayLike
) -> tuple[Array, Array]:
    """One step of online variational inference of a Gaussian: the minimiser, in closed form.

    m' = beta * m + (1 - beta) * g, s' = beta * s + beta * (1 - beta) * (m - g)^2,
    beta = 1 / (1 + lam): mean and variance of the mixture beta * N(m, s) + (1 - beta) * delta_g.
    They minimise `variational_objective` of order "old||new", and are `mean_variance_filter`.

    Args: mean, variance (0 or more), gradient, lam (positive); the four broadcast.
    Returns: (m', s'). [t]
    Raises: TypeError or ValueError naming the argument.
    Source: Orvieto and Gower, arXiv 2505.21829, Theorem 4.1; as moments: derived in chapters/adam.

    >>> m, s = variational_step(0.3, 0.7, -1.1, 0.25)
    >>> round(float(m), 4), round(float(s), 4)
    (0.02, 0.8736)
    """
    values = (
        arguments.real("mean", mean),
        nonnegative("variance", variance, None),
        arguments.real("gradient", gradient),
        positive("lam", lam),
    )
    dtype = arguments.precision(mean, variance, gradient, lam)
    m, s, g, weight = (jnp.asarray(value, dtype) for value in values)
    new = weight / (1 + weight)  # 1 - beta
    return m / (1 + weight) + new * g, (s + new * jnp.square(m - g)) / (1 + weight)


def variational_objective(
    mean: ArrayLike,
    variance: ArrayLike,
    old_mean: ArrayLike,
    old_variance: ArrayLike,
    gradient: ArrayLike,
    lam: ArrayLike,
    *,
    order: str = "old||new",
) -> Array:
    """Fit to a new gradient, and distance from the old Gaussian: what a variational step minimises.

    F = -log N(g; m, s) + KL / lam, KL = KL(N(m_old, s_old) || N(m, s)) for order "old||new", with
    the two exchanged for "new||old": then no averages minimise F, and for lam > 1 nothing does.

    Args: mean, variance (positive), old_mean, old_variance (positive), gradient, lam (positive);
        the six broadcast; order, static.
    Returns: F, in nats. [t]
    Raises: TypeError or ValueError naming the argument.
    Source: Orvieto and Gower, arXiv 2505.21829, Theorem 4.1.

    >>> round(float(variational_objective(0.0, 1.0, 0.0, 1.0, 0.0, 0.5)), 6)
    0.918939
    """
    if order not in ORDERS:
        raise ValueError(
            f"order: got {order!r}, 'old||new' or 'new||old' is needed; Adam is 'old||new'."
        )
    values = (
        arguments.real("mean", mean),
        positive("variance", variance),
        arguments.real("old_mean", old_mean),
        positive("old_variance", old_variance),
        arguments.real("gradient", gradient),
        positive("lam", lam),
    )
    dtype = arguments.precision(mean, variance, old_mean, old_variance, gradient, lam)
    m, s, m0, s0, g, weight = (jnp.asarray(value, dtype) for value in values)
    fit = (jnp.log(2 * jnp.pi * s) + jnp.square(g - m) / s) / 2
    above, below = (s0, s) if order == "old||new" else (s, s0)
    ratio = above / below
    return fit + (ratio - 1 - jnp.log(ratio) + jnp.square(m0 - m) / below) / (2 * weight)


def impulse_displacement(b1: ArrayLike, b2: ArrayLike) -> Any:
    """How far Adam walks on one gradient at the first step and zeros ever after, in learning rates.

    sum over k of |d_k| = (1 - b1) / (sqrt(1 - b2) * (1 - b1 / sqrt(b2))) where b1^2 < b2, else
    infinite; b1 = b2 = beta: sqrt(1 - beta) / (1 - sqrt(beta)). eps = 0, no bias correction.

    Args: b1, b2, in [0, 1).
    Returns: a float, or an array where an argument is one; may be inf. [h]; [t] if one is traced.
    Raises: TypeError or ValueError naming the argument.
    Source: derived in chapters/adam.

    >>> round(impulse_displacement(0.9, 0.9), 4), round(impulse_displacement(0.9, 0.999), 3)
    (6.1623, 31.766)
    """
    xp, p, q = _either(b1, b2)
    ends = p**2 < q
    left = xp.where(ends, 1 - p / xp.sqrt(xp.where(ends, q, 1)), 1)
    far = (1 - p) / xp.sqrt(1 - q) / left
    return _plain(xp.where(ends | (p == 0), far, np.inf))


def snr_response(snr: ArrayLike, beta: ArrayLike, *, method: str = "adam") -> Array:
    """How far a method steps on average, as a share of its learning rate, at a given
    signal-to-noise ratio x.

    g_k = mu + N(0, s^2), independent, x = mu / s, long after the start:
    "signum": E sign(m) = erf(x / sqrt(2 (1 - beta) / (1 + beta))), exact;
    "adam": E d = x / sqrt(1 + x^2), the limit beta -> 1 of Adam(beta, beta).

    Args: snr, any shape; beta, in [0, 1), broadcasts with it; method, "adam" or "signum", static.
    Returns: an array in [-1, 1]. [t]
    Raises: TypeError or ValueError naming the argument.
    Source: derived in chapters/adam.

    >>> [round(float(snr_response(0.1, 0.95, method=m)), 3) for m in ("adam", "signum")]
    [0.1, 0.468]
    """
    if method not in METHODS:
        raise ValueError(f"method: got {method!r}, 'adam' or 'signum' is needed.")
    ratio, memory = arguments.real("snr", snr), decay("beta", beta, None)
    dtype = arguments.precision(snr, beta)
    x, (a, b) = jnp.asarray(ratio, dtype), rates(memory, dtype)
    if method == "signum":
        return lax.erf(x * jnp.sqrt((1 + a) / (2 * b)))
    return jnp.broadcast_to(
        x / jnp.hypot(x, jnp.ones_like(x)), jnp.broadcast_shapes(x.shape, a.shape)
    )


def _stream(name: str, x: Any, *, squares: bool = False) -> Array:
    values = arguments.real(name, x)
    if name == "gradients" and not jnp.issubdtype(values.dtype, jnp.floating):
        raise TypeError(
            f"{name}: got values of type {values.dtype}, floating-point numbers are needed; "
            f"convert them with .astype(float)."
        )
    if values.ndim == 0 or len(values) == 0:
        raise ValueError(
            f"{name}: got shape {values.shape}, (T, ...) with T at least 1 is needed, time first; "
            f"wrap one value in a list."
        )
    stream = jnp.asarray(values, jnp.promote_types(arguments.precision(x), jnp.float32))
    if squares and not arguments.is_traced(values) and values.size:
        most = float(np.abs(values).max())
        if most > float(np.finfo(stream.dtype).max) ** 0.5 / 2:  # of differences, too
            raise ValueError(
                f"{name}: got {most:g} as the largest absolute value, squares of differences must "
                f"be finite in {stream.dtype}; multiply by a constant, the direction is the same."
            )
    return stream


def _steps(name: str, value: Any) -> Any:
    number = arguments.real(name, value)
    if not arguments.is_traced(number) and (number < 1).any():
        raise ValueError(
            f"{name}: got {number[number < 1].flat[0]}, steps are counted from 1; add 1."
        )
    return number


def _either(b1: Any, b2: Any, *others: Any) -> tuple[Any, Any, Any]:
    """jax.numpy or numpy, and two decay rates in its floating type."""
    first, second = decay("b1", b1, None), decay("b2", b2, None)
    if any(map(arguments.is_traced, (first, second, *others))):
        dtype = arguments.precision(first, second)
        return jnp, jnp.asarray(first, dtype), jnp.asarray(second, dtype)
    return np, first.astype(float), second.astype(float)


def _plain(value: Any) -> Any:
    """A float for one number of NumPy's."""
    return float(value) if isinstance(value, np.generic | np.ndarray) and not value.ndim else value
