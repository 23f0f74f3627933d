"""What a linear RNN with given poles can remember, without a Gram matrix.

The RNN with poles a_1, ..., a_S sees its input through S filters 1, a_s, a_s^2, ...; their Gram
matrix is singular to working precision as soon as poles cluster. Here the poles are the sections of
a lossless filter, one behind the other. A section takes x_n, keeps w_n and passes on y_n:

    w_n = a w_{n-1} + d x_n,    y_n = d w_{n-1} - conj(a) x_n,    d = sqrt(1 - |a|^2),

and (w_n, y_n) is a unitary image of (w_{n-1}, x_n): nothing is amplified, whatever the poles. The S
numbers w of all sections are what the RNN knows, in orthonormal coordinates (the
Malmquist-Takenaka basis). What has come out of the last section is lost for good.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike
from numpy.typing import NDArray

from optdyn import arguments

WORST = {"float64": 1e12, "float32": 1e5}  # condition of equations that are solved


class Poles(NamedTuple):
    """Poles of a linear RNN in logarithmic form, which keeps 1 - |a_s| when it is small.

    a_s = exp(-decay_s + 1j * phase_s)

    Args: decay, shape (S,), positive, per step; phase, shape (S,), radians per step. Both of a
        conjugate pair are listed. Where it is traced, a decay of 0 is a pole that is not there, so
        that an order can be masked to its maximum.
    Source: Orvieto et al., arXiv 2303.06349 (the LRU; their decay is exp(nu)).

    >>> Poles(np.log([2.0, 4.0]), np.zeros(2)).values.tolist()
    [(0.5+0j), (0.25+0j)]
    """

    decay: ArrayLike
    phase: ArrayLike

    @property
    def values(self) -> Any:
        """The complex poles a_s, shape (S,)."""
        if arguments.is_traced(self.decay) or arguments.is_traced(self.phase):
            decay, phase = jnp.asarray(self.decay), jnp.asarray(self.phase)
            return jnp.exp(lax.complex(-decay, phase))
        return np.exp(-np.asarray(self.decay) + 1j * np.asarray(self.phase))


def mt_realization(poles: Poles) -> tuple[Array, Array]:
    """The state equations in orthonormal coordinates.

    w_n = A w_{n-1} + B u_n;    A A^H + B B^H = I;    A is lower triangular, its diagonal the poles.

    White u of variance 1 gives E w w^H = I; (A^k B)_i = phi_i(k) is the i-th Malmquist-Takenaka
    function, and phi_1, ..., phi_S are an orthonormal basis of all filters with these poles.

    Args: poles, S of them; repeated ones are allowed.
    Returns: A, (S, S), and B, (S,), complex. [t]
    Raises: TypeError or ValueError naming the argument.
    Source: Heuberger, Van den Hof and Wahlberg (2005); as unitary sections: derived in
        chapters/shiftk.

    >>> A, B = mt_realization(Poles(np.log([2.0, 4.0]), np.zeros(2)))
    >>> bool(jnp.allclose(A @ A.conj().T + jnp.outer(B, B.conj()), jnp.eye(2), atol=1e-6))
    True
    """
    decay, phase = checked(poles)
    states: tuple[Array, Array] = _mt_realization(decay, phase)
    return states


def exit_time_pmf(poles: Poles, n: int) -> Array:
    """When a unit of energy leaves the lossless filter of these poles: a law of mean S.

    p_j = |beta_j|^2,    sum_j beta_j z^j = prod_s (z - conj(a_s)) / (1 - a_s z)

    sum_j p_j = 1, sum_j j p_j = S; the error of the best readout at lag k is p_0 + ... + p_k.

    Args: poles; n, static, how many values.
    Returns: shape (n,). [t]
    Raises: TypeError or ValueError naming the argument.
    Source: derived in chapters/shiftk.

    >>> exit_time_pmf(Poles(np.log([2.0]), np.zeros(1)), 3).tolist()
    [0.25, 0.5625, 0.140625]
    """
    decay, phase = checked(poles)
    size = arguments.count("n", n, most=2**24)
    law: Array = _exit_time_pmf(decay, phase, size)
    return law


def memory_curve(poles: Poles, n: int) -> Array:
    """The share of the input of k steps ago that the state holds, white input.

    M(k) = |A^k B|^2 = max over readouts of 1 - error;    M(0) >= M(1) >= ...,    sum_k M(k) = S

    Args: poles; n, static, how many lags.
    Returns: shape (n,), k = 0, ..., n - 1, right relatively, however small. [t]
    Raises: TypeError or ValueError naming the argument.
    Source: Jaeger (2001), where the sum is the memory capacity; the form: derived in
        chapters/shiftk.

    >>> memory_curve(Poles(np.log([2.0]), np.zeros(1)), 3).tolist()
    [0.75, 0.1875, 0.046875]
    """
    decay, phase = checked(poles)
    size = arguments.count("n", n, most=2**24)
    curve: Array = _memory_curve(decay, phase, size)
    return curve


def shift_error(
    poles: Poles, lag: int, *, rho: ArrayLike = 0.0, feedthrough: bool = False
) -> Array:
    """The error of the best readout of the input of `lag` steps ago, as a fraction of its variance.

    min over b (and D) of E |sum_s b_s x_{n,s} (+ D u_n) - u_{n-lag}|^2,    E u_n u_{n-k} = rho^|k|

    The input is made a section of its own, with pole rho, before the others; its state is u. Then
    E = 1 - |f|^2 with D, f = A^lag e_1; without D the part of f that needs u_n itself is taken out.
    rho = 0 without D is 1 - memory_curve(poles, lag + 1)[lag].

    Args: poles; lag, static, 0 or more; rho, in (-1, 1); feedthrough, static, whether the readout
        sees u_n.
    Returns: a scalar from 0 to 1, to a few units of the last place of 1. [t] in poles and rho.
    Raises: TypeError or ValueError naming the argument; ValueError in float32 above lag 10000.
    Source: derived in chapters/shiftk.

    >>> float(shift_error(Poles(np.log([2.0]), np.zeros(1)), 2))
    0.953125
    """
    decay, phase = checked(poles)
    lag = arguments.count("lag", lag, least=0)
    if decay.dtype == jnp.float32 and lag > 10_000:
        raise ValueError(
            f"lag: got {lag} in float32, at most 10000 is allowed, for the error is so close to 1 "
            f"that what is left has no digits; pass float64, or take memory_curve(poles, n)[lag]."
        )
    digits = _digits(lag)
    number = correlation(rho, decay.dtype)
    error: Array = _shift_error(decay, phase, number, digits, feedthrough=bool(feedthrough))
    return error


def optimal_filter(poles: Poles, lag: int, n: int, *, rho: ArrayLike = 0.0) -> Array:
    """The impulse response of the best readout, without the readout.

    c_k = w^H A^k B;    Q w = g,    Q = E w_n w_n^H,    g = E w_n conj(u_{n-lag})

    In orthonormal coordinates Q has its eigenvalues in the range of the spectrum of the input,
    [(1 - |rho|) / (1 + |rho|), (1 + |rho|) / (1 - |rho|)], whatever the poles; Q = I for rho = 0.

    Args: poles; lag, static, 0 or more; n, static, how many values; rho, in (-1, 1).
    Returns: c_0, ..., c_{n-1}, complex. [t] in poles and rho.
    Raises: TypeError or ValueError naming the argument; ValueError for rho too near -1 or 1: above
        0.99 in float32, 0.999998 in float64.
    Source: derived in chapters/shiftk.

    >>> optimal_filter(Poles(np.log([2.0]), np.zeros(1)), 2, 3).real.tolist()
    [0.1875, 0.09375, 0.046875]
    """
    decay, phase = checked(poles)
    lag = arguments.count("lag", lag, least=0, most=2**24 - 1)
    size = arguments.count("n", n, most=2**24)
    number = correlation(rho, decay.dtype)
    most = WORST[str(decay.dtype)]
    r = 0.0 if arguments.is_traced(rho) else abs(float(rho))  # type: ignore[arg-type]
    if ((1 + r) / (1 - r)) ** 2 > most:
        raise ValueError(
            f"rho: got {rho!r} in {decay.dtype}, ((1 + |rho|) / (1 - |rho|))^2 may be at most "
            f"{most:g}, for the equations would be solved wrongly; "
            f"{'pass float64' if decay.dtype == jnp.float32 else 'use shift_error'}."
        )
    response: Array = _optimal_filter(decay, phase, number, lag, size)
    return response


def optimal_readout(
    poles: Poles, lag: int, *, rho: float = 0.0
) -> tuple[NDArray[np.complexfloating[Any, Any]], float]:
    """The best readout of the diagonal RNN, by its Gram matrix, and how far that can be trusted.

    G b = g,    G_st = (1 - rho^2 p) / ((1 - p) (1 - rho conj(a_s)) (1 - rho a_t)),    g_s = sum
    over k of rho^|k - lag| conj(a_s)^k    (rho = 0: 1 / (1 - p) and conj(a_s)^lag),

    with p = conj(a_s) a_t, and 1 - p formed by expm1. G is scaled to a unit diagonal.

    Args: poles; lag, 0 or more; rho, in (-1, 1).
    Returns: b, shape (S,), of c_k = sum_s b_s a_s^k, in the precision of the poles, and the
        condition number. [h]
    Raises: TypeError or ValueError naming the argument; ValueError for a condition above 1e12
        (float64) or 1e5 (float32).
    Source: normal equations; derived in chapters/shiftk.

    >>> readout, condition = optimal_readout(Poles(np.log([2.0]), np.zeros(1)), 2)
    >>> readout.tolist(), condition
    ([(0.1875+0j)], 1.0)
    """
    if isinstance(poles, Poles):
        arguments.not_traced(**{"poles.decay": poles.decay, "poles.phase": poles.phase, "rho": rho})
    decay, phase = checked(poles, np)
    lag = arguments.count("lag", lag, least=0)
    correlation(rho, decay.dtype)
    r = decay.dtype.type(rho)
    log = -decay + 1j * phase
    a = np.exp(log)
    gram = -1 / expm1(log.conj()[:, None] + log)
    colour = 1 / (1 - r * a)
    gram = gram * (1 - r * r * a.conj()[:, None] * a) * colour.conj()[:, None] * colour
    moment = np.exp(lag * log.conj()) * colour.conj()
    if r:
        past = np.zeros_like(a)
        for k in range(lag):
            past = r * (past + np.exp(k * log.conj()))
        moment = moment + past
    scale = 1 / np.sqrt(gram.diagonal().real)
    scaled = scale[:, None] * gram * scale
    condition = float(np.linalg.cond(scaled))
    most = WORST[str(decay.dtype)]
    if not condition <= most:
        raise ValueError(
            f"poles: got a Gram matrix of condition {condition:.1e}, at most {most:g} can be "
            f"solved in {decay.dtype}; use optimal_filter and shift_error, which need no readout."
        )
    return scale * np.linalg.solve(scaled, scale * moment), condition


@jax.jit
def _mt_realization(decay: Array, phase: Array) -> tuple[Array, Array]:
    rows, _, _ = _sections(_logarithm(decay, phase), _share(decay))
    return rows[:, :-1], rows[:, -1]


@partial(jax.jit, static_argnames="n")
def _exit_time_pmf(decay: Array, phase: Array, n: int) -> Array:
    log = _logarithm(decay, phase)
    rows, last, direct = _sections(log, _share(decay))
    # beta_(1 + i m + k) = (C A^(i m)) (A^k B), m about sqrt(n): two short tables
    levels = (n - 1).bit_length()
    columns, A = _doubled(rows[:, -1:], rows[:, :-1], log, 0, levels // 2)
    table, _ = _doubled(last[:, None], A.T, log, levels // 2, levels - levels // 2)
    beta = jnp.concatenate([direct[None], _product(table.T, columns).reshape(-1)])[:n]
    return beta.real**2 + beta.imag**2


@partial(jax.jit, static_argnames="n")
def _memory_curve(decay: Array, phase: Array, n: int) -> Array:
    log = _logarithm(decay, phase)
    rows, _, _ = _sections(log, _share(decay))
    held = _powers(rows, log, n)
    return jnp.sum(held.real**2 + held.imag**2, axis=0)


@partial(jax.jit, static_argnames="feedthrough")
def _shift_error(decay: Array, phase: Array, rho: Array, digits: Array, feedthrough: bool) -> Array:
    log, share = _logarithm(decay, phase), _share(decay)
    own = jnp.sqrt((1 - rho) * (1 + rho))
    recalled = _recalled(log, share, rho, own, digits)
    if not feedthrough:
        # the direction of the states that is u_n less what is known of it from the past
        tail, others = lax.scan(_fade, jnp.ones_like(log[0]), (jnp.exp(log), share), reverse=True)
        present = jnp.concatenate([(own * tail)[None], others])
        present = present / jnp.sqrt(jnp.sum(present.real**2 + present.imag**2))
        recalled = recalled - present * jnp.vdot(present, recalled, precision="highest")
    return 1 - jnp.sum(recalled.real**2 + recalled.imag**2)


def _fade(tail: Array, section: tuple[Array, Array]) -> tuple[Array, Array]:
    pole, share = section
    return -tail * pole, share * tail


@partial(jax.jit, static_argnames=("lag", "n"))
def _optimal_filter(decay: Array, phase: Array, rho: Array, lag: int, n: int) -> Array:
    log = _logarithm(decay, phase)
    rows, _, _ = _sections(log, _share(decay))
    A, B = rows[:, :-1], rows[:, -1]
    held = _powers(rows, log, max(n, lag + 1))
    eye = jnp.eye(len(B), dtype=A.dtype)
    R = jnp.linalg.solve(eye - rho * A, eye)
    weights = jnp.power(rho, jnp.arange(lag, 0, -1).astype(rho.dtype)).astype(A.dtype)
    times = partial(jnp.matmul, precision="highest")
    g = times(R, held[:, lag]) + times(held[:, :lag], weights)
    w = jnp.linalg.solve(R + R.conj().T - eye, g)
    response: Array = times(w.conj(), held[:, :n])
    return response


def _sections(log: Array, share: Array) -> tuple[Array, Array, Array]:
    """Rows (A | B) of the states, the row C of the output w -> y, and D of the input u -> y."""

    def section(signal: Array, each: tuple[Array, Array, Array]) -> tuple[Array, Array]:
        pole, d, own = each
        return d * own - pole.conj() * signal, pole * own + d * signal

    size = len(log)
    start = jnp.zeros(size + 1, log.dtype).at[size].set(1)
    each = (jnp.exp(log), share.astype(log.dtype), jnp.eye(size, size + 1, dtype=log.dtype))
    out, rows = lax.scan(section, start, each)
    return rows, out[:-1], out[-1]


def _recalled(log: Array, share: Array, rho: Array, own: Array, digits: Array) -> Array:
    """F^n e_1 for n of these binary digits, the lowest first; F = [[rho, 0], [own B, A]].

    F has the section of the input (pole rho) before the others. Its powers are [[rho^n, 0], [g, A]]
    with A^n for A; squared, they have A g + rho^n g for g.
    """
    rows, _, _ = _sections(log, share)
    powers = jnp.asarray(np.ldexp(1.0, np.arange(len(digits))), rho.dtype)
    inputs, diagonals = jnp.power(rho, powers), jnp.exp(powers[:, None] * log)
    some = jnp.cumsum(digits[::-1])[::-1] > 0  # of this digit and the higher ones: not all 0

    def applied(A: Array, x: Array) -> Array:
        return _product(A, x[:, None])[:, 0]

    def step(carry: Any, each: Any) -> tuple[Any, None]:
        digit, some, r, after, diagonal = each

        def on(carry: Any) -> Any:
            A, g, first, others = carry
            g = applied(A, g) + r * g
            A = _with_diagonal(_product(A, A), diagonal)
            others = jnp.where(digit, applied(A, others) + first * g, others)
            return A, g, jnp.where(digit, after * first, first), others

        return lax.cond(some, on, lambda carry: carry, carry), None

    g = own * rows[:, -1]
    first, others = jnp.where(digits[0], rho, 1), jnp.where(digits[0], g, 0)
    start = rows[:, :-1], g, first, others
    each = (digits[1:], some[1:], inputs[:-1], inputs[1:], diagonals[1:])
    (_, _, first, others), _ = lax.scan(step, start, each)
    return jnp.concatenate([first[None], others])


def _doubled(x: Array, A: Array, log: Array, power: int, levels: int) -> tuple[Array, Array]:
    """x, A x, ..., A^(2^levels - 1) x as columns, and A^(2^levels).

    The poles of A are exp(2^power log). The columns are formed by doubling.
    """
    powers = np.ldexp(1.0, np.arange(power + 1, power + levels + 1))
    # Else each entry of a square would have an exponential computed for it.
    exact = jnp.exp(powers.astype(log.real.dtype)[:, None] * log)
    diagonals = lax.optimization_barrier(exact)  # type: ignore[no-untyped-call]
    for diagonal in diagonals:
        x = jnp.concatenate([x, _product(A, x)], axis=1)
        A = _with_diagonal(_product(A, A), diagonal)
    return x, A


def _powers(rows: Array, log: Array, n: int) -> Array:
    """B, A B, ..., A^(n - 1) B as columns."""
    columns, _ = _doubled(rows[:, -1:], rows[:, :-1], log, 0, (n - 1).bit_length())
    return columns[:, :n]


def _with_diagonal(square: Array, diagonal: Array) -> Array:
    """A power of A, whose diagonal is known exactly: so no error doubles with the power."""
    return jnp.where(jnp.eye(len(square), dtype=bool), diagonal, square)


@jax.custom_jvp
def _product(a: Array, b: Array) -> Array:
    """a @ b of complex matrices by four real products: on a CPU in half the time."""
    x, y, u, v = a.real, a.imag, b.real, b.imag
    times = partial(jnp.matmul, precision="highest")
    return lax.complex(times(x, u) - times(y, v), times(x, v) + times(y, u))


@_product.defjvp
def _product_jvp(values: Any, tangents: Any) -> tuple[Array, Array]:
    (a, b), (da, db) = values, tangents
    times = partial(jnp.matmul, precision="highest")  # whose transposes cost less than four's
    return _product(a, b), times(da, b) + times(a, db)


def _logarithm(decay: Array, phase: Array) -> Array:
    return lax.complex(-decay, phase)


def _share(decay: Array) -> Array:
    """d; 0 for a decay of 0, a section that only passes on: so sets of poles can be padded."""
    there = decay > 0
    share: Array = jnp.where(there, jnp.sqrt(-jnp.expm1(-2 * jnp.where(there, decay, 1))), 0)
    return share


def _digits(n: int) -> NDArray[np.bool_]:
    """Of n, the lowest first, in dozens: another n of so many dozens does not recompile."""
    return np.array([n >> i & 1 for i in range(max(-(-n.bit_length() // 12), 1) * 12)], bool)


def expm1(z: NDArray[Any]) -> NDArray[Any]:
    """exp(z) - 1 of complex numbers, without cancellation near 0; NumPy.

    >>> complex(expm1(np.array(1e-20 + 1e-20j)))
    (1e-20+1e-20j)
    """
    x, y = z.real, z.imag
    real = np.expm1(x) * np.cos(y) - 2 * np.sin(y / 2) ** 2
    value: NDArray[Any] = real + 1j * np.exp(x) * np.sin(y)
    return value


def checked(poles: Any, xp: Any = jnp) -> tuple[Any, Any]:
    """The decays and phases of `poles` as two arrays of one floating type, of jnp or np.

    >>> checked(Poles([0.5], [0]))[1].shape
    (1,)
    """
    fix = "pass filters.Poles(decay, phase), or Poles(-log|a|, angle(a)) of complex poles a"
    if not isinstance(poles, Poles):
        raise TypeError(f"poles: got {type(poles).__name__}, Poles is needed; {fix}.")
    decay = arguments.real("poles.decay", poles.decay)
    phase = arguments.real("poles.phase", poles.phase)
    if decay.ndim != 1 or decay.shape != phase.shape or decay.size == 0:
        raise ValueError(
            f"poles: got decay of shape {decay.shape} and phase of shape {phase.shape}, one shape "
            f"(S,) of both is needed, S at least 1; map over several sets of poles with jax.vmap."
        )
    if not arguments.is_traced(decay) and not (decay > 0).all():
        raise ValueError(
            f"poles.decay: got {decay[~(decay > 0)][0]}, positive numbers are needed, for poles "
            f"are inside the unit circle; pass -log|a|, or exp of a free parameter."
        )
    kind = arguments.precision(decay, phase)
    if kind not in (jnp.float32, jnp.float64):
        raise TypeError(
            f"poles: got {np.dtype(kind)}, float32 or float64 is needed; convert both arrays."
        )
    return xp.asarray(decay, kind), xp.asarray(phase, kind)


def correlation(rho: Any, kind: Any) -> Array:
    """`rho` as a scalar array of a floating type, if it is in (-1, 1).

    >>> float(correlation(0.5, float))
    0.5
    """
    number = arguments.real("rho", rho)
    if number.ndim or (not arguments.is_traced(number) and not -1 < number < 1):
        raise ValueError(
            f"rho: got {rho!r}, one number strictly between -1 and 1 is needed; map over several "
            f"with jax.vmap."
        )
    return jnp.asarray(number, kind)
