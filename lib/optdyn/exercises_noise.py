"""The exercises of the noise chapter: what is tried, and how a right answer is told.

See `optdyn.check` for how this is used, and chapters/noise/solutions.ipynb for the statements.
Everything is computed here in plain NumPy and SciPy, apart from the rest of the library, and by
another way than the one that the statements ask for: covariances by a Lyapunov equation, spectra
by a sum over frequencies, minimisers by search. The chapter computes in float32, so numbers are
compared to four digits.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_discrete_lyapunov  # type: ignore[import-untyped]
from scipy.optimize import minimize, nnls  # type: ignore[import-untyped]

from optdyn.answers import Exercise, Miss, near

__all__ = ["EXERCISES"]

Floats = NDArray[np.float64]

CLOSE: dict[str, Any] = {
    "rtol": 1e-4,
    "atol": 1e-6,
}  # float32 has seven digits; some are lost on the way


def _is(value: Any, other: Any) -> bool:
    """Whether a wrong answer is this one."""
    return near(value, other, rtol=1e-3, atol=1e-6) is None


# --- after the phenomenon --------------------------------------------------------------


def _forms(value: Floats, w0: Floats, xi: Floats, step_size: float) -> Miss | None:
    """The w-form, walked; z_n is what is left when xi_n is taken off."""
    if value.shape != xi.shape:
        return Miss(f"an array of shape {xi.shape}: z_0 and all that follow, one a row")
    w = [w0]
    for n in range(len(xi) - 1):
        w.append(w[n] - step_size * w[n] ** 3 + xi[n + 1] - xi[n])
    shifted, hint = [w0], ""
    for n in range(len(xi) - 1):
        shifted.append(shifted[n] - step_size * (shifted[n] + xi[n]) ** 3)
    if _is(value, w):
        hint = "These are the w_n. Take xi_n off each of them."
    elif _is(value, shifted):
        hint = "Which point does z_n = w_n - xi_n give for n = 0?"
    elif len(xi) > 1 and _is(value[0], w[0] - xi[0]) and not _is(value[1], w[1] - xi[1]):
        hint = "The first is right. At which point is the gradient taken in the first step?"
    return near(value, np.array(w) - xi, rtol=1e-4, atol=1e-5, hint=hint)


def _kicks(value: Floats, n: int, kappa: float) -> Miss | None:
    """From the matrix that makes kicks of noise."""
    if value.shape != (n, n):
        return Miss(f"an array of shape ({n}, {n})")
    makes = np.eye(n, n + 1, 1) - kappa * np.eye(n, n + 1)
    covariance = makes @ makes.T
    hint = ""
    if _is(value, covariance):
        hint = "These are covariances. Correlations have 1 on the diagonal."
    elif n > 1 and kappa == 1 and abs(value[0, 1] + 1) < 1e-6:
        hint = "A correlation of -1 would make each kick the negative of the one before."
    elif n > 2 and not np.isclose(value[0, 2], 0):
        hint = "Which xi do the first kick and the third have in common?"
    return near(value, covariance / covariance[0, 0], hint=hint, **CLOSE)


def _covariance(theta: float, kappa: float) -> float:
    """The stationary variance of w for unit sigma: w and xi together are a linear system."""
    moves = np.array([[1 - theta, -kappa], [0.0, 0.0]])
    return float(solve_discrete_lyapunov(moves, np.ones((2, 2)))[0, 0])


def _crossings(value: Floats, kappa: float) -> Miss | None:
    injected = 1 + kappa**2
    for theta, share, words in zip(
        value, (1.0, 1 / injected), ("sigma", "injected variance"), strict=True
    ):
        if not 0 < theta < 2:
            return Miss("two values of theta between 0 and 2", "Beyond 2 nothing is stationary.")
        ours, white = _covariance(theta, kappa) * share, _covariance(theta, 0.0)
        if abs(ours / white - 1) > 1e-3 * kappa:
            hint = ""
            turned = abs(_covariance(value[1], kappa) / _covariance(value[1], 0.0) - 1) < 1e-6
            if turned and words == "sigma":
                hint = (
                    "The first number is for equal sigma, the second for equal injected variance."
                )
            elif words != "sigma":
                hint = "What is the variance of one kick xi' - kappa xi, for sigma = 1?"
            return Miss(
                f"a theta at which both variances are equal, at equal {words}; at {theta:.6g} they "
                f"are {ours:.6g} with kappa and {white:.6g} without",
                hint,
            )
    return None


# --- after the mechanism ---------------------------------------------------------------


def _mean_field(alpha: float, size: float, eta: float, dim: float, variance: float) -> int:
    """Steps of the mean of |u|^2 under Anti-PGD from the shoulder down to alpha D, one by one."""
    p, n = size + dim * variance, 0
    while p + dim * variance > alpha * size and n < 2_000_000:
        rho = eta * (p + dim * variance)
        fast, still = 2 * variance / (2 - rho), rho * variance / (2 - rho)
        fourth = 3 * still**2 + 6 * still * variance + variance**2
        p = p * (1 - 2 * eta * fast + eta**2 * fourth) + eta**2 * fourth * dim * variance
        n += 1
    return n


def _theorem(value: Floats, alpha: float, size: float) -> Miss | None:
    eta, dim, variance, steps = value
    miss = near(eta, alpha / (2 * size), hint="The theorem fixes the step size.", **CLOSE)
    if miss:
        return Miss(f"the step size {miss.expected}", miss.hint)
    if dim != round(dim) or dim * alpha**2 < 2 - 1e-9:
        return Miss("a whole number of dimensions, enough for PGD to go up")
    if (dim - 1) * alpha**2 >= 2 - 1e-9:
        return Miss("the least number of dimensions", f"With {dim - 1:g} the theorem holds, too.")
    bounds = alpha**3 * size / 2, size / (8 * alpha), alpha * size / (2 * dim)
    if variance > min(bounds) * (1 + 1e-4):
        return Miss(
            "a sigma^2 that all bounds allow; yours is past one of them",
            "There are three, and the last has the dimension in it.",
        )
    if variance < min(bounds) * (1 - 1e-4):
        return Miss("the largest sigma^2 that all bounds allow", "All three allow more.")
    expected = _mean_field(alpha, size, eta, dim, variance)
    hint = ""
    if abs(steps / expected - np.log(1 / alpha) / np.log(1 + 2 / alpha)) < 0.1:
        hint = "|u|^2 falls towards d sigma^2, not towards 0, and starts from D + 2 d sigma^2."
    elif not 0.1 < steps / expected < 10:
        hint = "|u - xi|^2 shrinks by the factor 1 - 2 eta sigma^2 a step."
    if abs(steps / expected - 1) <= 0.15:
        return None
    return Miss(f"about {expected} steps, give or take 15 %", hint)


def _cosine(value: Floats, k: float, sigma: float) -> Miss | None:
    x, far = 0.3 / k, 1e-3 / k
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    gaussian = weights @ np.cos(k * (x + sigma * nodes)) / weights.sum()
    signs = (np.cos(k * (x + sigma)) + np.cos(k * (x - sigma))) / 2
    bend = (np.cos(k * (x + far)) + np.cos(k * (x - far)) - 2 * np.cos(k * x)) / far**2
    expected = np.array([gaussian, signs, np.cos(k * x) + sigma**2 / 2 * bend]) / np.cos(k * x)
    hint = ""
    if _is(value[[1, 0, 2]], expected):
        hint = "The order is Gaussian, signs, polynomial."
    elif _is(value[2], expected[2]) and abs(value[:2] - value[2]).max() < 1e-9:
        hint = "The polynomial is not exact here. Average the loss itself."
    elif not _is(value[2], expected[2]):
        hint = "The last is 1 plus sigma^2 / 2 times the second derivative, over the loss."
    return near(value, expected, rtol=1e-4, atol=1e-5, hint=hint)


def _drift(
    value: float, curvature: float, slope: float, step_size: float, autocovariance: Floats
) -> Miss | None:
    """The fast variance as a sum over frequencies of noise spectrum times response."""
    theta, lags = step_size * curvature, np.arange(1, len(autocovariance))
    omega = 2 * np.pi * np.arange(65_536) / 65_536
    spectrum = np.full(len(omega), autocovariance[0])
    for lag in lags:
        spectrum = spectrum + 2 * autocovariance[lag] * np.cos(lag * omega)
    response = 1 / abs(1 - (1 - theta) * np.exp(-1j * omega)) ** 2
    fast = float(np.mean(spectrum * response))
    white = float(autocovariance[0] * np.mean(response))
    hint = ""
    if _is(value, step_size / 2 * slope * fast):
        hint = "Downhill: the drift has the sign opposite to the slope of the curvature."
    elif _is(value, -step_size * slope * fast):
        hint = "The loss is lambda v^2 / 2: mind the half."
    elif _is(value, -step_size / 2 * slope * white) and len(autocovariance) > 1:
        hint = "That is right for white noise of this variance. Kicks at different times correlate."
    elif _is(value, -slope * fast / 2):
        hint = "The gradient is multiplied by the step size."
    return near(value, -step_size / 2 * slope * fast, rtol=1e-4, atol=0.0, hint=hint)


def _rest(value: Floats, dim: int, kappa: float) -> Miss | None:
    """Mean and mode from the drift and the diffusion of x = eta |u|^2 / 2, on a grid."""
    leak = (1 - kappa) ** 2
    t = np.linspace(-34, 9, 200_001)  # x = 1 / (1 + exp(-t)) keeps both ends apart
    x, rest = 1 / (1 + np.exp(-t)), 1 / (1 + np.exp(t))
    ratio = (dim - (1 + 4 * kappa * x / leak) / rest) / (2 * x)  # 2 drift / variance
    grows = ratio * x * rest
    log = np.concatenate([[0.0], np.cumsum(np.diff(t) * (grows[1:] + grows[:-1]) / 2)]) - np.log(x)
    mass = np.exp(log - (log + np.log(x * rest)).max()) * x * rest
    mean = float((mass * x).sum() / mass.sum())
    high = float(x[np.argmax(log)]) if dim > 3 else 0.0
    hint = ""
    if _is(value[::-1], [mean, high]) or abs(value[::-1] - [mean, high]).max() < 1e-4:
        hint = "The mean first, then the mode."
    elif dim <= 3 and abs(value[0] - mean) < 1e-4:
        hint = "Where is the density largest if its first exponent is not above 0?"
    elif abs(value - [2 * mean, 2 * high]).max() < 1e-4:
        hint = "eta |u|^2 / 2 is asked for, which ends at 1: the edge of stability."
    return near(value, [mean, high], rtol=1e-3, atol=2e-4, hint=hint)


# --- after the laboratory --------------------------------------------------------------


def _smoothed(X: Floats, y: Floats, sigma: float) -> Any:
    """b -> the mean of |X (w + xi)^2 - y|^2 / (4 n) over Gaussian xi: three nodes a coordinate.

    A polynomial of degree four in each coordinate, for which three nodes are exact.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(3)
    xi = sigma * np.array(list(product(nodes, repeat=X.shape[1])))
    p = np.array([np.prod(row) for row in product(weights / weights.sum(), repeat=X.shape[1])])

    def mean(b: Floats) -> float:
        residual = (np.sqrt(b) + xi) ** 2 @ X.T - y
        return float(p @ (residual**2).sum(axis=1) / (4 * len(y)))

    return mean


def _lowest(f: Any, d: int) -> Floats:
    """The minimiser over b >= 0 of a convex quadratic f: each set of positive entries is tried."""
    e = np.eye(d)
    zero, one = f(np.zeros(d)), np.array([f(row) for row in e])
    hessian = np.array([[f(a + b) - f(a) - f(b) + zero for b in e] for a in e])
    linear = one - zero - np.diag(hessian) / 2
    best, least = np.zeros(d), zero
    for kept in product([False, True], repeat=d):
        on, b = np.array(kept), np.zeros(d)
        if on.any():
            b[on] = np.linalg.lstsq(hessian[np.ix_(on, on)], -linear[on], rcond=None)[0]
        if (b >= 0).all() and f(b) < least - 1e-12:
            best, least = b, f(b)
    return best


def _lasso(value: Floats, X: Floats, y: Floats, sigma: float) -> Miss | None:
    d = X.shape[1]
    if value.shape != (d,) or (value < -1e-6).any():
        return Miss(f"{d} numbers, none of them negative: b = w * w", "Squares are not negative.")
    expected = _lowest(_smoothed(X, y, sigma), d)
    near_: dict[str, Any] = {"rtol": 1e-3, "atol": 1e-3}
    penalty = sigma**2 * (X**2).sum(axis=0)

    def without(shift: float, times: float) -> Floats:
        """|X (b + shift) - y|^2 / 4 + times penalty b, as least squares with one row more."""
        return _lowest(lambda b: ((X @ (b + shift) - y) ** 2).sum() / 4 + times * penalty @ b, d)

    hint = ""
    if near(value, nnls(X, y)[0], **near_) is None:
        hint = "That is the best fit of the data. What does the noise add to the loss?"
    elif near(value, without(0.0, 1.0), **near_) is None:
        hint = "The noise also moves the mean: E (w + xi)^2 is not w^2."
    elif any(near(value, without(sigma**2, times), **near_) is None for times in (0.5, 2.0)):
        hint = "The shape is right. Mind a factor 2 in the penalty: the variance of 2 w xi."
    elif near(value, np.sqrt(expected), **near_) is None:
        hint = "This is w. The squares are asked for."
    return near(value, expected, hint=hint, **near_)


def _silence(value: float, n: int, hurst: float) -> Miss | None:
    """The first row of the circulant matrix, summed; for large n a series in 1 / n."""
    p = 2 * hurst
    if n <= 10_000:
        k = np.arange(n + 2.0)
        powers = k**p if hurst else (k > 0).astype(float)
        r = np.append(1.0, (powers[2:] - 2 * powers[1:-1] + powers[:-2]) / 2)
        expected = r[0] + 2 * r[1:n].sum() + r[n]
    else:
        expected = p * float(n) ** (p - 1)  # the next term is smaller by 1 / n^2
    hint = ""
    if n > 10_000:
        hint = "The formula may be right and its numbers not: two large ones that nearly cancel."
    elif hurst and _is(value, n**p - (n - 1.0) ** p):
        hint = "Half of the circle has lags 1 to n - 1, the other half too; lag n comes once."
    return near(value, expected, rtol=1e-4, atol=0.0 if hurst else 1e-9, hint=hint)


def _shrink(
    value: Floats, values: Floats, sigma: float, outputs: int, trace: float, layerwise: bool
) -> Miss | None:
    """One pair of factors for each singular value, found by descent."""
    share = 0.5 if layerwise else 1.0

    def kept(target: float, strength: float) -> float:
        def loss(f: Floats) -> float:
            sizes = outputs * f[0] ** 2 + trace * f[1] ** 2
            return float((f[0] * f[1] - target) ** 2 / 2 + strength * sigma**2 / 2 * sizes)

        start = np.sqrt(target) * np.array([trace / outputs, outputs / trace]) ** 0.25
        return float(np.prod(minimize(loss, start, tol=1e-10).x))

    expected = np.array([kept(target, share) for target in values])
    hint = ""
    if value.shape != values.shape:
        return Miss(f"{len(values)} numbers, one for each singular value")
    if (value < -1e-6).any():
        hint = "Singular values are not negative. What happens to those that are small?"
    elif _is(value[:1], values[:1]):
        hint = "Large singular values are kept no more than others: all lose the same."
    elif _is(value[:1], [kept(values[0], 1.5 - share)]):
        hint = "All layers at once, or one at a time: which of the two halves the penalty?"
    return near(value, expected, rtol=1e-4, atol=1e-4, hint=hint)


def _schedule(value: Floats, n_steps: int) -> Miss | str:
    """A valley and a saddle beside it, under the schedule, kappa = 0 and kappa = 1."""
    if value.shape != (n_steps,) or (abs(value) > 1).any():
        return Miss(f"{n_steps} numbers between -1 and 1, one for each step")
    rng, runs, dim, eta, sigma, reach = np.random.default_rng(7), 64, 8, 0.01, 0.2, 20.0
    kappa = np.stack([value, np.zeros(n_steps), np.ones(n_steps)])
    w = np.zeros((3, runs, dim + 2))  # u, then v, then x on the saddle
    w[..., :dim] = np.sqrt(25 / dim)
    left = np.full((3, runs), n_steps)
    old = np.broadcast_to(sigma * rng.normal(size=(runs, dim + 2)), w.shape)
    for n in range(n_steps):
        xi = sigma * rng.normal(size=(runs, dim + 2))
        u, v, x = w[..., :dim], w[..., dim], w[..., dim + 1]
        slope = np.empty_like(w)
        slope[..., :dim] = (v**2)[..., None] * u
        slope[..., dim] = (u**2).sum(axis=-1) * v
        slope[..., dim + 1] = x * ((x / reach) ** 2 - 1)
        w = w - eta * slope + xi - kappa[:, n, None, None] * old
        old = np.broadcast_to(xi, w.shape)
        left = np.where((abs(w[..., -1]) >= reach / 2) & (left == n_steps), n + 1, left)
    ends = ((w - kappa[:, -1, None, None] * old)[..., :dim] ** 2).sum(axis=-1).mean(axis=1)
    steps = left.mean(axis=1)
    told = [
        f"{name} leaves the saddle after {a:.0f} steps and ends at |u|^2 = {b:.3g}"
        for name, a, b in zip(("Yours", "kappa = 0", "kappa = 1"), steps, ends, strict=True)
    ]
    gained = (steps[2] - steps[0]) / (steps[2] - steps[1])
    return (
        "; ".join(told)
        + f" (means of {runs} runs). It gains {gained:.2f} of the time between them, "
        f"and pays with {ends[0] / ends[2]:.3g} times the |u|^2 of kappa = 1."
    )


def _dense(value: Floats, b: Floats) -> Miss | str:
    """Noise before the gradient, of a deviation that depends on b = w * w, on dense data."""
    if value.shape != b.shape:
        return Miss(f"{len(b)} numbers, one for each b")
    if value.min() < 0 or value.max() > 0.3:
        return Miss("deviations between 0 and 0.3", "Beyond 0.3 the runs below may blow up.")
    rng, sets, n, d, eta, n_steps = np.random.default_rng(11), 4, 16, 32, 0.01, 12_000
    X, truth = rng.normal(size=(sets, n, d)), rng.uniform(0.5, 1.5, (sets, d, 1))
    y, back = X @ truth, np.swapaxes(X, 1, 2)
    z = np.tile(rng.choice([0.3, 1.4], (sets, d, 1)), (3, 1, 1, 1))
    for t in range(n_steps):
        square = z * z
        size = np.stack([np.interp(square[0], b, value), np.full((sets, d, 1), 0.1), 0 * truth])
        w = z if t >= n_steps - 2_000 else z + size * rng.choice([-1.0, 1.0], (sets, d, 1))
        z = z - eta * w * (back @ (X @ (w * w) - y)) / n
        if not np.isfinite(z).all():
            return Miss("noise under which the runs stay finite", "Make it smaller.")
    error = ((z * z - truth) ** 2).sum(axis=(2, 3)).mean(axis=1)
    ours, constant, none = error
    return (
        f"|b - b*|^2 after the run, mean of {sets} dense truths: {ours:.3g} with your noise, "
        f"{constant:.3g} with the same sigma = 0.1 everywhere, {none:.3g} without noise."
    )


def _noise(seed: int, n: int, d: int) -> Floats:
    return np.round(np.random.default_rng(seed).normal(size=(n, d)), 2)


_EXERCISES = {
    "noise-forms": Exercise(
        takes=("w0", "xi", "step_size"),
        inputs=(
            (np.array([1.0]), np.array([[0.5], [-0.5], [0.5]]), 0.1),
            (np.array([0.7, -0.4]), _noise(1, 5, 2) / 2, 0.2),
            (np.array([0.0, 1.0, -1.0]), _noise(2, 40, 3) / 5, 0.05),
            (np.array([2.0]), _noise(3, 1, 1), 0.1),
        ),
        judge=_forms,
        hint="z_0 first. Then the gradient at z_n + xi_n, and nothing else is added.",
        returns="z_0, z_1, ... as an array of the shape of xi",
        shape=(None, None),
    ),
    "noise-kicks": Exercise(
        takes=("n", "kappa"),
        inputs=((3, 1.0), (2, 0.5), (5, 0.3), (4, 0.0), (1, 1.0)),
        judge=_kicks,
        hint="E of a product of two kicks, multiplied out: only equal xi count.",
        returns="the matrix of correlations of n kicks, of shape (n, n)",
        shape=(None, None),
    ),
    "noise-crossings": Exercise(
        takes=("kappa",),
        inputs=((1.0,), (0.5,), (0.8,), (0.2,)),
        judge=_crossings,
        hint="Write both variances over the same denominator, theta (2 - theta).",
        returns="two numbers: theta at equal sigma, theta at equal injected variance",
        shape=(2,),
    ),
    "noise-theorem": Exercise(
        takes=("alpha", "size"),
        inputs=((0.25, 100.0), (0.1, 100.0), (0.4, 4.0), (0.3, 10.0)),
        judge=_theorem,
        hint="eta and d first; then the smallest of three bounds.",
        returns="four numbers: step size, dimension, sigma^2, steps",
        shape=(4,),
    ),
    "noise-cosine": Exercise(
        takes=("k", "sigma"),
        inputs=((1.0, 0.5), (2.0, 0.1), (3.0, 1.0), (1.0, 1.5), (0.5, 4.0)),
        judge=_cosine,
        hint="cos(a + b) = cos a cos b - sin a sin b, and the noise is symmetric.",
        returns="three factors: Gaussian, signs, polynomial",
        shape=(3,),
    ),
    "noise-drift": Exercise(
        takes=("curvature", "slope", "step_size", "autocovariance"),
        inputs=(
            (2.0, 2.0, 0.2, np.array([0.01])),
            (2.0, 2.0, 0.2, np.array([0.02, -0.01])),
            (1.0, -3.0, 0.5, np.array([0.02, 0.01])),
            (4.0, 1.0, 0.4, np.array([1.0, -0.4, -0.05, -0.02])),
        ),
        judge=_drift,
        hint="First the stationary variance of v; its kicks are correlated over all lags given.",
        returns="a number: the mean of u_{n+1} - u_n",
    ),
    "noise-rest": Exercise(
        takes=("dim", "kappa"),
        inputs=((8, 0.0), (8, 0.5), (3, 0.0), (4, 0.8), (2, 0.3), (40, 0.9)),
        judge=_rest,
        hint="Read a and b off the density x^(a - 1) (1 - x)^(b - 1).",
        returns="two numbers: mean and mode of eta |u|^2 / 2",
        shape=(2,),
    ),
    "noise-lasso": Exercise(
        takes=("X", "y", "sigma"),
        inputs=(
            (np.eye(2), np.array([1.0, 0.05]), 0.2),
            (_noise(4, 3, 4), np.array([2.0, -1.0, 1.0]), 0.1),
            (_noise(5, 3, 5), np.array([1.0, 2.0, 0.5]), 0.3),
            (_noise(6, 6, 5), np.array([1.0, -1.0, 2.0, 0.5, 0.0, 1.0]), 0.5),
        ),
        judge=_lasso,
        hint="Average |X (w + xi)^2 - y|^2 / (4 n), and write what comes out in b.",
        returns="the entries of b = w * w",
        shape=(None,),
    ),
    "noise-silence": Exercise(
        takes=("n", "hurst"),
        inputs=((4, 0.25), (1, 0.3), (100, 0.1), (1000, 0.75), (10, 0.5), (5, 0.0), (10**15, 0.1)),
        judge=_silence,
        hint="Write r(k) as a difference of differences of k^(2H) and sum: most terms cancel.",
        returns="a number: the sum of the first row",
    ),
    "noise-shrink": Exercise(
        takes=("values", "sigma", "outputs", "trace", "layerwise"),
        inputs=(
            (np.array([3.0, 1.5, 0.8]), 0.2, 3, 5.0, False),
            (np.array([3.0, 1.5, 0.8]), 0.2, 3, 5.0, True),
            (np.array([2.0, 1.0, 0.2]), 0.5, 4, 9.0, False),
            (np.array([1.2, 0.4]), 0.6, 2, 8.0, True),
        ),
        judge=_shrink,
        hint="For fixed product a b, how small can k a^2 + t b^2 be?",
        returns="the singular values that are left",
        shape=(None,),
    ),
    "noise-schedule": Exercise(
        takes=("n_steps",),
        inputs=((6_000,),),
        judge=_schedule,
        hint="One kappa for each step.",
        returns="as many numbers as there are steps",
        shape=(None,),
    ),
    "noise-dense": Exercise(
        takes=("b",),
        inputs=((np.linspace(0, 4, 201),),),
        judge=_dense,
        hint="A deviation for each b, none of them negative.",
        returns="as many deviations as there are numbers in b",
        shape=(None,),
    ),
}

# The chapter computes in float32, and the judges allow for it.
EXERCISES: dict[str, Exercise] = {
    name: exercise._replace(single=True) for name, exercise in _EXERCISES.items()
}
