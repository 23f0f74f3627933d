"""Checks of exercises: what is wrong with an answer, and a hint; never the solution.

The reader writes a function and calls ``check("cycles-scale", function)``. The function is called
on inputs chosen in advance, in a thread of its own with a time limit, on copies of the inputs; the
first input that it does not answer rightly is shown with what was expected, what came, and a hint.
Nothing that an answer does makes `check` raise.

To add exercises for a topic, write a module ``exercises_<topic>`` with a dictionary ``EXERCISES``
of name (``<topic>-<word>``) to :class:`Exercise`, and name the module in `_registry`. An exercise
is told right by a property or by values computed in another way, never by shipping the solution.
The notebooks: chapters/<topic>/solutions.ipynb is the source, in nbgrader's format; the command
``python book/notebooks.py execute`` strips it into exercises.ipynb and runs both.
"""

from __future__ import annotations

import difflib
import html
import inspect
import linecache
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, NamedTuple

import numpy as np

from optdyn import arguments, guard

__all__ = ["Exercise", "Miss", "NotRight", "Verdict", "check", "near", "verdict"]

SECONDS = 10.0  # for one call of the reader's function
LENGTH = 300  # characters of a value that are shown
HEADS = {
    "right": "right",
    "wrong": "not right yet",
    "unanswered": "not answered yet",
    "measured": "measured",
}


class NotRight(Exception):
    """Raised by `check` for an answer that is not right, while an autograder runs."""


class Miss(NamedTuple):
    """What a judge says of a wrong answer.

    >>> Miss("a positive number").hint
    ''
    """

    expected: str
    hint: str = ""  # for this very mistake; else the exercise's


class Exercise(NamedTuple):
    """What an exercise asks for, and how a right answer is told from a wrong one.

    Args:
        takes: names of the arguments of the reader's function.
        inputs: the tuples of arguments that it is called with, in this order.
        judge: ``judge(value, *arguments)``: None if the value is right, else a :class:`Miss`; for
            an open exercise a text, what was measured.
        hint: the first thing to look at.
        returns: what it returns, in words.
        shape: of the numbers it returns, with None for any length; ``bool`` for a yes or no; None
            for a value that the judge takes as it comes.
        whole: whether the numbers must be whole.

    >>> Exercise(("x",), ((1.0,),), lambda v, x: near(v, 2 * x), "Add x to x.").shape
    ()
    """

    takes: tuple[str, ...]
    inputs: Sequence[tuple[Any, ...]]
    judge: Callable[..., Miss | str | None]
    hint: str
    returns: str = "a number"
    shape: tuple[int | None, ...] | type[bool] | None = ()
    whole: bool = False


class Verdict(NamedTuple):
    """The answer of a check: a state and lines of (label, text).

    >>> print(Verdict("cycles-scale", "unanswered", (("", "Write it first."),)).text)
    cycles-scale: not answered yet
      Write it first.
    """

    name: str
    state: str  # a key of HEADS
    lines: tuple[tuple[str, str], ...]

    @property
    def text(self) -> str:
        """The verdict as plain text."""
        indent = "\n" + 12 * " "
        rows = [
            f"  {label:<10}{text}".replace("\n", indent)
            if label
            else "  " + text.replace("\n", "\n  ")
            for label, text in self.lines
        ]
        return "\n".join([f"{self.name}: {HEADS[self.state]}", *rows])

    def _repr_mimebundle_(self, **_: Any) -> Any:
        e = html.escape
        rows = "".join(
            f"<dt>{e(label)}</dt><dd><pre>{e(text)}</pre></dd>"
            if label in ("input", "came", "line", "printed")
            else f"<dt>{e(label)}</dt><dd>{e(text)}</dd>"
            if label
            else f"</dl><p>{e(text)}</p><dl>"
            for label, text in self.lines
        )
        box = (
            f'<div class="optdyn-check" data-state="{self.state}">'
            f'<p class="optdyn-check-head"><strong>{e(self.name)}</strong> '
            f"<span>{HEADS[self.state]}</span></p><dl>{rows}</dl></div>"
        )
        return {"text/plain": self.text, "text/html": box.replace("<dl></dl>", "")}


def check(name: str, answer: Any, *, seconds: float = SECONDS) -> None:
    """Show whether an answer is right, and if not the first input that shows it, with a hint.

    Args:
        name: of the exercise, as ``"cycles-scale"``.
        answer: the reader's function itself, not its value; None or ... while there is none.
        seconds: time limit for one call of it.

    Returns: None; the verdict is displayed in a notebook and printed elsewhere.
    Raises: ValueError for an unknown name or a time limit that is none. NotRight for an answer that
        is not right, only while the environment variable OPTDYN_GRADING is 1.
    Source: chapters/<topic>/exercises.

    >>> check("cycles-scale", ...)
    cycles-scale: not answered yet
      Write the function (s, w0, step_size), then run this cell again.
    """
    made = verdict(name, answer, seconds=seconds)
    _show(made)
    if os.environ.get("OPTDYN_GRADING") == "1" and made.state in ("wrong", "unanswered"):
        raise NotRight(made.text)


def verdict(name: str, answer: Any, *, seconds: float = SECONDS) -> Verdict:
    """What `check` shows, as a record. Args and raises as there.

    >>> verdict("cycles-scale", 3.0).state
    'wrong'
    """
    exercise = _exercise(name)
    if not (isinstance(seconds, int | float) and 0 < seconds < 1e6):
        raise ValueError(f"seconds: got {seconds!r}, a positive number is needed; leave it out.")
    asked = f"the function ({', '.join(exercise.takes)})"
    if answer is None or answer is Ellipsis or answer is NotImplemented:
        return Verdict(name, "unanswered", (("", f"Write {asked}, then run this cell again."),))
    if not callable(answer):
        return Verdict(
            name,
            "wrong",
            (
                ("expected", asked),
                ("came", _shown(answer)),
                ("hint", "Pass the function itself: its name, without brackets behind it."),
            ),
        )
    wrong = _signature(exercise, answer)
    if wrong:
        return Verdict(name, "wrong", wrong)
    told = ""
    for index, inputs in enumerate(exercise.inputs):
        call = guard.call(answer, inputs, seconds)
        if index == 0 and isinstance(call.error, NotImplementedError):
            return Verdict(name, "unanswered", (("", f"Write the body of {asked}."),))
        empty = not (call.late or call.error or call.edited) and _nothing(call.value)
        if index == 0 and empty:
            text = f"{asked[0].upper()}{asked[1:]} returns nothing. If it is written, let it return"
            return Verdict(name, "unanswered", (("", f"{text} {exercise.returns}."),))
        problem = _problem(exercise, inputs, call)
        if isinstance(problem, str):
            told = problem
        elif problem:
            given = [("input", _arguments(exercise.takes, inputs))] if exercise.takes else []
            printed = [("printed", call.printed)] if call.printed else []
            return Verdict(name, "wrong", (*given, *problem, *printed))
    if told:
        return Verdict(name, "measured", (("", told),))
    count = len(exercise.inputs)
    text = f"All {count} inputs are answered rightly." if count > 1 else "It has what was asked."
    return Verdict(name, "right", (("", text),))


def near(
    value: Any, expected: Any, *, rtol: float = 1e-6, atol: float = 1e-9, hint: str = ""
) -> Miss | None:
    """A judge's comparison of numbers: None if value is expected, up to rounding, else a Miss.

    Args: value, expected: numbers or arrays of one shape; rtol, atol: as numpy.isclose; hint.

    >>> near(1.0, 1.0), near(1.0, 1.5).expected
    (None, '1.5')
    """
    if np.all(np.isclose(value, expected, rtol=rtol, atol=atol)):
        return None
    return Miss(_shown(expected), hint)


# --- names ---------------------------------------------------------------------------


def _registry() -> dict[str, Exercise]:
    """All exercises. A topic's module is loaded when it is asked for."""
    from optdyn import exercises_cycles

    return {**exercises_cycles.EXERCISES}


def _exercise(name: Any) -> Exercise:
    known = _registry()
    if not isinstance(name, str) or name not in known:
        close = difflib.get_close_matches(str(name), known, 1, 0.0)
        raise ValueError(
            f"name: got {_shown(name)}, there is no such exercise; the nearest is {close[0]!r}. "
            f"There are {', '.join(sorted(known))}."
        )
    return known[name]


# --- what can be wrong -----------------------------------------------------------------

Lines = tuple[tuple[str, str], ...]


def _signature(exercise: Exercise, answer: Callable[..., Any]) -> Lines | None:
    """What is wrong with the arguments that the function takes."""
    try:
        signature = inspect.signature(answer)
    except (TypeError, ValueError):
        return None  # some built-in functions do not tell
    try:
        signature.bind(*exercise.takes)
    except TypeError:
        takes = ", ".join(exercise.takes)
        return (
            ("expected", f"a function of ({takes}), called with these in this order"),
            ("came", f"a function of {guard.plain(str(signature))}"),
            ("hint", "Change the first line of the function, or give the rest default values."),
        )
    return None


def _nothing(value: Any) -> bool:
    return value is None or value is Ellipsis or value is NotImplemented


def _problem(exercise: Exercise, inputs: tuple[Any, ...], call: guard.Call) -> Lines | str | None:
    """What is wrong with a call, as lines; what was measured, as a text; None if all is well."""
    if call.late:
        hint = "Does every loop end? Does a number of iterations grow with the input?"
        if call.late != "It was stopped.":
            hint += " Restart the kernel to be rid of this run."
        return (
            ("expected", exercise.returns),
            ("came", f"nothing within the time limit. {call.late}"),
            ("hint", hint),
        )
    if call.error is not None:
        return _raised(exercise, call.error)
    if call.edited is not None:
        name = exercise.takes[call.edited[0]]
        return (
            ("expected", f"{name} left as it was"),
            ("came", f"{name} = {_shown(call.edited[1])} after the call"),
            ("hint", f"Work on a copy: {name} = {name}.copy(), or make a new array."),
        )
    try:
        value = _converted(exercise, call.value)
        said = value if isinstance(value, Miss) else exercise.judge(value, *inputs)
    except Exception as error:
        said = Miss(exercise.returns, f"It could not be judged: {_message(error)}.")
    if said is None or isinstance(said, str):
        return said
    single = getattr(call.value, "dtype", None)
    hint = said.hint or exercise.hint
    if single is not None and str(single) in ("float32", "float16", "bfloat16"):
        hint += f" These numbers are {single}: is double precision on?"
    return (("expected", said.expected), ("came", _shown(call.value)), ("hint", hint))


def _converted(exercise: Exercise, value: Any) -> Any:
    """The value as float64 of the shape asked for, or as a bool; a Miss if it is not that."""
    asked = exercise.returns
    if _nothing(value):
        return Miss(asked, "On this input the function returns nothing: a branch lacks a return.")
    if arguments.is_traced(value):
        return Miss(
            asked, "This value leaked out of a function that JAX was tracing; return it instead."
        )
    if inspect.iscoroutine(value):
        value.close()
        return Miss(asked, "Write def, not async def.")
    if inspect.isgenerator(value):
        return Miss(asked, "Write return, not yield.")
    if exercise.shape is None:
        return value
    if exercise.shape is bool:
        if isinstance(value, bool | np.bool_) or (
            getattr(value, "shape", None) == () and str(value.dtype) == "bool"
        ):
            return bool(value)
        return Miss(asked, "Return True or False.")
    try:
        array = np.asarray(value)
    except Exception as error:
        return Miss(asked, f"NumPy cannot make numbers of it: {_message(error)}.")
    if array.dtype.kind == "c":
        return Miss(asked, "The numbers are complex; where did a root of a negative number enter?")
    if array.dtype == object and any(item is None for item in array.flat):
        return Miss(asked, "There is None among the numbers.")
    if array.dtype.kind not in "fiub":  # jax's bfloat16 is of kind V
        try:
            if array.dtype.kind in "US":
                raise TypeError
            array = array.astype(float)
        except Exception:
            return Miss(asked, f"This is of type {type(value).__name__}, not made of real numbers.")
    array, shape = array.astype(float), exercise.shape
    assert isinstance(shape, tuple)
    fits = array.ndim == len(shape) and all(
        want in (None, got) for want, got in zip(shape, array.shape, strict=True)
    )
    if not fits:
        return Miss(asked, f"The shape is {array.shape}; look at how many numbers are asked for.")
    if np.isnan(array).any():
        return Miss(asked, "There is a nan: a division 0/0, or inf - inf.")
    if exercise.whole and not (array == np.round(array)).all():
        return Miss(asked, "Whole numbers are asked for.")
    return array if array.ndim else float(array)


def _raised(exercise: Exercise, error: BaseException) -> Lines:
    """Where and how the reader's function failed."""
    lines: Lines = (("expected", exercise.returns), ("came", f"an error. {_message(error)}"))
    frame = _readers_frame(error)
    if frame:
        lines += (("line", frame),)
    hint = "Call the function on this input in a cell of its own to see the whole traceback."
    if isinstance(error, SystemExit | KeyboardInterrupt):
        hint = "A function that ends the program cannot be checked; let it return."
    if isinstance(error, RecursionError):
        hint = "The function calls itself without end."
    return (*lines, ("hint", hint))


def _readers_frame(error: BaseException) -> str:
    """The last line of the reader's own code that the error passed, with its number."""
    library = os.path.dirname(os.path.abspath(__file__))
    ours = (library, sys.prefix, sys.base_prefix, os.path.dirname(os.__file__))
    frames: list[tuple[FrameType, int]] = list(traceback.walk_tb(error.__traceback__))
    for frame, number in reversed(frames):
        name = frame.f_code.co_filename
        if name != __file__ and not name.startswith((*ours, "<frozen", "<__array")):
            source = linecache.getline(name, number, frame.f_globals).strip()
            return f"{number}: {source}" if source else ""
    return ""


# --- texts -----------------------------------------------------------------------------


def _message(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:
        text = ""
    first = guard.plain(text).strip().partition("\n")[0]
    return type(error).__name__ + (f": {first[:200]}" if first else "")


def _shown(value: Any) -> str:
    """A value in a line or a few: numbers with ten digits, long arrays and texts cut."""
    try:
        if isinstance(value, float | np.floating):
            return f"{float(value):.10g}"
        if hasattr(value, "shape") and hasattr(value, "dtype"):
            value = np.asarray(value)
        if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
            if value.ndim == 0:
                return _shown(value.item())
            return np.array2string(value, separator=", ", threshold=24, precision=8)
        text = str(value) if isinstance(value, list | tuple | dict) else repr(value)
        if isinstance(value, list | tuple) and all(_simple(item) for item in value):
            inner = ", ".join(_shown(item) for item in value[:24])
            text = f"[{inner}]" if isinstance(value, list) else f"({inner})"
    except Exception:
        return f"something of type {type(value).__name__}"
    text = guard.plain(text)
    return text if len(text) <= LENGTH else text[: LENGTH - 4] + " ..."


def _simple(item: Any) -> bool:
    return isinstance(item, bool | int | float | np.number) or getattr(item, "shape", None) == ()


def _arguments(names: tuple[str, ...], values: tuple[Any, ...]) -> str:
    """The input as the reader can type it."""
    pairs = zip(names, values, strict=True)
    return "\n".join(
        f"{name} = {_shown(value)}".replace("\n", "\n" + " " * (len(name) + 3))
        for name, value in pairs
    )


def _show(made: Verdict) -> None:
    """Display in a notebook; print elsewhere."""
    try:
        from IPython import get_ipython
        from IPython.display import publish_display_data
    except ImportError:
        get_ipython = None
    if get_ipython is None or get_ipython() is None:
        print(made.text)
    else:
        publish_display_data(data=made._repr_mimebundle_())
