"""optdyn.optimizers against optax's own, NumPy loops and optdyn.moments, in both precisions."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, strategies
from hypothesis.extra import numpy as arrays
from jax.tree_util import Partial

from optdyn import moments, optimizers
from optdyn.javascript import translate
from optdyn.optimizers import DENOMINATORS, scale_by_adam_family, trajectory
from tests.engine import Engine

if hasattr(jax, "enable_x64"):
    enable_x64 = jax.enable_x64
else:
    from jax.experimental import enable_x64

LR = 0.01
N = 500


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    with enable_x64(request.param == "float64"):
        yield np.dtype(request.param).type


def close(dtype, double=1e-14, single=2e-6):
    return double if dtype is np.float64 else single


def gradients(dtype, seed=0):
    """500 random gradients, a pytree of two leaves of different scales."""
    rng = np.random.default_rng(seed)
    return {
        "a": rng.normal(size=(N, 4)).astype(dtype),
        "b": [(3 * rng.normal(size=(N, 2, 3)) + 0.5).astype(dtype)],
    }


def given_gradient(params, gradient):
    return gradient


def start(dtype):
    return {"a": jnp.full(4, 0.5, dtype), "b": [jnp.full((2, 3), -0.2, dtype)]}


def path(optimizer, dtype, gradient=given_gradient):
    return trajectory(optimizer, gradient, start(dtype), gradients(dtype))


def difference(one, other, dtype):
    """Largest difference of two paths of the same structure and type."""
    assert jax.tree.structure(one) == jax.tree.structure(other)
    pairs = list(zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True))
    assert all(p.dtype == q.dtype == dtype and len(p) == N + 1 for p, q in pairs)
    assert all(np.abs(p[-1] - p[0]).max() > 1e-3 for p, _ in pairs)
    return max(float(np.abs(p - q).max()) for p, q in pairs)


def family(learning_rate, b1, b2, **settings):
    rule = scale_by_adam_family(b1, b2, **settings)
    return optax.chain(rule, optax.scale_by_learning_rate(learning_rate))


def decoupled(rule):
    schedule = optax.warmup_cosine_decay_schedule(0.0, LR, 50, N)
    return optax.chain(
        optax.clip_by_global_norm(1.0), rule, optax.add_decayed_weights(0.1),
        optax.scale_by_learning_rate(schedule),
    )  # fmt: skip


def adamw():
    schedule = optax.warmup_cosine_decay_schedule(0.0, LR, 50, N)
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(schedule, weight_decay=0.1))


LARGE = 1e16  # kappa, whose square root is exact
BELIEF = LR * np.sqrt(LARGE / 0.95)
ADAMS = {"bias_correction": True}
SAME = {  # C29: ours, optax's, and whether to the bit
    "adam": (lambda: optimizers.adam(LR), lambda: optax.adam(LR), False),
    "adam without bias correction, of equal betas": (
        lambda: optimizers.adam_equal_betas(LR, 0.9),
        lambda: optimizers.adam(LR, 0.9, 0.9, bias_correction=False),
        False,
    ),
    "adam of equal betas": (
        lambda: optimizers.adam_equal_betas(LR, 0.95, bias_correction=True),
        lambda: optax.adam(LR, 0.95, 0.95),
        False,
    ),
    "adam with another eps": (
        lambda: family(LR, 0.9, 0.99, eps=1e-3, bias_correction=True),
        lambda: optax.adam(LR, 0.9, 0.99, eps=1e-3),
        False,
    ),
    "signum": (lambda: optimizers.signum(LR, 0.9), lambda: optax.signum(LR, 0.9), True),
    "kappa = 0, eps = 0": (
        lambda: family(LR, 0.9, 0.9, denominator="variance", kappa=0, eps=0),
        lambda: optax.signum(LR, 0.9),
        False,
    ),
    "no memory": (lambda: family(LR, 0, 0, eps=0), lambda: optax.sign_sgd(LR), False),
    "sign_sgd": (lambda: optimizers.sign_sgd(LR), lambda: optax.sign_sgd(LR), True),
    "rmsprop": (
        lambda: optimizers.rmsprop(LR),
        lambda: optax.rmsprop(LR, 0.9, eps=1e-8, eps_in_sqrt=False),
        False,
    ),
    "sgd_momentum": (
        lambda: optimizers.sgd_momentum(LR, 0.9),
        lambda: optax.sgd(LR * (1 - 0.9), momentum=0.9),
        False,
    ),
    "adabelief": (
        lambda: family(BELIEF, 0.95, 0.95, denominator="variance", kappa=LARGE, eps=0, **ADAMS),
        lambda: optax.adabelief(LR, 0.95, 0.95, eps=0, eps_root=0),
        False,
    ),
    "chain with clipping, decay and a schedule": (
        lambda: decoupled(scale_by_adam_family(0.9, 0.999, bias_correction=True)),
        lambda: decoupled(optax.scale_by_adam(0.9, 0.999)),
        False,
    ),
    "adamw": (
        lambda: decoupled(scale_by_adam_family(0.9, 0.999, bias_correction=True)),
        adamw,
        False,
    ),
    "a schedule of learning rates": (
        lambda: optimizers.adam(optax.cosine_decay_schedule(0.1, N)),
        lambda: optax.adam(optax.cosine_decay_schedule(0.1, N)),
        False,
    ),
}


@pytest.mark.parametrize("name", SAME)
def test_it_is_what_optax_has(dtype, name):
    ours, other, exactly = SAME[name]
    found = difference(path(ours(), dtype), path(other(), dtype), dtype)
    assert found == 0 if exactly else found < close(dtype)


def test_what_optax_does_otherwise():
    """Defaults that differ: eps inside the root, no dampening."""
    with enable_x64(True):
        inside = path(optax.rmsprop(LR, 0.9), np.float64)
        assert difference(path(optimizers.rmsprop(LR), np.float64), inside, np.float64) > 1e-7
        undamped = path(optax.sgd(LR, momentum=0.9), np.float64)
        ours = path(optimizers.sgd_momentum(LR, 0.9), np.float64)
        assert difference(ours, undamped, np.float64) > 0.1


@pytest.mark.parametrize("index", range(4))
def test_traced_hyperparameters(dtype, index):
    """A sweep in one compiled call, against each run on its own with Python's numbers."""
    grid = [(0.9, 0.999, 0.01, 1.0, 1e-8, True), (0.0, 0.9, 0.1, 0.3, 0.0, False),
            (0.95, 0.95, 0.003, 1.0, 1e-3, True), (0.8, 0.8, 0.01, 0.0, 0.0, False)]  # fmt: skip
    traces = []

    @jax.jit
    @jax.vmap
    def sweep(kind, b1, b2, rate, kappa, eps, correct):
        traces.append(None)
        settings = {"denominator": kind, "kappa": kappa, "eps": eps, "bias_correction": correct}
        return path(family(rate, b1, b2, **settings), dtype)

    columns = [jnp.asarray(column) for column in zip(*grid, strict=True)]
    found = sweep(jnp.full(4, index), *columns)
    sweep(jnp.full(4, 3 - index), *columns)
    assert len(traces) == 1
    for i, (b1, b2, rate, kappa, eps, correct) in enumerate(grid):
        for denominator in (index, np.int32(index), DENOMINATORS[index]):
            method = family(rate, b1, b2, denominator=denominator, kappa=kappa, eps=eps,
                            bias_correction=correct)  # fmt: skip
            one = path(method, dtype)
            same = jax.tree.map(lambda leaf, i=i: leaf[i], found)
            assert difference(one, same, dtype) < close(dtype, 1e-13, 1e-4)


def test_traced_against_optax(dtype):
    @jax.jit
    @jax.vmap
    def sweep(rate, b1, b2):
        ours = optimizers.adam(rate, b1, b2)
        return path(ours, dtype), path(optax.adam(rate, b1, b2), dtype)

    grid = jnp.array([[0.01, 0.9, 0.999], [0.1, 0.5, 0.9], [0.003, 0.0, 0.99]], dtype)
    ours, theirs = sweep(*grid.T)
    for i in range(3):
        one, other = (jax.tree.map(lambda leaf: leaf[i], each) for each in (ours, theirs))  # noqa: B023
        assert difference(one, other, dtype) < close(dtype)


def test_presets_take_traced_numbers(dtype):
    methods = [
        lambda rate, beta: optimizers.sgd_momentum(rate, beta),
        lambda rate, beta: optimizers.signum(rate, beta),
        lambda rate, beta: optimizers.rmsprop(rate, beta),
        lambda rate, beta: optimizers.adam_equal_betas(rate, beta),
        lambda rate, beta: optimizers.adam_equal_betas(rate, beta, bias_correction=beta > 0.5),
        lambda rate, beta: optimizers.sign_sgd(rate),
    ]
    for method in methods:
        found = jax.jit(lambda rate, beta, method=method: path(method(rate, beta), dtype))(
            0.01, 0.75
        )
        if method is methods[4]:
            method = lambda r, b: optimizers.adam_equal_betas(r, b, bias_correction=True)  # noqa: E731
        assert difference(found, path(method(0.01, 0.75), dtype), dtype) < close(dtype)


NUMBER = strategies.floats(-1e3, 1e3).map(lambda x: 0.0 if abs(x) < 1e-3 else x)
STREAM = arrays.arrays(np.float64, (12, 2), elements=NUMBER)
RATE = strategies.sampled_from([0.0, 0.5, 0.9, 0.95, 0.999])


@jax.jit
def updates_of(kind, b1, b2, kappa, eps, correct, stream):
    rule = scale_by_adam_family(
        b1, b2, denominator=kind, kappa=kappa, eps=eps, bias_correction=correct
    )

    def step(state, gradient):
        updates, state = rule.update(gradient, state)
        return state, updates

    return jax.lax.scan(step, rule.init(stream[0]), stream)[1]


@given(STREAM, RATE, RATE, strategies.sampled_from([0.0, 1e-8, 0.1]), strategies.booleans())
def test_the_rule_is_the_filter(stream, b1, b2, eps, correct):
    """The optimiser's updates are optdyn.moments' directions of the same stream."""
    with enable_x64(True):

        def updates(kind, kappa=1.0):
            return updates_of(DENOMINATORS.index(kind), b1, b2, kappa, eps, correct, stream)

        average = moments.ema(stream, b1, debias=correct)
        np.testing.assert_allclose(updates("none"), average, rtol=1e-9, atol=1e-9)
        np.testing.assert_array_equal(updates("sign"), np.sign(average))
        direction = moments.adam_direction(stream, b1, b2, eps=eps, bias_correction=correct)
        np.testing.assert_allclose(updates("adam"), direction, rtol=1e-9, atol=1e-12)
        if b1 == b2:
            np.testing.assert_allclose(updates("variance"), direction, rtol=1e-9, atol=1e-12)
            if not correct:
                expected = moments.family_direction(stream, b1, 0.7, eps=eps)
                found = updates("variance", 0.7)
                np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("index", range(4))
@pytest.mark.parametrize("correct", [False, True])
@pytest.mark.parametrize("b1", [0.0, 0.9])
def test_a_row_that_is_never_visited(dtype, index, correct, b1):
    """eps = 0, zero gradients: an update of 0, traced denominator or not."""
    g = np.zeros((20, 3, 2), dtype)
    g[4, 1] = -2
    for kind in (DENOMINATORS[index], jnp.asarray(index)):
        rule = scale_by_adam_family(b1, 0.95, denominator=kind, eps=0.0, bias_correction=correct)
        found = trajectory(rule, given_gradient, jnp.zeros((3, 2), dtype), g)
        assert np.isfinite(found).all() and found.dtype == dtype
        assert (found[:, [0, 2]] == 0).all() and (found[:5] == 0).all()
        assert (found[5, 1] < 0).all()


def test_squares_that_underflow(dtype):
    """Trap 2: v = 0 and m is not; a step of 0, never of inf; signs still walk."""
    tiny = np.full((5, 1), 1e-25 if dtype is np.float32 else 1e-200, dtype)
    for kind, last in (("adam", 0), ("sign", 5), ("variance", 0), ("none", 0)):
        rule = scale_by_adam_family(0.9, 0.9, denominator=kind, eps=0.0)
        found = trajectory(rule, given_gradient, jnp.zeros(1, dtype), tiny)
        assert found[-1] == pytest.approx(last, abs=1e-10)


def test_a_stale_sign_in_float32():
    """C10: Signum walks on after one gradient, until m underflows: 741 steps on this CPU."""
    g = np.zeros((1600, 1), np.float32)
    g[0] = 1e-3
    signum = trajectory(optimizers.signum(1.0, 0.9), given_gradient, jnp.zeros(1), g)
    adam = trajectory(optimizers.adam_equal_betas(1.0, 0.9, 0.0), given_gradient, jnp.zeros(1), g)
    assert -signum[-1] >= 700 and adam[-1] == pytest.approx(-6.1623, abs=1e-3)


def test_half_precision_parameters():
    """Averages in float32, updates and parameters in bfloat16."""
    params = jnp.ones(3, jnp.bfloat16)
    g = jnp.full((3000, 3), jnp.bfloat16(0.5))
    rule = scale_by_adam_family(0.9, 0.999, bias_correction=True)
    found, states = trajectory(rule, given_gradient, params, g, record=lambda p, s: (p, s))
    assert found.dtype == jnp.bfloat16
    assert states.mu.dtype == states.nu.dtype == jnp.float32
    np.testing.assert_allclose(states.nu[-1], 0.25 * (1 - 0.999**3000), rtol=1e-4)
    updates, _ = rule.update(g[0], rule.init(params))
    assert updates.dtype == jnp.bfloat16 and (updates == 1).all()
    # As in float32, to bfloat16's three digits.
    for method in (optimizers.adam(0.01), optimizers.signum(0.01, 0.9), optimizers.rmsprop(0.01)):
        rng = np.random.default_rng(0)
        stream = jnp.asarray(rng.normal(size=(50, 4)), jnp.bfloat16)
        single = stream.astype(jnp.float32)
        low, high, update = method.init(stream[0]), method.init(single[0]), jax.jit(method.update)
        for g in stream:
            one, low = update(g, low)
            other, high = update(g.astype(jnp.float32), high)
            assert one.dtype == jnp.bfloat16
            np.testing.assert_allclose(one.astype(jnp.float32), other, rtol=8e-3)


def test_parameters_of_any_structure(dtype):
    params = {
        "half": jnp.ones(2, jnp.bfloat16),
        "nested": [(jnp.ones((2, 3), dtype), jnp.asarray(1.0, dtype)), {}, None],
        "nothing": jnp.zeros((0, 3), dtype),
    }
    for kind in (*DENOMINATORS, jnp.asarray(2)):
        rule = scale_by_adam_family(0.5, 0.5, denominator=kind)
        state = rule.init(params)
        grads = jax.tree.map(lambda leaf: jnp.full_like(leaf, 2), params)
        updates, later = jax.jit(rule.update)(grads, state, params)
        assert jax.tree.structure(updates) == jax.tree.structure(params)
        assert jax.tree.structure(later) == jax.tree.structure(state)
        for old, new in zip(*map(jax.tree.leaves, (state, later)), strict=True):
            assert old.shape == new.shape and old.dtype == new.dtype
        for one, like in zip(*map(jax.tree.leaves, (updates, params)), strict=True):
            assert one.shape == like.shape and one.dtype == like.dtype
            expected = {"sign": 1.0, "none": 1.0}.get(
                kind if isinstance(kind, str) else "", 0.5**0.5
            )
            np.testing.assert_allclose(one.astype(float), expected, rtol=4e-3)
        assert later.count == 1 and later.count.dtype == jnp.int32
        for empty in ({}, [], (), None):
            assert rule.update(empty, rule.init(empty))[0] == empty


def test_the_averages_do_not_share_memory():
    """So that a jitted step may donate its state."""
    state = scale_by_adam_family(0.9, 0.99).init(jnp.zeros(3))
    assert state.mu is not state.nu


def test_mixed_types_under_x64():
    """float64 numbers beside float32 parameters do not raise them."""
    with enable_x64(True):
        params = jnp.zeros(3, jnp.float32)
        for b1 in (np.float64(0.9), np.array(0.9), jnp.asarray(0.9)):
            rule = scale_by_adam_family(b1, np.float64(0.99), eps=np.float64(0), kappa=np.ones(()))
            updates, state = rule.update(jnp.ones(3, jnp.float32), rule.init(params))
            assert updates.dtype == state.mu.dtype == state.nu.dtype == jnp.float32


def test_injected_hyperparameters(dtype):
    """optax.inject_hyperparams: schedules of any number, and a change on the way."""
    rate = optax.linear_schedule(0.1, 0.01, N)
    ours = optax.inject_hyperparams(optimizers.adam)(rate, b1=optax.linear_schedule(0.8, 0.95, N))
    theirs = optax.inject_hyperparams(optax.adam)(rate, b1=optax.linear_schedule(0.8, 0.95, N))
    assert difference(path(ours, dtype), path(theirs, dtype), dtype) < close(dtype, 1e-13, 1e-4)

    method = optax.inject_hyperparams(optimizers.adam_equal_betas)(0.1, 0.9)
    params, g = jnp.zeros(2, dtype), jnp.ones(2, dtype)
    state = method.init(params)
    first, state = method.update(g, state, params)
    state.hyperparams["learning_rate"] = jnp.asarray(0.2, dtype)
    second, _ = jax.jit(method.update)(g, state, params)
    expected = np.sqrt(1 - 0.9 ** np.array([1, 2])) * [0.1, 0.2]
    np.testing.assert_allclose([-first[0], -second[0]], expected, rtol=1e-5)

    indexed = optax.inject_hyperparams(scale_by_adam_family)(0.9, 0.95, denominator=1)
    state = indexed.init(params)
    for kind, expected in ((1, 1.0), (0, 0.1), (1, 1.0), (0, 0.271)):
        state.hyperparams["denominator"] = jnp.asarray(kind)
        updates, state = jax.jit(indexed.update)(g, state, params)
        if kind == 0:
            expected = 1 - 0.9 ** float(state.count)
        np.testing.assert_allclose(updates, expected, rtol=1e-5)


def test_one_rule_a_part_of_the_parameters(dtype):
    """optax.masked and optax.multi_transform."""
    params, g = {"a": jnp.ones(2, dtype), "b": jnp.ones(3, dtype)}, {"a": 3.0, "b": -2.0}
    g = jax.tree.map(lambda leaf, x: jnp.full_like(leaf, x), params, g)
    masked = optax.masked(scale_by_adam_family(0.0, 0.75), {"a": True, "b": False})
    updates, _ = jax.jit(masked.update)(g, masked.init(params), params)
    np.testing.assert_allclose(updates["a"], 2, rtol=1e-5)
    np.testing.assert_array_equal(updates["b"], g["b"])
    both = optax.multi_transform(
        {"adam": optimizers.adam(0.1), "sign": optimizers.sign_sgd(1.0)}, {"a": "adam", "b": "sign"}
    )
    updates, _ = jax.jit(both.update)(g, both.init(params), params)
    np.testing.assert_allclose(updates["a"], -0.1, rtol=1e-5)
    np.testing.assert_array_equal(updates["b"], 1)


def test_divergence_is_not_hidden(dtype):
    """nan and inf go on, in their own coordinate."""
    g = np.ones((4, 3), dtype)
    g[1, 0], g[1, 1] = np.nan, np.inf
    for kind in (*DENOMINATORS, *map(jnp.asarray, range(4))):
        rule = scale_by_adam_family(0.9, 0.99, denominator=kind)
        found = np.asarray(trajectory(rule, given_gradient, jnp.zeros(3, dtype), g))
        assert np.isfinite(found[:, 2]).all() and np.isfinite(found[:2]).all()
        assert np.isnan(found[2:, 0]).all()


def quadratic(params, scale, noise):
    return jax.tree.map(lambda w: scale * w + noise, params)


def test_trajectory_is_the_loop(dtype):
    noise = np.random.default_rng(0).normal(size=40).astype(dtype)
    method = optax.chain(optax.clip_by_global_norm(2.0), optimizers.adam(0.1))
    params = {"w": jnp.ones(3, dtype), "b": jnp.asarray(2.0, dtype)}
    gradient = Partial(lambda scale, p, x: quadratic(p, scale, x), jnp.asarray(2.0, dtype))
    found, counts = trajectory(
        method, gradient, params, noise, record=lambda p, s: (p, s[1][0].count)
    )
    state, update = method.init(params), jax.jit(method.update)
    for n, x in enumerate(noise):
        updates, state = update(quadratic(params, 2.0, x), state, params)
        params = optax.apply_updates(params, updates)
        for name in params:
            np.testing.assert_allclose(
                found[name][n + 1], params[name], atol=close(dtype, 1e-13, 1e-5)
            )
    assert counts.tolist() == list(range(41))


def test_trajectory_over_batches_and_steps():
    def gradient(w, inputs):
        x, n = inputs
        return w - x.mean() + 0 * n

    inputs = (np.ones((5, 2), np.float32), np.arange(5))
    found = trajectory(optax.sgd(1.0), gradient, 3.0, inputs)
    assert found.tolist() == [3, 1, 1, 1, 1, 1]
    none = trajectory(optax.sgd(1.0), gradient, jnp.array(3.0), (np.ones((0, 2)), np.arange(0)))
    assert none.tolist() == [3]


def test_trajectory_does_not_recompile():
    method, traces = optimizers.adam(0.1), []

    def slope(scale, w, x):
        traces.append(None)
        return scale * w + x

    for scale in (1.0, 2.0, 3.0):
        gradient = Partial(slope, jnp.asarray(scale))
        trajectory(method, gradient, jnp.array([scale]), jnp.full(4, scale))
        if scale == 1.0:
            first = len(traces)
    assert len(traces) == first


def test_trajectory_keeps_no_tracers():
    def end(rate):
        return trajectory(optimizers.adam(rate), lambda w, x: w - x, jnp.ones(2), jnp.zeros(3))[-1]

    with jax.checking_leaks():
        found = jax.jit(jax.vmap(end))(jnp.array([0.1, 0.2]))
    np.testing.assert_allclose(found[:, 0], [end(0.1)[0], end(0.2)[0]], rtol=1e-5)
    np.testing.assert_allclose(jax.vmap(end)(jnp.array([0.1, 0.2])), found, rtol=1e-6)


def test_derivatives_with_respect_to_the_numbers():
    def end(rate, beta):
        method = family(rate, beta, beta, denominator="variance")
        return trajectory(method, lambda w, x: w - x, jnp.array(1.0), jnp.zeros(10))[-1]

    with enable_x64(True):
        slope = jax.grad(end, argnums=(0, 1))(0.05, 0.8)
        h = 1e-6
        expected = [(end(0.05 + h, 0.8) - end(0.05 - h, 0.8)) / (2 * h),
                    (end(0.05, 0.8 + h) - end(0.05, 0.8 - h)) / (2 * h)]  # fmt: skip
        np.testing.assert_allclose(slope, expected, rtol=1e-6)


def test_the_race_in_the_page():
    """What a page computes: any of the four, by a traced index."""
    g = np.random.default_rng(0).normal(size=(30, 3))

    def race(kind, b1, b2, rate, g):
        return trajectory(
            family(rate, b1, b2, denominator=kind), lambda w, x: w + x, jnp.ones(3), g
        )

    with enable_x64(True), Engine() as engine:
        program = translate(race, 1, 0.9, 0.95, 0.1, g)
        for kind in range(4):
            found = engine.run(program, kind, 0.9, 0.95, 0.1, g)[0]
            expected = race(jnp.asarray(kind), 0.9, 0.95, 0.1, g)
            np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)


def test_a_warning_where_the_direction_is_unbounded():
    with pytest.warns(UserWarning, match=r"b1, b2: got 0.95 and 0.9, .*unbounded; raise b2"):
        scale_by_adam_family(0.95, 0.9)
    with pytest.warns(UserWarning, match="unbounded"):
        optimizers.adam(0.1, 0.5, 0.0)
    # Silent (a warning would be an error): bounded, of another kind, or not known.
    optimizers.adam(0.1, 0.9, 0.9)
    optimizers.adam(0.1, 0.0, 0.0)
    optimizers.adam(0.1, 0.9, 0.82)
    scale_by_adam_family(0.95, 0.9, denominator="variance")
    scale_by_adam_family(0.95, 0.9, denominator=jnp.asarray(2))
    jax.jit(lambda b2: path(optimizers.adam(0.1, 0.9, b2), np.float32)["a"])(0.5)


PRESETS = {
    "adam": {"learning_rate": 0.1},
    "adam_equal_betas": {"learning_rate": 0.1},
    "sign_sgd": {"learning_rate": 0.1},
    "signum": {"learning_rate": 0.1, "beta": 0.9},
    "rmsprop": {"learning_rate": 0.1},
    "sgd_momentum": {"learning_rate": 0.1, "beta": 0.9},
    "scale_by_adam_family": {"b1": 0.9, "b2": 0.99},
}
TAKES = {
    "adam": ("b1", "b2", "eps"),
    "adam_equal_betas": ("beta", "eps"),
    "signum": ("beta",),
    "rmsprop": ("b2", "eps"),
    "sgd_momentum": ("beta",),
    "scale_by_adam_family": ("b1", "b2", "eps", "kappa"),
}
WRONG = [
    *[(name, "learning_rate", value, error) for name in PRESETS if name != "scale_by_adam_family"
      for value, error in ((-0.1, ValueError), (np.nan, ValueError), ("fast", TypeError),
                           ([0.1], ValueError), (1j, TypeError))],
    *[(name, argument, value, ValueError) for name, arguments in TAKES.items()
      for argument in arguments for value in (-0.1, np.nan, [0.5])],
    *[(name, argument, value, ValueError) for name, arguments in TAKES.items()
      for argument in arguments if argument not in ("eps", "kappa") for value in (1, 1.5)],
    *[(name, argument, "small", TypeError) for name, arguments in TAKES.items()
      for argument in arguments],
    *[("scale_by_adam_family", "denominator", value, ValueError)
      for value in ("adma", 4, -1, 1.0, None, True, jnp.asarray(4), jnp.arange(2))],
    *[(name, "bias_correction", value, TypeError)
      for name in ("adam", "adam_equal_betas", "scale_by_adam_family")
      for value in (None, "yes", 1.0)],
]  # fmt: skip


@pytest.mark.parametrize(("name", "argument", "value", "error"), WRONG)
def test_bad_input(name, argument, value, error):
    with pytest.raises(error, match=rf"^{argument}: got .*; "):
        getattr(optimizers, name)(**{**PRESETS[name], argument: value})


@pytest.mark.parametrize("kind", DENOMINATORS)
def test_what_cannot_be_trained(kind):
    rule = scale_by_adam_family(0.9, 0.99, denominator=kind)
    for leaf in (jnp.arange(3), jnp.ones(3, complex), jnp.ones(3, bool)):
        with pytest.raises(TypeError, match=r"^params: .*optax.masked"):
            rule.init({"a": leaf})
        with pytest.raises(TypeError, match=r"^updates: .*optax.masked"):
            rule.update({"a": leaf}, rule.init({"a": jnp.ones(3)}))
    with pytest.raises(ValueError, match=r"^updates: got a leaf of shape \(3,\), \(3, 1\)"):
        rule.update(jnp.ones(3), rule.init(jnp.ones((3, 1))))


GIVEN = {"optimizer": optimizers.adam(0.1), "gradient": given_gradient, "params": jnp.zeros(3),
         "inputs": np.zeros((4, 3), np.float32)}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"optimizer": 0.1}, TypeError, "optimizer: got 0.1"),
        ({"optimizer": optimizers.adam}, TypeError, "optimizer: got <function"),
        ({"gradient": 0.1}, TypeError, "gradient: got 0.1"),
        ({"record": "w"}, TypeError, "record: got 'w'"),
        ({"params": jnp.arange(3)}, TypeError, "params: got a leaf of type int"),
        ({"inputs": 4}, ValueError, r"inputs: .*jnp.arange\(n_steps\)"),
        ({"inputs": ()}, ValueError, "inputs: "),
        ({"inputs": (np.zeros(3), np.zeros(4))}, ValueError, r"inputs: .*\(3,\), \(4,\)"),
        ({"inputs": np.zeros((4, 2))}, ValueError, r"updates: got a leaf of shape \(2,\)"),
    ],
)
def test_bad_trajectory(change, error, message):
    with pytest.raises(error, match="^" + message):
        trajectory(**{**GIVEN, **change})
