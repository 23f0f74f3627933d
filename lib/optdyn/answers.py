"""Exercises as records, and what can be wrong with an answer to one.

A module ``exercises_<topic>`` makes the records; `check` asks this module what to say.
"""

from __future__ import annotations

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

__all__ = ["Exercise", "Lines", "Miss", "near", "nothing", "problem", "shown", "signature"]

LENGTH = 300  # characters of a value that are shown
LARGEST = 1e100  # more than any answer
Lines = tuple[tuple[str, str], ...]  # of a label and a text


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
        single: whether float32 is exact enough; if not, a wrong answer in it is told so.

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
    single: bool = False


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
    return Miss(shown(expected), hint)


# --- what can be wrong -----------------------------------------------------------------


def signature(exercise: Exercise, answer: Callable[..., Any]) -> Lines | None:
    """What is wrong with the arguments that a function takes, as lines; None if all is well.

    >>> signature(Exercise(("x",), (), near, ""), lambda x, y=2: x)
    """
    try:
        takes_ = inspect.signature(answer)
    except BaseException:
        return None  # some built-in functions do not tell
    try:
        takes_.bind(*exercise.takes)
    except BaseException:
        takes = ", ".join(exercise.takes)
        try:
            came = f"a function of {guard.plain(str(takes_))}"
        except BaseException:  # of a default value that cannot be shown
            came = "a function of other arguments"
        return (
            ("expected", f"a function of ({takes}), called with these in this order"),
            ("came", came),
            ("hint", "Change the first line of the function, or give the rest default values."),
        )
    return None


def nothing(value: Any) -> bool:
    """Whether a value stands for no answer yet.

    >>> nothing(None), nothing(...), nothing(0)
    (True, True, False)
    """
    return value is None or value is Ellipsis or value is NotImplemented


def problem(exercise: Exercise, inputs: tuple[Any, ...], call: guard.Call) -> Lines | str | None:
    """What is wrong with a call, as lines; what was measured, as a text; None if all is well.

    Args: exercise; inputs, the arguments of this call; call, what came of it.

    >>> twice = Exercise(("x",), (), lambda v, x: near(v, 2 * x), "Add x to x.")
    >>> problem(twice, (1.0,), guard.Call(value=3.0))
    (('expected', '2'), ('came', '3'), ('hint', 'Add x to x.'))
    """
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
            ("came", f"{name} = {shown(call.edited[1])} after the call"),
            ("hint", f"Work on a copy: {name} = {name}.copy(), or make a new array."),
        )
    try:
        value = _converted(exercise, call.value)
        said = value if isinstance(value, Miss) else exercise.judge(value, *inputs)
        if said is None and exercise.shape is not None and not np.all(np.abs(value) < LARGEST):
            # a judge that reckons with inf, or comes to it, may take anything for equal
            hint = "There is inf in it, or nearly: a division by 0, or an overflow."
            said = Miss(exercise.returns, hint)
    except BaseException as error:
        said = Miss(exercise.returns, f"It could not be judged: {_message(error)}.")
    if said is None or isinstance(said, str):
        return said
    try:
        single = str(getattr(call.value, "dtype", ""))
    except BaseException:
        single = ""
    hint = said.hint or exercise.hint
    if single in ("float16", "bfloat16") or (single == "float32" and not exercise.single):
        hint += f" These numbers are {single}: is double precision on?"
    return (("expected", said.expected), ("came", shown(call.value)), ("hint", hint))


def _converted(exercise: Exercise, value: Any) -> Any:
    """The value as float64 of the shape asked for, or as a bool; a Miss if it is not that."""
    asked = exercise.returns
    if nothing(value):
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
    except BaseException as error:
        return Miss(asked, f"NumPy cannot make numbers of it: {_message(error)}.")
    if array.dtype.kind == "c":
        return Miss(asked, "The numbers are complex; where did a root of a negative number enter?")
    if array.dtype == object and any(item is None for item in array.flat):
        return Miss(asked, "There is None among the numbers.")
    shape = exercise.shape
    assert isinstance(shape, tuple)
    fits = array.ndim == len(shape) and all(
        want in (None, got) for want, got in zip(shape, array.shape, strict=True)
    )
    if array.dtype.kind not in "fiub":  # jax's bfloat16 is of kind V
        try:
            if array.dtype.kind in "US":
                raise TypeError
            array = array.astype(float)
        except BaseException:
            return Miss(asked, f"This is of type {type(value).__name__}, not made of real numbers.")
    if not fits:
        return Miss(asked, f"The shape is {array.shape}; look at how many numbers are asked for.")
    array = array.astype(float)
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
    except BaseException:
        text = ""
    first = guard.plain(text).strip().partition("\n")[0]
    return type(error).__name__ + (f": {first[:200]}" if first else "")


def shown(value: Any) -> str:
    """A value in a line or a few: numbers with ten digits, long arrays and texts cut.

    >>> shown((1 / 3, np.float64(2.0)))
    '(0.3333333333, 2)'
    """
    try:
        if isinstance(value, float | np.floating):
            return f"{float(value):.10g}"
        if hasattr(value, "shape") and hasattr(value, "dtype"):
            value = np.asarray(value)
        if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
            if value.ndim == 0:
                return shown(value.item())
            return np.array2string(
                value, separator=", ", threshold=24, formatter={"float_kind": "{:.10g}".format}
            )
        text = str(value) if isinstance(value, list | tuple | dict) else repr(value)
        if isinstance(value, list | tuple) and all(_simple(item) for item in value):
            inner = ", ".join(shown(item) for item in value[:24])
            text = f"[{inner}]" if isinstance(value, list) else f"({inner})"
    except BaseException:  # a __repr__ may end the program
        return f"something of type {type(value).__name__}"
    text = guard.plain(text)
    return text if len(text) <= LENGTH else text[: LENGTH - 4] + " ..."


def _simple(item: Any) -> bool:
    return isinstance(item, bool | int | float | np.number) or getattr(item, "shape", None) == ()


def typed(names: tuple[str, ...], values: tuple[Any, ...]) -> str:
    """Arguments as the reader can type them.

    >>> print(typed(("x", "z"), (1.0, np.ones(2))))
    x = 1
    z = [1, 1]
    """
    pairs = zip(names, values, strict=True)
    return "\n".join(
        f"{name} = {shown(value)}".replace("\n", "\n" + " " * (len(name) + 3))
        for name, value in pairs
    )
