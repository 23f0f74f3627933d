"""optdyn.language against NumPy in float64, a Python loop over optax's own steps, and counting."""

import hashlib
import math
import re
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optdyn import corpus, language
from optdyn.language import Config, Hyper, hyper, train

if hasattr(jax, "enable_x64"):
    enable_x64 = jax.enable_x64
else:
    from jax.experimental import enable_x64

SMALL = Config(vocabulary=11, width=6, heads=2, context=5, batch=3, steps=12, clip=0.5)
DEEP = SMALL._replace(layers=2, scale=0.5)
BIBLE = language.bible()[0]
TEXT = np.random.default_rng(0).integers(0, 11, 400)


# --- the text -----------------------------------------------------------------------------------


def test_the_text_is_the_whole_bible():
    text = language.text()
    lines = text.splitlines()
    assert len(lines) == 31_102 and text.isascii() and text.endswith("\n")
    assert lines[0] == "In the beginning God created the heavens and the earth."
    assert lines[-1] == "The grace of our Lord Jesus Christ be with you all. Amen."
    assert "Jesus wept." in lines and not re.search(r"\d|  |\t", text)
    assert hashlib.sha256(text.encode()).hexdigest() == language.SHA256
    assert language.SHA256 in corpus.FILE.with_name("king_james_bible.md").read_text("utf-8")
    assert corpus.FILE.stat().st_size < 1_000_000


def test_its_words():
    tokens, words = language.bible(512)
    assert (len(tokens), len(words), words[:4]) == (917_142, 512, ("<unk>", ",", "the", "and"))
    share = np.bincount(tokens, minlength=512) / len(tokens)
    assert abs(share[0] - 0.1491) < 1e-4
    assert abs(-np.sum(share * np.log(share)) - 4.5026) < 1e-4
    assert (np.diff(share[1:]) <= 0).all()
    assert not tokens.flags.writeable


def test_a_damaged_text_is_refused(tmp_path, monkeypatch):
    for damage, says in (
        (lambda raw: raw[:-40], "cannot be read"),
        (lambda raw: b"", "cannot be read"),
        (lambda raw: __import__("lzma").compress(b"In the beginning"), "SHA-256"),
    ):
        path = tmp_path / "king_james_bible.txt.xz"
        path.write_bytes(damage(corpus.FILE.read_bytes()))
        with monkeypatch.context() as patch:
            patch.setattr(corpus, "FILE", path)
            with pytest.raises(ValueError, match=says):
                corpus.text.__wrapped__()


def by_hand(text):
    """Words without a regular expression."""
    words = [""]
    for letter in text.lower():
        if "a" <= letter <= "z":
            words[-1] += letter
        else:
            words += [letter, ""] if not letter.isspace() else [""]
    return [word for word in words if word]


@given(st.text("abAB ,.\n'é1", min_size=1, max_size=60), st.integers(2, 9))
@settings(max_examples=60)
def test_tokenise_by_hand(text, vocabulary):
    if not text.strip():
        return
    tokens, words = language.tokenise(text, vocabulary)
    found = by_hand(text)
    assert len(tokens) == len(found) and len(words) <= vocabulary
    for number, word in zip(tokens, found, strict=True):
        assert words[number] == (word if word in words else "<unk>")
    times = Counter(found)
    assert list(words[1:]) == sorted(times, key=lambda w: (-times[w], w))[: vocabulary - 1]


@given(st.integers(10, 60_000))
@settings(max_examples=30)
def test_every_tenth_block_is_held_out(n):
    rest, held_out = language.split(np.arange(n))
    assert sorted([*rest, *held_out]) == list(range(n))
    assert abs(len(held_out) - n / 10) <= max(1, n / 10_000)
    ends = np.flatnonzero(np.diff(held_out) > 1)
    assert len(ends) + 1 == max(1, round(n / 10_000)) and held_out[-1] == n - 1
    with pytest.raises(ValueError, match="tokens: got 9"):
        language.split(np.arange(9))


def test_what_is_held_out_of_the_bible_is_like_the_rest():
    shares = [np.bincount(part, minlength=512) / len(part) for part in language.split(BIBLE)]
    assert np.abs(np.subtract(*shares)).sum() < 0.1
    n = len(BIBLE) * 9 // 10
    ends = [np.bincount(part, minlength=512) / len(part) for part in (BIBLE[:n], BIBLE[n:])]
    assert np.abs(np.subtract(*ends)).sum() > 0.2  # the letters are another kind of text


# --- the model ----------------------------------------------------------------------------------


def numpy_logits(params, tokens):
    """The transformer, head by head and place by place."""
    p = jax.tree.map(lambda x: np.asarray(x, float), params)

    def norm(x, gain):
        return x / np.sqrt(np.mean(x**2) + 1e-6) * gain

    rows = []
    for row in np.asarray(tokens):
        x = [p["words"][word] + p["positions"][i] for i, word in enumerate(row)]
        for block in p["blocks"]:
            u = [norm(one, block["norm_1"]) for one in x]
            q, k, v = (
                [np.einsum("d,dhe->he", one, block["attend"][:, j]) for one in u] for j in range(3)
            )
            for i in range(len(row)):
                mixed = []
                for h in range(q[0].shape[0]):
                    s = np.array([q[i][h] @ k[j][h] for j in range(i + 1)])
                    a = np.exp(s / np.sqrt(q[0].shape[1]))
                    mixed.append(sum(a[j] * v[j][h] for j in range(i + 1)) / a.sum())
                x[i] = x[i] + np.concatenate(mixed) @ block["attended"]
            for i in range(len(row)):
                z = norm(x[i], block["norm_2"]) @ block["up"]
                z = z / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3)))
                x[i] = x[i] + z @ block["down"]
        rows.append([norm(one, p["norm"]) @ p["head"] for one in x])
    return np.array(rows)


def numpy_loss(params, tokens, targets):
    scores = numpy_logits(params, tokens)
    p = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    return -np.mean(np.log(np.take_along_axis(p, np.asarray(targets)[..., None], -1)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_model_in_numpy(dtype):
    with enable_x64(dtype == "float64"):
        params = language.init(jax.random.key(1), DEEP)
        params = jax.tree.map(lambda x: x.astype(dtype), params)
        words = np.random.default_rng(1).integers(0, 11, (3, 6))
        within = dict(rtol=0, atol=2e-5 if dtype == "float32" else 1e-13)
        scores = language.logits(params, words[:, :-1])
        assert scores.dtype == dtype
        np.testing.assert_allclose(scores, numpy_logits(params, words[:, :-1]), **within)
        value = language.loss(params, words[:, :-1], words[:, 1:])
        np.testing.assert_allclose(value, numpy_loss(params, words[:, :-1], words[:, 1:]), **within)


def test_the_gradient_against_differences():
    with enable_x64(True):
        params = language.init(jax.random.key(2), DEEP)
        flat, unravel = jax.flatten_util.ravel_pytree(
            jax.tree.map(lambda x: x.astype(float), params)
        )
        words = np.random.default_rng(2).integers(0, 11, (3, 6))
        slope = jax.grad(lambda w: language.loss(unravel(w), words[:, :-1], words[:, 1:]))(flat)
        rng = np.random.default_rng(3)
        for _ in range(5):
            v = rng.normal(size=flat.shape)
            up, down = (
                numpy_loss(unravel(flat + h * v), words[:, :-1], words[:, 1:])
                for h in (1e-5, -1e-5)
            )
            assert abs((up - down) / 2e-5 - slope @ v) < 1e-7


def test_nothing_is_known_of_what_comes_later():
    params = language.init(jax.random.key(0), SMALL)
    words = np.array([[1, 2, 3, 4, 5], [1, 2, 3, 9, 8]])
    one, other = language.logits(params, words)
    np.testing.assert_array_equal(one[:3], other[:3])
    assert not np.array_equal(one[3:], other[3:])


def test_the_first_weights():
    params = language.init(jax.random.key(0), Config(layers=2))
    flat = jax.tree.leaves(params)
    assert all(leaf.dtype == jnp.float32 for leaf in flat)
    assert sum(leaf.size for leaf in flat) == 45_664 + 12_288 + 64
    for name, deviation in (("attend", 0.1), ("up", 0.1), ("attended", 0.05), ("down", 0.05)):
        values = np.stack([block[name] for block in params["blocks"]])
        assert abs(values.std() / deviation - 1) < 0.05 and abs(values.mean()) < deviation / 10
        assert not np.array_equal(*values)
    assert (params["norm"] == 1).all()


def test_the_schedule_is_optax_s():
    for c in (Config(), Config(steps=7, warmup=0.0), Config(steps=30, warmup=0.5)):
        w = round(c.warmup * c.steps)
        theirs = optax.warmup_cosine_decay_schedule(0.0 if w else 1.0, 1.0, w, c.steps)
        expected = [float(theirs(n)) for n in range(c.steps)]
        np.testing.assert_allclose(language.schedule(c), expected, rtol=0, atol=1e-6)


def test_a_schedule_of_warm_up_alone():
    assert language.schedule(Config(steps=4, warmup=0.99)).tolist() == [0.0, 0.25, 0.5, 0.75]


# --- training -----------------------------------------------------------------------------------

OPTAX = {
    "sgd": (lambda r, b1, b2: optax.sgd(r), 0.5, {}),
    "sgd_momentum": (
        lambda r, b1, b2: optax.sgd(lambda n: r(n) * (1 - b1), momentum=b1),
        0.5,
        {"b1": 0.8},
    ),
    "sign_sgd": (lambda r, b1, b2: optax.sign_sgd(r), 0.01, {}),
    "signum": (lambda r, b1, b2: optax.signum(r, b1), 0.01, {"b1": 0.8}),
    "rmsprop": (
        lambda r, b1, b2: optax.rmsprop(r, b2, eps=1e-8, eps_in_sqrt=False),
        0.01,
        {"b2": 0.9},
    ),
    "adam": (
        lambda r, b1, b2: optax.adam(r, b1, b2),
        0.01,
        {"b1": 0.8, "b2": 0.95, "bias_correction": 1},
    ),
    "adam_equal": (
        lambda r, b1, b2: optax.adam(r, b1, b1),
        0.01,
        {"b1": 0.8, "bias_correction": 1},
    ),
}


def loop(make, rate, b1, b2, seed, c, *, constant=False):
    """Training by optax's own optimisers on the tree of weights, a step at a time."""
    first, places = jax.random.split(jax.random.key(seed))
    params = language.init(first, c)
    draws = jax.random.randint(places, (c.steps, c.batch), 0, 360 - c.context, jnp.int32)
    shares = [1.0] * c.steps if constant else language.schedule(c).tolist()
    shares = jnp.array(shares, jnp.float32)
    method = optax.chain(
        optax.clip_by_global_norm(c.clip), make(lambda i: rate * shares[i], b1, b2)
    )
    state = method.init(params)

    @jax.jit
    def step(params, state, words):
        value, slope = jax.value_and_grad(language.loss)(params, words[:, :-1], words[:, 1:])
        updates, state = method.update(slope, state, params)
        return optax.apply_updates(params, updates), state, value

    def windows(text, starts):
        return np.array([text[i : i + c.context + 1] for i in np.asarray(starts)])

    losses = []
    for starts in draws:
        params, state, value = step(params, state, windows(TEXT[:360], starts))
        losses.append(float(value))
    fixed = np.floor(np.linspace(0, 40 - c.context - 1, c.validation))
    words = windows(TEXT[360:], fixed.astype(int))  # 400 words are ten blocks, the tenth held out
    return numpy_loss(params, words[:, :-1], words[:, 1:]), losses


@pytest.mark.parametrize("method", OPTAX)
def test_train_is_a_loop_over_optax(method):
    make, rate, betas = OPTAX[method]
    c = SMALL._replace(validation=7)
    found = train(hyper(method, rate, **betas), 3, c, tokens=TEXT)
    expected, losses = loop(make, rate, betas.get("b1", 0.0), betas.get("b2", 0.0), 3, c)
    np.testing.assert_allclose(found.losses, losses, rtol=0, atol=3e-4)
    assert abs(found.loss - expected) < 3e-4
    assert losses[-1] != losses[0]


def test_a_constant_rate():
    make, _, _ = OPTAX["sgd"]
    found = train(hyper("sgd", 0.5, constant=1), 3, SMALL, tokens=TEXT)
    _, losses = loop(make, 0.5, 0.0, 0.0, 3, SMALL._replace(validation=2), constant=True)
    np.testing.assert_allclose(found.losses, losses, rtol=0, atol=3e-4)


def test_many_runs_three_ways_and_in_another_order():
    runs = hyper("adam", np.array([0.0, 0.01, 0.03]), 0.8, 0.95)
    one = [train(hyper("adam", rate, 0.8, 0.95), 5, SMALL, tokens=TEXT) for rate in (0, 0.01, 0.03)]
    for way in ("vmap", "map"):
        many = train(runs, 5, SMALL, tokens=TEXT, way=way)
        assert many.loss.shape == (3,) and many.losses.shape == (3, 12)
        for i, single in enumerate(one):
            np.testing.assert_allclose(many.losses[i], single.losses, rtol=0, atol=1e-4)
            np.testing.assert_allclose(many.loss[i], single.loss, rtol=0, atol=1e-4)
    mapped = jax.jit(jax.vmap(lambda r: train(hyper("adam", r, 0.8, 0.95), 5, SMALL, tokens=TEXT)))(
        np.array([0.0, 0.01, 0.03], np.float32)
    )
    np.testing.assert_allclose(mapped.losses, many.losses, rtol=0, atol=1e-4)


def test_runs_of_a_seed_are_paired():
    kinds = Hyper(0.0, np.arange(4), 0.8, 0.9)
    runs = train(kinds, 1, SMALL, tokens=TEXT)
    assert len(set(np.asarray(runs.loss).tolist())) == 1  # rate 0: the first weights, the same text
    seeds = train(hyper("sgd", 0.0), np.arange(4), SMALL, tokens=TEXT)
    assert len(set(np.asarray(seeds.loss).tolist())) == 4


def test_single_precision_whatever_the_flag_says():
    plain = train(hyper("adam", 0.01), 2, SMALL, tokens=TEXT)
    with enable_x64(True):
        double = train(hyper("adam", 0.01), 2, SMALL, tokens=TEXT)
        assert double.loss.dtype == double.losses.dtype == jnp.float32
        np.testing.assert_allclose(double.losses, plain.losses, rtol=0, atol=1e-5)


def test_other_numbers_do_not_compile_again():
    train(hyper("adam", 0.01, 0.5, 0.9), 0, SMALL, tokens=TEXT)
    before = language._train._cache_size()
    for method in language.METHODS:
        train(hyper(method, 0.02, 0.9, 0.99, bias_correction=1), 7, SMALL, tokens=TEXT)
    assert language._train._cache_size() == before


def test_divergence_is_returned():
    runs = train(hyper("sgd", np.array([0.1, 1e30])), 0, SMALL, tokens=TEXT)
    assert np.isfinite(runs.loss[0]) and not runs.loss[1] < 100


def test_it_learns():
    pattern = np.tile([1, 2, 3, 4, 5, 6, 7], 100)
    found = train(hyper("adam", 0.03), 0, SMALL._replace(steps=100, batch=8), tokens=pattern)
    assert found.losses[0] > math.log(11) - 0.5 and found.loss < 0.1


def test_hyper_of_a_name():
    for method, (kind, first, second) in language.METHODS.items():
        made = hyper(method, 0.1, 0.7, 0.6)
        assert language.DENOMINATORS[made.denominator] == kind
        assert made.b1 == (0.7 if first else 0.0)
        assert made.b2 == (0.6 if second else made.b1)


# --- bad input ----------------------------------------------------------------------------------

GOOD = hyper("adam", 0.01)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: hyper("adamw", 0.1), ValueError, "method: got 'adamw'"),
        (lambda: train((0.1, 2), 0), TypeError, "hyper: got"),
        (lambda: train(GOOD._replace(b1=1.0), 0), ValueError, r"hyper.b1: got 1.0, in \[0, 1\)"),
        (lambda: train(GOOD._replace(b2=[0.9, -0.1]), 0), ValueError, "hyper.b2: got -0.1"),
        (lambda: train(GOOD._replace(denominator=4), 0), ValueError, "hyper.denominator: got 4"),
        (lambda: train(GOOD._replace(learning_rate=-1), 0), ValueError, "learning_rate: got -1"),
        (lambda: train(GOOD._replace(learning_rate=np.nan), 0), ValueError, "learning_rate"),
        (lambda: train(GOOD._replace(bias_correction=2), 0), ValueError, "bias_correction: got 2"),
        (lambda: train(GOOD, 0.5), TypeError, "seed: got"),
        (lambda: train(GOOD, -1), ValueError, "seed: got -1"),
        (lambda: train(hyper("sgd", [0.1, 0.2]), [1, 2, 3]), ValueError, "hyper, seed: got shapes"),
        (lambda: train(hyper("sgd", np.ones((2, 2))), 0), ValueError, "hyper, seed: got shapes"),
        (lambda: train(GOOD, 0, Config(width=33)), ValueError, "config.width: got 33"),
        (lambda: train(GOOD, 0, Config(steps=0)), ValueError, "config.steps: got 0"),
        (lambda: train(GOOD, 0, Config(batch=2.5)), TypeError, "config.batch: got 2.5"),
        (lambda: train(GOOD, 0, Config(warmup=1.0)), ValueError, "config.warmup: got 1.0"),
        (lambda: train(GOOD, 0, Config(clip=0.0)), ValueError, "config.clip: got 0.0"),
        (lambda: train(GOOD, 0, {"batch": 3}), TypeError, "config: got"),
        (lambda: train(GOOD, 0, way="pmap"), ValueError, "way: got 'pmap'"),
        (lambda: train(GOOD, 0, tokens=[1, 2]), ValueError, "tokens: got 2, at least 170"),
        (lambda: train(GOOD, 0, tokens=np.full(400, 512)), ValueError, "from 512 to 512"),
        (lambda: train(GOOD, 0, tokens=np.ones(400)), TypeError, "tokens: got float64"),
        (lambda: language.tokenise("", 5), TypeError, "text: got ''"),
        (lambda: language.tokenise("a b", 1), ValueError, "vocabulary: got 1"),
        (lambda: language.logits(language.init(jax.random.key(0), SMALL), [1, 2]), ValueError,
         "tokens: got"),
        (lambda: language.logits(language.init(jax.random.key(0), SMALL), np.ones((1, 6), int)),
         ValueError, "tokens: got"),
        (lambda: language.loss(language.init(jax.random.key(0), SMALL), [[1, 2]], [[1]]),
         ValueError, "targets: got"),
    ],
)  # fmt: skip
def test_bad_input(call, error, says):
    with pytest.raises(error, match=says):
        call()
