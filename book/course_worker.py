"""Run one submitted notebook, shut in (sandbox.py), and write down what its functions return.

    python -s -E -B course_worker.py FOLDER

FOLDER/job.json names what may be read, the cells, and for each exercise the function that is
asked for with the inputs that it is to answer. FOLDER/answers.jsonl gets one line an exercise, at
its check cell. The values are plain data and no verdict: course_marker.py judges them in another
process. What lies in FOLDER afterwards is from a stranger.

A cell that fails, or that takes too long, ends itself only, as in a notebook that is run on and on.
`check` does nothing here, for what it compares with cannot be read in the box.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sys
import types
from pathlib import Path
from typing import Any, NamedTuple

import sandbox

NUMBERS = 200_000  # in one value, at most
DEPTH = 8  # of lists in lists
MAGIC = re.compile(r"^([ \t]*)(?:[%!].*|\?*[\w.]+\?+[ \t]*)$", re.MULTILINE)  # IPython's own


# --- values as plain data -------------------------------------------------------------


class Other(NamedTuple):
    """What cannot be handed over, by its type."""

    name: str


def encode(value: Any, depth: int = DEPTH) -> Any:
    """A value as JSON: numbers, texts, arrays, lists and tuples of these; else its type's name."""
    import numpy as np

    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, float):
        return float(value)
    if isinstance(value, str) and len(value) <= NUMBERS:
        return str(value)
    if isinstance(value, int) and abs(value) < 10**400:
        return int(value)
    if isinstance(value, list | tuple) and depth and len(value) <= NUMBERS:
        kind = "list" if isinstance(value, list) else "tuple"
        return {kind: [encode(item, depth - 1) for item in value]}
    with contextlib.suppress(Exception):
        if hasattr(value, "shape") and hasattr(value, "dtype"):
            array, kind = np.asarray(value), str(value.dtype)
            if array.size <= NUMBERS and array.dtype.kind in "fiubV":  # bfloat16 is of kind V
                whole = array.dtype.kind in "iub"
                flat = array.ravel().astype(np.int64 if whole else float).tolist()
                return {"array": flat, "shape": list(array.shape), "dtype": kind}
    return {"other": type(value).__name__[:80]}


def decode(data: Any, depth: int = DEPTH) -> Any:
    """What `encode` made JSON of; `Other` for what it did not hand over.

    Raises: ValueError, KeyError or TypeError for what no `encode` writes.
    """
    import numpy as np

    if data is None or isinstance(data, bool | int | float | str):
        return data
    [(kind, value), *more] = data.items()
    if kind in ("list", "tuple") and depth:
        items = [decode(item, depth - 1) for item in value]
        return items if kind == "list" else tuple(items)
    if kind == "array":
        shape = dict(more)["shape"]
        name = str(dict(more)["dtype"])
        types_ = ("bool", "int8", "int16", "int32", "int64", "float16", "float32", "float64")
        array = np.array(value, dtype=np.dtype(name if name in types_ else "float64"))
        return array.reshape([int(n) for n in shape])
    return Other(str(value)[:80])


# --- cells ----------------------------------------------------------------------------


class _TimeIsUp(BaseException):
    """Raised in a cell that takes too long."""


def _raise(*_: Any) -> None:
    raise _TimeIsUp


def plain(source: str) -> str:
    """A cell without IPython's own lines, such as %pip and !ls, which do nothing here."""
    if source.lstrip().startswith("%%"):
        head, _, source = source.lstrip().partition("\n")
        if not re.match(r"%%(?:time|timeit|capture)\b", head):
            return ""
    try:
        compile(source, "cell", "exec")
    except (SyntaxError, ValueError):
        source = MAGIC.sub(r"\1pass", source)
    return source


def run_cell(source: str, namespace: dict[str, Any], seconds: float) -> None:
    """Run a cell, for so long at most; what goes wrong ends this cell only."""
    signal.signal(signal.SIGALRM, _raise)
    with contextlib.suppress(BaseException):
        try:
            signal.setitimer(signal.ITIMER_REAL, seconds, 0.5)
            exec(compile(plain(source), "<cell>", "exec", dont_inherit=True), namespace)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)


def record(function: Any, inputs: list[tuple[Any, ...]], seconds: float) -> list[dict[str, Any]]:
    """What the function gives for each input, up to the first that it does not answer."""
    from optdyn import guard

    calls: list[dict[str, Any]] = []
    for given in inputs:
        call = guard.call(function, given, seconds)
        if call.late:
            calls.append({"late": True})
        elif call.error is not None:
            calls.append({"error": type(call.error).__name__[:80]})
        elif call.edited is not None:
            calls.append({"edited": call.edited[0]})
        else:
            calls.append({"value": encode(call.value)})
        if "value" not in calls[-1]:
            break
    return calls


def work(job: dict[str, Any], folder: Path) -> None:
    """Run the cells in order; at an exercise's check cell, call its function."""
    silent = types.ModuleType("optdyn.check")
    silent.check = lambda *_, **__: None  # type: ignore[attr-defined]
    sys.modules["optdyn.check"] = silent
    page = types.ModuleType("__main__")
    sys.modules["__main__"] = page
    namespace = page.__dict__
    namespace["display"] = lambda *_, **__: None
    out = os.open(folder / "answers.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for cell in job["cells"]:
        name = cell.get("check")
        if name is None:
            run_cell(cell["source"], namespace, job["cell_seconds"])
            continue
        task = job["tasks"][name]
        function = namespace.get(task["function"])
        calls = []
        if callable(function):
            inputs = [tuple(map(decode, given)) for given in task["inputs"]]
            with contextlib.suppress(Exception):
                calls = record(function, inputs, job["call_seconds"])
        line = json.dumps({"name": name, "calls": calls})
        os.write(out, line.encode("ascii") + b"\n")


def main() -> None:
    folder = Path(sys.argv[1])
    job = json.loads((folder / "job.json").read_bytes())
    sys.path.remove(str(Path(__file__).parent))
    sys.path.insert(0, job["library"])
    limits = sandbox.Limits(**job["limits"])
    if job["box"]:
        sandbox.enter(sandbox.Walls(job["read"], job["look"], folder), limits)
    sys.argv = [""]
    with contextlib.suppress(BaseException):
        work(job, folder)
    os._exit(0)  # whatever threads and exit handlers were left


if __name__ == "__main__":
    main()
