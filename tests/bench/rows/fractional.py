"""Fractional Gaussian noise: many paths, by the library, two packages, and NumPy.

The packages compute in float64, so that is what ours is compared in; float32, which the chapter
uses, is a contestant of its own. NumPy once follows the textbook (Davies and Harte by the
transform of white noise, path after path) and once the library's own way (the coefficients drawn,
one transform, all paths at once). Everyone knows the covariance beforehand. Checked are the
variance and the covariance of neighbours.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from contest import Bound, Contestant, Machine, Row

HURST = 0.25
MOST = 6  # deviations of a mean of as many independent values

Run = Callable[[], dict[str, np.ndarray]]


def ours(dtype: str) -> Callable[..., Run]:
    def prepare(paths: int, n_steps: int) -> Run:
        import jax

        from optdyn import noise

        spectrum, key = noise.fgn_spectrum(n_steps, HURST), jax.random.key(1)

        def run() -> dict[str, np.ndarray]:
            drawn = noise.fractional_gaussian_noise(
                key, n_steps, spectrum=spectrum, shape=(paths,), dtype=dtype
            )
            return {"x": np.asarray(drawn).T}

        return run

    return prepare


def roots(n_steps: int) -> np.ndarray:
    """Square roots of the eigenvalues of the circulant, shape (n_steps + 1,)."""
    k, power = np.arange(n_steps + 1.0), 2 * HURST
    r = ((k + 1) ** power - 2 * k**power + np.abs(k - 1) ** power) / 2
    eigenvalues = np.fft.rfft(np.concatenate([r, r[-2:0:-1]])).real
    return np.sqrt(np.maximum(eigenvalues, 0))


def path_by_path(paths: int, n_steps: int) -> Run:
    size = roots(n_steps)

    def run() -> dict[str, np.ndarray]:
        rng = np.random.default_rng(2)
        x = np.empty((paths, n_steps))
        for row in x:
            waves = np.fft.rfft(rng.standard_normal(2 * n_steps))
            row[:] = np.fft.irfft(waves * size)[:n_steps]
        return {"x": x}

    return run


def all_paths(paths: int, n_steps: int) -> Run:
    size = roots(n_steps) * np.sqrt(n_steps)
    size[[0, -1]] *= np.sqrt(2)  # these two coefficients are real

    def run() -> dict[str, np.ndarray]:
        rng = np.random.default_rng(3)
        waves = rng.standard_normal((paths, 2 * (n_steps + 1))).view(np.complex128)
        waves *= size
        return {"x": np.fft.irfft(waves, 2 * n_steps)[:, :n_steps]}

    return run


def package(name: str) -> Callable[..., Run]:
    def prepare(paths: int, n_steps: int) -> Run:
        draw: Callable[[], Any]
        np.random.seed(4)  # the packages draw from NumPy's global generator
        if name == "fbm":
            from fbm import FBM

            draw = FBM(n=n_steps, hurst=HURST, length=n_steps, method="daviesharte").fgn
        else:
            from stochastic.processes.noise import FractionalGaussianNoise

            process = FractionalGaussianNoise(hurst=HURST, t=n_steps)

            def draw() -> Any:
                return process.sample(n_steps)

        return lambda: {"x": np.array([draw() for _ in range(paths)])}

    return prepare


def compare(answers: dict[str, dict[str, np.ndarray]], task: dict[str, Any]) -> list[str]:
    """Variance 1 and covariance 2^(2H - 1) - 1 of neighbours, over all paths."""
    complaints = []
    expected = np.array([1, 2 ** (2 * HURST - 1) - 1])
    shape = (task["paths"], task["n_steps"])
    for name, found in answers.items():
        x = found["x"].astype(float)
        if x.shape != shape:
            complaints.append(f"{name}: shape {x.shape}, {shape} was asked")
            continue
        moments = np.array([np.mean(x * x), np.mean(x[:, 1:] * x[:, :-1])])
        if not np.abs(moments - expected).max() < MOST / x.size**0.5:
            complaints.append(f"{name}: moments {moments.tolist()}, asked {expected.tolist()}")
    return complaints


def bound(task: dict[str, Any], machine: Machine) -> Bound:
    n, paths = task["n_steps"], task["paths"]
    # A real transform of 2 n values is half a complex one of 2 n: 5/2 N log2 N for N = 2 n.
    flops = paths * 2.5 * 2 * n * np.log2(2 * n)
    moved = 8 * paths * (2 * (n + 1) + n)
    seconds = {"flops": flops / machine.flops64, "bytes": moved / machine.bytes}
    return Bound(
        max(seconds.values()),
        f"The Fourier transforms need {flops:.2g} operations in float64 (5/2 N log2 N each, "
        f"N = 2 n), {seconds['flops']:.2g} s at {machine.flops64:.2g} a second; writing the "
        f"coefficients and the paths once, {moved:.2g} bytes, {seconds['bytes']:.2g} s; the "
        f"larger counts, and the {2 * paths * (n + 1):.2g} normal numbers are not counted.",
    )


ROW = Row(
    title="Fractional Gaussian noise",
    topic="noise",
    ensemble=True,
    size="{paths} paths x {n_steps:,} steps, H = " + f"{HURST}, float64",
    tasks={
        "whole": {"paths": 64, "n_steps": 20_000},
        "quick": {"paths": 16, "n_steps": 2_000},
    },
    contestants={
        "optdyn": Contestant(ours("float64"), ours=True),
        "optdyn, float32": Contestant(ours("float32"), ours=True),
        "fbm": Contestant(package("fbm"), "peers"),
        "stochastic": Contestant(package("stochastic"), "peers"),
        "NumPy, path by path": Contestant(path_by_path),
        "NumPy, all paths": Contestant(all_paths),
    },
    compare=compare,
    bound=bound,
    why=(
        "In float64 more than half of our time goes into the normal numbers: JAX inverts the "
        "distribution function, so that a key means the same path on every device, and NumPy's "
        "ziggurat takes half as long. One path at a time also stays in the cache, where our "
        "arrays of all paths do not. In float32, in which the chapter computes, we are ahead."
    ),
)
