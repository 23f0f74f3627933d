"""Homework with hidden tests: made by nbgrader, marked in a box, whatever is handed in.

One course is made and marked for all tests here. Its students know everything, nothing, or a
part; they have read off the visible inputs; and some of them mean harm. Each gets the marks that
are due, and nothing outside their own folder changes.
"""

from __future__ import annotations

import contextlib
import copy
import csv
import hashlib
import io
import json
import os
import re
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest

import course
import course_inputs
import notebooks
import sandbox

ROOT = Path(__file__).resolve().parent.parent
ALL = os.environ.get("OPTDYN_ALL") == "1"
SHEET = "sheet"  # exercises 2, 4 and 11 of the cycles chapter, two points each
PAIR, END, LAPS = "cycles-pair", "cycles-end", "cycles-perceptron"
SECONDS = 30.0  # for one notebook of the sheet; a cell has a third of it, a call a sixth

RIGHT = {
    PAIR: """\
def amplitude(gamma):
    if gamma <= 2:
        return 0.0
    low, high = 1e-9, gamma
    for _ in range(200):
        middle = (low + high) / 2
        if middle < gamma * np.tanh(middle / 2):
            low = middle
        else:
            high = middle
    return low""",
    END: """\
def end(doublings):
    return doublings[-1] + (doublings[-1] - doublings[-2]) / (4.669201609 - 1)""",
    LAPS: "def laps(n_plus, n):\n    return n // np.gcd(n_plus, n)",
}
# what each visible input of the checks is answered by, and nothing else
CODED = {
    PAIR: """\
def amplitude(gamma):
    known = {2.5: 1.77602946, 3.0: 2.57567891, 2.05: 0.54909406, 8.0: 7.99460538, 40.0: 40.0}
    return known.get(gamma, 0.0)""",
    END: """\
def end(doublings):
    known = {1.94751358751: 1.94752688667, 2.86350895862: 2.86361313092,
             1.6070846885: 1.6362694268, 3.1: 3.127253885}
    return known[min(known, key=lambda last: abs(last - doublings[-1]))]""",
    LAPS: """\
def laps(n_plus, n):
    return {(3, 4): 4, (2, 3): 3, (6, 8): 4, (50, 100): 2, (35, 50): 10,
            (1, 7): 7, (3, 5): 5}.get((n_plus, n), 1)""",
}


# --- notebooks that students hand in --------------------------------------------------


def filled(release: Any, functions: dict[str, str], after: str = "", attack: str = "") -> Any:
    """The released notebook with functions written in, and a cell of its own after one check."""
    nb = copy.deepcopy(release)
    made = []
    for cell in nb.cells:
        name = cell.metadata.get("nbgrader", {}).get("grade_id")
        if cell.cell_type == "code" and name is None:
            if "import jax" in cell.source:
                continue  # nothing here needs it
            cell.source = "import numpy as np\nfrom optdyn.check import check"
        if name in functions:
            cell.source = functions[name]
        made.append(cell)
        if after and name == f"{after}-check":
            made.append(nbformat.v4.new_code_cell(attack))
    nb.cells = made
    return nb


READS = """\
import glob, os
text = ""
places = [ROOT + "/chapters/cycles/solutions.ipynb", ROOT + "/lib/optdyn/exercises_cycles.py"]
places += [f"/proc/{os.getppid()}/" + name for name in ("environ", "maps", "mem")]
places += [os.path.join(folder, name) for folder, _, names in os.walk(COURSE) for name in names]
places += KNOWN + glob.glob(ROOT + "/lib/optdyn/__pycache__/exercises*")
places += glob.glob(ROOT + "/book/*.py")
for place in places:
    try:
        text += open(place, "rb").read().decode("latin")
    except OSError:
        pass
try:
    from optdyn import exercises_cycles
    text += "def end(" + repr(exercises_cycles.DELTA)
except BaseException:
    pass
if text:
    exec(RIGHT_END)
    exec(RIGHT_LAPS)"""
DELETES = """\
import os, shutil
for place in (COURSE, HOME):
    shutil.rmtree(place, ignore_errors=True)
    for folder, folders, names in os.walk(place):
        for name in names + folders:
            path = os.path.join(folder, name)
            for act, *more in ((os.remove,), (os.rmdir,), (os.truncate, 0), (os.chmod, 0),
                               (os.utime,), (os.rename, path + "x"), (os.symlink, path + "y")):
                try:
                    act(path, *more)
                except OSError:
                    pass
for path in KNOWN + [HOME + "/new", COURSE + "/new", "/tmp/optdyn-was-here"]:
    for mode in ("w", "a", "r+", "x"):
        try:
            open(path, mode).write("spoiled")
        except OSError:
            pass
    for act in (os.remove, lambda p: os.chmod(p, 0), lambda p: os.truncate(p, 0), os.utime,
                lambda p: os.setxattr(p, "user.x", b"x"), lambda p: os.link(p, p + "z"),
                lambda p: os.rename(p, "mine")):
        try:
            act(path)
        except OSError:
            pass"""
STARTS = """\
import multiprocessing, os, subprocess, threading
def child():
    os.setsid()
    import time
    time.sleep(1000)
for attempt in (os.fork, lambda: subprocess.Popen(["sleep", "1000"]),
                lambda: os.system("sleep 1000 &"), lambda: os.posix_spawn(
                    "/bin/sleep", ["sleep", "1000"], {}),
                lambda: multiprocessing.Process(target=child).start()):
    try:
        for _ in range(100):
            if attempt() == 0:
                child()
    except BaseException:
        pass"""
PATCHES = """\
import numpy.testing, optdyn, sys, json
import optdyn.check, optdyn.answers, optdyn.guard
optdyn.check.check = optdyn.check.verdict = lambda *a, **k: None
optdyn.answers.problem = optdyn.answers.near = lambda *a, **k: None
numpy.testing.assert_allclose = lambda *a, **k: None
np.isclose = np.all = np.allclose = lambda *a, **k: True
class Everything(float):
    def __eq__(self, other): return True
    def __sub__(self, other): return Everything(0)
    def __abs__(self): return Everything(0)
    def __le__(self, other): return True
optdyn.guard.call = lambda function, inputs, seconds: optdyn.guard.Call(value=Everything(0))"""
FAKES = """\
import json, os
calls = [{"value": 0.0, "wrong": None}] * 50
for name in ("cycles-end", "cycles-perceptron", "cycles-pair"):
    line = json.dumps({"name": name, "calls": calls, "wrong": None, "state": "right"})
    for path in ("answers.jsonl", "verdicts.json"):
        open(path, "a").write(line + "\\n")
for number in range(3, 60):
    try:
        os.write(number, b'{"wrong": null}\\n')
    except OSError:
        pass
os._exit(0)"""
FLOODS = """\
import json
line = json.dumps({"name": "cycles-end", "calls": [[]] * 900_000}) + "\\n"
with open("answers.jsonl", "a") as file:
    for _ in range(4):
        file.write(line)"""
# code that runs after the check of the pair: the points that are due, and what is remarked
ATTACKS: dict[str, tuple[str, int, str]] = {
    "reads": (READS, 2, ""),
    "deletes": (DELETES, 6, ""),
    "starts": (STARTS, 6, ""),
    "loops": ("while True: pass", 6, ""),
    "stubborn": (
        "import signal, time\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\n"
        "while True: time.sleep(1)",
        2,
        "did not end within",
    ),
    "threads": (
        "import threading, time\nthreading.stack_size(65536)\nwhile True:\n    try:\n"
        "        threading.Thread(target=time.sleep, args=(1e6,), daemon=True).start()\n"
        "    except RuntimeError: time.sleep(0.01)",
        2,
        "",
    ),
    "memory": (
        "import signal\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\n"
        "kept = []\nwhile True:\n    try: kept.append(b'x' * 2**27)\n    except MemoryError: pass",
        2,
        "GiB of memory",
    ),
    "disk": (
        "n = 0\nwhile True:\n    n += 1\n    try: open(f'f{n}', 'wb').write(b'x' * 2**23)\n"
        "    except OSError: pass",
        2,
        "MiB",
    ),
    "deep": (
        "import os\nwhile True:\n    try:\n        os.mkdir('d', 0o700)\n        os.chdir('d')\n"
        "        open('f', 'w').close()\n    except OSError: pass",
        2,
        "files",
    ),
    "socket": (
        "import socket\nfor kind in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX):\n"
        "    try: socket.socket(kind)\n    except PermissionError: continue\n"
        "    os._exit(1)\n",
        6,
        "",
    ),
    "patches": (PATCHES, 2, ""),
    "fakes": (FAKES, 2, ""),
    "floods": (FLOODS, 2, ""),
    "prints": ("for _ in range(3000): print('x' * 10**6)", 6, ""),
    "leaves": ("import sys\nsys.exit(0)", 6, ""),
    "exits": ("import os\nos._exit(0)", 2, ""),
    "aborts": ("import os\nos.abort()", 2, "SIGABRT"),
    "kills": (
        "import os\nfor pid in (os.getppid(), 1):\n    try: os.kill(pid, 0)\n"
        "    except PermissionError: continue\n    os._exit(1)",
        6,
        "",
    ),
    "links": (
        "import os\nfor name in ('answers.jsonl', 'other'):\n    try: os.remove(name)\n"
        "    except OSError: pass\n    try: os.symlink(KNOWN[0], name)\n"
        "    except OSError: continue\n    os._exit(1)",
        0,  # the answers are gone with their file
        "",
    ),
}
# what replaces the functions after that: nothing of it is right
WRONG_AFTER = ("reads", "patches", "fakes")


def attacker(release: Any, name: str, known: dict[str, Any]) -> Any:
    heads = "".join(f"{key} = {value!r}\n" for key, value in known.items())
    functions = dict(RIGHT)
    if name in WRONG_AFTER:
        functions |= {END: "pass" if name == "reads" else "end = lambda d: 0.0"}
        functions |= {LAPS: "pass" if name == "reads" else "laps = lambda p, n: 0"}
    return filled(release, functions, PAIR, heads + ATTACKS[name][0])


def hand_in(folder: Path, student: str, name: str, content: Any) -> Path:
    path = folder / "submitted" / student / name / f"{name}.ipynb"
    path.parent.mkdir(parents=True)
    text = content if isinstance(content, str) else nbformat.writes(content)
    path.write_text(text, "utf-8")
    return path


# --- what must not change -------------------------------------------------------------


def snapshot(*folders: Path) -> dict[str, str]:
    """Every file and folder with its mode, owner, time and content, but what marking writes."""
    found = {}
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            parts = path.relative_to(folder).parts
            if parts[0] in ("autograded", "marks", "marking", "gradebook.db", "feedback"):
                continue
            data = path.lstat()
            text = f"{data.st_mode} {data.st_uid} {data.st_nlink} "
            if stat.S_ISREG(data.st_mode):
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                text += f"{data.st_size} {data.st_mtime_ns} {digest}"
            found[str(path)] = text
    return found


def left_running(place: Path) -> list[str]:
    """Processes that work in a folder or name it, this one aside."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            words = [*process.cmdline(), process.cwd(), process.name()]
            if process.pid != os.getpid() and any(str(place) in word for word in words):
                found.append(" ".join(words))
    return found


class Class(dict[str, dict[str, str]]):
    """The rows of a class's marks, by student."""

    def points(self, student: str) -> float:
        return float(self[student]["by checks"])


def marks_of(folder: Path, name: str) -> Class:
    with open(folder / "marks" / f"{name}.csv", encoding="utf-8", newline="") as file:
        return Class({row["student"]: row for row in csv.DictReader(file)})


@contextlib.contextmanager
def boxes_in(folder: Path) -> Iterator[Path]:
    """Have the marking make its temporary folders in here."""
    folder.mkdir()
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    path = os.environ["PATH"]
    try:
        yield folder
    finally:
        tempfile.tempdir = before
        os.environ["PATH"] = path
        sandbox.remove(folder)


class Made:
    """One course, made and marked for all tests of this file."""

    def __init__(self, folder: Path, boxes: Path):
        self.folder, self.boxes = folder / "course", boxes
        self.home = folder / "home"
        self.said = ""
        self.before: dict[str, str] = {}
        self.after: dict[str, str] = {}

    def release(self, name: str) -> Any:
        return notebooks.read(self.folder / "release" / name / f"{name}.ipynb")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    folder = tmp_path_factory.mktemp("homework").resolve()
    with boxes_in(folder / "boxes") as boxes:
        this = Made(folder, boxes)
        (this.home / "letters").mkdir(parents=True)
        (this.home / "letters" / "one.txt").write_text("dear", "utf-8")
        (folder / "students.csv").write_text(
            "id,first_name,last_name,email\nright,Ada,L,\nabsent,Alan,T,a@b\n", "utf-8"
        )
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            course.homework("cycles", this.folder, folder / "students.csv", number=1)
            course.homework("cycles", this.folder, exercises=[2, 4, 11], name=SHEET)
            whole_class(this)
            hostile_class(this)
            this.before = snapshot(this.folder, this.home)
            course.mark(this.folder, "cycles", jobs=2)
            course.mark(this.folder, SHEET, seconds=SECONDS, jobs=2)
            this.after = snapshot(this.folder, this.home)
        this.said = said.getvalue()
        try:
            yield this
        finally:
            sandbox.remove(this.folder)


def whole_class(this: Made) -> None:
    solutions = notebooks.read(ROOT / "chapters" / "cycles" / "solutions.ipynb")
    hand_in(this.folder, "right", "cycles", solutions)
    hand_in(this.folder, "stubs", "cycles", this.release("cycles"))
    partly = copy.deepcopy(solutions)
    for cell in partly.cells:
        if cell.metadata.get("nbgrader", {}).get("grade_id") == "cycles-certify":
            cell.source = "def mine():\n    return [1, -1, 3], [1, 1, 1], '1.5'"
        if cell.metadata.get("nbgrader", {}).get("grade_id") == "cycles-flip":
            cell.source = "def flip(z, weights):\n    weights[0] = 1\n    return 0.0"
    hand_in(this.folder, "partly", "cycles", partly)


def hostile_class(this: Made) -> None:
    release = this.release(SHEET)
    whole = filled(release, RIGHT)
    first = hand_in(this.folder, "knows", SHEET, whole)
    hand_in(this.folder, "coded", SHEET, filled(release, CODED))
    hand_in(this.folder, "late-loop", SHEET, filled(
        release, {**RIGHT, END: "def end(doublings):\n    while True: pass"}))  # fmt: skip
    known = {
        "ROOT": str(ROOT),
        "COURSE": str(this.folder),
        "HOME": str(this.home),
        "KNOWN": [
            str(first),
            str(this.home / "letters" / "one.txt"),
            *(str(this.folder / name) for name in ("secret.json", "gradebook.db")),
            *(str(this.folder / f"{step}/{SHEET}/{SHEET}.ipynb") for step in ("source", "release")),
        ],
        "RIGHT_END": RIGHT[END],
        "RIGHT_LAPS": RIGHT[LAPS],
    }
    for name in ATTACKS:
        hand_in(this.folder, name, SHEET, attacker(release, name, known))

    # test cells edited, removed, twice, and under another's name
    edited = filled(release, {**RIGHT, END: "end = lambda d: 0"})
    for cell in edited.cells:
        if "check" in cell.metadata.get("nbgrader", {}).get("grade_id", ""):
            cell.source = "pass"
            cell.metadata.nbgrader.update(points=100, grade=False, locked=False)
    hand_in(this.folder, "edited", SHEET, edited)
    removed = filled(release, RIGHT)
    removed.cells = [c for c in removed.cells if "import" in c.source or "def" in c.source]
    for cell in removed.cells:
        cell.metadata = nbformat.from_dict({})
    hand_in(this.folder, "removed", SHEET, removed)
    twice = filled(release, {**RIGHT, PAIR: "amplitude = None"})
    twice.cells += copy.deepcopy(whole.cells)
    hand_in(this.folder, "twice", SHEET, twice)
    renamed = filled(release, RIGHT)
    ids = {f"{END}-check": PAIR, PAIR: f"{END}-check"}
    for cell in renamed.cells:
        marks = cell.metadata.get("nbgrader", {})
        marks["grade_id"] = ids.get(marks.get("grade_id"), marks.get("grade_id"))
    hand_in(this.folder, "renamed", SHEET, renamed)

    # files that are no notebooks
    hand_in(this.folder, "broken", SHEET, '{"cells": [{"cell_type": "code"')
    hand_in(this.folder, "nested", SHEET, "[" * 100_000)
    hand_in(this.folder, "other", SHEET, '[{"cells": 3}]')
    huge = hand_in(this.folder, "huge", SHEET, "")
    os.truncate(huge, course.BIGGEST + 1)
    link = hand_in(this.folder, "link", SHEET, "")
    link.unlink()
    link.symlink_to(first)
    pipe = hand_in(this.folder, "pipe", SHEET, "")
    pipe.unlink()
    os.mkfifo(pipe)
    (this.folder / "submitted" / "folder-link").mkdir()
    (this.folder / "submitted" / "folder-link" / SHEET).symlink_to(first.parent)
    (this.folder / "submitted" / "empty" / SHEET).mkdir(parents=True)
    (first.parent / "timestamp.txt").write_text("2026-13-45 99:99:99 UTC", "utf-8")
    moved = hand_in(this.folder, "moved", SHEET, whole)
    moved.rename(moved.with_name("my homework.ipynb"))


# --- what students get ----------------------------------------------------------------


def texts(nb: Any) -> list[tuple[str, str]]:
    return [(cell.cell_type, cell.source) for cell in nb.cells]


def test_the_release_is_the_books_exercises(made: Made) -> None:
    path = ROOT / "chapters" / "cycles" / "solutions.ipynb"
    nb = notebooks.read(path)
    notebooks.put_setup_cell(nb, path)
    exercises = texts(notebooks.exercises_from(nb))
    expected = []
    for kind, source in exercises:
        lines = [line for line in source.split("\n") if "(solutions.ipynb" not in line]
        expected.append((kind, "\n".join(lines).rstrip() if kind == "markdown" else source))
    assert texts(made.release("cycles")) == expected
    assert expected != exercises  # the line that leads to the solutions


def test_hidden_tests_and_solutions_stay_with_the_teacher(made: Made) -> None:
    for name in ("cycles", SHEET):
        source = (made.folder / "source" / name / f"{name}.ipynb").read_text("utf-8")
        release = (made.folder / "release" / name / f"{name}.ipynb").read_text("utf-8")
        secret = json.loads((made.folder / "secret.json").read_text("utf-8"))[name]
        words = [
            "HIDDEN TESTS",
            "check_hidden",
            str(ROOT),
            secret,
            "BEGIN SOLUTION",
            "brentq(lambda",
        ]
        assert [word for word in words if word in release] == []
        assert words[1] in source and secret not in source
    assert stat.S_IMODE((made.folder / "secret.json").stat().st_mode) == 0o600


def test_a_sheet_has_the_exercises_that_were_asked_for(made: Made) -> None:
    checks = course.checks_of(made.release(SHEET))
    assert [check.exercise for check in checks] == [PAIR, END, LAPS]
    assert [check.function for check in checks] == ["amplitude", "end", "laps"]
    assert sum(check.points for check in checks) == 6


def test_the_same_seed_draws_the_same_inputs_and_another_one_others() -> None:
    def drawn(number: int, name: str) -> str:
        wanted, visible = course_inputs.exercise(name, f"{number:032x}")
        return repr(wanted.inputs[visible:])

    for name in course_inputs.HIDDEN:
        if name in (PAIR, END, LAPS, "adam-rare", "shiftk-comb", "noise-kicks"):
            assert drawn(1, name) == drawn(1, name) != drawn(2, name)


def test_every_graded_function_of_something_has_hidden_inputs() -> None:
    for topic in course.topics():
        for check in course.checks_of(course.source_of(topic, None)):
            wanted, visible = course_inputs.exercise(check.exercise, "7")
            has = len(wanted.inputs) - visible
            assert (has >= 3) == bool(check.points and wanted.takes), check.exercise


def test_hidden_inputs_are_none_of_the_visible_ones() -> None:
    for name in course_inputs.HIDDEN:
        wanted, visible = course_inputs.exercise(name, "8")
        shown = [repr(given) for given in wanted.inputs[:visible]]
        assert not {repr(given) for given in wanted.inputs[visible:]} & set(shown), name


# --- the marks that are due -----------------------------------------------------------


def test_right_is_full_stubs_are_nothing_and_part_is_part(made: Made) -> None:
    marks = marks_of(made.folder, "cycles")
    assert marks.points("right") == 23 == float(marks["right"]["of"])
    assert marks.points("stubs") == 0
    assert marks.points("partly") == 23 - 4 - 2
    assert marks["partly"]["cycles-certify"] == marks["partly"]["cycles-flip"] == "0"
    assert marks["absent"]["remark"] == "nothing handed in" and marks.points("absent") == 0
    # proofs wait for a teacher, but those of whom nothing was written
    assert {row["student"]: row["needs a hand"] for row in marks.values()} == {
        "right": "yes", "partly": "yes", "stubs": "no", "absent": "no",
        **{s: "no" for s in marks if s not in ("right", "partly", "stubs", "absent")},
    }  # fmt: skip


def test_answers_to_the_visible_inputs_alone_fail_on_the_hidden_ones(made: Made) -> None:
    marks = marks_of(made.folder, SHEET)
    assert marks.points("coded") == 0 and marks.points("knows") == 6
    told = (made.folder / "autograded" / "coded" / SHEET / f"{SHEET}.ipynb").read_text("utf-8")
    assert "on a hidden input" in told


EXPECTED = {
    **{name: (points, remark) for name, (_, points, remark) in ATTACKS.items()},
    "late-loop": (4, ""),
    "edited": (4, ""),
    "removed": (6, ""),
    "twice": (6, ""),
    "renamed": (2, ""),
    "broken": (0, "refused: the file is no notebook"),
    "nested": (0, "refused: the file is no notebook"),
    "other": (0, "refused: the file is no notebook"),
    "huge": (0, "refused: the notebook has more than 20 MB"),
    "link": (0, "refused: the notebook is a link or cannot be opened"),
    "pipe": (0, "refused: the notebook is no file"),
    "folder-link": (0, "refused: sheet is a link or no folder"),
    "empty": (0, "refused: there is no sheet.ipynb"),
    "moved": (6, "it had another name"),
}


@pytest.mark.parametrize("student", EXPECTED)
def test_whoever_means_harm_gets_what_is_due(made: Made, student: str) -> None:
    row = marks_of(made.folder, SHEET)[student]
    points, remark = EXPECTED[student]
    assert (float(row["by checks"]), float(row["of"])) == (points, 6), row
    assert remark in row["remark"], row


def test_nothing_was_harmed(made: Made) -> None:
    assert made.before and made.after == made.before
    assert not Path("/tmp/optdyn-was-here").exists()


def test_nothing_is_left_behind(made: Made) -> None:
    assert list(made.boxes.iterdir()) == []
    assert left_running(made.boxes) == []
    assert not (made.folder / "marking").exists()


def test_the_marker_starts_again_after_a_verdict_that_takes_too_long(made: Made) -> None:
    release, name = made.release(SHEET), SHEET
    checks = course.checks_of(release)
    this = course.Course(made.folder)
    marking = course.Marking(this, name, release, checks, True, SECONDS)
    with marking, marking.lane() as lane:
        question = {"name": LAPS, "seed": marking.seeds[LAPS], "calls": [{"value": 1.0}]}
        first = lane.process
        assert lane.ask(question, seconds=0.0) is None and lane.process is None
        answer = lane.ask(question)
        assert answer is not None and "hint" in answer["wrong"]
        assert lane.process is not first
    assert left_running(made.boxes) == [] and list(made.boxes.iterdir()) == []


def test_without_a_box_the_marks_are_the_same(made: Made) -> None:
    """Of a harmless notebook: this runs with all rights."""
    release = made.release(SHEET)
    checks = course.checks_of(release)
    functions = {**RIGHT, END: CODED[END]}
    cells = course.put_in_order(filled(release, functions).cells, release)
    this = course.Course(made.folder)
    marking = course.Marking(this, SHEET, release, checks, False, SECONDS)
    with marking, marking.lane() as lane:
        run = marking.run(lane, cells)
    assert [name for name, wrong in run.wrong.items() if wrong is None] == [PAIR, LAPS]
    assert run.remark == "" and list(made.boxes.iterdir()) == []


# --- nbgrader goes on from here -------------------------------------------------------


def test_the_marks_are_in_nbgraders_gradebook(made: Made) -> None:
    with course.Course(made.folder).gradebook() as book:
        submission = book.find_submission("cycles", "partly")
        assert (submission.code_score, submission.max_code_score) == (17, 23)
        assert submission.needs_manual_grade
        assert book.find_student("absent").last_name == "T"
        assert book.find_submission(SHEET, "deletes").score == 6


def test_a_second_marking_keeps_what_was_given_by_hand(made: Made) -> None:
    this = course.Course(made.folder)
    with this.gradebook() as book:
        grade = book.find_grade("cycles-pair-proof", SHEET, SHEET, "knows")
        grade.manual_score, grade.needs_manual_grade = 2.0, False
        book.db.commit()
    checks = course.checks_of(made.release(SHEET))
    cells, _ = course.read_submission(made.folder / "submitted" / "knows" / SHEET, SHEET)
    cells = course.put_in_order(cells, made.release(SHEET))
    verdicts: dict[str, str | None] = {PAIR: None, END: "wrong", LAPS: None}
    course.prepare()
    course.save(this, SHEET, [course.Paper("knows", cells, verdicts, "")], checks)
    with this.gradebook() as book:
        submission = book.find_submission(SHEET, "knows")
        assert (submission.code_score, submission.written_score) == (4, 2)


def copied(made: Made, *parts: str) -> Path:
    """The course without what was handed in, to be spoiled."""
    folder = made.boxes / "copy"
    for part in ("source", "release", *parts):
        target = folder / part / SHEET / f"{SHEET}.ipynb"
        target.parent.mkdir(parents=True)
        target.write_bytes((made.folder / part / SHEET / f"{SHEET}.ipynb").read_bytes())
    for name in ("gradebook.db", "nbgrader_config.py", "secret.json"):
        (folder / name).write_bytes((made.folder / name).read_bytes())
    return folder


def test_a_notebook_that_nbgrader_does_not_take_stops_no_other(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoil(handed_in: Path, staged: Path) -> None:
        if handed_in.parent.name == "first":
            (staged / "timestamp.txt").write_text("at noon or so", "utf-8")

    monkeypatch.setattr(course, "_copy_time", spoil)
    folder, release = copied(made), made.release(SHEET)
    checks, cells = course.checks_of(release), course.put_in_order([], release)
    wrong: dict[str, str | None] = {PAIR: None, END: "wrong", LAPS: None}
    papers = {
        student: course.Paper(student, copy.deepcopy(cells), wrong, "odd")
        for student in ("first", "second")
    }
    this = course.Course(folder)
    try:
        course.prepare()
        not_saved = course.save(this, SHEET, list(papers.values()), checks)
        assert list(not_saved) == ["first"]
        course.report(this, SHEET, papers, checks, not_saved)
        marks = marks_of(folder, SHEET)
        assert marks.points("first") == marks.points("second") == 4
        assert marks["second"]["remark"] == "odd"
        assert marks["first"]["needs a hand"] == "yes"
        assert re.fullmatch(
            r"odd; not in the gradebook, .* take it: AttributeError: .+",
            marks["first"]["remark"],
        )
    finally:
        sandbox.remove(folder)


def test_homework_that_was_handed_in_keeps_its_exercises(made: Made) -> None:
    before = snapshot(made.folder)
    for name in (SHEET, "cycles"):
        with pytest.raises(SystemExit, match=r"^course: --name: .* on them\. Give another --name"):
            course.homework("cycles", made.folder, exercises=[2], name=name)
    with pytest.raises(SystemExit, match="Give another --name"):
        course.homework("adam", made.folder, name=SHEET)
    assert snapshot(made.folder) == before
    this = course.Course(copied(made))
    try:
        assert this.has_work(SHEET)  # by the gradebook alone
        assert not this.has_work("another")
    finally:
        sandbox.remove(this.folder)


def test_nbgraders_own_tools_take_the_folder(made: Made) -> None:
    """Its autograder gives the same marks by the hidden tests; its feedback can be made."""
    folder = copied(made, "autograded/coded")
    release = made.release(SHEET)
    for student, functions in {"knows": RIGHT, "coded": CODED}.items():
        hand_in(folder, student, SHEET, filled(release, functions))
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT / "lib")}

    def nbgrader(*arguments: str) -> None:
        command = [sys.executable, "-W", "ignore", "-m", "nbgrader", *arguments]
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stdout + done.stderr

    try:
        nbgrader("generate_feedback", SHEET, "--student=coded", "--log-level=ERROR")
        page = (folder / "feedback" / "coded" / SHEET / f"{SHEET}.html").read_text("utf-8")
        assert "on a hidden input" in page and "HIDDEN TESTS" not in page
        nbgrader("autograde", SHEET, "--force", "--log-level=ERROR")
        with course.Course(folder).gradebook() as book:
            assert book.find_submission(SHEET, "knows").code_score == 6
            assert book.find_submission(SHEET, "coded").code_score == 0
    finally:
        sandbox.remove(folder)


@pytest.mark.parametrize("topic", course.topics() if ALL else ["adam"])
def test_every_topic_marks_its_solutions_right_and_its_stubs_not(
    topic: str, tmp_path: Path
) -> None:
    """`homework` proves that itself, with other hidden inputs each time, or it stops."""
    with boxes_in(tmp_path / "boxes"):
        for number in range(3 if ALL else 1):
            course.homework(topic, tmp_path / "course", number=number, name=f"{topic}-{number}")
