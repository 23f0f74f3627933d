"""A linear RNN run three ways, and taught to copy.

    x_n = a x_{n-1} + u_n (pole by pole),    y_n = Re sum_s b_s x_{n,s},    x_{-1} = 0,

so y = c * u with c_k = Re sum_s b_s a_s^k. A set of poles closed under conjugation, with a readout
to match, gives the same filter as the upper half of it with the readout doubled.
"""

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax  # type: ignore[import-untyped]
from jax import Array, lax
from jax.typing import ArrayLike

from optdyn import arguments
from optdyn.allpass import Poles, checked, correlation

METHODS = ("scan", "associative", "fft")
PARAMETRIZATIONS = ("lru", "direct")
OPTIMIZERS = ("adam", "sgd")
BLOCK = 64  # steps done at once by a matrix
BATCH = 16  # sequences to a step of learning from data


class Copying(NamedTuple):
    """What `train_copy` returns: m = n_steps // record_every + 1 records, the start included.

    losses (m,): the loss over all inputs (not of a batch); path: Poles of shape (m, S); poles and
    readout: the last ones, in the form `linear_rnn` takes.
    """

    losses: Array
    path: Poles
    poles: Poles
    readout: Array


def linear_rnn(
    poles: Poles,
    readout: ArrayLike,
    inputs: ArrayLike,
    *,
    method: str = "scan",
    block: int = BLOCK,
) -> Array:
    """The outputs of a linear RNN with zero initial state.

    y_n = Re sum_s b_s x_{n,s}, x_{n,s} = a_s x_{n-1,s} + u_n.
    "scan": the inputs in blocks. What a block adds to the state at its end, and to its own outputs,
    are products with matrices; the state is carried from block to block, one after another; block=1
    is the recurrence as it stands. "associative": the same, the states between blocks by a parallel
    prefix sum. "fft": no state; c_0..c_{T-1} is applied by Fourier transforms of length 2T or more.

    Args: poles, S of them; readout, (S,), real or complex; inputs, real, (T, *batch), time first;
        method, block, static.
    Returns: real, shape of inputs. [t] An inf or nan spoils all of its block, with "fft" all.
    Raises: TypeError or ValueError naming the argument.
    Source: the prefix sum: Blelloch (1990); in linear RNNs: Martin and Cundy, ICLR 2018.

    >>> poles = Poles(np.log([2.0]), np.zeros(1))
    >>> linear_rnn(poles, [1.0], [1.0, 0.0, 0.0, 4.0]).tolist()
    [1.0, 0.5, 0.25, 4.125]
    """
    if method not in METHODS:
        raise ValueError(
            f"method: got {method!r}, one of {', '.join(map(repr, METHODS))} is needed; 'scan' is "
            f"fast on a CPU."
        )
    block = arguments.count("block", block)
    signal: Any = inputs
    if not (isinstance(inputs, Array) and jnp.issubdtype(inputs.dtype, jnp.floating)):
        signal = arguments.real("inputs", inputs, finite=False)
    if signal.ndim == 0 or signal.size == 0:
        raise ValueError(
            f"inputs: got shape {signal.shape}, (T, *batch) is needed, time first; wrap one number "
            f"in a list."
        )
    decay, phase, weights = _model(poles, readout, signal)
    signal = jnp.asarray(signal, decay.dtype)
    block = min(block, len(signal))
    outputs: Array = _linear_rnn(decay, phase, weights, signal, method, block)
    return outputs


def impulse_response(poles: Poles, readout: ArrayLike, n: int) -> Array:
    """The filter of a linear RNN, before the real part is taken.

    c_k = sum_s b_s a_s^k, k = 0..n-1.

    Args: poles, S of them; readout, (S,), real or complex; n, static, at least 1.
    Returns: complex, (n,); real up to rounding if poles and readout come in conjugate pairs. [t]
    Raises: TypeError or ValueError naming the argument.
    Source: the definition.

    >>> impulse_response(Poles(np.log([2.0]), np.zeros(1)), [1.0], 3).real.tolist()
    [1.0, 0.5, 0.25]
    """
    n = arguments.count("n", n)
    response: Array = _impulse_response(*_model(poles, readout), n)
    return response


def copy_error(
    poles: Poles, readout: ArrayLike, lag: int, *, rho: ArrayLike = 0.0, n: int | None = None
) -> Array:
    """The mean square error of a given filter at recalling the input of `lag` steps ago.

    E |y_m - u_{m-lag}|^2 = sum over j >= 0 of v_j^2,
    v_j = rho v_{j-1} + sqrt(1 - rho^2) (c_j - [j = lag]): the difference of the filters, put
    through the filter that makes the input out of white noise. c_k = Re sum_s b_s a_s^k is cut at
    k = n; the sum over j >= n is in closed form.

    Args: poles, S of them; readout, (S,), as in `linear_rnn`; lag, n, static, n > lag (default
        8 * lag, at least 8); rho, correlation of neighbouring inputs, strictly between -1 and 1.
    Returns: a scalar, 1 for a readout of zeros; the least is `filters.shift_error`. [t]
    Raises: TypeError or ValueError naming the argument.
    Source: the loss of Francois, Orvieto and Bach, COLT 2025, for an autocovariance rho^|k|.

    >>> poles = Poles(np.log([2.0]), np.zeros(1))
    >>> print(f"{copy_error(poles, [0.75], 0):.4f} {0.25**2 + 0.75**2 / 3:.4f}")
    0.2500 0.2500
    """
    lag = arguments.count("lag", lag, least=0)
    n = _horizon(lag, n, 8)
    decay, phase, weights = _model(poles, readout)
    error: Array = _copy_error(decay, phase, weights, correlation(rho, decay.dtype), lag, n)
    return error


def small_readout(key: ArrayLike, poles: Poles, *, normalise: bool = True) -> Array:
    """A small random readout to start learning from.

    b_s = 2 g_s (p_s + i q_s) / 10, p and q normal of variance 1 / (4 S); g_s = sqrt(1 - |a_s|^2),
    which gives every state the same variance under white noise, or 1.

    Args: key, a JAX key; poles, S of them, conjugates left out; normalise, static: g_s is not 1.
    Returns: complex, (S,). [t]
    Raises: TypeError or ValueError naming the argument.
    Source: the normalisation: Orvieto et al., arXiv 2303.06349.

    >>> small_readout(jax.random.key(0), Poles(np.ones(3), np.zeros(3))).shape
    (3,)
    """
    decay, _ = checked(poles)
    parts = jax.random.normal(key, (2, len(decay)), decay.dtype) / (10 * math.sqrt(len(decay)))
    size = _normaliser(decay) if normalise else jnp.ones_like(decay)
    return size * lax.complex(parts[0], parts[1])


def train_copy(
    poles: Poles,
    readout: ArrayLike,
    *,
    lag: int,
    rho: ArrayLike = 0.0,
    n_steps: int,
    learning_rate: ArrayLike = 1e-2,
    horizon: int | None = None,
    key: ArrayLike | None = None,
    parametrization: str = "lru",
    optimizer: str = "adam",
    record_every: int = 1,
) -> Copying:
    """Teach a linear RNN to copy: to output its input of `lag` steps ago. Poles and readout learn.

    c_k = Re sum_s b_s a_s^k, so S poles are a filter of order 2S, their conjugates implied.
    "lru":    a = exp(-exp(nu) + i theta), b = 2 sqrt(1 - |a|^2) w; nu and w learn at learning_rate,
              theta at a tenth of it;
    "direct": Re a, Im a and w with b = 2 w, all at learning_rate. Nothing keeps |a| < 1.
    Without a key the loss is `copy_error`. With a key it is the mean of (y_n - u_{n-lag})^2 over
    n >= lag in 16 fresh Gaussian sequences a step, each of `horizon` inputs.

    Args: poles, S of them; readout, (S,), not all zero; lag, at least 1, n_steps, record_every,
        horizon (default 8 * lag, with a key 4 * lag), parametrization, optimizer ("adam" or "sgd"),
        static; rho, strictly between -1 and 1; learning_rate, a scalar.
    Returns: Copying. Losses past overflow are inf or nan. [t], so that jax.vmap runs many starts.
    Raises: TypeError or ValueError naming the argument.
    Source: "lru": Orvieto et al., arXiv 2303.06349.

    >>> start = Poles(np.full(2, 1 / 8), np.pi * np.array([0.5, 1.5]) / 8)
    >>> record = train_copy(start, small_readout(jax.random.key(0), start), lag=8, n_steps=500)
    >>> print(f"{record.losses[0]:.1f} {record.losses[-1]:.2f}")
    1.0 0.69
    """
    for name, value, allowed in (
        ("parametrization", parametrization, PARAMETRIZATIONS),
        ("optimizer", optimizer, OPTIMIZERS),
    ):
        if value not in allowed:
            raise ValueError(
                f"{name}: got {value!r}, {allowed[0]!r} or {allowed[1]!r} is needed; leave it out "
                f"for {allowed[0]!r}."
            )
    lag = arguments.count("lag", lag)
    n = _horizon(lag, horizon, 8 if key is None else 4, name="horizon")
    n_steps = arguments.count("n_steps", n_steps, least=0)
    every = arguments.count("record_every", record_every)
    decay, phase, weights = _model(poles, readout)
    rate = arguments.step_size("learning_rate", learning_rate)
    record: Copying = _train_copy(
        decay, phase, weights, correlation(rho, decay.dtype), jnp.asarray(rate, decay.dtype), key,
        lag, n, n_steps, every, parametrization, optimizer,
    )  # fmt: skip
    return record


@partial(jax.jit, static_argnames=("method", "block"))
def _linear_rnn(
    decay: Array, phase: Array, weights: Array, inputs: Array, method: str, block: int
) -> Array:
    size, flat = len(inputs), inputs.reshape(len(inputs), -1)
    if method == "fft":
        c: Array = _impulse_response(decay, phase, weights, size).real
        n = 1 << (2 * size - 1).bit_length()
        waves = jnp.fft.rfft(c, n)[:, None] * jnp.fft.rfft(flat, n, axis=0)
        return jnp.fft.irfft(waves, n, axis=0)[:size].reshape(inputs.shape)
    powers = _powers(decay, phase, block + 1)
    if method == "scan" and block == 1:

        def step(state: Array, value: Array) -> tuple[Array, Array]:
            state = powers[1][:, None] * state + value
            return state, jnp.matmul(weights, state, precision="highest").real

        start = jnp.zeros((len(weights), flat.shape[1]), weights.dtype)
        return lax.scan(step, start, flat)[1].reshape(inputs.shape)
    return _blocked(powers, weights, flat, method).reshape(inputs.shape)


def _blocked(powers: Array, weights: Array, inputs: Array, method: str = "scan") -> Array:
    """Outputs (T, batch) by blocks, given a^0, ..., a^block as powers (block + 1, S)."""
    block, size = len(powers) - 1, len(inputs)
    n = -(-size // block)
    blocks = jnp.pad(inputs, ((0, n * block - size), (0, 0))).reshape(n, block, -1)
    into = powers[block - 1 :: -1]  # of input k into the state at the block's end: a^(block-1-k)
    got = _product(jnp.concatenate([into.real, into.imag], axis=1).T, blocks)
    got = lax.complex(*jnp.split(got, 2, axis=1))
    across = powers[block][:, None]
    if method == "scan":
        _, before = lax.scan(lambda x, g: (across * x + g, x), jnp.zeros_like(got[0]), got)
    else:
        factors = jnp.broadcast_to(across, (n, *across.shape))
        ends = lax.associative_scan(lambda p, q: (p[0] * q[0], q[0] * p[1] + q[1]), (factors, got))
        before = jnp.concatenate([jnp.zeros_like(got[:1]), ends[1][:-1]])
    out = weights * powers[1:]  # of the state before the block into output k
    out = jnp.concatenate([out.real, -out.imag], axis=1)
    k = jnp.arange(block)
    delay = k[:, None] - k
    first = jnp.matmul(powers[:block], weights, precision="highest").real
    own = jnp.where(delay >= 0, first[jnp.abs(delay)], 0)
    outputs = _product(own, blocks)
    outputs += _product(out, jnp.concatenate([before.real, before.imag], axis=1))
    return outputs.reshape(n * block, -1)[:size]


def _product(matrix: Array, blocks: Array) -> Array:
    """matrix @ block for every block (n, k, batch), in the full precision of its type."""
    return jnp.einsum("ij,njb->nib", matrix, blocks, precision="highest")


def _powers(decay: Array, phase: Array, n: int) -> Array:
    """a_s^k, k = 0..n-1, shape (n, S)."""
    return jnp.exp(jnp.arange(n)[:, None] * lax.complex(-decay, phase))


@partial(jax.jit, static_argnames="n")
def _impulse_response(decay: Array, phase: Array, weights: Array, n: int) -> Array:
    block = max(1, math.isqrt(n))  # k = i * block + j: two short tables of powers
    coarse = _powers(block * decay, block * phase, -(-n // block)) * weights
    fine = _powers(decay, phase, block)
    return jnp.matmul(coarse, fine.T, precision="highest").reshape(-1)[:n]


@partial(jax.jit, static_argnames=("lag", "n"))
def _copy_error(decay: Array, phase: Array, weights: Array, rho: Array, lag: int, n: int) -> Array:
    off = _impulse_response(decay, phase, weights, n).real.at[lag].add(-1)
    shaped = _autoregression(rho, jnp.sqrt((1 - rho) * (1 + rho)) * off[:, None])
    tail = (rho * shaped[-1, 0]) ** 2 / ((1 - rho) * (1 + rho))
    return jnp.sum(shaped**2) + tail


def _autoregression(rho: Array, x: Array) -> Array:
    """v_j = rho v_{j-1} + x_j along the first of two axes: one pole, which may be 0."""
    powers = rho ** jnp.arange(min(BLOCK, len(x)) + 1)
    one = jnp.ones(1, powers.dtype)
    return _blocked(lax.complex(powers, 0 * powers)[:, None], lax.complex(one, 0 * one), x)


def _normaliser(decay: Array) -> Array:
    size: Array = jnp.sqrt(-jnp.expm1(-2 * decay))  # sqrt(1 - |a|^2)
    return size


@partial(
    jax.jit,
    static_argnames=("lag", "n", "n_steps", "every", "parametrization", "optimizer"),
)
def _train_copy(
    decay: Array, phase: Array, weights: Array, rho: Array, rate: Array, key: Any,
    lag: int, n: int, n_steps: int, every: int, parametrization: str, optimizer: str,
) -> Copying:  # fmt: skip
    rates = jnp.ones((4, 1), decay.dtype)
    if parametrization == "lru":
        half = weights / (2 * _normaliser(decay))
        start = jnp.stack([jnp.log(decay), phase, half.real, half.imag])
        rates = rates.at[1].set(0.1)
    else:
        a = jnp.exp(lax.complex(-decay, phase))
        start = jnp.stack([a.real, a.imag, weights.real / 2, weights.imag / 2])

    def model(x: Array) -> tuple[Array, Array, Array]:
        w = 2 * lax.complex(x[2], x[3])
        if parametrization == "lru":
            decay = jnp.exp(x[0])
            return decay, x[1], w * _normaliser(decay)
        return -jnp.log(jnp.hypot(x[0], x[1])), jnp.arctan2(x[1], x[0]), w

    def population(x: Array) -> Array:
        loss: Array = _copy_error(*model(x), rho, lag, n if key is None else 8 * lag)
        return loss

    def sampled(x: Array, key: Any) -> Array:
        noise = jax.random.normal(key, (n, BATCH), decay.dtype)
        inputs = _autoregression(rho, noise.at[1:].multiply(jnp.sqrt((1 - rho) * (1 + rho))))
        off = _linear_rnn(*model(x), inputs, "scan", min(BLOCK, n))[lag:] - inputs[: n - lag]
        return jnp.mean(off**2)

    descend = optax.scale_by_adam() if optimizer == "adam" else optax.identity()

    def step(carry: tuple[Array, Any], key: Any) -> tuple[tuple[Array, Any], None]:
        x, state = carry
        slope = jax.grad(population)(x) if key is None else jax.grad(sampled)(x, key)
        update, state = descend.update(slope, state, x)
        return (x - rate * rates * update, state), None

    def leg(carry: tuple[Array, Any], index: Array) -> tuple[tuple[Array, Any], Array]:
        keys = None if key is None else jax.random.split(jax.random.fold_in(key, index), every)
        carry, _ = lax.scan(step, carry, keys, length=every)
        return carry, carry[0]

    def record(x: Array) -> tuple[Array, tuple[Array, Array, Array]]:
        return population(x), model(x)

    _, later = lax.scan(leg, (start, descend.init(start)), jnp.arange(n_steps // every))
    losses, (decays, phases, readouts) = lax.map(record, jnp.concatenate([start[None], later]))
    return Copying(losses, Poles(decays, phases), Poles(decays[-1], phases[-1]), readouts[-1])


def _horizon(lag: int, n: int | None, multiple: int, name: str = "n") -> int:
    if n is None:
        return multiple * max(lag, 1)
    n = arguments.count(name, n)
    if n <= lag:
        raise ValueError(
            f"{name}: got {n}, more than lag = {lag} is needed; leave it out for {multiple} * lag."
        )
    return n


def _model(poles: Poles, readout: Any, *others: Any) -> tuple[Array, Array, Array]:
    """Decay, phase and complex readout, in one precision."""
    decay, phase = checked(poles)
    if not arguments.is_traced(readout):
        readout = np.asarray(readout)
    parts = (arguments.real("readout", part) for part in (readout.real, readout.imag))
    real, imaginary = parts
    if real.shape != decay.shape:
        raise ValueError(
            f"readout: got shape {real.shape}, {decay.shape} is needed, one weight for each pole; "
            f"map over several with jax.vmap."
        )
    kind = arguments.precision(decay, phase, real, *others)
    weights = lax.complex(jnp.asarray(real, kind), jnp.asarray(imaginary, kind))
    return jnp.asarray(decay, kind), jnp.asarray(phase, kind), weights
