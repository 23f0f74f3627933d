"""The gallery's figures: what each function returns, against NumPy, SciPy and optax.

The functions are those of the notebook's own cells, run here without its charts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import linalg, signal, stats

import notebooks

if hasattr(jax, "enable_x64"):
    enable_x64 = jax.enable_x64
else:
    from jax.experimental import enable_x64

GALLERY = Path(__file__).resolve().parent.parent / "book" / "gallery.ipynb"


@pytest.fixture(scope="module", autouse=True)
def double_precision() -> Iterator[None]:
    with enable_x64(True):
        yield


@pytest.fixture(scope="module")
def cells(double_precision: None) -> dict[str, Any]:
    """What the notebook's cells define that neither draw nor install."""
    names: dict[str, Any] = {"jax": jax, "jnp": jnp, "np": np}
    for cell in notebooks.read(GALLERY).cells:
        if cell.cell_type == "code" and not any(
            word in cell.source for word in ("alt.", "explore(", "import ")
        ):
            exec(cell.source, names)
    return names


def called(fn: Callable[..., Any], **values: Any) -> dict[str, dict[str, np.ndarray]]:
    """The tables of fn, jitted, for plain numbers."""
    values = {k: jnp.asarray(v, float) if isinstance(v, int) else v for k, v in values.items()}
    return jax.tree.map(np.asarray, jax.jit(fn)(**values))


# --- the valley -------------------------------------------------------------------------


def valley_by_hand(
    kicks: np.ndarray, kappa: float, step_size: float, sigma: float
) -> tuple[np.ndarray, np.ndarray]:
    """|u|^2 and v after every step, shape (n_steps + 1, n_particles)."""
    xi = sigma * kicks.reshape(-1, *kicks.shape[2:]).astype(float)
    dim = xi.shape[-1] - 1
    w = np.full(xi.shape[1:], np.sqrt(9 / dim))
    w[:, -1] = 0
    path, previous = [w], 0.0
    for kick in xi:
        u, v = w[:, :-1], w[:, -1]
        slope = np.column_stack([u * v[:, None] ** 2, v * np.einsum("pi,pi->p", u, u)])
        w = w - step_size * slope + kick - kappa * previous
        previous = kick
        path.append(w)
    whole = np.array(path)
    return (whole[..., :-1] ** 2).sum(-1), whole[..., -1]


@pytest.mark.parametrize(
    ("kappa", "step_size", "sigma", "seed"),
    [(0, 0.02, 0.2, 0), (1, 0.02, 0.2, 1), (0.5, 0.03, 0.3, 2), (0.9, 0.01, 0.1, 3)],
)
def test_valley_is_perturbed_gradient_descent(cells, kappa, step_size, sigma, seed):
    kicks = cells["draw_kicks"](jax.random.key(seed))
    tables = called(cells["valley"], kappa=kappa, step_size=step_size, sigma=sigma, prepared=kicks)
    size, v = valley_by_hand(np.asarray(kicks), kappa, step_size, sigma)
    every = cells["EVERY"]
    close = {"rtol": 1e-7, "atol": 1e-9}
    np.testing.assert_allclose(tables["paths"]["size"].reshape(-1, 8), size[::every], **close)
    np.testing.assert_allclose(tables["mean"]["size"], size[::every].mean(1), **close)
    np.testing.assert_allclose(tables["one"]["u"], np.sqrt(size[::every, 0]), **close)
    np.testing.assert_allclose(tables["one"]["v"], v[::every, 0], **close)
    np.testing.assert_allclose(tables["ends"]["u"], np.sqrt(size[-1]), **close)
    np.testing.assert_allclose(tables["ends"]["v"], v[-1], **close)
    assert tables["paths"]["t"].tolist() == np.repeat(np.arange(0, 3001, every), 8).tolist()


def test_valley_kicks_are_the_keys_normal_numbers(cells):
    key = jax.random.key(5)
    kicks = cells["draw_kicks"](key)
    assert kicks.dtype == np.float32
    np.testing.assert_array_equal(kicks, jax.random.normal(key, kicks.shape, np.float32))


@pytest.mark.parametrize("kappa", [0, 0.3, 0.8])
def test_valley_level_is_the_mean_of_the_beta_law(cells, kappa):
    """step_size |u|^2 / 2 is Beta((d - 1) / 2, 3 / 2 + 2 kappa / (1 - kappa)^2)."""
    kicks = cells["draw_kicks"](jax.random.key(0))
    tables = called(cells["valley"], kappa=kappa, step_size=0.02, sigma=0.1, prepared=kicks)
    law = stats.beta(2, 1.5 + 2 * kappa / (1 - kappa) ** 2)
    assert tables["law"]["size"] == pytest.approx(100 * law.mean() + 5 * 0.01, rel=1e-12)
    assert tables["edge"]["u"] == pytest.approx(10, rel=1e-12)  # curvature |u|^2 = 2 / step size


def test_valley_reaches_the_level_it_draws(cells):
    """Eight seeds: without memory, and with each kick taken back, after 2,000 steps."""
    ends = {0.0: [], 0.5: [], 1.0: []}
    for kappa, sizes in ends.items():
        for seed in range(8):
            kicks = cells["draw_kicks"](jax.random.key(seed))
            tables = called(cells["valley"], kappa=kappa, step_size=0.02, sigma=0.3, prepared=kicks)
            sizes.append(tables["mean"]["size"][40:].mean() / tables["law"]["size"][0])
    assert np.mean(ends[0.0]) == pytest.approx(1, abs=0.15)
    assert np.mean(ends[0.5]) == pytest.approx(1, abs=0.15)
    assert np.mean(ends[1.0]) == pytest.approx(1, abs=0.15)


# --- the poles --------------------------------------------------------------------------

POLES = [
    ([0.9, 0.6, -0.2], [0.1, 0.6, 0.8]),
    ([0.9, 0.82, 0.69], [0.14, 0.41, 0.64]),
    ([0.2, -0.5, 0.1], [0.02, 0.4, 0.9]),
]


def exit_time_error(a: np.ndarray, lag: int) -> float:
    """Energy of the all-pass filter of these poles that has come out after lag steps."""
    impulse = np.zeros(lag + 1, complex)
    impulse[0] = 1
    for pole in a:
        impulse = signal.lfilter([-np.conj(pole), 1], [1, -pole], impulse)
    return float(np.sum(abs(impulse) ** 2))


@pytest.mark.parametrize("lag", [2, 7, 16, 30])
@pytest.mark.parametrize(("x", "y"), POLES)
def test_poles_have_the_error_of_the_exit_time_law(cells, x, y, lag):
    tables = called(cells["pole_plane"], poles=(jnp.array(x), jnp.array(y)), lag=lag)
    upper = np.array(x) + 1j * np.array(y)
    a = np.concatenate([upper, upper.conj()])
    np.testing.assert_allclose(tables["poles"]["x"] + 1j * tables["poles"]["y"], a, rtol=1e-15)
    error = tables["error"]["error"][0]
    assert error == pytest.approx(exit_time_error(a, lag), abs=1e-9)
    assert tables["error"]["bound"][0] == max(0, 1 - 6 / (lag + 1))
    assert error >= tables["error"]["bound"][0] - 1e-9


@pytest.mark.parametrize(("x", "y"), POLES[:2])
def test_poles_filter_is_the_least_squares_one(cells, x, y):
    """Over 3,000 lags; for the best readout the weight asked for is the energy, 1 - error."""
    tables = called(cells["pole_plane"], poles=(jnp.array(x), jnp.array(y)), lag=16)
    upper = np.array(x) + 1j * np.array(y)
    powers = np.concatenate([upper, upper.conj()]) ** np.arange(3000)[:, None]
    wanted = np.zeros(3000)
    wanted[16] = 1
    c = powers @ np.linalg.lstsq(powers, wanted.astype(complex))[0]
    np.testing.assert_allclose(tables["filter"]["c"], c.real[:61], atol=1e-9)
    assert c.real[16] == pytest.approx(1 - tables["error"]["error"][0], abs=1e-9)
    assert np.flatnonzero(tables["filter"]["asked"]).tolist() == [16]


def test_poles_that_meet_or_leave_the_disc_still_give_a_filter(cells):
    together = jnp.array([0.9, 0.9, 0.9]), jnp.array([0.1, 0.1, 0.1])
    tables = called(cells["pole_plane"], poles=together, lag=16)
    apart = jnp.array([0.9, 0.9, 0.9]), jnp.array([0.1, 0.1001, 0.0999])
    near = called(cells["pole_plane"], poles=apart, lag=16)
    for found in (tables, near):
        assert 1 - 6 / 17 < found["error"]["error"][0] < 1
    outside = jnp.array([0.99, -0.9, 0.0]), jnp.array([0.9, 0.9, 0.99])
    a = called(cells["pole_plane"], poles=outside, lag=16)
    radius = np.hypot(a["poles"]["x"], a["poles"]["y"])
    np.testing.assert_allclose(radius, 0.98, rtol=1e-12)
    assert np.isfinite(a["error"]["error"]).all() and np.isfinite(a["filter"]["c"]).all()


# --- the race ---------------------------------------------------------------------------


def race_by_hand(rate, gd_rate, b1, b2, condition, angle):
    """The paths of the four methods, shape (4, 201, 2); Adam's is optax's."""
    turn = np.deg2rad(angle)
    axes = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    hessian = axes @ np.diag([1 / condition, 1]) @ axes.T
    start = axes @ [2.0, 1.0]
    paths = [[start] for _ in range(4)]
    adam = optax.adam(rate, b1, b2)
    state, w = adam.init(jnp.asarray(start)), jnp.asarray(start)
    update = jax.jit(adam.update)
    for _ in range(200):
        change, state = update(hessian @ w, state)
        w = w + change
        paths[0].append(np.asarray(w))
    for method in (1, 2, 3):
        w, m, v = start, 0.0, 0.0
        for _ in range(200):
            g = hessian @ w
            m, v = b1 * m + (1 - b1) * g, b1 * v + (1 - b1) * g * g
            along = (m / (np.sqrt(v) + 1e-8), np.sign(m), m)[method - 1]
            w = w - (gd_rate if method == 3 else rate) * along
            paths[method].append(w)
    return np.array(paths), hessian


@pytest.mark.parametrize(
    "setting",
    [
        dict(rate=0.05, gd_rate=1.0, b1=0.9, b2=0.99, condition=50.0, angle=0.0),
        dict(rate=0.02, gd_rate=3.0, b1=0.5, b2=0.999, condition=1000.0, angle=45.0),
        dict(rate=0.2, gd_rate=0.3, b1=0.95, b2=0.95, condition=3.0, angle=90.0),
        dict(rate=0.1, gd_rate=0.1, b1=0.0, b2=0.0, condition=1.0, angle=17.0),
    ],
)
def test_race_runs_the_four_methods(cells, setting):
    tables = called(cells["race"], **{k: jnp.asarray(v) for k, v in setting.items()})
    paths, hessian = race_by_hand(**setting)
    found = np.stack([tables["paths"]["x"], tables["paths"]["y"]], -1).reshape(4, 201, 2)
    steps = 201 if setting["condition"] == 50 else 40  # later on signs hang on rounding errors
    np.testing.assert_allclose(found[:, :steps], paths[:, :steps], rtol=1e-6, atol=1e-7)
    loss = np.einsum("mti,ij,mtj->mt", found, hessian, found) / 2
    np.testing.assert_allclose(tables["paths"]["loss"].reshape(4, 201), loss, atol=1e-12)
    assert tables["paths"]["method"].tolist() == np.repeat(range(4), 201).tolist()


def test_race_rings_are_level_lines(cells):
    setting = dict(rate=0.1, gd_rate=1.0, b1=0.9, b2=0.9, condition=30.0, angle=25.0)
    tables = called(cells["race"], **{k: jnp.asarray(v) for k, v in setting.items()})
    hessian = race_by_hand(**setting)[1]
    w = np.stack([tables["rings"]["x"], tables["rings"]["y"]], -1).reshape(4, 61, 2)
    loss = np.einsum("rti,ij,rtj->rt", w, hessian, w) / 2
    np.testing.assert_allclose(loss, np.array([[0.25], [0.5], [1], [1.5]]) ** 2 / 2 + 0 * loss)


START = dict(rate=0.05, gd_rate=1.0, b1=0.9, b2=0.99, condition=100.0, angle=0.0)


def raced(cells, **changes):
    """The paths, shape (4, 201, 2), and losses of the figure's start with some changes."""
    setting = {k: jnp.asarray(v) for k, v in (START | changes).items()}
    paths = called(cells["race"], **setting)["paths"]
    return np.stack([paths["x"], paths["y"]], -1).reshape(4, 201, 2), paths["loss"].reshape(4, 201)


def test_race_momentum_alone_does_not_notice_a_turn(cells):
    along, turned = raced(cells)[1], raced(cells, angle=45.0)[1]
    np.testing.assert_allclose(along[3], turned[3], rtol=1e-9)
    assert turned[0, -1] > 1e6 * along[0, -1]  # Adam's


def test_race_along_an_axis_only_momentum_feels_the_curvatures(cells):
    low, high = raced(cells, condition=10.0)[0], raced(cells, condition=1000.0)[0]
    np.testing.assert_allclose(low[:3], high[:3], atol=1e-3)
    assert abs(low[3] - high[3]).max() > 1


def test_race_with_equal_betas_no_step_exceeds_the_rate(cells):
    def longest(b2):
        return abs(np.diff(raced(cells, b1=0.95, b2=b2, angle=45.0)[0], axis=1)).max((1, 2)) / 0.05

    assert longest(0.95)[1] < 1
    assert longest(0.5)[0] > 2  # Adam with the shorter memory of squares


# --- the noises -------------------------------------------------------------------------


def fgn_covariance(n: int, hurst: float) -> np.ndarray:
    k = np.arange(n, dtype=float)
    h = 2 * hurst
    return (abs(k + 1) ** h - 2 * k**h + abs(k - 1) ** h) / 2


@pytest.mark.parametrize(("kappa", "hurst", "seed"), [(1, 0.75, 0), (0.4, 0.02, 1), (0, 0.9, 2)])
def test_noises_are_the_three_kinds(cells, kappa, hurst, seed):
    normals = cells["draw_normals"](jax.random.key(seed))
    tables = called(cells["noises"], kappa=kappa, hurst=hurst, prepared=normals)
    xi = np.asarray(normals, float)
    covariance = fgn_covariance(200, hurst)
    root = linalg.cholesky(linalg.toeplitz(covariance), lower=True)
    kinds = [xi[1:], (xi[1:] - kappa * xi[:-1]) / np.sqrt(1 + kappa**2), root @ xi[1:]]
    found = tables["noise"]["kick"].reshape(3, 200)
    np.testing.assert_allclose(found, [k[:, 0] for k in kinds], atol=1e-9)
    sums = tables["noise"]["sum"].reshape(3, 200)
    np.testing.assert_allclose(sums, np.cumsum(found, axis=1), atol=1e-9)
    for kind, noise in enumerate(kinds):
        direct = [np.mean(noise[k:] * noise[: 200 - k]) for k in range(9)]
        measured = tables["covariance"]["measured"].reshape(3, 9)[kind]
        np.testing.assert_allclose(measured, direct, atol=1e-9)
    formula = tables["covariance"]["formula"].reshape(3, 9)
    np.testing.assert_allclose(formula[0], np.eye(9)[0], atol=1e-15)
    pair = np.convolve([1, -kappa], [-kappa, 1])[1:] / (1 + kappa**2)
    np.testing.assert_allclose(formula[1], [*pair, *np.zeros(7)], atol=1e-15)
    np.testing.assert_allclose(formula[2], covariance[:9], atol=1e-12)


def test_noises_with_one_seed_agree_where_they_are_the_same_noise(cells):
    """At Hurst index 1/2 and with nothing taken back all three are white, number by number;
    taken back whole, the sums telescope."""
    normals = cells["draw_normals"](jax.random.key(3))
    same = called(cells["noises"], kappa=0, hurst=0.5, prepared=normals)
    white, back, fractional = same["noise"]["kick"].reshape(3, 200)
    np.testing.assert_allclose(back, white, atol=1e-12)
    np.testing.assert_allclose(fractional, white, atol=1e-12)
    taken = called(cells["noises"], kappa=1, hurst=0.02, prepared=normals)
    xi = np.asarray(normals, float)[:, 0]
    sums = taken["noise"]["sum"].reshape(3, 200)[1]
    np.testing.assert_allclose(sums, (xi[1:] - xi[0]) / np.sqrt(2), atol=1e-9)
    formula = taken["covariance"]["formula"].reshape(3, 9)
    np.testing.assert_allclose(formula[2], formula[1], atol=0.02)  # nearly one law


def test_noises_measured_covariances_are_near_the_formulas(cells):
    normals = cells["draw_normals"](jax.random.key(0))
    for hurst in (0.1, 0.5, 0.75):
        table = called(cells["noises"], kappa=1, hurst=hurst, prepared=normals)["covariance"]
        np.testing.assert_allclose(table["measured"], table["formula"], atol=0.1)
