"""Two problems in one dimension on which an optimiser fails, and why it does.

Where the slope vanishes (`deep_chain`), Adam lives until its epsilon is larger than the slope.
Where rare large gradients point one way and frequent small ones the other (`periodic_problem`),
its normalisation can turn it the wrong way.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax  # type: ignore[import-untyped]
from jax import Array
from jax.tree_util import Partial
from jax.typing import ArrayLike

from optdyn import arguments, averages
from optdyn.anti_pgd import scalar


def deep_chain(depth: int) -> tuple[Callable[[Any], Array], Callable[[Any], Array]]:
    """A product of `depth` equal scalars that should be 1: far from there its slope vanishes.

    loss(w) = (w^depth - 1)^2 / 2; gradient(w) = (w^depth - 1) w^(depth - 1), the derivative by
    one of the scalars.

    Args: depth, 1 or more.
    Returns: loss and gradient, functions of w (gradient also of an input that it ignores, as
        `optimizers.trajectory` has it); another depth does not recompile. [t]
    Raises: TypeError or ValueError naming the argument.
    Source: derived in chapters/adam, after Orvieto et al., arXiv 2106.03763.

    >>> loss, gradient = deep_chain(3)
    >>> float(loss(2.0)), float(gradient(2.0))
    (24.5, 28.0)
    """
    size = arguments.count("depth", depth)
    return _with(_chain_loss, size), _with(_chain_gradient, size)


def _chain_loss(depth: Any, w: Any) -> Array:
    loss: Array = 0.5 * (jnp.power(w, depth) - 1) ** 2
    return loss


def _chain_gradient(depth: Any, w: Any, _: Any = None) -> Array:
    rest: Array = jnp.power(w, depth - 1)
    slope: Array = (w * rest - 1) * rest
    return slope


def periodic_problem(slope: ArrayLike) -> Callable[[Any, Any], Array]:
    """Linear losses on [-1, 1] with period 3: slope * x, -x, -x, and again.

    gradient(x, n) = slope if n = 0, 3, 6, ..., else -1; for slope > 2 the best point is -1.
    Follow the optimiser by `keep_in_box(-1, 1)`.

    Args: slope, a scalar.
    Returns: gradient, a function of x and the number n of the step, from 0. [t]
    Raises: TypeError or ValueError naming the argument.
    Source: Reddi, Kale and Kumar, ICLR 2018.

    >>> gradient = periodic_problem(3.0)
    >>> [float(gradient(0.0, n)) for n in range(4)]
    [3.0, -1.0, -1.0, 3.0]
    """
    scalar("slope", slope)
    return _with(_periodic_gradient, slope)


def _periodic_gradient(slope: Any, x: Any, n: Any) -> Array:
    x = jnp.asarray(x, arguments.precision(x))
    return jnp.where(jnp.asarray(n) % 3 == 0, jnp.asarray(slope, x.dtype), -jnp.ones_like(x))


def periodic_drift(slope: ArrayLike, b1: ArrayLike, b2: ArrayLike) -> Array:
    """Sum of Adam's directions over a period of `periodic_problem`, in its steady state.

    sum over n = 0, 1, 2 of m_n / sqrt(v_n), m and v the periodic averages of the gradients and
    their squares: b -> (1 - b) (s_n + b s_{n-1} + b^2 s_{n-2}) / (1 - b^3). Positive: x goes
    down, the right way for slope > 2.

    Args: slope, b1, b2, scalars; b1 and b2 in [0, 1).
    Returns: a scalar. [t]
    Raises: TypeError or ValueError naming the argument.
    Source: derived in chapters/adam.

    >>> float(periodic_drift(3.0, 0.0, 0.0)), bool(periodic_drift(3.0, 0.9, 0.9) > 0)
    (-1.0, True)
    """
    scalar("slope", slope)
    betas = averages.decay("b1", b1), averages.decay("b2", b2)
    dtype = arguments.precision(slope, *betas)
    one = jnp.ones((), dtype)
    cycle = jnp.stack([jnp.asarray(slope, dtype), -one, -one])

    def steady(values: Array, beta: Any) -> Array:
        b = jnp.asarray(beta, dtype)
        total = values + b * jnp.roll(values, 1) + b * b * jnp.roll(values, 2)
        return total / (1 + b + b * b)

    return jnp.sum(steady(cycle, betas[0]) / jnp.sqrt(steady(cycle * cycle, betas[1])))


def keep_in_box(low: ArrayLike, high: ArrayLike) -> optax.GradientTransformation:
    """Projection onto a box, to be the last of `optax.chain`.

    update <- clip(params + update, low, high) - params

    Args: low, high, scalars, low at most high.
    Returns: an optax.GradientTransformation whose update needs params. [t]
    Raises: TypeError or ValueError naming the argument; update: ValueError without params.
    Source: none; the projection.

    >>> rule = keep_in_box(-1.0, 1.0)
    >>> rule.update(jnp.array(3.0), rule.init(jnp.array(0.5)), jnp.array(0.5))[0].item()
    0.5
    """
    scalar("low", low)
    scalar("high", high)
    known = not (arguments.is_traced(low) or arguments.is_traced(high))
    if known and np.asarray(low) > np.asarray(high):
        raise ValueError(f"low: got {low!r}, at most high = {high!r} is allowed; swap the two.")

    def init(params: optax.Params) -> optax.EmptyState:
        return optax.EmptyState()

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        if params is None:
            raise ValueError(
                "params: got None, the parameters are needed to know where the box is; call "
                "update(gradients, state, params)."
            )
        return jax.tree.map(lambda u, w: jnp.clip(w + u, low, high) - w, updates, params), state

    return optax.GradientTransformation(init, update)


def _with(function: Callable[..., Array], number: Any) -> Callable[..., Array]:
    """A function of what is left, whose number is an argument to `jax.jit`: no recompilation."""
    return Partial(function, number)  # type: ignore[no-untyped-call]
