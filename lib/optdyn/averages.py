"""What moments and optimizers share: the rates of averages, checked and without cancellation."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from optdyn import arguments


def decay(name: str, beta: Any, shape: tuple[int, ...] | None = ()) -> Any:
    """Return `beta` as real numbers in [0, 1) that broadcast to `shape` (None: any shape).

    >>> decay("b1", 0.9)
    array(0.9)
    """
    return _within(name, beta, shape, lambda b: (b >= 0) & (b < 1), "[0, 1)", "0.9")


def nonnegative(name: str, value: Any, shape: tuple[int, ...] | None = ()) -> Any:
    """Return `value` as real numbers of at least 0 that broadcast to `shape` (None: any shape).

    >>> nonnegative("eps", 0.0)
    array(0.)
    """
    return _within(name, value, shape, lambda x: x >= 0, "[0, inf)", "1e-8")


def positive(name: str, value: Any, shape: tuple[int, ...] | None = None) -> Any:
    """Return `value` as positive real numbers that broadcast to `shape` (None: any shape).

    >>> positive("lam", 2.0)
    array(2.)
    """
    return _within(name, value, shape, lambda x: x > 0, "(0, inf)", "0.1")


def _within(name: str, value: Any, shape: Any, holds: Any, allowed: str, example: str) -> Any:
    number = arguments.real(name, value)
    if shape is not None:
        try:
            fits = np.broadcast_shapes(number.shape, shape) == shape
        except ValueError:
            fits = False
        if not fits:
            needed = f"an array that broadcasts to {shape} or one number" if shape else "one number"
            raise ValueError(
                f"{name}: got shape {number.shape}, {needed} is needed; map over several values "
                f"with jax.vmap."
            )
    if not arguments.is_traced(number):
        bad = ~holds(number)
        if bad.any():
            raise ValueError(
                f"{name}: got {number[bad].flat[0]}, numbers in {allowed} are needed; pass a value "
                f"such as {example}."
            )
    return number


def rates(beta: Any, dtype: Any) -> tuple[Array, Array]:
    """beta and 1 - beta in a type: the second is not the difference of rounded numbers.

    >>> 1 - np.float32(0.999), rates(0.999, np.float32)[1].item()
    (np.float32(0.0009999871), 0.0010000000474974513)
    """
    if not arguments.is_traced(beta):
        beta = np.asarray(beta, np.float64)
    return jnp.asarray(beta, dtype), jnp.asarray(1 - beta, dtype)


def mass(t: Array, rate: Array) -> Array:
    """1 - (1 - rate)^t without cancellation: the sum of an average's weights after t steps.

    Args: t, steps, 1 or more; rate, 1 - beta, in (0, 1].
    Returns: an array. [t]

    >>> mass(jnp.array(2.0), jnp.array(0.5)).item(), mass(jnp.array(1.0), jnp.array(1.0)).item()
    (0.75, 1.0)
    """
    return -jnp.expm1(t * jnp.log1p(-rate))


def quotient(m: Array, root: Array) -> Array:
    """m / root, and 0 where root is 0: a row that no gradient ever visited stays where it is.

    >>> quotient(jnp.array([3.0, 0.0]), jnp.array([6.0, 0.0])).tolist()
    [0.5, 0.0]
    """
    zero = root == 0
    return jnp.where(zero, 0, m / jnp.where(zero, 1, root))
