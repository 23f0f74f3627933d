"""Call a function that may do anything: for a limited time, on copies, with its output kept.

`check` calls what readers write through this.
"""

from __future__ import annotations

import contextlib
import contextvars
import copy
import ctypes
import io
import re
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Call", "call", "plain"]

PRINTED, PRINTED_LINES = 300, 6  # of what it prints, so much is kept
LOOKED_AT = 2_000  # characters of a text, at most: the patterns below take quadratic time


def plain(text: str) -> str:
    """The beginning of a text, in characters that print, without what differs from run to run.

    That is addresses of objects and files that warn.

    >>> plain(repr(object()))
    '<object object>'
    """
    text = text[:LOOKED_AT].encode(errors="backslashreplace").decode()
    text = re.sub(r" at 0x[0-9a-fA-F]+", "", text)
    return re.sub(r"(?m)^\S.*[/\\>]\S*:(\d+): (?=\w*Warning)", r"line \1: ", text)


_left_behind: list[Any] = []


class Call(NamedTuple):
    """What came of one call.

    >>> call(print, ("a",), 5.0)
    Call(value=None, error=None, late='', edited=None, printed='a')
    """

    value: Any = None
    error: BaseException | None = None
    late: str = ""  # if it did not return in time: what became of it
    edited: tuple[int, Any] | None = None  # position and new value of an argument it changed
    printed: str = ""


class _TimeIsUp(SystemExit):
    """Raised inside the reader's function; threads end silently on a SystemExit."""


class _Beginning(io.TextIOBase):
    """A text file that keeps the beginning of what is written."""

    def __init__(self) -> None:
        self.kept = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.kept += text[: max(0, PRINTED - len(self.kept))]
        return len(text)

    def shown(self) -> str:
        lines = plain(self.kept).rstrip().splitlines()
        more = len(self.kept) >= PRINTED or len(lines) > PRINTED_LINES
        return "\n".join(lines[:PRINTED_LINES] + (["..."] if more else []))


def call(function: Callable[..., Any], inputs: tuple[Any, ...], seconds: float) -> Call:
    """Call the function in a thread of its own, on copies of the inputs, for so long at most.

    A thread and no process, since a notebook's functions cannot be sent to one on every system.
    Python code is ended by an exception raised in its thread. Compiled code cannot be; then the
    thread is left behind. What the function prints or warns of is kept and not shown.

    Args: function; inputs, its arguments; seconds, the time limit.
    Returns: a Call. Raises: nothing that the function raises, only what the caller is sent itself.
    Source: PyThreadState_SetAsyncExc in Python's C interface.

    >>> call(lambda x: 1 / x, (0,), 5.0).error
    ZeroDivisionError('division by zero')
    """
    given = copy.deepcopy(inputs)
    found: dict[str, Any] = {}
    done = threading.Event()
    context = contextvars.copy_context()  # numpy.errstate and the like hold inside as well

    def work() -> None:
        with contextlib.suppress(_TimeIsUp):
            try:
                found["value"] = context.run(function, *given)
            except _TimeIsUp:
                raise
            except BaseException as error:
                found["error"] = error
            finally:
                done.set()

    thread = threading.Thread(target=work, daemon=True)
    printed = _Beginning()
    late = ""
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            thread.start()
            end = time.monotonic() + seconds
            while not done.wait(0.02) and time.monotonic() < end:  # Ctrl-C gets through
                pass
            if not done.is_set():
                late = "It was stopped." if _stopped(thread, done) else "It still runs."
                _left_behind.append(printed)  # a print under way in C does not hold it
        except BaseException:
            _stopped(thread, done)
            raise
    pairs = enumerate(zip(inputs, given, strict=True))
    changes = [(i, new) for i, (old, new) in pairs if not _same(old, new)]
    edited = changes[0] if changes and not late else None
    return Call(found.get("value"), found.get("error"), late, edited, printed.shown())


def _stopped(thread: threading.Thread, done: threading.Event) -> bool:
    """Raise _TimeIsUp in the thread, again if it is caught, until it ends or does not."""
    raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
    for _ in range(20):
        if done.is_set():
            break
        if thread.ident is not None:  # it has begun
            raise_in(ctypes.c_ulong(thread.ident), ctypes.py_object(_TimeIsUp))
        done.wait(0.05)
    return done.is_set()


def _same(old: Any, new: Any) -> bool:
    """Whether an argument is as it was; what is made to change, such as a generator, always is."""
    try:
        if isinstance(old, np.ndarray):
            if old.dtype != new.dtype or old.shape != new.shape:
                return False
            return np.array_equal(old, new, equal_nan=old.dtype.kind in "fc")
        return not isinstance(old, list | dict | set | float | int | str) or bool(old == new)
    except BaseException:  # of something that was put into it
        return False
