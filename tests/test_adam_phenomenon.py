"""The figures of the Adam chapter's first notebook: what their functions return, against NumPy.

The functions are those of the notebook's own cells, run here without their charts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import scipy.signal
import scipy.special

import notebooks

if hasattr(jax, "enable_x64"):
    enable_x64 = jax.enable_x64
else:
    from jax.experimental import enable_x64

NOTEBOOK = Path(__file__).resolve().parent.parent / "chapters/adam/1_phenomenon.ipynb"
CELLS = (  # how the cells begin that are run here, in order
    "import altair",
    "STEPS =",
    "def draw_noise",
    "def by_hand",
    "TURN =",
    "PERIOD, LONG",
    "def fading",
    "RATIOS =",
    "def many",
    "WALK, WALKERS",
    "def pure_noise",
    "HORIZON =",
    "V = 1_000",
    "def words_learned",
    "def rows",
    "STREAM =",
)


@pytest.fixture(scope="module", autouse=True)
def double_precision():
    with enable_x64(True):
        yield


@pytest.fixture(scope="module")
def cells(double_precision: None) -> dict[str, Any]:
    names: dict[str, Any] = {"jax": jax}  # the set-up cell imports it
    sources = [c.source for c in notebooks.read(NOTEBOOK).cells if c.cell_type == "code"]
    for beginning in CELLS:
        (source,) = (s for s in sources if s.startswith(beginning))
        exec(source.split('\nclaim("')[0], names)
    return names


def called(fn: Any, **values: Any) -> dict[str, dict[str, np.ndarray]]:
    return jax.tree.map(np.asarray, jax.jit(fn)(**values))


def average(x: np.ndarray, beta: float) -> np.ndarray:
    return scipy.signal.lfilter([1 - beta], [1, -beta], x, axis=0)


def direction(g: np.ndarray, b1: float, b2: float) -> np.ndarray:
    m, root = average(g, b1), np.sqrt(average(g**2, b2))
    return np.divide(m, root, out=np.zeros_like(m), where=root > 0)


@pytest.mark.parametrize("stream", range(5))
@pytest.mark.parametrize(("noise", "beta"), [(0.0, 0.95), (0.5, 0.0), (2.0, 0.99)])
def test_the_bench(cells, stream, noise, beta):
    draws = np.asarray(cells["draw_noise"](jax.random.key(1)), float)
    tables = called(cells["bench"], stream=stream, noise=noise, beta=beta, prepared=draws)
    k = np.arange(1, 401)
    signal = [
        np.ones(400),
        1.8 * np.sin(0.03 * k) * np.exp(-0.0025 * k),
        np.where(k % 80 == 1, 3.0, 0.0),
        np.where(k % 2 == 1, -1.0, 1.0),
        np.repeat([1.0, -1.0], 200),
    ][stream]
    g = signal + noise * draws
    flow, steps = tables["flow"], tables["steps"]
    m = average(g, beta)
    np.testing.assert_allclose(flow["g"], g, atol=1e-12)
    np.testing.assert_allclose(flow["m"], m, atol=1e-12)
    half = (flow["high"] - flow["low"]) / 2
    np.testing.assert_allclose(half**2, average(g**2, beta) - m**2, atol=1e-12)
    np.testing.assert_array_equal(steps["each"], np.sign(flow["g"]))
    np.testing.assert_array_equal(steps["signum"], np.sign(flow["m"]))
    np.testing.assert_allclose(steps["rms"], direction(g, 0.0, beta), atol=1e-12)
    np.testing.assert_allclose(steps["adam"], direction(g, beta, beta), atol=1e-12)


def test_only_adam_answers_to_the_noise(cells):
    """As the text of Figure 1 says of a steady push, noise 2, memory 0.95."""
    draws = np.asarray(cells["draw_noise"](jax.random.key(0)), float)
    steps = called(cells["bench"], stream=0, noise=2.0, beta=0.95, prepared=draws)["steps"]
    late = {name: column[100:] for name, column in steps.items()}
    assert np.mean(late["signum"]) > 0.97
    assert np.mean(late["adam"]) < 0.5
    assert np.std(late["rms"]) > 0.8
    assert 0.2 < np.mean(late["each"]) < 0.6


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9])
def test_the_lines_by_hand(cells, beta):
    g = np.random.default_rng(0).normal(size=60)
    m, v, variance, d = cells["by_hand"](g, beta)
    np.testing.assert_allclose(m, average(g, beta), atol=1e-14)
    np.testing.assert_allclose(v, average(g**2, beta), atol=1e-14)
    np.testing.assert_allclose(variance, v - m**2, atol=1e-14)
    np.testing.assert_allclose(d, direction(g, beta, beta), atol=1e-12)


@pytest.mark.parametrize(("n", "noise", "beta"), [(1, 0.3, 0.95), (112, 0.0, 0.9), (200, 0.8, 0.8)])
def test_the_half_plane(cells, n, noise, beta):
    draws = np.asarray(cells["draw_turn"](jax.random.key(2)), float)
    tables = called(cells["half_plane"], n=float(n), noise=noise, beta=beta, prepared=draws)
    g = np.repeat([1.0, -1.0], 100) + noise * draws
    m, v = average(g, beta), average(g**2, beta)
    s = np.sqrt(np.maximum(v - m**2, 0))
    np.testing.assert_allclose(tables["path"]["m"][:n], m[:n], atol=1e-12)
    np.testing.assert_allclose(tables["path"]["s"][:n], s[:n], atol=1e-7)
    assert np.all(tables["path"]["k"][n:] == n - 1)
    now = {name: column[0] for name, column in tables["now"].items()}
    assert now["d"] == pytest.approx(m[n - 1] / np.sqrt(v[n - 1]), abs=1e-12)
    assert now["d"] ** 2 + now["h"] ** 2 == pytest.approx(1)
    assert now["sign"] == np.sign(m[n - 1])
    if noise == 0:
        assert now["m"] ** 2 + now["s"] ** 2 == pytest.approx(1 - beta**n)


@pytest.mark.parametrize(("beta", "fade"), [(0.95, 0.0025), (0.999, 0.0025), (0.98, -0.001)])
def test_fading(cells, beta, fade):
    tables = called(cells["fading"], beta=beta, fade=fade)
    k = np.arange(1, 3_401)
    d = direction(np.sin(np.pi * k / 100 + 0.3) * np.exp(-fade * k), beta, beta)
    np.testing.assert_allclose(tables["wave"]["d"], d[4::5], atol=1e-9)
    share = np.max(np.abs(d[3_200:])) / np.max(np.abs(d[2_200:2_400]))
    assert tables["now"]["top"][0] == pytest.approx(share, abs=1e-9)
    loud = tables["loud"]
    far = np.abs(1 - loud["rate"] - np.exp(-2 * fade)) > 0.0025
    np.testing.assert_allclose(loud["top"][far], loud["law"][far], atol=0.06)
    if fade > 0:
        assert tables["border"]["rate"][0] == pytest.approx(1 - np.exp(-2 * fade))


@pytest.mark.parametrize("beta", [0.0, 0.9, 0.95])
def test_response(cells, beta):
    draws = np.asarray(cells["draw_long"](jax.random.key(3)), float)
    tables = called(cells["response"], beta=beta, prepared=draws)
    law, found = tables["law"], tables["found"]
    x = np.geomspace(0.01, 10, 91)
    np.testing.assert_allclose(law["adam"], np.sin(np.arctan(x)), atol=1e-12)
    spread = np.sqrt((1 - beta) / (1 + beta))
    np.testing.assert_allclose(
        law["signum"], 1 - scipy.special.erfc(x / spread / np.sqrt(2)), atol=1e-12
    )
    assert tables["knee"]["x"][0] == pytest.approx(spread)
    g = found["x"][5] + np.stack([draws, -draws], 1)
    for name, d in (("adam", direction(g, beta, beta)), ("signum", np.sign(average(g, beta)))):
        assert found[name][5] == pytest.approx(np.mean(d[1_000:]), abs=1e-9)
    if beta:  # for no memory both are signs
        np.testing.assert_allclose(found["adam"], np.sin(np.arctan(found["x"])), atol=0.03)


def test_without_memory_both_are_signs(cells):
    draws = np.asarray(cells["draw_long"](jax.random.key(3)), float)
    found = called(cells["response"], beta=0.0, prepared=draws)["found"]
    np.testing.assert_allclose(found["adam"], found["signum"], atol=1e-12)


@pytest.mark.parametrize("beta", [0.5, 0.95, 0.99])
def test_pure_noise(cells, beta):
    draws = np.asarray(cells["draw_walks"](jax.random.key(4)), float)
    tables = called(cells["pure_noise"], beta=beta, prepared=draws)
    signum, adam = np.split(tables["walk"]["w"], 2)
    np.testing.assert_allclose(
        adam.reshape(6, -1).T, -np.cumsum(direction(draws, beta, beta), 0)[7::8], atol=1e-9
    )
    np.testing.assert_array_equal(
        signum.reshape(6, -1).T, -np.cumsum(np.sign(average(draws, beta)), 0)[7::8]
    )
    times = tables["words"]["times"][0]
    assert times**2 == pytest.approx(2 * np.log(2) / (1 - beta), rel=1.2 * (1 - beta))
    agree = 1 - np.arccos(beta ** np.arange(1, 4_000)) / np.pi
    assert times**2 == pytest.approx(1 + 2 * np.sum(2 * agree - 1), rel=1e-9)


@pytest.mark.parametrize(("gap", "beta"), [(1_000, 0.95), (100, 0.9), (1, 0.99)])
def test_rare_token(cells, gap, beta):
    walk = called(cells["rare_token"], gap=float(gap), beta=beta)["walk"]
    signum, adam, default, sgd = walk["far"].reshape(4, -1)
    k = walk["k"].reshape(4, -1)[0]
    g = np.where(np.arange(1_000) % gap == 0, 1.0, 0.0)
    np.testing.assert_array_equal(signum, k)
    np.testing.assert_allclose(adam, np.cumsum(direction(g, beta, beta))[k - 1], rtol=1e-9)
    np.testing.assert_allclose(default, np.cumsum(direction(g, 0.9, 0.999))[k - 1], rtol=1e-9)
    np.testing.assert_allclose(sgd, np.cumsum(average(g, beta))[k - 1], rtol=1e-9)
    if gap == 1_000:
        assert adam[-1] == pytest.approx(np.sqrt(1 - beta) / (1 - np.sqrt(beta)), rel=1e-9)


@pytest.mark.parametrize(("steps", "gd_rate", "sign_rate"), [(30, 10.0, 0.02), (300, 40.0, 0.1)])
def test_words(cells, steps, gd_rate, sign_rate):
    """Against tables of scores, all V by V numbers of the chosen rows, in NumPy."""
    tables = called(
        cells["words_learned"], steps=float(steps), gd_rate=gd_rate, sign_rate=sign_rate
    )
    loss = tables["loss"]["loss"].reshape(3, -1)
    ranks = tables["loss"]["rank"].reshape(3, -1)[0]
    p = (1 / ranks / np.sum(1 / np.arange(1, 1_001)))[:, None]
    right = np.eye(1, 1_000)
    methods = (
        lambda g, m, v: gd_rate * g,
        lambda g, m, v: sign_rate * np.sign(g),
        lambda g, m, v: sign_rate * m / np.sqrt(v),
    )
    for found, method in zip(loss, methods, strict=True):
        w, m, v = (np.zeros((ranks.size, 1_000)) for _ in range(3))
        for _ in range(steps):
            q = np.exp(w - w.max(1, keepdims=True))
            g = p * (q / q.sum(1, keepdims=True) - right)
            m, v = 0.9 * m + 0.1 * g, 0.9 * v + 0.1 * g**2
            w = w - method(g, m, v)
        np.testing.assert_allclose(
            found, scipy.special.logsumexp(w, axis=1) - w[:, 0], rtol=1e-6, atol=1e-9
        )


def test_rows_that_meet_the_margin_of_the_figure(cells):
    path = np.asarray(cells["rows"](0.3, 0.5, 50))
    w = np.zeros(50)
    for scores in path:
        w = w - 0.5 * 0.3 * (scipy.special.softmax(w) - np.eye(1, 50)[0])
        np.testing.assert_allclose(scores, w, atol=1e-12)


def test_the_pairs_part_in_nothing_but_rounding(cells):
    for name, pair in cells["PAIRS"].items():
        assert cells["part"](pair, np.float64) < 1e-12, name
