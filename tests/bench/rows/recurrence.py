"""A linear RNN over a long sequence: the library's three ways, and loops over time.

x_n = a x_{n-1} + u_n, y_n = Re sum_s b_s x_{n,s}. The sequences lie as each contestant runs
through them fastest: time first, but for SciPy. PyTorch makes a sixteenth of the steps. Outputs
are compared with SciPy's, which runs the recurrence mode by mode, or with NumPy's where it is not
there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from contest import Bound, Contestant, Machine, Row

PART = 16  # PyTorch makes one step in so many
WITHIN = 1e-12  # of the largest output

Run = Callable[[], dict[str, np.ndarray]]


def inputs(length: int, poles: int, batch: int, lag: int) -> tuple[np.ndarray, ...]:
    """log a of a comb of poles, the readout (poles,), and the sequences (length, batch)."""
    rng = np.random.default_rng(0)
    phase = np.pi * (np.arange(poles) - (poles - 1) / 2) / lag
    readout = rng.normal(size=(poles, 2)) @ [1, 1j]
    return -1 / lag + 1j * phase, readout, rng.normal(size=(length, batch))


def ours(method: str) -> Callable[..., Run]:
    def prepare(**task: int) -> Run:
        import jax

        from optdyn import filters, recurrence

        log, readout, sequences = inputs(**task)
        poles = filters.Poles(-log.real, log.imag)
        u = jax.device_put(sequences)
        return lambda: {
            "outputs": np.asarray(recurrence.linear_rnn(poles, readout, u, method=method))
        }

    return prepare


def with_scipy(**task: int) -> Run:
    from scipy.signal import lfilter

    log, readout, sequences = inputs(**task)
    rows = np.ascontiguousarray(sequences.T)

    def run() -> dict[str, np.ndarray]:
        outputs = np.zeros_like(rows)
        for a, b in zip(np.exp(log), readout, strict=True):
            outputs += lfilter([b], [1, -a], rows).real
        return {"outputs": outputs.T}

    return run


def with_numpy(**task: int) -> Run:
    log, readout, sequences = inputs(**task)
    a = np.exp(log)[:, None]

    def run() -> dict[str, np.ndarray]:
        x = np.zeros((len(a), sequences.shape[1]), complex)
        outputs = np.empty_like(sequences)
        for n, u in enumerate(sequences):
            x *= a
            x += u
            outputs[n] = (readout @ x).real
        return {"outputs": outputs}

    return run


def with_numba(**task: int) -> Run:
    import numba

    @numba.njit(fastmath=True)
    def loop(a: Any, b: Any, c: Any, d: Any, sequences: Any, outputs: Any) -> None:
        """Poles a + i b innermost, readout c + i d."""
        length, batch = sequences.shape
        x, y = np.zeros((batch, len(a))), np.zeros((batch, len(a)))
        for n in range(length):
            for k in range(batch):
                total = 0.0
                for s in range(len(a)):
                    old = x[k, s]
                    x[k, s] = a[s] * old - b[s] * y[k, s] + sequences[n, k]
                    y[k, s] = a[s] * y[k, s] + b[s] * old
                    total += c[s] * x[k, s] - d[s] * y[k, s]
                outputs[n, k] = total

    log, readout, sequences = inputs(**task)
    a = np.exp(log)
    parts = [np.ascontiguousarray(part) for part in (a.real, a.imag, readout.real, readout.imag)]

    def run() -> dict[str, np.ndarray]:
        outputs = np.empty_like(sequences)
        loop(*parts, sequences, outputs)
        return {"outputs": outputs}

    return run


def with_torch(**task: int) -> Run:
    import torch

    torch.set_num_threads(1)
    log, readout, sequences = inputs(**task)
    a, b = torch.from_numpy(np.exp(log))[:, None], torch.from_numpy(readout)
    u = torch.from_numpy(sequences[: len(sequences) // PART])

    def run() -> dict[str, np.ndarray]:
        with torch.inference_mode():
            x = torch.zeros((len(a), u.shape[1]), dtype=torch.complex128)
            outputs = []
            for now in u:
                x = a * x + now
                outputs.append((b @ x).real)
            return {"outputs": torch.stack(outputs).numpy()}

    return run


def compare(answers: dict[str, dict[str, np.ndarray]], task: dict[str, Any]) -> list[str]:
    complaints = []
    expected = answers.get("SciPy, lfilter", answers["NumPy"])["outputs"]
    for name, found in answers.items():
        off = np.abs(found["outputs"] - expected[: len(found["outputs"])]).max()
        if not off < WITHIN * np.abs(expected).max():
            complaints.append(f"{name}: off by {off:.1e}, the largest is {np.abs(expected).max()}")
    return complaints


def bound(task: dict[str, Any], machine: Machine) -> Bound:
    size = 8 * task["length"] * task["batch"]
    return Bound(
        2 * size / machine.bytes,
        f"The sequences, {size / 1e6:.2g} MB, are read and the outputs written once, at "
        f"{machine.bytes:.2g} bytes a second; the operations depend on the way, and are not "
        f"counted.",
    )


ROW = Row(
    title="Linear RNN",
    topic="shiftk",
    ensemble=False,
    size="{poles} poles, {batch} sequences of {length:,} steps, float64",
    tasks={
        "whole": {"length": 65_536, "poles": 32, "batch": 8, "lag": 1024},
        "quick": {"length": 2_048, "poles": 32, "batch": 8, "lag": 1024},
    },
    contestants={
        "optdyn": Contestant(ours("scan"), ours=True),
        "optdyn, associative": Contestant(ours("associative")),
        "optdyn, fft": Contestant(ours("fft")),
        "SciPy, lfilter": Contestant(with_scipy, "peers"),
        "NumPy": Contestant(with_numpy),
        "numba, one loop": Contestant(with_numba, "peers"),
        "PyTorch, step by step": Contestant(with_torch, "torch", share=1 / PART),
    },
    compare=compare,
    bound=bound,
    why=(
        "Both have about the same number of operations; numba's compiled loop keeps its states in "
        "the processor's first cache, the library's products of small matrices go through memory."
    ),
)
