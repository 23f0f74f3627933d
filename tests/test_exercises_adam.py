"""The exercises of the Adam chapter: solutions pass, wrong ones are told so, nothing leaks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import erfinv
from scipy.stats import norm

import notebooks
from optdyn import check as checks
from optdyn import exercises_adam as exercises
from optdyn.check import verdict

ROOT = Path(__file__).resolve().parent.parent
NAMES = sorted(exercises.EXERCISES)
OPEN = {"adam-ridge", "adam-quotient"}
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
    return list(notebooks.read(ROOT / "chapters" / "adam" / f"{which}.ipynb").cells)


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


def _averages(g: Any, b1: float, b2: float) -> tuple[Any, Any]:
    """Sums over the past, as they stand."""
    back = np.arange(len(g) - 1, -1, -1)
    return (1 - b1) * b1**back @ g, (1 - b2) * b2**back @ g**2


def _subtracted(g: Any, beta: float) -> Any:
    """Exercise 1 by v - m^2."""
    m, v = _averages(g, beta, beta)
    return m, v - m * m, m / np.sqrt(v) if v else 0.0


def _run(pattern: Any, decay: float, beta: float, n: int = 4_000, power: int = 2) -> Any:
    """Exercise 2 by a run of n periods."""
    m = v = 0.0
    out = np.zeros(len(pattern))
    for _ in range(n):
        for j, p in enumerate(pattern):
            m, v = beta * m + (1 - beta) * p, beta * v + (1 - beta) * p * p
            out[j] = m / np.sqrt(v) if v else 0.0
            m, v = m * np.exp(decay), v * np.exp(power * decay)
        if v > 1e250:
            return out * 0
    return out


def _simulated(b1: float, b2: float, gap: int, visits: int = 0) -> float:
    """Exercise 4 by so many visits."""
    g = np.tile(np.eye(1, gap)[0], visits or 3 + int(60 / (1 - max(b1, b2)) / gap))
    m = v = 0.0
    path = []
    for x in g:
        m, v = b1 * m + (1 - b1) * x, b2 * v + (1 - b2) * x
        path.append(m / np.sqrt(v))
    return float(sum(path[-gap:]))


def _merged(mean: float, variance: float, g: Any, lam: float) -> Any:
    """Exercise 6 by moments of the mixture."""
    b = 1 / (1 + lam)
    first = b * mean + (1 - b) * np.mean(g)
    second = b * (variance + mean**2) + (1 - b) * np.mean(g**2)
    return first, second - first**2


def _sampled(h: float, sigma: float, eta: float, c: float) -> float:
    """Exercise 9 by powers of the transition matrix."""
    wide = max(40, int(10 * np.sqrt(sigma / h / eta)))
    x = eta * (np.arange(-wide, wide + 1) + c)
    up = norm.cdf(-h * x / sigma)
    move = np.diag(up[:-1], -1) + np.diag(1 - up[1:], 1) + np.diag(np.append(1 - up[0], 0 * up[1:]))
    move[-1, -1] = up[-1]
    power = np.linalg.matrix_power((move + np.eye(len(x))) / 2, 2**20)
    return float(x**2 @ power[:, wide])


OTHER_WAYS: list[tuple[str, Callable[..., Any]]] = [
    ("adam-confidence", lambda g, b: jnp.asarray(S["adam-confidence"](g, b))),
    ("adam-stream", _run),
    ("adam-snr", lambda f, b, r: jnp.asarray(S["adam-snr"](f, b, r))),
    ("adam-rare", _simulated),
    ("adam-bound", lambda b1, b2, n: -7 * jnp.asarray(S["adam-bound"](b1, b2, n))),
    ("adam-match", _merged),
    ("adam-lattice", _sampled),
    ("adam-fair", lambda a, b: np.array(S["adam-fair"](a, b))),
    ("adam-ridge", lambda n: jnp.ones((n, 4))),
    ("adam-quotient", lambda d, g, h: (d - 1) ** 2 + 0 * g * h),
]


@pytest.mark.parametrize(("name", "answer"), OTHER_WAYS)
def test_other_ways_to_be_right(name: str, answer: Callable[..., Any]) -> None:
    made = verdict(name, answer, seconds=60)
    assert made.state in ("right", "measured"), made.text


def _first(change: Callable[..., Any]) -> Callable[..., Any]:
    return lambda g, b: change(np.array(S["adam-confidence"](g, b)), g, b)


def _each(samples: Any, w: Any) -> Any:
    return samples * (samples @ w)[:, None]


def _linear(h: float, sigma: float, eta: float) -> float:
    return eta / 2 / (np.sqrt(2 / np.pi) * h / sigma)


def _own(losses: Any, pick: Callable[..., Any] = np.argmin) -> Any:
    means = losses.mean(1)
    return losses[pick(np.where(np.isfinite(means), means, np.inf))]


# name: wrong answers, and what the answer of the check has to say
WRONG: dict[str, list[tuple[Callable[..., Any], str]]] = {
    "adam-confidence": [
        (_first(lambda a, g, b: [a[0], a[1], abs(a[2])]), "A confidence has no sign"),
        (_first(lambda a, g, b: [a[0], a[1] + a[0] ** 2, a[2]]), "about the mean is asked"),
        (_first(lambda a, g, b: [a[0], a[1] / b, a[2]]), "one factor is missing"),
        (_first(lambda a, g, b: [a[0], a[1] * b, a[2]]), "before this gradient came"),
        (_first(lambda a, g, b: [a[0] / (1 - b ** len(g)), a[1], a[2]]), "No bias correction"),
        (_subtracted, "nearly cancel"),
        (lambda g, b: 1.0, "The shape is ()"),
    ],
    "adam-stream": [
        (lambda p, c, b: _run(p, 0.0, b), "without the decay"),
        (lambda p, c, b: np.roll(S["adam-stream"](p, c, b), 1), "One step off"),
        (lambda p, c, b: np.sign(S["adam-stream"](p, c, b)), "pattern = "),
        (lambda p, c, b: S["adam-stream"](p, c, b) if b * np.exp(2 * c) < 1 else p,
         "forgets more slowly"),
        (lambda p, c, b: np.ones(len(p) + 1), "one period"),
    ],
    "adam-snr": [
        (lambda f, b, r: S["adam-snr"](f, b, r)[::-1], "The ratio first"),
        (lambda f, b, r: S["adam-snr"](f, b, 0), "for independent noise"),
        (lambda f, b, r: S["adam-snr"](f, 0, 0), "without an average"),
        (lambda f, b, r: (erfinv(f) * np.sqrt((1 - b) / (1 + b)), 0.5), "A root of 2"),
        (lambda f, b, r: (S["adam-snr"](f, b, r)[0], f), "not Signum's"),
    ],
    "adam-rare": [
        (lambda a, b, n: _simulated(a, b, n, 1), "That is the first visit"),
        (lambda a, b, n: n, "Signum walks"),
        (lambda a, b, n: _simulated(a, b, n, 1) / (1 - a**n), "Both averages remember"),
        (lambda a, b, n: S["adam-rare"](a, b, n) / n, "not a mean over its steps"),
    ],
    "adam-bound": [
        (lambda a, b, n: S["adam-bound"](a, b, n)[::-1], "Turn them round"),
        (lambda a, b, n: np.ones(n), "A constant stream is the worst only"),
        (lambda a, b, n: a ** np.arange(n - 1.0, -1, -1), "gradients with |d_n| ="),
        (lambda a, b, n: np.zeros(n), "not all 0"),
        (lambda a, b, n: np.ones(n + 1), "5 gradients"),
    ],
    "adam-match": [
        (lambda m, s, g, lam: _merged(m, s, g[:1] * 0 + g.mean(), lam), "their own mean, too"),
        (lambda m, s, g, lam: (_merged(m, s, g, lam)[0], _merged(m, s, g, lam)[1] ** 0.5),
         "not the standard deviation"),
        (lambda m, s, g, lam: ((1 - lam) * m + lam * g.mean(), s), "lambda is not 1 - beta"),
        (lambda m, s, g, lam: (_merged(m, s, g, 1 / lam)[0], s), "the old belief counts"),
        (lambda m, s, g, lam: _merged(m, s, g, len(g) * lam), "not a sum"),
    ],
    "adam-schedule": [
        (lambda a, b, n, t: S["adam-schedule"](a, b, n, t)[::-1], "The least factor first"),
        (lambda a, b, n, t: np.add(S["adam-schedule"](a, b, n, t), (0, 1)), "One step off"),
        (lambda a, b, n, t: (S["adam-schedule"](a, b, n, t)[0], 1), "may leave and come back"),
        (lambda a, b, n, t: (1 / S["adam-schedule"](a, b, n, t)[0], 1), "divided by what"),
    ],
    "adam-blocks": [
        (lambda x, w, n: np.sqrt(S["adam-blocks"](x, w, n)), "not the standard deviation"),
        (lambda x, w, n: _each(x, w).var(0) / n, "with replacement"),
        (lambda x, w, n: S["adam-blocks"](x, w, n) + _each(x, w).mean(0) ** 2, "not about 0"),
        (lambda x, w, n: _each(x, w).var(0) / n * (1 - n / len(x)), "batches of one example"),
        (lambda x, w, n: w[:1], "one for each coordinate"),
    ],
    "adam-lattice": [
        (lambda h, s, e, c: np.sqrt(S["adam-lattice"](h, s, e, c)), "not its root"),
        (lambda h, s, e, c: S["adam-lattice"](h, s, e, 0.0), "starts off the lattice"),
        (lambda h, s, e, c: _linear(h, s, e), "the first order"),
        (lambda h, s, e, c: _linear(h, s, e) / (1 + e * np.sqrt(2 / np.pi) * h / s / 2), "SDE's"),
        (lambda h, s, e, c: 1.001 * S["adam-lattice"](h, s, e, c), "Nearly"),
    ],
    "adam-fair": [
        (lambda a, b: S["adam-fair"](b, a), "minus the first"),
        (lambda a, b: ((b.min(0) - a.min(0)).mean(), 0.0), "for all seeds together"),
        (lambda a, b: (S["adam-fair"](a, b)[0], np.sqrt((_own(a).var(ddof=1)
                       + _own(b).var(ddof=1)) / a.shape[1])), "The runs are paired"),
        (lambda a, b: np.array(S["adam-fair"](a, b)) * [1, a.shape[1] ** 0.5], "of one difference"),
        (lambda a, b: np.array(S["adam-fair"](a, b)) * [1, (1 - 1 / a.shape[1]) ** 0.5],
         "one less than"),
    ],
    "adam-ridge": [
        (lambda n: np.ones((n, 3)), "8 rows of four"),
        (lambda n: -np.ones((n, 4)), "positive curvatures"),
        (lambda n: np.full((n, 4), np.inf), "finite"),
    ],
    "adam-quotient": [
        (lambda d, g, h: np.ones((1, 1, 1)), "costs of the shape"),
        (lambda d, g, h: 0 * d * g * h + np.inf, "finite costs"),
        (lambda d, g, h: d, "costs of the shape"),
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


# --- what the solutions say, against something else ------------------------------------


def test_adabelief_divides_by_beta_times_the_variance() -> None:
    import optax

    rng, beta = np.random.default_rng(0), 0.9
    g = rng.normal(size=60)
    rule = optax.scale_by_belief(beta, beta, eps=0.0, eps_root=0.0)
    state = rule.init(jnp.zeros(()))
    for x in g:
        _, state = rule.update(jnp.asarray(x), state)
    variance = S["adam-confidence"](g, beta)[1]
    assert float(state.nu) == pytest.approx(beta * variance, rel=1e-12)


def test_the_direction_on_a_constant_stream_of_adabelief_grows() -> None:
    for k in (1, 5, 40):
        m, variance, _ = S["adam-confidence"](np.full(k, 2.0), 0.9)
        step = m / np.sqrt(0.9 * variance)
        assert step == pytest.approx(np.sqrt((1 - 0.9**k) / 0.9 ** (k + 1)))


def test_the_pattern_that_misleads() -> None:
    for large, turns in ((2.5, 0.39134), (3.0, 0.28146), (4.0, 0.18627)):
        pattern = np.array([large, -1.0, -1.0])
        below, above = (_run(pattern, 0.0, turns + e, 300).sum() for e in (-1e-4, 1e-4))
        assert below < 0 < above


def test_batches_for_signum_and_for_adam() -> None:
    assert (norm.ppf(0.95) / norm.ppf(0.6)) ** 2 == pytest.approx(42, abs=0.5)
    ratio = (0.81 / 0.19) / (0.04 / 0.96)
    assert ratio == pytest.approx(102, abs=0.5)
    assert np.allclose(S["adam-snr"](0.9, 0.95, 0.0), (0.263, 0.255), atol=1e-3)


def test_the_noise_of_an_average_of_correlated_noise_by_drawing_it() -> None:
    rng, beta, rho = np.random.default_rng(1), 0.8, -0.6
    from scipy.signal import lfilter

    z = lfilter([np.sqrt(1 - rho**2)], [1, -rho], rng.normal(size=400_000))
    m = lfilter([1 - beta], [1, -beta], z)[1_000:]
    x = S["adam-snr"](0.9, beta, rho)[0]
    assert np.sign(m + x).mean() == pytest.approx(0.9, abs=0.01)


def test_walks_per_visit() -> None:
    assert S["adam-rare"](0.9, 0.9, 2_000) == pytest.approx(6.1623, abs=1e-3)
    assert S["adam-rare"](0.9, 0.999, 100_000) == pytest.approx(31.77, abs=0.01)
    for gap in (30, 100):
        assert S["adam-rare"](0.9, 0.999, gap) == pytest.approx(np.sqrt(gap), rel=0.1)


def test_nine_worst_gradients_are_enough_for_a_negative_variance() -> None:
    for n, sign in ((8, 1), (9, -1)):
        m, v = _averages(S["adam-bound"](0.9, 0.95, n), 0.9, 0.95)
        assert np.sign(v - m * m) == sign


def test_the_end_of_the_schedule() -> None:
    assert S["adam-schedule"](0.9, 0.999, 10_000, 0.01) == pytest.approx((0.1522, 3915), abs=1e-4)
    assert S["adam-schedule"](0.95, 0.95, 10_000, 0.01)[1] == 76


def test_the_identity_of_the_lattice_and_its_limits() -> None:
    from scipy.special import erf

    eta, x = 0.3, 0.3 * np.arange(-20, 21)
    chance = np.ones(41)
    for i in range(40):
        chance[i + 1] = chance[i] * norm.cdf(-x[i]) / norm.cdf(x[i + 1])
    chance /= chance.sum()
    assert chance @ (x * erf(x / np.sqrt(2))) == pytest.approx(eta / 2, rel=1e-12)
    assert chance @ x**2 == pytest.approx(S["adam-lattice"](1.0, 1.0, eta, 0.0), rel=1e-9)
    for offset, limit in ((0.0, 0.5), (0.5, 0.25)):
        assert S["adam-lattice"](1.0, 0.01, 1.0, offset) == pytest.approx(limit)


def test_one_gradient_does_not_lead_to_the_quotient() -> None:
    """The mixture of two laws with one quotient has a smaller one."""
    d, q = 0.6, np.array([1.0, 4.0])
    assert d * np.sqrt(q).mean() / np.sqrt(q.mean()) < d - 0.02


def test_what_is_measured_for_the_open_ones() -> None:
    told = verdict("adam-quotient", S["adam-quotient"]).text
    assert told.count("at most 0.000") == 2
    told = verdict("adam-quotient", lambda d, g, h: (d * g - h) ** 2).text
    assert told.count("at most 0.2") == 2
    told = verdict("adam-ridge", S["adam-ridge"], seconds=60).text
    for b1, near in ((0.5, "0.5"), (0.8, "0.5|0.8|0.9"), (0.9, "0.8|0.9|0.95")):
        assert re.search(rf"(?:{near}) at b1 = {b1}", told), told


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
    counts = dict(zip(order, (4, 6, 4), strict=True))
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
