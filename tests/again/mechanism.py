"""The numbers of the second notebook of the cycles chapter, in NumPy, SciPy and mpmath alone."""

import functools
import math

import numpy as np
from mpmath import mp
from scipy.optimize import brentq, minimize, minimize_scalar
from scipy.special import expit

from again.phenomenon import inverse_slope

# --- weighted data: minimiser, curvature, orbit --------------------------------------------------


def line(m_plus, m_minus, size):
    return np.array([1.0, -1.0, size]), np.array([m_plus, m_minus, 1])


def weigh(m):
    return np.asarray(m, float) / np.sum(m)


def minimum(z, m):
    """Minimiser and top curvature, by SciPy's minimiser and Newton's method; (k,) or (k, d)."""
    rows, p = np.asarray(z, float).reshape(len(z), -1), weigh(m)
    w = minimize(
        lambda w: p @ np.logaddexp(0, -rows @ w),
        np.zeros(rows.shape[1]),
        jac=lambda w: -(p * expit(-rows @ w)) @ rows,
    ).x
    for _ in range(30):
        slopes = p * expit(-rows @ w) * expit(rows @ w)
        w = w + np.linalg.solve((rows.T * slopes) @ rows, (p * expit(-rows @ w)) @ rows)
    slopes = p * expit(-rows @ w) * expit(rows @ w)
    return w, np.linalg.eigvalsh((rows.T * slopes) @ rows)[-1]


def orbit(w, z, m, eta, n_steps):
    """The last 40 iterates; w (d,) or (starts, d); float64 throughout."""
    rows, p = np.asarray(z, float).reshape(len(z), -1), weigh(m)
    w, kept = np.asarray(w, float), []
    for t in range(n_steps + 40):
        w = w + eta * (expit(-w @ rows.T) * p) @ rows
        if t >= n_steps:
            kept.append(w)
    return np.array(kept)


def period(w, z, m, eta, n_steps=6_000):
    tail = orbit(w, z, m, eta, n_steps)
    size = np.abs(tail).max()
    return next((k for k in range(1, 20) if np.abs(tail[k:] - tail[:-k]).max() < 1e-6 * size), 0)


# --- the curve of pairs --------------------------------------------------------------------------


def limit(z, m=None):
    """The least gamma of a pair, from the definition of the curve; W by bisection."""
    p = weigh(np.ones(len(z)) if m is None else m)
    values = np.asarray(z, float)

    def slope(w):
        return -(expit(-np.multiply.outer(w, values)) * values) @ p

    def inverse(force):
        low, high = np.full(np.shape(force), -800.0), np.full(np.shape(force), 800.0)
        for _ in range(75):
            middle = (low + high) / 2
            above = slope(middle) > force
            low, high = np.where(above, low, middle), np.where(above, middle, high)
        return (low + high) / 2

    curvature = minimum(values, p)[1]
    top = min(p @ np.maximum(values, 0), p @ np.maximum(-values, 0))
    forces = top * np.linspace(2e-3, 0.999, 500)
    gamma = curvature * (inverse(forces) - inverse(-forces)) / forces
    i = int(np.argmin(gamma))
    found = minimize_scalar(
        lambda f: curvature * float(inverse(f) - inverse(-f)) / f,
        bounds=(forces[max(i - 1, 0)], forces[min(i + 1, 499)]),
        method="bounded",
        options={"xatol": 1e-9 * top},
    )
    return min(2.0, found.fun)


def derivatives(z, m):
    """L'', L''' and L'''' at the minimiser, to thirty digits."""
    with mp.workdps(30):
        total = mp.fsum(int(k) for k in m)

        def derivative(w, order):
            s = [1 / (1 + mp.exp(-a * w)) for a in map(mp.mpf, z)]
            of = {
                1: lambda s: -(1 - s),
                2: lambda s: s * (1 - s),
                3: lambda s: s * (1 - s) * (1 - 2 * s),
                4: lambda s: s * (1 - s) * (1 - 6 * s * (1 - s)),
            }[order]
            terms = zip(z, m, s, strict=True)
            return mp.fsum(int(k) * mp.mpf(a) ** order * of(x) for a, k, x in terms) / total

        w = mp.findroot(lambda w: derivative(w, 1), (0.0, 1.0), solver="anderson")
        return [float(derivative(w, order)) for order in (2, 3, 4)]


def coefficient(z, m):
    second, third, fourth = derivatives(z, m)
    return (3 * third**2 - second * fourth) / (3 * second**2)


def excess_over_law(z):
    z = np.array(z, float)
    top = min(np.maximum(z, 0).sum(), np.maximum(-z, 0).sum()) / len(z)
    force = 0.01 * top
    low, high = inverse_slope(np.array([-force, force]), z)
    m = np.ones(len(z), int)
    gamma = (high - low) / force * minimum(z, m)[1]
    return (gamma - 2) / coefficient([float(a) for a in z], m) / ((high - low) / 2) ** 2


def rising_pairs_attract():
    """Found by other means: pairs that an orbit settles on lie where the curve rises."""
    rng, agree = np.random.default_rng(11), []
    while len(agree) < 12:
        z = np.append(rng.choice([-1, 1], 6) * np.exp(rng.normal(size=6)), [1.0, -1.0])
        m = np.ones(8)
        star, curvature = minimum(z, m)
        eta = rng.uniform(2.02, 2.6) / curvature
        tail = orbit(star + 0.1, z, m, eta, 8_000)[:, 0]
        if np.abs(tail[2:] - tail[:-2]).max() < 1e-10 and abs(tail[1] - tail[0]) > 1e-3:
            force = abs(tail[1] - tail[0]) / eta * np.array([0.999, 1.001])
            ends = [inverse_slope(np.array([-f, f]), z) for f in force]
            agree.append(
                (ends[1][1] - ends[1][0]) / force[1] > (ends[0][1] - ends[0][0]) / force[0]
            )
    return np.mean(agree)


def border():
    """The repelling pair at gamma = 1.9, as the root of M(M(w)) = w, to thirty digits."""
    z, m = (1, -1, 10), (2, 1, 1)
    eta = 1.9 / derivatives(z, m)[0]

    def image(w):
        return w + eta * mp.fsum(
            k * a / (1 + mp.exp(a * w)) for a, k in zip(z, m, strict=True)
        ) / mp.fsum(m)

    with mp.workdps(30):
        first = mp.findroot(lambda w: image(image(w)) - w, 0.471)
        return [float(first), float(image(first))]


# --- equal sizes, and sizes up to a factor -------------------------------------------------------


def critical_ratio():
    """From the smallest eigenvalue of the quadratic form itself, over margins and sizes."""

    def lowest(size):
        def form(x):
            s = expit(np.array([x, size * x]))
            a = np.array([1.0, size])
            bend = s * (1 - s)
            per = np.array([a**2 * bend, a**3 * bend * (1 - 2 * s), a**4 * bend * (1 - 6 * bend)])
            ratios = np.geomspace(1e-4, 1e2, 6_001)
            total = per[:, :1] + per[:, 1:] * ratios
            return np.min((3 * total[1] ** 2 - total[0] * total[2]) / total[0] ** 2)

        return min(
            minimize_scalar(form, bounds=(x, x + 0.3), method="bounded").fun
            for x in np.arange(0.2, 1.4, 0.2)
        )

    return brentq(lowest, 4.8, 5.3, xtol=1e-7)


def mixture(ratio, x=0.6855647676, share=0.0353734923):
    """The limit of two sizes, each with the two labels so mixed that x is the minimiser."""
    m = np.array([1, 1, share, share]) * expit(x * np.array([1, -1, ratio, -ratio]))
    return limit([1, -1, ratio, -ratio], m)


def within_the_ratio():
    rng, least = np.random.default_rng(3), [mixture(5.02526)]
    while len(least) < 61:
        sizes = np.append([1.0, 5.02526], 5.02526 ** rng.uniform(0, 1, 3))
        z, weights = rng.choice([-1, 1], 5) * sizes, np.exp(rng.normal(size=5))
        if z.min() < 0 < z.max():
            least.append(limit(z, weights))
    return min(least)


def harm(m, harmless, harmful):
    while abs(harmful - harmless) > 2e-3:
        middle = (harmless + harmful) / 2
        if limit([1, -1, middle], m) < 2 - 1e-6:
            harmful = middle
        else:
            harmless = middle
    return harmful


def far_starts():
    last = orbit(np.linspace(-50, 50, 101)[:, None], [1, -1], [7, 3], 1.99 / 0.21, 6_000)[-1]
    return np.abs(last - math.log(7 / 3)).max()


# --- the plane -----------------------------------------------------------------------------------

ORINGS = np.array(
    [
        [
            66,
            70,
            69,
            68,
            67,
            72,
            73,
            70,
            57,
            63,
            70,
            78,
            67,
            53,
            67,
            75,
            70,
            81,
            76,
            79,
            75,
            76,
            58,
        ],
        [0, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 1],
    ]
)


def oring_coefficient():
    """c from the pairs themselves: (gamma - 2) / s^2 for a small pair, by Newton's method."""
    x, y = ORINGS
    x = (x - x.mean()) / x.std()
    z = (2 * y - 1)[:, None] * np.column_stack([x, np.ones(23)])
    m = np.ones(23)
    star, curvature = minimum(z, m)

    def c(half):
        slopes = expit(-z @ star) * expit(z @ star) / 23
        v = np.linalg.eigh((z.T * slopes) @ z)[1][:, -1]

        def equations(unknown):  # centre, direction across v, step size
            centre, across, eta = unknown[:2], unknown[2], unknown[3]
            x = half * (v + across * np.array([-v[1], v[0]]))
            ends = [-(expit(-z @ w) @ z) / 23 for w in (centre + x, centre - x)]
            return np.concatenate([ends[0] - 2 * x / eta, ends[1] + 2 * x / eta])

        unknown = np.array([*star, 0.0, 2 / curvature])
        for _ in range(60):
            value = equations(unknown)
            step = 1e-6 * np.eye(4)
            jacobian = np.array(
                [(equations(unknown + h) - equations(unknown - h)) / 2e-6 for h in step]
            ).T
            unknown = unknown - np.linalg.solve(jacobian, value)
        return (unknown[3] * curvature - 2) / half**2 / (1 + unknown[2] ** 2), unknown

    near, far = c(0.02)[0], c(0.04)[0]
    return (4 * near - far) / 3


def oring_steps():
    x, y = ORINGS
    x = (x - x.mean()) / x.std()
    z = (2 * y - 1)[:, None] * np.column_stack([x, np.ones(23)])
    star, curvature = minimum(z, np.ones(23))
    found = []
    for excess in (0.005, 0.02):
        tail = orbit(star + 0.05, z, np.ones(23), (2 + excess) / curvature, 30_000)
        length = np.linalg.norm(tail[-1] - tail[-2])
        found.append(length / (2 * math.sqrt(excess / 0.31144776)))
    return found


def intercept(n, left, right):
    return np.array([[right, 1], [-left, 1], [0, 1], [0, -1]]), np.array([1, 1, n - 2, 1])


def walls(size, margin, m_plus, m_minus):
    return np.array([[size, margin], [-size, margin], [0, 1], [0, -1]]), np.array(
        [1, 1, m_plus, m_minus]
    )


def sphere(side, height, dim, k, north):
    norm = math.isqrt(side**2 + height**2)
    axes = np.eye(dim, dtype=int)
    rows = [s * side * axes[j] + height * axes[-1] for j in range(dim - 1) for s in (1, -1)]
    return np.array([*rows, norm * axes[-1], -norm * axes[-1]]), np.array(
        [k] * len(rows) + [north, 1]
    )


FEATURES = [
    (82, 15, 15, 7.747791, 1),
    (37, 10, 10, 6.673622, 1),
    (25, 8, 8, 6.591000, 1),
    (19, 6, 6, 8.771930, 1),
    (14, 5, 5, 8.678571, 1),
    (37, 10, 12, 5.581936, 0),
    (27, 10, 12, 4.079568, 0),
    (20, 10, 12, 2.903694, 0),
    (14, 8, 10, 2.724164, 0),
]
WALLS = [
    (80, 6, 25, 7, 0.277616),
    (60, 6, 20, 6, 0.540265),
    (25, 3, 20, 3, 1.525592),
    (20, 4, 15, 4, 2.751479),
    (12, 3, 15, 3, 5.760070),
    (8, 2, 15, 2, 8.366402),
]
SPHERES = [
    ((35, 12, 2, 4, 200), 0.363739769, (0.055, 0.17)),
    ((35, 12, 2, 4, 275), 0.517783692, (0.062, 0.18)),
    ((35, 12, 2, 5, 517), 0.882788811, (0.0611, 0.2024)),
    ((24, 7, 2, 5, 1810), 6.300413699, (0.1096, 0.3565)),
    ((35, 12, 3, 4, 175), 0.369185748, (0.06, 0.008, 0.18)),
    ((35, 12, 3, 4, 250), 0.535158817, (0.06, 0.008, 0.18)),
]
OUTLIERS = [
    (787, 775, 1500, 4.202935),
    (1769, 1729, 500, 4.388320),
    (55, 51, 220, 4.649499),
    (49, 44, 110, 4.847500),
    (44, 40, 90, 4.748498),
    (25, 21, 55, 5.259944),
    (23, 21, 90, 4.719922),
    (22, 19, 50, 5.061815),
    (16, 12, 30, 5.995645),
    (13, 10, 27, 5.803762),
    (3, 2, 45, 7.749845),
    (6, 4, 19, 6.899100),
    (5, 3, 19, 7.830398),
    (9, 6, 15, 6.724000),
    (5, 3, 13, 7.611483),
    (2, 1, 12, 10.298135),
    (4, 2, 12, 9.475876),
    (2, 1, 10, 10.140377),
    (4, 2, 8, 8.886537),
    (2, 1, 8, 9.410401),
]
LONG = [
    (6, 42, 39, 170, 4.842676),
    (3, 22, 18, 36, 5.714604),
    (4, 8, 6, 27, 6.063223),
    (5, 18, 15, 49, 6.009765),
    (3, 20, 15, 21, 6.820264),
    (4, 11, 8, 21, 7.030148),
    (5, 11, 8, 26, 7.506405),
    (8, 7, 5, 31, 7.946736),
    (3, 15, 12, 23, 5.996161),
]


def outlier_pairs():
    return sum(
        period(np.zeros(1), *line(*row[:3]), row[3], 1_000) == 2
        and 1 < row[3] * minimum(*line(*row[:3]))[1] < 2
        for row in OUTLIERS
    )


def resized():
    found = []
    for row, shares in ((OUTLIERS[9], (75, 80, 100, 105)), (OUTLIERS[0], (98, 102))):
        for share in shares:
            z, m = line(*row[:3])
            z[2] *= share / 100
            found.append(period(np.zeros(1), z, m, row[3], 4_000))
    return found


def named():
    """How many of the named cycles an orbit in double precision ends on."""
    line_sets = [((1, -1), (3, 1), g, k) for g, k in zip(GAMMAS, (2, 2, 4, 3, 6), strict=True)]
    line_sets += [
        (*line(2, 1, size), g, k)
        for size, g, k in (
            (10, 1.9, 2),
            (10, 1.93, 4),
            (12, 1.81, 2),
            (12, 1.84, 4),
            (14, 1.8, 2),
        )
    ]
    line_sets += [((1, -1, 358), (182, 176, 1), g, 4) for g in (1.15, 1.3, 1.5, 1.7, 1.95)]
    found = [
        period(np.zeros(1), z, m, g / minimum(z, m)[1], 10_000) == k for z, m, g, k in line_sets
    ]
    for (z, m), g, k in ((intercept(37, 8, 9), 1.2, 8), (walls(20, 4, 15, 4), 0.75, 2)):
        found.append(period(np.array([1.0, 0]), z, m, g / minimum(z, m)[1], 20_000) == k)
    return sum(found)


def long_cycles():
    return sum(
        period(np.zeros(1), *line(*row[1:4]), row[4], 1_000) == row[0]
        and row[4] * minimum(*line(*row[1:4]))[1] < 2
        for row in LONG
    )


def feature_pairs():
    return sum(
        period(np.array([w, 0.0]), *intercept(*row), eta, 4_000) == 2
        and eta * minimum(*intercept(*row))[1] < 2
        for *row, eta, w in FEATURES
    )


def steps_of_pairs(rows):
    """gamma of those rows whose start ends on a pair."""
    return [
        eta * minimum(z, m)[1] for z, m, eta, start in rows if period(start, z, m, eta, 5_000) == 2
    ]


def pair_limit(n):
    """The least gamma over s: beta from the first equation, by bisection."""

    def gamma(s):
        def gap(beta):
            total = expit(s - beta) + expit(-s - beta)
            return total - expit(beta) + (n - 2) * expit(-beta)

        betas = np.linspace(math.log(n), math.log(n) + 14, 400)
        values = gap(betas)
        found = []
        for i in np.flatnonzero(values[:-1] * values[1:] < 0):
            beta = brentq(gap, betas[i], betas[i + 1])
            r = expit(s - beta), expit(-s - beta)
            found.append(4 * s * n / ((n + 1) ** 2 * (r[0] - r[1])))
        return min(found, default=math.inf)

    grid = np.linspace(0.5, 30, 600)
    i = int(np.argmin([gamma(s) for s in grid]))
    return minimize_scalar(gamma, bounds=(grid[i - 1], grid[i + 1]), method="bounded").fun


def lost(size, margin, m_plus, m_minus, eta):
    z, m = walls(size, margin, m_plus, m_minus)
    grid = np.stack(np.meshgrid(np.linspace(-4, 4, 60), np.linspace(-2, 10, 60)), -1)
    last = orbit(grid.reshape(-1, 2), z, m, eta, 3_000)[-1]
    return np.mean(np.linalg.norm(last - minimum(z, m)[0], axis=1) > 1e-3)


@functools.cache
def feature_pair():
    z, m = intercept(37, 10, 12)
    eta = 0.9 / minimum(z, m)[1]
    return z, m, eta, orbit(np.zeros(2), z, m, eta, 6_000)[-2:]


def sharpness_at_the_ends():
    *row, eta = WALLS[0]
    z, m = walls(*row)
    p, pair = weigh(m), orbit(np.array([1.0, 0.0]), z, m, eta, 8_000)[-2:]
    return [
        eta * np.linalg.eigvalsh((z.T * (p * expit(z @ w) * expit(-z @ w))) @ z)[-1] for w in pair
    ]


def misclassified():
    z, m, _, pair = feature_pair()
    points = [*sorted(pair, key=lambda w: w[0]), minimum(z, m)[0]]
    return [float(m[z @ w < 0].sum()) for w in points]


def residual():
    """A pair, and the mean Hessian over its segment from differences of the gradient."""
    z, m, eta, pair = feature_pair()
    p = weigh(m)
    change = [-(p * expit(-z @ w)) @ z for w in pair]
    way = pair[1] - pair[0]
    return np.linalg.norm(change[1] - change[0] - 2 / eta * way) / np.linalg.norm(2 / eta * way)


def wall(p):
    star = math.log(p / (1 - p))
    u = np.linspace(star * 1.0001, star + 4, 400_001)
    return np.min(p * (1 - p) * u / (expit(u) - p))


@functools.cache
def to_order(gamma):
    """A pair one of whose points has slope zero, by shooting: its width and its multiplier."""
    size = round(20 * (gamma - 1) ** -1.6)
    z = np.array([1.0, -1.0, size])

    def force(u, w):
        return (w * z * expit(-z * u)).sum()

    def bend(u, w):
        return (w * z**2 * expit(z * u) * expit(-z * u)).sum()

    def resting(p):
        """Weights, step size and upper point of the pair whose upper point has slope zero."""
        w = np.array([p, 1 - p, 0.01]) / 1.01

        def gap(high):
            eta = 1 / bend(high, w)
            low = high + eta * force(high, w)
            return low + eta * force(low, w) - high

        grid = np.linspace(0.2, 4, 2_000)
        values = np.array([gap(high) for high in grid])
        i = int(np.flatnonzero((values[:-1] < 0) & (values[1:] > 0))[0])
        high = brentq(gap, grid[i], grid[i + 1], xtol=1e-15)
        return w, 1 / bend(high, w), high

    def excess(p):
        w, eta, _ = resting(p)
        return eta * bend(brentq(force, -5, 50, args=(w,)), w) - gamma

    def above(share):
        return brentq(lambda p: wall(p) - 1 - share * (gamma - 1), 0.501, 0.9, xtol=1e-3)

    w, eta, high = resting(brentq(excess, above(0.7), above(1.4), xtol=1e-12))
    last = orbit(np.array([high]), z, w, eta, 200)[-3:, 0]
    assert abs(last[2] - last[0]) < 1e-9 < 0.1 < abs(last[2] - last[1])
    speed = abs((1 - eta * bend(last[1], w)) * (1 - eta * bend(last[2], w)))
    return abs(last[2] - last[1]), speed


def in_single_precision():
    def tail(row, kind):
        z, m = line(*row[:3])
        z, p, eta = z.astype(kind), weigh(m).astype(kind), kind(row[3])
        w, kept = kind(0), []
        for _ in range(400):
            w = kind(
                w + eta * np.sum(p * z * (kind(1) / (kind(1) + np.exp(np.minimum(z * w, 60)))))
            )
            kept.append(float(w))
        return np.sort(kept[-2:])

    return max(np.abs(tail(row, np.float32) - tail(row, np.float64)).max() for row in OUTLIERS)


def periods_beside(size, gammas):
    z, m = line(2, 1, size)
    curvature = minimum(z, m)[1]
    return [period(np.zeros(1), z, m, g / curvature) for g in gammas]


def periods_between_walls(size, margin, m_plus, m_minus, gammas):
    z, m = walls(size, margin, m_plus, m_minus)
    curvature = minimum(z, m)[1]
    return [period(np.array([1.0, 0.0]), z, m, g / curvature) for g in gammas]


GAMMAS = (2.1, 2.4, 2.7, 3.5, 3.76)
MADE = (1.1, 1.3, 1.5, 1.7, 1.9)
AGAIN = {
    "cycles-4c": (rising_pairs_attract, 0),
    "cycles-4d": (
        lambda: [
            limit(*line(*row))
            for row in (
                (2, 1, 8),
                (2, 1, 15),
                (3, 2, 50),
                (13, 10, 27),
                (49, 44, 110),
                (1769, 1729, 500),
            )
        ],
        1e-7,
    ),
    "cycles-4f": (
        lambda: [
            harm((2, 1, 1), 5, 30),
            harm((3, 2, 1), 5, 30),
            harm((11, 9, 1), 5, 30),
            harm((2, 1, 1), 200, 30),
        ],
        0.01,
    ),
    "cycles-4e": (
        lambda: [
            excess_over_law(z)
            for z in ([1, 1, 1, -1], [1, 1, -1, 3], [1, 1, -1, 10], [2, -1, -1.5, 0.3])
        ],
        1e-5,
    ),
    "cycles-5": (lambda: [limit([1, -c, 1e4]) for c in (0.9, 0.98, 0.99)], 1e-6),
    "cycles-5b": (
        lambda: [limit(*line(m, n, 100_000)) for m, n in ((3, 2), (11, 9), (51, 49))],
        1e-5,
    ),
    "cycles-5c": (lambda: (wall(0.50001) - 1) / (0.25 * 24e-5 ** (2 / 3)), 1e-3),
    "cycles-6": (outlier_pairs, 0),
    "cycles-6b": (long_cycles, 0),
    "cycles-6c": (in_single_precision, 3e-4),
    "cycles-6d": (resized, 0),
    "cycles-6e": (named, 0),
    "cycles-7": (far_starts, 1e-9),
    "cycles-7c": (critical_ratio, 1e-5),
    "cycles-7d": (within_the_ratio, 1e-5),
    "cycles-7e": (lambda: [mixture(5.1), mixture(5.3)], 1e-5),
    "cycles-8": (
        lambda: steps_of_pairs([(*walls(*row[:4]), row[4], np.array([1.0, 0])) for row in WALLS]),
        1e-6,
    ),
    "cycles-8c": (lambda: periods_between_walls(8, 2, 15, 2, (0.5, 0.9)), 0),
    "cycles-8b": (lambda: [lost(*WALLS[i]) for i in (0, 3, 5)], 1e-3),
    "cycles-9": (feature_pairs, 0),
    "cycles-9b": (lambda: [pair_limit(n) for n in (14, 37, 100, 1_000)], 1e-5),
    "cycles-9c": (misclassified, 0),
    "cycles-9d": (
        lambda: [
            period(np.zeros(2), *intercept(37, 10, 12), g / minimum(*intercept(37, 10, 12))[1])
            for g in (0.85, 0.90, 1.00, 1.50)
        ],
        0,
    ),
    "cycles-10": (
        lambda: steps_of_pairs([(*sphere(*row), eta, start) for row, eta, start in SPHERES]),
        1e-6,
    ),
    "cycles-11b": (oring_coefficient, 1e-5),
    "cycles-11c": (oring_steps, 1e-4),
    "cycles-11d": (lambda: [coefficient(*line(*r)) for r in ((3, 2, 50), (11, 9, 100))], 1e-6),
    "cycles-11e": (lambda: [limit(*line(*r)) for r in ((3, 2, 50), (11, 9, 100))], 1e-7),
    "cycles-11h": (
        lambda: [
            brentq(lambda b: coefficient((1, -1, b), (2, 1, 1)), *ends, xtol=1e-6)
            for ends in ((6, 9), (16, 19))
        ],
        1e-4,
    ),
    "cycles-12": (residual, 1e-9),
    "cycles-12b": (sharpness_at_the_ends, 1e-4),
    "cycles-14d": (border, 1e-6),
    "cycles-15": (lambda: periods_beside(12, [1.78, 1.81, 1.84, 1.90, 1.95]), 0),
    "cycles-15b": (
        lambda: [1, 1] * (set(periods_beside(15, np.linspace(1.8, 1.99, 20))) == {1}),
        0,
    ),
    "cycles-p4": (lambda: [to_order(g)[0] for g in MADE], 1e-5),
    "cycles-p4b": (lambda: max(to_order(g)[1] for g in MADE), 1e-6),
}
