"""The training of the Adam chapter's language model in NumPy, its gradient written out by hand.

Weights and windows are drawn otherwise than by the library, so that losses agree up to what a seed
makes of them.
"""

import collections
import functools
import lzma
import math
import pathlib
import re

import numpy as np

FILE = pathlib.Path(__file__).parents[2] / "lib/optdyn/king_james_bible.txt.xz"
VOCABULARY, WIDTH, HEADS, CONTEXT = 512, 32, 2, 16
SHAPES = {
    "words": (VOCABULARY, WIDTH),
    "positions": (CONTEXT, WIDTH),
    "norm_1": (WIDTH,),
    "attend": (WIDTH, 3 * WIDTH),
    "attended": (WIDTH, WIDTH),
    "norm_2": (WIDTH,),
    "up": (WIDTH, 4 * WIDTH),
    "down": (4 * WIDTH, WIDTH),
    "norm": (WIDTH,),
    "head": (WIDTH, VOCABULARY),
}
SIZE = sum(map(math.prod, SHAPES.values()))
LATER = np.triu(np.full((CONTEXT, CONTEXT), -np.inf, np.float32), 1)
ROOT = math.sqrt(2 / math.pi)

# --- the text ---------------------------------------------------------------------------


@functools.cache
def texts():
    """To train and to validate on: every tenth block of about 1,000 tokens is held out."""
    found = re.findall(r"[a-z]+|[^a-z\s]", lzma.decompress(FILE.read_bytes()).decode().lower())
    counts = collections.Counter(found)
    frequent = sorted(counts, key=lambda word: (-counts[word], word))[: VOCABULARY - 1]
    number = {word: i + 1 for i, word in enumerate(frequent)}
    tokens = np.array([number.get(word, 0) for word in found])
    blocks = 10 * round(len(tokens) / 10_000)
    size, longer = divmod(len(tokens), blocks)
    starts = np.arange(1, blocks) * size + np.minimum(np.arange(1, blocks), longer)
    block = np.searchsorted(starts, np.arange(len(tokens)), side="right")
    return tokens[block % 10 < 9], tokens[block % 10 == 9]


def windows(text, places):
    return text[places[:, None] + np.arange(CONTEXT + 1)]


# --- the model --------------------------------------------------------------------------


def views(flat):
    """The weights by name, as parts of one vector."""
    found, at = {}, 0
    for name, shape in SHAPES.items():
        found[name] = flat[at : at + math.prod(shape)].reshape(shape)
        at += math.prod(shape)
    return found


def first_weights(rng):
    flat = 0.1 * rng.standard_normal(SIZE, np.float32)
    for name, part in views(flat).items():
        if name.startswith("norm"):
            part[:] = 1
        elif name in ("attended", "down"):
            part /= math.sqrt(2)
    return flat


def normed(x):
    """x over the root of its mean square, and one over that root."""
    inverse = 1 / np.sqrt(np.mean(x * x, axis=1, keepdims=True) + 1e-6)
    return x * inverse, inverse


def back_normed(slope, unit, inverse):
    return inverse * (slope - unit * np.mean(slope * unit, axis=1, keepdims=True))


def softmax(x):
    x = np.exp(x - x.max(axis=-1, keepdims=True))
    return x / x.sum(axis=-1, keepdims=True)


def forward(w, tokens):
    """Scores of the next word, (places, vocabulary), and what the gradient needs."""
    n, t = tokens.shape
    x = (w["words"][tokens] + w["positions"][:t]).reshape(n * t, WIDTH)
    u1, i1 = normed(x)
    q, k, v = (  # (batch, head, time, size) each
        ((u1 * w["norm_1"]) @ w["attend"]).reshape(n, t, 3, HEADS, -1).transpose(2, 0, 3, 1, 4)
    )
    p = softmax(q @ k.swapaxes(2, 3) / math.sqrt(WIDTH // HEADS) + LATER[:t, :t])
    mixed = (p @ v).swapaxes(1, 2).reshape(n * t, WIDTH)
    x = x + mixed @ w["attended"]
    u2, i2 = normed(x)
    a = (u2 * w["norm_2"]) @ w["up"]
    bent = np.tanh(ROOT * (a + 0.044715 * a * a * a))
    active = a * (1 + bent) / 2
    u3, i3 = normed(x + active @ w["down"])
    kept = u1, i1, q, k, v, p, mixed, u2, i2, a, bent, active, u3, i3
    return (u3 * w["norm"]) @ w["head"], kept


def loss(flat, sequences):
    scores = forward(views(flat), sequences[:, :-1])[0]
    right = scores[np.arange(len(scores)), sequences[:, 1:].ravel()]
    top = scores.max(axis=1)
    return float(np.mean(top + np.log(np.exp(scores - top[:, None]).sum(axis=1)) - right))


def gradient(flat, sequences):
    """That of the loss, from the last layer back to the first."""
    w, tokens, targets = views(flat), sequences[:, :-1], sequences[:, 1:].ravel()
    scores, kept = forward(w, tokens)
    u1, i1, q, k, v, p, mixed, u2, i2, a, bent, active, u3, i3 = kept
    (n, t), found = tokens.shape, np.zeros_like(flat)
    g = views(found)

    d = softmax(scores)
    d[np.arange(n * t), targets] -= 1
    d /= n * t
    g["head"][:] = (u3 * w["norm"]).T @ d
    d = d @ w["head"].T
    g["norm"][:] = (d * u3).sum(axis=0)
    dx = back_normed(d * w["norm"], u3, i3)

    g["down"][:] = active.T @ dx
    bend = a * (1 - bent * bent) * ROOT * (1 + 3 * 0.044715 * a * a)
    d = dx @ w["down"].T * (1 + bent + bend) / 2
    g["up"][:] = (u2 * w["norm_2"]).T @ d
    d = d @ w["up"].T
    g["norm_2"][:] = (d * u2).sum(axis=0)
    dx = dx + back_normed(d * w["norm_2"], u2, i2)

    g["attended"][:] = mixed.T @ dx
    d = (dx @ w["attended"].T).reshape(n, t, HEADS, -1).swapaxes(1, 2)
    dp = d @ v.swapaxes(2, 3)
    ds = p * (dp - (dp * p).sum(axis=-1, keepdims=True)) / math.sqrt(WIDTH // HEADS)
    parts = np.stack([ds @ k, ds.swapaxes(2, 3) @ q, p.swapaxes(2, 3) @ d])
    d = parts.transpose(1, 3, 0, 2, 4).reshape(n * t, 3 * WIDTH)
    g["attend"][:] = (u1 * w["norm_1"]).T @ d
    d = d @ w["attend"].T
    g["norm_1"][:] = (d * u1).sum(axis=0)
    dx = dx + back_normed(d * w["norm_1"], u1, i1)

    np.add.at(g["words"], tokens.ravel(), dx)
    g["positions"][:t] = dx.reshape(n, t, WIDTH).sum(axis=0)
    return found


# --- the training -----------------------------------------------------------------------


def share(n, steps):
    """Of the largest learning rate: a tenth of the steps up, then half a cosine."""
    rise = round(0.1 * steps)
    return n / rise if n < rise else (1 + math.cos(math.pi * (n - rise) / (steps - rise))) / 2


def train(method, learning_rate, b1, b2, *, batch, steps=300, seed=0):
    """The loss on 256 equally spaced windows of the text held out, in nats."""
    rng = np.random.default_rng(seed)
    training, held_out = texts()
    w = first_weights(rng)
    b1 = b1 if method in ("sgd_momentum", "signum", "adam") else 0
    m, v = np.zeros_like(w), np.zeros_like(w)
    for n in range(steps):
        g = gradient(w, windows(training, rng.integers(len(training) - CONTEXT, size=batch)))
        g /= max(1, math.sqrt(g @ g))
        m = b1 * m + (1 - b1) * g
        if method in ("adam", "rmsprop"):
            v = b2 * v + (1 - b2) * g * g
            d = m / (np.sqrt(v) + 1e-8)
        else:
            d = {"sgd": m, "sgd_momentum": m, "signum": np.sign(m), "sign_sgd": np.sign(m)}[method]
        w -= learning_rate * share(n, steps) * d
    places = np.linspace(0, len(held_out) - CONTEXT - 1, 256).astype(int)
    return loss(w, windows(held_out, places))


AGAIN = {}  # the notebooks' modules name what they measure with this one
