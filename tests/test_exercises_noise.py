"""The exercises of the noise chapter: solutions pass, wrong answers are told so, nothing leaks."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import toeplitz
from scipy.optimize import minimize
from scipy.stats import beta

import notebooks
from optdyn import check as checks
from optdyn import exercises_noise as exercises
from optdyn.check import verdict

ROOT = Path(__file__).resolve().parent.parent
NAMES = sorted(exercises.EXERCISES)
OPEN = {"noise-schedule", "noise-dense"}
each_exercise = pytest.mark.parametrize("name", NAMES)


def cells(which: str) -> list[Any]:
    return list(notebooks.read(ROOT / "chapters" / "noise" / f"{which}.ipynb").cells)


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


def _walk(w0: Any, xi: Any, step_size: float, *, back: int = 1) -> Any:
    """The w-form; `back` says which noise is taken off in the end."""
    w = [w0]
    for n in range(len(xi) - 1):
        w.append(w[n] - step_size * w[n] ** 3 + xi[n + 1] - xi[n])
    return np.array(w) - back * xi


def _wrong_point(w0: Any, xi: Any, step_size: float) -> Any:
    z = [w0 - xi[0]]
    for n in range(len(xi) - 1):
        z.append(z[n] - step_size * (z[n] + xi[n + 1]) ** 3)
    return np.array(z)


def _from_w0(w0: Any, xi: Any, step_size: float) -> Any:
    z = [w0]
    for n in range(len(xi) - 1):
        z.append(z[n] - step_size * (z[n] + xi[n]) ** 3)
    return np.array(z)


def _descended(X: Any, y: Any, shift: float, penalty: Any) -> Any:
    """The non-negative lasso by projected gradient steps."""
    b, n = np.ones(X.shape[1]), len(y)
    reach = np.linalg.norm(X, 2) ** 2 / (2 * n)
    for _ in range(20_000):
        b = np.maximum(0, b - (X.T @ (X @ (b + shift) - y) / (2 * n) + penalty) / reach)
    return b


def _penalty(X: Any, y: Any, sigma: float) -> Any:
    return sigma**2 * (X**2).sum(axis=0) / len(y)


def _theorem(alpha: float, size: float, **other: float) -> Any:
    eta, dim, variance, steps = SOLUTIONS["noise-theorem"](alpha, size)
    made = {"eta": eta, "dim": dim, "variance": variance, "steps": steps}
    return [*(made | {k: v * made[k] for k, v in other.items()}).values()]


def _direct(n: int, hurst: float) -> Any:
    return ((n + 1) ** (2 * hurst) - (n - 1.0) ** (2 * hurst) * (n > 1)) / 2


OTHER_WAYS: list[tuple[str, Callable[..., Any]]] = [
    ("noise-forms", _walk),
    ("noise-forms", lambda w0, xi, eta: jnp.asarray(_walk(w0, xi, eta))),
    ("noise-kicks", lambda n, k: toeplitz([1, -k / (1 + k * k), *[0] * n][:n])),
    ("noise-crossings", lambda k: [jnp.asarray(1 - k / 2), 1]),
    ("noise-theorem", lambda a, D: _theorem(a, D, steps=0.93)),
    ("noise-cosine", lambda k, s: jnp.array(SOLUTIONS["noise-cosine"](k, s))),
    ("noise-rest", lambda d, k: jnp.array(SOLUTIONS["noise-rest"](d, k))),
    ("noise-lasso", lambda X, y, s: _descended(X, y, s * s, _penalty(X, y, s))),
    ("noise-shrink", lambda *args: jnp.asarray(SOLUTIONS["noise-shrink"](*args))),
    ("noise-schedule", lambda n: jnp.zeros(n)),
    ("noise-dense", lambda b: 0.1 * jnp.ones_like(b)),
]


@pytest.mark.parametrize(("name", "answer"), OTHER_WAYS)
def test_other_ways_to_be_right(name: str, answer: Callable[..., Any]) -> None:
    made = verdict(name, answer, seconds=60)
    assert made.state in ("right", "measured"), made.text


S = SOLUTIONS
# name: wrong answers, and what the answer of the check has to say
WRONG: dict[str, list[tuple[Callable[..., Any], str]]] = {
    "noise-forms": [
        (lambda w0, xi, eta: _walk(w0, xi, eta, back=0), "These are the w_n"),
        (_from_w0, "for n = 0"),
        (_wrong_point, "At which point is the gradient taken"),
        (lambda w0, xi, eta: _walk(w0, xi, eta)[:-1], "an array of shape (3, 1)"),
        (lambda w0, xi, eta: 1.0, "The shape is ()"),
    ],
    "noise-kicks": [
        (lambda n, k: toeplitz([1 + k * k, -k, *[0] * n][:n]), "These are covariances"),
        (lambda n, k: toeplitz([1, -k, *[0] * n][:n]), "A correlation of -1 would"),
        (lambda n, k: toeplitz([1, -k / (1 + k * k), 0.1, *[0] * n][:n]), "in common"),
        (lambda n, k: np.eye(n), "n = 3"),
        (lambda n, k: np.eye(n + 1), "an array of shape (3, 3)"),
    ],
    "noise-crossings": [
        (lambda k: (1, 1 - k / 2), "The first number is for equal sigma"),
        (lambda k: (1 - k / 2, 1 - k / 2), "variance of one kick"),
        (lambda k: (0.5, 1), "kappa = 0.5"),
        (lambda k: (2.5, 1), "between 0 and 2"),
        (lambda k: 0.5, "The shape is ()"),
    ],
    "noise-theorem": [
        (lambda a, D: _theorem(a, D, eta=2), "fixes the step size"),
        (lambda a, D: _theorem(a, D, dim=0.5), "enough for PGD to go up"),
        (lambda a, D: _theorem(a, D, dim=2), "the least number"),
        (lambda a, D: _theorem(a, D, variance=2), "past one of them"),
        (lambda a, D: _theorem(a, D, variance=0.5), "the largest sigma^2"),
        (
            lambda a, D: _theorem(a, D, steps=np.log(1 / a) / np.log(1 + 2 / a)),
            "starts from D + 2 d sigma^2",
        ),
        (lambda a, D: _theorem(a, D, steps=100), "shrinks by the factor"),
    ],
    "noise-cosine": [
        (lambda k, s: np.array(S["noise-cosine"](k, s))[[1, 0, 2]], "The order is"),
        (lambda k, s: [1 - k**2 * s**2 / 2] * 3, "not exact here"),
        (lambda k, s: [*S["noise-cosine"](k, s)[:2], 1 - s**2 * k**2], "second derivative"),
        (lambda k, s: S["noise-cosine"](1, s), "k = 2"),
    ],
    "noise-drift": [
        (lambda *args: -S["noise-drift"](*args), "Downhill"),
        (lambda *args: 2 * S["noise-drift"](*args), "mind the half"),
        (lambda c, s, e, r: S["noise-drift"](c, s, e, r[:1]), "different times correlate"),
        (lambda c, s, e, r: S["noise-drift"](c, s, e, r) / e, "multiplied by the step size"),
        (lambda c, s, e, r: 0.0, "curvature = 2"),
    ],
    "noise-rest": [
        (lambda d, k: S["noise-rest"](d, k)[::-1], "The mean first"),
        (lambda d, k: 2 * np.array(S["noise-rest"](d, k)), "edge of stability"),
        (lambda d, k: S["noise-rest"](d, 0), "kappa = 0.5"),
        (lambda d, k: (S["noise-rest"](d, k)[0], S["noise-rest"](d, k)[0]), "dim = 8"),
        (
            lambda d, k: (S["noise-rest"](d, k)[0], S["noise-rest"](d, k)[1] + (d <= 3) / 5),
            "first exponent",
        ),
    ],
    "noise-lasso": [
        (lambda X, y, s: _descended(X, y, 0, 0 * X[0]), "best fit of the data"),
        (lambda X, y, s: _descended(X, y, 0, _penalty(X, y, s)), "also moves the mean"),
        (lambda X, y, s: _descended(X, y, s * s, 2 * _penalty(X, y, s)), "a factor 2"),
        (lambda X, y, s: np.sqrt(S["noise-lasso"](X, y, s)), "The squares are asked for"),
        (lambda X, y, s: np.linalg.pinv(X) @ y - 1, "Squares are not negative"),
    ],
    "noise-silence": [
        (_direct, "n = 1000000000000000"),
        (lambda n, h: n ** (2 * h) - (n - 1) ** (2 * h), "lag n comes once"),
        (lambda n, h: 0.0, "n = 4"),
        (
            lambda n, h: S["noise-silence"](n, h) if n < 9**9 else sum(1 for _ in range(n)),
            "nothing within the time limit",
        ),
    ],
    "noise-shrink": [
        (lambda v, s, k, t, one: v - S["noise-shrink"](v[:1] * 0 + 99, s, k, t, one) + 99, "input"),
        (lambda v, s, k, t, one: S["noise-shrink"](v, s, k, t, not one), "one at a time"),
        (lambda v, s, k, t, one: v * (v > s * s * np.sqrt(k * t)), "all lose the same"),
        (lambda v, s, k, t, one: v - s * s * np.sqrt(k * t) / (1 + one), "not negative"),
        (lambda v, s, k, t, one: v[:1], "3 numbers"),
    ],
    "noise-schedule": [
        (lambda n: np.ones(5), "6000 numbers between -1 and 1"),
        (lambda n: np.full(n, 1.5), "6000 numbers between -1 and 1"),
        (lambda n: np.full(n, np.nan), "There is a nan"),
    ],
    "noise-dense": [
        (lambda b: b, "between 0 and 0.3"),
        (lambda b: -0.1 * b, "between 0 and 0.3"),
        (lambda b: b[:3] * 0, "201 numbers"),
        (lambda b: 1 / b, "deviations between 0 and 0.3"),
    ],
}
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


@pytest.mark.filterwarnings("ignore:divide by zero")
@pytest.mark.parametrize("name", sorted(exercises.EXERCISES))
def test_float32_is_not_blamed_for_a_wrong_answer(name: str) -> None:
    exercise = exercises.EXERCISES[name]
    found = verdict(name, lambda *_: np.full([1] * len(exercise.shape or ()), 7, np.float32))
    assert "double precision" not in str(found)


@pytest.mark.parametrize(("name", "answer", "words"), WRONG_CASES)
def test_wrong_answers(name: str, answer: Callable[..., Any], words: str) -> None:
    made = verdict(name, answer, seconds=2)
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


@pytest.mark.parametrize(("theta", "kappa"), [(0.3, 0.0), (0.3, 1.0), (1.5, 0.7)])
def test_the_variance_by_adding_up_the_past(theta: float, kappa: float) -> None:
    """w is a sum over all xi: the weights are 1, and a^k - kappa a^(k - 1) from k = 1 on."""
    powers = (1 - theta) ** np.arange(400)
    weights = powers - kappa * np.append(0, powers[:-1])
    assert exercises._covariance(theta, kappa) == pytest.approx(np.sum(weights**2))


@pytest.mark.parametrize(("dim", "kappa"), [(5, 0.0), (12, 0.4)])
def test_the_law_of_rest_is_that_of_scipy(dim: int, kappa: float) -> None:
    law = beta((dim - 1) / 2, 1.5 + 2 * kappa / (1 - kappa) ** 2)
    x = np.linspace(0, 1, 100_001)
    value = np.array([law.mean(), x[np.argmax(law.pdf(x))]])
    assert exercises._rest(value, dim, kappa) is None
    assert exercises._rest(value * 1.01, dim, kappa) is not None


def test_the_lowest_point_by_descent() -> None:
    for X, y, sigma in exercises.EXERCISES["noise-lasso"].inputs:
        f = exercises._smoothed(X, y, sigma)
        found = exercises._lowest(f, X.shape[1])
        other = minimize(lambda w, f=f: f(w**2), np.ones(X.shape[1]), tol=1e-14).x ** 2
        assert found == pytest.approx(other, abs=1e-4)


def test_the_mean_field_against_runs_of_the_valley() -> None:
    """400 runs of Anti-PGD with signs, written out: when their mean crosses alpha D."""
    alpha, size = 0.4, 4.0
    eta, dim, variance, _ = S["noise-theorem"](alpha, size)
    dim, sigma, rng = int(dim), np.sqrt(variance), np.random.default_rng(0)
    w = np.zeros((400, dim + 1))
    w[:, :dim] = np.sqrt(size / dim)
    old, crossed = sigma * rng.choice([-1.0, 1.0], w.shape), 0
    while (w[:, :dim] ** 2).sum() / 400 > alpha * size or crossed < 2:
        u, v = w[:, :dim], w[:, dim:]
        slope = np.hstack([v**2 * u, (u**2).sum(axis=1, keepdims=True) * v])
        new = sigma * rng.choice([-1.0, 1.0], w.shape)
        w, old, crossed = w - eta * slope + new - old, new, crossed + 1
    expected = exercises._mean_field(alpha, size, eta, dim, variance)
    assert crossed == pytest.approx(expected, rel=0.1)


def test_the_schedules_ends_are_pgd_and_anti_pgd() -> None:
    """A schedule that is one of the two gets that one's numbers."""
    for kappa, line in ((0.0, "gains 1.00"), (1.0, "pays with 1 times")):
        made = verdict("noise-schedule", lambda n, kappa=kappa: np.full(n, kappa))
        assert line in made.text, made.text


def test_noise_that_is_the_same_everywhere_gets_that_number() -> None:
    numbers = re.findall(r"([\d.]+) w", verdict("noise-dense", lambda b: 0 * b + 0.1).text)
    assert numbers[0] == numbers[1] != numbers[2]  # yours, the same everywhere, without


def test_the_statements_about_dense_truths() -> None:
    """Multiplicative noise helps, noise like 1 / |w| harms, against the same everywhere."""

    def errors(answer: Callable[..., Any]) -> list[float]:
        text = verdict("noise-dense", answer).text
        return [float(x) for x in re.findall(r"([\d.]+) with", text)]

    ours, constant, none = errors(lambda b: 0.1 * np.sqrt(b))
    assert ours < none < constant
    inverse = errors(lambda b: 0.05 / np.sqrt(b + 0.1))[0]
    assert inverse > none


# --- the notebooks ---------------------------------------------------------------------


def test_each_statement_says_its_stars_minutes_and_notebook() -> None:
    order = ["the phenomenon", "the mechanism", "the laboratory"]
    text = "\n".join(c.source for c in cells("exercises") if c.cell_type == "markdown")
    heads = re.findall(r"^## (\d+)\. .+\n\n(.+)$", text, re.MULTILINE)
    assert [int(number) for number, _ in heads] == list(range(1, len(NAMES) + 1))
    stars = []
    for _, line in heads:
        match = re.match(r"(★{1,4}) · (\d+ minutes|open) · after \[?([a-z ]+)", line)
        assert match, line
        stars.append(len(match[1]))
        assert match[3].strip() in order
        assert (match[2] == "open") <= (len(match[1]) == 4)
    assert {1, 2, 3, 4} == set(stars)
    assert sum("· open ·" in line for _, line in heads) == 2


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
