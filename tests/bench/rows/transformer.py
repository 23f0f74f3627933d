"""The first steps of training the tiny language model, and the same for several learning rates.

All start from the weights and see the windows that `optdyn.language.train` draws from its seed:
those without JAX draw them in NumPy by the same generator, before the clock starts; ours draws them
while it runs. NumPy's gradient is that of tests/again/tiny_transformer.py, written out by hand, and
its loss is computed at the last step only. Losses are compared.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from contest import Bound, Contestant, Machine, Row

from rows.race import bits, threefry

VOCABULARY, WIDTH, HEADS, CONTEXT, SCALE = 512, 32, 2, 16, 0.1
B1, B2, EPS, SEED = 0.8, 0.95, 1e-8, 0
WITHIN = 1e-3  # nats; the losses fall from 6.3 to about 5

Run = Callable[[], dict[str, np.ndarray]]


def again() -> Any:
    """The model in NumPy, and its text."""
    sys.path.append(str(Path(__file__).parents[2] / "again"))
    import tiny_transformer

    return tiny_transformer


def rates(runs: int) -> np.ndarray:
    return np.geomspace(0.01, 0.03, runs).astype(np.float32)


def shares(steps: int) -> np.ndarray:
    """Of the largest learning rate: a tenth of the steps up, then half a cosine."""
    n, rise = np.arange(steps), round(0.1 * steps)
    falling = (1 + np.cos(np.pi * (n - rise) / (steps - rise))) / 2
    return np.where(n < rise, n / max(rise, 1), falling).astype(np.float32)


def drawn(steps: int, batch: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """First weights by name, and the windows (steps, batch, CONTEXT + 1), as the library's."""
    from scipy.special import erfinv

    first, places = threefry(np.array([0, SEED], np.uint32), 2).T
    model = again()
    order = ("attend", "attended", "up", "down", "words", "positions", "head")
    sizes = [int(np.prod(model.SHAPES[name])) for name in order]
    heights = (bits(first, sum(sizes)) >> 9 | 0x3F800000).view(np.float32) - np.float32(1)
    least = np.nextafter(np.float32(-1), np.float32(0))
    heights = np.maximum(heights * (np.float32(1) - least) + least, least)
    normal = (np.sqrt(2) * erfinv(heights.astype(float))).astype(np.float32)
    weights = {
        name: np.float32(SCALE / np.sqrt(2) ** (name in ("attended", "down"))) * part
        for name, part in zip(order, np.split(normal, np.cumsum(sizes)[:-1]), strict=True)
    }
    weights |= {name: np.ones(WIDTH, np.float32) for name in ("norm_1", "norm_2", "norm")}
    weights = {name: weights[name].reshape(shape) for name, shape in model.SHAPES.items()}

    text, _ = model.texts()
    span = np.uint32(len(text) - CONTEXT)
    high, low = (bits(key, steps, batch) % span for key in threefry(places, 2).T)
    factor = np.array([2**16], np.uint32) % span  # its square overflows, as in jax.random.randint
    starts = (high * (factor * factor % span) + low) % span
    return weights, text[starts[..., None].astype(int) + np.arange(CONTEXT + 1)]


def ours(steps: int, batch: int, runs: int) -> Run:
    from optdyn import language

    config = language.Config(steps=steps, batch=batch, validation=1)
    rate = rates(runs) if runs > 1 else rates(1)[0]
    numbers = language.hyper("adam", rate, B1, B2, bias_correction=1)

    def run() -> dict[str, np.ndarray]:
        losses = np.asarray(language.train(numbers, SEED, config).losses)
        return {"losses": losses.reshape(runs, steps)}

    return run


def with_optax(steps: int, batch: int, runs: int) -> Run:
    """A Python loop of compiled steps over the tree of weights, one run after another."""
    import jax
    import jax.numpy as jnp
    import optax

    from optdyn import language

    parts, windows = drawn(steps, batch)
    block = {k: parts[k] for k in ("attended", "up", "down", "norm_1", "norm_2")}
    block["attend"] = parts["attend"].reshape(WIDTH, 3, HEADS, -1)
    outer = {k: parts[k] for k in ("words", "positions", "head", "norm")}
    start = jax.tree.map(jnp.asarray, {**outer, "blocks": [block]})
    sequences = jnp.asarray(windows, jnp.int32)
    rule = optax.chain(optax.clip_by_global_norm(1.0), optax.scale_by_adam(B1, B2, EPS))

    @jax.jit
    def step(weights: Any, state: Any, words: Any, rate: Any) -> Any:
        value, slope = jax.value_and_grad(language.loss)(weights, words[:, :-1], words[:, 1:])
        updates, state = rule.update(slope, state, weights)
        updates = jax.tree.map(lambda update: -rate * update, updates)
        return optax.apply_updates(weights, updates), state, value

    factors = shares(steps)

    def run() -> dict[str, np.ndarray]:
        losses = []
        for rate in rates(runs):
            weights, state = start, rule.init(start)
            for words, factor in zip(sequences, factors, strict=True):
                weights, state, value = step(weights, state, words, rate * factor)
                losses.append(value)
        return {"losses": np.stack(losses).reshape(runs, steps)}

    return run


def with_numpy(steps: int, batch: int, runs: int) -> Run:
    model, (weights, windows) = again(), drawn(steps, batch)
    start = np.concatenate([part.ravel() for part in weights.values()])
    factors = shares(steps)

    def run() -> dict[str, np.ndarray]:
        losses = np.full((runs, steps), np.nan, np.float32)
        for k, rate in enumerate(rates(runs)):
            w, m, v = start.copy(), np.zeros_like(start), np.zeros_like(start)
            for n, sequences in enumerate(windows):
                g = model.gradient(w, sequences)
                g /= max(1, np.sqrt(g @ g))
                m = B1 * m + (1 - B1) * g
                v = B2 * v + (1 - B2) * g * g
                if n == steps - 1:
                    losses[k, n] = model.loss(w, sequences)
                root = np.sqrt(v / np.float32(1 - B2 ** (n + 1))) + np.float32(EPS)
                w -= rate * factors[n] / np.float32(1 - B1 ** (n + 1)) * m / root
        return {"losses": losses}

    return run


def with_torch(steps: int, batch: int, runs: int) -> Run:
    import torch
    from torch.nn import functional

    torch.set_num_threads(1)
    weights, windows = drawn(steps, batch)
    start = torch.from_numpy(np.concatenate([part.ravel() for part in weights.values()]))
    names, shapes = list(weights), [part.shape for part in weights.values()]
    sizes = [part.size for part in weights.values()]
    sequences, factors = torch.from_numpy(windows), shares(steps)

    def norm(x: Any, gain: Any) -> Any:
        return functional.rms_norm(x, (WIDTH,), gain, 1e-6)

    def loss(flat: Any, words: Any) -> Any:
        parts = zip(names, flat.split(sizes), shapes, strict=True)
        w = {name: part.view(shape) for name, part, shape in parts}
        tokens, targets = words[:, :-1], words[:, 1:]
        x = functional.embedding(tokens, w["words"]) + w["positions"]
        both = (norm(x, w["norm_1"]) @ w["attend"]).view(batch, CONTEXT, 3, HEADS, -1)
        mixed = functional.scaled_dot_product_attention(
            *both.permute(2, 0, 3, 1, 4), is_causal=True
        )
        x = x + mixed.transpose(1, 2).reshape(batch, CONTEXT, WIDTH) @ w["attended"]
        inner = functional.gelu(norm(x, w["norm_2"]) @ w["up"], approximate="tanh")
        x = x + inner @ w["down"]
        scores = norm(x, w["norm"]) @ w["head"]
        return functional.cross_entropy(scores.view(-1, VOCABULARY), targets.reshape(-1))

    def run() -> dict[str, np.ndarray]:
        losses = []
        for rate in rates(runs):
            flat = start.clone().requires_grad_()
            adam = torch.optim.Adam([flat], float(rate), (B1, B2), EPS, fused=True)
            for words, factor in zip(sequences, factors, strict=True):
                adam.param_groups[0]["lr"] = float(rate * factor)
                adam.zero_grad()
                value = loss(flat, words)
                value.backward()
                torch.nn.utils.clip_grad_norm_([flat], 1.0)
                adam.step()
                losses.append(value.detach())
        return {"losses": torch.stack(losses).view(runs, steps).numpy()}

    return run


def compare(answers: dict[str, dict[str, np.ndarray]], task: dict[str, Any]) -> list[str]:
    complaints = []
    expected = answers["optdyn"]["losses"]
    if not (expected[:, -1] < expected[:, 0] - 0.3).all():
        complaints.append("optdyn: the losses do not fall")
    for name, found in answers.items():
        off = np.nanmax(np.abs(found["losses"] - expected))
        if not (off < WITHIN and np.isfinite(found["losses"][:, -1]).all()):
            complaints.append(f"{name}: losses off by {off:.1e}, {WITHIN} is allowed")
    return complaints


def bound(task: dict[str, Any], machine: Machine) -> Bound:
    weights = 4 * WIDTH**2 + 8 * WIDTH**2 + WIDTH * VOCABULARY
    flops = task["runs"] * task["steps"] * 6 * weights * task["batch"] * CONTEXT
    return Bound(
        flops / machine.flops32,
        f"A token is multiplied by {weights:,} weights on the way forward and twice on the way "
        f"back, {flops:.2g} operations in all, at {machine.flops32:.2g} a second; the attention, "
        f"the exponentials and Adam's step over the weights come on top.",
    )


CONTESTANTS = {
    "optdyn": Contestant(ours, ours=True),
    "optax, step by step": Contestant(with_optax),
    "NumPy, gradient by hand": Contestant(with_numpy),
    "PyTorch": Contestant(with_torch, "torch"),
}

ROW = Row(
    title="Training the tiny transformer",
    topic="adam",
    ensemble=False,
    size="one run, {steps} steps of {batch} sequences of 16 tokens, float32",
    tasks={
        "whole": {"steps": 30, "batch": 32, "runs": 1},
        "quick": {"steps": 10, "batch": 8, "runs": 1},
    },
    contestants=CONTESTANTS,
    compare=compare,
    bound=bound,
)
