"""Optimisers as optax transformations, to be used in `optax.chain`.

One update rule, `scale_by_adam_family`; the optimisers are chains of it and a learning rate. What
is not in the family (Lion, AMSGrad, Adafactor and more) is optax's own.
"""

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax  # type: ignore[import-untyped]
from jax import Array, lax
from jax.typing import ArrayLike

from optdyn import arguments
from optdyn.anti_pgd import AntiPgdState, anti_pgd, floating, scalar
from optdyn.averages import decay, nonnegative, quotient, rates
from optdyn.descent import as_pytree

__all__ = [
    "DENOMINATORS",
    "AdamFamilyState",
    "AntiPgdState",
    "adam",
    "adam_equal_betas",
    "anti_pgd",
    "rmsprop",
    "scale_by_adam_family",
    "sgd_momentum",
    "sign_sgd",
    "signum",
    "trajectory",
]

DENOMINATORS = ("none", "sign", "adam", "variance")  # what `scale_by_adam_family` divides by


class AdamFamilyState(NamedTuple):
    """The steps made, the average mu of the gradients, and nu, both like params.

    nu is the average v of the squares ("adam"), the online variance s ("variance"), or None where
    the denominator needs neither. Averages are float32 at least.
    """

    count: Array  # type: ignore[assignment]
    mu: Any
    nu: Any


def scale_by_adam_family(
    b1: ArrayLike,
    b2: ArrayLike,
    *,
    denominator: str | ArrayLike = "adam",
    kappa: ArrayLike = 1.0,
    eps: ArrayLike = 1e-8,
    bias_correction: bool | Array = False,
) -> optax.GradientTransformation:
    """The one update rule: an average of the gradients, divided as the denominator says.

    m <- b1 * m + (1 - b1) * g, and the update is
    "none":     m;
    "sign":     sign(m);
    "adam":     m / (sqrt(v) + eps), v <- b2 * v + (1 - b2) * g^2;
    "variance": m / (sqrt(m^2 + kappa * s) + eps), s <- b2 * s + b2 * (1 - b2) * (g - m_old)^2.

    For b1 = b2 and kappa = 1 the last two are the same but for rounding. Where a denominator is 0
    (a row that no gradient has visited, eps = 0; squares that underflow) the update is 0. With
    bias_correction, m is divided by 1 - b1^k, and v or m^2 + kappa * s by 1 - b2^k, k the steps
    made.

    Args:
        b1, b2: in [0, 1).
        denominator: one of the names, or its index 0 to 3; as a JAX array it may be traced, so that
            one compiled call sweeps over all four.
        kappa: weight of the variance, 0 or more.
        eps: 0 or more, outside the root.
        bias_correction: True or False; as a JAX array it may be traced.

    Returns: an optax.GradientTransformation without a learning rate: follow it by
        `optax.scale_by_learning_rate`. Updates have the types of the gradients. [t] in all
        arguments. (`optax.inject_hyperparams` rounds b2 to the type of the parameters: to 1 in
        bfloat16, so give it hyperparam_dtype=jnp.float32.)
    Raises: TypeError or ValueError naming the argument; init and update: TypeError where a leaf is
        not of real floating-point numbers. Warns of "adam" with b1^2 >= b2, b1 != b2: its direction
        is unbounded.
    Source: Kingma and Ba, ICLR 2015; Orvieto and Gower, arXiv 2505.21829, section 4 and C.4.

    >>> rule = scale_by_adam_family(0.5, 0.5, denominator="variance", eps=0.0)
    >>> updates, state = rule.update({"w": jnp.array([3.0, 0.0])}, rule.init({"w": jnp.zeros(2)}))
    >>> updates["w"].round(2).tolist(), state.nu["w"].tolist()
    ([0.7..., 0.0], [2.25, 0.0])
    """
    kind = _kind(denominator)
    p, q = decay("b1", b1), decay("b2", b2)
    weight, small = nonnegative("kappa", kappa), nonnegative("eps", eps)
    corrected = _flag("bias_correction", bias_correction)
    known = not (arguments.is_traced(p) or arguments.is_traced(q))
    if isinstance(kind, str) and kind == "adam" and known and p != q and p > 0 and q <= p * p:
        warnings.warn(
            f"b1, b2: got {p:g} and {q:g}, with b1^2 >= b2 the direction of Adam is unbounded; "
            f"raise b2 above {p * p:g}.",
            stacklevel=2,
        )

    def init(params: optax.Params) -> AdamFamilyState:
        def zeros() -> Any:
            return jax.tree.map(_zeros, params)

        plain = isinstance(kind, str) and kind in ("none", "sign")
        return AdamFamilyState(jnp.zeros([], jnp.int32), zeros(), None if plain else zeros())

    def update(
        updates: optax.Updates, state: AdamFamilyState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, AdamFamilyState]:
        del params
        count = optax.safe_increment(state.count)

        def moved(gradient: Any, mu: Array, nu: Any = None) -> tuple[Array, Array, Any]:
            g, dtype = _like(gradient, mu), mu.dtype
            (a1, c1), (a2, c2) = rates(p, dtype), rates(q, dtype)
            factor, epsilon = jnp.asarray(weight, dtype), jnp.asarray(small, dtype)
            n1, n2 = (_divisor(corrected, beta, count).astype(dtype) for beta in (p, q))

            def spread() -> Array:
                return a2 * jnp.square(g - mu)

            m = c1 * g + a1 * mu
            after: Any = None
            if nu is not None:
                seconds = [lambda: nu, lambda: nu, lambda: jnp.square(g), spread]
                after = c2 * _choose(kind, seconds) + a2 * nu
            directions = [
                lambda: m / n1,
                lambda: jnp.sign(m),
                lambda: quotient(m / n1, jnp.sqrt(after / n2) + epsilon),
                lambda: quotient(m / n1, jnp.sqrt((m * m + factor * after) / n2) + epsilon),
            ]
            return _choose(kind, directions).astype(jnp.asarray(gradient).dtype), m, after

        leaves, tree = jax.tree.flatten(updates)
        structure: Any = tree
        averages = [state.mu] if state.nu is None else [state.mu, state.nu]
        columns = [structure.flatten_up_to(average) for average in averages]
        rows = [moved(*row) for row in zip(leaves, *columns, strict=True)]
        new, mu, nu = (structure.unflatten([row[i] for row in rows]) for i in range(3))
        return new, AdamFamilyState(count, mu, None if state.nu is None else nu)

    return optax.GradientTransformation(init, update)


def adam(
    learning_rate: optax.ScalarOrSchedule,
    b1: ArrayLike = 0.9,
    b2: ArrayLike = 0.999,
    eps: ArrayLike = 1e-8,
    *,
    bias_correction: bool | Array = True,
) -> optax.GradientTransformation:
    """Adam, with bias correction or without.

    w <- w - learning_rate * m / (sqrt(v) + eps), m and v of `scale_by_adam_family`.

    Args: learning_rate, 0 or more, or a schedule: a function of the steps made; b1, b2, in [0, 1);
        eps, 0 or more; bias_correction.
    Returns: an optax.GradientTransformation. [t]
    Raises, warns: as `scale_by_adam_family`.
    Source: Kingma and Ba, ICLR 2015, Algorithm 1.

    >>> method = adam(0.1)
    >>> updates, _ = method.update(jnp.array([-3.0, 0.0]), method.init(jnp.zeros(2)))
    >>> [round(u, 4) for u in updates.tolist()]
    [0.1, -0.0]
    """
    return _chain(learning_rate, b1, b2, "adam", eps=eps, bias_correction=bias_correction)


def adam_equal_betas(
    learning_rate: optax.ScalarOrSchedule,
    beta: ArrayLike = 0.95,
    eps: ArrayLike = 1e-8,
    *,
    bias_correction: bool | Array = False,
) -> optax.GradientTransformation:
    """Adam with b1 = b2: the sign of the mean, times a confidence.

    w <- w - learning_rate * m / (sqrt(m^2 + s) + eps), m the online mean of the gradients and s
    their online variance; without bias correction unless asked for.

    Args: learning_rate, 0 or more, or a schedule: a function of the steps made; beta, in [0, 1);
        eps, 0 or more; bias_correction.
    Returns: an optax.GradientTransformation. [t]
    Raises: TypeError or ValueError naming the argument.
    Source: Orvieto and Gower, arXiv 2505.21829, Proposition 1.

    >>> method = adam_equal_betas(1.0, 0.75)
    >>> method.update(jnp.array(-3.0), method.init(jnp.array(0.0)))[0].round(2).item()
    0.5
    """
    beta = decay("beta", beta)
    return _chain(learning_rate, beta, beta, "variance", eps=eps, bias_correction=bias_correction)


def sign_sgd(learning_rate: optax.ScalarOrSchedule) -> optax.GradientTransformation:
    """Gradient descent by signs: Adam without memory.

    w <- w - learning_rate * sign(g), sign(0) = 0.

    Args: learning_rate, 0 or more, or a schedule: a function of the steps made.
    Returns: an optax.GradientTransformation. [t]
    Raises: TypeError or ValueError naming the argument.
    Source: Bernstein et al., ICML 2018.

    >>> method = sign_sgd(1.0)
    >>> method.update(jnp.array([-3.0, 0.0]), method.init(jnp.zeros(2)))[0].tolist()
    [1.0, -0.0]
    """
    return _chain(learning_rate, 0.0, 0.0, "sign")


def signum(learning_rate: optax.ScalarOrSchedule, beta: ArrayLike) -> optax.GradientTransformation:
    """Descent by the sign of the averaged gradient.

    w <- w - learning_rate * sign(m), m <- beta * m + (1 - beta) * g.

    Args: learning_rate, 0 or more, or a schedule: a function of the steps made; beta, in [0, 1).
    Returns: an optax.GradientTransformation. [t]
    Raises: TypeError or ValueError naming the argument.
    Source: Bernstein et al., ICML 2018.

    >>> method = signum(1.0, 0.5)
    >>> method.update(jnp.array(-3.0), method.init(jnp.array(0.0)))[0].item()
    1.0
    """
    beta = decay("beta", beta)
    return _chain(learning_rate, beta, beta, "sign")


def rmsprop(
    learning_rate: optax.ScalarOrSchedule, b2: ArrayLike = 0.9, eps: ArrayLike = 1e-8
) -> optax.GradientTransformation:
    """RMSprop: Adam without the average of the gradients.

    w <- w - learning_rate * g / (sqrt(v) + eps), v <- b2 * v + (1 - b2) * g^2: eps outside the root
    (`optax.rmsprop` has it inside unless eps_in_sqrt=False).

    Args: learning_rate, 0 or more, or a schedule: a function of the steps made; b2, in [0, 1); eps,
        0 or more.
    Returns: an optax.GradientTransformation. [t]
    Raises: TypeError or ValueError naming the argument.
    Source: Tieleman and Hinton, lecture 6.5 of Neural Networks for Machine Learning, 2012.

    >>> method = rmsprop(1.0, 0.75)
    >>> method.update(jnp.array(-3.0), method.init(jnp.array(0.0)))[0].round(2).item()
    2.0
    """
    return _chain(learning_rate, 0.0, b2, "adam", eps=eps)


def sgd_momentum(
    learning_rate: optax.ScalarOrSchedule, beta: ArrayLike
) -> optax.GradientTransformation:
    """Gradient descent along the averaged gradient.

    w <- w - learning_rate * m, m <- beta * m + (1 - beta) * g: `optax.sgd` with momentum=beta and
    the learning rate multiplied by 1 - beta.

    Args: learning_rate, 0 or more, or a schedule: a function of the steps made; beta, in [0, 1).
    Returns: an optax.GradientTransformation. [t]
    Raises: TypeError or ValueError naming the argument.
    Source: Polyak (1964), as an average.

    >>> method = sgd_momentum(1.0, 0.5)
    >>> method.update(jnp.array(-3.0), method.init(jnp.array(0.0)))[0].item()
    1.5
    """
    beta = decay("beta", beta)
    return _chain(learning_rate, beta, beta, "none")


def trajectory(
    optimizer: optax.GradientTransformation,
    gradient: Callable[[Any, Any], Any],
    params: Any,
    inputs: Any,
    *,
    record: Callable[[Any, Any], Any] | None = None,
) -> Any:
    """Run an optimiser over a sequence of inputs and keep its path.

    updates, state <- optimizer.update(gradient(params, inputs[n]), state, params)
    params <- params + updates, n = 0 .. n_steps - 1

    Args:
        optimizer: any optax.GradientTransformation. The same object does not recompile; to sweep
            over its numbers, make it inside the function that `jax.vmap` maps.
        gradient: of (params, inputs[n]), returns a pytree like params. The same function (or a
            `jax.tree_util.Partial` of it over other data) does not recompile.
        params: start, a pytree of floating-point arrays.
        inputs: a pytree of arrays, time first: batches, noise, or jnp.arange(n_steps).
        record: of (params, state), chooses what is kept; default: params.

    Returns: what record returns, with a leading axis of n_steps + 1, the start included. [t] in
        params and inputs, and in what optimizer and gradient close over.
    Raises: TypeError or ValueError naming the argument.

    >>> path = trajectory(sign_sgd(1.0), lambda w, x: w - x, jnp.array(3.0), jnp.zeros(4))
    >>> path.tolist()
    [3.0, 2.0, 1.0, 0.0, 0.0]
    """
    if not (callable(getattr(optimizer, "init", None)) and hasattr(optimizer, "update")):
        raise TypeError(
            f"optimizer: got {optimizer!r}, an optax.GradientTransformation is needed; make one "
            f"such as adam(0.001)."
        )
    if record is not None and not callable(record):
        raise TypeError(
            f"record: got {record!r}, a function of (params, state) is needed; leave it out to "
            f"keep params."
        )
    slope = as_pytree("gradient", gradient)
    start = jax.tree.map(partial(floating, "params"), params)
    series = jax.tree.map(jnp.asarray, inputs)
    lengths = {leaf.shape[:1] for leaf in jax.tree.leaves(series)}
    if len(lengths) != 1 or lengths == {()}:
        raise ValueError(
            f"inputs: got leading axes {sorted(lengths)}, one and the same number of steps is "
            f"needed, time first; pass jnp.arange(n_steps) where there is nothing to pass."
        )
    # Inside a jit there is one already, and ours would keep the optimizer's tracers in its cache.
    inside = arguments.is_traced(jnp.zeros(()))
    run = _run if inside else _run_compiled
    return run(slope, start, series, optimizer=optimizer, record=record)


def _run(gradient: Any, params: Any, inputs: Any, *, optimizer: Any, record: Any) -> Any:
    def kept(params: Any, state: Any) -> Any:
        return params if record is None else record(params, state)

    def step(carry: Any, new: Any) -> Any:
        params, state = carry
        updates, state = optimizer.update(gradient(params, new), state, params)
        params = optax.apply_updates(params, updates)
        return (params, state), kept(params, state)

    start = params, optimizer.init(params)
    path = lax.scan(step, start, inputs)[1]
    return jax.tree.map(
        lambda first, rest: jnp.concatenate([jnp.asarray(first)[None], rest]), kept(*start), path
    )


_run_compiled = jax.jit(_run, static_argnames=("optimizer", "record"))


def _chain(
    learning_rate: Any, b1: Any, b2: Any, denominator: str, **settings: Any
) -> optax.GradientTransformation:
    if not callable(learning_rate):
        scalar("learning_rate", learning_rate, least=0)
    return optax.chain(
        scale_by_adam_family(b1, b2, denominator=denominator, **settings),
        optax.scale_by_learning_rate(learning_rate),
    )


def _zeros(leaf: Any) -> Array:
    weights = floating("params", leaf)
    return jnp.zeros(weights.shape, jnp.promote_types(weights.dtype, jnp.float32))


def _like(gradient: Any, mu: Array) -> Array:
    g = floating("updates", gradient)
    if g.shape != mu.shape:
        raise ValueError(
            f"updates: got a leaf of shape {g.shape}, {mu.shape} as in the parameters is needed; "
            f"pass gradients of the parameters that init was given."
        )
    return g.astype(mu.dtype)


def _choose(kind: Any, options: list[Callable[[], Array]]) -> Array:
    """One of four arrays, by a name now or by an index at run time."""
    if isinstance(kind, str):
        return options[DENOMINATORS.index(kind)]()
    return lax.select_n(kind, *[option() for option in options])


def _divisor(corrected: Any, beta: Any, count: Array) -> Array:
    """1 - beta^k as optax forms it, so that the two agree to rounding in float32 as well."""
    if corrected is False:
        return jnp.ones(())
    weights = 1 - (beta if arguments.is_traced(beta) else float(beta)) ** count
    return weights if corrected is True else jnp.where(corrected, weights, 1)


def _kind(denominator: Any) -> Any:
    """A name, or a traced or JAX index."""
    if isinstance(denominator, str) and denominator in DENOMINATORS:
        return denominator
    whole = isinstance(denominator, int | np.integer | Array) and jnp.issubdtype(
        jnp.asarray(denominator).dtype, jnp.integer
    )
    if whole and jnp.ndim(denominator) == 0:
        if arguments.is_traced(denominator):
            return jnp.clip(denominator, 0, 3).astype(jnp.int32)
        if 0 <= int(denominator) <= 3:
            if isinstance(denominator, Array):
                return denominator.astype(jnp.int32)
            return DENOMINATORS[int(denominator)]
    names = ", ".join(f"{name!r} ({i})" for i, name in enumerate(DENOMINATORS))
    raise ValueError(
        f"denominator: got {denominator!r}, one of {names} is needed; Adam's is 'adam'."
    )


def _flag(name: str, value: Any) -> Any:
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, Array) and value.ndim == 0:
        return value != 0
    raise TypeError(
        f"{name}: got {value!r}, True or False is needed; leave it out for the default."
    )
