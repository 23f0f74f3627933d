"""The exercises of the Adam chapter: what is tried, and how a right answer is told.

See `optdyn.check` for how this is used, and chapters/adam/solutions.ipynb for the statements.
Everything is computed here in plain NumPy, SciPy and exact fractions, apart from the rest of the
library, and by another way than the one that the statements ask for: averages by fractions, late
directions and walks by running them, variances by all batches, matched moments by a search,
stationary laws by linear algebra.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize  # type: ignore[import-untyped]
from scipy.signal import lfilter  # type: ignore[import-untyped]
from scipy.stats import norm  # type: ignore[import-untyped]

from optdyn.answers import Exercise, Miss, near

__all__ = ["EXERCISES"]

Floats = NDArray[np.float64]


def _is(value: Any, other: Any) -> bool:
    """Whether a wrong answer is this one."""
    return near(value, other, rtol=1e-5, atol=1e-9) is None


# --- after the phenomenon --------------------------------------------------------------


def _confidence(value: Floats, gradients: Floats, beta: float) -> Miss | None:
    """Both averages in exact fractions, and their difference."""
    b, m, v, unscaled = Fraction(beta), Fraction(0), Fraction(0), Fraction(0)
    for g in map(Fraction, gradients.tolist()):
        unscaled = b * unscaled + (1 - b) * (g - m) ** 2
        m, v = b * m + (1 - b) * g, b * v + (1 - b) * g * g
    mean, spread = float(m), float(v - m * m)
    direction = mean / float(v) ** 0.5 if v else 0.0
    expected = np.array([mean, spread, direction])
    mass = 1 - beta ** len(gradients)
    hint = ""
    if _is(value[[0, 2]], [mean, abs(direction)]) and direction < 0:
        hint = "A confidence has no sign, a direction has one."
    elif _is(value[1], float(v)):
        hint = "That is the average of the squares; the variance about the mean is asked for."
    elif _is(value[1], float(unscaled)):
        hint = "Nearly: one factor is missing before that average."
    elif _is(value[1], float(unscaled * b * b)):
        hint = "The distance is from the mean before this gradient came."
    elif _is(value[0], mean / mass) and not _is(value[0], mean):
        hint = "No bias correction here: both averages begin at 0."
    elif _is(value[[0, 2]], [mean, direction]):
        hint = "Do two large numbers nearly cancel? There is a recursion in which nothing does."
    return near(value, expected, hint=hint)


def _late(pattern: Floats, decay: float, beta: float) -> tuple[Floats, Floats]:
    """Direction and mean over the last period of a run, measured in units of the pattern."""
    period = len(pattern)
    log = np.log(beta) if beta else -1.0
    slowest = min(abs(log + decay), abs(log + 2 * decay))
    m = v = 0.0
    out, means = np.zeros(period), np.zeros(period)
    for _ in range(int(60 / slowest / period) + 3):
        for j, p in enumerate(pattern.tolist()):
            m, v = beta * m + (1 - beta) * p, beta * v + (1 - beta) * p * p
            out[j], means[j] = (m / v**0.5 if v else 0.0), m
            m, v = m * np.exp(decay), v * np.exp(2 * decay)  # the unit shrinks
            if v > 1e200:
                return np.zeros(period), means
    return np.where(abs(out) < 1e-9, 0, out), means


def _stream(value: Floats, pattern: Floats, decay: float, beta: float) -> Miss | None:
    if value.shape != pattern.shape:
        return Miss(f"{len(pattern)} numbers, one period")
    expected, means = _late(pattern, decay, beta)
    hint = ""
    if decay and _is(value, _late(pattern, 0.0, beta)[0]):
        hint = "That is right without the decay. In units of the pattern, who grows?"
    elif len(pattern) > 1 and any(_is(value, np.roll(expected, s)) for s in (-1, 1)):
        hint = "One step off: the first number belongs to the first gradient of the pattern."
    elif _is(value, np.sign(means)) and not _is(means, 0 * means):
        hint = "That is Signum."
    elif not expected.any() and value.any():
        hint = "Which of the two averages forgets more slowly than the gradients die?"
    return near(value, expected, atol=1e-7, hint=hint)


def _snr(value: Floats, fraction: float, beta: float, rho: float) -> Miss | None:
    """The noise of the mean, by letting one shock run through two filters."""
    n = int(60 / min(1 - beta, 1 - abs(rho)))
    shock = np.eye(1, n)[0] * (1 - rho**2) ** 0.5
    response = lfilter([1 - beta], [1, -beta], lfilter([1], [1, -rho], shock))
    needed = float(norm.ppf((1 + fraction) / 2))
    x = needed * float((response**2).sum()) ** 0.5
    expected = np.array([x, x / np.hypot(1, x)])
    white = needed * ((1 - beta) / (1 + beta)) ** 0.5
    hint = ""
    if _is(value[::-1], expected):
        hint = "The ratio first, then Adam's step."
    elif _is(value, [x, fraction]):
        hint = "The second number is Adam's step at that ratio, not Signum's."
    elif rho and _is(value[0], white):
        hint = "That is right for independent noise."
    elif beta and _is(value[0], needed):
        hint = "That is right without an average, for beta = 0."
    elif _is(value[0] * 2**0.5, x):
        hint = "A root of 2: erf and the normal distribution use different units."
    elif _is(value[0], x * (1 - beta) ** 0.5) or _is(value[0], needed * (1 - beta)):
        hint = "What does an average of independent numbers do to their variance?"
    return near(value, expected, hint=hint)


def _walk(b1: float, b2: float, gap: int) -> float:
    """The walk between two visits, after so many that nothing changes."""
    m = v = walked = 0.0
    for _ in range(int(45 / (1 - max(b1, b2)) / gap) + 3):
        walked = 0.0
        for j in range(gap):
            g = float(j == 0)
            m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g
            walked += m / v**0.5
    return walked


def _rare(value: float, b1: float, b2: float, gap: int) -> Miss | None:
    expected = _walk(b1, b2, gap)
    ratio = b1 / b2**0.5
    once = (1 - b1) / (1 - b2) ** 0.5 * (sum(ratio**j for j in range(gap)))
    hint = ""
    if _is(value, once):
        hint = "That is the first visit. What is left in the averages from earlier ones?"
    elif _is(value, gap):
        hint = "That is how far Signum walks."
    elif _is(value, once / (1 - b1**gap)) or _is(value, once * (1 - b2**gap) ** 0.5):
        hint = "Both averages remember earlier visits."
    elif _is(value, once / (1 - b1**gap) * (1 - b2**gap)):
        hint = "The square root is taken of all of v, of what the memory adds, too."
    elif _is(value * gap, expected):
        hint = "The whole walk between two visits, not a mean over its steps."
    return near(value, expected, hint=hint)


# --- after the mechanism ---------------------------------------------------------------


def _bound(value: Floats, b1: float, b2: float, n: int) -> Miss | None:
    """The direction of these gradients, against the largest eigenvalue of a quadratic form."""
    if value.shape != (n,):
        return Miss(f"{n} gradients")
    if not np.isfinite(value).all() or not value.any():
        return Miss("finite gradients, not all 0")
    weights = np.eye(1, n)[0]
    first, second = (lfilter([1 - b], [1, -b], weights)[::-1] for b in (b1, b2))
    scale = first / second**0.5
    most = float(np.linalg.eigvalsh(np.outer(scale, scale))[-1]) ** 0.5

    def reached(g: Floats) -> float:
        g = g / abs(g).max()
        v = float(second @ g**2)
        return abs(float(first @ g)) / v**0.5 if v else 0.0

    here = reached(value)
    if here > most * (1 - 1e-9):
        return None
    hint = ""
    if abs(reached(value[::-1]) - most) < 1e-9 * most:
        hint = "Turn them round: the last gradient of the array is the newest."
    elif abs(here - reached(first)) < 1e-9:
        hint = "These would be right if v weighed all gradients alike."
    elif np.ptp(value) < 1e-12 * abs(value).max():
        hint = "A constant stream is the worst only if the weights in m and in v are alike."
    elif abs(here - reached((scale[::-1] ** 2)[::-1])) < 1e-9:
        hint = "Look again at the case of equality: what is proportional to what?"
    return Miss(f"gradients with |d_n| = {most:.10g}; these reach {here:.10g}", hint)


def _match(
    value: Floats, mean: float, variance: float, gradients: Floats, lam: float
) -> Miss | None:
    """A search for the minimum, with the divergence as an integral."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(8)
    old = mean + variance**0.5 * nodes
    weights = weights / weights.sum()

    def objective(v: Floats) -> float:
        fit = norm.logpdf(gradients, v[0], np.exp(v[1] / 2)).mean()
        return float(-fit - weights @ norm.logpdf(old, v[0], np.exp(v[1] / 2)) / lam)

    options = {"xatol": 1e-10, "fatol": 1e-15, "maxiter": 4_000, "maxfev": 4_000}
    start = [mean, np.log(variance + np.var(gradients) + 1)]
    for _ in range(2):
        start = minimize(objective, start, method="Nelder-Mead", options=options).x
    expected = np.array([start[0], np.exp(start[1])])
    b, centre, within = 1 / (1 + lam), float(gradients.mean()), float(gradients.var())
    apart = (mean - centre) ** 2
    first = b * mean + (1 - b) * centre
    hint = ""
    if within and _is(value, [first, b * variance + b * (1 - b) * apart]):
        hint = "The gradients scatter about their own mean, too."
    elif _is(value, [first, b * variance + (1 - b) * within]):
        hint = "Within and between: the two means are apart."
    elif _is(value, [first, b * variance + (1 - b) * (within + apart)]):
        hint = "Nearly. That is about the old mean; take it about the new one."
    elif _is(value, [first, expected[1] ** 0.5]):
        hint = "The variance, not the standard deviation."
    elif _is(value[0], (1 - lam) * mean + lam * centre):
        hint = "Set the derivative to zero once more: lambda is not 1 - beta."
    elif _is(value[0], (1 - b) * mean + b * centre):
        hint = "For small lambda the old belief counts, not the new gradients."
    elif len(gradients) > 1:
        weight = len(gradients) * lam
        if _is(value[0], (mean + weight * centre) / (1 + weight)):
            hint = "The fit is a mean over the gradients, not a sum."
    return near(value, expected, rtol=1e-6, atol=1e-7, hint=hint)


def _schedule(value: Floats, b1: float, b2: float, n_steps: int, tolerance: float) -> Miss | None:
    """The factor from step to step, with powers as products."""
    power1 = power2 = 1.0
    least, last = np.inf, 0
    for t in range(1, n_steps + 1):
        power1, power2 = power1 * b1, power2 * b2
        factor = (1 - power2) ** 0.5 / (1 - power1)
        least = min(least, factor)
        last = t if abs(factor - 1) > tolerance else last
    expected = np.array([least, last])
    hint = ""
    if _is(value[::-1], expected):
        hint = "The least factor first, then the step."
    elif _is(value, [least, last + 1]) or _is(value, [least, last - 1]):
        hint = "One step off: the last step that is still off by more than the tolerance."
    elif _is(value[0] * least, 1) or _is(value[0] ** 0.5, least):
        hint = "What is divided by what? One of the two is under a root."
    elif _is(value[0], least):
        hint = "Off means above or below 1, and the factor may leave and come back."
    return near(value, expected, hint=hint)


def _spread(value: Floats, samples: Floats, w: Floats, batch: int) -> Miss | None:
    """All batches that there are."""
    if value.shape != w.shape:
        return Miss(f"{len(w)} numbers, one for each coordinate")
    count = len(samples)
    each = samples * (samples @ w)[:, None]
    all_ = np.array([each[list(rows)].mean(0) for rows in combinations(range(count), batch)])
    expected = ((all_ - each.mean(0)) ** 2).mean(0)
    plain = each.var(0) / batch
    hint = ""
    if _is(value, expected**0.5):
        hint = "The variance, not the standard deviation."
    elif _is(value, plain):
        hint = "That is right with replacement, when a batch may hold an example twice."
    elif _is(value, (all_**2).mean(0)):
        hint = "About the mean gradient, not about 0."
    elif _is(value, plain * (1 - batch / count)):
        hint = "Nearly. What should batches of one example give?"
    elif _is(value * batch, expected) or _is(value, each.var(0)):
        hint = "How often is it divided by the batch?"
    return near(value, expected, rtol=1e-6, atol=1e-12 * float(abs(each).max()) ** 2, hint=hint)


def _lattice(
    value: float, curvature: float, sigma: float, step_size: float, offset: float
) -> Miss | None:
    """The law that the transition matrix leaves alone, by linear algebra."""
    linear = (np.pi / 8) ** 0.5 * step_size * sigma / curvature  # to first order in the step

    def law(offset: float) -> float:
        reach = int(12 * linear**0.5 / step_size + 6 * sigma / curvature / step_size) + 4
        x = step_size * (np.arange(-min(reach, 400), min(reach, 400) + 1) + offset)
        up = norm.cdf(-curvature * x / sigma)
        move = np.diag(up[:-1], -1) + np.diag(1 - up[1:], 1)
        move[0, 0], move[-1, -1] = 1 - up[0], up[-1]
        system = np.vstack([move - np.eye(len(x)), np.ones(len(x))])
        chance = np.linalg.lstsq(system, np.eye(1, len(x) + 1, len(x))[0], rcond=None)[0]
        return float(chance @ x**2)

    expected = law(offset)
    hint = ""
    if offset and _is(value, law(0.0)):
        hint = "Which points does the orbit visit when it starts off the lattice?"
    elif _is(value, expected**0.5):
        hint = "The mean square, not its root."
    elif _is(value, linear):
        hint = "That is the first order in the step size; the exact number is asked for."
    elif _is(value, linear / (1 + step_size**2 / 4 / linear)):
        hint = "That is the linearised SDE's; the chain has a law of its own."
    elif near(value, expected, rtol=1e-2) is None:
        hint = "Nearly. Are enough points of the lattice kept, and is the law normalised?"
    return near(value, expected, rtol=1e-6, atol=1e-12, hint=hint)


# --- after the laboratory --------------------------------------------------------------


def _fair(value: Floats, first: Floats, second: Floats) -> Miss | None:
    """Means by hand; a run that was lost is as bad as can be."""

    def means(losses: Floats) -> list[float]:
        rows = np.where(np.isnan(losses), np.inf, losses).tolist()
        return [sum(row) / len(row) for row in rows]

    def best(losses: Floats) -> Floats:
        means_ = means(losses)
        row: Floats = losses[means_.index(min(means_))]
        return row

    one, two = best(first), best(second)
    gaps = [float(b - a) for a, b in zip(one, two, strict=True)]
    seeds = len(gaps)
    gap = sum(gaps) / seeds
    error = (sum((g - gap) ** 2 for g in gaps) / (seeds - 1) / seeds) ** 0.5
    alone = ((one.var(ddof=1) + two.var(ddof=1)) / seeds) ** 0.5
    lucky = np.nanmin(second, 0) - np.nanmin(first, 0)
    hint = ""
    if _is(value[0], -gap) and gap:
        hint = "The second minus the first."
    elif _is(value[0], lucky.mean()) and not _is(lucky.mean(), gap):
        hint = "A rate is chosen for all seeds together: who would know the best one of each seed?"
    elif _is(value, [gap, alone]):
        hint = "The runs are paired: what the seeds share cancels in the differences."
    elif _is(value, [gap, error * seeds**0.5]):
        hint = "That is the standard deviation of one difference; the mean of several has less."
    elif _is(value, [gap, error * (1 - 1 / seeds) ** 0.5]):
        hint = "Divide by one less than the number of seeds: the mean was estimated, too."
    elif not np.isfinite([first, second]).all():
        hint = "At a rate at which one seed diverges the mean is not a number to be proud of."
    return near(value, [gap, error], hint=hint)


BETAS = np.array([0.0, 0.5, 0.8, 0.9, 0.95, 0.975])
RATES = 2.0 ** np.arange(-10, 2)


def _grid(toy: Floats, n_steps: int = 300, seeds: int = 16) -> Floats:
    """Losses of Adam(b1, b2), tuned, medians over seeds, as shares of the loss at the start."""
    h, noise, burst, start = toy.T
    rng = np.random.default_rng(0)
    b1, b2 = BETAS[:, None, None, None, None], BETAS[:, None, None, None]
    w = np.tile(start, (len(BETAS), len(BETAS), len(RATES), seeds, 1))
    m, v = np.zeros_like(w), np.zeros_like(w)
    with np.errstate(all="ignore"):
        for k in range(n_steps):
            z, u = rng.normal(size=(2, seeds, len(h)))
            g = np.exp(burst * u) * (h * w + noise * z)
            m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
            factor = min(1, (k + 1) / 15) * (1 + np.cos(np.pi * k / n_steps)) / 2
            w = w - factor * RATES[:, None, None] * m / np.sqrt(v + 1e-300)
        losses = np.median((h * w**2).sum(-1), -1) / (h * start**2).sum()
    tuned: Floats = np.where(np.isnan(losses), np.inf, losses).min(-1)
    return tuned


def _ridge(value: Floats, count: int) -> Miss | str:
    if value.shape != (count, 4) or not np.isfinite(value).all():
        return Miss(f"{count} rows of four finite numbers")
    h, noise, burst, start = value.T
    if h.min() <= 0 or noise.min() < 0 or burst.min() < 0 or burst.max() > 5 or not start.any():
        return Miss("positive curvatures, noise of 0 or more, bursts from 0 to 5, starts not all 0")
    losses = _grid(value)
    along = BETAS[losses.argmin(1)]
    i, j = np.unravel_index(losses.argmin(), losses.shape)
    tied = float(np.log(np.diag(losses).min() / losses.min()))
    pairs = ", ".join(f"{b:g} at b1 = {a:g}" for a, b in zip(BETAS, along, strict=True))
    on = int((along == BETAS).sum())
    return (
        f"The best b2 is {pairs}: on the diagonal {on} times of {len(BETAS)}. The best pair of all "
        f"is ({BETAS[i]:g}, {BETAS[j]:g}); tying costs {tied:.3f} nats of loss."
    )


def _laws() -> tuple[Floats, Floats, Floats]:
    """Steps, and pairs of independent gradients under five laws: three Gaussian, two mixed."""
    z = norm.ppf((np.arange(48) + 0.5) / 48)
    z = z / z.std()
    mixed = np.concatenate([0.1 * z[::2] - 0.2, 4 + z[1::2]])
    laws = [0.25 + z, 1 + z, 15 + 10 * z, mixed, np.where(np.arange(48) < 40, -0.1, 3.0)]
    first, second = (np.array([np.ravel(side) for side in sides]) for sides in zip(
        *(np.meshgrid(law, law, indexing="ij") for law in laws), strict=True))  # fmt: skip
    return np.linspace(0, 1, 81)[None, :, None], first[:, None, :], second[:, None, :]


def _quotient(value: Floats, step: Floats, first: Floats, second: Floats) -> Miss | str:
    shape = np.broadcast_shapes(step.shape, first.shape)
    if value.shape != shape:
        return Miss(f"costs of the shape {shape}, to which step, first and second broadcast")
    if not np.isfinite(value).all():
        return Miss("finite costs")
    costs, steps = value.mean(-1), step[0, :, 0]
    at = costs.argmin(1)
    best = steps[at]
    for law, i in enumerate(at):
        if 0 < i < len(steps) - 1:
            left, middle, right = costs[law, i - 1 : i + 2]
            bend = left - 2 * middle + right
            best[law] += (steps[1] - steps[0]) * (left - right) / 2 / bend if bend > 0 else 0
    mean, square = first[:, 0].mean(-1), (first[:, 0] ** 2).mean(-1)
    off = abs(best - mean / square**0.5)
    return (
        f"The step of least mean cost is off Adam's confidence by at most {off[:3].max():.3f} "
        f"under the Gaussian laws, and by at most {off[3:].max():.3f} under the mixed ones."
    )


def _made(seed: int, rates: int, seeds: int, best: float, own: float) -> tuple[Floats, Floats]:
    """Losses of two methods that share their seeds' luck, to four digits."""
    rng = np.random.default_rng(seed)
    bowl = 0.1 * (np.arange(rates)[:, None] - rates // 2) ** 2
    luck = 0.1 * rng.normal(size=seeds)
    one = 3.2 + bowl + luck + own * rng.normal(size=(rates, seeds))
    two = 3.2 + best + bowl[::-1] + luck + own * rng.normal(size=(rates, seeds))
    return one.round(4), two.round(4)


_turn = np.array([[2.0, 2.0, -1.0], [-1.0, 2.0, 2.0], [2.0, -1.0, 2.0]]) / 3
_scales = np.sqrt(3 * np.array([1.0, 100.0, 5000.0]))
_wave = np.round(np.sin(2 * np.pi * np.arange(8) / 8 + 0.3), 6)
_lost = (
    np.array([[3.5, 3.4, 3.6], [3.3, 3.1, 3.5], [3.0, np.nan, 3.2]]),
    np.array([[3.6, 3.6, 3.7], [3.4, 3.3, 3.5], [np.inf, 3.1, 3.0]]),
)

EXERCISES: dict[str, Exercise] = {
    "adam-confidence": Exercise(
        takes=("gradients", "beta"),
        inputs=(
            (np.array([4.0, 0.0]), 0.5),
            (np.array([-1.0, -2.0, 1.0, -3.0]), 0.8),
            (np.array([2.0, 2.0, 2.0]), 0.9),
            (np.array([3.0, 0.0, 0.0, 0.0]), 0.95),
            (np.array([0.0, 0.0]), 0.9),
            (1e6 + np.tile([1.0, -1.0], 20), 0.5),
        ),
        judge=_confidence,
        hint="Run both averages by hand for two steps, from 0.",
        returns="three numbers: the mean, the variance and the direction",
        shape=(3,),
    ),
    "adam-stream": Exercise(
        takes=("pattern", "decay", "beta"),
        inputs=(
            (np.array([1.0]), 0.0, 0.9),
            (np.array([3.0, -1.0, -1.0]), 0.0, 0.2),
            (np.array([1.0, 0.0, 0.0, 0.0, 0.0]), 0.0, 0.9),
            (np.array([1.0]), 0.1, 0.5),
            (_wave, 0.02, 0.9),
            (_wave, 0.02, 0.97),
            (np.array([1.0, -2.0, 0.5]), -0.3, 0.9),
            (np.array([0.0, 0.0]), 0.0, 0.5),
        ),
        judge=_stream,
        hint="Multiply m_k by exp(c k). Which average, of what, with which memory is that?",
        returns="one direction for each gradient of the pattern",
        shape=(None,),
    ),
    "adam-snr": Exercise(
        takes=("fraction", "beta", "rho"),
        inputs=(
            (0.5, 0.0, 0.0),
            (0.5, 0.9, 0.0),
            (0.9, 0.95, 0.0),
            (0.9, 0.95, 0.5),
            (0.2, 0.9, -0.9),
            (0.99, 0.99, 0.95),
        ),
        judge=_snr,
        hint="How large is the standard deviation of m_k, in units of that of g_k?",
        returns="two numbers: the signal-to-noise ratio, and the step of Adam there",
        shape=(2,),
    ),
    "adam-rare": Exercise(
        takes=("b1", "b2", "gap"),
        inputs=(
            (0.9, 0.9, 1),
            (0.9, 0.9, 10),
            (0.9, 0.999, 10),
            (0.9, 0.999, 1_000),
            (0.0, 0.99, 50),
            (0.5, 0.25, 6),
            (0.9, 0.8, 20),
            (0.95, 0.95, 500),
        ),
        judge=_rare,
        hint="How large are m and v at a visit, if every visit before was the same?",
    ),
    "adam-bound": Exercise(
        takes=("b1", "b2", "n"),
        inputs=(
            (0.9, 0.9, 5),
            (0.9, 0.95, 10),
            (0.9, 0.999, 50),
            (0.0, 0.9, 4),
            (0.95, 0.8, 60),
            (0.9, 0.81, 30),
            (0.5, 0.5, 1),
        ),
        judge=_bound,
        hint="Both m_n and v_n are sums over the past. Which inequality bounds one by the other?",
        returns="as many gradients as steps",
        shape=(None,),
    ),
    "adam-match": Exercise(
        takes=("mean", "variance", "gradients", "lam"),
        inputs=(
            (0.3, 0.7, np.array([-1.1]), 0.25),
            (0.0, 1.0, np.array([1.0, 2.0]), 1.0),
            (1.0, 0.5, np.array([1.0, 1.0, 1.0]), 0.1),
            (-2.0, 0.3, np.array([0.5, 3.0, -1.0, 0.0]), 0.05),
            (0.2, 2.0, np.array([-0.3, 0.4]), 4.0),
        ),
        judge=_match,
        hint="Which mixture of the old belief and the new gradients is the new Gaussian to match?",
        returns="two numbers: the new mean and the new variance",
        shape=(2,),
    ),
    "adam-schedule": Exercise(
        takes=("b1", "b2", "n_steps", "tolerance"),
        inputs=(
            (0.9, 0.999, 10_000, 0.01),
            (0.9, 0.999, 1_000, 0.01),
            (0.9, 0.95, 1_000, 0.01),
            (0.95, 0.95, 1_000, 0.01),
            (0.0, 0.99, 2_000, 0.05),
            (0.95, 0.9, 500, 0.001),
            (0.0, 0.0, 10, 0.01),
        ),
        judge=_schedule,
        hint="Compute the factor at every step from 1 to n_steps and look at it.",
        returns="two numbers: the least factor, and the last step off by more than the tolerance",
        shape=(2,),
    ),
    "adam-blocks": Exercise(
        takes=("samples", "w", "batch"),
        inputs=(
            (np.eye(2) * 2, np.array([1.0, 3.0]), 1),
            (np.array([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0], [2.0, -1.0]]), np.array([1.0, -1.0]), 2),
            (np.diag(_scales), np.ones(3), 2),
            (_scales[:, None] * _turn, np.ones(3), 2),
            (np.array([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]]), np.array([0.5, 2.0]), 3),
        ),
        judge=_spread,
        hint="One example first: which gradients can come, with which chances?",
        returns="one variance for each coordinate",
        shape=(None,),
    ),
    "adam-lattice": Exercise(
        takes=("curvature", "sigma", "step_size", "offset"),
        inputs=(
            (1.0, 1.0, 0.1, 0.0),
            (1.0, 0.1, 1.0, 0.0),
            (1.0, 0.1, 1.0, 0.5),
            (10.0, 0.5, 0.01, 0.0),
            (2.0, 0.3, 0.5, 0.25),
            (1.0, 1.0, 0.02, 0.5),
        ),
        judge=_lattice,
        hint="Between neighbours as many orbits go up as down: that gives ratios of chances.",
    ),
    "adam-fair": Exercise(
        takes=("first", "second"),
        inputs=(
            (np.array([[3.0, 3.2], [3.1, 3.5]]), np.array([[3.3, 3.3], [3.2, 3.4]])),
            _made(1, 3, 3, 0.05, 0.01),
            _made(2, 5, 4, -0.02, 0.03),
            _lost,
            _made(5, 4, 6, 0.0, 0.08),
        ),
        judge=_fair,
        hint="For each method one learning rate; then one difference for each seed.",
        returns="two numbers: the gap and its standard error",
        shape=(2,),
    ),
    "adam-ridge": Exercise(
        takes=("count",),
        inputs=((8,),),
        judge=_ridge,
        hint="A curvature, a noise, a burst and a start for each coordinate.",
        returns="an array of shape (count, 4)",
        shape=(None, None),
    ),
    "adam-quotient": Exercise(
        takes=("step", "first", "second"),
        inputs=(_laws(),),
        judge=_quotient,
        hint="A cost for each step and each pair of gradients; the three arrays broadcast.",
        returns="the cost of each step under each pair of gradients",
        shape=(None, None, None),
    ),
}
