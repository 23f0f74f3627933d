"""Train the tiny language model under every optimiser; optdyn/language_sweep.json keeps it.

    make sweep                     all experiments, on this machine
    python make.py sweep --anew    forget what was done before

An experiment is one or more parts, each of one batch size and one number of steps: one compiled
program. A part keeps a checkpoint in .make/language_sweep, and the JSON file is replaced, whole,
after every part; so this may be killed at any moment, and the same command goes on. On a CPU the
runs go one after another, which is the fastest there (make bench measures it); on a GPU or TPU
many at once, and more of them: three seeds in every grid, and a larger model.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import time
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from optdyn import language
from optdyn.language import Config
from optdyn.optimizers import DENOMINATORS
from optdyn.sweep import sweep

ROOT = Path(__file__).resolve().parents[1]
OUTPUT = language.STORED
CHECKPOINTS = ROOT / ".make" / "language_sweep"
AT_ONCE = 64  # runs, where there are more than a CPU's cores


class Run(NamedTuple):
    """One training run: an optimiser with its numbers, and the seed."""

    method: str
    b1: float
    b2: float
    bias_correction: bool
    learning_rate: float
    seed: int


class Part(NamedTuple):
    """Runs of one compiled program; constant: a learning rate without warm-up and cosine."""

    experiment: str
    config: Config
    runs: list[Run]
    constant: bool = False

    @property
    def name(self) -> str:
        return f"{self.experiment}, {self.config.batch} x {self.config.steps}"


def runs(
    method: str,
    rates: list[float],
    *,
    b1: float = 0.0,
    b2: float = 0.0,
    bias_correction: bool = False,
    seeds: int = 3,
) -> list[Run]:
    """A method at several learning rates, with the same seeds each."""
    _, first, second = language.METHODS[method]
    b1 = b1 if first else 0.0
    b2 = b2 if second else b1 if method == "adam_equal" else 0.0
    return [
        Run(method, b1, b2, bias_correction, *rest) for rest in product(rates, range(1, seeds + 1))
    ]


def plan(large: bool) -> list[Part]:
    """All parts, what the book quotes first; large: what a GPU does beyond."""
    seeds = 3 if large else 1
    parts = [
        Part("headline", Config(batch=128), [
            *runs("sgd_momentum", [2.0, 2.8, 4.0, 5.6], b1=0.8),
            *runs("signum", [0.004, 0.0056, 0.008, 0.0113], b1=0.8),
            *runs("rmsprop", [0.008, 0.0113, 0.016, 0.0226], b2=0.9),
            *runs("adam_equal", [0.0113, 0.016, 0.0226, 0.032], b1=0.8),
            *runs("adam", [0.0113, 0.016, 0.0226, 0.032], b1=0.8, b2=0.95),
        ]),
        Part("batch", Config(batch=8), [
            *runs("sgd_momentum", [0.5, 1.0, 2.0, 4.0], b1=0.8),
            *runs("signum", [0.002, 0.004, 0.008], b1=0.8),
            *runs("rmsprop", [0.002, 0.004, 0.008, 0.016], b2=0.9),
            *runs("adam_equal", [0.004, 0.008, 0.016, 0.032], b1=0.8),
            *runs("adam", [0.004, 0.008, 0.016, 0.032], b1=0.8, b2=0.95),
        ]),
        Part("optimisers", Config(batch=32), [
            *runs("sgd_momentum", [2.0, 4.0, 8.0], b1=0.8),
            *runs("signum", [0.002, 0.004, 0.008, 0.016], b1=0.8),
            *runs("adam_equal", [0.008, 0.016, 0.032], b1=0.8),
            *runs("adam", [0.008, 0.016, 0.032], b1=0.8, b2=0.95),
            *runs("rmsprop", [0.008, 0.016, 0.032], b2=0.9),
            *runs("sgd", [1.0, 2.0, 4.0]),
            *runs("sign_sgd", [0.004, 0.008, 0.016, 0.032]),
            *runs("signum", [0.001, 0.002, 0.004, 0.008], b1=0.9),
            *runs("adam_equal", [0.004, 0.008, 0.016], b1=0.9),
            *runs("adam_equal", [0.004, 0.008, 0.016], b1=0.9, bias_correction=True),
            *runs("adam", [0.004, 0.008, 0.016], b1=0.9, b2=0.999, bias_correction=True),
        ]),
    ]  # fmt: skip
    rates = [0.001, 0.002, 0.004, 0.008, 0.016]
    corrected = [
        run
        for (b1, b2), corrected in product(
            [(0.9, 0.9), (0.95, 0.95), (0.9, 0.95), (0.9, 0.999)], [False, True]
        )
        for run in runs("adam", rates, b1=b1, b2=b2, bias_correction=corrected, seeds=2)
    ]
    parts += [
        Part("bias_correction", Config(batch=32), corrected),
        Part("bias_correction_constant", Config(batch=32), corrected, constant=True),
        Part("grid", Config(batch=32), [
            run
            for b1, b2 in product([0.0, 0.5, 0.8, 0.9, 0.95],
                                  [0.0, 0.5, 0.8, 0.9, 0.95, 0.99, 0.999])
            for run in runs("adam", [0.004, 0.008, 0.016, 0.032], b1=b1, b2=b2, seeds=seeds)
        ]),
        Part("grid", Config(batch=128), [
            run
            for b1, b2 in product([0.0, 0.5, 0.8, 0.9, 0.95], [0.5, 0.8, 0.9, 0.95, 0.99])
            for run in runs("adam", [0.008, 0.016], b1=b1, b2=b2, seeds=seeds)
        ]),
    ]  # fmt: skip
    parts += [Part("tokens", Config(batch=b, steps=n), equal_tokens(b)) for b, n in TOKENS]
    parts += [
        Part("batch", Config(batch=512), [
            *runs("sgd_momentum", [2.8, 4.0, 5.6], b1=0.8, seeds=seeds),
            *runs("signum", [0.0056, 0.008, 0.0113], b1=0.8, seeds=seeds),
            *runs("adam_equal", [0.016, 0.0226, 0.032], b1=0.8, seeds=seeds),
        ]),
    ]  # fmt: skip
    parts += [
        Part("longer", Config(batch=64, steps=1200), [
            *runs("sgd_momentum", [2.0, 4.0, 8.0], b1=0.9, seeds=seeds),
            *runs("sign_sgd", [0.004, 0.008, 0.016], seeds=seeds),
            *runs("signum", [0.002, 0.004, 0.008], b1=0.9, seeds=seeds),
            *runs("rmsprop", [0.004, 0.008, 0.016], b2=0.9, seeds=seeds),
            *runs("adam_equal", [0.004, 0.008, 0.016], b1=0.8, seeds=seeds),
            *runs("adam_equal", [0.004, 0.008, 0.016], b1=0.9, seeds=seeds),
            *runs("adam", [0.004, 0.008, 0.016], b1=0.9, b2=0.95, seeds=seeds),
        ]),
    ]  # fmt: skip
    if large:
        wider = Config(batch=256, steps=3000, width=128, heads=4, layers=2, context=64)
        parts += [
            Part("larger", wider, [
                *runs("sgd_momentum", [1.0, 2.0, 4.0, 8.0], b1=0.9),
                *runs("signum", [0.001, 0.002, 0.004, 0.008], b1=0.9),
                *runs("rmsprop", [0.002, 0.004, 0.008, 0.016], b2=0.95),
                *runs("adam_equal", [0.004, 0.008, 0.016, 0.032], b1=0.9),
                *runs("adam", [0.004, 0.008, 0.016, 0.032], b1=0.9, b2=0.95),
            ]),
        ]  # fmt: skip
    return parts


TOKENS = [(128, 75), (32, 300), (8, 1200), (2, 4800)]  # batch, steps: 9,600 sequences


def equal_tokens(batch: int) -> list[Run]:
    """The optimisers compared at equal numbers of tokens: memories that are long in steps if many
    are made, and learning rates about the root of the batch size.
    """
    memories = {128: (0.5, 0.8), 2: (0.9, 0.95)}.get(batch, (0.8, 0.9))
    lowest = {128: 0.008, 32: 0.004, 8: 0.002, 2: 0.001}[batch]
    rates = [lowest, 2 * lowest, 4 * lowest, 8 * lowest]
    found = []
    for b1 in (0.0, 0.8) if batch == 128 else (0.8, 0.9):
        found += runs("sgd_momentum", [0.5, 1.0, 2.0, 4.0, 8.0], b1=b1, seeds=2)
    for b1 in memories:
        found += runs("signum", [rate / 2 for rate in rates], b1=b1, seeds=2)
    for b1 in memories:
        found += runs("adam_equal", rates, b1=b1, seeds=2)
    for b1, b2 in ((0.8, 0.95), (0.9, 0.99)):
        found += runs("adam", rates, b1=b1, b2=b2, seeds=2)
    return found


def quick(parts: list[Part]) -> list[Part]:
    """The same in small, for the test: two parts of six steps."""
    return [
        Part(part.experiment, Config(batch=4, steps=6 + i), part.runs[::12], part.constant)
        for i, part in enumerate(parts[:2])
    ]


def train(part: Part, checkpoint: Path) -> list[float]:
    """The validation losses of a part, from its checkpoint as far as it goes."""
    kinds = [DENOMINATORS.index(language.METHODS[run.method][0]) for run in part.runs]

    def one(**point: Any) -> Any:
        seed = point.pop("seed")
        hyper = language.Hyper(**point, constant=part.constant)
        return language.train(hyper, seed, part.config).loss

    points = {
        "denominator": np.array(kinds, np.int32),
        "seed": np.array([run.seed for run in part.runs], np.int32),
        "bias_correction": np.array([run.bias_correction for run in part.runs], np.int32),
    }
    for name in ("learning_rate", "b1", "b2"):
        points[name] = np.array([getattr(run, name) for run in part.runs], np.float32)
    alone = jax.default_backend() == "cpu"
    if alone:  # inside vmap too: a batch axis of one costs half as much again
        names = sorted(points)
        mapped = jax.custom_batching.sequential_vmap(
            lambda *values: one(**dict(zip(names, values, strict=True)))
        )
        chosen = lambda **point: mapped(*(point[name] for name in names))  # noqa: E731
    else:
        chosen = one
    # Of the platform alone: however many devices there are, the checkpoint is the same.
    lanes = 1 if alone else AT_ONCE
    found = sweep(chosen, points, lanes=lanes, checkpoint=checkpoint, title=part.name)
    return [float(x) for x in found]


def entry(part: Part, run: Run, loss: float) -> dict[str, Any]:
    """A run as the JSON file has it; null: diverged."""
    kept = {"experiment": part.experiment} | run._asdict()
    seed = kept.pop("seed")
    sizes = {"batch": part.config.batch, "steps": part.config.steps, "seed": seed}
    return kept | sizes | {"loss": round(loss, 4) if np.isfinite(loss) else None}


def write(path: Path, head: dict[str, Any], found: list[dict[str, Any]]) -> None:
    """Replace the file, whole or not at all; a run is a line."""
    lines = ",\n".join(f"  {json.dumps(run)}" for run in found)
    text = json.dumps(head, indent=1)[:-2] + f',\n "runs": [\n{lines}\n ]\n}}\n'
    new = path.with_name(path.name + ".tmp")
    with open(new, "w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, path)


def processor() -> str:
    """The name of the machine's processor, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        named = next(line for line in lines if line.startswith("model name"))
        return named.split(":", 1)[1].strip()
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def main() -> int:
    top = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    top.add_argument("--quick", action="store_true", help="two tiny parts, for the test")
    top.add_argument("--anew", action="store_true", help="forget what was done before")
    top.add_argument("--output", type=Path, default=OUTPUT, help="the JSON file")
    top.add_argument("--checkpoints", type=Path, default=CHECKPOINTS, help="a folder")
    chosen = top.parse_args()
    device = jax.devices()[0]
    large = device.platform != "cpu"
    parts = plan(large)
    parts = quick(parts) if chosen.quick else parts
    if chosen.anew:
        shutil.rmtree(chosen.checkpoints, ignore_errors=True)
    chosen.checkpoints.mkdir(parents=True, exist_ok=True)
    old: dict[str, float] = {}
    if chosen.output.exists() and any(chosen.checkpoints.iterdir()):
        old = json.loads(chosen.output.read_text("utf-8"))["seconds"]
    head: dict[str, Any] = {
        "settings": {
            "config": Config()._asdict(),
            "changed": {p.name: changed(p.config) for p in parts},
            "text": language.SHA256,
            "at_once": AT_ONCE if large else 1,
        },
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("jax", "jaxlib", "numpy", "optax")},
        },
        "device": f"{device.platform}, {device.device_kind if large else processor()}",
        "seconds": {},
    }
    total = sum(len(part.runs) for part in parts)
    print(f"{len(parts)} parts, {total} runs, {head['device']}", flush=True)
    found: list[dict[str, Any]] = []
    for i, part in enumerate(parts):
        path = chosen.checkpoints / f"{part.name.replace(', ', '-').replace(' ', '')}.npz"
        began, resumed = time.monotonic(), path.exists()
        try:
            losses = train(part, path)
        except ValueError as problem:  # of a checkpoint that the program of today did not write
            print(f"{problem}\nOr start over: make sweep ANEW=1", file=sys.stderr)
            return 1
        took = time.monotonic() - began
        # What a killed run spent after its last part is not known.
        head["seconds"][part.name] = round(took, 1)
        if resumed and part.name in old:
            head["seconds"][part.name] = old[part.name]
        found += [entry(part, run, loss) for run, loss in zip(part.runs, losses, strict=True)]
        write(chosen.output, head, found)
        print(f"{i + 1}/{len(parts)}  {part.name}: {len(losses)} runs, {took:.0f} s", flush=True)
    print(f"Written: {chosen.output}")
    return 0


def changed(config: Config) -> dict[str, Any]:
    """The fields that are not the default."""
    default = Config()._asdict()
    return {name: x for name, x in config._asdict().items() if x != default[name]}


if __name__ == "__main__":
    raise SystemExit(main())
