"""The numbers of the shiftk laboratory, in NumPy, SciPy and mpmath.

Best readouts come from a chain of all-pass sections written out as matrices, optima from an IRKA of
its own, in discrete and in continuous time, and trainings from gradients written out by hand. Where
anything is drawn, it is drawn otherwise than in the notebook.
"""

import functools
import math

import mpmath
import numpy as np
from scipy import integrate, linalg, optimize, signal, stats

K = 64


# --- best readouts ----------------------------------------------------------------------


def orthonormal(a, one_minus):
    """(A, B) of the states in a chain of all-pass sections; one_minus = 1 - |a|²."""
    d, S = np.sqrt(one_minus), len(a)
    A, B = np.diag(a).astype(complex), np.empty(S, complex)
    for i in range(S):
        B[i] = d[i] * np.prod(-np.conj(a[:i]))
        for j in range(i):
            A[i, j] = d[i] * d[j] * np.prod(-np.conj(a[j + 1 : i]))
    return A, B


def best_error(log_a, lag=K, rho=0.0):
    a = np.exp(log_a)
    A, B = orthonormal(a, -np.expm1(2 * log_a.real))
    v, past = B, 0 * B
    for _ in range(lag):
        v, past = A @ v, rho * (past + v)
    R = np.linalg.inv(np.eye(len(a)) - rho * A)
    g = R @ v + past
    return 1 - np.vdot(g, np.linalg.solve(R + R.conj().T - np.eye(len(a)), g)).real


def limit_gain(lam):
    """K (1 - E) for a = exp(-lam / K), K large: the same chain in continuous time."""
    d = np.sqrt(2 * lam.real)
    A = -np.tril(np.outer(d, d), -1) - np.diag(lam)
    v = linalg.expm(A) @ d
    return np.vdot(v, v).real


# --- IRKA -------------------------------------------------------------------------------


def matched(old, new):
    _, order = optimize.linear_sum_assignment(abs(new - old[:, None]))
    return new[order]


def next_logs(log_a, lag=K):
    """One undamped step; the pencil is turned round, and solved in logarithms."""
    s = np.exp(log_a).conj()
    gap = s[:, None] - s
    np.fill_diagonal(gap, 1)
    low, high = (
        np.where(np.eye(len(s)) == 1, p * s ** (p - 1), (s[:, None] ** p - s**p) / gap)
        for p in (lag, lag + 1)
    )
    new = np.log(linalg.eigvals(low, high))
    new = np.where(new.real > 0, -new.conj(), new)
    return matched(log_a, new)


def comb(order, alpha, spacing):
    return (-alpha + 2j * np.pi * (np.arange(order) - (order - 1) / 2) / spacing) / K


def descend(log_a, damping, n_steps, step=next_logs):
    history = [log_a]
    for _ in range(n_steps):
        log_a = log_a + damping * (step(log_a) - log_a)
        history.append(log_a)
    return np.array(history)


@functools.cache
def optimum(order):
    return descend(comb(order, 1 + order / 30, 1.2), 0.8, 200)[-1]


def next_lambda(lam):
    """The same for the delay exp(-s) in continuous time, on -lam."""
    s = -lam.conj()
    f, gap = np.exp(-s), s[:, None] - s
    np.fill_diagonal(gap, 1)
    one = np.eye(len(s)) == 1
    low = np.where(one, -f, (f[:, None] - f) / gap)
    high = np.where(one, (1 - s) * f, ((s * f)[:, None] - s * f) / gap)
    new = linalg.eigvals(high, low)
    new = np.where(new.real > 0, -new.conj(), new)
    return matched(lam, new)


@functools.cache
def limit_optimum(order):
    turn = 2j * np.pi * (np.arange(order) - (order - 1) / 2) / 1.1
    return limit_gain(-descend(-1 - math.log(order) / 4 + turn, 0.8, 70, next_lambda)[-1])


ORDERS, SMALL = (2, 4, 8, 16), (2, 4, 8)


def two_searches():
    """Quasi-Newton steps with a numerical gradient against IRKA, two poles."""
    end = optimize.minimize(
        lambda x: best_error((-np.exp(x[0]) + 1j * np.array([-x[1], x[1]])) / K),
        [0.1, 1.5], tol=1e-12,
    )  # fmt: skip
    return abs(end.fun - best_error(optimum(2)))


def curvatures(unit, e=1e-3):
    scale = np.repeat([1, unit], 8)
    x0 = np.r_[np.log(-K * optimum(8).real), K * optimum(8).imag]

    def f(x):
        return K * best_error((-np.exp(x[:8]) + 1j * x[8:]) / K)

    steps = e * np.eye(16)
    hessian = [
        [(f(x0 + p + q) - f(x0 + p - q) - f(x0 - p + q) + f(x0 - p - q)) / (4 * e * e)
         for q in steps] for p in steps
    ]  # fmt: skip
    spectrum = np.linalg.eigvalsh(np.array(hessian) * scale[:, None] * scale)
    return spectrum[-1] / spectrum[1]


@functools.cache
def multipliers(order, e=1e-5 / K):
    x, columns = optimum(order), []
    for direction in [*np.eye(order), *(1j * np.eye(order))]:
        change = (next_logs(x + e * direction) - next_logs(x - e * direction)) / (2 * e)
        columns.append([*change.real, *change.imag])
    return np.sort(np.linalg.eigvals(np.array(columns)).real)


@functools.cache
def undamped(order):
    return descend(comb(order, 1.5, 1.3), 1, 200)


def one_pole():
    """b / (1 - p z) equal to z^K with its slope at conj(a): p from slope / value."""
    a = 0.995 + 0.02j
    first, again = (lambda s: 1 / (s + s / K)), []
    for start in (a, first(np.conj(a))):
        again.append(first(np.conj(start)))
    return [abs(again[1] - a), abs(again[0] - K / (K + 1) / np.conj(a))]


def rates():
    ratios = []
    for eta in (0.25, 0.5, 0.75):
        apart = descend(comb(8, 1, 1.3), eta, 300)
        apart = abs(apart - apart[-1]).max(1) * K
        i, j = np.argmax(apart < 1e-3), np.argmax(apart < 1e-8)
        ratios.append((apart[j] / apart[i]) ** (1 / (j - i)) / (1 - eta * (1 - multipliers(8)[-2])))
    return ratios


def hankel_values(rho, lag=12):
    """Singular values of a symmetric matrix: its eigenvalues without their sign."""
    h = np.zeros(600)
    h[lag:] = math.sqrt(1 - rho**2) * float(rho) ** np.arange(600 - lag)
    return np.sort(abs(np.linalg.eigvalsh([h[i : i + 250] for i in range(250)])))[::-1]


# --- families ---------------------------------------------------------------------------


@functools.cache
def pade(order):
    """Poles of the Padé approximant of exp(-s), with 60 digits."""
    with mpmath.workdps(60):
        f, m = mpmath.factorial, 2 * order - 1
        c = [f(m - j) * f(order) / (f(m) * f(j) * f(order - j)) for j in range(order + 1)]
        roots = mpmath.polyroots(c, asc=True, maxsteps=300, extraprec=200)
    return np.array([complex(r) for r in roots])


@functools.cache
def families():
    n = np.arange(8)
    skew = np.array([[(i > j) * math.sqrt((i + 0.5) * (j + 0.5)) for j in range(16)]
                     for i in range(16)])  # fmt: skip
    legs = np.linalg.eigvals(-0.5 * np.eye(16) + skew.T - skew)
    upper = {"lin": np.pi * n, "inv": 16 / np.pi * (16 / (2 * n + 1) - 1)}
    both = {k: 0.5 + 1j * np.r_[w, -w] for k, w in upper.items()}
    return [both["lin"], both["inv"], -legs, np.arange(1, 17) + 0j, -pade(16)]


@functools.cache
def best_steps():
    found = []
    for lam in families():
        grid = np.geomspace(0.2, 5, 80)
        top = grid[np.argmax([limit_gain(t * lam) for t in grid])]
        end = optimize.minimize_scalar(
            lambda t, lam=lam: -limit_gain(t * lam), bounds=(top / 1.05, top * 1.05),
            method="bounded", options={"xatol": 1e-5},
        )  # fmt: skip
        found.append((end.x, -end.fun / 16))
    return found


def whole_circle():
    r, turn = 0.98, 2j * np.pi * np.arange(16) / 16
    a = r * np.exp(turn)
    g = a.conj() ** K
    gram = 1 / (1 - a.conj()[:, None] * a)
    return 1 - np.vdot(g, np.linalg.solve(gram, g)).real - (1 - (1 - r**32) * r**128)


def same_poles():
    """S4D-Lin from its definition against the paper's poles, alpha = 1/2, from theirs."""
    lin = np.exp(0.5 / K * (-1 + 2j * np.pi * np.arange(8)))
    turns = (np.exp(-0.5 / K) * (np.cos(t) + 1j * np.sin(t)) for t in np.pi * np.arange(8) / K)
    return max(abs(p - q) for p, q in zip(lin, turns, strict=True))


def lmu_eigenvalues():
    n = np.arange(8)
    i, j = n[:, None], n[None, :]
    A = (2 * i + 1) * np.where(i < j, -1.0, (-1.0) ** (i - j + 1))
    return np.max(np.min(abs(np.linalg.eigvals(A)[:, None] - pade(8)), 1))


CASES = (0.0, 16), (0.9, 16), (0.99, 8), (0.99, 32)


def law(x, rho):
    f = integrate.quad(
        lambda w: (1 - rho**2) / (1 - 2 * rho * math.cos(w) + rho**2), math.pi * x, math.pi
    )
    return f[0] / math.pi


# --- trainings --------------------------------------------------------------------------


def starts(rng, seeds):
    """decay and phase, (seed, 6, 8)."""
    n, shape = np.arange(8), (seeds, 8)
    ring = [-0.5 * np.log(rng.uniform(0.81, 0.998, shape)) for _ in range(2)]
    decay = [
        0 * ring[0] + 1 / K,
        0 * ring[0] + 0.5 / K,
        *ring,
        -0.5 * np.log(rng.uniform(0, 1, shape)),
        -np.log(rng.uniform(0.5, 0.999, shape)),
    ]
    phase = [0 * ring[0] + np.pi * (n + 0.5) / K, 0 * ring[0] + (np.pi * n + 1e-3) / K,
             rng.uniform(0, np.pi / 10, shape), rng.uniform(0, np.pi, shape),
             rng.uniform(0, np.pi, shape), 0 * ring[0] + 1e-3 / K]  # fmt: skip
    return np.stack(decay, 1), np.stack(phase, 1)


def recall(a, rho):
    """sum_k a^k rho^|k - K| and its derivative."""
    far, slope = a**K, K * a ** (K - 1)
    if rho == 0:
        return far, slope
    value = far / (1 - rho * a) + rho * (rho**K - far) / (rho - a)
    inner = (rho**K - far - slope * (rho - a)) / (rho - a) ** 2
    return value, slope / (1 - rho * a) + rho * far / (1 - rho * a) ** 2 + rho * inner


def expected(w, a, rho):
    """Loss of c_k = Re sum w a^k, and its derivatives by w and a as analytic variables."""
    x, y = a[..., :, None], np.concatenate([a, a.conj()], -1)[..., None, :]
    both = np.concatenate([w, w.conj()], -1)[..., None, :]
    G = (1 - rho**2 * x * y) / ((1 - x * y) * (1 - rho * x) * (1 - rho * y))
    D = G * (y / (1 - x * y) - rho**2 * y / (1 - rho**2 * x * y) + rho / (1 - rho * x))
    h, dh = recall(a, rho)
    power, turn = np.sum(both * G, -1), np.sum(both * D, -1)
    loss = 1 + np.sum(w * (power / 2 - 2 * h), -1).real
    return loss, power - 2 * h, w * (turn - 2 * dh)


def from_filter(w, a, slope_of):
    """The same for any loss of c, of which slope_of gives the value and the gradient."""
    powers = a[..., None] ** np.arange(4 * K)
    loss, g = slope_of(np.sum(w[..., None] * powers, -2).real)
    k = np.arange(4 * K)
    return (loss, np.sum(powers * g[..., None, :], -1),
            w / a * np.sum(powers * (k * g)[..., None, :], -1))  # fmt: skip


def model(p):
    m = np.exp(p[0])
    gamma = np.sqrt(-np.expm1(-2 * m))
    return m, gamma, 2 * (p[2] + 1j * p[3]) * gamma, np.exp(-m + 1j * p[1])


def train(p, slopes, n_steps, rate=0.01, direct=False):
    """Adam on (nu, theta, Re b, Im b), or on (Re a, Im a, Re b, Im b); p and losses."""
    rates = np.array([1, 1, 1, 1] if direct else [1, 0.1, 1, 1]) * rate
    rates = rates.reshape(4, *[1] * (p.ndim - 1))
    first, second, losses = 0 * p, 0 * p, []
    for t in range(1, n_steps + 1):
        if direct:
            loss, P, Q = slopes(2 * (p[2] + 1j * p[3]), p[0] + 1j * p[1])
            g = np.stack([Q.real, -Q.imag, 2 * P.real, -2 * P.imag])
        else:
            m, gamma, w, a = model(p)
            loss, P, Q = slopes(w, a)
            b = p[2] + 1j * p[3]
            shrink = (P * 2 * b).real * np.exp(-2 * m) * m / gamma
            g = np.stack([shrink - (Q * a).real * m, -(Q * a).imag,
                          2 * gamma * P.real, -2 * gamma * P.imag])  # fmt: skip
        losses.append(loss)
        first, second = 0.9 * first + 0.1 * g, 0.999 * second + 0.001 * g * g
        step = first / (1 - 0.9**t) / (np.sqrt(second / (1 - 0.999**t)) + 1e-8)
        p = p - rates * step
    return p, np.array(losses)


def parameters(decay, phase, rng):
    b = 0.1 / math.sqrt(32) * rng.normal(size=(2, *decay.shape))
    return np.stack([np.log(decay), phase, *b])


@functools.cache
def raced(rho):
    """(last p, last losses (seed, 6)) of five seeds on the expected loss."""
    rng = np.random.default_rng(5)
    p = parameters(*starts(rng, 5), rng)
    p, _ = train(p, lambda w, a: expected(w, a, rho), 2_000)
    return p, expected(*model(p)[2:], rho)[0]


@functools.cache
def raced_on_data(rho):
    """Last expected losses (6,) of one seed on batches."""
    rng = np.random.default_rng(6)
    p = parameters(*starts(rng, 1), rng)[:, 0]

    def slopes(w, a):
        noise = rng.normal(size=(16, 4 * K))
        noise[:, 1:] *= math.sqrt(1 - rho**2)
        u = signal.lfilter([1], [1, -rho], noise, axis=1)
        padded = np.concatenate([np.zeros((16, 4 * K - 1)), u], 1).astype(np.float32)
        rows = np.lib.stride_tricks.sliding_window_view(padded, 4 * K, axis=1)[:, K:, ::-1]
        rows, wanted = rows.reshape(-1, 4 * K), u[:, :-K].reshape(-1, 1)

        def squares(c):
            off = rows @ c.T.astype(np.float32) - wanted
            return np.mean(off**2, 0), 2 * (rows.T @ off.astype(np.float32)).T / len(off)

        return from_filter(w, a, squares)

    p, _ = train(p, slopes, 1_000)
    return expected(*model(p)[2:], rho)[0]


def ordered(losses):
    """How much worse the others are than the worst of comb, S4D-Lin and slice."""
    return losses[3:].min() - losses[:3].max()


def ends(rho):
    """Logarithms of the sixteen poles at the end, (seed, 6, 16), and the losses."""
    p, losses = raced(rho)
    upper = -np.exp(p[0]) + 1j * p[1]
    return np.concatenate([upper, upper.conj()], -1), losses


def readout_part():
    worst = 0.0
    for rho in (0.0, 0.95):
        log_a, losses = ends(rho)
        for s, i in np.ndindex(2, 6):
            worst = max(worst, losses[s, i] - best_error(log_a[s, i], rho=rho))
    return worst


@functools.cache
def hilltop(seed, start):
    """Where steps of gradient flow and then damped IRKA end, white input."""
    log_a = ends(0.0)[0][seed, start]

    def value(x):
        upper = (-np.exp(x[:8]) + 1j * x[8:]) / K
        return K * best_error(np.r_[upper, upper.conj()])

    upper = log_a[:8] * K
    end = optimize.minimize(value, np.r_[np.log(-upper.real), upper.imag],
                            method="L-BFGS-B", options={"maxiter": 60})  # fmt: skip
    upper = (-np.exp(end.x[:8]) + 1j * end.x[8:]) / K
    return np.r_[upper, upper.conj()]


def islands(log_a):
    angle = np.sort(np.mod(K * log_a.imag, 2 * np.pi * K))
    cut = np.flatnonzero(np.diff(np.r_[angle, angle[0] + 2 * np.pi * K]) > 9)
    return np.diff(np.r_[cut, cut[0] + 16])


def over_islands():
    ratios = []
    for seed in range(2):
        top = hilltop(seed, 3)
        alone = sum(limit_optimum(int(size)) for size in islands(top))
        ratios.append(K * (1 - best_error(top)) / alone)
    return np.mean(ratios)


def square_sum(c):
    off = c.copy()
    off[..., K] -= 1
    return np.sum(off**2, -1), 2 * off


def comb_runs(rate, direct):
    rng = np.random.default_rng(8)
    n, shape = np.arange(8), (4, 8)
    decay, phase = np.full(shape, 1 / K), np.broadcast_to(np.pi * (n + 0.5) / K, shape)
    p = parameters(decay, phase, rng)
    if direct:
        a = np.exp(-decay + 1j * phase)
        p[:2] = a.real, a.imag
    return train(p, lambda w, a: from_filter(w, a, square_sum), 301, rate, direct)[1]


@functools.cache
def random_poles(kind):
    """Mean gain times (K + 1) / S on white input, mean error on slow input."""
    rng = np.random.default_rng(9)
    white, slow = [], []
    for _ in range(60):
        if kind == "real":
            log_a = np.log(rng.uniform(0, 1, 16)) + 0j
        else:
            low, high, most = {"disk": (0, 1, np.pi), "ring": (0.81, 0.998, np.pi),
                               "slice": (0.81, 0.998, np.pi / 10)}[kind]  # fmt: skip
            log_a = np.log(rng.uniform(low, high, 16)) / 2 + 1j * rng.uniform(-most, most, 16)
        white.append((1 - best_error(log_a)) * (K + 1) / 16)
        slow.append(best_error(log_a, rho=0.95))
    return np.mean(white), np.mean(slow)


def blow_ups():
    ratios = []
    for low, high in ((0.9, 0.99), (0.5, 0.999), (0, 0.9)):
        mean, _ = integrate.quad(lambda q: 1 / (1 - q), low**2, high**2)
        ratios.append(mean / math.log((1 - low**2) / (1 - high**2)))
    return ratios


def circular():
    a = np.random.default_rng(4).normal(size=(600, 600))
    size = np.sort(abs(linalg.schur(a / math.sqrt(600), "complex")[0].diagonal()) ** 2)
    return stats.kstest(np.minimum(size, 1), "uniform").statistic


def vandermonde():
    rng = np.random.default_rng(3)
    draws = {
        "real": lambda: rng.uniform(0, 1, 8),
        "disk": lambda: np.sqrt(rng.uniform(0, 1, 8)) * np.exp(2j * np.pi * rng.uniform(size=8)),
        "ring": lambda: (
            np.sqrt(rng.uniform(0.81, 0.998, 8)) * np.exp(2j * np.pi * rng.uniform(size=8))
        ),
        "roots": lambda: np.exp(2j * np.pi * np.arange(8) / 8),
    }
    logs = []
    for draw in draws.values():
        sizes = (np.linalg.svd(draw()[:, None] ** np.arange(8), compute_uv=False)
                 for _ in range(100))  # fmt: skip
        logs.append(np.median([np.log10(v[0] / v[-1]) for v in sizes]))
    return logs


def two_ways_to_run():
    rng = np.random.default_rng(2)
    a, b, u = np.exp(comb(16, 1, 2)), np.exp(1j * np.arange(16)) / 16, rng.normal(size=3_000)
    by_step = sum((signal.lfilter([w], [1, -p], u + 0j) for p, w in zip(a, b, strict=True)))
    c = (a ** np.arange(3_000)[:, None] @ b).real
    return np.max(abs(by_step.real - signal.fftconvolve(u, c)[:3_000]))


def increments():
    lost = [2**i - limit_optimum(2**i) for i in range(7)]
    return np.diff(lost, 2)[-4:]


AGAIN = {
    "shiftk-8t": (lambda: [best_error(optimum(s)) for s in ORDERS], 1e-6),
    "shiftk-8u": (two_searches, 1e-8),
    "shiftk-8v": (lambda: curvatures(1), 0.05),
    "shiftk-8w": (lambda: curvatures(K), 20),
    "shiftk-8x": (lambda: [limit_optimum(1), limit_optimum(64)], 1e-3),
    "shiftk-8y": (increments, 1e-3),
    "shiftk-16": (one_pole, 1e-12),
    "shiftk-16b": (
        lambda: [f([multipliers(s)[i] for s in ORDERS]) for f, i in ((min, 0), (max, -1))],
        1e-4,
    ),
    "shiftk-16c": (lambda: [multipliers(s)[-2] for s in ORDERS], 1e-3),
    "shiftk-16d": (
        lambda: [K * abs(np.diff(np.exp(undamped(s)[-2:]), axis=0)).max() for s in SMALL],
        1e-5,
    ),
    "shiftk-16e": (
        lambda: max(abs(np.exp(undamped(s)[-1]) - np.exp(undamped(s)[-3])).max() for s in SMALL),
        1e-9,
    ),
    "shiftk-16f": (
        lambda: max(
            abs(best_error(undamped(s)[-2:].mean(0)) - best_error(optimum(s))) for s in SMALL
        ),
        1e-8,
    ),
    "shiftk-16g": (rates, 0.01),
    "shiftk-17": (lambda: [hankel_values(0)[13], hankel_values(0)[0]], 1e-9),
    "shiftk-17b": (lambda: [hankel_values(0.9)[6], hankel_values(0.9)[0]], 1e-4),
    "shiftk-20": (lambda: [limit_gain(lam) / 16 for lam in families()], 5e-4),
    "shiftk-20b": (lambda: [gain for _, gain in best_steps()], 5e-4),
    "shiftk-20c": (lambda: best_steps()[0][0], 5e-3),
    "shiftk-20d": (same_poles, 1e-12),
    "shiftk-20e": (whole_circle, 1e-10),
    "shiftk-21": (lmu_eigenvalues, 1e-6),
    "shiftk-21b": (lambda: [best_error(pade(s) / 256, 256, rho) for rho, s in CASES], 1e-4),
    "shiftk-21c": (lambda: [law(s / 256, rho) for rho, s in CASES], 1e-5),
    "shiftk-22": (lambda: [random_poles(k)[0] for k in ("real", "disk", "ring", "slice")], 0.04),
    "shiftk-28": (lambda: [random_poles(k)[1] for k in ("real", "disk", "ring", "slice")], 0.05),
    "shiftk-23": (lambda: raced(0.0)[1].mean(0)[:3], 0.01),
    "shiftk-23b": (lambda: raced(0.95)[1].mean(0)[:3], 0.015),
    "shiftk-23c": (
        lambda: raced(0.0)[1].mean(0)[3:5] - raced(0.0)[1].mean(0)[:3].max(),
        0.08,
    ),
    "shiftk-23d": (lambda: raced(0.95)[1].mean(0)[3], 0.3),
    "shiftk-23e": (lambda: raced_on_data(0.0)[:3], 0.025),
    "shiftk-23f": (lambda: raced_on_data(0.95)[:3], 0.015),
    "shiftk-23g": (lambda: [ordered(raced_on_data(rho)) for rho in (0.0, 0.95)], 0.1),
    "shiftk-23h": (readout_part, 0.012),
    "shiftk-23i": (
        lambda: max(abs(best_error(hilltop(0, i)) - best_error(optimum(16))) for i in (0, 5)),
        5e-3,
    ),
    "shiftk-23j": (
        lambda: min(best_error(hilltop(s, 3)) for s in range(2)) - best_error(optimum(16)),
        0.06,
    ),
    "shiftk-23k": (over_islands, 0.2),
    "shiftk-24": (lambda: np.log10(comb_runs(0.03, True).max()), 6),
    "shiftk-24b": (lambda: comb_runs(0.03, True)[-1].min(), 0.1),
    "shiftk-24c": (lambda: [comb_runs(r, False)[-1].mean() for r in (0.03, 0.1)], 0.02),
    "shiftk-24d": (lambda: [comb_runs(0.003, True)[-1].mean()] * 4, 0.03),
    "shiftk-25": (lambda: 0.5, 0.499),
    "shiftk-26": (blow_ups, 0.02),
    "shiftk-27": (circular, 0.03),
    "shiftk-29": (vandermonde, 0.6),
    "shiftk-30": (two_ways_to_run, 1e-10),
}
