"""The box for submitted homework: what it refuses, what it lets through, and how it is cleared."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest

import course
import course_marker
import course_worker
import make
import sandbox

ROOT = Path(__file__).resolve().parent.parent
WORKER = ROOT / "book" / "course_worker.py"

# what each piece of code may not do; it raises an OSError, or the name of another error
REFUSED = {
    "read a file": "open(OUTSIDE).read()",
    "read it by another name": "open('/proc/self/root' + OUTSIDE).read()",
    "list a folder": "os.listdir(os.path.dirname(OUTSIDE))",
    "look for nbgrader's exchange": "os.listdir('/usr/local/share')",
    "read the list of users": "open('/etc/passwd').read()",
    "read the environment of its parent": "open(f'/proc/{os.getppid()}/environ').read()",
    "write a file": "open(OUTSIDE, 'a')",
    "truncate a file": "os.truncate(OUTSIDE, 0)",
    "truncate a file of Python": "os.truncate(os.__file__, 0)",
    "open a file of Python to write": "open(os.__file__, 'r+')",
    "truncate on reading": "os.open(os.__file__, os.O_RDONLY | os.O_TRUNC)",
    "make a file": "open(OUTSIDE + '2', 'w')",
    "delete a file": "os.remove(OUTSIDE)",
    "rename a file": "os.rename(OUTSIDE, 'mine')",
    "link to a file": "os.link(OUTSIDE, 'mine')",
    "make a symbolic link": "os.symlink(OUTSIDE, 'mine')",
    "make a pipe": "os.mkfifo('pipe')",
    "change a mode": "os.chmod(OUTSIDE, 0)",
    "change an owner": "os.chown(OUTSIDE, 1, 1)",
    "change times": "os.utime(OUTSIDE)",
    "set an attribute": "os.setxattr(OUTSIDE, 'user.x', b'x')",
    "fork": "os.fork()",
    "start a program": "os.execv(sys.executable, [sys.executable, '-c', ''])",
    "start a child": "__import__('subprocess').run([sys.executable, '-c', ''])",
    "signal its parent": "os.kill(os.getppid(), 0)",
    "signal all": "os.kill(-1, 0)",
    "signal its group": "os.kill(0, 0)",
    "open a socket": "__import__('socket').socket()",
    "open a local socket": "__import__('socket').socket(__import__('socket').AF_UNIX)",
    "limit its parent": "__import__('resource').prlimit(os.getppid(), 7, (64, 64))",
    "raise its limits": "__import__('resource').setrlimit(0, (-1, -1))",
    "slow its parent": "os.setpriority(os.PRIO_PROCESS, os.getppid(), 19)",
    "enter a namespace": "call('unshare', 0x10000000)",
    "mount": "call('mount', b'none', b'/tmp', b'tmpfs', 0, 0)",
    "change the root": "os.chroot('/')",
    "trace": "call('ptrace', 16, os.getppid(), 0, 0)",
    "read memory of its parent": "call('process_vm_readv', os.getppid(), 0, 0, 0, 0, 0)",
    "keep memory in the kernel": "call('shmget', 0, 4096, 0o1600)",
    "keep memory in a nameless file": "os.memfd_create('x')",
    "use a ring of calls": "call('io_uring_setup', 1, 0)",
    "load a program into the kernel": "call('bpf', 0, 0, 0)",
    # what else would reach out of the box, or hide from who watches it
    "have a file signal its parent": "fcntl.fcntl(os.pipe()[0], fcntl.F_SETOWN, os.getppid())",
    "have it do so otherwise": "fcntl.fcntl(os.pipe()[0], 15, struct.pack('ii', 1, os.getppid()))",
    "choose the signal": "fcntl.fcntl(os.pipe()[0], 10, 9)",
    "have sockets signal it": "__import__('socket').socketpair()",
    "hold a file against writers": "fcntl.fcntl(os.open(os.__file__, 0), 1024, fcntl.F_RDLCK)",
    "outlive its parent": "prctl(1, 0, 0, 0, 0)",
    "hide its files": "prctl(4, 0, 0, 0, 0)",
    "give a thread files of its own": "call('close_range', 250, 250, 2)",
    "start a thread with such": "clone(0x10000 | 0x800 | 0x100)",
    "reserve disk that it has not written": "os.posix_fallocate(os.open('r', 66), 0, 4096)",
    "share memory without a name": "mmap.mmap(-1, 4096)",
    "remove shared memory of others": "call('shmctl', 0, 0, 0)",
    "count memory of others": "call('shmctl', 0, 14, bytes(256))",
    "ask for semaphores of others": "call('semctl', 0, 0, 19, bytes(256))",
    "take semaphores of others": "call('semop', 0, bytes(6), 1)",
    "wait for semaphores of others": "call('semtimedop', 0, bytes(6), 1, 0)",
    "remove messages of others": "call('msgctl', 0, 0, 0)",
    "send messages": "call('msgsnd', 0, bytes(16), 1, 0)",
    "receive messages": "call('msgrcv', 0, bytes(16), 1, 0, 0)",
}
ALLOWED = {
    "compute": "__import__('numpy').linalg.svd(__import__('numpy').eye(3))",
    "read the library": "__import__('optdyn.logistic')",
    "write into its folder": "open('mine', 'w').write('x')",
    "make folders": "os.makedirs('a/b/c')",
    "use a temporary file": "__import__('tempfile').TemporaryFile().write(b'x')",
    "start threads": "[(t.start(), t.join()) for t in [__import__('threading').Thread()]]",
    "know its limits": "__import__('resource').getrlimit(0)",
    "read of the processor": "open('/proc/cpuinfo').read()",
    "have memory of its own": "mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)",
    "map a file": "__import__('numpy').memmap('mapped', mode='w+', shape=9)[:] = 1",
    "save a large array": "__import__('numpy').save('large', __import__('numpy').zeros(2**22))",
    "name a thread": "prctl(15, b'mine', 0, 0, 0)",
    "set a file's flags": "fcntl.fcntl(os.pipe()[0], fcntl.F_SETFL, os.O_NONBLOCK)",
}
PROGRAM = """\
import fcntl, json, mmap, os, struct, sys
sys.path[:0] = [{book!r}, {library!r}]
import sandbox
OUTSIDE = {outside!r}
read = [*map(str, sandbox.system()), {library!r}]
sandbox.enter(sandbox.Walls(read, (), os.getcwd()), sandbox.Limits())
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
column = sandbox.ARCHITECTURES[os.uname().machine][0]
def call(name, *arguments):
    if libc.syscall(sandbox.REFUSED[name][column], *arguments) < 0:
        raise OSError(ctypes.get_errno(), name)
def prctl(*arguments):
    if libc.prctl(*arguments) < 0:
        raise OSError(ctypes.get_errno(), "prctl")
def clone(flags):
    if libc.syscall(sandbox.CLONE[column], flags, 0, 0, 0, 0) < 0:
        raise OSError(ctypes.get_errno(), "clone")
said = {{}}
for name, code in json.loads({codes!r}).items():
    try:
        exec(code)
        said[name] = "done"
    except (OSError, ValueError) as error:
        said[name] = type(error).__name__ + f" {{error}}"
open("said.json", "w").write(json.dumps(said))
"""


def in_a_box(folder: Path, codes: dict[str, str], outside: Path) -> dict[str, str]:
    """What came of pieces of code that run in a box one after the other."""
    program = folder / "program.py"
    text = PROGRAM.format(
        book=str(ROOT / "book"),
        library=str(ROOT / "lib"),
        outside=str(outside),
        codes=json.dumps(codes),
    )
    program.write_text(text, "utf-8")
    box = folder / "box"
    box.mkdir()
    command = [sys.executable, "-s", "-E", "-B", program]
    said = sandbox.run(command, box, sandbox.Limits(seconds=200))
    assert said == ""
    found: dict[str, str] = json.loads((box / "said.json").read_text("utf-8"))
    return found


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], Path]:
    folder = tmp_path_factory.mktemp("box").resolve()
    outside = folder / "outside"
    outside.write_text("mine", "utf-8")
    return in_a_box(folder, {**REFUSED, **ALLOWED}, outside), outside


def test_the_box_holds_on_this_machine() -> None:
    assert sandbox.complaint() is None


@pytest.mark.parametrize("what", REFUSED)
def test_the_box_refuses_to(box: tuple[dict[str, str], Path], what: str) -> None:
    said, outside = box
    assert said[what] != "done"
    words = ("PermissionError", "not allowed to raise", "Invalid cross-device link")
    assert any(word in said[what] for word in words), said[what]
    assert outside.read_text("utf-8") == "mine" and os.listdir(outside.parent).count("outside") == 1


@pytest.mark.parametrize("what", ALLOWED)
def test_the_box_lets(box: tuple[dict[str, str], Path], what: str) -> None:
    assert box[0][what] == "done"


def test_a_program_that_goes_too_far_is_ended(tmp_path: Path) -> None:
    def ended(code: str, **limits: Any) -> str:
        command = [sys.executable, "-s", "-E", "-c", code]
        return sandbox.run(command, tmp_path, sandbox.Limits(**limits))

    assert ended("raise SystemExit(3)") == "it ended itself with status 3"
    assert ended("import os; os.abort()") == "it was ended by SIGABRT"
    assert "0.5 s" in ended("while True: pass", seconds=0.5)
    assert "2 threads" in ended(
        "import threading, time\n"
        "for _ in range(9): threading.Thread(target=time.sleep, args=(99,)).start()",
        threads=2,
    )
    assert "5 files" in ended(
        "[open(f'f{i}', 'w') for i in range(9)]; input = 1\nwhile 1: 1", files=5
    )


# what would hide from the limits that are watched from outside; each goes on until it is ended
HIDING = {
    "deleted files": (
        "held = []\nfor k in range(40):\n    f = open(f'u{k}', 'wb', 0)\n    held.append(f)\n"
        "    os.unlink(f'u{k}')\n    f.write(bytes(2**18))",
        "8 MiB",
    ),
    "files without a name": (
        "held = [os.open('.', os.O_TMPFILE | os.O_RDWR, 0o600) for _ in range(40)]\n"
        "for f in held: os.write(f, bytes(2**18))",
        "8 MiB",
    ),
    "mapped and closed files": (
        "held = []\nfor k in range(40):\n    with open('u', 'w+b', 0) as f:\n"
        "        os.unlink('u')\n        f.write(bytes(2**18))\n"
        "        held.append(mmap.mmap(f.fileno(), 4096))",
        "8 MiB",
    ),
    "the same, with nothing open": (
        "libc.mmap.restype = ctypes.c_void_p\nfor k in range(40):\n"
        "    with open('u', 'w+b', 0) as f:\n        os.unlink('u')\n"
        "        f.write(bytes(2**18))\n"
        "        libc.mmap(None, ctypes.c_size_t(4096), 3, 1, f.fileno(), ctypes.c_long(0))",
        "2 deleted files",
    ),
    "names with odd bytes": (
        "libc.mmap.restype = ctypes.c_void_p\nfor k in range(40):\n"
        "    with open('u\\x0c\\udcff\\r', 'w+b', 0) as f:\n        os.unlink(f.name)\n"
        "        libc.ftruncate(f.fileno(), 4096)\n"
        "        libc.mmap(None, ctypes.c_size_t(4096), 3, 1, f.fileno(), ctypes.c_long(0))",
        "2 deleted files",
    ),
    "folders that cannot be read": (
        "os.mkdir('d', 0o300)\nopen('d/f', 'wb').write(bytes(2**24))",
        "8 MiB" if os.name == "nt" or os.getuid() == 0 else "files",
    ),
    "an odd name": (
        "libc.prctl(15, b'\\xff\\x1c\\x85', 0, 0, 0)\nkept = b'x' * 2**28",
        "0.125 GiB",
    ),
    "an end of the first thread": (
        "def more():\n    time.sleep(1)\n    kept = b'x' * 2**28\n    time.sleep(99)\n"
        "threading.Thread(target=more).start()\n"
        "libc.syscall(60 if os.uname().machine == 'x86_64' else 93, 0)",
        "0.125 GiB",
    ),
}


@pytest.mark.parametrize("what", HIDING)
def test_nothing_hides_from_the_limits(tmp_path: Path, what: str) -> None:
    code, reason = HIDING[what]
    head = "import ctypes, mmap, os, threading, time\nlibc = ctypes.CDLL(None)\n"
    command = [sys.executable, "-s", "-E", "-c", f"{head}{code}\nwhile True: time.sleep(1)"]
    limits = sandbox.Limits(seconds=30, disk=2**23, memory=2**27)
    assert reason in sandbox.run(command, tmp_path, limits)


def test_removing_works_however_deep_and_closed_a_tree_is(tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    place = os.open(top, os.O_RDONLY)
    for depth in range(1_200):
        os.mkdir("folder with a name that is not short", dir_fd=place)
        inner = os.open("folder with a name that is not short", os.O_RDONLY, dir_fd=place)
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, 0o000, dir_fd=place))
        if depth % 7 == 0:
            os.fchmod(place, 0o100)
        os.close(place)
        place = inner
    os.close(place)
    (tmp_path / "kept").write_text("kept", "utf-8")
    os.symlink(tmp_path / "kept", top / "link")
    os.symlink(tmp_path, top / "folder-link")
    sandbox.remove(top)
    assert sorted(os.listdir(tmp_path)) == ["kept"]
    sandbox.remove(top)  # nothing there: nothing to do


# --- no box, no marking ---------------------------------------------------------------


class OldKernel:
    """A C library on a kernel without Landlock."""

    def syscall(self, *_: Any) -> int:
        return -1


def test_a_kernel_without_landlock_is_told() -> None:
    walls = sandbox.Walls((), (), ".")
    with pytest.raises(sandbox.Unavailable, match=r"version 3, which Linux has from 6\.2 on"):
        sandbox._shut_files(OldKernel(), walls)  # type: ignore[arg-type]


def test_other_machines_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox.platform, "machine", lambda: "riscv64")
    with pytest.raises(sandbox.Unavailable, match="this is riscv64"):
        sandbox.enter(sandbox.Walls((), (), "."), sandbox.Limits())
    monkeypatch.setattr(sandbox.sys, "platform", "darwin")
    assert "it is made for Linux" in str(sandbox.complaint())


def fake_course(folder: Path) -> Path:
    source = folder / "source" / "x" / "x.ipynb"
    source.parent.mkdir(parents=True)
    source.write_text(nbformat.writes(nbformat.v4.new_notebook()), "utf-8")
    (folder / "secret.json").write_text('{"x": "00"}', "utf-8")
    return folder


def test_marking_refuses_where_nothing_can_be_shut_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = fake_course(tmp_path / "course")
    monkeypatch.setattr(sandbox, "complaint", lambda: "it needs Landlock")
    monkeypatch.setattr(course, "mark_assignment", lambda *_: pytest.fail("it was marked"))
    with pytest.raises(SystemExit, match=r"cannot be shut in .*: it needs Landlock.*--without-box"):
        course.mark(folder)
    done = []
    monkeypatch.setattr(course, "mark_assignment", lambda *given: done.append(given[-1]))
    course.mark(folder, without_box=True)
    assert done == [True] and "run with all your rights" in capsys.readouterr().out


def test_a_course_must_not_lie_where_notebooks_may_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fake_course(tmp_path / "course")
    monkeypatch.setattr(sandbox, "system", lambda: [tmp_path])
    monkeypatch.setattr(sandbox, "complaint", lambda: None)
    with pytest.raises(SystemExit, match=r"which notebooks may read\. Move it"):
        course.mark(folder)


def test_a_worker_that_cannot_shut_itself_in_runs_nothing(tmp_path: Path) -> None:
    cell = {"source": "open('ran', 'w').write('x')", "check": None}
    job = {
        "library": str(ROOT / "lib"),
        "box": True,
        "read": ["/proc/self/fd/0"],  # a pipe, which no rule of Landlock can name
        "look": [],
        "limits": sandbox.Limits()._asdict(),
        "cells": [cell],
        "tasks": {},
        "cell_seconds": 50,
        "call_seconds": 10,
    }
    command = [sys.executable, "-s", "-E", "-B", WORKER, tmp_path]
    for box in (True, False):
        (tmp_path / "job.json").write_text(json.dumps({**job, "box": box}), "utf-8")
        done = subprocess.run(command, cwd=tmp_path, input=b"", capture_output=True, timeout=300)
        assert (tmp_path / "ran").exists() is not box
        assert (b"Unavailable" in done.stderr) is box


def test_students_cannot_read_what_the_answers_can_be_read_off() -> None:
    read, look = course.readable()
    assert str(ROOT / "lib" / "optdyn" / "logistic.py") in read
    assert not [path for path in read if "/exercises_" in path or "/questions_" in path]
    assert sandbox.open_to(ROOT / "chapters", [Path(p) for p in read]) is None
    assert look == [str(ROOT / "lib")]


# --- values as plain data -------------------------------------------------------------

VALUES = [
    None,
    True,
    3,
    10**300,
    2.5,
    float("inf"),
    "7.244512",
    [1, -1, 47],
    ([1, -1], [19, 15], "7.2"),
    np.arange(6.0).reshape(2, 3),
    np.float32([1.5, 2.5]),
    np.array([1, 2]),
    np.array(True),
]


@pytest.mark.parametrize("value", VALUES, ids=str)
def test_values_go_over_as_they_are(value: Any) -> None:
    came = course_worker.decode(json.loads(json.dumps(course_worker.encode(value))))
    assert type(came) is type(value)
    assert getattr(came, "dtype", None) == getattr(value, "dtype", None)
    np.testing.assert_equal(came, value)


@pytest.mark.parametrize("value", [object(), {"a": 1}, 1j, lambda: 1, np.array([object()])])
def test_other_values_go_over_as_their_type(value: Any) -> None:
    came = course_worker.decode(course_worker.encode([value]))
    assert came == [course_worker.Other(type(value).__name__)]


def test_what_is_too_large_or_deep_does_not_go_over() -> None:
    endless: list[Any] = []
    endless.append(endless)
    for value in (np.zeros(course_worker.NUMBERS + 1), "x" * 10**6, 10**5000, endless):
        assert len(json.dumps(course_worker.encode(value))) < 1_000


FORGED = [
    [{"value": {"array": [1], "shape": [5], "dtype": "float64"}}],
    [{"value": {"array": ["x"], "shape": [1], "dtype": "object"}}],
    [{"value": {}}],
    [{"value": {"list": 3}}],
    [{"edited": 99}],
    [{"error": "a\x00b"}],
    [{"wrong": None, "state": "right"}],
    [{}],
    [],
]


@pytest.mark.parametrize("calls", FORGED, ids=str)
def test_forged_answers_are_not_right(calls: list[dict[str, Any]]) -> None:
    try:
        verdict = course_marker.judged("cycles-pair", "1", calls)["wrong"]
    except Exception:  # main says of these that they could not be judged
        verdict = "It could not be judged."
    assert verdict


def test_answers_are_read_of_the_exercises_asked_and_no_more_than_workers_write(
    tmp_path: Path,
) -> None:
    path = tmp_path / "answers.jsonl"
    names = {"cycles-end", "cycles-pair", "cycles-flat"}

    def write(*lines: dict[str, Any]) -> None:
        path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")

    last = {"name": "cycles-flat", "calls": [{"value": 1.0}]}
    calls = [{"value": "x" * 1_000_000}] * 3
    long = [{"name": f"n{k}", "calls": calls} for k in range(3)]
    write({"name": ["cycles-end"], "calls": []}, {"name": "cycles-end", "calls": calls}, last)
    assert course._answers(path, names) == {"cycles-end": calls, "cycles-flat": [{"value": 1.0}]}
    write(*long[:2], last)
    assert course._answers(path, names) == {"cycles-flat": [{"value": 1.0}]}
    write(*long, last)
    assert course._answers(path, names) == {}


def test_times_that_nbgrader_cannot_read_are_left_out(tmp_path: Path) -> None:
    given, staged = tmp_path / "given", tmp_path / "staged"
    given.mkdir()
    staged.mkdir()
    for text, taken in (
        ("2026-11-01 10:00:00 UTC", True),
        ("2026-11-01 10:00:00.123 +0100", True),
        ("2026-13-45 99:99:99 UTC", False),
        ("AAAA", False),
        ("", False),
        ("9999-12-31 23:59:59 -9999999", False),
        ("0001-01-01 00:00:00 +1400", False),
        ("x" * 10**6, False),
    ):
        (given / "timestamp.txt").write_text(text, "utf-8")
        course._copy_time(given, staged)
        assert (staged / "timestamp.txt").exists() == taken, text
        (staged / "timestamp.txt").unlink(missing_ok=True)


def test_lines_of_ipythons_own_do_nothing() -> None:
    cell = "%matplotlib inline\nimport math\nif True:\n    !rm -rf /\nmath.pi?\nx = 1"
    assert course_worker.plain(cell).split("\n") == [
        "pass", "import math", "if True:", "    pass", "pass", "x = 1"]  # fmt: skip
    assert course_worker.plain("%%bash\nls") == ""
    assert course_worker.plain("%%time\nx = 1") == "x = 1"
    assert course_worker.plain("x = 7 %3") == "x = 7 %3"


# --- bad input ------------------------------------------------------------------------


def test_bad_input_is_told_in_a_sentence(tmp_path: Path) -> None:
    def told(*arguments: str) -> str:
        with pytest.raises(SystemExit) as stopped:
            course.main([*arguments])
        return str(stopped.value)

    place = ("--course", str(tmp_path / "course"))
    made = ("homework", "--topic", "cycles", *place)
    assert "take one of adam, cycles, noise, shiftk" in told("homework", "--topic", "x", *place)
    assert "'../x' is no name for a folder" in told(*made, "--name", "../x")
    assert "there is no 13; take some of 1 to 12" in told(*made, "--exercises", "1,13")
    assert "cannot be read" in told(*made, "--students", str(tmp_path / "none"))
    students = tmp_path / "students"
    for text, sentence in (
        ("ada\nalan\nada\n", "ada is there twice"),
        ("../ada\n", "'../ada' is no id"),
        ("id,email\n,a@b\n", "'' is no id"),
    ):
        students.write_text(text, "utf-8")
        assert sentence in told(*made, "--students", str(students))
    assert "has no homework" in told("mark", *place)
    folder = fake_course(tmp_path / "fake")
    assert "take one of x" in told("mark", "--course", str(folder), "--name", "y")
    assert "needs 5 at least" in told("mark", "--course", str(folder), "--seconds", "1")
    assert not (tmp_path / "course").exists()


def test_make_hands_its_words_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[list[str]] = []
    monkeypatch.setattr(make, "setup", lambda: None)
    monkeypatch.setattr(make, "run", lambda command: calls.append([*map(str, command)]) or 0)
    monkeypatch.chdir(tmp_path)
    words = ["homework", "--topic=cycles", "--course=here", "--exercises=1,2", "--seed=3"]
    make.main([*words, "--name=first", "--students=class.csv"])
    make.main(["mark", "--course=here", "--seconds=60", "--jobs=3", "--without-box"])
    made, marked = (course.parser().parse_args(call[2:]) for call in calls)
    assert vars(made) == {
        "command": "homework", "topic": "cycles", "course": tmp_path / "here", "name": "first",
        "students": tmp_path / "class.csv", "exercises": [1, 2], "seed": 3}  # fmt: skip
    assert vars(marked) == {
        "command": "mark", "course": tmp_path / "here", "name": None, "seconds": 60.0,
        "jobs": 3, "without_box": True}  # fmt: skip
    command = ["make", "-n", "-C", str(ROOT), "homework", "TOPIC=noise", "COURSE=a b", "NAME=n"]
    said = " ".join(subprocess.check_output(command, text=True).replace("\\\n", " ").split())
    assert 'make.py homework --topic noise --course "a b" --name n' in said


def test_a_list_of_students_is_read_in_either_form(tmp_path: Path) -> None:
    path = tmp_path / "students"
    path.write_text("ada\n\n alan \n", "utf-8")
    assert course.students_in(path) == [{"id": "ada"}, {"id": "alan"}]
    path.write_text("\ufefflast_name,id,shoe\nL,ada,38\n", "utf-8")
    assert course.students_in(path) == [{"last_name": "L", "id": "ada"}]
