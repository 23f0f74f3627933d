"""The exercises of the shift-K chapter: what is tried, and how a right answer is told.

See `optdyn.check` for how this is used, and chapters/shiftk/solutions.ipynb for the statements.
Everything is computed here in plain NumPy, SciPy and exact fractions, apart from the rest of the
library, and by another way than the one that the statements ask for: errors by letting impulses
run through chains of filters, memory by projections, budgets by linear programmes, constants by
sums cut off far out, readouts by interpolation in rational numbers.
"""

from __future__ import annotations

from fractions import Fraction
from math import log10
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import quad  # type: ignore[import-untyped]
from scipy.optimize import brentq, linprog, minimize_scalar  # type: ignore[import-untyped]
from scipy.signal import lfilter  # type: ignore[import-untyped]

from optdyn.answers import Exercise, Miss, near

__all__ = ["EXERCISES"]

Floats = NDArray[np.float64]


def _is(value: Any, other: Any) -> bool:
    """Whether a wrong answer is this one."""
    return near(value, other, rtol=1e-4, atol=1e-8) is None


def _poles(decay: Floats, phase: Floats) -> Any:
    return np.exp(-np.asarray(decay) + 1j * np.asarray(phase))


def _error(poles: Any, lag: int) -> float:
    """The error of the best readout: an impulse through one all-pass section a pole."""
    out = np.eye(1, lag + 1)[0].astype(complex)
    for a in poles:
        out = lfilter([-np.conj(a), 1.0], [1.0, -a], out)
    return float((abs(out) ** 2).sum())


# --- after the phenomenon --------------------------------------------------------------


def _impulse(matrix: Floats, enters: Floats, leaves: Floats, n: int) -> Floats:
    """The output after one impulse, by running the recurrence."""
    x, out = np.asarray(enters, float), []
    for _ in range(n):
        out.append(float(leaves @ x))
        x = matrix @ x
    return np.array(out)


def _scale(value: Floats, matrix: Floats, enters: Floats, leaves: Floats, lag: int) -> Miss | None:
    c = _impulse(matrix, enters, leaves, 4_000)
    target = np.eye(1, len(c), lag)[0]

    def loss(g: float) -> float:
        return float(((g * c - target) ** 2).sum())

    bend = (loss(1.0) + loss(-1.0)) / 2 - loss(0.0)  # a parabola through three points
    factor = (loss(-1.0) - loss(1.0)) / 4 / bend
    expected = np.array([factor, loss(factor)])
    kept = (c[: lag + 1] ** 2).sum()
    hint = ""
    if _is(value[::-1], expected):
        hint = "The factor first, then the loss."
    elif _is(value, [c[lag], loss(c[lag])]) or _is(value[0], c[lag]):
        hint = "The minimum of a parabola in g: its second coefficient is not 1."
    elif _is(value[0], c[lag + 1] / bend):
        hint = "The newest input has already entered the state when the output is read."
    elif kept > 0 and _is(value[0], c[lag] / kept):
        hint = "The filter does not end at the lag. What comes after it costs, too."
    elif _is(value, [factor, loss(1.0)]):
        hint = "The second number is the loss after scaling."
    elif near(value, expected, rtol=1e-2) is None:
        hint = "Nearly. This state forgets slowly: where does the sum end?"
    return near(value, expected, hint=hint)


def _left_over(value: float, order: int, lag: int, gain: float, later: int) -> Miss | None:
    """The largest M(later) over all curves that keep the rules."""
    n = later + 1
    falls = np.eye(n - 1, n, 1) - np.eye(n - 1, n)
    bounds: list[tuple[float, float]] = [(0.0, 1.0)] * n
    bounds[lag] = (gain, gain)
    found = linprog(
        -np.eye(1, n, later)[0],
        A_ub=np.vstack([falls, np.ones(n)]),
        b_ub=np.append(np.zeros(n - 1), order),
        bounds=bounds,
    )
    expected = -float(found.fun)
    hint = ""
    if value > gain + 1e-9:
        hint = "A later lag is never recalled better than an earlier one."
    elif _is(value, gain):
        hint = "Is there enough left for a level curve, up to the later lag?"
    elif _is(value, min(gain, (order - lag * gain) / (later - lag))):
        hint = "How many lags are there from 0 to K?"
    elif _is(value, min(gain, order - (lag + 1) * gain)):
        hint = "If a later lag has q, so have the lags between, at least."
    return near(value, expected, hint=hint)


def _exit_law(value: Floats, decay: Floats, phase: Floats, n: int) -> Miss | None:
    """Differences of the memory curve, which is a projection on the states' sequences."""
    if value.shape != (n,):
        return Miss(f"{n} numbers")
    length = int(n + 40 / np.min(decay))
    powers = np.exp(np.outer(np.arange(length), -decay + 1j * phase))
    memory = (abs(np.linalg.qr(powers)[0][:n]) ** 2).sum(axis=1)
    expected = -np.diff(memory, prepend=1.0)
    hint = ""
    if (value < -1e-9).any():
        hint = "These are probabilities, and none of them is negative."
    elif _is(value**2, expected):
        hint = "These are amplitudes. What has the sum 1?"
    elif _is(value, np.cumsum(expected)):
        hint = "These are the errors at lags 0, 1, ...: the sums of what is asked for."
    elif _is(value, 1 - np.cumsum(expected)):
        hint = "This is the memory curve. How much does it fall from one lag to the next?"
    elif value.sum() > 1 + 1e-6:
        hint = "They add up to more than 1. Is the modulus 1 on the circle? Mind what is barred."
    return near(value, expected, rtol=1e-6, atol=1e-9, hint=hint)


# --- after the mechanism ---------------------------------------------------------------


def _lost(x: float, rho: float) -> float:
    """The power of the input outside the best band of width 2 pi x."""

    def spectrum(omega: float) -> float:
        return float((1 - rho**2) / (1 - 2 * rho * np.cos(omega) + rho**2))

    low, high = (x * np.pi, np.pi) if rho >= 0 else (0.0, (1 - x) * np.pi)
    return float(quad(spectrum, low, high, epsabs=1e-13, epsrel=1e-11, limit=200)[0] / np.pi)


def _share(value: float, error: float, rho: float) -> Miss | None:
    if not 0 <= value <= 1:
        return Miss("a number between 0 and 1", "With S = K + 1 states nothing is lost.")
    expected = float(brentq(lambda x: _lost(x, rho) - error, 0, 1, xtol=1e-14, rtol=1e-13))
    plain = 2 / np.pi * np.arctan(np.tan(np.pi * (1 - error) / 2) * (1 - rho) / (1 + rho))
    hint = ""
    if rho < 0 and _is(value, plain):
        hint = "The best band is where the spectrum is largest. Where is that for this rho?"
    elif _is(value, 1 - expected):
        hint = "That is the share of the circle that is given up."
    elif _is(value, 2 * expected) or _is(value, expected / 2):
        hint = "A band |omega| < W has width 2 W, out of 2 pi."
    elif _is(value, 1 - error):
        hint = "That is right for white input only."
    return near(value, expected, rtol=1e-6, atol=1e-10, hint=hint)


def _slope(value: float, decay: Floats, phase: Floats, lag: int) -> Miss | None:
    """A difference quotient of the error, of fourth order."""
    h = 1e-3 * float(np.min(decay))
    step = [_error(_poles(decay + k * h, phase), lag) for k in (-2, -1, 1, 2)]
    expected = (step[0] - 8 * step[1] + 8 * step[2] - step[3]) / (12 * h)
    hint = ""
    if _is(value, -expected):
        hint = "If the centre lies beyond K, does more damping help?"
    elif _is(value, expected / 2) or _is(value, 2 * expected):
        hint = "A factor 2: the derivative of a square."
    elif lag and _is(value, -expected / lag):
        hint = "Decays are per step: no lag is divided out."
    elif _is(value, expected / (1 - _error(_poles(decay, phase), lag))):
        hint = "The centre is a mean; the sum that is needed is not divided by the energy."
    return near(value, expected, rtol=1e-6, atol=1e-9, hint=hint)


def _kappa(value: float, alpha: float, spacing: float) -> Miss | None:
    """Gain times K / S for very many poles and a far longer lag, summed as it stands."""

    def finite(order: int) -> float:
        m = np.arange(1, order)
        turn = 2 * np.pi * m / spacing
        wave = (2 * alpha * np.cos(turn) + turn * np.sin(turn)) / (4 * alpha**2 + turn**2)
        total = 1 / (2 * alpha) + 2 * ((1 - m / order) * wave).sum()
        return float(np.exp(-2 * alpha) / total)

    expected = 2 * finite(400_001) - finite(200_001)
    hint = ""
    if spacing <= 1 and _is(value, (1 - np.exp(-2 * alpha * spacing)) / spacing):
        hint = "Where are the echoes now? One of them has come to a lag before K."
    elif spacing == 1 and near(value, _one_echo(alpha), rtol=1e-3) is None:
        hint = "Half of the echo at lag 0 lies before the beginning of time."
    elif _is(value, (1 - np.exp(-4 * alpha)) / 2):
        hint = "That is the spacing of the paper, 2."
    elif _is(value, spacing * expected):
        hint = "At each echo the poles add up again, once in how much time?"
    return near(value, expected, rtol=2e-4, atol=1e-6, hint=hint)


def _one_echo(alpha: float) -> float:
    """A wrong limit for spacing 1, in which all of the echo at lag 0 is counted."""
    return float(np.exp(-2 * alpha) * (1 - np.exp(-2 * alpha)))


def _real_poles(value: Floats, poles: Floats, lag: int) -> Miss | None:
    """The best filter equals z^K at each pole; its numerator by Lagrange, in exact fractions."""
    a = [Fraction(float(pole)) for pole in poles]
    weights = []
    for s in a:
        sum_ = Fraction(0)
        for t in a:
            at = t**lag
            for u in a:
                at *= 1 - t * u
                if u != t:
                    at *= (1 / s - u) / (t - u)
            sum_ += at
        for u in a:
            if u != s:
                sum_ /= 1 - u / s
        weights.append(sum_)
    gain = float(sum(b * s**lag for b, s in zip(weights, a, strict=True)))
    square = sum(b * b for b in weights)
    size = (log10(square.numerator) - log10(square.denominator)) / 2
    expected = np.array([gain, size])
    hint = ""
    if _is(value[::-1], expected):
        hint = "The gain first, then the size of the readout."
    elif _is(value, [gain, 10**size]) or _is(value, [gain, size * np.log(10)]):
        hint = "The logarithm to base 10 is asked for."
    elif _is(value, [gain, 2 * size]):
        hint = "The norm, not its square."
    elif _is(value, [1 - gain, size]):
        hint = "The gain is 1 minus the error."
    elif len(a) > 3:
        hint = "With few poles it may be right. How many digits does this solve lose?"
    return near(value, expected, rtol=1e-5, atol=1e-9, hint=hint)


# --- after the laboratory --------------------------------------------------------------


def _comb(value: Floats, order: int, lag: int) -> Miss | None:
    """All sections in a row, and a search over the radius."""
    turn = np.exp(2j * np.pi * np.arange(order) / order)
    decays = np.geomspace(1e-2, 10, 100) / lag
    first = int(np.argmin([_error(np.exp(-decay) * turn, lag) for decay in decays]))
    between = decays[first - 1], decays[first + 1]
    least = minimize_scalar(
        lambda decay: _error(np.exp(-decay) * turn, lag), bounds=between, method="bounded"
    ).fun
    radius, error = value
    if not 0 < radius < 1:
        return Miss("a radius between 0 and 1, and an error", "Poles lie inside the circle.")
    truly = _error(radius * turn, lag)
    if abs(error - truly) > 1e-7:
        hint = ""
        if abs(1 - error - truly) < 1e-7:
            hint = "That is the gain."
        elif abs(error - (1 - (1 - radius ** (2 * order)) * radius ** (2 * lag))) < 1e-7:
            hint = "Is K a multiple of S here? Which lag does each of the S streams see?"
        return Miss(f"the error {truly:.10g} for the radius {radius:.10g}", hint)
    if truly > least + 1e-9:
        hint = ""
        if abs(radius ** (2 * lag) - np.exp(-1.0)) < 1e-6:
            hint = "Close to it, but not the best: maximise over radius^(2S) exactly."
        return Miss(f"the error {least:.10g}, which another radius has", hint)
    return None


def _alone(value: Floats, decay: Floats, phase: Floats, lag: int, rho: float) -> Miss | None:
    """Integrals over all frequencies, as means over a fine grid."""
    if value.shape != decay.shape:
        return Miss(f"{len(decay)} numbers, one for each pole")
    omega = 2 * np.pi * np.arange(2**16) / 2**16
    spectrum = (1 - rho**2) / abs(1 - rho * np.exp(-1j * omega)) ** 2
    expected, white, cross_ = [], [], []
    for a in _poles(decay, phase):
        response = 1 / (1 - a * np.exp(-1j * omega))
        cross = abs(np.mean(spectrum * response * np.exp(1j * lag * omega))) ** 2
        expected.append(cross / np.mean(spectrum * abs(response) ** 2))
        white.append((1 - abs(a) ** 2) * abs(a) ** (2 * lag))
        cross_.append(cross)
    hint = ""
    if rho and _is(value, white):
        hint = "That is right for white input. Neighbours of u_{n-K} are in the state, too."
    elif _is(value**2, expected):
        hint = "These are correlations; a share of variance is the square of one."
    elif _is(value, cross_):
        hint = "Divide by the variance of the state."
    elif _is(value, 1 - np.array(expected)):
        hint = "These are errors; the gains are asked for."
    return near(value, expected, rtol=1e-6, atol=1e-12, hint=hint)


def _radii(value: Floats, radius: float, lag: int, damping: float, n_steps: int) -> Miss | None:
    """Each new pole by a search: b / (1 - a z) with the value and the slope of z^K at z = r."""
    if value.shape != (n_steps + 1,):
        return Miss(f"{n_steps + 1} numbers: the start and one for each step")

    def walk(damping: float, mean: str) -> Floats:
        radii = [radius]
        for _ in range(n_steps):
            r = radii[-1]
            new = brentq(lambda a, r=r: a * r - lag * (1 - a * r), 0, 1 / r, xtol=1e-15)
            weighted = (1 - damping) * r + damping * new
            radii.append(r ** (1 - damping) * new**damping if mean == "logs" else weighted)
        return np.array(radii)

    expected = walk(damping, "logs")
    hint = ""
    if _is(value, walk(1.0, "logs")):
        hint = "These are the steps without damping."
    elif _is(value, walk(damping, "radii")):
        hint = "The damped step is halfway between the logarithms, not between the poles."
    elif _is(value, walk(1 - damping, "logs")):
        hint = "Damping 0 stays where it is; damping 1 takes the whole step."
    elif not _is(value[0], radius):
        hint = "The first number is the start."
    return near(value, expected, rtol=1e-6, atol=1e-9, hint=hint)


BEST = {(16, 64): 0.7891139797}  # the lowest errors that this book has found


def _placed(value: Floats, order: int, lag: int) -> Miss | str:
    if value.shape != (order, 2) or not np.isfinite(value).all() or value[:, 0].min() <= 0:
        return Miss(f"{order} rows of decay and phase, every decay positive and finite")
    gain, best = 1 - _error(_poles(*value.T), lag), 1 - BEST[order, lag]
    text = (
        f"Your {order} poles recall {gain:.6f} of the variance at lag {lag}: {gain * lag:.4f} / "
        f"{lag}. The bound allows {order / (lag + 1):.6f}; the best that this book has found is "
        f"{best:.6f}."
    )
    if gain > best + 2e-7:
        text += " Yours is better. Please write to the authors."
    return text


GRID = np.linspace(-5, 5, 401)  # values of the input at which a gate is asked for


def _gate(value: Floats, u: Floats, order: int, lag: int) -> Miss | str:
    """Latches with clocks: held is what was written, if fewer than S writes came after."""
    if value.shape != u.shape or value.min() < 0 or value.max() > 1:
        return Miss(f"{len(u)} chances between 0 and 1, one for each u")
    rng, n = np.random.default_rng(5), 400_000
    inputs, chance = rng.normal(size=n), rng.random(n)

    def gain(gate: Floats) -> float:
        writes = chance < np.interp(inputs, u, gate)
        count = np.cumsum(writes)
        held = writes[:-lag] & (count[lag:] - count[:-lag] < order)
        return float((inputs[:-lag] ** 2 * held).sum() / (inputs[:-lag] ** 2).sum())

    blind = max(gain(np.full(len(u), share * order / lag)) for share in (0.6, 0.7, 0.8, 0.9))
    return (
        f"{order} latches recall {gain(value):.4f} of the variance at lag {lag} with your gate, "
        f"{blind:.4f} with one that writes blindly; a linear state of order {order} at most "
        f"{order / (lag + 1):.4f}."
    )


DECAYS = np.array([0.3, 0.3, 0.3])
PHASES = np.array([-1.0, 0.4, 2.0])
_rotation = 0.95 * np.array([[np.cos(0.4), -np.sin(0.4)], [np.sin(0.4), np.cos(0.4)]])
_dense = np.array([[0.5, 0.3, -0.2], [-0.4, 0.6, 0.1], [0.2, -0.1, 0.7]])
_shift = np.array([[0.0, 0.0], [1.0, 0.0]])

EXERCISES: dict[str, Exercise] = {
    "shiftk-scale": Exercise(
        takes=("matrix", "enters", "leaves", "lag"),
        inputs=(
            (np.array([[0.9]]), np.array([1.0]), np.array([0.5]), 5),
            (_rotation, np.array([1.0, 0.0]), np.array([0.2, -1.0]), 4),
            (np.array([[0.8, 1.0], [0.0, 0.8]]), np.array([0.0, 1.0]), np.array([1.0, 0.3]), 8),
            (_dense, np.array([1.0, 0.5, -1.0]), np.array([0.3, 1.0, 2.0]), 2),
            (_shift, np.array([1.0, 0.0]), np.array([0.0, 2.0]), 1),
            (_shift, np.array([1.0, 0.0]), np.array([0.0, 2.0]), 0),
            (np.array([[0.995]]), np.array([1.0]), np.array([1.0]), 100),
        ),
        judge=_scale,
        hint="Let one impulse run through the recurrence and look at what comes out, step by step.",
        returns="two numbers: the factor and the loss",
        shape=(2,),
    ),
    "shiftk-budget": Exercise(
        takes=("order", "lag", "gain", "later"),
        inputs=(
            (4, 9, 0.38, 15),
            (4, 9, 0.3, 11),
            (8, 20, 0.1, 40),
            (1, 0, 1.0, 5),
            (5, 3, 1.0, 4),
            (16, 63, 0.25, 100),
            (16, 63, 0.2, 2_000),
        ),
        judge=_left_over,
        hint="Draw the lowest curve that has M(K) = gain, and the lowest that also has q later.",
    ),
    "shiftk-exit": Exercise(
        takes=("decay", "phase", "n"),
        inputs=(
            (np.array([0.2]), np.array([0.0]), 4),
            (np.array([0.1]), np.array([1.0]), 6),
            (DECAYS, PHASES, 12),
            (np.array([0.05, 0.4, 1.5, 0.1]), np.array([0.3, -0.2, 2.5, 1.0]), 60),
            (np.array([2.0, 3.0]), np.array([0.0, 3.0]), 3),
        ),
        judge=_exit_law,
        hint="One pole first: expand (z - conj(a)) / (1 - a z) in powers of z. Then multiply.",
        returns="the chances of leaving at steps 0, 1, ..., n - 1",
        shape=(None,),
    ),
    "shiftk-slow": Exercise(
        takes=("error", "rho"),
        inputs=((0.5, 0.0), (0.1, 0.9), (0.1, 0.99), (0.3, -0.8), (0.9, 0.5), (1e-3, 0.999)),
        judge=_share,
        hint="First the error for a given share: integrate the spectrum over what is lost.",
    ),
    "shiftk-centre": Exercise(
        takes=("decay", "phase", "lag"),
        inputs=(
            (np.array([0.05]), np.array([0.0]), 10),
            (np.array([0.05]), np.array([0.7]), 30),
            (np.array([0.1, 0.2]), np.array([0.3, -0.3]), 8),
            (np.full(5, 0.05), np.arange(-2, 3) * 0.25, 20),
            (DECAYS, PHASES, 0),
            (np.array([0.1, 0.05, 0.4]), np.array([0.0, 0.5, 2.0]), 25),
        ),
        judge=_slope,
        hint="At the best readout the error does not change with b, to first order.",
    ),
    "shiftk-spacing": Exercise(
        takes=("alpha", "spacing"),
        inputs=((1.0, 2.0), (0.5, 3.0), (1.0, 1.2), (2.0, 1.1), (1.0, 0.8), (1.5, 1.0), (0.3, 0.4)),
        judge=_kappa,
        hint="The poles add up at one time and again at echoes. Weigh the energy of each.",
    ),
    "shiftk-real": Exercise(
        takes=("poles", "lag"),
        inputs=(
            (np.array([0.9]), 9),
            (np.array([0.9, 0.5]), 9),
            (np.array([0.97, 0.9, 0.8]), 20),
            (1 - 0.05 * 1.1 ** np.arange(8), 64),
            (1 - 0.2 * 1.01 ** np.arange(16), 64),
        ),
        judge=_real_poles,
        hint="The normal equations, with the Gram matrix 1 / (1 - a_s a_t).",
        returns="two numbers: the gain, and log10 of the norm of the readout",
        shape=(2,),
    ),
    "shiftk-comb": Exercise(
        takes=("order", "lag"),
        inputs=((1, 10), (4, 12), (4, 15), (16, 64), (5, 64), (40, 64), (64, 64)),
        judge=_comb,
        hint="Multiply the factors (1 - a_s z) over the whole circle first.",
        returns="two numbers: the best radius and its error",
        shape=(2,),
    ),
    "shiftk-dead": Exercise(
        takes=("decay", "phase", "lag", "rho"),
        inputs=(
            (np.array([0.1, 0.02]), np.array([0.0, 1.0]), 10, 0.0),
            (np.array([0.1, 0.02, 0.02]), np.array([0.0, 1.0, 3.0]), 10, 0.9),
            (np.array([-np.log(0.5)]), np.array([0.0]), 4, 0.5),
            (np.array([1 / 64, 0.5, 1 / 64]), np.array([0.05, 0.1, 2.0]), 64, 0.95),
            (np.array([0.3, 0.05]), np.array([3.0, -0.5]), 6, -0.7),
        ),
        judge=_alone,
        hint="One state and one target: the square of their correlation.",
        returns="one gain for each pole",
        shape=(None,),
    ),
    "shiftk-cycle": Exercise(
        takes=("radius", "lag", "damping", "n_steps"),
        inputs=((0.99, 16, 1.0, 5), (0.9, 64, 0.5, 3), (0.95, 8, 0.25, 10), (0.5, 16, 0.9, 6)),
        judge=_radii,
        hint="Divide the condition on the slope by the condition on the value.",
        returns="the moduli of the pole, the start included",
        shape=(None,),
    ),
    "shiftk-poles": Exercise(
        takes=("order", "lag"),
        inputs=((16, 64),),
        judge=_placed,
        hint="A decay and a phase for each pole.",
        returns="an array of shape (order, 2): decay and phase of each pole",
        shape=(None, None),
    ),
    "shiftk-gate": Exercise(
        takes=("u", "order", "lag"),
        inputs=((GRID, 4, 64),),
        judge=_gate,
        hint="A chance for each u.",
        returns="as many chances as there are numbers in u",
        shape=(None,),
    ),
}
