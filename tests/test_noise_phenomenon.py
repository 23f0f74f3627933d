"""The figures of the noise chapter's first notebook: what their functions return, against NumPy.

The functions are those of the notebook's own cells, run here without their charts; so are the port
of the method and the three numbers that judge one.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import notebooks

NOTEBOOK = Path(__file__).resolve().parent.parent / "chapters/noise/1_phenomenon.ipynb"
CELLS = (  # how the cells begin that are run here, in order
    "import altair",
    "N_KICKS, DIM",
    "N_SUM",
    "N_LINE",
    "N_LANES",
    "def two_variances",
    "D, ALPHA",
    "DIAL",
    "def climb_or_slide",
    "LEARNING_RATE",
    "def on_a_flat_loss",
)


@pytest.fixture(scope="module")
def cells() -> dict[str, Any]:
    names: dict[str, Any] = {}
    sources = [c.source for c in notebooks.read(NOTEBOOK).cells if c.cell_type == "code"]
    for beginning in CELLS:
        (source,) = (s for s in sources if s.startswith(beginning))
        exec(source, names)
    return names


def called(fn: Any, **values: Any) -> dict[str, dict[str, np.ndarray]]:
    return jax.tree.map(np.asarray, jax.jit(fn)(**values))


def drawn(fn: Any, seed: int) -> np.ndarray:
    return np.asarray(fn(jax.random.key(seed)))


def slope(w):
    """The gradient of v^2 |u|^2 / 2, for w = (u, v) along the last axis."""
    u, v = w[..., :-1], w[..., -1:]
    return np.concatenate([v**2 * u, (u**2).sum(-1, keepdims=True) * v], axis=-1)


def loop(w, gradient, xi, step_size, kappa):
    path = [w]
    for old, new in itertools.pairwise(xi):
        w = w - step_size * gradient(w) + new - kappa * old
        path.append(w)
    return np.array(path)


# --- the two balls ------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "sigma"), [(20, 0.2), (300, 0.1), (3_000, 0.2)])
def test_the_balls_go_where_a_loop_goes(cells, n, sigma):
    xi = drawn(cells["draw_shakes"], 3)
    tables = called(cells["shaken_ball"], n=float(n), sigma=sigma, prepared=xi)
    path = tables["path"]
    assert set(path["n"]) == set(range(0, n + 1, 10))
    for ball, kappa in enumerate((0, 1)):
        w0 = np.append(np.full(8, 9 / 8) ** 0.5, 0)
        w = loop(w0, slope, sigma * xi.astype(float)[: n + 1], 0.02, kappa)[path["n"][:301]]
        size = np.linalg.norm(w[:, :-1], axis=1)
        mine = path["ball"] == ball
        if n < 3_000:  # later PGD's rounding errors may have grown
            np.testing.assert_allclose(path["u"][mine], size, rtol=2e-4)
            np.testing.assert_allclose(path["v"][mine], w[:, -1], atol=2e-4)
        np.testing.assert_allclose(path["u"][mine].mean(), size.mean(), rtol=0.03)
        assert tables["now"]["u"][ball] == path["u"][mine][-1]
        assert tables["now"]["v"][ball] == path["v"][mine][-1]


@pytest.mark.parametrize("seed", range(5))
def test_the_kept_kicks_lead_to_the_narrow_end(cells, seed):
    xi = drawn(cells["draw_shakes"], seed)
    kept, taken_back = called(cells["shaken_ball"], n=3_000.0, sigma=0.2, prepared=xi)["now"]["u"]
    assert 3.5 < kept < 11  # the edge of stability is at 10
    assert taken_back < 1.5


# --- kicks and sums, one dimension, two variances -----------------------------------------------


@pytest.mark.parametrize("kappa", [0.0, 0.5, 0.9, 1.0])
def test_kicks_and_sums(cells, kappa):
    xi = drawn(cells["draw_line"], 1).astype(float)
    tables = called(cells["kicks_and_sums"], kappa=kappa, prepared=jnp.asarray(xi, jnp.float32))
    kicks = xi[1:] - kappa * xi[:-1]
    np.testing.assert_allclose(tables["kicks"]["kick"], kicks[:60], atol=1e-5)
    np.testing.assert_allclose(tables["sums"]["sum"], np.cumsum(kicks), atol=1e-3)
    found = tables["words"]["found"][0]
    assert found == pytest.approx(np.corrcoef(kicks[1:], kicks[:-1])[0, 1], abs=0.01)
    # the band against the covariance matrix of the kicks, summed up
    share = np.eye(401)[1:] - kappa * np.eye(401)[:-1]
    deviation = np.sqrt(((np.tri(400) @ share) ** 2).sum(axis=1))
    np.testing.assert_allclose(tables["sums"]["high"], 2 * deviation, rtol=1e-4)
    np.testing.assert_array_equal(tables["sums"]["low"], -tables["sums"]["high"])
    law = (share @ share.T)[0, 1] / (share @ share.T)[0, 0]
    assert tables["words"]["law"][0] == pytest.approx(law, abs=1e-6)


@pytest.mark.parametrize("theta", [0.02, 0.5, 1.5, 1.96])
def test_one_dimension(cells, theta):
    xi = drawn(cells["draw_chain"], 2)
    tables = called(cells["one_dimension"], theta=theta, prepared=xi)
    for name, kappa in (("pgd", 0), ("anti", 1)):
        w = loop(0.0, lambda w: w, xi.astype(float), theta, kappa)
        np.testing.assert_allclose(tables[name]["w"], w, atol=1e-3)
        powers = (1 - theta) ** np.arange(3_000)  # w is the sum of these times the xi
        weights = np.append(powers, 0) - kappa * np.append(0, powers)
        band = 2 * np.sqrt(np.sum(weights**2))
        np.testing.assert_allclose(tables[f"{name}_band"]["w"], [-band, band], rtol=1e-3)


@pytest.mark.parametrize("equal", [0, 1])
@pytest.mark.parametrize("kappa", [0.1, 0.9, 1.0])
def test_two_variances(cells, kappa, equal):
    xi = drawn(cells["draw_lanes"], 0)
    tables = called(cells["two_variances"], kappa=kappa, equal=equal, prepared=xi)
    laws, dots = tables["laws"], tables["dots"]
    share = 1 + kappa**2 if equal else 1.0

    def by_hand(theta, kappa):
        """The sum of the squared weights of the xi, with the geometric series written out."""
        a = 1 - theta
        return 1 + (a - kappa) ** 2 / (1 - a**2)

    theta = laws["theta"].astype(float)
    np.testing.assert_allclose(laws["pgd"], by_hand(theta, 0), rtol=1e-3)
    np.testing.assert_allclose(laws["memory"], by_hand(theta, kappa) / share, rtol=1e-3)
    cross = float(tables["cross"]["theta"][0])
    assert by_hand(cross, 0) == pytest.approx(by_hand(cross, kappa) / share)
    assert tables["cross"]["V"][0] == pytest.approx(by_hand(cross, 0), rel=1e-5)
    for name, memory, by in (("pgd", 0, 1.0), ("memory", kappa, share)):
        for i, one in enumerate(dots["theta"].astype(float)):
            path = loop(np.zeros(24), lambda w, one=one: one * w, xi.astype(float), 1.0, memory)
            assert dots[name][i] == pytest.approx(np.mean(path[300:] ** 2) / by, rel=1e-3)
            assert dots[name][i] == pytest.approx(by_hand(one, memory) / by, rel=0.5)


# --- the valley ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("kappa", "variance"), [(0, 1), (4, 0), (5, 0)])
def test_climb_or_slide_is_what_a_loop_finds(cells, kappa, variance):
    memory, sigma = cells["DIAL"][kappa], cells["VARIANCES"][variance] ** 0.5
    rng = np.random.default_rng(kappa)
    w = np.full((64, 33), (100 / 32) ** 0.5)
    w[:, -1] = 0
    xi = rng.choice([-sigma, sigma], size=w.shape)
    times, found = cells["TIMES"], []
    for n in range(1, 2_001):
        fresh = rng.choice([-sigma, sigma], size=w.shape)
        w, xi = w - 0.00125 * slope(w) + fresh - memory * xi, fresh
        if n in (1, 2_000) or n == times[40]:
            z = w - memory * xi
            sizes = [(x[:, :-1] ** 2).sum(1) for x in (w, z)]
            traces = [s + 32 * x[:, -1] ** 2 for s, x in zip(sizes, (w, z), strict=True)]
            found.append((int(np.abs(times - n).argmin()), sizes, traces))
    assert len(found) == 3
    for place in (0, 1):
        tables = called(cells["climb_or_slide"], kappa=kappa, variance=variance, place=place)
        assert set(tables["size"]["kind"]) == {{0: 0, 5: 2}.get(kappa, 1)}
        for at, sizes, traces in found:
            for name, values in (("size", sizes[place]), ("trace", traces[place])):
                table = {c: tables[name][c][at] for c in ("low", "mean", "high")}
                error = values.std() / 8
                assert table["mean"] == pytest.approx(values.mean(), abs=6 * error + 0.5)
                low, high = np.quantile(values, [0.1, 0.9])
                assert table["low"] == pytest.approx(low, abs=12 * error + 0.5)
                assert table["high"] == pytest.approx(high, abs=12 * error + 0.5)


def test_climb_or_slide_tells_the_memories_apart(cells):
    last = [
        called(cells["climb_or_slide"], kappa=k, variance=0, place=0)["size"]["mean"][-1]
        for k in range(6)
    ]
    assert last == sorted(last, reverse=True)
    assert last[0] > 1_000 and 50 < last[4] < 250 and last[5] < 14


# --- the port -----------------------------------------------------------------------------------


def test_the_right_port_is_the_method(cells):
    """Its updates on a parabola, against a loop over the same xi."""
    port, xi_at = cells["PORTS"]["right"], cells["xi_at"]
    xi = np.array([xi_at(n) for n in range(6)], float)
    w, state = jnp.ones(64), port.init(jnp.ones(64))
    for n in range(5):
        update, state = port.update(3 * w, state, w)
        w = w + update
        expected = loop(np.ones(64), lambda w: 3 * w, xi[: n + 2], cells["LEARNING_RATE"], 1)[-1]
        np.testing.assert_allclose(w, expected, atol=1e-5)


@pytest.mark.parametrize("kappa", [0.0, 0.9])
def test_the_audit_finds_a_leak(cells, kappa):
    xi_at = cells["xi_at"]
    leaky = cells["port"](lambda n: xi_at(n + 1) - kappa * xi_at(n))
    variance, correlation, farthest = cells["audit"](*cells["on_a_flat_loss"](leaky))
    assert variance == pytest.approx(1 + kappa**2, abs=0.05)
    assert correlation == pytest.approx(-kappa / (1 + kappa**2), abs=0.02)
    assert farthest > 9
