"""The exercises of the cycles chapter: what is tried, and how a right answer is told.

See `optdyn.check` for how this is used, and chapters/cycles/solutions.ipynb for the statements.
Orbits, minimisers and pairs are computed here in plain NumPy, by iteration and bisection, apart
from the rest of the library. Only certificates are `optdyn.certify`'s.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar  # type: ignore[import-untyped]
from scipy.special import expit  # type: ignore[import-untyped]
from scipy.stats import binomtest  # type: ignore[import-untyped]

from optdyn import datasets
from optdyn.answers import Exercise, Miss, near

__all__ = ["EXERCISES"]

Floats = NDArray[np.float64]

FLAGSHIP = np.array([1.0, 1.0, -1.0, 10.0])
PATIENTS = np.array([1.0, 1.0, 1.0, -1.0])


# --- gradient descent written out ------------------------------------------------------


def _shares(z: Floats, weights: Any) -> Floats:
    p = np.ones(len(z)) if weights is None else np.asarray(weights, float)
    shares: Floats = p / p.sum()
    return shares


def _slope(w: Any, z: Floats, p: Floats) -> Any:
    """The gradient of the loss, for z (n,) or (n, d); on the line w may have any shape."""
    if z.ndim == 1:
        return -expit(-np.multiply.outer(w, z)) @ (p * z)
    return -(p * expit(-(z @ w))) @ z


def _curvature(w: Any, z: Floats, p: Floats) -> Any:
    """The second derivative on the line, the Hessian beyond."""
    m = z * w if z.ndim == 1 else z @ w
    s = p * expit(m) * expit(-m)
    return s @ z**2 if z.ndim == 1 else (z.T * s) @ z


def _orbit(w: Any, z: Floats, p: Floats, eta: float, n_steps: int) -> Floats:
    path = [np.asarray(w, float)]
    for _ in range(n_steps):
        path.append(path[-1] - eta * _slope(path[-1], z, p))
    return np.array(path)


def _inverse(force: Floats, z: Floats, p: Floats) -> Floats:
    """W(F) on the line, by bisection: where the slope, which increases, is F."""
    low, high = -np.ones_like(force), np.ones_like(force)
    while (out := _slope(low, z, p) > force).any():
        low[out] *= 2
    while (out := _slope(high, z, p) < force).any():
        high[out] *= 2
    for _ in range(100):
        middle = (low + high) / 2
        right = _slope(middle, z, p) > force
        low, high = np.where(right, low, middle), np.where(right, middle, high)
    return (low + high) / 2


def _line(z: Floats, weights: Any = None) -> tuple[Floats, float, float]:
    """Shares, minimiser and curvature there of data on the line."""
    p = _shares(z, weights)
    star = float(_inverse(np.zeros(1), z, p)[0])
    return p, star, float(_curvature(star, z, p))


def _pairs(share: Any, z: Floats, p: Floats) -> tuple[Floats, Floats]:
    """Step size and half width of the pairs of these shares of the largest force."""
    most = min(p @ np.maximum(z, 0), p @ np.maximum(-z, 0))
    force = most * np.atleast_1d(np.asarray(share, float))
    high, low = _inverse(force, z, p), _inverse(-force, z, p)
    return (high - low) / force, (high - low) / 2


def _limit(z: Floats, weights: Any = None, *, n: int = 400) -> float:
    """The normalised step size up to which every start converges, on the line."""
    p, _, curvature = _line(z, weights)
    share = np.concatenate([np.geomspace(1e-3, 0.02, n // 4)[:-1], np.linspace(0.02, 0.999, n)])
    curve = _pairs(share, z, p)[0]
    i = int(curve[1:-1].argmin()) + 1
    fine = minimize_scalar(
        lambda x: _pairs(x, z, p)[0][0], bounds=(share[i - 1], share[i + 1]), method="bounded",
        options={"xatol": 1e-10},
    )  # fmt: skip
    return float(min(2.0, curvature * min(fine.fun, curve.min())))


def _overlap(z: Floats) -> bool:
    return bool((z > 0).any() and (z < 0).any())


# --- after the first notebook ----------------------------------------------------------


def _witness(value: Floats, z: Floats) -> Miss | None:
    u = np.linalg.svd(z.T)[2][-1]  # the one combination of the rows that vanishes
    exists = bool((u > 1e-9).all() or (u < -1e-9).all())
    if not exists:
        hint = "If a w has w.z_i > 0 for all i, no positive weights can cancel. Say so by zeros."
        return near(value, np.zeros(3), hint=hint)
    if not (value > 0).all():
        return Miss("three positive numbers", "Each point has to take part.")
    left = value @ z
    if np.abs(left).max() <= 1e-5 * np.abs(value @ np.abs(z)).max():
        return None
    return Miss("a with a_1 z_1 + a_2 z_2 + a_3 z_3 = 0; yours give " + str(np.round(left, 6)))


def _pair(value: float, gamma: float) -> Miss | None:
    z, low, high = np.array([1.0, -1.0]), 1e-12, 2 * gamma + 1
    p = _shares(z, None)
    if gamma <= 2:
        return near(value, 0.0, atol=1e-6, hint="Up to gamma = 2 nothing but 0 swaps sign.")
    for _ in range(100):
        middle = (low + high) / 2
        if middle - 4 * gamma * _slope(middle, z, p) < -middle:  # it lands beyond the mirror image
            low = middle
        else:
            high = middle
    hint = ""
    if abs(value) < 1e-6:
        hint = "0 solves the equation for every gamma. Start where the other solution can be."
    elif value < 0:
        hint = "The positive one of the two points is asked for."
    return near(value, high, rtol=1e-5, hint=hint)


def _four(value: Floats) -> Miss | None:
    z, step_size = value[:4], float(value[4])
    if not _overlap(z) or not step_size > 0:
        return Miss(
            "four numbers, not all of one sign, and a positive step size",
            "Data of one sign are separable: they have no critical step size.",
        )
    shape = np.sort(z / np.abs(z).max())
    known = FLAGSHIP / 10
    if any(np.allclose(shape, np.sort(sign * known), atol=1e-6) for sign in (1, -1)):
        return Miss("four numbers of your own", "These are 1, 1, -1, 10 in other units.")
    p, star, curvature = _line(z)
    if not step_size * curvature <= 1.999:
        return Miss(
            f"a step size of at most 1.999 / lambda = {1.999 / curvature:.6g} for your data",
            "lambda is the curvature of the loss at the minimiser of your four numbers.",
        )
    off = _orbit(0.0, z, p, step_size, 20_000) - star
    before, after = np.abs(off[-10_000:-5_000]).max(), np.abs(off[-5_000:]).max()
    far = float(np.abs(off[-200:]).max())
    if far > 1e-3 / np.abs(z).max():
        # an orbit that stays on one side converges, however slowly
        if off[-5_000:].min() < 0 < off[-5_000:].max() and after > 0.99 * before:
            return None
        return Miss(
            f"an orbit of 0 that never comes to the minimiser {star:.6g}; yours is slow, and after "
            "20,000 steps still on its way",
            "It has to jump over the minimiser again and again. Compare gamma with 2.",
        )
    return Miss(
        f"an orbit of 0 that stays away from the minimiser {star:.6g}; after 20,000 steps yours is "
        f"within {far:.1g} of it",
        "Keep a group of small points of both signs and one large point. How large is too large?",
    )


DELTA = 4.669201609  # Feigenbaum's
LIMITS = {  # the first doublings of two data sets, and where all of them end
    1.94752688667: [1.92082091731, 1.94131569417, 1.94617863919, 1.94723717690, 1.94746479926,
                  1.94751358751],
    2.86361313092: [2.0, 2.63517159023, 2.81438525210, 2.85301702148, 2.86134250718,
                  2.86312674457, 2.86350895862],
}  # fmt: skip


def _end(value: float, doublings: Floats) -> Miss | None:
    last, gap = doublings[-1], doublings[-1] - doublings[-2]
    known = [limit for limit, row in LIMITS.items() if np.isclose(row[-1], last, atol=1e-9)]
    expected = known[0] if known else last + gap / (DELTA - 1)
    hint = ""
    if abs(value - last) <= 1e-3 * gap:
        hint = "That is the last of the doublings given. Infinitely many follow."
    elif abs(value - last - gap / DELTA) <= 1e-2 * gap:
        hint = "That is one doubling further. Sum all the gaps that follow."
    if abs(value - expected) <= 4e-3 * gap:
        return None
    return Miss(f"{expected:.9f}, give or take {4e-3 * gap:.1g}", hint)


# --- after the second ------------------------------------------------------------------


def _flip(value: float, z: Floats, weights: Floats) -> Miss | None:
    p, _, curvature = _line(z, weights)
    ratio = []
    for share in (0.02, 0.01):
        eta, half = _pairs(share / np.abs(z).max(), z, p)
        ratio.append(float((curvature * eta[0] - 2) / half[0] ** 2))
    expected = (4 * ratio[1] - ratio[0]) / 3
    miss = near(value, expected, rtol=2e-3, atol=1e-4)
    hint = ""
    if abs(value + expected) < 0.01 * abs(expected):
        hint = "The sign is the wrong way round: positive means that the pair exists above 2."
    return miss and Miss(
        f"{expected:.4f}, the limit of (gamma - 2) / s^2 along the curve of pairs", hint
    )


def _flat(value: Floats) -> Miss | None:
    n, size, step_size, half, level = value
    if n != round(n) or n < 3 or not size > 0 or not step_size > 0 or abs(half) < 1e-3:
        return Miss(
            "a whole number N of at least 3, B > 0, a step size > 0, U not 0, and the intercept",
            "The order is N, B, step size, U, beta.",
        )
    z = np.array([[size, 1.0], [-size, 1.0], [0.0, 1.0], [0.0, -1.0]])
    p = _shares(z, [1, 1, n - 2, 1])
    sharpest = np.linalg.eigvalsh(_curvature(np.array([0.0, np.log(n)]), z, p))[-1]
    ends = _orbit([half, level], z, p, step_size, 2)
    off = float(np.abs(ends[1] - [-half, level]).max())
    if off > 1e-6:
        return Miss(
            f"a step from (U, beta) to (-U, beta); yours leads to ({ends[1, 0]:.6g}, "
            f"{ends[1, 1]:.6g})",
            "Both equations for the pair have to hold; solve them to ten digits.",
        )
    gamma = step_size * sharpest
    if not gamma <= 1:
        return Miss(f"a step size of at most 1 / lambda = {1 / sharpest:.6g} for your data")
    flat = step_size * np.linalg.eigvalsh(_curvature(ends[0], z, p))[-1]
    if flat < 1:
        return None  # and it attracts: each step shrinks all distances nearby
    return Miss(
        f"a step size times sharpness below 1 at (U, beta); yours is {flat:.4g}",
        "Go along the family: more positives, or another beta.",
    )


def _same(z: Floats, m: Floats, theirs: Any, counts: Any) -> bool:
    """Whether data on the line are those of a table, up to a factor and a thousandth of a number.

    Points given twice are one, and zeros do nothing but to make the step size larger.
    """

    def merged(z: Floats, m: Floats) -> Floats:
        z = np.round(z / np.abs(z).max(), 6)
        z, m = z[z != 0], m[z != 0]
        values, where = np.unique(z, return_inverse=True)
        return np.array([values, np.bincount(where, m / m.sum())])

    ours, known = merged(z, m), merged(np.asarray(theirs, float), np.asarray(counts, float))
    return ours.shape == known.shape and bool(np.allclose(ours, known, rtol=1e-3))


def _certified(value: Any) -> Miss | None:
    from optdyn.certify import certify_cycle

    order = "data z, multiplicities, and the step size as a decimal string"
    if not isinstance(value, list | tuple) or len(value) != 3:
        return Miss(f"three things: {order}", "End with: return z, multiplicities, step_size.")
    try:
        proof = certify_cycle(*value, period=5)
    except (TypeError, ValueError) as error:
        return Miss(order, f"certify_cycle refuses them. {error}")
    if not proof.proved:
        return Miss("a certificate of period 5 for the orbit of 0", f"{proof.reason}")
    if not proof.normalized_step[1] < 2:
        return Miss(
            f"a cycle below the critical step; yours is at gamma = {proof.normalized_step[0]:.6g}"
        )
    z, m = np.asarray(value[0], float), np.asarray(value[1], float)
    tables = [known.points for known in datasets.LONG_CYCLES if known.period == 5]
    if any(_same(z, m, *known) or _same(-z, m, *known) for known in tables):
        return Miss(
            "data of your own", "These, up to sign or scale, are in the table of notebook 2."
        )
    points = proof.points
    p = _shares(z, m)
    walked = _orbit(points[0], z, p, float(value[2]), 5)  # once more in ordinary arithmetic
    if np.abs(walked[:5] - points).max() > 1e-3 or np.abs(np.diff(np.sort(points))).min() < 1e-9:
        return Miss("five points, visited in turn")
    return None


def _two(value: Any) -> Miss | str:
    pair = "two numbers of opposite sign, none of them zero"
    z = np.asarray(value, float)
    if z.shape != (2,) or not z[0] * z[1] < 0:
        return Miss(pair, "Two of one sign are separable. End with: return [-1, B].")
    size, limit = float(np.abs(z).max() / np.abs(z).min()), _limit(z, np.ones(2), n=2000)
    text = f"The sizes differ by a factor {size:.6g}. The lowest pair is at gamma = {limit:.7f}."
    if limit >= 2 - 1e-6:
        return text + " No pair exists below 2."
    return text + " If that is no error of rounding, it refutes: try to certify the cycle."


# --- after the third -------------------------------------------------------------------


def _records() -> dict[str, tuple[int, Floats]]:
    """Ends of orbits on the line, and of one coordinate in the plane, with their periods."""

    def end(gamma: float, z: Floats, n_steps: int = 3_000, w0: Any = 0.0) -> Floats:
        p, _, curvature = _line(z)
        return _orbit(w0, z, p, gamma / curvature, n_steps)[-400:]

    rings = datasets.orings(raw=True)
    valley = _orbit(np.zeros(2), rings, _shares(rings, None), 1.5 / 659.405947992, 4_000)
    star = _line(FLAGSHIP)[1]
    return {
        "three labels +1 and one -1 at gamma = 2.4": (2, end(2.4, PATIENTS)),
        "1, 1, -1, 10 at gamma = 1.93": (4, end(1.93, FLAGSHIP)),
        "1, 1, -1, 10 at gamma = 1.98, which is chaotic": (0, end(1.98, FLAGSHIP)),
        "1, 1, -1, 10 at gamma = 1.5, which converges": (1, end(1.5, FLAGSHIP)),
        "the O-rings in degrees Fahrenheit, which drift": (0, valley[-400:, 0]),
        "three labels +1 and one -1 at gamma = 3.5": (3, end(3.5, PATIENTS)),
        "1, 1, -1, 10 beside the minimiser, on the way to it": (
            0, end(1.99, FLAGSHIP, 600, star + 0.01),
        ),
        "data of size 1,000,000 at gamma = 2.4": (2, end(2.4, 1e6 * PATIENTS)),
    }  # fmt: skip


def _settled(value: float, orbit: Floats) -> Miss | None:
    for text, (period, record) in RECORDS.items():
        if np.array_equal(record, orbit) and value != period:
            hint = ""
            if period == 0 and value > 0:
                hint = "Compare the beginning of the record with its end, too: is it still moving?"
            elif period > 0 and value == 0:
                hint = "How large is your tolerance, measured against the values in the record?"
            elif period > 0 and value % period == 0:
                hint = "The smallest period is asked for."
            return Miss(f"{period}, for these are the last 400 steps of {text}", hint)
    return None


def _onehot(value: float, labels: Floats, row: int) -> Miss | None:
    x = np.zeros(len(labels))
    x[row] = 1
    z, counts = np.unique(np.round(labels * (x - x.mean()) / x.std(), 12), return_counts=True)
    expected = _limit(z * np.sqrt(len(labels) - 1), counts)
    hint = ""
    if value > 2 + 1e-6:
        hint = "This is a step size, not a normalised one, or one above the critical step size."
    elif expected < 2 and abs(value - 2) < 1e-6:
        hint = "Did you take the orbit from 0? The limit is that of the worst start."
    return near(value, expected, rtol=1e-5, hint=hint)


def _perceptron(value: float, n_plus: int, n: int) -> Miss | None:
    """The map of the limit in whole numbers: 2 n x, from x = 1 / (2 n) on, which never meets 0."""
    x, period = 1 + 2 * n_plus - 2 * n, 1
    while x != 1:
        x, period = x + 2 * n_plus - (2 * n if x > 0 else 0), period + 1
    hint = "That is a period, not the smallest." if value > period and not value % period else ""
    return near(value, period, hint=hint)


def _common(value: Floats, rng: Any) -> Miss | str:
    sets, n = value.shape
    if sets != 200 or not 3 <= n <= 60:
        return Miss("an array of shape (200, n), with n from 3 to 60", "One data set a row.")
    if not np.isfinite(value).all() or (value == 0).all(axis=1).any():
        return Miss("finite numbers, in no row all zero")
    rows = [z for z in value if _overlap(z)]
    share = np.concatenate([np.geomspace(0.01, 0.1, 20), np.linspace(0.12, 0.99, 60)])
    below = 0
    for z in rows:
        p, _, curvature = _line(z)
        below += bool(curvature * _pairs(share, z, p)[0].min() < 1.999)
    if not rows:
        return Miss("some rows with both signs", "All of your data sets are separable.")
    low, high = binomtest(below, len(rows)).proportion_ci()
    return (
        f"{below} of {len(rows)} data sets of {n} points have a pair below gamma = 1.999: "
        f"{100 * below / len(rows):.1f} %, 95 % interval {100 * low:.1f} to {100 * high:.1f} %."
    )


RECORDS = _records()
TRIANGLE = np.array([[1.0, 0.2], [-2.0, 0.2], [0.3, -1.0]])
ODD = np.array([2.0, -1.0, -1.5, 0.3])


def _labels(n_plus: int, n_minus: int) -> Floats:
    return np.repeat([1.0, -1.0], [n_plus, n_minus])


EXERCISES: dict[str, Exercise] = {
    "cycles-witness": Exercise(
        takes=("z",),
        inputs=(
            (TRIANGLE,),
            (TRIANGLE[::-1].copy(),),
            (np.array([[1.0, 0.2], [-2.0, 0.2], [0.3, 1.0]]),),
            (np.array([[3.0, 4.0], [-5.0, 0.0], [4.0, -3.0]]),),
            (np.array([[30.0, -1.0], [-20.0, -7.0], [-11.0, 0.5]]),),
        ),
        judge=_witness,
        hint="Two equations for three unknowns: the solution is known up to a factor.",
        returns="three numbers",
        shape=(3,),
    ),
    "cycles-pair": Exercise(
        takes=("gamma",),
        inputs=((2.5,), (1.5,), (3.0,), (2.05,), (8.0,), (2.0,), (40.0,)),
        judge=_pair,
        hint="One step of gradient descent takes U to -U.",
        returns="a number",
    ),
    "cycles-four": Exercise(
        takes=(),
        inputs=((),),
        judge=_four,
        hint="Keep what makes 1, 1, -1, 10 work, and change one number.",
        returns="five numbers: the four data, then the step size",
        shape=(5,),
    ),
    "cycles-end": Exercise(
        takes=("doublings",),
        inputs=(
            *((np.array(row),) for row in LIMITS.values()),
            (np.array([1.0, 1.5, 1.5 + 0.5 / DELTA]),),
            (np.array([3.0, 3.1]),),
        ),
        judge=_end,
        hint="Each gap is the one before it, divided by 4.6692. What do all the gaps add up to?",
        returns="a number",
    ),
    "cycles-flip": Exercise(
        takes=("z", "weights"),
        inputs=(
            (np.array([1.0, -1.0]), np.array([3.0, 1.0])),
            (np.array([1.0, -1.0, 10.0]), np.array([2.0, 1.0, 1.0])),
            (np.array([1.0, -1.0, 50.0]), np.array([3.0, 2.0, 1.0])),
            (ODD, np.ones(4)),
            (2 * ODD, np.array([1.0, 2.0, 1.0, 3.0])),
        ),
        judge=_flip,
        hint="Three derivatives of the loss at the minimiser. Do the weights sum to one?",
        returns="a number",
    ),
    "cycles-flat": Exercise(
        takes=(),
        inputs=((),),
        judge=_flat,
        hint="lambda is that of the minimiser (0, log N), not of the pair.",
        returns="five numbers: N, B, step size, U, beta",
        shape=(5,),
    ),
    "cycles-certify": Exercise(
        takes=(),
        inputs=((),),
        judge=_certified,
        hint="Search with ordinary numbers first, and certify what you find.",
        returns="three things: data, multiplicities, and the step size as a string",
        shape=None,
    ),
    "cycles-two": Exercise(
        takes=(),
        inputs=((),),
        judge=_two,
        hint="Only the factor between their sizes matters: -1 and B will do.",
        returns="two numbers",
        shape=None,
    ),
    "cycles-settled": Exercise(
        takes=("orbit",),
        inputs=tuple((record,) for _, record in RECORDS.values()),
        judge=_settled,
        hint="Try k = 1, 2, 3, ...: the first with w_{t+k} = w_t for all t, up to rounding.",
        returns="a whole number from 0 to 16",
        whole=True,
    ),
    "cycles-onehot": Exercise(
        takes=("labels", "row"),
        inputs=(
            (_labels(177, 182), 0),
            (_labels(182, 177), 0),
            (_labels(20, 24), 3),
            (_labels(24, 20), 30),
            (_labels(5, 6), 2),
        ),
        judge=_onehot,
        hint="Standardise the column first, then absorb the labels. How many values are left?",
        returns="a number",
    ),
    "cycles-perceptron": Exercise(
        takes=("n_plus", "n"),
        inputs=((3, 4), (2, 3), (6, 8), (50, 100), (35, 50), (1, 7), (3, 5)),
        judge=_perceptron,
        hint="Where is x, up to whole numbers, after k steps?",
        returns="a whole number",
        whole=True,
    ),
    "cycles-common": Exercise(
        takes=("rng",),
        inputs=((np.random.default_rng(0),),),
        judge=_common,
        hint="One data set a row: 200 rows.",
        returns="200 data sets of n points: an array of shape (200, n)",
        shape=(200, None),
    ),
}
