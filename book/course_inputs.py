"""Hidden tests of homework: inputs that no student has seen, drawn from a course's secret.

A hidden test is the book's own check on other inputs. `exercise` gives the two together: an
exercise with the visible inputs first, then the hidden ones. These are drawn from a text of
hexadecimal digits that `course.seed` makes of the secret, so a course draws the same everywhere.
Exercises whose answer is a find of the reader's own (four numbers, a certified cycle) are judged by
a property and need no hidden inputs.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optdyn import answers, check, guard
from optdyn.answers import Exercise, Miss

Floats = NDArray[np.float64]
Inputs = list[tuple[Any, ...]]
SECONDS = 10.0  # for one call of a student's function, as in the exercises' own check


@functools.cache
def exercise(name: str, drawn_from: str) -> tuple[Exercise, int]:
    """The exercise with its visible inputs and then the hidden ones; how many are visible.

    Raises: ValueError for a name that is no exercise.
    """
    shown = check._exercise(name)
    if name not in HIDDEN:
        return shown, len(shown.inputs)
    rng = np.random.default_rng(int(drawn_from, 16))
    inputs = HIDDEN[name](rng)
    judge = shown.judge
    if name == "cycles-settled":
        inputs, judge = _settled(rng, judge)
    return shown._replace(inputs=(*shown.inputs, *inputs), judge=judge), len(shown.inputs)


def verdict(exercise: Exercise, visible: int, calls: Sequence[guard.Call]) -> str | None:
    """What is wrong with the calls of a student's function on the inputs in turn; None if nothing.

    Args: visible, the number of inputs that are not hidden; calls, up to the first that failed.
    """
    for index, (inputs, call) in enumerate(zip(exercise.inputs, calls, strict=False)):
        problem = answers.problem(exercise, inputs, call)
        if isinstance(problem, tuple):
            given = [("input", answers.typed(exercise.takes, inputs))] if exercise.takes else []
            where = "" if index < visible else " on a hidden input"
            lines = (("", f"It fails{where}."), *given, *problem)
            return "\n".join(f"{label}: {text}" if label else text for label, text in lines)
    if len(calls) < len(exercise.inputs):
        return "It stopped before all inputs were answered."
    return None


def check_hidden(name: str, answer: Any) -> None:
    """The hidden test as nbgrader's own autograder runs it, in the student's kernel.

    Its working folder tells the assignment, and the folder of the course with the secret.

    Raises: check.NotRight unless the function is right on the visible and the hidden inputs.
        FileNotFoundError outside of a course.
    """
    import course

    here = Path.cwd()
    for folder in here.parents:
        if (folder / "secret.json").is_file():
            secret = course.Course(folder).secret(here.name)
            break
    else:
        raise FileNotFoundError(
            f"{here} is in no folder of a course; hidden tests need its secret."
        )
    wanted, visible = exercise(name, course.seed(secret, here.name, name))
    calls = []
    for inputs in wanted.inputs:
        calls.append(guard.call(answer, inputs, SECONDS))
        if calls[-1].late or calls[-1].error is not None:
            break
    problem = verdict(wanted, visible, calls)
    if problem:
        raise check.NotRight(f"{name}: not right yet\n{problem}")


# --- the cycles chapter ---------------------------------------------------------------


def _witness(rng: Any) -> Inputs:
    found: Inputs = []
    while len(found) < 6:
        two = rng.normal(size=(2, 2)) * rng.uniform(0.5, 20)
        if abs(np.linalg.det(two)) < 0.2 * np.abs(two).max() ** 2:
            continue
        third = rng.uniform(0.2, 3, 2) @ two * (-1 if len(found) % 2 else 1)
        found.append((rng.permutation(np.vstack([two, third])).round(3),))
    return found


def _pair(rng: Any) -> Inputs:
    ranges = ((2.1, 3), (0.2, 1.9), (3, 6), (6, 30), (2.02, 2.1), (30, 90))
    return [(float(rng.uniform(low, high)),) for low, high in ranges]


def _end(rng: Any) -> Inputs:
    found: Inputs = []
    for n in (2, 3, 5, 6):
        gaps = rng.uniform(0.1, 2) / rng.uniform(4.4, 4.8, n - 1).cumprod()
        found.append((rng.uniform(1, 4) + np.append(0, gaps.cumsum()),))
    return found


def _flip(rng: Any) -> Inputs:
    found: Inputs = []
    for n in (3, 4, 4, 5):
        signs = np.where(np.arange(n) % 2, -1, 1)
        z = (signs * rng.uniform(0.4, 3, n)).round(2)
        found.append((z, rng.integers(1, 5, n).astype(float)))
    return found


def _settled(rng: Any, judge: Any) -> tuple[Inputs, Callable[..., Any]]:
    """Records of known period: the visible ones in other units, and repeated random values."""
    from optdyn import exercises_cycles

    known: list[tuple[int, Floats]] = []
    for period, record in exercises_cycles.RECORDS.values():
        known.append((period, record * rng.choice([-1, 1]) * rng.uniform(0.1, 10)))
    for period in rng.permutation(np.arange(2, 17))[:5]:
        values = rng.normal(size=period) * rng.uniform(0.1, 50)
        known.append((int(period), np.resize(values, 400)))
    known.append((0, np.resize(rng.normal(size=17), 400)))
    known.append((0, rng.normal() + rng.uniform(1e-6, 1e-5) * np.arange(400)))

    def told(value: float, orbit: Floats) -> Any:
        for period, record in known:
            if np.array_equal(record, orbit):
                return None if value == period else Miss(f"{period}")
        return judge(value, orbit)

    return [(record,) for _, record in known], told


def _onehot(rng: Any) -> Inputs:
    found: Inputs = []
    for _ in range(5):
        plus, minus = (int(n) for n in rng.integers(4, 40, 2))
        labels = rng.permutation(np.repeat([1.0, -1.0], [plus, minus]))
        found.append((labels, int(rng.integers(plus + minus))))
    return found


def _perceptron(rng: Any) -> Inputs:
    sizes = rng.integers(4, 60, 6)
    factors = rng.integers(1, 5, 6)
    return [(int(rng.integers(1, n) * f), int(n * f)) for n, f in zip(sizes, factors, strict=True)]


# --- the noise chapter ----------------------------------------------------------------


def _forms(rng: Any) -> Inputs:
    found: Inputs = []
    for n, d in ((2, 1), (6, 2), (25, 3)):
        start, xi = rng.uniform(-1, 1, d).round(3), (rng.normal(size=(n, d)) / 4).round(3)
        found.append((start, xi, float(rng.uniform(0.02, 0.2))))
    return found


def _kicks(rng: Any) -> Inputs:
    return [(int(n), float(rng.uniform(0.1, 1))) for n in rng.integers(2, 8, 4)]


def _crossings(rng: Any) -> Inputs:
    return [(float(kappa),) for kappa in rng.uniform(0.15, 1, 4)]


def _theorem(rng: Any) -> Inputs:
    # not so near to a whole 2 / alpha^2 that rounding decides about a dimension
    dims = rng.integers(12, 120, 4) - rng.uniform(0.2, 0.8, 4)
    sizes = rng.uniform(2, 100, 4)
    return [(float((2 / d) ** 0.5), float(size)) for d, size in zip(dims, sizes, strict=True)]


def _cosine(rng: Any) -> Inputs:
    pairs = zip(rng.uniform(0.3, 3, 5), rng.uniform(0.1, 1.4, 5), strict=True)
    return [(float(k), float(sigma)) for k, sigma in pairs]


def _drift(rng: Any) -> Inputs:
    found: Inputs = []
    for lags in (1, 2, 3, 5):
        taps = rng.normal(size=lags)
        autocovariance = np.correlate(taps, taps, "full")[lags - 1 :] / 50
        curvature, theta = rng.uniform(0.5, 4), rng.uniform(0.1, 1.5)
        slope = rng.choice([-1, 1]) * rng.uniform(0.5, 3)
        found.append((float(curvature), float(slope), float(theta / curvature), autocovariance))
    return found


def _rest(rng: Any) -> Inputs:
    dims = (2, 5, *rng.integers(6, 40, 3))
    return [(int(dim), float(rng.uniform(0, 0.85))) for dim in dims]


def _lasso(rng: Any) -> Inputs:
    found: Inputs = []
    for n, d in ((3, 2), (4, 3), (5, 4)):
        X, y = rng.normal(size=(n, d)).round(2), rng.normal(size=n).round(2)
        found.append((X, y, float(rng.uniform(0.1, 0.5))))
    return found


def _silence(rng: Any) -> Inputs:
    sizes = (2, *rng.integers(3, 2_000, 3), 10 ** int(rng.integers(12, 15)))
    hursts = rng.uniform(0.05, 0.45, 5) + rng.choice([0, 0.5], 5)
    return [(int(n), float(hurst)) for n, hurst in zip(sizes, hursts, strict=True)]


def _shrink(rng: Any) -> Inputs:
    found: Inputs = []
    for layerwise in (False, True, False, True):
        sigma, outputs = float(rng.uniform(0.2, 0.5)), int(rng.integers(2, 6))
        trace = float(rng.uniform(2, 10))
        threshold = sigma**2 * (outputs * trace) ** 0.5 / (2 if layerwise else 1)
        values = np.array([rng.uniform(1.5, 3), rng.uniform(1.2, 1.5), rng.uniform(0.2, 0.8)])
        found.append((threshold * values, sigma, outputs, trace, layerwise))
    return found


# --- the shift-K chapter --------------------------------------------------------------


def _scale(rng: Any) -> Inputs:
    found: Inputs = []
    for n in (1, 2, 3, 4):
        matrix = rng.normal(size=(n, n))
        matrix *= rng.uniform(0.5, 0.9) / np.abs(np.linalg.eigvals(matrix)).max()
        found.append((matrix, rng.normal(size=n), rng.normal(size=n), int(rng.integers(1, 7))))
    return found


def _budget(rng: Any) -> Inputs:
    found: Inputs = []
    for _ in range(5):
        lag, later = int(rng.integers(2, 40)), int(rng.integers(3, 60))
        order = int(rng.integers(1, lag + 1))
        gain = float(rng.uniform(0.3, 0.98) * order / (lag + 1))
        found.append((order, lag, gain, lag + later))
    return found


def _placed(rng: Any, n: int, low: float, high: float) -> tuple[Floats, Floats]:
    """Decays and phases of poles that do not come near to one another."""
    turns = np.linspace(-2.6, 2.6, n) + rng.uniform(-0.2, 0.2, n)
    return rng.uniform(low, high, n), turns


def _exit(rng: Any) -> Inputs:
    sizes = ((1, 5), (2, 9), (3, 20), (4, 30))
    return [(*_placed(rng, n, 0.05, 1.5), steps) for n, steps in sizes]


def _slow(rng: Any) -> Inputs:
    rhos = (rng.uniform(0.2, 0.9), rng.uniform(-0.9, -0.2), rng.uniform(0.9, 0.99), 0.0)
    return [(float(rng.uniform(0.05, 0.9)), float(rho)) for rho in rhos]


def _centre(rng: Any) -> Inputs:
    return [(*_placed(rng, n, 0.06, 0.4), int(rng.integers(3, 25))) for n in (1, 2, 3, 5)]


def _spacing(rng: Any) -> Inputs:
    ranges = ((1.1, 1.9), (2.1, 3.5), (0.55, 0.95), (0.36, 0.48))
    return [(float(rng.uniform(0.3, 2)), float(rng.uniform(*ends))) for ends in ranges]


def _real(rng: Any) -> Inputs:
    found: Inputs = []
    for n in (1, 2, 4, 6):
        apart = 1 + rng.uniform(0.05, 0.4)
        found.append(
            (1 - rng.uniform(0.03, 0.12) * apart ** np.arange(n), int(rng.integers(5, 40)))
        )
    return found


def _comb(rng: Any) -> Inputs:
    found: Inputs = [(int(n), int(n * rng.integers(2, 6))) for n in rng.integers(1, 9, 2)]
    for _ in range(3):
        lag = int(rng.integers(8, 50))
        found.append((int(rng.integers(2, lag)), lag))
    return found


def _dead(rng: Any) -> Inputs:
    rhos = (0.0, rng.uniform(0.3, 0.95), rng.uniform(-0.9, -0.3), rng.uniform(0.05, 0.3))
    return [(*_placed(rng, 3, 0.03, 0.5), int(rng.integers(2, 30)), float(rho)) for rho in rhos]


def _cycle(rng: Any) -> Inputs:
    found: Inputs = []
    for _ in range(4):
        start, damping = float(rng.uniform(0.6, 0.99)), float(rng.uniform(0.1, 1))
        found.append((start, int(rng.integers(4, 70)), damping, int(rng.integers(2, 9))))
    return found


# --- the Adam chapter -----------------------------------------------------------------


def _confidence(rng: Any) -> Inputs:
    found: Inputs = []
    for n in (1, 3, 8, 20):
        found.append((rng.normal(size=n).round(2) * 3, float(rng.uniform(0.3, 0.95))))
    return found


def _stream(rng: Any) -> Inputs:
    found: Inputs = []
    for n, decay in ((1, 0.0), (3, 0.0), (5, 0.05), (4, -0.2)):
        decay *= rng.uniform(0.5, 1.5)
        found.append((rng.normal(size=n).round(2) + 0.1, decay, float(rng.uniform(0.2, 0.8))))
    return found


def _snr(rng: Any) -> Inputs:
    found: Inputs = []
    for rho in (0.0, rng.uniform(0.1, 0.9), rng.uniform(-0.9, -0.1), 0.0):
        found.append((float(rng.uniform(0.1, 0.97)), float(rng.uniform(0.1, 0.97)), float(rho)))
    return found


def _rare(rng: Any) -> Inputs:
    found: Inputs = []
    for gap in (1, *rng.integers(2, 60, 3)):
        b1, b2 = rng.uniform(0.3, 0.95, 2)
        found.append((float(b1), float(b2), int(gap)))
    return found


def _bound(rng: Any) -> Inputs:
    return [(*map(float, rng.uniform(0.4, 0.95, 2)), int(n)) for n in rng.integers(2, 30, 4)]


def _match(rng: Any) -> Inputs:
    found: Inputs = []
    for n in (1, 2, 4, 7):
        mean, variance = float(rng.normal()), float(rng.uniform(0.3, 2))
        found.append((mean, variance, rng.normal(size=n).round(2), float(rng.uniform(0.05, 3))))
    return found


def _schedule(rng: Any) -> Inputs:
    found: Inputs = []
    for n in (50, 400, 2_000, 3_000):
        b1, b2 = rng.uniform(0.5, 0.97), rng.choice([0.9, 0.95, 0.98, 0.99, 0.999])
        found.append((float(b1), float(b2), n, float(rng.uniform(0.002, 0.1))))
    return found


def _blocks(rng: Any) -> Inputs:
    found: Inputs = []
    for n, d in ((3, 2), (5, 2), (6, 3)):
        samples, w = rng.normal(size=(n, d)).round(2), rng.normal(size=d).round(2)
        found.append((samples, w, int(rng.integers(1, n))))
    return found


def _lattice(rng: Any) -> Inputs:
    found: Inputs = []
    for offset in (0.0, 0.5, rng.uniform(0.1, 0.4)):
        curvature, sigma = rng.uniform(0.8, 3), rng.uniform(0.2, 1)
        step = rng.uniform(0.1, 0.5)
        found.append((float(curvature), float(sigma), float(step), float(offset)))
    return found


def _fair(rng: Any) -> Inputs:
    from optdyn import exercises_adam

    found: Inputs = []
    for rates, seeds in ((3, 4), (5, 3), (4, 8)):
        number = int(rng.integers(10, 10**9))
        spread = float(rng.uniform(0.01, 0.1))
        gap = float(rng.uniform(-0.1, 0.1))
        found.append(exercises_adam._made(number, rates, seeds, gap, spread))
    return found


HIDDEN: dict[str, Callable[[Any], Inputs]] = {
    "cycles-witness": _witness,
    "cycles-pair": _pair,
    "cycles-end": _end,
    "cycles-flip": _flip,
    "cycles-settled": lambda rng: [],
    "cycles-onehot": _onehot,
    "cycles-perceptron": _perceptron,
    "noise-forms": _forms,
    "noise-kicks": _kicks,
    "noise-crossings": _crossings,
    "noise-theorem": _theorem,
    "noise-cosine": _cosine,
    "noise-drift": _drift,
    "noise-rest": _rest,
    "noise-lasso": _lasso,
    "noise-silence": _silence,
    "noise-shrink": _shrink,
    "shiftk-scale": _scale,
    "shiftk-budget": _budget,
    "shiftk-exit": _exit,
    "shiftk-slow": _slow,
    "shiftk-centre": _centre,
    "shiftk-spacing": _spacing,
    "shiftk-real": _real,
    "shiftk-comb": _comb,
    "shiftk-dead": _dead,
    "shiftk-cycle": _cycle,
    "adam-confidence": _confidence,
    "adam-stream": _stream,
    "adam-snr": _snr,
    "adam-rare": _rare,
    "adam-bound": _bound,
    "adam-match": _match,
    "adam-schedule": _schedule,
    "adam-blocks": _blocks,
    "adam-lattice": _lattice,
    "adam-fair": _fair,
}
