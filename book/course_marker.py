"""Judge what submitted functions returned, in a process of its own, shut in (sandbox.py).

    python -s -E -B course_marker.py FOLDER

Started and asked by course.py. FOLDER/job.json names what may be read. Each line of the input is a
question in JSON, each line of the output its answer: the inputs of an exercise, visible and hidden,
or the verdict on the answers to them. Nothing that a student wrote is run here, or unpickled: the
answers are numbers, texts and lists.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import sandbox


def inputs_of(name: str, drawn_from: str) -> dict[str, Any]:
    """All inputs of an exercise as JSON, the visible ones first."""
    import course_inputs
    from course_worker import encode

    exercise, visible = course_inputs.exercise(name, drawn_from)
    return {"visible": visible, "inputs": [encode(list(given)) for given in exercise.inputs]}


def judged(name: str, drawn_from: str, calls: Any) -> dict[str, Any]:
    """The verdict on the calls: {"wrong": None}, or with a text what is wrong."""
    import course_inputs

    exercise, visible = course_inputs.exercise(name, drawn_from)
    if not calls:
        return {"wrong": "There is no function of this name when its check is reached."}
    made = [_call(call, exercise.takes) for call in calls[: len(exercise.inputs)]]
    return {"wrong": course_inputs.verdict(exercise, visible, made)}


def _call(data: Any, takes: tuple[str, ...]) -> Any:
    """A record of one call, as `optdyn.guard.call` would give it."""
    from course_worker import decode
    from optdyn import guard

    if "value" in data:
        return guard.Call(value=decode(data["value"]))
    if "edited" in data:
        place = data["edited"]
        return guard.Call(edited=(place if place in range(len(takes)) else 0, ...))
    if "late" in data:
        return guard.Call(late="It was stopped.")
    if data.get("error") == "NotImplementedError":
        return guard.Call(error=NotImplementedError("nothing written yet"))
    return guard.Call(error=type(str(data["error"]), (Exception,), {})())


def main() -> None:
    folder = Path(sys.argv[1])
    job = json.loads((folder / "job.json").read_bytes())
    sys.path.insert(0, job["library"])
    if job["box"]:
        walls = sandbox.Walls(job["read"], job["look"], folder)
        sandbox.enter(walls, sandbox.Limits(**job["limits"]))
    for line in sys.stdin:
        question = json.loads(line)
        name, drawn_from = question["name"], question["seed"]
        try:
            if "calls" in question:
                answer = judged(name, drawn_from, question["calls"])
            else:
                answer = inputs_of(name, drawn_from)
        except Exception as error:  # of data that no worker writes
            answer = {"wrong": f"It could not be judged: {type(error).__name__}."}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
