"""The numbers of the third notebook of the cycles chapter, in NumPy, SciPy and scikit-learn."""

import functools
import math

import numpy as np
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import expit
from sklearn import datasets
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

# --- gradient descent on rows z (n, d), weights p (n,); w is (..., d) ----------------------------


def downhill(w, z, p):
    return (expit(-w @ z.T) * p) @ z


def curvature(w, z, p):
    m = z @ w
    return (z.T * (p * expit(m) * expit(-m))) @ z


def minimum(z, p):
    """Minimiser and curvatures there, by Newton steps kept short at first."""
    w = np.zeros(z.shape[1])
    for _ in range(400):
        step = np.linalg.solve(curvature(w, z, p), downhill(w, z, p))
        w = w + step / (1 + 0.2 * np.linalg.norm(step) * (np.linalg.norm(step) > 1e-3))
    return w, np.linalg.eigvalsh(curvature(w, z, p))


def equal(z):
    return np.full(len(z), 1 / len(z))


def tail(w, z, p, eta, n_steps, n_keep):
    kept = []
    for t in range(n_steps + n_keep):
        if t >= n_steps:
            kept.append(w)
        w = w + eta * downhill(w, z, p)
    return np.array(kept)


def period(orbit, rtol, longest=16):
    size = max(np.ptp(orbit, axis=0).max(), 1e-9)
    near = [np.abs(orbit[k:] - orbit[:-k]).max() < rtol * size for k in range(1, longest + 1)]
    return near.index(True) + 1 if True in near else 0


# --- the data ------------------------------------------------------------------------------------


def rings(raw=False):
    x = "66 70 69 68 67 72 73 70 57 63 70 78 67 53 67 75 70 81 76 79 75 76 58"
    y = "0 1 0 0 0 0 0 0 1 1 1 0 0 1 0 0 0 0 0 0 1 0 1"
    x, y = (np.array(text.split(), float) for text in (x, y))
    x = x if raw else (x - x.mean()) / x.std()
    return np.stack([x, np.ones(23)], 1) * (2 * y - 1)[:, None]


def two_classes(name, a, b):
    X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    keep = (y == a) | (y == b)
    return X[keep], y[keep] == b


def rows(X, y):
    X = StandardScaler().fit_transform(X)
    return np.column_stack([X, np.ones(len(X))]) * np.where(y, 1, -1)[:, None]


def digit_rows(a, b, k):
    X, y = two_classes("digits", a, b)
    return rows(PCA(k, svd_solver="full").fit_transform(X), y)


def diabetes_classes():
    X, y = datasets.load_diabetes(return_X_y=True)
    return X, y > np.median(y)


@functools.cache
def tables():
    cancer, y = two_classes("breast_cancer", 0, 1)
    flowers, kind = two_classes("iris", 1, 2)
    wine, cultivar = two_classes("wine", 1, 2)
    return {
        "radius": rows(cancer[:, :1], y),
        "concave": rows(cancer[:, [7]], y),
        "texture": rows(cancer[:, :2], y),
        "means": rows(cancer[:, :10], y),
        "iris": rows(flowers, kind),
        "petals": rows(flowers[:, 2:], kind),
        "sepals": rows(flowers[:, :2], kind),
        "hue": rows(wine[:, [10]], cultivar),
        "38": digit_rows(3, 8, 2),
        "49": digit_rows(4, 9, 2),
        "89": digit_rows(8, 9, 2),
        "18": digit_rows(1, 8, 5),
        "diabetes": rows(*diabetes_classes()),
        "rings": rings(),
    }


# --- the long run of the O-rings -----------------------------------------------------------------


@functools.cache
def strides():
    z, times = rings(raw=True), np.unique(2 * np.round(np.geomspace(1, 5e5, 110)).astype(int))
    p = equal(z)
    eta = 1.5 / newton_rings(z, p)
    wanted = {int(times[np.searchsorted(times, t)]) for t in (1_000, 10_000, 50_000, 1_000_000)}
    w, at = np.zeros(2), {}
    a, b, pa, pb = -z[:, 0], -z[:, 1], z[:, 0] / 23 * eta, z[:, 1] / 23 * eta
    x, y = w
    for t in range(max(wanted) + 1):
        s = 1 / (1 + np.exp(-(a * x + b * y)))
        dx, dy = pa @ s, pb @ s
        if t in wanted:
            at[t] = math.hypot(dx, dy)
        x, y = x + dx, y + dy
    return [at[t] for t in sorted(at)]


def newton_rings(z, p):
    """The top curvature of the raw data; Newton's method in standardised coordinates."""
    x = rings(raw=True)[:, 0] / rings(raw=True)[:, 1]
    w, _ = minimum(rings(), p)
    slope = w[0] / x.std()
    return np.linalg.eigvalsh(curvature(np.array([slope, w[1] - slope * x.mean()]), z, p))[-1]


def tame_rings():
    z = rings()
    p = equal(z)
    best, values = minimum(z, p)
    w = np.random.default_rng(5).normal(size=(200, 2)) * 10
    return np.sum(
        np.linalg.norm(tail(w, z, p, 1.9 / values[-1], 2_000, 1)[0] - best, axis=1) < 1e-6
    )


# --- the survey ----------------------------------------------------------------------------------


@functools.cache
def survey():
    """Runs below 2 on a cycle, runs above 2 that converge, share on a cycle at 2.05."""
    rng, gammas, fates = np.random.default_rng(3), np.array([1.2, 1.8, 1.95, 2.05, 2.6, 3.0]), []
    for z in tables().values():
        p = equal(z)
        best, values = minimum(z, p)
        starts = rng.normal(size=(1, 2, best.size)) * np.linalg.norm(best)
        w = np.broadcast_to(starts, (6, 2, best.size))
        kept = tail(w, z, p, gammas[:, None, None] / values[-1], 3_000, 48)
        for g in range(6):
            for s in range(2):
                orbit = kept[:, g, s]
                if np.linalg.norm(orbit - best, axis=1).max() < 1e-3 / np.abs(z).max():
                    fates.append((g, 1))
                elif np.ptp(orbit, axis=0).max() < 0.01 * np.linalg.norm(best):
                    fates.append((g, 0))  # a drift, however it alternates
                else:
                    fates.append((g, period(orbit, 1e-2)))
    g, k = np.array(fates).T
    return np.sum((g < 3) & (k > 1)), np.sum((g > 2) & (k == 1)), np.mean(k[g == 3] > 1)


def flip(z, p, best):
    values, vectors = np.linalg.eigh(curvature(best, z, p))
    v, m = vectors[:, -1], z @ best
    s = expit(m) * expit(-m)
    third = (p * (z @ v) ** 2 * s * (1 - 2 * expit(m))) @ z
    fourth = (p * (z @ v) ** 4) @ (s * (1 - 6 * s))
    bent = third @ np.linalg.solve(curvature(best, z, p), third)
    return (3 * bent - fourth) / (3 * values[-1])


def crawl(name):
    z = tables()[name]
    p = equal(z)
    best, values = minimum(z, p)
    last = tail(best + 0.1, z, p, 2 / values[-1], 20_000, 1)[0]
    return math.sqrt(40_000 * flip(z, p, best)) * np.linalg.norm(last - best)


# --- the line: the least gamma of a pair, W by interpolation and then by bisection ---------------


def line_slope(u, z, p):
    return -expit(-np.multiply.outer(u, z)) @ (p * z)


def inverse(force, z, p):
    far = 1.0
    while line_slope(np.array([far]), z, p)[0] < force:
        far *= 2
    near = -1.0
    while line_slope(np.array([near]), z, p)[0] > force:
        near *= 2
    return brentq(lambda u: line_slope(np.array([u]), z, p)[0] - force, near, far, xtol=1e-14)


def least(z, p):
    """The least gamma of a pair, at most 2.0."""
    z, p = z / np.abs(z).max(), p / p.sum()
    top = min(p @ np.maximum(z, 0), p @ np.maximum(-z, 0))
    u = np.sinh(np.linspace(-18, 18, 900))
    slopes = line_slope(u, z, p)
    force = top * np.linspace(0.02, 0.99, 120)
    width = np.interp(force, slopes, u) - np.interp(-force, slopes, u)
    best = inverse(0.0, z, p)
    lam = p @ (z * z * expit(best * z) * expit(-best * z))
    rough = lam * width / force
    if rough.min() > 2.2:
        return 2.0
    close = force[np.argsort(rough)[:10]]
    return min(2.0, *(lam * (inverse(f, z, p) - inverse(-f, z, p)) / f for f in close))


def columns(X, y, scale=True):
    for x in X.T[X.std(0) > 0]:
        z = np.where(y, 1, -1) * ((x - x.mean()) / x.std() if scale else x)
        z, counts = np.unique(z[z != 0].round(12), return_counts=True)
        if z[0] < 0 < z[-1]:
            yield z, counts, np.count_nonzero(x)


@functools.cache
def pixels():
    """How many scaled pixels cycle below 2, how many of single ink; raw; other tables."""
    pairs = [two_classes("digits", a, b) for a in range(10) for b in range(a + 1, 10)]
    low = [(least(z, m) < 1.999, ink) for X, y in pairs for z, m, ink in columns(X, y)]
    raw = sum(least(z, m) < 1.999 for X, y in pairs[::4] for z, m, _ in columns(X, y, scale=False))
    others = [two_classes("breast_cancer", 0, 1), diabetes_classes()]
    others += [two_classes(name, a, b) for name in ("iris", "wine") for a, b in ((0, 1), (1, 2))]
    rest = sum(least(z, m) < 1.999 for X, y in others for z, m, _ in columns(X, y))
    return sum(c for c, _ in low), sum(c for c, ink in low if ink == 1), raw, rest


def pixel_periods():
    z, p = np.array([[1.0], [-1.0], [358.0]]), np.array([182, 176, 1]) / 359
    lam = minimum_on_the_line(z[:, 0], p)[1]
    found = [
        period(tail(np.zeros(1), z, p, g / lam, 4_000, 64), 1e-6)
        for g in (1.05, 1.10, 1.12, 1.15, 1.3, 1.5, 1.7, 1.95)
    ]
    assert found == [1, 1, 1, 4, 4, 4, 4, 4]
    return [min(found), max(found)]


def minimum_on_the_line(z, p):
    best = inverse(0.0, z, p)
    return best, p @ (z * z * expit(best * z) * expit(-best * z))


def share(n, spread, draws):
    rng, found = np.random.default_rng(n), []
    while len(found) < draws:
        z = rng.choice([-1, 1], size=n) * np.exp(spread * rng.normal(size=n))
        if z.min() < 0 < z.max():
            found.append(least(z, np.ones(n)) < 1.999)
    return np.mean(found)


# --- the circle ----------------------------------------------------------------------------------


def chance(n_sets=300):
    rng, found = np.random.default_rng(8), 0
    for _ in range(n_sets):
        angle = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 7)))
        if np.diff(angle, append=angle[0] + 2 * np.pi).max() > np.pi - 0.05:
            continue
        z = np.stack([np.cos(angle), np.sin(angle)], 1)
        p = np.exp(rng.uniform(0, math.log(300), len(z)))
        p = p / p.sum()
        best, values = minimum(z, p)
        w = best + rng.normal(size=(2, 2)) * np.linalg.norm(best)
        kept = tail(w, z, p, 1.98 / values[-1], 800, 48)
        far = np.linalg.norm(kept - best, axis=-1)
        if far.max() > 1e-3 * np.linalg.norm(best):
            kept = tail(kept[-1], z, p, 1.98 / values[-1], 20_000, 48)
            found += np.linalg.norm(kept - best, axis=-1).max() > 0.9 * far.max()
    return found


@functools.cache
def family():
    """The least gamma of the family on a grid, its size, and where; s by bisection."""
    angle, k, m = (
        a.ravel()
        for a in np.meshgrid(
            np.linspace(0.2, 0.6, 40),
            np.arange(2.0, 11.0),
            np.unique(np.round(np.geomspace(40, 6_000, 110))),
            indexing="ij",
        )
    )
    side, height = np.cos(angle), np.sin(angle)
    low, high = np.zeros(angle.size), np.full(angle.size, 60.0)
    for _ in range(60):
        b = (low + high) / 2
        rise = 2 * k * height * expit(-height * b) + m * expit(-b) > expit(b)
        low, high = np.where(rise, b, low), np.where(rise, high, b)
    best = low
    far, near = (expit(a) * expit(-a) for a in (height * best, best))
    top = np.maximum(2 * k * side**2 * far, (m + 1) * near + 2 * k * height**2 * far)
    lowest, where = np.full(angle.size, np.inf), np.zeros((angle.size, 2))
    for lift in np.geomspace(0.02, 8, 60):
        beta = best + lift
        total = (expit(beta) - m * expit(-beta)) / (k * height)
        low, high = np.zeros(angle.size), np.full(angle.size, 60.0)
        for _ in range(45):
            s = (low + high) / 2
            small = expit(s - height * beta) + expit(-s - height * beta) < total
            low, high = np.where(small, s, low), np.where(small, high, s)
        kick = expit(s - height * beta) - expit(-s - height * beta)
        gamma = 2 * s * top / (k * side**2 * np.maximum(kick, 1e-300))
        good = (s > 1e-3) & (s < 59) & (gamma < lowest)
        lowest[good] = gamma[good]
        where[good] = np.stack([s / side, beta], 1)[good]
    return lowest, 2 * k + m + 1, where, np.stack([side, height, k, m], 1), top


def family_least():
    lowest, total, *_ = family()
    return [lowest[total <= n].min() for n in (80, 240, 950, 3_786)]


def family_stays():
    lowest, total, where, sets, top = family()
    stay = []
    for n in (200, 350, 550):
        i = np.argmin(np.where(total <= n, lowest, np.inf))
        side, height, k, m = sets[i]
        z = np.array([[side, height], [-side, height], [0, 1], [0, -1]])
        p = np.array([k, k, m, 1])
        eta = 1.002 * lowest[i] / top[i]
        stay.append(period(tail(where[i], z, p, eta, 5_000, 48), 1e-4) == 2)
    return np.mean(stay)


# --- beyond 2 on real data -----------------------------------------------------------------------


@functools.cache
def scaled(name):
    z = tables()[name]
    return z, equal(z), *minimum(z, equal(z))


def periods(name, gammas, n_steps):
    z, p, best, values = scaled(name)
    eta = np.array(gammas)[:, None] / values[-1]
    kept = tail(np.zeros((len(gammas), best.size)), z, p, eta, n_steps, 64)
    far = np.linalg.norm(kept - best, axis=-1).max(0)
    return [1 if far[i] < 1e-3 else period(kept[:, i], 1e-4) for i in range(len(gammas))]


def exponent(gamma=3.45, n_steps=7_000):
    z, p, best, values = scaled("diabetes")
    w, v, total = best + 0.05, np.ones(best.size), 0.0
    for t in range(n_steps):
        if t >= 1_000:
            v = v - gamma / values[-1] * (curvature(w, z, p) @ v)
            total += math.log(np.linalg.norm(v))
            v = v / np.linalg.norm(v)
        w = w + gamma / values[-1] * downhill(w, z, p)
    return total / (n_steps - 1_000)


def segment(name, gamma):
    z, p, best, values = scaled(name)
    eta = gamma / values[-1]
    a, b = tail(np.zeros(best.size), z, p, eta, 20_000, 2)
    v = (b - a) / np.linalg.norm(b - a)
    return eta * quad(lambda t: v @ curvature(a + t * (b - a), z, p) @ v, 0, 1, epsabs=1e-10)[0]


def mean_sharpness(name, gamma):
    z, p, best, values = scaled(name)
    eta = gamma / values[-1]
    kept = tail(np.zeros(best.size), z, p, eta, 6_000, 800)
    return eta * np.mean([np.linalg.eigvalsh(curvature(w, z, p))[-1] for w in kept])


CHOSEN = ("38", "texture", "iris", "diabetes", "rings", "89")


def negatives(p):
    w, below = 0.4, 0
    for t in range(31_000):
        below += t >= 1_000 and w < 0
        w += 200 * (p - 1 / (1 + math.exp(-w)))
    return below / 30_000


# --- what to do ----------------------------------------------------------------------------------


def warmed(n_warm):
    z, p = np.array([[1.0], [1.0], [-1.0], [10.0]]), np.full(4, 0.25)
    best, lam = minimum_on_the_line(z[:, 0], p)
    w = np.zeros(1)
    if n_warm:
        w = tail(w, z, p, 0.9 / lam, n_warm, 1)[0]
    return float(abs(tail(w, z, p, 1.9 / lam, 3_000, 1)[0, 0] - best) < 1e-6)


def floor():
    """The largest curvature after a hundred steps at gamma = 1.3, over that at the minimiser."""
    z = rings(raw=True)
    p = equal(z)
    lam = newton_rings(z, p)
    w, most = np.zeros(2), 0.0
    for t in range(3_000):
        if t > 100:
            most = max(most, np.linalg.eigvalsh(curvature(w, z, p))[-1] / lam)
        w = w + 1.3 / lam * downhill(w, z, p)
    return most


def rare_with_intercept():
    """Rare pixel columns with an intercept and two starts each: how many do not converge."""
    lost = 0
    for a in range(10):
        for b in range(a + 1, 10):
            X, y = two_classes("digits", a, b)
            for x in X.T[X.std(0) > 0]:
                marked = np.asarray(y)[x != 0] > 0
                if not (2 <= marked.size <= 6 and 0 < marked.mean() < 1):
                    continue
                z = rows(x[:, None], y)
                labels = z[:, 1] > 0  # overlap within the marked and within the blank values
                values = [set(x[labels]), set(x[~labels])]
                if max(values[0]) <= min(values[1]) or max(values[1]) <= min(values[0]):
                    continue
                p = equal(z)
                best, tops = minimum(z, p)
                w = np.random.default_rng(6).normal(size=(2, 2)) * 10
                far = np.linalg.norm(tail(w, z, p, 1.8 / tops[-1], 3_000, 1)[0] - best, axis=1)
                lost += np.sum(far > 1e-3)
    return lost


def three_values(n, draws=250):
    rng, found = np.random.default_rng(n), []
    while len(found) < draws:
        counts = rng.multinomial(n, [0.5, 0.25, 0.25])
        if counts[1]:
            z = np.array([1.0, -1.0, 10.0])[counts > 0]
            found.append(least(z, counts[counts > 0]) < 1.999)
    return np.mean(found)


def penalised(mu):
    w = brentq(lambda w: mu * w - expit(-w), 0, 1 / mu)
    return mu * (1 + w) / (mu + expit(w) * expit(-w))


AGAIN = {
    "cycles-23": (lambda: strides()[:3], 1e-5),
    "cycles-23b": (lambda: strides()[3], 1e-8),
    "cycles-23c": (tame_rings, 0),
    "cycles-21": (lambda: survey()[0], 0),
    "cycles-21b": (lambda: survey()[1], 0),
    "cycles-21c": (lambda: survey()[2], 0.09),
    "cycles-11g": (
        lambda: sorted(flip(z, equal(z), minimum(z, equal(z))[0]) for z in tables().values())[
            :: len(tables()) - 1
        ],
        1e-3,
    ),
    "cycles-22f": (rare_with_intercept, 0),
    "cycles-23d": (floor, 0.01),
    "cycles-26c": (lambda: [three_values(n) for n in (20, 60, 200, 600)], 0.12),
    "cycles-11f": (lambda: [crawl(k) for k in ("rings", "sepals", "89", "hue")], 1e-4),
    "cycles-22": (lambda: pixels()[0], 1),
    "cycles-22b": (lambda: pixels()[1], 0),
    "cycles-22c": (lambda: pixels()[2:], 0),
    "cycles-22d": (lambda: least(np.array([1.0, -1.0, 358.0]), np.array([182, 176, 1])), 2e-4),
    "cycles-22e": (pixel_periods, 0),
    "cycles-26": (lambda: [share(n, 0.5, 200) for n in (5, 20, 80)], 0.006),
    "cycles-26b": (lambda: [share(20, s, 500) for s in (2, 3)], 0.035),
    "cycles-10b": (chance, 0),
    "cycles-10c": (family_least, 0.01),
    "cycles-10d": (family_stays, 0.3),
    "cycles-10e": (lambda: np.mean(family()[0] < 1.98), 0.015),
    "cycles-13c": (lambda: periods("diabetes", [1.9, 2.5, 3.0, 3.2], 8_000), 0),
    "cycles-13d": (lambda: periods("rings", [2.8, 3.2], 8_000), 0),
    "cycles-14e": (exponent, 0.03),
    "cycles-12c": (lambda: [segment("texture", 3.0), segment("rings", 2.6)], 1e-6),
    "cycles-24": (lambda: [mean_sharpness(name, 3.0) for name in CHOSEN], 0.04),
    "cycles-24b": (lambda: [mean_sharpness(name, 1.9) for name in CHOSEN], 1e-3),
    "cycles-17": (lambda: [negatives(p) for p in (0.6, 2 / 3, 0.75)], 2e-4),
    "cycles-17b": (lambda: negatives(2**-0.5), 3e-4),
    "cycles-25": (lambda: [warmed(n) for n in (0, 1, 3, 5, 10, 20)], 0),
    "cycles-19": (lambda: [2 / (p * (1 - p)) for p in (0.75, 0.9, 0.99)], 1e-6),
    "cycles-20": (lambda: [penalised(mu) for mu in (1e-2, 1e-3, 1e-4)], 1e-5),
}
