"""Proofs, on the reader's machine, that gradient descent from a given start ends on a cycle.

Data, step size and start are exact rational numbers. Ordinary arithmetic only makes guesses; what
a certificate says follows from intervals that contain the true numbers.
"""

import math
import re
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, InvalidOperation
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit  # type: ignore[import-untyped]

from optdyn import arguments, cycles, logistic
from optdyn.intervals import GradientMap, Vector, nearest, outwards, surely_less

Floats = NDArray[np.float64]
N_STEPS = 5000  # how far an orbit is followed unless the caller says
UNKNOWN = (math.nan, math.nan)
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


class Certificate(NamedTuple):
    """What `certify_cycle` has proved.

    proved: all of this: there is a cycle of exactly this period; each of the balls of `radius`
        around `points` holds a point of it; every orbit that starts in a ball converges to it; the
        orbit of the start enters a ball. False if anything is missing.
    normalized_step: low <= step_size * lambda <= high, lambda the largest eigenvalue of the Hessian
        at the minimiser; proved even where the cycle is not; (nan, nan) if unknown.
    minimizer: shape () or (d,), float64; if proved, within `radius` of the true one.
    points: shape (period,) or (period, d), float64, in order of visit, the one of the smallest
        first coordinate first; empty if not proved.
    radius: a float; nan if not proved.
    multiplier: -1 < low <= multiplier <= high < 1 in one dimension; in more low <= the largest
        modulus of the multipliers <= high < 1; (nan, nan) if not proved.
    reason: which step failed, with numbers; empty if proved.

    >>> Certificate(False, UNKNOWN, np.array(np.nan), np.empty(0), np.nan, UNKNOWN, "why").reason
    'why'
    """

    proved: bool
    normalized_step: tuple[float, float]
    minimizer: Floats
    points: Floats
    radius: float
    multiplier: tuple[float, float]
    reason: str


class _NotProved(Exception):
    """A step of the proof has failed; the message says which, with numbers."""


def _polish(the_map: GradientMap, c: Vector, k: int) -> tuple[list[Vector], Any]:
    """The k points of a cycle near the point c, and |M^k(c) - c|, by Newton's method.

    As exactly as the map computes; the Jacobian is only float64, so each round gains its digits.
    """
    best, least = [c], the_map.iv.inf
    for _ in range(100):
        points, jacobian = [c], np.eye(the_map.d)
        for _ in range(k):
            image, curvatures, _ = the_map.step(points[-1], the_map.iv.zero)
            with np.errstate(all="ignore"):
                jacobian = jacobian - nearest(the_map.hessian(curvatures)) @ jacobian
            points.append([x.mid for x in image])
        error = [a - b for a, b in zip(points[-1], c, strict=True)]
        size = the_map.norm(error).b
        if not surely_less(size, least):
            break
        best, least = points[:-1], size
        try:
            relative = nearest([x / size for x in error])
            move = np.linalg.solve(np.eye(the_map.d) - jacobian, relative)
        except (np.linalg.LinAlgError, ZeroDivisionError):
            break
        if not np.isfinite(move).all():
            break
        c = [(a + size * b).mid for a, b in zip(c, move.tolist(), strict=True)]
    return best, least


def _rounded(the_map: GradientMap, x: Any) -> Floats:
    """x in float64, with 0 where it is 0 for all that matters."""
    values: Floats = nearest(x)
    values[np.abs(values) < 1e-20 / nearest(max(the_map.lengths))] = 0.0
    return values


def _minimum(the_map: GradientMap, guess: Floats) -> tuple[Vector, Any, tuple[float, float]]:
    """A point, how near it the minimiser is, and bounds of step_size * lambda.

    H >= e^-s H(c) on a ball around c, s its radius r times max |z_i|. If H(c) > mu and
    |grad L(c)| < r mu e^-s, the outward slope of L at the surface, at least -|grad L(c)| +
    r mu e^-s, is above 0: the minimum of L on the ball, and so its only one, is inside.
    """
    (centre,), _ = _polish(the_map, the_map.point(guess), 1)
    image, curvatures, _ = the_map.step(centre, the_map.iv.zero)
    bend = the_map.hessian(curvatures)
    values, vectors = np.linalg.eigh(nearest(bend))
    unit = the_map.matrix(np.eye(the_map.d))
    mu, excess = the_map.iv.mpf(float(values[0]) / 2), -60
    failed = _NotProved(
        f"interval too wide: the curvature at the minimiser, between about {values[0]:.3g} and "
        f"{values[-1]:.3g} when multiplied by step_size, could not be enclosed."
    )
    steep = the_map.difference(bend, the_map.scaled(mu, unit))
    if not (surely_less(the_map.iv.zero, mu) and the_map.positive_definite(steep)):
        raise failed
    within = (2 * the_map.distance(image, centre) / mu).b
    turn = (max(the_map.lengths) * within).b
    if not surely_less(turn, the_map.iv.mpf(0.5)):
        raise failed
    spread = the_map.exp(turn).b  # below 2
    v = the_map.point(vectors[:, -1])
    bent = [the_map.dot(row, v) for row in bend]
    low = the_map.dot(v, bent) / the_map.dot(v, v)  # Rayleigh's quotient
    while excess < 0:
        high = low.b * (1 + the_map.iv.ldexp(the_map.iv.one, excess))
        if the_map.positive_definite(the_map.difference(the_map.scaled(high, unit), bend)):
            return centre, within, outwards(low / spread, high * spread)
        excess += 4
    raise failed


def _settled(rows: Floats, pull: Floats, w: Floats, k: int, n_steps: int) -> tuple[Floats, float]:
    """A guess, in ordinary arithmetic: where the orbit of w ends, and the bits that errors grow by.

    Raises: _NotProved if the orbit does not come back after k steps.
    """
    squares, orbit, bits, most = (rows * rows).sum(axis=1), [w], 0.0, 0.0
    with np.errstate(all="ignore"):
        for t in range(1, n_steps + 1):
            m = rows @ w
            sigma = expit(-m)
            stretch = abs(1 - (pull * sigma * expit(m)) @ squares)
            bits = max(bits, 0.0) + math.log2(max(stretch, 1.0 if len(w) > 1 else 1e-300))
            most = max(most, bits)
            w = w + (pull * sigma) @ rows
            orbit.append(w)
            if t >= 64 + k and not np.abs(w - orbit[-1 - k]).max() > 1e-15 * np.abs(w).max():
                break
        tail = np.array(orbit[-65 - k :])
        gap = float(np.abs(tail[-1] - tail[-1 - k]).max()) if len(tail) > k else math.nan
        if gap <= 0.01 / np.abs(rows).max():  # small where sigma(w.z_i) bends
            return w, most
        found = cycles.period(tail) if math.isfinite(gap) else 0
    seems = f"; it seems to end on a cycle of period {found}" if found else ""
    raise _NotProved(
        f"the start does not reach a cycle of period {k} in {n_steps} steps: in ordinary "
        f"arithmetic the last point is {gap:.3g} away from that of {k} steps before{seems}."
    )


def _contraction(jacobian: Floats) -> tuple[Floats, float]:
    """P >= 2 and q < 1 such that the matrix A shrinks |v|_P, |v|_P^2 = v.P v, to less than q |v|_P.

    P is the sum of 2 (A^T / g)^j (A / g)^j, j = 0, 1, ...: A^T P A < g^2 P, and g < q.
    """
    known = np.isfinite(jacobian).all()
    size = float(np.abs(np.linalg.eigvals(jacobian)).max()) if known else math.inf
    if not size < 1:
        raise _NotProved(
            f"not contracting: the largest multiplier is about {size:.9g} in modulus, and below 1 "
            f"is needed."
        )
    between = (1 + size) / 2
    power, total = jacobian / between, 2 * np.eye(len(jacobian))
    for _ in range(64):
        total = total + power.T @ total @ power
        power = power @ power
    return (total + total.T) / 2, (1 + between) / 2


class _Trap(NamedTuple):
    """What is proved about a cycle, whoever reaches it."""

    points: Floats
    radius: float
    multiplier: tuple[float, float]


def _trap(the_map: GradientMap, centres: list[Vector], minimum: Vector, within: Any) -> _Trap:
    """Prove that balls around the centres, in float64, hold a cycle and are attracted by it.

    The k-th iterate F shrinks |v|_P to q |v|_P on the ball |v|_P <= r around the first centre c. If
    |F(c) - c|_P < (1 - q) r, it maps that ball into itself: the ball has one fixed point, which
    attracts it and has |v|_P <= |F(c) - c|_P / (1 - q).
    """
    iv, k, points = the_map.iv, len(centres), _rounded(the_map, centres)
    size = max(np.abs(points).max(), 1 / nearest(max(the_map.lengths)))
    for j in range(1, k):
        if np.abs(points[j] - points[0]).max() <= 1e-9 * size:
            what = "ends on a fixed point, the minimiser" if j == 1 else f"ends on period {j}"
            raise _NotProved(f"period not prime: got {k}, but the orbit of the start {what}.")
    first = int(np.argmin(points[:, 0]))
    points = np.roll(points, -first, axis=0)
    loop = [*centres[first:], *centres[: first + 1]]
    (*_, defect), derivative = the_map.around(loop, iv.zero)
    p, shrink = _contraction(nearest(derivative))
    norm, q = the_map.matrix(p), iv.mpf(shrink)
    # |v| <= |v|_P <= wide |v|: P > 1, and no eigenvalue of P is above the largest row sum
    bounded = the_map.positive_definite(the_map.difference(norm, the_map.matrix(np.eye(the_map.d))))
    wide = iv.sqrt(max(sum((abs(x) for x in row), iv.zero).b for row in norm)).b
    inner = (wide * defect / (1 - q)).b
    holds, derivative = the_map.around(loop, inner)
    multiplier = outwards(*the_map.modulus(derivative))
    apart = [surely_less(holds[j] + inner, the_map.distance(loop[j], loop[0])) for j in range(1, k)]
    rounded = [the_map.distance(c, the_map.point(x)).b for c, x in zip(loop, points, strict=False)]
    least = max((a + b).b for a, b in zip(rounded, holds, strict=False))
    lowest = the_map.point(_rounded(the_map, minimum))
    least = max(least, (within + the_map.distance(minimum, lowest)).b)
    power = math.floor(math.log10(size))
    for exponent in range(power - 6, power - 16, -1):
        radius = float(f"1e{exponent}")
        ball = iv.mpf(radius)
        # every ball is carried into one around the first centre, and that is in |v|_P <= reach
        lands = [(ball + rounded[0]).b]
        lands += [the_map.around(loop, (ball + rounded[j]).b, j)[0][-1] for j in range(1, k)]
        reach = (wide * max(lands)).b
        derivative = the_map.around(loop, reach)[1]
        columns = [list(c) for c in zip(*derivative, strict=True)]
        pulled = the_map.product(columns, the_map.product(norm, derivative))
        if (
            bounded
            and the_map.positive_definite(the_map.difference(the_map.scaled(q * q, norm), pulled))
            and surely_less(wide * defect, (1 - q) * reach)
            and surely_less(least, ball)
            and all(apart)
            and -1 < multiplier[0] <= multiplier[1] < 1
        ):
            return _Trap(points, radius, multiplier)
    raise _NotProved(
        f"interval too wide: no ball of radius {radius:.0e} or more around the points is surely "
        f"contracted; about the multiplier of largest modulus only {multiplier[0]:.9g} to "
        f"{multiplier[1]:.9g} is known."
    )


def _enters(the_map: GradientMap, start: Vector, trap: _Trap, n_steps: int) -> bool:
    """Whether the orbit surely enters a ball; False if the arithmetic has too few bits to tell.

    Each iterate is within `error` of a point x; the image of x is computed, and rounded, afresh.
    """
    balls = [the_map.point(row) for row in trap.points]
    radius, error, stretch, image = the_map.iv.mpf(trap.radius), the_map.iv.zero, 0, start
    for _ in range(n_steps + 1):
        x = [u.mid for u in image]
        error = (stretch * error + the_map.distance(image, x)).b
        if not surely_less(error, radius):
            return False
        gaps = np.linalg.norm(trap.points - nearest(x), axis=1)
        ball = balls[np.argmin(gaps)]
        if min(gaps) <= trap.radius and surely_less(the_map.distance(x, ball) + error, radius):
            return True
        image, _, stretch = the_map.step(x, error)
    raise _NotProved(
        f"the start does not reach the cycle in {n_steps} steps: its last point is still "
        f"{min(gaps):.3g} away, and {trap.radius:.0e} is needed."
    )


def _decimal(name: str, value: Any) -> Fraction:
    if not isinstance(value, str):
        number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
        fix = f"pass {str(value)!r} if that is what you mean" if number else "write '10.140377'"
        raise TypeError(
            f"{name}: got {value!r}, a string that holds a decimal number is needed, because a "
            f"float is not exactly the decimal that you read and a proof is about one exact "
            f"number; {fix}."
        )
    try:
        decimal = Decimal(value if len(value) <= 400 and NUMBER.fullmatch(value) else "nan")
    except InvalidOperation:
        decimal = Decimal("nan")
    if not decimal.is_finite() or abs(decimal.adjusted()) > 300:
        raise ValueError(
            f"{name}: got {value[:40]!r}, a decimal number is needed, zero or between 1e-300 and "
            f"1e300 in size; write it like '10.140377'."
        )
    return Fraction(decimal)


def _integers(name: str, value: Any) -> NDArray[np.int64]:
    arguments.not_traced(**{name: value})
    numbers = arguments.real(name, value)
    if numbers.dtype.kind not in "iu":
        raise TypeError(
            f"{name}: got values of type {numbers.dtype}, whole numbers are needed, because a "
            f"proof is about exact ones; multiply the data by a power of ten and round."
        )
    largest = max((abs(int(x)) for x in numbers.flat), default=0)
    if largest > 2**31:
        raise ValueError(
            f"{name}: got {largest}, whole numbers of size up to 2**31 are allowed; rescale."
        )
    return np.asarray(numbers, np.int64)


def _start(value: Any, shape: tuple[int, ...]) -> list[Fraction]:
    d = math.prod(shape)
    value = value.item() if isinstance(value, np.ndarray) and value.ndim == 0 else value
    several = isinstance(value, list | tuple | np.ndarray)
    start = [_decimal("start", x) for x in (value if several else [value])]
    if not several and start == [0]:
        return start * d
    if len(start) != d:
        raise ValueError(
            f"start: got {len(start)} of the numbers of a point, {d} are needed for z with rows of "
            f"that length; give a list with one string for each, or '0' for the origin."
        )
    return start


def certify_cycle(
    z: Any,
    multiplicities: Any,
    step_size: str,
    *,
    period: int,
    start: Any = "0",
    n_steps: int | None = None,
) -> Certificate:
    """Prove that gradient descent from `start` ends on an attracting cycle of exactly this period.

    M^period(w) = w != M^j(w) for 0 < j < period, with M(w) = w - step_size * grad L(w), and all
    multipliers, the eigenvalues of D(M^period), below 1 in modulus. Period 1 is the minimiser. What
    cannot be proved is refused with a reason; nothing is claimed that is not proved.

    Args:
        z: absorbed data, whole numbers, shape (n,) or (n, d).
        multiplicities: how often each row occurs, whole numbers from 1, shape (n,).
        step_size: a string with a decimal number above 0, in units of w^2 / loss.
        period: the number of points of the cycle.
        start: a string with a decimal number, or d of them; "0" is the origin in any dimension.
        n_steps: the orbit has to come near the cycle within so many; default 5000.

    Returns: `Certificate`, in 0.02 to 0.6 s for the cycles of `datasets`.
    Raises: ImportError without mpmath; TypeError or ValueError naming the argument.
    Source: derived in chapters/cycles; the method is that of Tucker, Validated Numerics (2011).

    >>> certificate = certify_cycle([1, -1, 10], [2, 1, 1], "10.140377", period=2)
    >>> print(certificate.proved, certificate.points, certificate.radius)
    True [0.34180924 1.77022859] 1e-06
    >>> certify_cycle([1, -1, 10], [2, 1, 1], "10.140377", period=4).reason
    'period not prime: got 4, but the orbit of the start ends on period 2.'
    """
    try:
        import mpmath  # type: ignore[import-untyped]  # noqa: F401
    except ImportError:
        raise ImportError(
            "certify_cycle computes with mpmath, which is not installed; "
            "run `pip install optdyn[certify]`."
        ) from None
    points, counts = _integers("z", z), _integers("multiplicities", multiplicities)
    arguments.data(points)
    if counts.shape != points.shape[:1] or counts.min() < 1:
        raise ValueError(
            f"multiplicities: got {counts.tolist()}, {len(points)} whole numbers from 1 are "
            f"needed, one for each row of z; leave out rows that do not occur."
        )
    eta = _decimal("step_size", step_size)
    if eta <= 0:
        raise ValueError(
            f"step_size: got {step_size!r}, a number above 0 is needed; a start is a fraction of "
            f"logistic.critical_step_size(z)."
        )
    k = arguments.count("period", period)
    limit = N_STEPS if n_steps is None else arguments.count("n_steps", n_steps, least=0)
    shape = points.shape[1:]
    w0 = _start(start, shape)

    rows, p = arguments.distinct(points.reshape(len(points), len(w0)), counts)
    step, minimizer = UNKNOWN, np.full(shape, math.nan)
    try:
        try:
            guess = logistic.minimizer(rows[:, 0] if len(w0) == 1 else rows, p).reshape(len(w0))
        except ValueError as problem:
            what = "separable" if logistic.is_separable(rows) else "not determined"
            raise _NotProved(f"{what}: no minimiser; {problem}") from None
        the_map = GradientMap(rows, p, eta, 256)
        minimum, within, step = _minimum(the_map, guess)
        minimizer = _rounded(the_map, minimum).reshape(shape)
        pull, first = float(eta) * p / p.sum(), np.array([float(x) for x in w0])
        near, growth = _settled(rows.astype(float), pull, first, k, max(limit, N_STEPS))
        centres, error = _polish(the_map, the_map.point(near), k)
        moved = np.linalg.norm(nearest(centres[0]) - near)
        if not (max(moved, 1e30 * nearest(error)) * np.abs(rows).max() < 1):
            raise _NotProved(
                f"the start does not reach a cycle of period {k} in {max(limit, N_STEPS)} steps: "
                f"in ordinary arithmetic none is near its last point, {near.tolist()}."
            )
        trap = _trap(the_map, centres, minimum, within)
        for extra in (64, 256, 1024, 4096):
            bits = max(128, int(growth - math.log2(trap.radius)) + extra)
            the_map = GradientMap(rows, p, eta, bits)
            if _enters(the_map, [the_map.exact(x) for x in w0], trap, limit):
                found = trap.points.reshape(k, *shape)
                return Certificate(True, step, minimizer, found, trap.radius, trap.multiplier, "")
        raise _NotProved(
            f"interval too wide: {bits} bits do not tell whether the orbit of the start comes "
            f"within {trap.radius:.0e} of the cycle."
        )
    except _NotProved as problem:
        none = np.empty((0, *shape))
        return Certificate(False, step, minimizer, none, math.nan, UNKNOWN, str(problem))


def _bracket(pair: tuple[float, float]) -> str:
    unit, (low, high) = Decimal("1e-6"), map(Decimal, pair)
    return f"[{low.quantize(unit, ROUND_FLOOR)}, {high.quantize(unit, ROUND_CEILING)}]"


def report(certificate: Certificate) -> str:
    """What a certificate proves, or why there is none, in a sentence.

    Args: certificate, from `certify_cycle`.
    Returns: a string; the ends of intervals are rounded outwards.
    Raises: TypeError for anything else.
    Source: the definition of `Certificate`.

    >>> import textwrap
    >>> print(textwrap.fill(report(certify_cycle([1, -1], [1, 1], "5", period=1)), 76))
    Proved on your machine: the orbit of the start converges to the minimiser,
    within 1e-06 of 0.0; step_size * lambda in [1.249999, 1.250001], multiplier
    in [-0.250001, -0.249999].
    """
    if not isinstance(certificate, Certificate):
        raise TypeError(
            f"certificate: got {type(certificate).__name__}, a Certificate is needed; pass what "
            f"certify_cycle returns."
        )
    if not certificate.proved:
        return f"Not certified: {certificate.reason}"
    points, period = certificate.points.tolist(), len(certificate.points)
    line = certificate.points.ndim == 1 or certificate.points.shape[1] == 1
    where = " and ".join(
        f"({', '.join(map(str, x))})" if isinstance(x, list) else str(x) for x in points
    )
    what = "the minimiser" if period == 1 else f"a cycle of period {period}"
    which = "multiplier" if line else "largest modulus of a multiplier"
    return (
        f"Proved on your machine: the orbit of the start converges to {what}, within "
        f"{certificate.radius:.0e} of {where}; step_size * lambda in "
        f"{_bracket(certificate.normalized_step)}, {which} in {_bracket(certificate.multiplier)}."
    )
