r"""A tiny language model, its text, and its training under any optimiser of the Adam family.

A decoder-only transformer of a few ten thousand parameters predicts the next word of the King James
Bible. The text comes with the package. A whole sweep, over optimisers, learning rates and seeds, is
one compiled call, for what differs between optimisers is numbers (`Hyper`). All is float32, whether
jax_enable_x64 is set or not; matrix products are as exact as jax_default_matmul_precision says.
"""

import json
import math
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax  # type: ignore[import-untyped]
from jax import Array, lax
from jax.flatten_util import ravel_pytree
from jax.typing import ArrayLike
from numpy.typing import NDArray

from optdyn import arguments
from optdyn.corpus import SHA256, bible, split, text, tokenise
from optdyn.optimizers import DENOMINATORS, scale_by_adam_family

__all__ = [
    "METHODS",
    "SHA256",
    "Config",
    "Hyper",
    "Trained",
    "bible",
    "hyper",
    "init",
    "logits",
    "loss",
    "schedule",
    "split",
    "stored_sweep",
    "text",
    "tokenise",
    "train",
]

METHODS = {  # name: the denominator, and whether b1 and b2 count
    "sgd": ("none", False, False),
    "sgd_momentum": ("none", True, False),
    "sign_sgd": ("sign", False, False),
    "signum": ("sign", True, False),
    "rmsprop": ("adam", False, True),
    "adam": ("adam", True, True),
    "adam_equal": ("variance", True, False),
}
WAYS = ("map", "vmap")
STORED = Path(__file__).with_name("language_sweep.json")


class Config(NamedTuple):
    """The sizes of a model and of its training; all static.

    vocabulary: words, the unknown one included; width: of a token's vector; heads: of attention;
    layers; context: tokens that a prediction sees at most; batch: sequences a step; steps; warmup:
    share of the steps in which the learning rate rises; clip: largest norm of a gradient; scale:
    deviation of the first weights; validation: sequences that the loss is measured on.

    >>> Config(batch=128).context
    16
    """

    vocabulary: int = 512
    width: int = 32
    heads: int = 2
    layers: int = 1
    context: int = 16
    batch: int = 32
    steps: int = 300
    warmup: float = 0.1
    clip: float = 1.0
    scale: float = 0.1
    validation: int = 256


class Hyper(NamedTuple):
    """What tells one run from another: numbers, or arrays of one shape for many runs at once.

    denominator: an index of `optimizers.DENOMINATORS`; bias_correction: 0 or 1; constant: 1 leaves
    the warm-up and the cosine out.

    >>> hyper("signum", 0.004, 0.8).denominator
    1
    """

    learning_rate: ArrayLike
    denominator: ArrayLike
    b1: ArrayLike
    b2: ArrayLike
    bias_correction: ArrayLike = 0
    constant: ArrayLike = 0


class Trained(NamedTuple):
    """What `train` returns, by run: the loss on the validation text at the end, and (steps,) the
    losses on the batches. In nats a token; nan where a run has diverged.
    """

    loss: Array
    losses: Array


def stored_sweep() -> dict[str, Any]:
    """What `make sweep` measured when the book was made: every optimiser, rate and seed.

    Returns: {"settings", "runs", ...}; each of runs is a dictionary with experiment, method, b1,
        b2, bias_correction, learning_rate, seed, batch, steps, and loss, in nats a token, None if
        the run diverged. [h]
    Raises: ValueError if the file in the package cannot be read.
    Source: our own, book/language_sweep.py.

    >>> len(stored_sweep()["runs"]) > 800
    True
    """
    try:
        return dict(json.loads(STORED.read_text("utf-8")))
    except (OSError, ValueError) as problem:
        raise ValueError(
            f"{STORED.name}: cannot be read ({problem}); install optdyn anew."
        ) from None


def hyper(
    method: str,
    learning_rate: ArrayLike,
    b1: ArrayLike = 0.8,
    b2: ArrayLike = 0.95,
    *,
    bias_correction: ArrayLike = 0,
    constant: ArrayLike = 0,
) -> Hyper:
    """The numbers of an optimiser by its name, for `train`.

    Args: method, a key of METHODS; the numbers, scalars or arrays; a beta that the method has not
        is taken as 0, and "adam_equal" has b2 = b1.
    Returns: Hyper. [t] in the numbers.
    Raises: ValueError naming the method.
    Source: none; a definition.

    >>> hyper("rmsprop", 0.01, b2=0.9)
    Hyper(learning_rate=0.01, denominator=2, b1=0.0, b2=0.9, bias_correction=0, constant=0)
    """
    if method not in METHODS:
        raise ValueError(
            f"method: got {method!r}, one of {', '.join(map(repr, METHODS))} is needed; 'adam' is "
            f"the general one."
        )
    kind, first, second = METHODS[method]
    b1 = b1 if first else 0.0
    b2 = b2 if second else b1
    return Hyper(learning_rate, DENOMINATORS.index(kind), b1, b2, bias_correction, constant)


def init(key: ArrayLike, config: Config = Config()) -> dict[str, Any]:  # noqa: B008 (immutable)
    """The weights before training.

    N(0, scale^2), for the projections back into the residual stream divided by sqrt(2 layers); the
    gains of the norms are 1. At the default sizes 45,664 numbers.

    Args: key, a JAX key; config.
    Returns: a dict of float32 arrays. [t] in key.
    Raises: ValueError naming the field of config.
    Source: the usual initialisation of GPT-2.

    >>> sum(leaf.size for leaf in jax.tree.leaves(init(jax.random.key(0))))
    45664
    """
    c = _checked(config)
    d, h, back = c.width, c.heads, 1 / math.sqrt(2 * c.layers)
    block: dict[str, tuple[tuple[int, ...], float]] = {
        "attend": ((d, 3, h, d // h), 1.0),
        "attended": ((d, d), back),
        "up": ((d, 4 * d), 1.0),
        "down": ((4 * d, d), back),
    }
    outer: dict[str, tuple[tuple[int, ...], float]] = {
        "words": ((c.vocabulary, d), 1.0),
        "positions": ((c.context, d), 1.0),
        "head": ((d, c.vocabulary), 1.0),
    }
    parts = (outer, *[block] * c.layers)
    size = sum(math.prod(shape) for part in parts for shape, _ in part.values())
    # One draw for all, and not drawn anew for each slice: it is what takes longest to compile.
    drawn = jax.random.normal(key, (size,), jnp.float32)
    drawn = lax.optimization_barrier(drawn)  # type: ignore[no-untyped-call]
    at = 0

    def cut(shapes: dict[str, Any]) -> dict[str, Any]:
        nonlocal at
        leaves = {}
        for name, (shape, factor) in shapes.items():
            end = at + math.prod(shape)
            leaves[name] = jnp.float32(c.scale * factor) * drawn[at:end].reshape(shape)
            at = end
        return leaves

    ones = jnp.ones(d, jnp.float32)
    blocks = [cut(block) | {"norm_1": ones, "norm_2": ones} for _ in range(c.layers)]
    return cut(outer) | {"norm": ones, "blocks": blocks}


def logits(params: dict[str, Any], tokens: ArrayLike) -> Array:
    """The model: for every token the scores of the words that may follow.

    x = words[token] + positions; in every block x <- x + attention(norm(x)), causal, and
    x <- x + gelu(norm(x) up) down; scores = norm(x) head. norm divides by the root of the mean
    square.

    Args: params, as from `init`; tokens, integers of shape (batch, time), time at most the context.
    Returns: (batch, time, vocabulary). [t]
    Raises: ValueError naming tokens, for its type or shape.
    Source: Radford et al. (2019), with root mean square norms (Zhang and Sennrich, NeurIPS 2019).

    >>> logits(init(jax.random.key(0)), jnp.zeros((2, 16), int)).shape
    (2, 16, 512)
    """
    words = _words("tokens", tokens, params)
    return _scores(params, words).reshape(*words.shape, -1)


def loss(params: dict[str, Any], tokens: ArrayLike, targets: ArrayLike) -> Array:
    """The mean of -log p(target), in nats.

    Args: params, as from `init`; tokens, targets, integers of shape (batch, time): the word at a
        place and the one after it.
    Returns: a scalar. [t]
    Raises: ValueError naming the argument, for its type or shape.
    Source: the definition.

    >>> zeros = jax.tree.map(jnp.zeros_like, init(jax.random.key(0)))
    >>> print(f"{loss(zeros, [[1, 2]], [[2, 3]]):.3f}, log(512) = {np.log(512):.3f}")
    6.238, log(512) = 6.238
    """
    words, right = _words("tokens", tokens, params), _words("targets", targets)
    if right.shape != words.shape:
        raise ValueError(
            f"targets: got shape {right.shape}, {words.shape} as of tokens is needed; pass "
            f"words[:, :-1] and words[:, 1:]."
        )
    scores = _scores(params, words)
    losses = optax.softmax_cross_entropy_with_integer_labels(scores, right.reshape(-1))
    return jnp.mean(losses)


def schedule(config: Config) -> NDArray[np.float32]:
    """The learning rate of each step, as a share of its largest: warm-up, then half a cosine.

    Step n of N with w = warmup * N: n / w before w, (1 + cos(pi (n - w) / (N - w))) / 2 from then.

    Args: config.
    Returns: (steps,), float32. [h]
    Source: Loshchilov and Hutter, ICLR 2017, the cosine.

    >>> schedule(Config(steps=5, warmup=0.4)).round(2).tolist()
    [0.0, 0.5, 1.0, 0.75, 0.25]
    """
    c = _checked(config)
    n, w = np.arange(c.steps), round(c.warmup * c.steps)
    falling = (1 + np.cos(np.pi * (n - w) / max(c.steps - w, 1))) / 2
    return np.where(n < w, n / max(w, 1), falling).astype(np.float32)


def train(
    hyper: Hyper,
    seed: ArrayLike,
    config: Config = Config(),  # noqa: B008 (immutable)
    *,
    tokens: ArrayLike | None = None,
    way: str = "auto",
) -> Trained:
    """Train from scratch, once or many times in one compiled call.

    Gradients are clipped to norm config.clip, put through `optimizers.scale_by_adam_family` and
    multiplied by the learning rate of the `schedule`. Nine tenths of the text train, in windows at
    random places; the loss at the end is over equally spaced windows of the rest (`split`). First
    weights and windows depend on the seed alone, so runs of one seed are paired.

    Args:
        hyper, seed: numbers, or arrays that broadcast to one shape (runs,).
        config: static; another one compiles anew.
        tokens: (n,), whole numbers below config.vocabulary; default: those of `bible`.
        way: "map", one run after another; "vmap", all at once; "auto": map on a CPU, else vmap.

    Returns: Trained, of shape () and (steps,), or (runs,) and (runs, steps). [t] in hyper and seed,
        as far as they are scalars.
    Raises: TypeError or ValueError naming the argument.
    Source: the model and its sizes are this book's.

    >>> small = Config(steps=20, batch=8)
    >>> runs = train(hyper("signum", np.array([0.0, 0.01])), 0, small)
    >>> runs.losses.shape, bool(runs.loss[1] < runs.loss[0])
    ((2, 20), True)
    """
    c = _checked(config)
    words = _tokens(tokens, c)
    if way not in ("auto", *WAYS):
        raise ValueError(f"way: got {way!r}, 'auto', 'map' or 'vmap' is needed; leave it out.")
    numbers: list[Any] = [*_hyper(hyper), _seed(seed)]
    shapes = [x.shape for x in numbers]
    try:
        shape = np.broadcast_shapes(*shapes)
    except ValueError:
        shape = (0,)
    if len(shape) > 1 or 0 in shape:
        raise ValueError(
            f"hyper, seed: got shapes {shapes}, scalars or arrays of one length are needed; make "
            f"all combinations with sweep.grid."
        )
    types = (jnp.float32, jnp.int32, jnp.float32, jnp.float32, bool, bool, jnp.uint32)
    points = tuple(
        jnp.broadcast_to(jnp.asarray(x).astype(kind), shape)
        for x, kind in zip(numbers, types, strict=True)
    )
    if way == "auto":
        way = "map" if jax.default_backend() == "cpu" else "vmap"
    training, held_out = map(jnp.asarray, split(words))
    trained: Trained = _train(points, (training, held_out), c, way if shape else "one")
    return trained


@partial(jax.jit, static_argnames=("config", "way"))
def _train(points: Any, texts: tuple[Array, Array], config: Config, way: str) -> Trained:
    def one(point: Any) -> Trained:
        *numbers, seed = point
        return _run(Hyper(*numbers), seed, *texts, config)

    if way == "one":
        return one(points)
    return lax.map(one, points) if way == "map" else jax.vmap(one)(points)


def _run(hyper: Hyper, seed: Array, training: Array, held_out: Array, c: Config) -> Trained:
    first, places = jax.random.split(jax.random.key(seed))
    # One vector for all weights: the optimiser is then a single loop, and compiles faster.
    weights, unravel = ravel_pytree(init(first, c))
    window = jnp.arange(c.context + 1, dtype=jnp.int32)
    draws = jax.random.randint(places, (c.steps, c.batch), 0, len(training) - c.context, jnp.int32)
    rates = jnp.where(hyper.constant, 1, schedule(c)) * hyper.learning_rate
    rule = optax.chain(
        optax.clip_by_global_norm(c.clip),
        scale_by_adam_family(
            hyper.b1,
            hyper.b2,
            denominator=jnp.asarray(hyper.denominator),
            bias_correction=jnp.asarray(hyper.bias_correction),
        ),
    )

    def value(weights: Array, text: Array, places: Array) -> Array:
        words = text[places[:, None] + window].astype(jnp.int32)
        return loss(unravel(weights), words[:, :-1], words[:, 1:])

    def step(carry: Any, inputs: Any) -> Any:
        weights, state = carry
        places, rate = inputs
        now, gradient = jax.value_and_grad(value)(weights, training, places)
        direction, state = rule.update(gradient, state)
        return (weights - rate * direction, state), now

    carry, losses = lax.scan(step, (weights, rule.init(weights)), (draws, rates))
    fixed = np.linspace(0, len(held_out) - c.context - 1, c.validation).astype(np.int32)
    return Trained(value(carry[0], held_out, jnp.asarray(fixed)), losses)


def _words(name: str, value: Any, params: Any = None) -> Array:
    """Integers of shape (batch, time), no longer than the model's context."""
    words = jnp.asarray(arguments.real(name, value))
    if words.ndim != 2 or not jnp.issubdtype(words.dtype, jnp.integer):
        raise ValueError(
            f"{name}: got {words.dtype} of shape {words.shape}, whole numbers of shape "
            f"(batch, time) are needed; wrap one sequence in a list."
        )
    if params is not None and words.shape[1] > len(params["positions"]):
        raise ValueError(
            f"{name}: got {words.shape[1]} places, the model has {len(params['positions'])}; cut "
            f"the sequences or raise Config.context."
        )
    return words


def _scores(params: dict[str, Any], tokens: Array) -> Array:
    """As `logits`, of shape (batch * time, vocabulary): in two axes a CPU needs half the time."""
    (batch, time), width = tokens.shape, params["words"].shape[1]
    causal = np.tril(np.ones((time, time), bool))
    x = (params["words"][tokens] + params["positions"][:time]).reshape(-1, width)
    for block in params["blocks"]:
        heads, size = block["attend"].shape[2:]
        both = _norm(x, block["norm_1"]) @ block["attend"].reshape(width, -1)
        q, k, v = (part.reshape(batch, time, heads, size) for part in jnp.split(both, 3, axis=1))
        scores = jnp.einsum("bthe,bshe->bhts", q, k) / math.sqrt(size)
        weights = jax.nn.softmax(jnp.where(causal, scores, -jnp.inf))
        mixed = jnp.einsum("bhts,bshe->bthe", weights, v).reshape(-1, width)
        x = x + mixed @ block["attended"]
        x = x + jax.nn.gelu(_norm(x, block["norm_2"]) @ block["up"]) @ block["down"]
    found: Array = _norm(x, params["norm"]) @ params["head"]
    return found


def _norm(x: Array, gain: Array) -> Array:
    return x * lax.rsqrt(jnp.mean(jnp.square(x), -1, keepdims=True) + 1e-6) * gain


def _checked(config: Any) -> Config:
    if not isinstance(config, Config):
        raise TypeError(f"config: got {config!r}, a Config is needed; write Config(batch=128).")
    whole = ("vocabulary", "width", "heads", "layers", "context", "batch", "steps", "validation")
    for name in whole:
        least = 2 if name == "vocabulary" else 1
        most = 65_536 if name == "vocabulary" else 2**31 - 2
        arguments.count(f"config.{name}", getattr(config, name), least=least, most=most)
    if config.width % config.heads:
        raise ValueError(
            f"config.width: got {config.width}, a multiple of heads ({config.heads}) is needed; "
            f"change one of them."
        )
    if not 0 <= config.warmup < 1:
        raise ValueError(f"config.warmup: got {config.warmup}, 0 <= warmup < 1 is needed; try 0.1.")
    for name in ("clip", "scale"):
        if not getattr(config, name) > 0:
            raise ValueError(
                f"config.{name}: got {getattr(config, name)}, a positive number is needed; leave "
                f"it out for the default."
            )
    return config


def _tokens(tokens: Any, c: Config) -> Any:
    if tokens is None:
        return bible(c.vocabulary)[0]
    arguments.not_traced(tokens=tokens)
    found = arguments.real("tokens", tokens)
    if found.ndim != 1 or not jnp.issubdtype(found.dtype, jnp.integer):
        raise TypeError(
            f"tokens: got {found.dtype} of shape {found.shape}, whole numbers of shape (n,) are "
            f"needed; see language.tokenise."
        )
    least = 10 * (c.context + 1)
    if len(found) < least:
        raise ValueError(
            f"tokens: got {len(found)}, at least {least} are needed, so that a tenth holds one "
            f"window of context + 1; shorten the context or take a longer text."
        )
    if not 0 <= found.min() <= found.max() < c.vocabulary:
        raise ValueError(
            f"tokens: got numbers from {found.min()} to {found.max()}, 0 to {c.vocabulary - 1} are "
            f"allowed; use the same vocabulary in tokenise and Config."
        )
    return found


def _seed(seed: Any) -> Any:
    found = arguments.real("seed", seed)
    if not jnp.issubdtype(found.dtype, jnp.integer):
        raise TypeError(
            f"seed: got values of type {found.dtype}, whole numbers are needed; pass 0, or "
            f"jnp.arange(3)."
        )
    if not arguments.is_traced(found) and (found < 0).any():
        raise ValueError(f"seed: got {found.min()}, 0 or more is needed; pass 0.")
    return found


def _hyper(hyper: Any) -> Hyper:
    if not isinstance(hyper, Hyper):
        raise TypeError(f"hyper: got {hyper!r}, a Hyper is needed; write hyper('adam', 0.01).")
    checks: dict[str, tuple[str, Any]] = {
        "learning_rate": ("0 or more", lambda x: x >= 0),
        "denominator": ("0 to 3", lambda x: (x >= 0) & (x <= 3) & (x == np.round(x))),
        "b1": ("in [0, 1)", lambda x: (x >= 0) & (x < 1)),
        "b2": ("in [0, 1)", lambda x: (x >= 0) & (x < 1)),
        "bias_correction": ("0 or 1", lambda x: (x == 0) | (x == 1)),
        "constant": ("0 or 1", lambda x: (x == 0) | (x == 1)),
    }
    found = {}
    for name, (allowed, good) in checks.items():
        x = found[name] = arguments.real(f"hyper.{name}", getattr(hyper, name))
        if not arguments.is_traced(x) and not np.all(good(x)):
            raise ValueError(
                f"hyper.{name}: got {x[~good(x)].flat[0]}, {allowed} is needed; see language.hyper."
            )
    return Hyper(**found)
