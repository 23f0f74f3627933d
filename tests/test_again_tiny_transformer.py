"""again.tiny_transformer, which measures the language model's losses again, is right."""

import jax
import numpy as np
import pytest

from again import tiny_transformer as tiny
from optdyn import language

if hasattr(jax, "enable_x64"):
    enable_x64 = jax.enable_x64
else:
    from jax.experimental import enable_x64


@pytest.fixture(autouse=True, scope="module")
def double():
    with enable_x64(True):
        yield


def example(seed, time=tiny.CONTEXT):
    """Weights far from any symmetry, gains included, in float64; words, some of them twice."""
    rng = np.random.default_rng(seed)
    flat = 3.0 * tiny.first_weights(rng) + 0.1 * rng.normal(size=tiny.SIZE)
    return flat, rng.integers(40, size=(3, time + 1))


def as_library(flat):
    w = dict(tiny.views(flat))
    block = {name: w.pop(name) for name in ("attended", "up", "down", "norm_1", "norm_2")}
    block["attend"] = w.pop("attend").reshape(tiny.WIDTH, 3, tiny.HEADS, -1)
    return w | {"blocks": [block]}


@pytest.mark.parametrize("time", [7, 16])
def test_scores_loss_and_gradient_are_those_of_the_library(time):
    flat, words = example(0, time)
    params = as_library(flat)
    scores = language.logits(params, words[:, :-1]).reshape(-1, tiny.VOCABULARY)
    found = tiny.forward(tiny.views(flat), words[:, :-1])[0]
    assert found.dtype == scores.dtype == np.float64
    np.testing.assert_allclose(found, scores, rtol=0, atol=1e-11)
    value, slopes = jax.value_and_grad(language.loss)(params, words[:, :-1], words[:, 1:])
    assert tiny.loss(flat, words) == pytest.approx(float(value), abs=1e-12)
    mine = as_library(tiny.gradient(flat, words))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-12), mine, slopes)


def test_the_gradient_is_that_of_central_differences():
    flat, words = example(1)
    slopes, h = tiny.gradient(flat, words), 1e-5
    rng = np.random.default_rng(2)
    for name, part in tiny.views(np.arange(tiny.SIZE)).items():
        rows = words[:, :-1].ravel() if name == "words" else np.arange(len(part))
        for i in rng.choice(part[rows].ravel(), 12):
            step = h * (np.arange(tiny.SIZE) == i)
            wanted = (tiny.loss(flat + step, words) - tiny.loss(flat - step, words)) / (2 * h)
            assert slopes[i] == pytest.approx(wanted, rel=1e-6, abs=1e-9), name


def test_the_text_and_the_schedule_are_the_library_s():
    for mine, wanted in zip(tiny.texts(), language.split(language.bible()[0]), strict=True):
        np.testing.assert_array_equal(mine, wanted)
    for steps in (75, 300):
        mine = [tiny.share(n, steps) for n in range(steps)]
        wanted = language.schedule(language.Config(steps=steps))
        np.testing.assert_allclose(mine, wanted, rtol=0, atol=1e-7)
