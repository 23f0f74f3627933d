"""optdyn.optimizers.anti_pgd against descent.descend on the same noise, and its kicks' law."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import lax

from optdyn import descent, landscapes
from optdyn.noise import increments, white_noise
from optdyn.optimizers import anti_pgd

if hasattr(jax, "enable_x64"):
    enable_x64 = jax.enable_x64
else:
    from jax.experimental import enable_x64


@pytest.fixture(autouse=True, scope="module")
def double():
    with enable_x64(True):
        yield


KEY = jax.random.key(7)
VALLEY = landscapes.widening_valley()
START = np.array([1.0, -2.0, 0.5, 0.7])


def trained(method, gradient, params, n_steps):
    """Parameters and noise after every step, start included; the step is scanned."""
    state = method.init(params)

    def step(carry, _):
        params, state = carry
        updates, state = method.update(gradient(params), state, params)
        params = optax.apply_updates(params, updates)
        return (params, state), (params, state)

    path, states = lax.scan(step, (params, state), length=n_steps)[1]
    return jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), (params, state), (path, states))


def kicks_of(method, n_steps=400, size=50):
    """What the weights move by on a flat loss."""
    path, _ = trained(method, jnp.zeros_like, jnp.zeros(size), n_steps)
    return np.diff(path, axis=0)


def law(kicks):
    """Deviation, and correlations at lags 1 and 2."""
    variance = np.mean(kicks**2)
    lags = [np.mean(kicks[k:] * kicks[:-k]) / variance for k in (1, 2)]
    return np.array([np.sqrt(variance), *lags])


@pytest.mark.parametrize("kappa", [1.0, 0.4])
def test_it_is_descent_over_the_same_noise(kappa):
    method = anti_pgd(0.05, 0.1, key=KEY, kappa=kappa)
    path, states = trained(method, VALLEY.gradient, jnp.asarray(START), 100)
    kicks = increments(states.xi, kappa=kappa)
    expected = descent.descend(VALLEY.gradient, START, kicks, step_size=0.05)
    np.testing.assert_allclose(path, expected, rtol=0, atol=1e-12)
    assert states.count.tolist() == list(range(101))
    assert np.std(states.xi) == pytest.approx(0.1, rel=0.15)


@pytest.mark.parametrize("learning_rate", [1e-3, 0.3, 10.0])
def test_the_kicks_at_any_learning_rate(learning_rate):
    """sigma * sqrt(2), -1/2, 0: 20,000 numbers, so that a standard error is below 0.01."""
    found = law(kicks_of(anti_pgd(learning_rate, 0.2, key=KEY)))
    np.testing.assert_allclose(found, [0.2 * np.sqrt(2), -0.5, 0], rtol=0, atol=0.03)


def test_pgd_has_independent_kicks():
    found = law(kicks_of(anti_pgd(0.1, 0.2, key=KEY, kappa=0.0)))
    np.testing.assert_allclose(found, [0.2, 0, 0], rtol=0, atol=0.03)


def wrong(mistake):
    """Anti-PGD with a mistake that is found in public: a transformation without parameters."""

    def draw(key):
        deviation = 0.2 * 0.2 if mistake == "sigma twice" else 0.2
        return white_noise(key, (50,), sigma=deviation)

    def init(params):
        return jax.random.split(KEY)[0], draw(KEY)

    def update(updates, state, params=None):
        key, old = state
        key, one, other = jax.random.split(key, 3)
        if mistake == "two new draws":
            old = draw(other)
        new = draw(one)
        kick = new - old
        if mistake == "noise in the gradient":
            return jax.tree.map(lambda g: -0.01 * (g + kick), updates), (key, new)
        return jax.tree.map(lambda g: -0.01 * g + kick, updates), (key, new)

    return optax.GradientTransformation(init, update)


def test_the_mistakes_would_be_seen():
    right = np.array([0.2 * np.sqrt(2), -0.5, 0])
    np.testing.assert_allclose(law(kicks_of(wrong("none"))), right, rtol=0, atol=0.03)
    scaled, correlation, _ = law(kicks_of(wrong("noise in the gradient")))
    assert scaled == pytest.approx(0.01 * right[0], rel=0.05) and correlation < -0.45
    scaled, correlation, _ = law(kicks_of(wrong("sigma twice")))
    assert scaled == pytest.approx(0.2 * right[0], rel=0.05) and correlation < -0.45
    scaled, correlation, _ = law(kicks_of(wrong("two new draws")))
    assert scaled == pytest.approx(right[0], rel=0.05) and abs(correlation) < 0.03


def test_parameters_of_any_structure():
    params = {"a": (jnp.ones((2, 3)), jnp.float32(1)), "b": [], "c": jnp.zeros((100, 100))}
    method = anti_pgd(0.1, 1.0, key=KEY)
    state = method.init(params)
    updates, later = jax.jit(method.update)(jax.tree.map(jnp.ones_like, params), state)
    kick = jax.tree.map(lambda g, new, old: -0.1 * g + new - old,
                        jax.tree.map(jnp.ones_like, params), later.xi, state.xi)  # fmt: skip
    for one, other, like in zip(*map(jax.tree.leaves, (updates, kick, params)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6)
        assert one.shape == like.shape and one.dtype == like.dtype
    assert np.std(state.xi["c"]) == pytest.approx(1, rel=0.05)
    assert np.unique(np.concatenate([x.ravel() for x in jax.tree.leaves(state.xi)])).size > 10_000
    assert method.update({}, method.init({}))[0] == {}


def test_in_a_chain_with_a_schedule():
    schedule = optax.linear_schedule(0.1, 0.0, 10)
    method = optax.chain(optax.trace(0.9), anti_pgd(schedule, 0.0, key=KEY))
    path, _ = trained(method, VALLEY.gradient, jnp.asarray(START), 12)
    other = optax.sgd(schedule, momentum=0.9)
    expected, _ = trained(other, VALLEY.gradient, jnp.asarray(START), 12)
    np.testing.assert_allclose(path, expected, rtol=0, atol=1e-13)
    # Placed after it, a factor would scale the noise.
    scaled = optax.chain(anti_pgd(0.1, 0.2, key=KEY), optax.scale(0.1))
    assert law(kicks_of(scaled))[0] == pytest.approx(0.02 * np.sqrt(2), rel=0.05)


def test_another_key_and_another_sigma():
    first = anti_pgd(0.1, 1.0, key=KEY).init(jnp.zeros(3)).xi
    np.testing.assert_array_equal(first, anti_pgd(0.5, 1.0, key=KEY).init(jnp.zeros(3)).xi)
    np.testing.assert_allclose(2 * first, anti_pgd(0.1, 2.0, key=KEY).init(jnp.zeros(3)).xi)
    other = anti_pgd(0.1, 1.0, key=jax.random.key(8)).init(jnp.zeros(3)).xi
    assert np.abs(first - other).min() > 1e-3


def test_traced_settings_and_batches():
    """Runs that differ in sigma and kappa, in one call."""

    def ends(sigma, kappa, key):
        method = anti_pgd(0.1, sigma, key=key, kappa=kappa)
        return trained(method, jnp.zeros_like, jnp.zeros(2000), 50)[0][-1]

    sigmas, kappas = jnp.array([0.5, 1.0, 1.0]), jnp.array([1.0, 1.0, 0.0])
    found = jax.jit(jax.vmap(ends))(sigmas, kappas, jax.random.split(KEY, 3))
    np.testing.assert_allclose(np.var(found, axis=1), [0.5, 2, 50], rtol=0.15)


WRONG = [
    ({"learning_rate": -0.1}, ValueError, "learning_rate: .*-0.1"),
    ({"learning_rate": np.nan}, ValueError, "learning_rate: .*nan"),
    ({"learning_rate": "fast"}, TypeError, "learning_rate: "),
    ({"sigma": -1.0}, ValueError, "sigma: .*-1.0"),
    ({"sigma": [1.0]}, ValueError, r"sigma: .*\[1.0\]"),
    ({"kappa": np.inf}, ValueError, "kappa: .*inf"),
]


@pytest.mark.parametrize(("change", "error", "message"), WRONG)
def test_bad_input(change, error, message):
    with pytest.raises(error, match="^" + message):
        anti_pgd(**{"learning_rate": 0.1, "sigma": 1.0, "key": KEY, **change})


def test_whole_numbers_cannot_be_trained():
    with pytest.raises(TypeError, match=r"^params: .*int.*optax.masked"):
        anti_pgd(0.1, 1.0, key=KEY).init({"a": jnp.arange(3)})
