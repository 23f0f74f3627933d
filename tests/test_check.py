"""Checks of exercises: what a reader is told, whatever the reader's function does."""

from __future__ import annotations

import _thread
import builtins
import contextlib
import functools
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import nbclient
import nbformat
import numpy as np
import pytest

from optdyn import check as checks
from optdyn import guard
from optdyn.answers import Exercise, Miss, near
from optdyn.check import NotRight, check, verdict

NUMBER = Exercise(("x",), ((1.0,), (2.0,), (5.0,)), lambda v, x: near(v, 2 * x), "Add x to itself.")
ARRAY = Exercise(
    ("z", "k"),
    ((np.array([1.0, 2.0]), 3), (np.array([4.0, 5.0]), 2)),
    lambda v, z, k: near(v, k * z),
    "Multiply.",
    "two numbers",
    (2,),
)
TOYS = {
    "toy-double": NUMBER,
    "toy-times": ARRAY,
    "toy-ways": NUMBER._replace(shape=(None,), judge=lambda v, x: near(v, x), returns="numbers"),
    "toy-yes": NUMBER._replace(shape=bool, judge=lambda v, x: None if v else Miss("True")),
    "toy-raw": NUMBER._replace(shape=None, judge=lambda v, x: None if v == "a" else Miss("a")),
    "toy-count": NUMBER._replace(whole=True, judge=lambda v, x: near(v, x)),
    "toy-own": Exercise((), ((),), lambda v: near(v, 3.0), "It is odd."),
    "toy-open": Exercise((), ((),), lambda v: f"It is {v:g}.", "Any."),
    "toy-fails": NUMBER._replace(judge=lambda v, x: v.nothing),
    "toy-list": Exercise(("a", "b"), (([1, 2], {"c": 3}),), lambda v, a, b: near(v, 3), "Add."),
}


@pytest.fixture(autouse=True)
def toys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "_registry", lambda: TOYS)


def told(name: str, answer: Any, state: str = "wrong", **options: Any) -> dict[str, str]:
    """The lines of the verdict, by label, after a look at its state."""
    made = verdict(name, answer, **options)
    assert made.state == state, made.text
    assert " at 0x" not in made.text
    return dict(made.lines)


# --- right, wrong, not answered --------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        lambda x: 2 * x,
        lambda x: np.float64(2 * x),
        lambda x: np.array(2 * x),
        lambda x: jnp.asarray(2 * x),
        jax.jit(lambda x: 2 * x),
        lambda x: int(2 * x),
        lambda x, factor=2: factor * x,
        lambda *args: 2 * args[0],
        functools.partial(lambda k, x: k * x, 2),
        (2.0).__mul__,
    ],
)
def test_many_ways_to_be_right(answer: Callable[..., Any]) -> None:
    assert told("toy-double", answer, "right") == {"": "All 3 inputs are answered rightly."}


@pytest.mark.parametrize(
    "answer",
    [
        lambda x: [x],
        lambda x: (np.float64(x),),
        lambda x: [jnp.asarray(x)],
        lambda x: np.array([x]),
    ],
)
def test_lists_tuples_and_arrays(answer: Callable[..., Any]) -> None:
    told("toy-ways", answer, "right")


@pytest.mark.parametrize("yes", [True, np.True_, jnp.asarray(True)])
def test_a_yes_or_no(yes: Any) -> None:
    told("toy-yes", lambda x: yes, "right")
    assert told("toy-yes", lambda x: x > 1.5)["input"] == "x = 1"
    assert "True or False" in told("toy-yes", lambda x: 1.0)["hint"]


def test_the_first_input_that_fails_is_shown_and_no_other() -> None:
    lines = told("toy-double", lambda x: 2 * x if x < 2 else 0.5)
    assert lines == {
        "input": "x = 2", "expected": "4", "came": "0.5", "hint": "Add x to itself.",
    }  # fmt: skip
    text = verdict("toy-double", lambda x: 2 * x if x < 2 else 0.5).text
    assert text.splitlines() == [
        "toy-double: not right yet",
        "  input     x = 2",
        "  expected  4",
        "  came      0.5",
        "  hint      Add x to itself.",
    ]


def test_a_judge_may_have_a_hint_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    own = NUMBER._replace(judge=lambda v, x: near(v, 2 * x, hint="Twice, not half."))
    monkeypatch.setitem(TOYS, "toy-double", own)
    assert told("toy-double", lambda x: x / 2)["hint"] == "Twice, not half."


def test_an_answer_without_arguments() -> None:
    told("toy-own", lambda: 3, "right")
    assert "input" not in told("toy-own", lambda: 4)


def test_an_open_exercise_is_measured() -> None:
    assert told("toy-open", lambda: 7, "measured") == {"": "It is 7."}


def _empty(x: float) -> None:
    """Nothing yet."""


def _raises_not_implemented(x: float) -> float:
    raise NotImplementedError


@pytest.mark.parametrize(
    "stub",
    [None, ..., NotImplemented, _empty, lambda x: ..., _raises_not_implemented],
)
def test_a_stub_is_not_answered_yet(stub: Any) -> None:
    assert "function (x)" in told("toy-double", stub, "unanswered")[""]


def test_a_forgotten_return_is_named() -> None:
    assert "returns nothing" in told("toy-double", _empty, "unanswered")[""]
    later = told("toy-double", lambda x: 2 * x if x < 2 else None)
    assert later["input"] == "x = 2" and "a branch lacks a return" in later["hint"]


# --- values of the wrong kind ----------------------------------------------------------


class Hostile:
    """Cannot be shown, compared or made an array."""

    def __repr__(self) -> str:
        raise RuntimeError("no")

    __eq__ = __array__ = __float__ = __len__ = __repr__  # type: ignore[assignment]


_leaked: list[Any] = []
jax.jit(_leaked.append)(1.0)


async def _later() -> float:
    return 2.0


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("2", "type str"),
        ([2.0], "The shape is (1,)"),
        (np.ones(100), "The shape is (100,)"),
        (2 + 0j, "complex"),
        (np.nan, "nan"),
        (jnp.asarray(jnp.nan), "nan"),
        ({"a": 1}, "type dict"),
        ([[1.0], [2.0, 3.0]], "cannot make numbers"),
        ([1.0, None], "None among"),
        (object(), "type object"),
        (lambda: 2, "type function"),
        (Hostile(), "cannot make numbers"),
        (_leaked[0], "leaked out"),
        (np.float32(7), "float32"),
        (np.inf, "Add x"),
    ],
)
def test_a_value_of_the_wrong_kind_is_named(value: Any, words: str) -> None:
    assert words in told("toy-double", lambda x: value)["hint"]


class Ending:
    """Ends the program when it is looked at."""

    def __init__(self, error: BaseException) -> None:
        self.__dict__["error"] = error

    def __repr__(self) -> str:
        raise self.__dict__["error"]

    def __getattr__(self, name: str) -> Any:
        raise self.__dict__["error"]

    __array__ = __float__ = __eq__ = __repr__  # type: ignore[assignment]


@pytest.mark.parametrize("error", [RuntimeError(), SystemExit(), KeyboardInterrupt()])
@pytest.mark.parametrize("name", ["toy-double", "toy-ways", "toy-yes", "toy-raw", "toy-fails"])
def test_a_value_that_raises_when_looked_at(name: str, error: BaseException) -> None:
    value = Ending(error)
    assert "hint" in told(name, lambda x: value)
    assert "hint" in told(name, lambda x: [value])
    assert "hint" in told(name, value)


def test_a_function_that_raises_when_looked_at() -> None:
    class Unsigned:
        @property
        def __signature__(self) -> Any:
            raise RuntimeError

        def __call__(self, x: float) -> float:
            return 2 * x

    ending = Ending(SystemExit())

    def default(x: float, y: float, z: Any = ending) -> float:
        return x

    told("toy-double", Unsigned(), "right")
    assert told("toy-double", default)["came"] == "a function of other arguments"


def test_an_input_made_into_something_else() -> None:
    def types(z: Any, k: int) -> Any:
        z.dtype = "S8"

    def shapes(z: Any, k: int) -> Any:
        z.shape = (2, 1)

    for answer in (types, shapes):
        assert told("toy-times", answer)["expected"] == "z left as it was"
    edited = told("toy-list", lambda a, b: a.insert(0, Ending(SystemExit())))
    assert edited["expected"] == "a left as it was"


def test_long_texts_and_large_views_take_no_time() -> None:
    start = time.monotonic()
    assert told("toy-double", lambda x: "/" * 200_000)["came"].endswith(" ...")
    huge = np.broadcast_to(np.int8(1), 3 * 10**8)
    assert "shape" in told("toy-double", lambda x: huge)["hint"]
    assert time.monotonic() - start < 5


def test_texts_that_do_not_print(capsys: pytest.CaptureFixture[str]) -> None:
    check("toy-double", _raise(ValueError("\ud800")))
    assert "ValueError: \\ud800" in capsys.readouterr().out


def test_generators_and_coroutines() -> None:
    def yields(x: float) -> Iterator[float]:
        yield 2 * x

    assert "return, not yield" in told("toy-double", yields)["hint"]
    assert "not async def" in told("toy-double", lambda x: _later())["hint"]


def test_whole_numbers() -> None:
    told("toy-count", lambda x: x, "right")
    assert "Whole numbers" in told("toy-count", lambda x: x + 0.5)["hint"]


def test_long_values_are_cut() -> None:
    assert len(told("toy-double", lambda x: "a" * 10_000)["came"]) <= 300
    assert len(told("toy-double", lambda x: [2.0] * 10_000)["came"]) <= 300
    assert len(told("toy-double", lambda x: np.ones(10_000))["came"]) <= 300


def test_a_value_that_cannot_be_judged_is_no_error() -> None:
    assert "could not be judged" in told("toy-fails", lambda x: 2 * x)["hint"]


@pytest.mark.parametrize("answer", [3.0, "f", np.ones(3), jnp.ones(()), [lambda x: 2 * x]])
def test_what_is_no_function(answer: Any) -> None:
    lines = told("toy-double", answer)
    assert "the function (x)" in lines["expected"] and "without brackets" in lines["hint"]


@pytest.mark.parametrize("answer", [lambda: 1, lambda x, y: 1, lambda *, x: 1, lambda x, *, y: 1])
def test_other_arguments(answer: Callable[..., Any]) -> None:
    lines = told("toy-double", answer)
    assert "function of (x)" in lines["expected"] and "first line" in lines["hint"]


# --- functions that do not return --------------------------------------------------------


def test_an_error_is_shown_with_its_line() -> None:
    def answer(x: float) -> float:
        half = x / 2
        return half / (x - 2)  # fails at 2

    lines = told("toy-double", lambda x: 2 * x if x < 2 else answer(x))
    assert lines["input"] == "x = 2"
    assert lines["came"] == "an error. ZeroDivisionError: float division by zero"
    assert lines["line"].endswith(": return half / (x - 2)  # fails at 2")


def test_an_error_inside_a_library_is_shown_where_the_reader_called_it() -> None:
    lines = told("toy-double", lambda x: np.linalg.solve(np.zeros((2, 2)), np.ones(2)))
    assert "LinAlgError" in lines["came"] and "np.linalg.solve(np.zeros" in lines["line"]


class _Mute(Exception):
    def __str__(self) -> str:
        raise ValueError


class _Empty(Exception):
    def __len__(self) -> int:
        return 0


def _raise(error: BaseException) -> Callable[[float], float]:
    def answer(x: float) -> float:
        raise error

    return answer


def _endless(x: float) -> float:
    return _endless(x)


@pytest.mark.parametrize(
    ("answer", "came", "hint"),
    [
        (_raise(SystemExit(0)), "SystemExit", "ends the program"),
        (sys.exit, "SystemExit", "ends the program"),
        (_raise(KeyboardInterrupt()), "KeyboardInterrupt", "ends the program"),
        (_endless, "RecursionError", "calls itself"),
        (_raise(_Mute()), "_Mute", "cell of its own"),
        (_raise(_Empty()), "_Empty", "cell of its own"),
        (_raise(GeneratorExit()), "GeneratorExit", "cell of its own"),
        (_raise(StopIteration()), "StopIteration", "cell of its own"),
        (_raise(ValueError("line one\nline two")), "ValueError: line one", "cell of its own"),
    ],
)
def test_errors_of_all_kinds(answer: Callable[[float], float], came: str, hint: str) -> None:
    lines = told("toy-double", answer)
    assert lines["came"].startswith(f"an error. {came}") and hint in lines["hint"]


def _loop(x: float) -> float:
    while True:
        x += 1


def _stubborn(x: float) -> float:
    for _ in range(5):
        with contextlib.suppress(BaseException):
            _loop(x)
    return x


@pytest.mark.parametrize("answer", [_loop, _stubborn])
def test_an_endless_loop_is_stopped(answer: Callable[[float], float]) -> None:
    before = threading.active_count()
    lines = told("toy-double", answer, seconds=0.3)
    assert lines["input"] == "x = 1"
    assert lines["came"] == "nothing within the time limit. It was stopped."
    assert "every loop end" in lines["hint"]
    assert _threads_end(before)


def test_what_cannot_be_stopped_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def waits(x: float) -> float:
        while not release.is_set():
            try:
                release.wait(60)  # compiled code: no exception is raised inside
            except BaseException:
                continue
        return x

    lines = told("toy-double", waits, seconds=0.1)
    release.set()
    assert "It still runs" in lines["came"] and "Restart the kernel" in lines["hint"]


def _threads_end(before: int) -> bool:
    for _ in range(200):
        if threading.active_count() <= before:
            return True
        time.sleep(0.05)
    return False


def test_ctrl_c_reaches_the_caller_and_ends_the_function() -> None:
    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        verdict("toy-double", lambda x: _thread.interrupt_main() or _loop(x), seconds=30)
    assert _threads_end(before)


# --- functions that do other things --------------------------------------------------------


def test_an_input_that_is_edited_is_named() -> None:
    def doubles(z: np.ndarray, k: int) -> np.ndarray:
        z *= k
        return z

    lines = told("toy-times", doubles)
    assert lines["input"] == "z = [1, 2]\nk = 3"
    assert lines["expected"] == "z left as it was"
    assert lines["came"] == "z = [3, 6] after the call"
    assert "z.copy()" in lines["hint"]
    told("toy-times", lambda z, k: k * z, "right")  # the next reader gets them unharmed


def test_edited_lists_and_dictionaries() -> None:
    assert "a = [1, 2, 9]" in told("toy-list", lambda a, b: a.append(9) or 3)["came"]
    assert "b = {}" in told("toy-list", lambda a, b: b.clear() or 3)["came"]
    told("toy-list", lambda a, b: b["c"], "right")


def test_an_input_may_be_returned() -> None:
    told("toy-ways", lambda x: [x], "right")


def test_what_is_printed_is_kept_from_the_page(capfd: pytest.CaptureFixture[str]) -> None:
    def chatty(x: float) -> float:
        for i in range(20_000):
            print("line", i)
            print("and", i, file=sys.stderr)
        return 2 * x if x < 2 else 0.0

    assert told("toy-double", lambda x: print("x") or 2 * x, "right")
    lines = told("toy-double", chatty)
    assert lines["printed"].startswith("line 0\nand 0\nline 1")
    assert lines["printed"].endswith("...") and len(lines["printed"]) < 400
    assert capfd.readouterr() == ("", "")
    print("after")
    assert capfd.readouterr().out == "after\n"


def test_warnings_do_not_escape() -> None:
    code = "import numpy as np; from optdyn.check import check; "
    code += "check('cycles-pair', lambda gamma: np.exp(np.float64(1e4)))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.stderr == ""
    assert "printed   line 1: RuntimeWarning: overflow encountered in exp" in ran.stdout


def test_settings_of_numpy_hold_inside() -> None:
    with np.errstate(all="raise"):
        lines = told("toy-double", lambda x: np.float64(x) / np.float64(0))
    assert "FloatingPointError" in lines["came"]


def test_the_same_answer_is_told_the_same() -> None:
    def answers() -> list[Any]:
        return [object(), lambda: 0, lambda x: object(), lambda x: answers, lambda x: 1 / 0]

    first, second = ([verdict("toy-double", a).text for a in answers()] for _ in range(2))
    assert first == second


# --- names, options, display -----------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("toy-doubel", "toy-double"), ("double", "toy-double"), ("times", "toy-times"), (3, "toy-")],
)
def test_an_unknown_name_is_refused_with_the_nearest(name: Any, nearest: str) -> None:
    with pytest.raises(ValueError, match=f"no such exercise; the nearest is '{nearest}"):
        check(name, lambda x: x)


@pytest.mark.parametrize("seconds", [0, -1, np.nan, np.inf, "1", None])
def test_a_time_limit_that_is_none_is_refused(seconds: Any) -> None:
    with pytest.raises(ValueError, match="seconds: got"):
        check("toy-double", lambda x: x, seconds=seconds)


def test_an_autograder_gets_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPTDYN_GRADING", "1")
    check("toy-double", lambda x: 2 * x)
    check("toy-open", lambda: 7)
    assert "right" in capsys.readouterr().out
    for answer in (lambda x: x, None):
        with pytest.raises(NotRight, match="toy-double: not"):
            check("toy-double", answer)
        assert "toy-double: not" in capsys.readouterr().out
    monkeypatch.delenv("OPTDYN_GRADING")
    check("toy-double", None)


def test_the_box_holds_text_and_not_html() -> None:
    bundle = verdict("toy-raw", lambda x: "<script>alert('&')</script>")._repr_mimebundle_()
    page = bundle["text/html"]
    assert "<script>" not in page and "&lt;script&gt;" in page
    assert 'class="optdyn-check" data-state="wrong"' in page
    assert page.count("<dt>") == page.count("<dd>") == 4
    assert bundle["text/plain"].startswith("toy-raw: not right yet\n")
    answered = verdict("toy-double", None)._repr_mimebundle_()["text/html"]
    assert "<dl>" not in answered and "not answered yet" in answered


def test_nothing_heavy_is_imported() -> None:
    code = "import sys, optdyn.check; print({'IPython', 'altair', 'mpmath'} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.stdout == "set()\n", ran.stderr


CELL = """\
from optdyn import answers, check as checks
checks._registry = lambda: {
    "toy-double": answers.Exercise(
        ("x",), ((1.0,),), lambda v, x: answers.near(v, 2 * x), "Add."
    )
}
"""
READERS = """\
def f(x):
    while True:
        print(x)
checks.check("toy-double", f, seconds=0.5)
def g(x):
    return [x][3]
checks.check("toy-double", g)
"""


def test_in_a_kernel(tmp_path: Path) -> None:
    """A loop that prints is stopped, an error is traced to the line of its cell, as boxes."""
    nb = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source) for source in (CELL, READERS, "print('alive')")]
    )
    nbclient.NotebookClient(nb, timeout=60, kernel_name="python3").execute()
    boxes = [output.data for output in nb.cells[1].outputs]
    assert [set(box) for box in boxes] == [{"text/plain", "text/html"}] * 2
    assert "It was stopped." in boxes[0]["text/plain"]
    assert "line      6: return [x][3]" in boxes[1]["text/plain"]
    assert nb.cells[2].outputs[0].text == "alive\n"


def test_the_guard_leaves_nothing_replaced() -> None:
    streams = sys.stdout, sys.stderr, builtins.print
    guard.call(lambda: 1, (), 5.0)
    assert (sys.stdout, sys.stderr, builtins.print) == streams
