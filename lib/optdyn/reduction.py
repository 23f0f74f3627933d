"""Search for the poles that remember one lag best: optimal H2 reduction of a pure delay.

Neither search proves that what it finds is the best there is: the error has other local minima.
"""

import math
from collections import deque
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike
from numpy.typing import NDArray
from scipy.linalg import eigvals  # type: ignore[import-untyped]
from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped]

from optdyn import allpass, arguments
from optdyn.allpass import Poles

Complexes = NDArray[np.complex128]
Floats = NDArray[np.float64]
Objective = Callable[[Floats], tuple[float, Floats]]
STARTS = ((1.0, 1.5), (1.0, 2.0), (2.0, 1.3))  # alpha, spacing of equally spaced poles
SMALLEST = 1e-16  # an error that cannot be told from 0


def optimal_poles(
    order: int,
    lag: int,
    *,
    rho: float = 0.0,
    starts: Sequence[Poles] | None = None,
    method: str = "lbfgs",
    n_steps: int = 2000,
    step_size: float = 0.3,
) -> tuple[Poles, float]:
    """The best poles found for one lag, and their error: local minima, not proved global.

    min over poles of shift_error(poles, lag, rho=rho), the best of several starts

    The readout is eliminated, so only poles are searched, in the variables log(lag * decay) and
    lag * phase, which are of order 1; what is minimised is log(E / (1 - E)), of good scale whether
    E is near 0 or near 1. Orders are padded to 8, 16, 32, ... with poles that are not there: one
    compilation serves many orders and all lags below 4096. For order > lag the infimum 0 is not
    attained; poles near 0 with an error about 1e-16 are returned, whose readouts are huge.

    Args: order, at least 1; lag, 0 or more; rho, in (-1, 1), the input's correlation; starts, poles
        to start from (default: three equally spaced sets); method, "lbfgs" (over jitted
        gradients, one start after the other) or "gd" (plain gradient descent, n_steps steps
        of step_size); n_steps, at most.
    Returns: poles in NumPy float64, their phases centred as the start's, and the error. [h]
    Raises: TypeError or ValueError naming the argument; TypeError where JAX computes in float32.
    Source: variable projection, derived in chapters/shiftk.

    >>> where = jax if hasattr(jax, "enable_x64") else jax.experimental  # or set it for good
    >>> with where.enable_x64(True):
    ...     poles, error = optimal_poles(1, 4)
    >>> round(error, 8), float(np.exp(-2 * poles.decay)[0].round(6))  # the pole: a^2 = K / (K + 1)
    (0.91808, 0.8)
    """
    order = arguments.count("order", order)
    lag = arguments.count("lag", lag, least=0)
    arguments.not_traced(rho=rho)
    if jnp.result_type(float) != jnp.float64:
        raise TypeError(
            "rho: got float32 to compute in, float64 is needed, for a search needs errors to 12 "
            "digits; call jax.config.update('jax_enable_x64', True) before anything else."
        )
    number = allpass.correlation(rho, float)
    if method not in ("lbfgs", "gd"):
        raise ValueError(f"method: got {method!r}, 'lbfgs' or 'gd' is needed; 'lbfgs' is faster.")
    n_steps = arguments.count("n_steps", n_steps)
    arguments.step_size("step_size", step_size)
    centred = np.arange(order) - (order - 1) / 2
    turn = np.pi if rho < 0 else 0.0  # an input that alternates is one that does not, turned
    if starts is None:
        starts = [
            Poles(np.full(order, a / max(lag, 1)), turn + 2 * np.pi * centred / (p * max(lag, 1)))
            for a, p in STARTS
        ]
    elif isinstance(starts, Poles) or not len(starts):
        raise (TypeError if isinstance(starts, Poles) else ValueError)(
            f"starts: got {'one set of poles' if starts else 'none'}, a list of sets is needed; "
            f"wrap one as [poles], or leave starts out."
        )
    found: list[tuple[float, Poles]] = []
    if order > lag:
        decay = np.full(order, -math.log(SMALLEST) / (2 * order))
        starts = [Poles(decay, 2 * np.pi * centred / order)]
    for start in starts:
        poles = start
        if order <= lag:
            poles = _search(start, order, lag, number, method, n_steps, step_size)
        error = float(allpass.shift_error(poles, lag, rho=number))
        found.append((error if error == error else math.inf, poles))
    error, poles = min(found, key=lambda pair: pair[0])
    return poles, max(error, 0.0)


def _search(
    start: Poles, order: int, lag: int, rho: Array, method: str, n_steps: int, step_size: float
) -> Poles:
    decay, phase = allpass.checked(start, np)
    if len(decay) != order:
        raise ValueError(
            f"starts: got {len(decay)} poles, {order} are needed, one for each order; list both of "
            f"a conjugate pair."
        )
    size = max(8, 1 << (order - 1).bit_length())
    there = np.arange(size) < order
    x = np.zeros((2, size))
    x[:, there] = np.log(lag * decay), lag * phase
    fixed = (jnp.asarray(there), jnp.asarray(float(lag)), rho, allpass._digits(lag))
    if method == "gd":
        x = np.asarray(_descend(x, jnp.asarray(step_size, float), n_steps, *fixed))
    else:

        def objective(free: Floats) -> tuple[float, Floats]:
            x[:, there] = free.reshape(2, -1)
            value, slope = _value_and_slope(x, *fixed)
            return float(value), np.asarray(slope)[:, there].ravel()

        x[:, there] = _lbfgs(objective, x[:, there].ravel(), n_steps).reshape(2, -1)
    return Poles(np.exp(x[0, there]) / lag, x[1, there] / lag)


def _lbfgs(objective: Objective, x: Floats, n_steps: int, memory: int = 40) -> Floats:
    """L-BFGS with a weak Wolfe search. (SciPy's is as good, but its BLAS waits for threads here.)

    Source: Nocedal and Wright (2006), algorithm 7.4; the search: Lewis and Overton (2013).
    """
    value, slope = objective(x)
    pairs: deque[tuple[Floats, Floats, float]] = deque(maxlen=memory)
    for _ in range(n_steps):
        direction, shares = -slope, []
        for s, y, r in reversed(pairs):
            shares.append(r * (s * direction).sum())
            direction = direction - shares[-1] * y
        if pairs:
            s, y, r = pairs[-1]
            direction = direction / (r * (y * y).sum())
        else:
            direction = direction / max(1.0, float(np.abs(slope).max()))
        for (s, y, r), share in zip(pairs, reversed(shares), strict=True):
            direction = direction + (share - r * (y * direction).sum()) * s
        along = float((slope * direction).sum())
        low, high, step = 0.0, math.inf, 1.0
        for _ in range(30):
            new_value, new_slope = objective(x + step * direction)
            if not new_value <= value + 1e-4 * step * along:
                high = step
            elif (new_slope * direction).sum() < 0.9 * along:
                low = step
            else:
                break
            step = (low + high) / 2 if high < math.inf else 2 * low
        else:
            return x  # no progress that rounding lets us see
        s, y = step * direction, new_slope - slope
        pairs.append((s, y, float(1 / (s * y).sum())))
        fall, x, value, slope = value - new_value, x + s, new_value, new_slope
        if np.abs(slope).max() < 1e-9 or fall < 1e-15 * abs(value):
            break
    return x


def _logit(x: Array, there: Array, lag: Array, rho: Array, digits: Array) -> Array:
    decay = jnp.where(there, jnp.exp(x[0]) / lag, 0)
    error = allpass._shift_error(decay, x[1] / lag, rho, digits, feedthrough=False)
    error = jnp.maximum(error, SMALLEST)
    logit: Array = jnp.log(error / (1 - error))
    return logit


_value_and_slope = jax.jit(jax.value_and_grad(_logit))


@jax.jit
def _descend(x: Array, step_size: Array, n_steps: Array, *fixed: Array) -> Array:
    def step(_: Array, x: Array) -> Array:
        slope: Array = jax.grad(_logit)(x, *fixed)
        return x - step_size * slope

    end: Array = lax.fori_loop(0, n_steps, step, x)
    return end


def irka_step(values: ArrayLike, lag: int) -> Complexes:
    """One step of the iterative rational Krylov algorithm for the delay z^lag.

    The filter of order S that equals z^lag to first order at the mirrored poles conj(a_s):
    L_ij = (s_i^K - s_j^K) / (s_i - s_j),    M_ij the same of K + 1,    M v = z L v,    a = 1 / z.

    A fixed point satisfies the necessary conditions of an optimum. For S = 1 the step is
    a -> K / ((K + 1) conj(a)), which undoes itself: undamped, it alternates for ever.

    Args: values, complex poles, (S,), distinct, 0 < |a| < 1, S at most lag; lag, at least 1.
    Returns: the next poles, (S,), in no particular order, some of them perhaps not inside the unit
        circle. [h]
    Raises: TypeError or ValueError naming the argument.
    Source: Gugercin, Antoulas and Beattie (2008); the conditions: Meier and Luenberger (1967).

    >>> irka_step([0.9], 4).round(6).tolist()  # 0.8 / 0.9
    [(0.888889+0j)]
    """
    arguments.not_traced(values=values)
    lag = arguments.count("lag", lag)
    a = np.asarray(values)
    if a.ndim != 1 or not 1 <= len(a) <= lag or a.dtype.kind not in "fci":
        raise ValueError(
            f"values: got shape {a.shape} of {a.dtype}, from 1 to {lag} complex numbers (S,) are "
            f"needed, no more than the lag; pass poles.values."
        )
    s = a.astype(complex).conj()
    gap = s[:, None] - s
    np.fill_diagonal(gap, 1)
    outside = ~((np.abs(s) > 0) & (np.abs(s) < 1))
    if outside.any() or (gap == 0).any():
        bad = a[outside][0] if outside.any() else a[np.argwhere(gap == 0)[0, 0]]
        raise ValueError(
            f"values: got {bad}, {'a value' if outside.any() else 'a repeated value'}; distinct "
            f"poles with 0 < |a| < 1 are needed; reflect a pole outside by 1 / conj(a)."
        )
    pencil = []
    for power in (lag + 1, lag):
        top = s**power
        loewner = (top[:, None] - top) / gap
        np.fill_diagonal(loewner, power * s ** (power - 1))
        pencil.append(loewner)
    with np.errstate(divide="ignore", invalid="ignore"):
        new: Complexes = 1 / eigvals(*pencil)
    if not np.isfinite(new).all():
        raise ValueError(
            f"values: got poles as small as {np.abs(s).min():.2g}, whose power {lag} vanishes or "
            f"which are too close; start from equally spaced poles with |a| about exp(-1 / lag)."
        )
    return new


def irka(
    order: int,
    lag: int,
    *,
    damping: float = 0.5,
    n_steps: int = 200,
    start: ArrayLike | None = None,
) -> tuple[Poles, Complexes]:
    """The damped iterative rational Krylov algorithm for the delay z^lag, white input.

    a <- a * (a_new / a)^damping,    a_new from `irka_step`, outside the circle reflected

    New poles are matched with old ones so that the moves are smallest in all. With damping = 1 it
    is the usual algorithm, which does not settle here.

    Args: order, from 1 to lag; lag; damping, in (0, 1]; n_steps, all of them made; start, complex
        poles, (S,) (default: equally spaced, |a| = exp(-1 / lag)).
    Returns: the last poles and all of them, (n_steps + 1, S), complex, the start included. [h]
    Raises: TypeError or ValueError naming the argument.
    Source: Gugercin, Antoulas and Beattie (2008); damping: derived in chapters/shiftk.

    >>> poles, history = irka(1, 4, start=[0.7])
    >>> round(float(poles.values[0].real ** 2), 12), history.shape
    (0.8, (201, 1))
    """
    lag = arguments.count("lag", lag)
    order = arguments.count("order", order, most=lag)
    n_steps = arguments.count("n_steps", n_steps, least=0)
    share = arguments.real("damping", damping)
    if share.ndim or not 0 < share <= 1:
        raise ValueError(
            f"damping: got {damping!r}, one number in (0, 1] is needed; 0.5 settles, 1 does not."
        )
    centred = np.arange(order) - (order - 1) / 2
    a = np.exp((-1 + 2j * np.pi * centred / 1.3) / lag) if start is None else np.asarray(start)
    if a.shape != (order,):
        raise ValueError(
            f"start: got shape {a.shape}, ({order},) is needed, one pole for each order; leave "
            f"it out for equally spaced ones."
        )
    history = [a.astype(complex)]
    for _ in range(n_steps):
        new = irka_step(a, lag)
        new = np.where(np.abs(new) > 1, 1 / new.conj(), new)
        _, match = linear_sum_assignment(np.abs(np.log(new / a[:, None])))
        a = a * np.exp(damping * np.log(new[match] / a))
        history.append(a)
    return Poles(-np.log(np.abs(a)), np.angle(a)), np.array(history)
