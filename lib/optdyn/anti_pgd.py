"""Gradient descent with anticorrelated noise as an optax transformation."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax  # type: ignore[import-untyped]
from jax import Array
from jax.typing import ArrayLike

from optdyn import arguments
from optdyn.noise import white_noise


class AntiPgdState(NamedTuple):
    """The steps made, the key, and the noise xi_n that the next step takes back, like params."""

    count: Array  # type: ignore[assignment]
    key: Any
    xi: Any


def anti_pgd(
    learning_rate: optax.ScalarOrSchedule,
    sigma: ArrayLike,
    *,
    key: ArrayLike,
    kappa: ArrayLike = 1.0,
) -> optax.GradientTransformation:
    """Gradient descent with anticorrelated noise, for parameters of any structure.

    w_{n+1} = w_n - learning_rate * g_n + xi_{n+1} - kappa * xi_n, xi_n of independent
    N(0, sigma^2) entries, xi_0 drawn by init. The noise is added to the weights: it is not
    multiplied by the learning rate. kappa = 1 is Anti-PGD, kappa = 0 is PGD.

    optax adds the updates to the parameters, so put this one last in `optax.chain`: what follows
    it would rescale the noise as well, and momentum after it would undo the anticorrelation.

    Args:
        learning_rate: 0 or more, or a schedule: a function of the number of steps made.
        sigma: deviation of each entry of xi, 0 or more.
        key: a JAX key; another key is another noise.
        kappa: share of the old noise that is taken back.

    Returns: an optax.GradientTransformation; state.xi is the noise now in the weights. [t] in all
        arguments; init and update work under jit, vmap and scan.
    Raises: TypeError or ValueError naming the argument; init: TypeError for parameters that are
        not real floating-point numbers.
    Source: Orvieto et al., arXiv 2202.02831, equation (4).

    >>> method = anti_pgd(0.1, 0.0, key=jax.random.key(0))
    >>> updates, state = method.update(jnp.array([10.0, 20.0]), method.init(jnp.zeros(2)))
    >>> updates.tolist()
    [-1.0, -2.0]
    """
    if not callable(learning_rate):
        scalar("learning_rate", learning_rate, least=0)
    scalar("sigma", sigma, least=0)
    scalar("kappa", kappa)

    def draw(key: Any, n: ArrayLike, like: Any) -> Any:
        leaves, structure = jax.tree.flatten(like)
        keys = jax.random.split(jax.random.fold_in(key, n), max(1, len(leaves)))
        drawn = [
            white_noise(k, leaf.shape, sigma=sigma, dtype=leaf.dtype)
            for k, leaf in zip(keys, leaves, strict=False)
        ]
        return jax.tree.unflatten(structure, drawn)

    def init(params: optax.Params) -> AntiPgdState:
        weights = jax.tree.map(partial(floating, "params"), params)
        return AntiPgdState(jnp.zeros([], jnp.int32), key, draw(key, 0, weights))

    def update(
        updates: optax.Updates, state: AntiPgdState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, AntiPgdState]:
        count = optax.safe_increment(state.count)
        rate = learning_rate(state.count) if callable(learning_rate) else learning_rate
        xi = draw(state.key, count, state.xi)
        updates = jax.tree.map(
            lambda g, new, old: (-rate * g + (new - kappa * old)).astype(new.dtype),
            updates,
            xi,
            state.xi,
        )
        return updates, AntiPgdState(count, state.key, xi)

    return optax.GradientTransformation(init, update)


def floating(name: str, leaf: Any) -> Array:
    """Return a leaf of a pytree as an array of real floating-point numbers.

    >>> floating("params", jnp.zeros(2, jnp.float32)).dtype.name
    'float32'
    """
    array = jnp.asarray(leaf)
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise TypeError(
            f"{name}: got a leaf of type {array.dtype}, real floating-point numbers are needed; "
            f"leave other leaves out with optax.masked."
        )
    return array


def scalar(name: str, value: Any, least: float | None = None) -> None:
    """Check that a value is one finite real number, of at least `least` where it is concrete.

    >>> scalar("sigma", 1.0, least=0)
    """
    number = arguments.real(name, value)
    if number.ndim or (least is not None and not arguments.is_traced(number) and number < least):
        needed = "one number" if least is None else f"one number of at least {least}"
        raise ValueError(f"{name}: got {value!r}, {needed} is needed; pass a value such as 0.1.")
