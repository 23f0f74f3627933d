"""The functions of the Adam laboratory's cells against other ways to compute them.

They are those of the notebook's own cells, run here without the trainings. The stored losses are
worked out a second time in tests/again/adam_laboratory.py, whose own model is checked here, too.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import lax
from jax.scipy.special import erf
from scipy import integrate

import notebooks
from again import adam_laboratory as again
from optdyn import language, quadratics

NOTEBOOK = Path(__file__).resolve().parent.parent / "chapters/adam/3_laboratory.ipynb"
DEFINE = (  # how the cells begin that are run here, in order
    "STORED = ", "def tuned", "CURVES = ", "def paired", "QUOTED = ", "WIDE = ", "VALLEY = ",
    "def descend", "PLANS = ", "PAPER = ", "def price", "PAIRS = ",
)  # fmt: skip

NAMES = [
    "SGD with momentum", "RMSprop", "Signum", "Adam, equal betas", "Adam, (0.8, 0.95)",
]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def double_precision() -> Iterator[None]:
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


@pytest.fixture(scope="module")
def cells(double_precision: None) -> dict[str, Any]:
    names: dict[str, Any] = dict(
        json=json, Path=Path, jax=jax, jnp=jnp, np=np, optax=optax, lax=lax, erf=erf,
        quadratics=quadratics, language=language, claim=lambda *_, **__: None,
        sgd="SGD with momentum", signum="Signum", adam="Adam, equal betas", NAMES=NAMES,
    )  # fmt: skip
    sources = [c.source for c in notebooks.read(NOTEBOOK).cells if c.cell_type == "code"]
    here = os.getcwd()
    os.chdir(NOTEBOOK.parent)  # the cells read a file beside the chapters
    try:
        for beginning in DEFINE:
            (source,) = (s for s in sources if s.startswith(beginning))
            exec(source, names)
    finally:
        os.chdir(here)
    return names


def test_the_best_rate_is_that_of_the_least_mean(cells):
    rate, losses = cells["tuned"]({0.1: [3.0, 1.0], 0.2: [1.9, 1.9], 0.4: [0.0, np.inf]})
    assert rate == 0.2
    np.testing.assert_array_equal(losses, [1.9, 1.9])


@pytest.mark.parametrize("batch", [8, 32, 128])
def test_tuned_losses_are_those_of_the_file(cells, batch):
    best = {name: losses for name, (_, losses) in cells["BEST"][batch].items()}
    for name, other in {
        "SGD with momentum": again.sgd, "RMSprop": again.rms, "Signum": again.signum,
        "Adam, equal betas": again.tied, "Adam, (0.8, 0.95)": again.untied,
    }.items():  # fmt: skip
        np.testing.assert_array_equal(best[name], other(batch))


@pytest.mark.parametrize("batch", [8, 32, 128])
def test_every_best_rate_of_the_first_figure_lies_inside_its_grid(cells, batch):
    for name, (rate, _) in cells["BEST"][batch].items():
        rates = list(cells["CURVES"][batch][name])
        assert rates[0] < rate < rates[-1], (batch, name)


def test_bias_correction_is_compared_at_rates_inside_the_grid_for_the_default_betas(cells):
    for way in cells["WAYS"]:
        for found in cells["CORRECTION"][way, (0.9, 0.999)]:
            rate, _ = cells["tuned"](found)
            assert 0.001 < rate < 0.016


def test_a_diverged_run_does_not_win(cells):
    stored = {"runs": [
        {"experiment": "x", "method": "adam", "b1": 0.5, "b2": 0.5, "batch": 1, "steps": 2,
         "bias_correction": False, "learning_rate": rate, "seed": 1, "loss": loss}
        for rate, loss in ((1.0, None), (0.5, 4.0))
    ]}  # fmt: skip
    kept = cells["STORED"]
    try:
        cells["STORED"] = stored
        found = cells["curve"]("x", "adam", 0.5, 0.5, 1, 2)
    finally:
        cells["STORED"] = kept
    assert found == {0.5: [4.0], 1.0: [np.inf]}
    assert cells["tuned"](found)[0] == 0.5


def test_the_mean_sign_of_a_gaussian_is_the_integral(cells):
    x, beta = 0.3, 0.8
    step = np.asarray(cells["drift"](x, beta)["laws"]["step"]).reshape(3, -1)
    batch = np.asarray(cells["WIDE"])
    for i in (0, 10, 25):
        spread = np.sqrt((1 - beta) / (1 + beta) / batch[i])  # of the average, in units of s

        def density(g, spread=spread):
            return np.exp(-(((g - x) / spread) ** 2) / 2) / np.sqrt(2 * np.pi) / spread

        wrong, _ = integrate.quad(density, x - 40 * spread, 0, points=[min(0, x - 8 * spread)])
        assert step[0, i] == pytest.approx(1 - 2 * wrong, abs=1e-7)
    np.testing.assert_allclose(step[1], x / np.sqrt(x**2 + 1 / batch), rtol=1e-12)
    np.testing.assert_array_equal(step[2], x)


@pytest.mark.parametrize(("sign", "variance"), [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0)])
def test_the_race_is_that_of_a_loop(cells, sign, variance):
    rng = np.random.default_rng(4)
    kicks = rng.normal(size=(300, 20)).astype(np.float32)
    found = np.asarray(cells["descend"](jnp.asarray(kicks), 1 / 64, sign, variance))
    valley, rates = cells["VALLEY"], cells["RATES"]
    for i in (0, 8, 12):
        w, m, v, losses = valley.start.copy(), np.zeros(20), np.zeros(20), []
        for kick, scale in zip(kicks, cells["SCALES"], strict=True):
            losses.append(np.sum(valley.curvatures * w**2) / 2)
            g = valley.curvatures * w + valley.deviations * kick.astype(float) / 8
            m, v = 0.9 * m + 0.1 * g, 0.9 * v + 0.1 * g**2
            root = np.sqrt(v) if variance else np.abs(m)
            w = w - scale * rates[i] * (m / (root + 1e-8) if sign else m)
        np.testing.assert_allclose(found[:, i], losses, rtol=1e-6)


def test_prices_and_shares(cells):
    assert cells["price"]({(0, 0): 3.0, (0.5, 0.5): 2.5, (0.5, 0.9): 2.0}) == 0.5
    assert cells["closed"]("SGD") == pytest.approx(again.shares()[0])
    for name, batch in (("tiny model, B = 32", 32), ("tiny model, B = 128", 128)):
        assert cells["GRIDS"][name] == pytest.approx(again.grid(batch))


def test_the_models_of_the_library_and_of_the_second_measurement_agree():
    """The same weights, the same windows: loss and gradient."""
    config = language.Config()
    p = again.fresh(np.random.default_rng(0))
    p = {name: x.astype(np.float64) for name, x in p.items()}
    windows = again.text()[0][:68].reshape(4, 17)
    block = {"attend": p["qkv"].reshape(32, 3, 2, 16), "attended": p["out"], "up": p["up"],
             "down": p["down"], "norm_1": p["gain1"], "norm_2": p["gain2"]}  # fmt: skip
    params = {"words": p["words"], "positions": p["places"], "head": p["head"],
              "norm": p["gain3"], "blocks": [block]}  # fmt: skip
    like = language.init(jax.random.key(0), config)
    assert jax.tree.map(np.shape, params) == jax.tree.map(np.shape, like)
    loss, gradient = jax.value_and_grad(language.loss)(params, windows[:, :-1], windows[:, 1:])
    own, slopes = again.value_and_grad(p, windows)
    assert own == pytest.approx(float(loss), rel=1e-6)
    for name, x in {"words": gradient["words"], "head": gradient["head"],
                    "qkv": gradient["blocks"][0]["attend"].reshape(32, 96),
                    "down": gradient["blocks"][0]["down"],
                    "gain1": gradient["blocks"][0]["norm_1"]}.items():  # fmt: skip
        np.testing.assert_allclose(slopes[name], x, rtol=1e-5, atol=1e-8)


def test_the_texts_are_the_same():
    training, held_out = language.split(language.bible()[0])
    ours = again.text()
    for a, b in ((training, ours[0]), (held_out, ours[1])):
        # words as frequent as each other may be numbered otherwise, and one to one
        assert len(a) == len(b)
        pairs = set(zip(a.tolist(), b.tolist(), strict=True))
        assert len(pairs) == 512
        assert (0, 0) in pairs
