"""optdyn.counterexamples against JAX's derivatives and loops over many periods."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.optimize import brentq

from optdyn import counterexamples
from optdyn.optimizers import adam, adam_equal_betas, sgd_momentum, sign_sgd, trajectory

if hasattr(jax, "enable_x64"):
    enable_x64 = jax.enable_x64
else:
    from jax.experimental import enable_x64


@pytest.fixture(autouse=True, scope="module")
def double():
    with enable_x64(True):
        yield


@pytest.mark.parametrize("depth", [1, 2, 7])
def test_gradient_of_a_chain_is_the_derivative_by_one_scalar(depth):
    loss, gradient = counterexamples.deep_chain(depth)
    for w in (-0.8, 0.7, 1.3):
        assert loss(w) == pytest.approx((w**depth - 1) ** 2 / 2, rel=1e-13)
        scalars = jnp.full(depth, w)
        slope = jax.grad(lambda x: (jnp.prod(x) - 1) ** 2 / 2)(scalars)[0]
        assert gradient(w) == pytest.approx(float(slope), rel=1e-12)


@pytest.mark.parametrize(
    "method, depth, expected",
    [
        (sgd_momentum(0.1, 0.0), 5, 11),
        (sgd_momentum(0.1, 0.0), 20, 347),
        (sign_sgd(0.001), 80, 299),
        (adam_equal_betas(0.001, 0.9), 20, 302),
        (adam_equal_betas(0.001, 0.9, 1e-12), 80, 358),
        (adam_equal_betas(0.001, 0.9), 80, None),  # 155 388: epsilon is above the gradient
    ],
)
def test_steps_until_a_chain_is_learned(method, depth, expected):
    loss, gradient = counterexamples.deep_chain(depth)
    reached = np.asarray(loss(trajectory(method, gradient, 0.7, jnp.arange(1000)))) <= 1e-2
    assert (int(reached.argmax()) if reached.any() else None) == expected


def test_another_depth_or_slope_does_not_recompile():
    traces = []

    @jax.jit
    def call(gradient, w, n):
        traces.append(n)
        return gradient(w, n)

    for depth in (3, 4):
        found = call(counterexamples.deep_chain(depth)[1], 0.7, 0)
        assert found == pytest.approx((0.7**depth - 1) * 0.7 ** (depth - 1), rel=1e-12)
    for slope in (3.0, 4.0):
        assert call(counterexamples.periodic_problem(slope), 0.7, 3) == slope
    assert len(traces) == 2


def in_box(method, n_steps=3000, slope=3.0):
    method = optax.chain(method, counterexamples.keep_in_box(-1.0, 1.0))
    gradient = counterexamples.periodic_problem(slope)
    return np.asarray(trajectory(method, gradient, 0.0, jnp.arange(n_steps)))


def test_where_adam_ends_on_the_periodic_problem():
    def rate(n):
        return 0.5 / jnp.sqrt(n + 1)

    wrong = [adam(rate, 0.0, 0.1, bias_correction=False), adam_equal_betas(rate, 0.1)]
    right = [adam_equal_betas(rate, 0.5), adam_equal_betas(rate, 0.9), sgd_momentum(rate, 0.0)]
    for method in wrong:
        assert in_box(method)[-1] > 0.95
    for method in right:
        assert in_box(method)[-1] < -0.95
    path = in_box(sgd_momentum(1.0, 0.0), 30)
    assert path.min() == -1 and path.max() <= 1


@pytest.mark.parametrize("slope, equal, first", [(3, 0.28146, 0.47231), (4, 0.1863, None)])
def test_the_drift_of_the_periodic_problem(slope, equal, first):
    for b1, b2 in [(0.0, 0.3), (0.9, 0.999), (0.5, 0.5)]:
        m = v = drift = 0.0
        for k in range(60_000):
            g = slope if k % 3 == 0 else -1.0
            m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
            drift += m / v**0.5 if k >= 59_997 else 0
        assert counterexamples.periodic_drift(slope, b1, b2) == pytest.approx(drift, abs=1e-9)
    root = brentq(lambda b: float(counterexamples.periodic_drift(slope, b, b)), 0.01, 0.9)
    assert root == pytest.approx(equal, abs=5e-5)
    if first is not None:
        root = brentq(lambda b: float(counterexamples.periodic_drift(slope, 0, b)), 0.01, 0.9)
        assert root == pytest.approx(first, abs=5e-6)


@pytest.mark.parametrize(
    "name, call",
    [
        ("depth", lambda: counterexamples.deep_chain(0)),
        ("slope", lambda: counterexamples.periodic_problem([1.0, 2.0])),
        ("b1", lambda: counterexamples.periodic_drift(3.0, 1.0, 0.5)),
        ("low", lambda: counterexamples.keep_in_box(1.0, -1.0)),
        (
            "params",
            lambda: counterexamples.keep_in_box(-1.0, 1.0).update(jnp.ones(1), optax.EmptyState()),
        ),
    ],
)
def test_the_bad_argument_is_named(name, call):
    with pytest.raises((TypeError, ValueError), match=f"^{name}: got"):
        call()
