"""The exercises of the cycles chapter: what is tried, and how a right answer is told.

See `optdyn.check` for how this is used, and chapters/cycles/solutions.ipynb for the statements.
Orbits, slopes and curvatures are computed here in plain NumPy, apart from the rest of the library.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit  # type: ignore[import-untyped]

from optdyn.check import Exercise, Miss

__all__ = ["EXERCISES"]

Floats = NDArray[np.float64]

FLAGSHIP = np.array([1.0, 1.0, -1.0, 10.0])
PATIENTS = np.array([1.0, 1.0, 1.0, -1.0])


def _slope(w: Any, z: Any, p: Any = None) -> Any:
    """The gradient of the loss, z (n,) or (n, d)."""
    p = np.full(len(z), 1 / len(z)) if p is None else np.asarray(p) / np.sum(p)
    return -(p * expit(-(z * w if np.ndim(z) == 1 else z @ w))) @ z


def _orbit(w: Any, z: Any, eta: float, n_steps: int, p: Any = None) -> Floats:
    """Gradient descent written out."""
    path = [np.asarray(w, float)]
    for _ in range(n_steps):
        path.append(path[-1] - eta * _slope(path[-1], z, p))
    return np.array(path)


# --- rescaled data ---------------------------------------------------------------------


def _scale(value: Floats, s: float, w0: float, step_size: float) -> Miss | None:
    start, step = value
    if not step > 0:
        return Miss("a positive step size", "A step size is positive.")
    n_steps = 5
    first = _orbit(w0, FLAGSHIP, step_size, n_steps)
    second = _orbit(start, s * FLAGSHIP, step, n_steps)
    miss = float(np.abs(s * second - first).max())
    if miss <= 1e-8 * (1 + np.abs(first).max()):
        return None
    return Miss(
        "a start and a step size from which s * w_t is, step by step, the orbit of w0 on the data "
        f"1, 1, -1, 10; within {n_steps} steps yours differ by {miss:.3g}"
    )


EXERCISES: dict[str, Exercise] = {
    "cycles-scale": Exercise(
        takes=("s", "w0", "step_size"),
        inputs=(
            (2.0, 0.0, 10.140377),
            (2.0, 1.0, 4.0),
            (0.1, -0.5, 10.8),
            (7.0, 2.0, 9.3),
        ),
        judge=_scale,
        hint="Only products w z occur in the loss. What happens to its slope?",
        returns="two numbers: the start and the step size",
        shape=(2,),
    ),
}
