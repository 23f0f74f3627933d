"""Small problems that tell optimisers apart, and races of many runs on them in one compiled call.

Minibatches and noise depend on the key alone, so that methods and learning rates are compared on
the same draws.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike
from numpy.typing import NDArray

from optdyn import arguments, averages
from optdyn.anti_pgd import scalar
from optdyn.counterexamples import deep_chain, keep_in_box, periodic_drift, periodic_problem
from optdyn.optimizers import DENOMINATORS, scale_by_adam_family

__all__ = [
    "BlockQuadratic",
    "NoisyQuadratic",
    "RareTokens",
    "block_quadratic",
    "deep_chain",
    "keep_in_box",
    "minibatch_gradient",
    "minibatches",
    "noisy_quadratic",
    "periodic_drift",
    "periodic_problem",
    "race",
    "rare_tokens",
]

Floats = NDArray[np.float64]
ROTATION = np.array([[2.0, 2.0, -1.0], [-1.0, 2.0, 2.0], [2.0, -1.0, 2.0]]) / 3  # keeps (1, 1, 1)
BLOCKS = {
    "heterogeneous": np.array([[1.0, 2, 3], [99, 100, 101], [4998, 4999, 5000]]),
    "homogeneous": np.array([[1.0, 99, 4998], [2, 100, 4999], [3, 101, 5000]]),
}
SAMPLES = ("eigen", "root")


class BlockQuadratic(NamedTuple):
    """w' H w / 2, its gradient an average over samples x_j x_j' w; samples one a row."""

    hessian: Any
    samples: Any
    start: Any


class NoisyQuadratic(NamedTuple):
    """sum_i curvatures_i w_i^2 / 2; gradients have noise of the given deviations / sqrt(batch)."""

    curvatures: Any
    deviations: Any
    start: Any


class RareTokens(NamedTuple):
    """sum_i p_i (w_i - 1)^2 / 2; a step sees a batch of tokens drawn with probabilities p_i."""

    probabilities: Any
    sigma: Any
    start: Any


def block_quadratic(
    kind: str, *, rotation: ArrayLike | None = None, samples: str = "eigen"
) -> BlockQuadratic:
    """Three 3 x 3 blocks with the spectrum 1, 2, 3, 99, 100, 101, 4998, 4999, 5000.

    H = blockdiag(U_b diag(lambda_b) U_b'); loss w' H w / 2 = 7651.5 at the start w = (1, ..., 1)
    for the default rotation, which keeps (1, 1, 1). "heterogeneous": a block holds eigenvalues of
    one size; "homogeneous": each holds one of every size. The mean of x_j x_j' over the nine
    samples is H: "eigen", x_j = 3 sqrt(lambda_j) u_j, lambda_j ascending, so that a minibatch has
    the same eigenvalues in both kinds; "root", x_j the rows of 3 H^(1/2).

    Args: kind; rotation, orthogonal, its columns the eigenvectors of a block: (3, 3) for all
        blocks or (3, 3, 3), default [[2, 2, -1], [-1, 2, 2], [2, -1, 2]] / 3; samples.
    Returns: BlockQuadratic(hessian (9, 9), samples (9, 9), start (9,)). [h]
    Raises: TypeError or ValueError naming the argument.
    Source: Orvieto and Gower, arXiv 2505.21829, appendix D; Zhang et al., NeurIPS 2024. The
        rotation is ours.

    >>> problem = block_quadratic("heterogeneous")
    >>> round(float(problem.start @ problem.hessian @ problem.start) / 2, 9)
    7651.5
    """
    if kind not in BLOCKS:
        raise ValueError(
            f"kind: got {kind!r}, 'heterogeneous' or 'homogeneous' is needed; in the first a "
            f"block holds eigenvalues of one size."
        )
    if samples not in SAMPLES:
        raise ValueError(
            f"samples: got {samples!r}, 'eigen' or 'root' is needed; 'eigen' is the paper's code, "
            f"'root' its text."
        )
    arguments.not_traced(rotation=rotation)
    turn = np.asarray(arguments.real("rotation", ROTATION if rotation is None else rotation), float)
    if turn.shape not in ((3, 3), (3, 3, 3)):
        raise ValueError(
            f"rotation: got shape {turn.shape}, (3, 3) or (3, 3, 3) is needed, one for all blocks "
            f"or one a block; leave it out for the default."
        )
    turns = np.broadcast_to(turn, (3, 3, 3))
    off = float(np.abs(turns @ turns.transpose(0, 2, 1) - np.eye(3)).max())
    if off > 1e-6:
        raise ValueError(
            f"rotation: got a matrix that is {off:.1e} away from orthogonal, at most 1e-6 is "
            f"allowed; take the first factor of numpy.linalg.qr."
        )
    basis, roots = np.zeros((9, 9)), np.sqrt(BLOCKS[kind].ravel())
    for b in range(3):
        basis[3 * b : 3 * b + 3, 3 * b : 3 * b + 3] = turns[b]
    rows = 3 * (basis * roots).T
    rows = rows[np.argsort(roots)] if samples == "eigen" else basis @ rows
    hessian = (basis * roots**2) @ basis.T
    return BlockQuadratic((hessian + hessian.T) / 2, rows, np.ones(9))


def minibatches(key: ArrayLike, n_steps: int, n_samples: int, batch: int) -> Array:
    """Which samples each step sees: drawn without replacement, anew at each step.

    Args: key, a JAX key; n_steps, n_samples, batch (at most n_samples), static.
    Returns: whole numbers below n_samples, shape (n_steps, batch), one draw for all steps. [t]
    Raises: TypeError or ValueError naming the argument.
    Source: none; the first `batch` places of a random order.

    >>> minibatches(jax.random.key(0), 2, 3, 3).sort(axis=1).tolist()
    [[0, 1, 2], [0, 1, 2]]
    """
    steps = arguments.count("n_steps", n_steps)
    size = arguments.count("n_samples", n_samples)
    if arguments.count("batch", batch) > size:
        raise ValueError(
            f"batch: got {batch}, at most n_samples = {size} is allowed, for samples are drawn "
            f"without replacement; lower it."
        )
    ranks = jax.random.uniform(key, (steps, size), jnp.float32)
    return jnp.argsort(ranks, axis=1)[:, :batch]


def minibatch_gradient(w: ArrayLike, samples_of_batch: ArrayLike) -> Array:
    """Gradient of the mean over a batch of (x_j' w)^2 / 2.

    (1 / batch) sum_j x_j (x_j' w)

    Args: w, shape (d,); samples_of_batch, shape (batch, d).
    Returns: shape (d,). [t]
    Raises: TypeError or ValueError naming the argument.
    Source: Orvieto and Gower, arXiv 2505.21829, appendix D.

    >>> minibatch_gradient(jnp.array([1.0, 2.0]), jnp.array([[1.0, 0.0], [0.0, 2.0]])).tolist()
    [0.5, 4.0]
    """
    for name, value in (("w", w), ("samples_of_batch", samples_of_batch)):
        arguments.real(name, value, finite=False)
    x, point = jnp.asarray(samples_of_batch), jnp.asarray(w)
    if point.ndim != 1 or x.ndim != 2 or x.shape[1] != len(point) or not len(x):
        raise ValueError(
            f"samples_of_batch: got shape {x.shape}, (batch, d) is needed for w of shape (d,), "
            f"here {point.shape}; map over several points with jax.vmap."
        )
    along = jnp.matmul(x, point, precision="highest")
    mean: Array = jnp.matmul(along, x, precision="highest") / len(x)
    return mean


def noisy_quadratic(
    dim: int = 20, *, condition: float = 1000.0, sigma: float = 30.0
) -> NoisyQuadratic:
    """A diagonal quadratic with additive noise of the size of its curvatures' roots.

    loss = sum_i lambda_i w_i^2 / 2, lambda_i from 1 to `condition`, evenly spaced in the
    logarithm; gradient lambda_i w_i + sigma sqrt(lambda_i) N(0, 1) / sqrt(batch). Each coordinate
    adds 1/2 to the loss at the start w_i = 1 / sqrt(lambda_i).

    Args: dim, 1 or more; condition, 1 or more; sigma, 0 or more.
    Returns: NoisyQuadratic(curvatures, deviations, start), each of shape (dim,). [h]
    Raises: TypeError or ValueError naming the argument.
    Source: derived in chapters/adam.

    >>> noisy_quadratic(2, condition=100.0).deviations.tolist()
    [30.0, 300.0]
    """
    size = arguments.count("dim", dim)
    largest, deviation = _host("condition", condition, 1), _host("sigma", sigma, 0)
    curvatures = np.geomspace(1, largest, size)
    return NoisyQuadratic(curvatures, deviation * np.sqrt(curvatures), 1 / np.sqrt(curvatures))


def rare_tokens(n_tokens: int = 300, *, exponent: float = 1.0, sigma: float = 0.5) -> RareTokens:
    """A table of weights, one a token, visited as often as the token occurs.

    loss = sum_i p_i (w_i - 1)^2 / 2, p_i proportional to i^-exponent; the gradient is the mean
    over a batch of drawn tokens of w_i - 1 + sigma N(0, 1) in the drawn token's entry: 0 for
    tokens not seen.

    Args: n_tokens, 1 or more; exponent, 0 or more; sigma, 0 or more.
    Returns: RareTokens(probabilities (n_tokens,), sigma (), start (n_tokens,), zeros). [h]
    Raises: TypeError or ValueError naming the argument.
    Source: derived in chapters/adam, after Kunstner et al., arXiv 2402.19449.

    >>> rare_tokens(3).probabilities.round(3).tolist()
    [0.545, 0.273, 0.182]
    """
    size = arguments.count("n_tokens", n_tokens)
    power, deviation = _host("exponent", exponent, 0), _host("sigma", sigma, 0)
    weights = np.arange(1, size + 1) ** -power
    return RareTokens(weights / weights.sum(), np.float64(deviation), np.zeros(size))


def race(
    problem: Any,
    denominators: Sequence[str | int],
    b1: ArrayLike,
    b2: ArrayLike,
    kappa: ArrayLike,
    learning_rates: ArrayLike,
    keys: Any,
    n_steps: int,
    batch: int,
    schedule: Callable[[Any], Any] | ArrayLike | None = None,
    *,
    eps: ArrayLike = 1e-8,
    bias_correction: Any = False,
) -> Array:
    """Losses of every method with every learning rate on every seed, in one compiled call.

    w <- w - learning_rate * schedule(n) * update, the update of
    `optimizers.scale_by_adam_family`. Runs of one key see the same minibatches or noise.

    Args:
        problem: of `block_quadratic`, `noisy_quadratic` or `rare_tokens`.
        denominators: K names or indices of `optimizers.DENOMINATORS`, one a method.
        b1, b2, kappa: of each method, shape (K,), or one for all.
        learning_rates: shape (L,), or (K, L), a grid for each method.
        keys: S JAX keys, shape (S,), or one key.
        n_steps, batch: whole numbers; n_steps static, batch too but for a noisy quadratic.
        schedule: factor of the learning rate at step 0 .. n_steps - 1, a function such as optax's
            schedules or its values, shape (n_steps,); default 1.
        eps, bias_correction: of each method, shape (K,), or one for all.

    Returns: losses, shape (n_steps + 1, K, L, S), the start's included; diverged runs are inf or
        nan. Another value of any number does not recompile. [t] in b1, b2, kappa, learning_rates,
        keys, values of the schedule, eps and bias_correction.
    Raises: TypeError or ValueError naming the argument.
    Source: derived in chapters/adam.

    >>> keys = jax.random.split(jax.random.key(0), 5)
    >>> problem = block_quadratic("heterogeneous")
    >>> methods = ["none", "sign", "variance"]
    >>> race(problem, methods, 0.95, 0.95, 1.0, [[1e-4], [0.01], [0.01]], keys, 20, 3).shape
    (21, 3, 1, 5)
    """
    if type(problem) not in _TASKS:
        raise TypeError(
            f"problem: got {type(problem).__name__}, a problem of block_quadratic, noisy_quadratic "
            f"or rare_tokens is needed; call one of them first."
        )
    steps, size = arguments.count("n_steps", n_steps), arguments.count("batch", batch)
    kinds = _kinds(denominators)
    methods = [
        averages.decay("b1", _column("b1", b1, len(kinds)), kinds.shape),
        averages.decay("b2", _column("b2", b2, len(kinds)), kinds.shape),
        _column("kappa", kappa, len(kinds), least=0),
        _column("eps", eps, len(kinds), least=0),
        _column("bias_correction", bias_correction, len(kinds), least=0),
    ]
    rates = arguments.real("learning_rates", learning_rates)
    if rates.ndim not in (1, 2) or not rates.size or rates.shape[:-1] not in ((), kinds.shape):
        raise ValueError(
            f"learning_rates: got shape {rates.shape}, (L,) or ({len(kinds)}, L) is needed, one "
            f"grid for all or one for each of {len(kinds)} methods; wrap one number in a list."
        )
    if not arguments.is_traced(rates) and (np.asarray(rates) < 0).any():
        raise ValueError(
            f"learning_rates: got {np.asarray(rates).min()}, 0 or more is needed; descent has a "
            f"minus sign already."
        )
    factors = schedule(jnp.arange(steps)) if callable(schedule) else schedule
    factors = arguments.real("schedule", 1.0 if factors is None else factors, finite=False)
    if factors.shape not in ((), (steps,)):
        raise ValueError(
            f"schedule: got shape {factors.shape}, ({steps},) is needed, a factor for each step; "
            f"pass a function of the step such as optax.cosine_decay_schedule(1.0, {steps})."
        )
    dtype = arguments.precision(*problem)
    if isinstance(problem, NoisyQuadratic):
        problem = problem._replace(deviations=problem.deviations / np.sqrt(size))
        size = 1
    if isinstance(problem, BlockQuadratic) and size > len(problem.samples):
        raise ValueError(
            f"batch: got {size}, at most {len(problem.samples)}, the number of samples, is "
            f"allowed; lower it."
        )
    cast = partial(jnp.asarray, dtype=dtype)
    losses: Array = _race(
        jax.tree.map(cast, problem),
        (kinds, *map(cast, methods[:-1]), jnp.asarray(methods[-1]) != 0),
        cast(jnp.broadcast_to(rates, (*kinds.shape, rates.shape[-1]))),
        _keys(keys),
        cast(jnp.broadcast_to(factors, (steps,))),
        batch=size,
    )
    return losses


@partial(jax.jit, static_argnames="batch")
def _race(problem: Any, methods: Any, rates: Any, keys: Any, factors: Any, *, batch: int) -> Array:
    draw, gradient, loss = _TASKS[type(problem)]
    steps = len(factors)

    def run(method: Any, rate: Array, inputs: Any) -> Array:
        kind, b1, b2, kappa, eps, corrected = method
        rule = scale_by_adam_family(
            b1, b2, denominator=kind, kappa=kappa, eps=eps, bias_correction=corrected
        )

        def step(carry: Any, new: Any) -> Any:
            (w, state), (factor, one) = carry, new
            update, state = rule.update(gradient(problem, w, one), state)
            w = w - rate * factor * update
            return (w, state), loss(problem, w)

        start = problem.start
        later = lax.scan(step, (start, rule.init(start)), (factors, inputs))[1]
        return jnp.concatenate([loss(problem, start)[None], later])

    # One key after the other: to draw for all at once compiles for seconds longer.
    inputs = lax.map(lambda key: draw(problem, key, steps, batch), keys)
    runs = jax.vmap(run, in_axes=(None, None, 0), out_axes=-1)
    runs = jax.vmap(runs, in_axes=(None, 0, None), out_axes=1)
    return jax.vmap(runs, in_axes=(0, 0, None), out_axes=1)(methods, rates, inputs)


def _draw_block(problem: BlockQuadratic, key: Any, steps: int, batch: int) -> Array:
    rows: Array = problem.samples[minibatches(key, steps, len(problem.samples), batch)]
    return rows


def _block_gradient(problem: BlockQuadratic, w: Array, rows: Array) -> Array:
    return minibatch_gradient(w, rows)


def _block_loss(problem: BlockQuadratic, w: Array) -> Array:
    along = jnp.matmul(w, problem.hessian, precision="highest")
    return 0.5 * jnp.vdot(along, w, precision="highest")


def _draw_noise(problem: NoisyQuadratic, key: Any, steps: int, batch: int) -> Array:
    start = problem.start
    kicks: Array = problem.deviations * jax.random.normal(key, (steps, *start.shape), start.dtype)
    return kicks


def _noisy_gradient(problem: NoisyQuadratic, w: Array, kick: Array) -> Array:
    slope: Array = problem.curvatures * w + kick
    return slope


def _noisy_loss(problem: NoisyQuadratic, w: Array) -> Array:
    return 0.5 * jnp.sum(problem.curvatures * w * w)


def _draw_tokens(problem: RareTokens, key: Any, steps: int, batch: int) -> tuple[Array, Array]:
    """The share of each token in each batch, and the mean noise of its gradient."""
    choice, noise = jax.random.split(key)
    p = problem.probabilities
    heights = jax.random.uniform(choice, (steps, batch), p.dtype)
    tokens = jnp.minimum(jnp.searchsorted(jnp.cumsum(p), heights, side="right"), len(p) - 1)
    counts = jnp.zeros((steps, len(p)), p.dtype).at[jnp.arange(steps)[:, None], tokens].add(1)
    kicks = problem.sigma * jnp.sqrt(counts) * jax.random.normal(noise, counts.shape, p.dtype)
    return counts / batch, kicks / batch


def _token_gradient(problem: RareTokens, w: Array, seen: tuple[Array, Array]) -> Array:
    share, kick = seen
    return share * (w - 1) + kick


def _token_loss(problem: RareTokens, w: Array) -> Array:
    return 0.5 * jnp.sum(problem.probabilities * (w - 1) ** 2)


_TASKS: dict[type, tuple[Any, Any, Any]] = {
    BlockQuadratic: (_draw_block, _block_gradient, _block_loss),
    NoisyQuadratic: (_draw_noise, _noisy_gradient, _noisy_loss),
    RareTokens: (_draw_tokens, _token_gradient, _token_loss),
}


def _host(name: str, value: Any, least: float) -> float:
    arguments.not_traced(**{name: value})
    scalar(name, value, least)
    return float(value)


def _column(name: str, value: Any, length: int, least: float | None = None) -> Any:
    numbers = arguments.real(name, value)
    if numbers.shape not in ((), (length,)):
        raise ValueError(
            f"{name}: got shape {numbers.shape}, one number or ({length},) is needed, a number "
            f"for each of denominators; give both the same length."
        )
    if least is not None and not arguments.is_traced(numbers) and (numbers < least).any():
        raise ValueError(
            f"{name}: got {numbers.min()}, {least} or more is needed; leave out or raise the "
            f"negative ones."
        )
    return jnp.broadcast_to(numbers, (length,))


def _keys(keys: Any) -> Array:
    """Typed keys, shape (S,); raw ones are rows of words."""
    array = jnp.asarray(keys)
    if array.dtype == jnp.uint32 and array.ndim:
        array = jax.random.wrap_key_data(array)
    if not jnp.issubdtype(array.dtype, jax.dtypes.prng_key) or array.ndim > 1 or not array.size:
        raise TypeError(
            f"keys: got {array.dtype} of shape {array.shape}, JAX keys of shape (S,) are needed, "
            f"one a seed; pass jax.random.split(jax.random.key(0), 20)."
        )
    return jnp.atleast_1d(array)


def _kinds(denominators: Any) -> Any:
    """Indices of the names, shape (K,)."""
    if hasattr(denominators, "dtype") and not arguments.is_traced(denominators):
        denominators = np.atleast_1d(denominators).tolist()
    names = [denominators] if isinstance(denominators, str) else list(denominators)
    indices: list[Any] = [
        DENOMINATORS.index(name) if isinstance(name, str) and name in DENOMINATORS else name
        for name in names
    ]
    for name, index in zip(names, indices, strict=True):
        whole = isinstance(index, int | np.integer) and not isinstance(index, bool)
        if not whole or not 0 <= index < len(DENOMINATORS):
            allowed = ", ".join(f"{known!r} ({i})" for i, known in enumerate(DENOMINATORS))
            raise ValueError(
                f"denominators: got {name!r}, names or indices among {allowed} are needed; "
                f"Adam's is 'adam'."
            )
    if not indices:
        raise ValueError("denominators: got none, at least one is needed; Adam's is 'adam'.")
    return jnp.asarray(indices, jnp.int32)
