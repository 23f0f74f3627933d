"""The figures of the cycles chapter that compute: what they return, against NumPy and the library.

The functions are those of the notebooks' own cells, run here without their charts.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit

import notebooks
from optdyn import cycles, logistic

if hasattr(jax, "enable_x64"):
    enable_x64 = jax.enable_x64
else:
    from jax.experimental import enable_x64

ROOT = Path(__file__).resolve().parent.parent
WHERE = {  # the notebook of each figure's function
    "zoom": "chapters/cycles/1_phenomenon.ipynb",
    "dragged": "book/index.ipynb",
    "plane": "chapters/cycles/2_mechanism.ipynb",
}
FIRST = {"zoom": "POINTS = ", "dragged": "def push(", "plane": "COUNTS = "}  # cells to run
LAST = {"zoom": "VIEWS = ", "dragged": "def span(", "plane": "def in_the_plane("}

SETS = [np.array(z) for z in ([1.0, 1, 1, -1], [1.0, 1, -1, -1], [1.0, 1, -1, 10])]
EIGHT = np.array([-1.1, -0.9, 0.7, 0.9, 1.1, 1.3, 9.5, 10.5])
COUNTS = np.array([1, 1, 15, 2])


@pytest.fixture(scope="module", autouse=True)
def double_precision() -> Iterator[None]:
    with enable_x64(True):
        yield


@pytest.fixture(scope="module")
def cells(double_precision: None) -> dict[str, Any]:
    names: dict[str, Any] = {"jax": jax, "jnp": jnp, "np": np}
    names["CRITICAL"] = jnp.array([logistic.critical_step_size(z) for z in SETS])
    for figure, path in WHERE.items():
        sources = [c.source for c in notebooks.read(ROOT / path).cells if c.cell_type == "code"]
        starts = [s.startswith(FIRST[figure]) for s in sources]
        ends = [s.startswith(LAST[figure]) for s in sources]
        for source in sources[starts.index(True) : ends.index(True) + 1]:
            exec(source, names)
    return names


def called(fn: Any, **values: Any) -> dict[str, dict[str, np.ndarray]]:
    values = {k: jnp.asarray(v, float) if k != "data" else v for k, v in values.items()}
    return jax.tree.map(np.asarray, jax.jit(fn)(**values))


def orbit(w, z, eta, n, weights=None):
    """n iterates of gradient descent, the start included; w of shape (lanes, d), eta (lanes,)."""
    p = np.full(len(z), 1 / len(z)) if weights is None else weights / weights.sum()
    path = []
    for _ in range(n):
        path.append(w)
        w = w + np.asarray(eta)[..., None] * (p * expit(-w @ z.T)) @ z
    return np.array(path)


# --- the bifurcation diagram with zoom --------------------------------------------------


@pytest.mark.parametrize(
    ("data", "power", "gamma", "w", "start"),
    [(0, 0, 3.0, 4.8, 0.0), (0, 1, 2.4, 1.0, 2.0), (1, 1, 1.9, 2.0, 0.0)],
)
def test_zoom_settles_where_the_cycles_are(cells, data, power, gamma, w, start):
    """At step sizes with a short attracting cycle the cloud is that cycle, found by Newton."""
    tables = called(cells["zoom"], power=power, gamma=gamma, w=w, start=start, data=data)
    gammas, cloud = (tables["cloud"][c].reshape(200, 600) for c in ("gamma", "w"))
    np.testing.assert_array_equal(gammas, gammas[:1] + 0 * gammas)
    half = 1.2 / 4.6692**power
    np.testing.assert_allclose(gammas[0], np.linspace(gamma - half, gamma + half, 600))
    z = (SETS[0], SETS[2])[data]
    critical = logistic.critical_step_size(z)
    settled = 0
    for column in range(5, 600, 45):
        cycle = cycles.find_cycle(start, z, step_size=gammas[0, column] / 2 * critical)
        if cycle is None or cycle.period > 8 or abs(cycle.multipliers).max() > 0.9:
            continue
        settled += 1
        late = cloud[-cycle.period :, column]
        np.testing.assert_allclose(np.sort(late), np.sort(cycle.points), atol=1e-7)
    assert settled >= 4


def test_zoom_shows_its_window(cells):
    tables = called(cells["zoom"], power=1, gamma=2.5, w=2.0, start=0, data=0)
    frame = tables["frame"]
    assert frame["gamma"] == pytest.approx([2.5 - 1.2 / 4.6692, 2.5 + 1.2 / 4.6692])
    height = frame["w"][1] - frame["w"][0]
    assert height == pytest.approx(13.5 / 2.5029, rel=1e-3)  # the other of Feigenbaum's
    assert frame["w"].mean() == pytest.approx(2)


# --- dragged points ---------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_dragged_finds_the_minimiser_and_the_curvature(cells, seed):
    rng = np.random.default_rng(seed)
    z = EIGHT.copy() if seed == 0 else rng.uniform(-12, 12, size=8)
    z[:2] = -abs(z[:2])
    z[2] = abs(z[2])
    star, curvature, none = cells["middle"](jnp.asarray(z))
    assert not none
    assert float(star) == pytest.approx(float(logistic.minimizer(z)), abs=1e-9)
    assert float(curvature) == pytest.approx(2 / logistic.critical_step_size(z), rel=1e-9)


def test_dragged_shows_orbit_and_diagram(cells):
    tables = called(cells["dragged"], z=EIGHT, gamma=1.9, start=0.5)
    critical = logistic.critical_step_size(EIGHT)
    path = orbit(np.array([[0.5]]), EIGHT[:, None], [1.9 / 2 * critical], 61)[:, 0, 0]
    web = tables["web"]
    np.testing.assert_allclose(web["w"], np.repeat(path[:-1], 2), atol=1e-6)
    np.testing.assert_allclose(web["next"][1::2], path[1:], atol=1e-6)
    np.testing.assert_allclose(web["next"][::2], path[:-1], atol=1e-6)  # from the diagonal
    graph = tables["graph"]
    after = orbit(graph["w"][:, None], EIGHT[:, None], [1.9 / 2 * critical], 2)[1, :, 0]
    np.testing.assert_allclose(graph["next"], after, atol=1e-9)
    gammas, cloud = (tables["cloud"][c].reshape(100, 360) for c in ("gamma", "w"))
    lanes = np.full((360, 1), 0.5)
    late = orbit(lanes, EIGHT[:, None], gammas[0] / 2 * critical, 300)[200:, :, 0]
    settled = gammas[0] < 1.85
    np.testing.assert_allclose(cloud[:, settled], late[:, settled], atol=1e-7)
    np.testing.assert_allclose(
        np.quantile(cloud, [0.1, 0.5, 0.9]), np.quantile(late, [0.1, 0.5, 0.9]), rtol=0.05
    )
    frame = tables["frame"]["w"]
    assert frame[0] < cloud.min() and cloud.max() < frame[1]


def test_dragged_pair_below_two_needs_both_far_points(cells):
    """The widths of the columns below 2, from the start of the figure."""

    def widest(z):
        tables = called(cells["dragged"], z=z, gamma=1.9, start=0)
        gammas, cloud = (tables["cloud"][c].reshape(100, 360) for c in ("gamma", "w"))
        return np.ptp(cloud[:, abs(gammas[0] - 1.96) < 0.01], axis=0).max()

    assert widest(EIGHT) > 1
    assert widest(np.where(EIGHT == 9.5, 1.2, EIGHT)) < 1e-2
    assert widest(np.where(EIGHT == 10.5, 1.2, EIGHT)) < 1e-2


@pytest.mark.parametrize("z", [abs(EIGHT), -abs(EIGHT), np.r_[abs(EIGHT[:7]), 0.0]])
def test_dragged_says_when_there_is_no_minimiser(cells, z):
    tables = called(cells["dragged"], z=z, gamma=2, start=0)
    assert tables["verdict"]["none"] == 1 == tables["star"]["none"]
    assert all(np.isfinite(c).all() for t in tables.values() for c in t.values())
    assert called(cells["dragged"], z=EIGHT, gamma=2, start=0)["verdict"]["none"] == 0


# --- the plane --------------------------------------------------------------------------

WALLS = np.array([[8.0, 2], [-8, 2], [0, 1], [0, -1]])


def in_plane(cells, z, gamma, start=(1.0, 0.0)):
    one = jnp.asarray(start[0])[None], jnp.asarray(start[1])[None]
    points = jnp.asarray(z[:, 0]), jnp.asarray(z[:, 1])
    tables = jax.jit(cells["in_the_plane"])(points=points, start=one, gamma=jnp.asarray(gamma))
    return jax.tree.map(np.asarray, tables)


def test_plane_knows_which_data_are_separable_and_finds_the_minimiser(cells):
    rng = np.random.default_rng(0)
    found = []
    # Of the second, plain Newton steps from 0 fly off.
    barely = np.array([[8, 2], [-8, 2], [0, 1], [0, -0.01]])  # its minimiser is far out
    jumpy = np.array([[-7.23, 4.31], [10.95, 3.81], [-1.85, 1.51], [1.3, -0.9]])
    for z in [barely, jumpy, *(rng.uniform(-1, 1, size=(40, 4, 2)) * [12, 6])]:
        w, curvature, none = cells["bottom"](jnp.asarray(z))
        found.append(bool(none))
        assert bool(none) == logistic.is_separable(z)
        if not none:
            star = logistic.minimizer(z, COUNTS)
            np.testing.assert_allclose(w[:, 0], star, atol=1e-7)
            critical = logistic.critical_step_size(z, COUNTS)
            assert float(curvature) == pytest.approx(2 / critical, rel=1e-7)
    assert 5 < sum(found) < 35


@pytest.mark.parametrize(
    ("z", "gamma"), [(WALLS, 0.9), (WALLS, 0.5), (WALLS + np.array([1, 0]), 1.5)]
)
def test_plane_colours_starts_as_the_library_does(cells, z, gamma):
    tables = in_plane(cells, z, gamma)
    eta = gamma / 2 * logistic.critical_step_size(z, COUNTS)
    x = -3 + 6 * (np.arange(40) + 0.5) / 40
    y = -1 + 9 * (np.arange(40) + 0.5) / 40
    starts = np.column_stack([np.tile(x, 40), np.repeat(y, 40)])
    labels = cycles.basins(
        z, step_sizes=[eta], w0s=starts, n_transient=2_000, max_period=6, weights=COUNTS
    )[0]
    ours = tables["basins"]["period"]
    assert np.mean(ours != labels) < 0.02  # a few have not settled after 160 steps
    assert np.all((ours == labels) | (ours == 0))


def test_plane_draws_the_orbit(cells):
    tables = in_plane(cells, WALLS, 0.9, start=(1.0, 0.5))
    eta = 0.9 / 2 * logistic.critical_step_size(WALLS, COUNTS)
    path = orbit(np.array([[1.0, 0.5]]), WALLS, [eta], 121, COUNTS)[:, 0]
    np.testing.assert_allclose(tables["orbit"]["x"], path[:, 0], atol=1e-9)
    np.testing.assert_allclose(tables["orbit"]["y"], path[:, 1], atol=1e-9)
    assert set(tables["basins"]["period"]) == {1, 2}


def test_plane_without_a_minimiser_is_drawn_too(cells):
    tables = in_plane(cells, np.array([[8.0, 2], [-8, 2], [0, 1], [1, 1]]), 0.9)
    assert tables["star"]["none"] == 1 and not tables["basins"]["period"].any()
    assert all(np.isfinite(c).all() for t in tables.values() for c in t.values())
