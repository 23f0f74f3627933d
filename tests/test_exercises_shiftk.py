"""The exercises of the shift-K chapter: solutions pass, wrong ones are told so, nothing leaks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import binom, norm

import notebooks
from optdyn import check as checks
from optdyn import exercises_shiftk as exercises
from optdyn.check import verdict

ROOT = Path(__file__).resolve().parent.parent
NAMES = sorted(exercises.EXERCISES)
OPEN = {"shiftk-poles", "shiftk-gate"}
if hasattr(jax, "enable_x64"):
    enable_x64 = jax.enable_x64
else:
    from jax.experimental import enable_x64
each_exercise = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(autouse=True)
def double_precision() -> Iterator[None]:
    """As after the set-up cell, which the notebooks begin with."""
    with enable_x64(True):
        yield


def cells(which: str) -> list[Any]:
    return list(notebooks.read(ROOT / "chapters" / "shiftk" / f"{which}.ipynb").cells)


def grade_id(cell: Any) -> str:
    return str(cell.metadata.get("nbgrader", {}).get("grade_id", ""))


def answers(which: str) -> dict[str, Callable[..., Any]]:
    """The functions of a notebook's answer cells, by exercise."""
    found: dict[str, Callable[..., Any]] = {}
    space: dict[str, Any] = {}
    for cell in cells(which):
        name = grade_id(cell)
        if cell.cell_type == "code" and "import numpy as np" in cell.source:
            exec(cell.source, space)
        if cell.cell_type == "code" and name and not name.endswith("-check"):
            exec(cell.source, space)
            defined = re.findall(r"^def (\w+)", cell.source, re.MULTILINE)
            found[name] = space[defined[-1]]
    return found


SOLUTIONS, STUBS = answers("solutions"), answers("exercises")


# --- right, unanswered, wrong ----------------------------------------------------------


def test_every_exercise_has_a_place_in_the_notebooks() -> None:
    assert sorted(SOLUTIONS) == sorted(STUBS) == NAMES
    assert 8 <= len(NAMES) <= 12 and len(OPEN) == 2
    assert set(NAMES) <= set(checks._registry())


@each_exercise
def test_the_solution_passes(name: str) -> None:
    made = verdict(name, SOLUTIONS[name], seconds=120)
    assert made.state == ("measured" if name in OPEN else "right"), made.text


@each_exercise
def test_the_stub_is_not_answered_yet(name: str) -> None:
    assert verdict(name, STUBS[name]).state == "unanswered"


S = SOLUTIONS


def _taps(matrix: Any, enters: Any, leaves: Any, n: int) -> Any:
    x, out = enters, []
    for _ in range(n):
        out.append(leaves @ x)
        x = matrix @ x
    return np.array(out)


def _summed(matrix: Any, enters: Any, leaves: Any, lag: int, n: int = 5_000) -> Any:
    """Exercise 1 by a sum of n terms."""
    c = _taps(matrix, enters, leaves, n)
    return c[lag] / (c @ c), 1 - c[lag] ** 2 / (c @ c)


def _expanded(decay: Any, phase: Any, n: int, bar: Any = np.conj) -> Any:
    """Exercise 3 by multiplying power series."""
    series = np.eye(1, n)[0].astype(complex)
    for a in np.exp(-decay + 1j * phase):
        powers = a ** np.arange(n)
        factor = -bar(a) * powers + np.append(0, powers[:-1])
        series = np.convolve(series, factor)[:n]
    return abs(series) ** 2


def _bisected(error: float, rho: float) -> float:
    """Exercise 4 by halving."""
    low, high = 0.0, 1.0
    gain = (1 + abs(rho)) / (1 - abs(rho))
    for _ in range(60):
        x = (low + high) / 2
        lost = 1 - 2 / np.pi * np.arctan(gain * np.tan(np.pi * x / 2))
        low, high = (x, high) if lost > error else (low, x)
    return x


def _differenced(decay: Any, phase: Any, lag: int) -> float:
    """Exercise 5 by a difference of errors."""
    step = 1e-5 * decay.min()
    errors = [S["shiftk-exit"](decay + e, phase, lag + 1).sum() for e in (-step, step)]
    return (errors[1] - errors[0]) / (2 * step)


def _loop(alpha: float, spacing: float, half: float = 0.5) -> float:
    """Exercise 6, one echo after the other."""
    total, j = 0.0, -int(np.ceil(1 / spacing))
    while 1 + j * spacing < 100 / alpha:
        t = 1 + j * spacing
        total += (t > 1e-9) * np.exp(-2 * alpha * (t - 1))
        total += (abs(t) <= 1e-9) * half * np.exp(2 * alpha)
        j += 1
    return 1 / (spacing * total)


def _solved(poles: Any, lag: int) -> Any:
    """Exercise 7 in float64, which is wrong."""
    g = poles**lag
    b = np.linalg.solve(1 / (1 - np.outer(poles, poles)), g)
    return b @ g, np.log10(np.linalg.norm(b))


def _quadrature(decay: Any, phase: Any, lag: int, rho: float) -> list[float]:
    """Exercise 9 by SciPy's integrals."""
    found = []
    for a in np.exp(-decay + 1j * phase):

        def part(omega: float, of: Callable[[complex], float], a: complex = a) -> float:
            z = np.exp(-1j * omega)
            return float((1 - rho**2) / abs(1 - rho * z) ** 2 * of(1 / (1 - a * z)))

        def mean(of: Callable[..., float], weight: str = "") -> float:
            return quad(of, -np.pi, np.pi, limit=2000, epsabs=1e-12, epsrel=1e-9)[0] / (2 * np.pi)

        def wave(omega: float, turn: complex, p: Any = part) -> float:
            return p(omega, lambda h: (h * np.exp(1j * lag * omega) * turn).real)

        real, imag = mean(lambda w: wave(w, 1)), mean(lambda w: wave(w, -1j))
        power = mean(lambda w: part(w, lambda h: abs(h) ** 2))
        found.append((real**2 + imag**2) / power)
    return found


def _stepped(radius: float, lag: int, damping: float, n: int, whole: bool = False) -> Any:
    """Exercise 10, step by step; `whole`: with a mean of poles, which is wrong."""
    path = [radius]
    for _ in range(n):
        r = path[-1]
        new = lag / ((lag + 1) * r)
        mixed = (1 - damping) * r + damping * new
        path.append(mixed if whole else r ** (1 - damping) * new**damping)
    return np.array(path)


OTHER_WAYS: list[tuple[str, Callable[..., Any]]] = [
    ("shiftk-scale", _summed),
    ("shiftk-budget", lambda *args: jnp.asarray(S["shiftk-budget"](*args))),
    ("shiftk-exit", _expanded),
    ("shiftk-exit", lambda *args: jnp.asarray(_expanded(*args))),
    ("shiftk-slow", _bisected),
    ("shiftk-centre", _differenced),
    ("shiftk-spacing", _loop),
    ("shiftk-comb", lambda S, K: [jnp.asarray(x) for x in SOLUTIONS["shiftk-comb"](S, K)]),
    ("shiftk-dead", _quadrature),
    ("shiftk-cycle", _stepped),
    ("shiftk-poles", lambda S, K: jnp.ones((S, 2))),
    ("shiftk-gate", lambda u, S, K: jnp.abs(u) / 10),
]


@pytest.mark.parametrize(("name", "answer"), OTHER_WAYS)
def test_other_ways_to_be_right(name: str, answer: Callable[..., Any]) -> None:
    made = verdict(name, answer, seconds=60)
    assert made.state in ("right", "measured"), made.text


def _alone(change: Callable[..., Any]) -> Callable[..., Any]:
    return lambda m, t, K, rho: change(np.array(S["shiftk-dead"](m, t, K, rho)), m, t, K, rho)


# name: wrong answers, and what the answer of the check has to say
WRONG: dict[str, list[tuple[Callable[..., Any], str]]] = {
    "shiftk-scale": [
        (lambda A, B, C, K: S["shiftk-scale"](A, B, C, K)[::-1], "The factor first"),
        (
            lambda A, B, C, K: (_taps(A, B, C, K + 1)[K], S["shiftk-scale"](A, B, C, K)[1]),
            "second coefficient is not 1",
        ),
        (lambda A, B, C, K: S["shiftk-scale"](A, B, C, K + 1), "already entered"),
        (lambda A, B, C, K: _summed(A, B, C, K, K + 1), "does not end at the lag"),
        (
            lambda A, B, C, K: (S["shiftk-scale"](A, B, C, K)[0], 1 - 2 * _taps(A, B, C, K + 1)[K]
                                + (_taps(A, B, C, 5_000) ** 2).sum()),
            "the loss after scaling",
        ),
        (lambda A, B, C, K: _summed(A, B, C, K, 500), "where does the sum end"),
        (lambda A, B, C, K: 1.0, "The shape is ()"),
    ],
    "shiftk-budget": [
        (lambda S, K, p, k: (S - (K + 1) * p) / (k - K), "never recalled better"),
        (lambda S, K, p, k: min(p, (S - K * p) / (k - K)), "from 0 to K"),
        (lambda S, K, p, k: min(p, S - (K + 1) * p), "so have the lags between"),
        (lambda S, K, p, k: p, "a level curve"),
        (lambda S, K, p, k: 0.0, "order = 4"),
    ],
    "shiftk-exit": [
        (lambda m, t, n: np.sqrt(_expanded(m, t, n)), "These are amplitudes"),
        (lambda m, t, n: np.cumsum(_expanded(m, t, n)), "the errors at lags"),
        (lambda m, t, n: 1 - np.cumsum(_expanded(m, t, n)), "the memory curve"),
        (lambda m, t, n: -_expanded(m, t, n), "none of them is negative"),
        (lambda m, t, n: _expanded(m, t, n, bar=lambda a: a), "Mind what is barred"),
        (lambda m, t, n: np.ones(n + 1), "4 numbers"),
    ],
    "shiftk-slow": [
        (lambda e, r: 1 - S["shiftk-slow"](e, r) if r else S["shiftk-slow"](e, r), "given up"),
        (lambda e, r: 2 * S["shiftk-slow"](e, r) * (r != 0) + (r == 0) / 2, "has width 2 W"),
        (lambda e, r: 1 - e, "white input only"),
        (
            lambda e, r: 2 / np.pi * np.arctan((1 - r) / (1 + r) * np.tan(np.pi * (1 - e) / 2)),
            "where the spectrum is largest",
        ),
        (lambda e, r: 1.5, "between 0 and 1"),
    ],
    "shiftk-centre": [
        (lambda *args: -S["shiftk-centre"](*args), "lies beyond K"),
        (lambda *args: S["shiftk-centre"](*args) / 2, "the derivative of a square"),
        (
            lambda m, t, K: S["shiftk-centre"](m, t, K) / (1 - _expanded(m, t, K + 1).sum()),
            "not divided by the energy",
        ),
        (lambda *args: 0.0, "decay = "),
    ],
    "shiftk-spacing": [
        (lambda alpha, p: (1 - np.exp(-2 * alpha * p)) / p, "come to a lag before K"),
        (lambda alpha, p: (1 - np.exp(-4 * alpha)) / 2, "the spacing of the paper"),
        (lambda alpha, p: p * S["shiftk-spacing"](alpha, p), "once in how much time"),
        (lambda alpha, p: _loop(alpha, p, 1.0), "before the beginning of time"),
        (lambda alpha, p: _loop(alpha, p, 0.0), "spacing = 1"),
    ],
    "shiftk-real": [
        (lambda a, K: S["shiftk-real"](a, K)[::-1], "The gain first"),
        (_solved, "How many digits does this solve lose"),
        (lambda a, K: (S["shiftk-real"](a, K)[0], 10 ** S["shiftk-real"](a, K)[1]), "base 10"),
        (lambda a, K: (S["shiftk-real"](a, K)[0], 2 * S["shiftk-real"](a, K)[1]), "not its square"),
        (lambda a, K: S["shiftk-real"](a, K) * np.array([-1, 1]) + [1, 0], "minus the error"),
    ],
    "shiftk-comb": [
        (lambda S, K: (0.95, 1 - (1 - 0.95**2) * 0.95 ** (2 * K)), "which another"),
        (
            lambda S, K: (np.exp(-0.5 / K), 1 - (1 - np.exp(-1 / K)) / np.e),
            "maximise over radius^(2S) exactly",
        ),
        (lambda S, K: (SOLUTIONS["shiftk-comb"](S, K)[0], 0.2), "the error 0.96"),
        (
            lambda S, K: (SOLUTIONS["shiftk-comb"](S, K)[0], 1 - SOLUTIONS["shiftk-comb"](S, K)[1]),
            "That is the gain",
        ),
        (lambda S, K: (0.9, 1 - (1 - 0.9 ** (2 * S)) * 0.9 ** (2 * K)), "another radius has"),
        (lambda S, K: (1.1, 0.5), "Poles lie inside"),
    ],
    "shiftk-dead": [
        (_alone(lambda v, *_: np.sqrt(v)), "a share of variance is the square"),
        (_alone(lambda v, *_: 1 - v), "the gains are asked for"),
        (
            lambda m, t, K, rho: (1 - np.exp(-2 * m)) * np.exp(-2 * m * K),
            "right for white input",
        ),
        (
            _alone(lambda v, m, t, K, rho: v / (1 - np.exp(-2 * m)) if rho == 0 else v),
            "Divide by the variance",
        ),
        (_alone(lambda v, *_: v[:1]), "one for each pole"),
    ],
    "shiftk-cycle": [
        (lambda r, K, e, n: _stepped(r, K, 1.0, n), "steps without damping"),
        (lambda r, K, e, n: _stepped(r, K, e, n, whole=True), "between the logarithms"),
        (lambda r, K, e, n: _stepped(r, K, 1 - e, n), "damping 1 takes the whole step"),
        (lambda r, K, e, n: _stepped(r, K, e, n + 1)[1:], "The first number is the start"),
        (lambda r, K, e, n: _stepped(r, K, e, n)[1:], "6 numbers"),
    ],
    "shiftk-poles": [
        (lambda S, K: np.ones((S, 3)), "16 rows of decay and phase"),
        (lambda S, K: -np.ones((S, 2)), "every decay positive"),
        (lambda S, K: np.full((S, 2), np.inf), "finite"),
        (lambda S, K: np.ones((S, 2)) * 1j, "complex"),
    ],
    "shiftk-gate": [
        (lambda u, S, K: u, "chances between 0 and 1"),
        (lambda u, S, K: u[:3] * 0, "401 chances"),
        (lambda u, S, K: np.full(len(u), np.nan), "There is a nan"),
    ],
}  # fmt: skip
WRONG_CASES = [
    pytest.param(name, answer, words, id=f"{name}-{i}")
    for name, list_ in WRONG.items()
    for i, (answer, words) in enumerate(list_)
]


def test_two_wrong_answers_at_least_are_tried_for_each() -> None:
    assert sorted(WRONG) == NAMES and min(len(list_) for list_ in WRONG.values()) >= 2


def code_of_solution(name: str) -> list[str]:
    """The lines between the marks of a solution."""
    (cell,) = (c for c in cells("solutions") if grade_id(c) == name)
    inside = cell.source.partition("### BEGIN SOLUTION\n")[2].partition("    ### END SOLUTION")[0]
    return [line.strip() for line in inside.splitlines() if len(line.strip()) > 12]


@pytest.mark.parametrize(("name", "answer", "words"), WRONG_CASES)
def test_wrong_answers(name: str, answer: Callable[..., Any], words: str) -> None:
    made = verdict(name, answer, seconds=60)
    lines = dict(made.lines)
    assert made.state == "wrong" and words in made.text, made.text
    assert {"expected", "came", "hint"} <= set(lines)
    assert all(lines.values())
    for takes in checks._registry()[name].takes:
        assert re.search(rf"^{takes} = ", lines["input"], re.MULTILINE)
    for line in code_of_solution(name):
        assert line not in made.text


@each_exercise
def test_misbehaviour_gets_a_helpful_answer(name: str) -> None:
    def raises(*args: Any) -> Any:
        return [][0]

    def endless(*args: Any) -> Any:
        while True:
            pass

    told = {f.__name__: verdict(name, f, seconds=0.2) for f in (raises, endless, str)}
    assert "IndexError" in told["raises"].text and "return [][0]" in told["raises"].text
    assert "nothing within the time limit" in told["endless"].text
    assert told["str"].state == "wrong"
    assert verdict(name, lambda *args: None).state == "unanswered"


# --- what judges compute, against something else ---------------------------------------


def _least_squares(decay: Any, phase: Any, lag: int) -> float:
    """The error of the best readout, by least squares on long sequences."""
    powers = np.exp(np.outer(np.arange(4_000), -decay + 1j * phase))
    target = np.eye(1, 4_000, lag)[0]
    b = np.linalg.lstsq(powers, target.astype(complex), rcond=None)[0]
    return float((abs(powers @ b - target) ** 2).sum())


@pytest.mark.parametrize("lag", [0, 1, 12, 40])
def test_the_error_by_least_squares(lag: int) -> None:
    decay, phase = np.array([0.02, 0.1, 0.3, 0.05]), np.array([0.3, -0.2, 2.5, 1.0])
    error = exercises._error(exercises._poles(decay, phase), lag)
    assert error == pytest.approx(_least_squares(decay, phase, lag), abs=1e-12)


def test_the_best_poles_known_are_no_better_than_the_bound_and_can_be_had() -> None:
    """A descent of its own from the bent comb of the solutions, without the library."""
    from scipy.optimize import minimize

    (order, lag), best = next(iter(exercises.BEST.items()))

    def lost(v: Any) -> Any:
        log = (-jnp.exp(v[:order]) + 1j * v[order:]) / lag
        g = jnp.exp(lag * jnp.conj(log))
        gram = 1 / (1 - jnp.exp(jnp.conj(log)[:, None] + log))
        return lag * (1 - jnp.real(jnp.sum(jnp.conj(g) * jnp.linalg.solve(gram, g))))

    x = (2 * np.arange(order) + 1) / order - 1
    start = np.concatenate([np.log(2.25 - 1.6 * x**4), np.pi * order * (x - 0.05 * x**3) / 1.09])
    both = jax.jit(jax.value_and_grad(lost))
    found = minimize(
        lambda v: tuple(map(np.asarray, both(v))), start, jac=True, method="L-BFGS-B",
        options={"maxiter": 2_000, "ftol": 1e-15, "gtol": 1e-9},
    )  # fmt: skip
    assert found.fun / lag == pytest.approx(best, abs=2e-9)
    assert best > 1 - order / (lag + 1)
    better = np.stack([np.exp(found.x[:order]) / lag, found.x[order:] / lag], axis=1)
    assert "the best that this book" in verdict("shiftk-poles", lambda S, K: better).text
    assert "write to the authors" not in verdict("shiftk-poles", lambda S, K: better).text


def test_a_record_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(exercises.BEST, (16, 64), 0.85)
    assert "write to the authors" in verdict("shiftk-poles", SOLUTIONS["shiftk-poles"]).text


def test_latches_by_running_them() -> None:
    """The gain of the check against latches that are written one by one, and the formula."""
    order, lag, tau = 4, 64, 2.06
    told = verdict("shiftk-gate", SOLUTIONS["shiftk-gate"]).text
    gains = [float(x) for x in re.findall(r"recall (\S+) of|, (\S+) with", told)[0] if x]
    rare = 2 * norm.sf(tau)
    law = 2 * (tau * norm.pdf(tau) + norm.sf(tau)) * binom.cdf(order - 1, lag, rare)
    assert gains[0] == pytest.approx(law, rel=0.02)
    rng, kept, lost = np.random.default_rng(1), [(-1, 0.0)] * order, 0.0
    u = rng.normal(size=100_000)
    for n, value in enumerate(u):
        if abs(value) > tau:
            kept = [*kept[1:], (n, value)]
        held = [x for at, x in kept if at == n - lag]
        lost += (u[n - lag] - sum(held)) ** 2 if n >= lag else 0.0
    assert 1 - lost / (u[:-lag] ** 2).sum() == pytest.approx(law, rel=0.06)
    blind = float(re.findall(r"(\S+) with one that writes blindly", told)[0])
    assert blind == pytest.approx(max(q * binom.cdf(3, 64, q) for q in np.linspace(0, 0.1, 999)),
                                  rel=0.03)  # fmt: skip


def test_gates_that_see_only_the_input_are_linear_on_average() -> None:
    """The theorem of the last solution: correlations with past inputs are C Abar^k h."""
    rng = np.random.default_rng(2)
    u = rng.normal(size=1_000_000)
    gate = 1 / (1 + np.exp(-u - 1))  # keeps more of the state when u is large
    x = np.zeros(len(u))
    for n in range(1, len(u)):
        x[n] = gate[n] * x[n - 1] * 0.9 + u[n] * (1 - gate[n] / 2) + 0.3
    x = x[1_000:]
    seen = [np.mean(x[k:] * u[1_000 : len(u) - k]) for k in range(6)]
    mean = 0.9 * np.mean(gate)
    assert np.array(seen[1:]) / seen[0] == pytest.approx(mean ** np.arange(1, 6), abs=0.015)


def test_the_gram_matrix_of_real_poles_in_fractions() -> None:
    """The judge's numbers against a solve that float64 can do."""
    poles = np.array([0.97, 0.9, 0.7, 0.2])
    assert exercises._real_poles(np.array(_solved(poles, 20)), poles, 20) is None


def test_markovs_bound_and_the_budget_hold_for_random_poles() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        size, lag = int(rng.integers(1, 7)), int(rng.integers(6, 60))
        decay, phase = rng.uniform(0.05, 1, size), rng.uniform(-3, 3, size)
        law = SOLUTIONS["shiftk-exit"](decay, phase, 4_000)
        assert law.sum() == pytest.approx(1) and np.arange(4_000) @ law == pytest.approx(size)
        assert 1 - law[: lag + 1].sum() <= size / (lag + 1)


def test_the_step_of_irka_touches_the_target() -> None:
    a, lag = 0.9 * np.exp(0.4j), 12
    new = lag / ((lag + 1) * a.conjugate())
    at = a.conjugate()
    scale = at**lag * (1 - new * at)
    assert scale / (1 - new * at) == pytest.approx(at**lag)
    assert scale * new / (1 - new * at) ** 2 == pytest.approx(lag * at ** (lag - 1))
    assert abs(new) == pytest.approx(_stepped(0.9, lag, 1.0, 1)[1])


def test_what_the_solutions_say_of_dead_poles() -> None:
    rng, alone = np.random.default_rng(9), SOLUTIONS["shiftk-dead"]
    slow = np.linspace(0.2, 2, 60) / 64
    for rho, shares in ((0.0, (0.37, 0.07, 0.38)), (0.95, (0.012, 0.003, 0.14))):
        most = max(alone(slow, np.zeros(60), 64, rho))
        starts = ((0.81, 0.998, np.pi), (0, 1, np.pi), (0.81, 0.998, np.pi / 10))
        for (low, high, widest), share in zip(starts, shares, strict=True):
            decay = -np.log(rng.uniform(low, high, 4_000)) / 2
            found = alone(decay, rng.uniform(0, widest, 4_000), 64, rho)
            assert np.mean(found > most / 10) == pytest.approx(share, rel=0.1, abs=0.006)


def test_what_the_solutions_say_of_sixteen_poles_and_of_widths() -> None:
    x = np.arange(16) * 2 / 16 - 15 / 16
    for alpha, phase, gain in (
        (1.5 + 0 * x, 16 * np.pi * x / 1.09, 0.1942),
        (3 - 2.3 * x**2, 16 * np.pi * x / 1.13, 0.2094),
        (2.25 - 1.6 * x**4, 16 * np.pi * (x - 0.05 * x**3) / 1.09, 0.2106),
    ):
        poles = exercises._poles(alpha / 64, phase / 64)
        assert 1 - exercises._error(poles, 64) == pytest.approx(gain, abs=5e-5)
    k = np.arange(20_000)
    energy = (40 / 41) ** k  # of the best single pole at lag 40
    energy = energy / energy.sum()
    assert k @ energy == pytest.approx(40)
    assert (k - 40) ** 2 @ energy == pytest.approx(40 * 41)
    error = exercises._error(np.array([np.sqrt(40 / 41)]), 40)
    assert 1 / (1 - error) == pytest.approx(41 * (1 + 1 / 40) ** 40)


# --- the notebooks ---------------------------------------------------------------------


def test_each_statement_says_its_stars_minutes_and_notebook() -> None:
    order = ["the phenomenon", "the mechanism", "the laboratory"]
    text = "\n".join(c.source for c in cells("exercises") if c.cell_type == "markdown")
    heads = re.findall(r"^## (\d+)\. .+\n\n(.+)$", text, re.MULTILINE)
    assert [int(number) for number, _ in heads] == list(range(1, len(NAMES) + 1))
    stars, covered = [], set()
    for _, line in heads:
        match = re.match(r"(★{1,4}) · (\d+ minutes|open) · after \[?([a-z ]+)", line)
        assert match, line
        stars.append(len(match[1]))
        assert match[3].strip() in order
        assert (match[2] == "open") <= (len(match[1]) == 4)
        numbers = line.rpartition("objective")[2]
        covered |= {(match[3].strip(), int(digit)) for digit in re.findall(r"\d", numbers)}
    assert {1, 2, 3, 4} == set(stars)
    assert sum("· open ·" in line for _, line in heads) == 2
    counts = dict(zip(order, (4, 5, 3), strict=True))
    assert covered == {(name, i + 1) for name, count in counts.items() for i in range(count)}


def test_the_exercises_hold_nothing_of_the_solutions() -> None:
    text = "\n".join(cell.source for cell in cells("exercises"))
    assert "**Solution" not in text and "SOLUTION" not in text
    for name in NAMES:
        for line in code_of_solution(name):
            assert line not in text


def test_the_source_carries_nbgraders_marks() -> None:
    source = cells("solutions")
    data = {grade_id(c): c.metadata.nbgrader for c in source if grade_id(c)}
    for name in NAMES:
        assert data[name].solution and not data[name].grade and not data[name].locked
        test = data[f"{name}-check"]
        assert test.grade and test.locked and not test.solution
        assert (test.points > 0) is (name not in OPEN)
    for cell in source:
        if grade_id(cell).endswith("-check"):
            assert re.fullmatch(r'check\("[a-z-]+", \w+\)', cell.source)
