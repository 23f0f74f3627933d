"""Homework for a class: notebooks with hidden tests, made and marked by nbgrader.

    python book/course.py homework --topic cycles --course DIR
    python book/course.py mark --course DIR

`homework` makes DIR/source and, with nbgrader's own generate_assignment, DIR/release: what
students get. `mark` reads DIR/submitted/STUDENT/NAME/NAME.ipynb and writes DIR/autograded,
nbgrader's gradebook DIR/gradebook.db, and DIR/marks/NAME.csv. A submitted notebook runs shut in
(sandbox.py, course_worker.py); another process, shut in too, judges what its functions returned
(course_marker.py, course_inputs.py); this one believes neither more than it must, and gives the
verdicts to nbgrader. Use these through `make homework` and `make mark`.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import copy
import csv
import hashlib
import hmac
import io
import json
import os
import queue
import re
import secrets
import selectors
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import nbformat

import notebooks
import sandbox

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = ROOT / "lib"
WORKER = ROOT / "book" / "course_worker.py"
MARKER = ROOT / "book" / "course_marker.py"
KEPT_FROM_STUDENTS = ("exercises_", "questions_")  # modules that the answers can be read off
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,79}")
BIGGEST, CELLS = 20_000_000, 2_000  # bytes and cells of a submitted notebook, at most
LONGEST, MOST = 4_000_000, 8_000_000  # bytes of the answers to one exercise, and to all
PATIENCE = 90.0  # seconds for one verdict
SECONDS = 300.0  # for one notebook
NOT_SAVED = "not in the gradebook, for nbgrader does not take it"


def stop(sentence: str) -> NoReturn:
    raise SystemExit("course: " + sentence)


def say(text: str) -> None:
    print(text, flush=True)


class Check(NamedTuple):
    """A graded check of an assignment: its cell, exercise, function and points."""

    cell: str  # nbgrader's grade_id
    exercise: str
    function: str
    points: float


# --- the folder of a course -----------------------------------------------------------

CONFIG = """\
# Made by the book's command `make homework`; nbgrader's own commands read it.
c = get_config()  # noqa: F821
c.CourseDirectory.course_id = "optdyn"
# an answer in the library's checks has ten seconds, and JAX needs a while to start
c.Execute.timeout = 300
# students' pages say what failed, and not from what the hidden inputs are drawn
c.GenerateFeedback.preprocessors = [
    "nbgrader.preprocessors.GetGrades",
    "nbgrader.preprocessors.ClearHiddenTests",
    "nbconvert.preprocessors.CSSHTMLHeaderPreprocessor",
]
"""


class Course:
    """The folder of a course: where what lies, and nbgrader's view of it."""

    def __init__(self, folder: Path):
        self.folder = folder.expanduser().resolve()
        self.secrets = self.folder / "secret.json"
        self.submitted = self.folder / "submitted"

    def make(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "nbgrader_config.py"
        if not config.exists():
            notebooks.write_whole(config, CONFIG)
        self.submitted.mkdir(exist_ok=True)

    def notebook(self, step: str, name: str, student: str = ".") -> Path:
        """The notebook of an assignment at one of nbgrader's steps."""
        return self.folder / step / student / name / f"{name}.ipynb"

    def secret(self, name: str) -> str:
        return str(self._secrets()[name])

    def assignments(self) -> list[str]:
        """Those that this command made, and whose source is there."""
        return [n for n in sorted(self._secrets()) if self.notebook("source", n).is_file()]

    def keep_secret(self, name: str, number: int | None) -> None:
        """Choose what the hidden inputs are drawn from, once for each assignment."""
        known = self._secrets()
        chosen = known.get(name) or secrets.token_hex(16)
        if number is not None:
            chosen = hashlib.sha256(f"optdyn {number}".encode()).hexdigest()[:32]
            if known.get(name, chosen) != chosen:
                stop(
                    f"--seed: {number} is not what {name} was made from in {self.folder}; students "
                    "have that one. Leave --seed out, or give another --name."
                )
        if name not in known:
            text = json.dumps({**known, name: chosen}, indent=1, sort_keys=True) + "\n"
            notebooks.write_whole(self.secrets, text)
            os.chmod(self.secrets, 0o600)

    def has_work(self, name: str) -> bool:
        """Whether students handed in an assignment, now or at an earlier marking."""
        if any(self.submitted.glob(f"*/{name}")):
            return True
        if not (self.folder / "gradebook.db").is_file():
            return False
        with self.gradebook() as book:
            return bool(book.assignment_submissions(name))

    def _secrets(self) -> dict[str, Any]:
        if not self.secrets.is_file():
            return {}
        return dict(json.loads(self.secrets.read_text("utf-8")))

    def nbgrader(self, **config: dict[str, Any]) -> Any:
        """nbgrader's interface to this folder."""
        from nbgrader.apps import NbGraderAPI  # type: ignore[import-untyped]
        from traitlets.config import Config

        chosen = Config()
        chosen.CourseDirectory.root = str(self.folder)
        chosen.CourseDirectory.course_id = "optdyn"
        chosen.NbGraderAPI.log_level = "ERROR"
        chosen.Exchange.root = str(self.folder)  # not used; the usual one need not be there
        for part, values in config.items():
            chosen[part].update(values)
        return NbGraderAPI(config=chosen)

    @contextlib.contextmanager
    def gradebook(self) -> Iterator[Any]:
        from nbgrader.api import Gradebook  # type: ignore[import-untyped]

        with Gradebook(f"sqlite:///{self.folder / 'gradebook.db'}", "optdyn") as book:
            yield book


def demand(result: dict[str, Any], what: str) -> None:
    """Stop with what nbgrader said if it did not succeed."""
    if not result["success"]:
        stop(f"{what} failed. {result.get('log', '')}{result.get('error', '')}")


def prepare() -> None:
    """Keep nbgrader's progress out of the output; what fails is told by `demand`."""
    import logging
    import warnings

    logging.getLogger("traitlets").setLevel(logging.CRITICAL + 1)
    logging.getLogger("alembic").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    here = str(Path(sys.executable).parent)  # nbgrader calls alembic by name
    if here not in os.environ.get("PATH", "").split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join([here, os.environ.get("PATH", "")])


# --- making an assignment -------------------------------------------------------------

HIDDEN = """\
{check}
### BEGIN HIDDEN TESTS
import sys
sys.path.insert(0, {book!r})
from course_inputs import check_hidden
check_hidden({exercise!r}, {function})
### END HIDDEN TESTS"""


def topics() -> list[str]:
    return sorted(path.parent.name for path in ROOT.glob("chapters/*/solutions.ipynb"))


def chosen_cells(nb: Any, numbers: Sequence[int]) -> list[Any]:
    """The cells of some exercises, with what stands before the first. Raises: SystemExit."""
    kept, there = [], set()
    keep = True
    for cell in nb.cells:
        head = re.match(r"## (\d+)\. ", cell.source)
        if cell.cell_type == "markdown" and head:
            there.add(int(head[1]))
            keep = int(head[1]) in numbers
        if keep:
            kept.append(cell)
    missing = sorted(set(numbers) - there)
    if missing:
        stop(f"--exercises: there is no {missing[0]}; take some of 1 to {max(there)}.")
    return kept


def source_of(topic: str, numbers: Sequence[int] | None) -> Any:
    """The book's solutions without what only their page needs, as nbgrader's source."""
    path = ROOT / "chapters" / topic / notebooks.SOLUTIONS
    nb = notebooks.read(path)
    notebooks.put_setup_cell(nb, path)
    nb.metadata.pop("optdyn", None)
    if numbers is not None:
        nb.cells = chosen_cells(nb, numbers)
    kept = []
    for cell in nb.cells:
        tags = cell.metadata.get("tags", [])
        if notebooks.SOLUTION_ONLY in tags:
            continue
        if notebooks.EXERCISES_ONLY in tags:
            cell.metadata.tags = [tag for tag in tags if tag != notebooks.EXERCISES_ONLY]
        if cell.cell_type == "markdown":
            # what students get does not lead to a page of solutions
            lines = [line for line in cell.source.split("\n") if "(solutions.ipynb" not in line]
            cell.source = "\n".join(lines).rstrip()
        kept.append(cell)
    nb.cells = kept
    return nb


def checks_of(nb: Any) -> list[Check]:
    """The graded checks of a notebook, in order."""
    found = []
    for cell in nb.cells:
        data = cell.metadata.get("nbgrader", {})
        if cell.cell_type == "code" and data.get("grade") and not data.get("solution"):
            call = ast.parse(cell.source).body[0]
            assert isinstance(call, ast.Expr) and isinstance(call.value, ast.Call)
            name, function = call.value.args
            assert isinstance(name, ast.Constant) and isinstance(function, ast.Name)
            found.append(Check(data["grade_id"], str(name.value), function.id, data["points"]))
    return found


def seed(secret: str, assignment: str, exercise: str) -> str:
    """What the hidden inputs of one exercise are drawn from."""
    text = f"{assignment}/{exercise}".encode()
    return hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()[:32]


def add_hidden_tests(nb: Any) -> None:
    """Put them into the checks, for nbgrader's own autograder, which runs them as they stand."""
    checks = {check.cell: check for check in checks_of(nb) if check.points}
    for cell in nb.cells:
        check = checks.get(cell.metadata.get("nbgrader", {}).get("grade_id"))
        if check:
            cell.source = HIDDEN.format(
                check=cell.source,
                book=str(ROOT / "book"),
                exercise=check.exercise,
                function=check.function,
            )


def students_in(path: Path) -> list[dict[str, str]]:
    """The students of a file: an id a line, or CSV with a head that has `id` in it."""
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as problem:
        stop(f"--students: {path} cannot be read ({problem}); name a text file with an id a line.")
    rows = [row for row in csv.reader(io.StringIO(text)) if any(part.strip() for part in row)]
    head = [part.strip() for part in rows[0]] if rows else []
    if "id" in head:
        known = ("id", "first_name", "last_name", "email")
        found = [
            {k: v.strip() for k, v in zip(head, row, strict=False) if k in known}
            for row in rows[1:]
        ]
    else:
        found = [{"id": row[0].strip()} for row in rows]
    ids = [student.get("id", "") for student in found]
    for name in ids:
        if not NAME.fullmatch(name):
            stop(f"--students: {name!r} is no id; take letters, digits and _ . @ - for each.")
        if ids.count(name) > 1:
            stop(f"--students: {name} is there twice in {path}; take one of the lines out.")
    return found


def homework(
    topic: str,
    folder: Path,
    students: Path | None = None,
    number: int | None = None,
    exercises: Sequence[int] | None = None,
    name: str | None = None,
) -> None:
    """Make an assignment in the folder of a course, and prove that it marks rightly.

    Raises: SystemExit with a sentence for what cannot be.
    """
    if topic not in topics():
        stop(f"--topic: got {topic}, there is no such topic; take one of {', '.join(topics())}.")
    name = name or topic
    if not NAME.fullmatch(name):
        stop(f"--name: {name!r} is no name for a folder; take letters, digits and _ . -")
    prepare()
    course = Course(folder)
    enrolled = students_in(students) if students else []
    nb = source_of(topic, exercises)
    demand_the_same(course, name, nb)
    course.make()
    course.keep_secret(name, number)
    right = copy.deepcopy(nb)
    add_hidden_tests(nb)
    source = course.notebook("source", name)
    source.parent.mkdir(parents=True, exist_ok=True)
    notebooks.write_whole(source, notebooks.normalise(nb))
    demand(course.nbgrader().generate_assignment(name), "nbgrader's generate_assignment")
    if enrolled:
        with course.gradebook() as book:
            for student in enrolled:
                more = {key: value for key, value in student.items() if key != "id"}
                book.update_or_create_student(student["id"], **more)
    checks = checks_of(nb)
    most = sum(check.points for check in checks)
    if os.name == "nt":
        say("Not tried: marking needs Linux, such as WSL.")
    else:
        prove(course, name, right, checks)
    say(
        f"{course.notebook('release', name)} is for students: {len(checks)} exercises, "
        f"{most:g} points by checks. What comes back goes to "
        f"{course.submitted}/STUDENT/{name}/{name}.ipynb, or is fetched by nbgrader."
    )


def demand_the_same(course: Course, name: str, nb: Any) -> None:
    """Stop if work was handed in on other exercises than these: marks would be lost with them."""
    source = course.notebook("source", name)
    if source.is_file() and course.has_work(name) and graded(notebooks.read(source)) != graded(nb):
        stop(
            f"--name: {name} in {course.folder} has other exercises, and students handed in work "
            "on them. Give another --name, or the exercises that it was made with."
        )


def graded(nb: Any) -> list[tuple[str, float]]:
    """What carries points in a notebook: nbgrader's name of each cell, and the points."""
    marks = [cell.metadata.get("nbgrader", {}) for cell in nb.cells]
    return [(data["grade_id"], data["points"]) for data in marks if data.get("grade")]


def prove(course: Course, name: str, right: Any, checks: Sequence[Check]) -> None:
    """Run the solutions and the stubs through the marking: all points and none, or stop."""
    boxed = sandbox.complaint() is None  # this is the book's own code
    release = notebooks.read(course.notebook("release", name))
    with Marking(course, name, release, checks, boxed, SECONDS) as marking, marking.lane() as lane:
        for what, nb, wanted in (("the solutions", right, True), ("the stubs", release, False)):
            run = marking.run(lane, [*nb.cells])
            for check in checks:
                text = run.wrong.get(check.exercise)
                if check.points and (text is None) != wanted:
                    stop(
                        f"{name} cannot be marked here: {check.exercise} of {what} is "
                        f"{'wrong' if wanted else 'right'}. {text or ''} {run.remark}"
                    )


# --- what is handed in ----------------------------------------------------------------


class Refused(Exception):
    """A submission that is not run; the text says why."""


def read_submission(folder: Path, name: str) -> tuple[list[Any], str]:
    """The cells that a student handed in, as plain records, and a remark.

    A stranger made what lies in the folder: links are not followed, and nothing else is read.
    Raises: Refused.
    """
    for place in (folder.parent, folder):
        if place.is_symlink() or not place.is_dir():
            raise Refused(f"{place.name} is a link or no folder")
    remark, path = "", folder / f"{name}.ipynb"
    if not os.path.lexists(path):
        others = sorted(p for p in folder.iterdir() if p.suffix == ".ipynb")
        if len(others) != 1:
            raise Refused(f"there is no {path.name}")
        [path] = others
        remark = "it had another name"
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as problem:
        raise Refused("the notebook is a link or cannot be opened") from problem
    with open(handle, "rb") as file:
        information = os.fstat(handle)
        if not stat.S_ISREG(information.st_mode):
            raise Refused("the notebook is no file")
        if information.st_size > BIGGEST:
            raise Refused(f"the notebook has more than {BIGGEST // 10**6} MB")
        data = file.read(BIGGEST + 1)
    try:
        found = json.loads(data.decode("utf-8-sig"))
        return [_cell(cell) for cell in found["cells"][:CELLS]], remark
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as problem:
        raise Refused("the file is no notebook") from problem


def _cell(data: Any) -> Any:
    """A cell with its kind, text and nbgrader's name for it, and nothing else of the file."""
    source = data["source"]
    if not isinstance(source, str):
        source = "".join(source)
    source = source.encode("utf-8", "replace").decode("utf-8")
    kinds: dict[str, Any] = {
        "code": nbformat.v4.new_code_cell,
        "markdown": nbformat.v4.new_markdown_cell,
    }
    cell = kinds.get(data["cell_type"], nbformat.v4.new_raw_cell)(source)
    marks = data.get("metadata", {}).get("nbgrader", {})
    name = marks.get("grade_id") if isinstance(marks, dict) else None
    if isinstance(name, str):
        cell.metadata["nbgrader"] = {"grade_id": name}
    return cell


def put_in_order(cells: Sequence[Any], release: Any) -> list[Any]:
    """The submitted cells with nbgrader's own metadata, its own checks, and none missing or twice.

    As in nbgrader, the last of several cells of one name counts, and the others are plain cells.
    A graded cell that was deleted comes back at the end.
    """
    own = {
        cell.metadata.nbgrader["grade_id"]: cell
        for cell in release.cells
        if "nbgrader" in cell.metadata
    }
    ordered: list[Any] = []
    for given in reversed(cells):
        cell = copy.deepcopy(given)
        master = own.pop(cell.metadata.pop("nbgrader", {}).get("grade_id"), None)
        if master is not None:
            given, cell = cell, copy.deepcopy(master)
            if master.metadata.nbgrader["solution"]:
                cell.source = given.source
        ordered.append(cell)
    missing = [cell for cell in own.values() if cell.metadata.nbgrader["grade"]]
    return [*reversed(ordered), *copy.deepcopy(missing)]


# --- running and judging --------------------------------------------------------------


def readable() -> tuple[list[str], list[str]]:
    """What a student's code may read: Python, and the library without what tells answers.

    The second list may be looked into, so that imports find their files.
    """
    files = [
        str(path)
        for path in sorted((LIBRARY / "optdyn").rglob("*"))
        if path.is_file() and not path.name.startswith(KEPT_FROM_STUDENTS)
    ]
    return [*map(str, sandbox.system()), *files], [str(LIBRARY)]


class Lane:
    """A marking process, to be asked in turn. It is started again if it ends or takes too long."""

    def __init__(self, boxed: bool):
        self.boxed = boxed
        self.process: subprocess.Popen[bytes] | None = None
        self.folder: Path | None = None
        self.errors = ""  # what the last one said when it ended

    def ask(self, question: dict[str, Any], seconds: float = PATIENCE) -> dict[str, Any] | None:
        """The marker's answer; None if there is none in time."""
        if self.process is None or self.process.poll() is not None:
            self.close()
            self._start()
        process = self.process
        assert process is not None and process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(json.dumps(question).encode("ascii") + b"\n")
            process.stdin.flush()
            line = _line(process.stdout, seconds)
            return dict(json.loads(line))
        except (OSError, ValueError):
            self.close()
            return None

    def _start(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="optdyn-marker-")).resolve()
        read = [*map(str, sandbox.system()), str(LIBRARY), str(ROOT / "book")]
        limits = sandbox.Limits(seconds=100_000)
        job = {"library": str(LIBRARY), "box": self.boxed, "read": read, "look": []}
        job["limits"] = limits._asdict()
        (self.folder / "job.json").write_text(json.dumps(job), "utf-8")
        with open(self.folder / "errors.txt", "wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-s", "-E", "-B", MARKER, self.folder],
                cwd=self.folder,
                env=sandbox.environment(self.folder),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )

    def close(self) -> None:
        if self.process is not None:
            sandbox.kill_group(self.process)
            for end in (self.process.stdin, self.process.stdout):
                if end is not None:
                    with contextlib.suppress(OSError):
                        end.close()
            self.process = None
        if self.folder is not None:
            with contextlib.suppress(OSError):
                self.errors = (self.folder / "errors.txt").read_text("utf-8", "replace")[-2000:]
            sandbox.remove(self.folder)
            self.folder = None


def _line(file: Any, seconds: float) -> bytes:
    """One line of a pipe. Raises: ValueError if there is none in time."""
    end, data = time.monotonic() + seconds, b""
    with selectors.DefaultSelector() as selector:
        selector.register(file, selectors.EVENT_READ)
        while not data.endswith(b"\n"):
            if not selector.select(max(0.0, end - time.monotonic())):
                raise ValueError("no answer in time")
            more = os.read(file.fileno(), 1 << 16)
            if not more:
                raise ValueError("it ended")
            data += more
    return data


class Run(NamedTuple):
    """What came of one notebook: for each exercise what is wrong with it, or None, and a remark."""

    wrong: dict[str, str | None]
    remark: str


class Marking:
    """The marking of one assignment: its checks, their inputs, and the boxes for notebooks."""

    def __init__(
        self,
        course: Course,
        name: str,
        release: Any,
        checks: Sequence[Check],
        boxed: bool,
        seconds: float,
    ):
        self.course, self.name, self.release = course, name, release
        self.checks = [check for check in checks if check.points]
        self.boxed, self.seconds = boxed, seconds
        self.stopping = threading.Event()
        self.idle: list[Lane] = []
        self.lanes: list[Lane] = []
        secret = course.secret(name)
        self.seeds = {check.exercise: seed(secret, name, check.exercise) for check in self.checks}
        self.tasks: dict[str, Any] = {}

    def __enter__(self) -> Marking:
        try:
            self._draw_inputs()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _draw_inputs(self) -> None:
        with self.lane() as lane:
            for check in self.checks:
                question = {"name": check.exercise, "seed": self.seeds[check.exercise]}
                found = lane.ask(question)
                if found is None or "inputs" not in found:
                    stop(f"the marker did not start: {found} {lane.errors}")
                inputs = [given["list"] for given in found["inputs"]]
                self.tasks[check.exercise] = {"function": check.function, "inputs": inputs}

    def __exit__(self, *_: object) -> None:
        for lane in self.lanes:
            lane.close()

    def halt(self) -> None:
        """End what runs, as soon as may be."""
        self.stopping.set()
        for lane in self.lanes:
            if lane.process is not None:
                lane.process.kill()

    @contextlib.contextmanager
    def lane(self) -> Iterator[Lane]:
        """A marking process for one notebook at a time; it waits for the next one afterwards."""
        try:
            lane = self.idle.pop()
        except IndexError:
            lane = Lane(self.boxed)
            self.lanes.append(lane)
        try:
            yield lane
        finally:
            self.idle.append(lane)

    def run(self, lane: Lane, cells: Sequence[Any]) -> Run:
        """Run a notebook in its box, then have its answers judged."""
        read, look = readable()
        limits = sandbox.Limits(seconds=self.seconds)
        job = {
            "library": str(LIBRARY),
            "box": self.boxed,
            "read": read,
            "look": look,
            "limits": limits._asdict(),
            "cell_seconds": self.seconds / 3,
            "call_seconds": min(10.0, self.seconds / 6),
            "tasks": self.tasks,
            "cells": self._cells(cells),
        }
        with sandbox.scratch() as folder:
            (folder / "job.json").write_text(json.dumps(job), "utf-8")
            command: list[str | Path] = [sys.executable, "-s", "-E", "-B", WORKER, folder]
            remark = sandbox.run(command, folder, limits, self.stopping)
            given = _answers(folder / "answers.jsonl", self.seeds)
        wrong: dict[str, str | None] = {}
        for name, seed in self.seeds.items():
            if name not in given:
                wrong[name] = "Its check was not reached."
                continue
            if self.stopping.is_set():
                raise KeyboardInterrupt
            verdict = lane.ask({"name": name, "seed": seed, "calls": given[name]})
            text = "It could not be judged in time." if verdict is None else verdict["wrong"]
            wrong[name] = None if text is None else str(text)
        return Run(wrong, remark)

    def _cells(self, cells: Sequence[Any]) -> list[dict[str, Any]]:
        """The code of a notebook, and where its checks stand."""
        names = {check.cell: check.exercise for check in self.checks}
        found = []
        for cell in cells:
            if cell.cell_type == "code":
                data = cell.metadata.get("nbgrader", {})
                check = names.get(data.get("grade_id"))
                if check or not (data.get("grade") and data.get("locked")):
                    found.append({"source": cell.source, "check": check})
        return found


def _answers(path: Path, names: Container[str]) -> dict[str, list[dict[str, Any]]]:
    """What a worker wrote, or a stranger in its place: records of calls, by exercise of `names`.

    Of what is longer than any worker's, the beginning is read.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return {}
    found: dict[str, list[dict[str, Any]]] = {}
    with open(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return {}
        while file.tell() < MOST:
            line = file.readline(min(LONGEST, MOST - file.tell()))
            if not line.endswith(b"\n"):
                break
            with contextlib.suppress(Exception):  # of whatever a stranger may have written
                data = json.loads(line)
                name, calls = data["name"], data["calls"]
                if (
                    isinstance(calls, list)
                    and all(isinstance(call, dict) for call in calls)
                    and name in names
                ):
                    found.setdefault(name, calls)
    return found


# --- marking --------------------------------------------------------------------------


class Paper(NamedTuple):
    """One student's notebook on its way: the cells in order, what is wrong, a remark."""

    student: str
    cells: list[Any]
    wrong: dict[str, str | None]
    remark: str


def mark(
    folder: Path,
    name: str | None = None,
    seconds: float = SECONDS,
    jobs: int | None = None,
    without_box: bool = False,
) -> None:
    """Mark what was handed in, and write the marks.

    Raises: SystemExit with a sentence for what cannot be.
    """
    course = Course(folder)
    known = course.assignments()
    if not known:
        stop(f"--course: {course.folder} has no homework; make some: make.py homework")
    if name is not None and name not in known:
        stop(f"--name: got {name}, there is no such homework; take one of {', '.join(known)}.")
    if not 5 <= seconds < 1e5:
        stop(f"--seconds: got {seconds:g}, a notebook needs 5 at least; leave it out.")
    check_box(course, without_box)
    prepare()
    for each in [name] if name else known:
        mark_assignment(
            course, each, seconds, jobs or max(1, (os.cpu_count() or 2) // 2), without_box
        )


def check_box(course: Course, without_box: bool) -> None:
    """Stop where strangers' code cannot be shut in, unless that is wanted; then warn."""
    if os.name == "nt":
        stop("marking needs Linux. On Windows, open WSL and call it there.")
    if without_box:
        say(
            "Warning: --without-box. The notebooks run with all your rights: they can read, change "
            "and delete what you can, and the marks too. Do this on a machine with nothing to lose."
        )
        return
    wrong = sandbox.complaint()
    if wrong:
        stop(
            f"submitted notebooks cannot be shut in on this machine: {wrong}. Mark on Linux 6.2 or "
            "later, or with --without-box where nothing can be lost."
        )
    for hidden in (course.folder, ROOT / "chapters"):
        place = sandbox.open_to(hidden, sandbox.system())
        if place:
            stop(f"{hidden} lies in {place}, which notebooks may read. Move it somewhere else.")


def mark_assignment(
    course: Course, name: str, seconds: float, jobs: int, without_box: bool
) -> None:
    source = notebooks.read(course.notebook("source", name))
    release = notebooks.read(course.notebook("release", name))
    checks = checks_of(source)
    handed_in = [path.parent.name for path in sorted(course.submitted.glob(f"*/{name}"))]
    ignored = [student for student in handed_in if not NAME.fullmatch(student)]
    for student in ignored:
        say(f"{student!r} is no id of a student; that folder is left alone.")
    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
    for student in handed_in:
        if student not in ignored:
            waiting.put(student)
    papers: dict[str, Paper] = {}
    failures: list[BaseException] = []

    def work(marking: Marking) -> None:
        try:
            with marking.lane() as lane:
                while not marking.stopping.is_set():
                    student = waiting.get_nowait()
                    papers[student] = paper(marking, lane, student)
                    say(
                        f"  {name} {student}{'; ' if papers[student].remark else ''}"
                        f"{papers[student].remark}"
                    )
        except queue.Empty:
            pass
        except BaseException as problem:
            failures.append(problem)
            marking.stopping.set()

    say(f"{name}: {waiting.qsize()} notebooks, {jobs} at a time.")
    with Marking(course, name, release, checks, not without_box, seconds) as marking:
        threads = [threading.Thread(target=work, args=(marking,)) for _ in range(jobs)]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            marking.halt()
            for thread in threads:
                thread.join()
    if failures:
        raise failures[0]
    not_saved = save(course, name, [papers[student] for student in sorted(papers)], checks)
    report(course, name, papers, checks, not_saved)


def paper(marking: Marking, lane: Lane, student: str) -> Paper:
    """One student's notebook: read, run, judged. What is refused counts as the empty stubs."""
    folder = marking.course.submitted / student / marking.name
    try:
        cells, remark = read_submission(folder, marking.name)
    except Refused as problem:
        wrong = {check.exercise: f"Refused: {problem}." for check in marking.checks}
        return Paper(student, put_in_order([], marking.release), dict(wrong), f"refused: {problem}")
    ordered = put_in_order(cells, marking.release)
    run = marking.run(lane, ordered)
    return Paper(student, ordered, run.wrong, "; ".join(filter(None, (remark, run.remark))))


def save(
    course: Course, name: str, papers: Sequence[Paper], checks: Sequence[Check]
) -> dict[str, str]:
    """Give the verdicts to nbgrader, as outputs of the check cells of clean notebooks.

    Returns: for each student whose notebook nbgrader does not take, what it says.
    """
    own = "nbgrader.preprocessors."
    api = course.nbgrader(
        CourseDirectory={"submitted_directory": "marking"},
        Autograde={
            "sanitize_preprocessors": [own + "OverwriteCells", own + "CheckCellMetadata"],
            "autograde_preprocessors": [
                own + "SaveAutoGrades",
                own + "AssignLatePenalties",
                own + "CheckCellMetadata",
            ],
        },
    )
    staged = course.folder / "marking"
    sandbox.remove(staged)
    names = {check.cell: check.exercise for check in checks if check.points}
    not_saved: dict[str, str] = {}
    try:
        for each in papers:
            nb = nbformat.v4.new_notebook(cells=each.cells)
            nb.metadata.kernelspec = {"display_name": "Python 3", "language": "python",
                                      "name": "python3"}  # fmt: skip
            for cell in nb.cells:
                data = cell.metadata.get("nbgrader", {})
                if data.get("grade_id") in names:
                    exercise = names[data["grade_id"]]
                    cell.outputs = [_output(exercise, each.wrong[exercise])]
            path = course.notebook("marking", name, each.student)
            path.parent.mkdir(parents=True)
            path.write_text(nbformat.writes(nb), "utf-8")
            _copy_time(course.submitted / each.student / name, path.parent)
            done = api.autograde(name, each.student)
            if not done["success"]:
                if (
                    done["error"].splitlines()[-1] == "KeyboardInterrupt"
                ):  # nbgrader catches that, too
                    raise KeyboardInterrupt
                not_saved[each.student] = _reason(done.get("log", "") or done["error"])
                say(f"  {name} {each.student}; {NOT_SAVED}: {not_saved[each.student]}")
    finally:
        sandbox.remove(staged)
    return not_saved


def _reason(log: str) -> str:
    """The error that a log of nbgrader tells of, without the traceback and what nbgrader adds."""
    lines = [line for line in log.splitlines() if line.strip() and not line.startswith("[")]
    return lines[-1].strip()[:300] if lines else log.strip()[:300]


def _output(exercise: str, wrong: str | None) -> Any:
    """What a check cell shows: an error, for which nbgrader gives no points, or a line."""
    if wrong is None:
        return nbformat.v4.new_output("stream", name="stdout", text=f"{exercise}: right\n")
    text = f"{exercise}: not right yet\n{wrong}"
    return nbformat.v4.new_output("error", ename="NotRight", evalue=text, traceback=[text])


def _copy_time(handed_in: Path, staged: Path) -> None:
    """nbgrader's record of the time of submission, if there is a small plain one it can read."""
    from nbgrader.utils import parse_utc  # type: ignore[import-untyped]

    with contextlib.suppress(Exception):  # of whatever a stranger may have written
        handle = os.open(handed_in / "timestamp.txt", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(handle, "rb") as file:
            text = file.read(100).decode("ascii").strip() if _plain(handle) else ""
        if re.fullmatch(r"[\d:. +A-Z-]+", text) and parse_utc(text):
            (staged / "timestamp.txt").write_text(text, "ascii")


def _plain(handle: int) -> bool:
    return stat.S_ISREG(os.fstat(handle).st_mode)


def report(
    course: Course,
    name: str,
    papers: dict[str, Paper],
    checks: Sequence[Check],
    not_saved: Mapping[str, str],
) -> None:
    """The marks of a class as CSV: points by checks, by hand so far, and remarks."""
    graded = [check for check in checks if check.points]
    most = sum(check.points for check in graded)
    rows = []
    with course.gradebook() as book:
        students = sorted({*papers, *(student.id for student in book.students)})
        for student in students:
            row: dict[str, Any] = {"student": student}
            if student in papers:
                each = papers[student]
                points = {
                    check.exercise: check.points if each.wrong[check.exercise] is None else 0
                    for check in graded
                }
                row |= {exercise: f"{value:g}" for exercise, value in points.items()}
                row["remark"] = each.remark
                if student in not_saved:
                    row |= {"by checks": f"{sum(points.values()):g}", "by hand": "0"}
                    row["needs a hand"] = "yes"
                    told = f"{NOT_SAVED}: {not_saved[student]}"
                    row["remark"] = "; ".join(filter(None, (each.remark, told)))
                else:
                    submission = book.find_submission(name, student)
                    row["by checks"] = f"{submission.code_score:g}"
                    row["by hand"] = f"{submission.written_score:g}"
                    row["needs a hand"] = "yes" if submission.needs_manual_grade else "no"
            else:
                row |= {check.exercise: "0" for check in graded}
                row |= {"by checks": "0", "by hand": "0", "needs a hand": "no"}
                row["remark"] = "nothing handed in"
            rows.append({**row, "of": f"{most:g}"})
    head = ["student", *(check.exercise for check in graded)]
    head += ["by checks", "of", "by hand", "needs a hand", "remark"]
    text = io.StringIO()
    writer = csv.DictWriter(text, head, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    path = course.folder / "marks" / f"{name}.csv"
    path.parent.mkdir(exist_ok=True)
    notebooks.write_whole(path, text.getvalue())
    say(f"{name}: the marks of {len(rows)} students are in {path} and in nbgrader's gradebook.")


# --- the commands ---------------------------------------------------------------------


def _numbers(text: str) -> list[int]:
    if not re.fullmatch(r"\d+(,\d+)*", text):
        raise argparse.ArgumentTypeError(f"{text} is no list of numbers such as 1,2,5")
    return [int(part) for part in text.split(",")]


def options(homework: argparse.ArgumentParser, mark: argparse.ArgumentParser) -> None:
    """The options of the two commands; make.py has the same."""
    homework.add_argument("--topic", required=True, help="a chapter, such as cycles")
    homework.add_argument("--course", required=True, type=Path, help="the folder of the course")
    homework.add_argument("--students", type=Path, help="a file with an id a line, or CSV")
    homework.add_argument("--exercises", type=_numbers, help="only these, as 1,2,5 (all)")
    homework.add_argument("--name", help="of the assignment (the topic's)")
    homework.add_argument("--seed", type=int, help="a number for the hidden inputs (by chance)")
    mark.add_argument("--course", required=True, type=Path, help="the folder of the course")
    mark.add_argument("--name", help="only this assignment (all)")
    mark.add_argument("--seconds", type=float, default=SECONDS, help="for one notebook (300)")
    mark.add_argument("--jobs", type=int, help="notebooks at a time (half the cores)")
    mark.add_argument("--without-box", action="store_true", help="run notebooks unprotected")


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    commands = top.add_subparsers(dest="command", required=True)
    options(commands.add_parser("homework"), commands.add_parser("mark"))
    return top


def main(arguments: Sequence[str] | None = None) -> None:
    chosen = parser().parse_args(arguments)
    if chosen.command == "homework":
        homework(
            chosen.topic,
            chosen.course,
            chosen.students,
            chosen.seed,
            chosen.exercises,
            chosen.name,
        )
    else:
        mark(chosen.course, chosen.name, chosen.seconds, chosen.jobs, chosen.without_box)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        main()
    except KeyboardInterrupt:
        say("\nStopped. What was marked before is kept.")
        raise SystemExit(130) from None
