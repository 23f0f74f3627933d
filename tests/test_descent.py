"""optdyn.descent against NumPy loops over the same noise, and stationary laws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

from optdyn import descent, landscapes
from optdyn.javascript import translate
from optdyn.noise import increments, white_noise
from tests.engine import Engine

if hasattr(jax, "enable_x64"):
    enable_x64 = jax.enable_x64
else:
    from jax.experimental import enable_x64


@pytest.fixture(autouse=True, scope="module")
def double():
    with enable_x64(True):
        yield


KEY = jax.random.key(3)
VALLEY = landscapes.widening_valley()
START = np.array([1.0, -2.0, 0.5, 0.7])


def slope(w):
    """The valley's gradient, written out independently of the library."""
    *u, v = w
    return np.array([v * v * x for x in u] + [sum(x * x for x in u) * v])


def both(w, z):
    return {"w": w, "z": z}


def loop(w, eta, kicks):
    path = [w]
    for kick in kicks:
        w = w - eta * slope(w) + kick
        path.append(w)
    return np.array(path)


@pytest.mark.parametrize("every", [1, 4])
def test_descend_is_the_loop(every):
    noise = 0.1 * np.random.default_rng(0).normal(size=(100, 4))
    path = descent.descend(VALLEY.gradient, START, noise, step_size=0.05, record_every=every)
    np.testing.assert_allclose(path, loop(START, 0.05, noise)[::every], rtol=0, atol=1e-13)
    assert path.dtype == np.float64


def test_noise_before_the_gradient_is_anti_pgd():
    xi = white_noise(KEY, (101, 4), sigma=0.2)
    w = descent.descend(VALLEY.gradient, START, increments(xi), step_size=0.05)
    z = descent.descend(VALLEY.gradient, START - xi[0], xi[:-1], step_size=0.05, form="z")
    np.testing.assert_allclose(w, z + xi, rtol=0, atol=1e-10)
    assert np.abs(w - z).max() > 0.1
    plain = [START - np.asarray(xi[0])]
    for noise in np.asarray(xi[:-1]):
        plain.append(plain[-1] - 0.05 * slope(plain[-1] + noise))
    np.testing.assert_allclose(z, plain, rtol=0, atol=1e-13)


def test_descend_in_float32_and_of_any_shape():
    flat = descent.descend(
        jnp.zeros_like, np.zeros((2, 3), np.float32), jnp.ones((5, 2, 3), jnp.float32),
        step_size=1.0,
    )  # fmt: skip
    assert flat.dtype == np.float32
    np.testing.assert_array_equal(flat[:, 1, 2], np.arange(6))
    start_only = descent.descend(jnp.zeros_like, START, np.zeros((0, 4)), step_size=1.0)
    np.testing.assert_array_equal(start_only, START[None])


def test_overflow_is_returned():
    path = descent.descend(lambda w: -(w**3), 3.0, np.zeros(20), step_size=1.0)
    assert np.isinf(path).any() and np.isfinite(path[:3]).all()


@pytest.mark.parametrize(
    ("kind", "n_steps", "every"),
    [("rademacher", 99, 33), ("rademacher", 3450, 1150), ("gaussian", 1200, 100)],
)
def test_run_is_the_loop_over_the_noise_it_shows(kind, n_steps, every):
    """The noise is read off w - z = kappa * xi where it is recorded at every step."""
    how = dict(step_size=0.01, sigma=0.1, kappa=0.5, kind=kind)
    every_step = descent.run(VALLEY.gradient, START, KEY, n_steps=n_steps, observe=both, **how)
    xi = (np.asarray(every_step["w"]) - np.asarray(every_step["z"])) / 0.5
    expected = loop(START, 0.01, xi[1:] - 0.5 * xi[:-1])
    np.testing.assert_allclose(every_step["w"], expected, rtol=0, atol=1e-10)
    sparse = descent.run(VALLEY.gradient, START, KEY, n_steps=n_steps, record_every=every, **how)
    np.testing.assert_allclose(sparse, expected[::every], rtol=0, atol=1e-10)
    if kind == "rademacher":
        np.testing.assert_allclose(np.abs(xi), 0.1, rtol=1e-9)
    else:
        assert np.std(xi) == pytest.approx(0.1, rel=0.05) and np.abs(xi).max() > 0.25
    if n_steps > 1000:  # independent in time and between coordinates
        table = np.corrcoef(np.hstack([xi[:-1], xi[1:]]).T)
        assert np.abs(table - np.eye(8)).max() < 5 / np.sqrt(n_steps)
        assert np.abs(xi.mean(axis=0)).max() < 0.5 / np.sqrt(n_steps)


def test_the_same_key_is_the_same_noise():
    how = dict(step_size=0.01, sigma=0.1)
    long = descent.run(VALLEY.gradient, START, KEY, n_steps=99, **how)
    short = descent.run(VALLEY.gradient, START, KEY, n_steps=40, record_every=10, **how)
    np.testing.assert_allclose(short, long[:41:10], rtol=0, atol=1e-13)
    other = descent.run(VALLEY.gradient, START, jax.random.key(4), n_steps=99, **how)
    assert np.abs(other[1:] - long[1:]).max() > 0.05


def test_cooling_goes_on_from_z():
    how = dict(step_size=0.05, sigma=0.1, observe=both)
    cooled = descent.run(VALLEY.gradient, START, KEY, n_steps=60, n_noisy=40, **how)
    noisy = descent.run(VALLEY.gradient, START, KEY, n_steps=60, **how)
    np.testing.assert_array_equal(cooled["w"][:41], noisy["w"][:41])
    np.testing.assert_array_equal(cooled["w"][41:], cooled["z"][41:])
    # Step 41 takes the noise back: it is z_40 less the step at w_40.
    w, z = np.asarray(cooled["w"][40]), np.asarray(cooled["z"][40])
    calm = loop(z - 0.05 * slope(w), 0.05, np.zeros((19, 4)))
    np.testing.assert_allclose(cooled["w"][41:], calm, rtol=0, atol=1e-13)
    none = descent.run(VALLEY.gradient, START, KEY, n_steps=5, n_noisy=0, **how)
    assert np.abs(none["w"][0] - none["z"][0]).min() > 0.05  # xi_0 is drawn all the same


@pytest.mark.parametrize(("kappa", "theta"), [(0.0, 0.5), (1.0, 0.5), (1.0, 1.5), (0.5, 0.2)])
def test_stationary_variance_on_a_quadratic(kappa, theta):
    bowl = landscapes.quadratic(np.eye(50))
    keys = jax.random.split(KEY, 40)
    last = jax.vmap(
        lambda key: descent.run(
            bowl.gradient, jnp.zeros(50), key, step_size=theta, sigma=2.0, kappa=kappa,
            n_steps=60, record_every=60,
        )[-1]
    )(keys)  # fmt: skip
    predicted = 4 * ((1 - kappa) ** 2 + 2 * kappa * theta) / (theta * (2 - theta))
    # 2,000 values, independent: four standard errors of a variance are 4 sqrt(2 / 2000) = 13 %.
    assert np.mean(np.square(last)) == pytest.approx(predicted, rel=0.13)


def test_anti_pgd_does_not_diffuse():
    def spread(kappa):
        last = descent.run(
            jnp.zeros_like, jnp.zeros(4000), KEY, step_size=0.1, sigma=1.0, kappa=kappa,
            n_steps=512, record_every=512, kind="gaussian",
        )[-1]  # fmt: skip
        return np.var(last)

    assert spread(1.0) == pytest.approx(2, rel=0.1)
    assert spread(0.0) == pytest.approx(512, rel=0.1)


def test_vmap_over_keys_is_run_for_each():
    keys = jax.random.split(KEY, 3)
    how = dict(step_size=0.05, sigma=0.1, n_steps=20, record_every=5)
    together = jax.vmap(lambda key: descent.run(VALLEY.gradient, START, key, **how))(keys)
    for one, key in zip(together, keys, strict=True):
        alone = descent.run(VALLEY.gradient, START, key, **how)
        np.testing.assert_allclose(one, alone, rtol=0, atol=1e-13)


def test_nothing_recompiles():
    X = np.random.default_rng(0).normal(size=(5, 3))
    model = landscapes.quadratic_regression(X, X[:, 0])
    how = dict(n_steps=8, record_every=4)

    def calls(model, scale, observe=both):
        noise = scale * np.ones((8, 3))
        w0 = scale * np.ones(3)
        descent.descend(model.gradient, w0, noise, step_size=0.01 * scale)
        descent.run(
            model.gradient, w0, KEY, step_size=0.01 * scale, sigma=scale, kappa=scale / 2,
            n_noisy=int(4 * scale), observe=observe, **how,
        )  # fmt: skip
        return [f._cache_size() for f in (descent._descend, descent._run)]

    before = calls(model, 1.0)
    assert calls(landscapes.quadratic_regression(2 * X, X[:, 1]), 0.5) == before
    assert calls(model, 1.0, Partial(both)) == before
    assert calls(model, 1.0, lambda w, z: w) == [before[0], before[1] + 1]


def test_run_and_descend_in_the_page():
    """In float32, as the chapter computes: in float64 normal numbers have no translation."""

    def figure(key, step_size, sigma, kappa, n_noisy):
        kicks = increments(white_noise(key, (13, 4), sigma=sigma), kappa=kappa)
        path = descent.descend(VALLEY.gradient, START, kicks, step_size=step_size)
        ran = [
            descent.run(
                VALLEY.gradient, START, key, step_size=step_size, sigma=sigma, kappa=kappa,
                n_steps=12, record_every=every, n_noisy=n_noisy, kind=kind, observe=both,
            )
            for kind, every in [("rademacher", 1), ("gaussian", 6)]
        ]  # fmt: skip
        return path, ran

    arguments = (KEY, 0.05, 0.1, 0.5, np.int32(9))
    with enable_x64(False), Engine() as engine:
        found = engine.run(translate(figure, *arguments), *arguments)
        expected = jax.tree.leaves(figure(*arguments))
    assert len(found) == len(expected) == 5
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)


GIVEN = {"gradient": VALLEY.gradient, "w0": START, "step_size": 0.1}
OVER = {**GIVEN, "noise": np.zeros((6, 4))}
DRAWN = {**GIVEN, "key": KEY, "sigma": 0.1, "n_steps": 6}
WRONG = [
    ("descend", {"step_size": 0.0}, "step_size: .*0.0"),
    ("descend", {"step_size": -0.1}, "step_size: .*-0.1"),
    ("descend", {"step_size": np.nan}, "step_size: .*nan"),
    ("descend", {"step_size": [0.1]}, r"step_size: .*\(1,\)"),
    ("descend", {"w0": [1.0, np.inf, 0.0, 0.0]}, r"w0: .*inf.*\[1\]"),
    ("descend", {"noise": np.zeros((6, 3))}, r"noise: .*\(6, 3\).*'n_steps', 4"),
    ("descend", {"noise": 0.0}, r"noise: .*\(\)"),
    ("descend", {"noise": np.full((6, 4), np.nan)}, "noise: .*nan"),
    ("descend", {"record_every": 4}, "record_every: .*4.*divisor.*6"),
    ("descend", {"record_every": 0}, "record_every: .*0"),
    ("descend", {"form": "x"}, "form: .*'x'"),
    ("descend", {"gradient": jnp.sum}, r"gradient: .*\(4,\)"),
    ("run", {"step_size": 0.0}, "step_size: .*0.0"),
    ("run", {"sigma": -1.0}, "sigma: .*-1.0"),
    ("run", {"sigma": np.inf}, "sigma: .*inf"),
    ("run", {"kappa": np.nan}, "kappa: .*nan"),
    ("run", {"n_steps": 0}, "n_steps: .*0"),
    ("run", {"record_every": 5}, "record_every: .*5.*divisor.*6"),
    ("run", {"n_noisy": 7}, "n_noisy: .*7.*0 to 6"),
    ("run", {"n_noisy": -1}, "n_noisy: .*-1"),
    ("run", {"kind": "uniform"}, "kind: .*'uniform'"),
    ("run", {"w0": [np.nan]}, "w0: .*nan"),
    ("run", {"gradient": jnp.sum}, r"gradient: .*\(4,\)"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "change", "message"), WRONG)
def test_bad_input(name, change, message):
    with pytest.raises(ValueError, match="^" + message):
        getattr(descent, name)(**{**(OVER if name == "descend" else DRAWN), **change})


def test_bad_types():
    for change, message in [
        ({"gradient": 3}, "^gradient: got 3"),
        ({"w0": ["a"]}, "^w0: "),
        ({"n_steps": 6.0}, "^n_steps: "),
        ({"n_noisy": 2.5}, "^n_noisy: "),
        ({"observe": "w"}, "^observe: "),
    ]:
        with pytest.raises(TypeError, match=message):
            descent.run(**{**DRAWN, **change})
