"""Checks of exercises: what is wrong with an answer, and a hint; never the solution.

The reader writes a function and calls ``check("cycles-pair", function)``. The function is called
on inputs chosen in advance, in a thread of its own with a time limit, on copies of the inputs; the
first input that it does not answer rightly is shown with what was expected, what came, and a hint.
No error in an answer or in what it returns makes `check` raise.

To add exercises for a topic, write a module ``exercises_<topic>`` with a dictionary ``EXERCISES``
of name (``<topic>-<word>``) to `answers.Exercise`, and name the module in `_registry`. An exercise
is told right by a property or by values computed in another way, never by shipping the solution.
The notebooks: chapters/<topic>/solutions.ipynb is the source, in nbgrader's format; the command
``python book/notebooks.py execute`` strips it into exercises.ipynb and runs both.
"""

from __future__ import annotations

import difflib
import html
import os
from typing import Any, NamedTuple

from optdyn import answers, guard
from optdyn.answers import Exercise

__all__ = ["NotRight", "Verdict", "check", "verdict"]

SECONDS = 10.0  # for one call of the reader's function
HEADS = {
    "right": "right",
    "wrong": "not right yet",
    "unanswered": "not answered yet",
    "measured": "measured",
}
CODE = ("input", "came", "line", "printed")  # what is set as code


class NotRight(Exception):
    """Raised by `check` for an answer that is not right, while an autograder runs."""


class Verdict(NamedTuple):
    """The answer of a check: a state and lines of (label, text).

    >>> print(Verdict("cycles-pair", "unanswered", (("", "Write it first."),)).text)
    cycles-pair: not answered yet
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
            if label in CODE
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
        name: of the exercise, as ``"cycles-pair"``.
        answer: the reader's function itself, not its value; None or ... while there is none.
        seconds: time limit for one call of it.

    Returns: None; the verdict is displayed in a notebook and printed elsewhere. Compiled code that
        holds the interpreter's lock, such as one long operation on whole numbers, cannot be timed
        out: then there is no verdict before it ends.
    Raises: ValueError for an unknown name or a time limit that is none. NotRight for an answer that
        is not right, only while the environment variable OPTDYN_GRADING is 1.
    Source: chapters/<topic>/exercises.

    >>> check("cycles-pair", ...)
    cycles-pair: not answered yet
      Write the function (gamma), then run this cell again.
    """
    made = verdict(name, answer, seconds=seconds)
    _show(made)
    if os.environ.get("OPTDYN_GRADING") == "1" and made.state in ("wrong", "unanswered"):
        raise NotRight(made.text)


def verdict(name: str, answer: Any, *, seconds: float = SECONDS) -> Verdict:
    """What `check` shows, as a record. Args and raises as there.

    >>> verdict("cycles-pair", 3.0).state
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
                ("came", answers.shown(answer)),
                ("hint", "Pass the function itself: its name, without brackets behind it."),
            ),
        )
    wrong = answers.signature(exercise, answer)
    if wrong:
        return Verdict(name, "wrong", wrong)
    told = ""
    for index, inputs in enumerate(exercise.inputs):
        call = guard.call(answer, inputs, seconds)
        if index == 0 and isinstance(call.error, NotImplementedError):
            return Verdict(name, "unanswered", (("", f"Write the body of {asked}."),))
        ended = not call.late and call.error is None and call.edited is None
        empty = ended and answers.nothing(call.value)
        if index == 0 and empty:
            text = f"{asked[0].upper()}{asked[1:]} returns nothing. If it is written, let it return"
            return Verdict(name, "unanswered", (("", f"{text} {exercise.returns}."),))
        problem: answers.Lines | str | None
        try:
            problem = answers.problem(exercise, inputs, call)
        except BaseException:  # of an object that cannot even be looked at
            problem = (("expected", exercise.returns), ("hint", "It could not be judged."))
        if isinstance(problem, str):
            told = problem
        elif problem:
            given = [("input", answers.typed(exercise.takes, inputs))] if exercise.takes else []
            printed = [("printed", call.printed)] if call.printed else []
            return Verdict(name, "wrong", (*given, *problem, *printed))
    if told:
        return Verdict(name, "measured", (("", told),))
    count = len(exercise.inputs)
    text = f"All {count} inputs are answered rightly." if count > 1 else "It has what was asked."
    return Verdict(name, "right", (("", text),))


# --- names ---------------------------------------------------------------------------


def _registry() -> dict[str, Exercise]:
    """All exercises. A topic's module is loaded when it is asked for."""
    from optdyn import exercises_adam, exercises_cycles, exercises_noise, exercises_shiftk

    return {
        **exercises_adam.EXERCISES,
        **exercises_cycles.EXERCISES,
        **exercises_noise.EXERCISES,
        **exercises_shiftk.EXERCISES,
    }


def _exercise(name: Any) -> Exercise:
    known = _registry()
    if not isinstance(name, str) or name not in known:
        close = difflib.get_close_matches(str(name), known, 1, 0.0)
        raise ValueError(
            f"name: got {answers.shown(name)}, there is no such exercise; the nearest is "
            f"{close[0]!r}. There are {', '.join(sorted(known))}."
        )
    return known[name]


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
