"""make.py: the set-up, the build, the server, and what interruptions leave behind.

Nothing here needs a network. The environment under test has no packages, and the
builds are by a stand-in for Jupyter Book, so that moments can be chosen.
"""

from __future__ import annotations

import contextlib
import http.client
import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import nbformat
import psutil
import pytest

import make

ROOT = Path(__file__).resolve().parent.parent


def wait_for(what: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    try:
        one = psutil.Process(process.pid)
        return [one, *one.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout with make.py, the notebook tool and a lock without packages."""
    shutil.copy(ROOT / "make.py", tmp_path)
    for folder in "book", "lib", "chapters/cycles":
        (tmp_path / folder).mkdir(parents=True)
    shutil.copy(ROOT / "book" / "notebooks.py", tmp_path / "book")
    (tmp_path / "lib" / "ours.py").write_text("answer = 42\n")
    for step in "bookwheel.py", "slides.py":
        (tmp_path / "book" / step).touch()
    for kind in "", "-peers", "-colab", "-oldest":
        (tmp_path / f"requirements{kind}.lock").write_text("# nothing\n")
    return tmp_path


def load(root: Path) -> ModuleType:
    """The make.py of that checkout."""
    spec = importlib.util.spec_from_file_location("make_there", root / "make.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def started(root: Path, code: str) -> Iterator[subprocess.Popen[str]]:
    """Run a piece of code that uses that checkout's make.py, in a group of its own."""
    head = "import sys, signal; sys.path.insert(0, '.'); import make\n"
    head += "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    with subprocess.Popen(
        [sys.executable, "-c", head + code],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            for member in family(process):
                with contextlib.suppress(psutil.Error):
                    member.kill()


def output(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.read()


# --- help and refusals ---------------------------------------------------------------


@pytest.mark.parametrize("port", ["-5", "0", "99999", "eight"])
def test_what_is_no_port_is_refused_before_anything_runs(
    port: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        make.parser().parse_args(["book", f"--port={port}"])
    assert f"{port} is no port; take a number from 1 to 65535" in capsys.readouterr().err


def test_help_names_every_target_and_every_target_exists() -> None:
    text = make.parser().format_help()
    makefile = (ROOT / "Makefile").read_text()
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    commands = set(re.findall(r"^    ([\w-]+)(?: +\S|$)", text, re.MULTILINE))
    assert set(phony.split()) == commands
    assert {"book", "build", "test", "execute", "clean", "help"} <= commands


def test_make_alone_shows_help_and_passes_arguments_on() -> None:
    def says(*words: str) -> str:
        command = ["make", "-s", "-C", str(ROOT), f"PYTHON='{sys.executable}'", *words]
        return subprocess.check_output(command, text=True)

    assert "execute" in says() and says() == says("help")
    dry = says("-n", "book", "PORT=9000")
    assert "make.py book --port 9000" in dry
    assert says("-n", "bench", "QUICK=1").strip().endswith("make.py bench --quick")
    assert says("-n", "bench").strip().endswith("make.py bench")
    assert "make.py execute a.ipynb" in says("-n", "execute", "NOTEBOOKS=a.ipynb")


@pytest.mark.parametrize("version", [(2, 7), (3, 8), (3, 10)])
def test_old_pythons_are_refused_with_a_sentence(version: tuple[int, int]) -> None:
    complaint = make.python_complaint(version)
    assert complaint is not None
    assert "Python 3.11 or later is needed" in complaint and "PYTHON=" in complaint


@pytest.mark.parametrize("version", [(3, 11), (3, 12), (3, 13), (3, 14)])
def test_later_pythons_are_not(version: tuple[int, int]) -> None:
    assert make.python_complaint(version) is None


def test_make_py_can_be_read_by_pythons_too_old_for_it() -> None:
    """Else they would end in a syntax error, not in the sentence."""
    import ast

    text = (ROOT / "make.py").read_text()
    ast.parse(text, feature_version=(3, 7))
    standard = sys.stdlib_module_names
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            assert all(name.name.split(".")[0] in standard for name in node.names)
        if isinstance(node, ast.ImportFrom):
            assert (node.module or "").split(".")[0] in standard


def test_missing_ensurepip_is_told_with_its_fix(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = load(root)
    find = importlib.util.find_spec
    monkeypatch.setattr(
        there.importlib.util,
        "find_spec",
        lambda name: None if name == "ensurepip" else find(name),
    )
    with pytest.raises(SystemExit, match="apt install python3-venv"):
        there.setup()
    assert not (root / ".venv").exists()


def test_missing_chromium_is_told_with_its_fix_before_anything_runs(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = load(root)
    monkeypatch.setenv("PATH", str(root))
    monkeypatch.delenv("OPTDYN_CHROMIUM", raising=False)
    monkeypatch.setattr(there, "USUAL_PLACES", ())
    monkeypatch.setattr(there, "setup", lambda: pytest.fail("too late"))
    with pytest.raises(SystemExit, match="apt install chromium"):
        there.test()
    monkeypatch.setenv("OPTDYN_CHROMIUM", str(root / "none"))
    with pytest.raises(SystemExit, match="not a program"):
        there.find_chromium()


def test_chromium_is_found_by_name_and_by_setting(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPTDYN_CHROMIUM", raising=False)
    suffix = ".exe" if os.name == "nt" else ""
    for name in "chromium-browser", "mine":
        (root / (name + suffix)).write_text("#!/bin/sh\n")
        (root / (name + suffix)).chmod(0o755)
    monkeypatch.setenv("PATH", str(root))
    assert make.find_chromium().stem == "chromium-browser"
    monkeypatch.setenv("OPTDYN_CHROMIUM", str(root / ("mine" + suffix)))
    assert make.find_chromium().stem == "mine"


# --- set-up --------------------------------------------------------------------------


def test_setup_is_made_once_and_again_when_it_must_be(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = load(root)
    assert not there.is_complete()
    there.setup()
    assert "Set up in" in capsys.readouterr().out
    assert there.is_complete()
    found = [str(there.venv_python()), "-c", "import ours; print(ours.answer)"]
    assert subprocess.check_output(found, text=True, cwd="/").strip() == "42"

    there.setup()
    assert capsys.readouterr().out == ""  # nothing to do, nothing said

    mark = root / ".venv" / "optdyn-mark"
    whole = mark.read_text()
    (root / "requirements.lock").write_text("# nothing, otherwise\n")
    assert not there.is_complete()  # another lock
    (root / "requirements.lock").write_text("# nothing\n")
    mark.write_text(whole.replace("python 3.", "python 2."))
    assert not there.is_complete()  # another Python
    mark.write_text(whole.replace(str(root), str(root / "elsewhere")))
    assert not there.is_complete()  # the checkout was moved
    mark.write_text(whole)
    assert there.is_complete()


def test_the_peers_have_an_environment_of_their_own(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = load(root)
    there.setup(there.PEERS, there.PEERS_LOCK)
    said = capsys.readouterr().out
    assert "Setting up venv-peers" in said and "Set up in" in said
    assert there.is_complete(there.PEERS, there.PEERS_LOCK) and not there.is_complete()
    found = [str(there.venv_python(there.PEERS)), "-c", "import ours"]
    ran = subprocess.run(found, capture_output=True, text=True, cwd="/")
    assert "No module named 'ours'" in ran.stderr  # the library is the book's alone

    (root / "requirements-peers.lock").write_text("nothing==1 --hash=sha256:" + "0" * 64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIP_NO_INDEX", "1")
        with pytest.raises(SystemExit, match="set-up of venv-peers failed while installing"):
            there.setup(there.PEERS, there.PEERS_LOCK)
    assert "environment venv-peers is out of date" in capsys.readouterr().out
    assert not there.is_complete(there.PEERS, there.PEERS_LOCK)


def test_both_locks_are_renewed_and_a_failure_keeps_the_old_one(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    there = load(root)
    monkeypatch.setattr(there.shutil, "which", lambda name: None)
    with pytest.raises(SystemExit, match="pip install uv"):
        there.lock(False)
    monkeypatch.setattr(there.shutil, "which", lambda name: name)
    asked: list[list[str]] = []

    def uv(command: list[str | Path]) -> int:
        asked.append([str(part) for part in command])
        Path(command[-1]).write_text(f"renewed from {command[-3]}\n")
        return int(len(asked) == 5)

    monkeypatch.setattr(there, "run", uv)
    there.lock(False)
    wishes = [f"requirements{kind}.txt" for kind in ("", "-peers", "-colab", "-oldest")]
    assert [command[-3] for command in asked] == wishes
    assert ["--overrides" in command for command in asked] == [False, True, False, False]
    assert there.LOCK.read_text() == "renewed from requirements.txt\n"
    assert there.PEERS_LOCK.read_text() == "renewed from requirements-peers.txt\n"
    there.LOCK.write_text("old\n")
    with pytest.raises(SystemExit, match=r"requirements\.lock could not be renewed"):
        there.lock(True)
    assert there.LOCK.read_text() == "old\n" and "--upgrade" in asked[4]
    assert not list(root.glob("*.tmp"))


def test_the_locks_hold_what_was_wished() -> None:
    """Every wish is locked, with hashes; what the book is timed against is not in its own."""

    def wishes(name: str) -> set[str]:
        text = (ROOT / name).read_text()
        return {found.lower() for found in re.findall(r"^([\w.-]+)[<>=]", text, re.MULTILINE)}

    def locked(name: str) -> set[str]:
        entries = re.split(r"^(?=[\w.-]+==)", (ROOT / name).read_text(), flags=re.MULTILINE)[1:]
        assert all("--hash=sha256:" in entry for entry in entries)
        return {entry.partition("==")[0] for entry in entries}

    book, peers = locked("requirements.lock"), locked("requirements-peers.lock")
    assert wishes("requirements.txt") <= book and wishes("requirements-peers.txt") <= peers
    assert {"numba", "fbm", "stochastic"} <= peers and not {"numba", "llvmlite"} & book
    assert "jax" not in peers


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_interrupted_setup_is_noticed_and_done_again(root: Path, how: int) -> None:
    there = load(root)
    mark = root / ".venv" / "optdyn-mark"
    script = [sys.executable, "make.py", "setup"]
    first = subprocess.Popen(script, cwd=root, stdout=subprocess.DEVNULL, start_new_session=True)
    wait_for(lambda: mark.exists() and there.venv_python().exists())
    os.killpg(first.pid, how) if how == signal.SIGINT else first.send_signal(how)
    assert first.wait(20) != 0
    assert mark.read_text() == "begun\n" and not there.is_complete()
    if how == signal.SIGINT:  # one of the three is set up again, to save time
        said = subprocess.check_output(script, cwd=root, text=True)
        assert "The last set-up of .venv was interrupted; starting it again" in said
        assert there.is_complete()


def test_two_setups_at_once_are_one(root: Path) -> None:
    script = [sys.executable, "make.py", "setup"]
    both = [subprocess.Popen(script, cwd=root, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = sorted((process.communicate()[0] for process in both), key=len)
    assert [process.returncode for process in both] == [0, 0]
    assert "busy with the set-up" in said[0] and "Set up in" not in said[0]
    assert "Set up in" in said[1]


def test_failed_setup_says_why_and_leaves_no_mark(root: Path) -> None:
    (root / "requirements.lock").write_text("nothing==1 --hash=sha256:" + "0" * 64)
    ran = subprocess.run(
        [sys.executable, "make.py", "setup"],
        cwd=root,
        capture_output=True,
        text=True,
        env={**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(root)},
    )
    assert ran.returncode == 1
    assert "No matching distribution" in ran.stdout and "Call again" in ran.stderr
    assert not load(root).is_complete()


def test_an_environment_of_others_is_left_alone(root: Path) -> None:
    (root / ".venv").mkdir()
    (root / ".venv" / "theirs").write_text("x")
    there = load(root)
    with pytest.raises(SystemExit, match="not made by this script"):
        there.setup()
    with pytest.raises(SystemExit, match="not made by this script"):
        there.clean(everything=True)
    assert (root / ".venv" / "theirs").exists()


# --- build ---------------------------------------------------------------------------

STAND_IN = """
import sys, time, pathlib
root, out = pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[-1])
assert sys.argv[3:6] == ["-W", "--keep-going", "--path-output"], sys.argv
assert not list(out.iterdir())
html = out / "_build" / "html"
html.mkdir(parents=True)
for name in ["index.html", "one.html", "two.html"]:
    (html / name).write_text((root / "content").read_text())
    time.sleep(float((root / "pause").read_text()))


def main():
    if (root / "content").read_text() == "bad":
        print("page.md:3: WARNING: something is wrong")
        sys.exit(1)
"""
BUILD = """
from pathlib import Path
make.setup = lambda: None
make.venv_python = lambda *_: Path(sys.executable)
"""


@pytest.fixture
def site(root: Path) -> Path:
    """A checkout with a site built by the stand-in."""
    stand_in = root / "jupyter_book" / "cli" / "main.py"
    stand_in.parent.mkdir(parents=True)
    for package in stand_in.parents[:2]:
        (package / "__init__.py").touch()
    stand_in.write_text(STAND_IN)
    (root / "content").write_text("old")
    (root / "pause").write_text("0")
    with started(root, BUILD + "make.build()") as process:
        said = output(process)
    assert process.returncode == 0, said
    assert pages(root) == {"old"}
    (root / "content").write_text("new")
    return root


def pages(root: Path) -> set[str]:
    found = list((root / "_build" / "html").glob("*.html"))
    assert len(found) == 3
    return {page.read_text() for page in found}


def test_build_takes_the_place_of_the_last_one(site: Path) -> None:
    with started(site, BUILD + "make.build()") as process:
        said = output(process)
    assert process.returncode == 0 and "Built _build/html" in said
    assert pages(site) == {"new"}
    assert sorted(p.name for p in (site / "_build").iterdir()) == ["build.log", "html"]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_interrupted_build_leaves_the_last_site(site: Path, how: int) -> None:
    (site / "pause").write_text("0.5")
    code = BUILD + "signal.signal(signal.SIGTERM, signal.default_int_handler)\n"
    with started(site, code + "make.build()") as process:
        wait_for((site / "_build/next/_build/html/one.html").exists)
        members = family(process)
        process.send_signal(how)
        process.wait(20)
        assert process.returncode != 0
        assert pages(site) == {"old"}
        if how != signal.SIGKILL:  # its child is ended too
            assert not [m for m in members if m.is_running()]
    (site / "pause").write_text("0")
    with started(site, BUILD + "make.build()") as process:
        said = output(process)
    assert process.returncode == 0, said
    assert pages(site) == {"new"}


def test_build_killed_between_its_two_renames_is_mended(site: Path) -> None:
    (site / "_build" / "html").rename(site / "_build" / "html-before")
    (site / "content").write_text("bad")
    with started(site, BUILD + "make.build()") as process:
        output(process)
    assert process.returncode == 1
    assert pages(site) == {"old"}


def test_failed_build_says_so_and_leaves_the_last_site(site: Path) -> None:
    (site / "content").write_text("bad")
    with started(site, BUILD + "make.build()") as process:
        said = output(process)
    assert process.returncode == 1
    assert "page.md:3: WARNING: something is wrong" in said
    assert "The last site is kept" in said
    assert pages(site) == {"old"}


def test_second_build_waits_for_the_first(site: Path) -> None:
    (site / "pause").write_text("0.4")
    with started(site, BUILD + "make.build()") as first:
        wait_for((site / "_build/next/_build/html/index.html").exists)
        with started(site, BUILD + "make.build()") as second:
            said = output(second)
        output(first)
    assert (first.returncode, second.returncode) == (0, 0)
    assert "busy with the build" in said
    assert pages(site) == {"new"}


def test_real_build_fails_on_a_warning(root: Path) -> None:
    (root / "_config.yml").write_text(
        "title: Small\nonly_build_toc_files: true\nexecute: {execute_notebooks: 'off'}\n"
    )
    (root / "_toc.yml").write_text("format: jb-book\nroot: index\n")
    (root / "index.md").write_text("# Small\n\n[nowhere](nowhere.md)\n")
    with started(root, BUILD + "make.build()") as process:
        said = output(process)
    assert process.returncode == 1 and "WARNING" in said, said
    assert not (root / "_build" / "html").exists()


def test_clean_keeps_the_environment_unless_told(site: Path) -> None:
    (site / ".venv").mkdir()
    (site / ".venv" / "optdyn-mark").write_text("begun\n")
    there = load(site)
    there.clean(everything=False)
    assert not (site / "_build").exists() and (site / ".venv").exists()
    there.PEERS.mkdir(parents=True)
    there.clean(everything=False)
    assert there.PEERS.exists()
    there.clean(everything=True)
    assert not (site / ".venv").exists() and not there.PEERS.exists()


# --- the server ----------------------------------------------------------------------


def get(port: int, path: str) -> tuple[int, str, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", path)
    answer = connection.getresponse()
    kind = answer.getheader("Content-Type") or ""
    body = answer.read()
    connection.close()
    return answer.status, kind, body


def test_taken_port_leads_to_the_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "index.html").write_text("hello")
    (tmp_path / "a.js").write_text("1")
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        server = make.open_server(tmp_path, taken)
    with server:
        assert server.server_port > taken
        assert f"Port {taken} is taken" in capsys.readouterr().out
        threading.Thread(target=server.serve_forever, daemon=True).start()
        status, kind, body = get(server.server_port, "/")
        assert (status, kind, body) == (200, "text/html; charset=utf-8", b"hello")
        assert get(server.server_port, "/a.js")[1] == "text/javascript; charset=utf-8"
        assert get(server.server_port, "/none.html")[0] == 404
        server.shutdown()
    assert capsys.readouterr().err == ""  # quiet


def test_served_site_is_there_while_a_new_one_is_put_in_place(tmp_path: Path) -> None:
    site = tmp_path / "html"
    site.mkdir()
    (site / "index.html").write_text("hello")
    with make.open_server(site, 8100) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        site.rename(tmp_path / "away")
        back = threading.Timer(0.5, lambda: (tmp_path / "away").rename(site))
        back.start()
        assert get(server.server_port, "/")[2] == b"hello"
        back.join()
        server.shutdown()


def test_book_serves_and_ctrl_c_ends_it_quietly(site: Path) -> None:
    with started(site, BUILD + "make.book(8200, False)") as process:
        assert process.stdout is not None
        said = ""
        while "http://127.0.0.1:" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        port = int(said.rsplit(":", 1)[1].split("/")[0])
        assert get(port, "/")[2] == b"new"
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        assert output(process).strip() == ""


# --- the parts of make test ----------------------------------------------------------


def test_parts_stop_at_the_first_failure_and_are_timed(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    there = load(root)
    made: list[tuple[Path, ...]] = []
    monkeypatch.setattr(there, "find_chromium", lambda: Path("chromium"))
    monkeypatch.setattr(there, "setup", lambda *which: made.append(which))
    monkeypatch.setenv("OPTDYN_CHROMIUM", "")
    parts = [("one", lambda: 0), ("two", lambda: 5), ("three", lambda: 0)]
    monkeypatch.setattr(there, "PARTS", parts)
    with pytest.raises(SystemExit, match="two: failed"):
        there.test()
    said = capsys.readouterr().out
    assert re.search(r"one +\d+\.\d +passed", said)
    assert re.search(r"two +\d+\.\d +failed", said)
    assert "three" not in said
    assert made == [(), (there.PEERS, there.PEERS_LOCK)]  # before the parts
    monkeypatch.setattr(there, "PARTS", parts[::2])
    there.test()
    monkeypatch.setattr(there, "SECONDS_BUDGET", {"all": 0.0})
    with pytest.raises(SystemExit, match="more than three times the budget: all"):
        there.test()


def test_bench_runs_every_script_and_stops_at_the_first_failure(
    root: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    there = load(root)
    made: list[tuple[Path, ...]] = []
    monkeypatch.setattr(there, "setup", lambda *which: made.append(which))
    monkeypatch.setattr(there, "venv_python", lambda: Path(sys.executable))
    folder = root / "tests" / "bench"
    folder.mkdir(parents=True)
    for name, status in (("a", 0), ("b", 3), ("c", 0), ("library", 0)):
        code = f"import sys; print('{name}', sys.argv[1:]); sys.exit({status})"
        (folder / f"bench_{name}.py").write_text(code)
    (folder / "test_bench.py").write_text("raise SystemExit(9)")
    with pytest.raises(SystemExit) as ended:
        there.main(["bench", "--quick"])
    assert ended.value.code == 3
    assert made == [(), (there.PEERS, there.PEERS_LOCK)]
    said = capfd.readouterr().out.split("\n")[:-1]
    assert said == ["library ['--quick']", "a ['--quick']", "b ['--quick']"]
    (folder / "bench_b.py").unlink()
    there.main(["bench"])
    assert capfd.readouterr().out.split("\n")[:-1] == ["library []", "a []", "c []"]


def test_skips_and_expected_failures_fail(tmp_path: Path) -> None:
    for name in "conftest.py", "pyproject.toml":
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_a.py").write_text(
        "import pytest\n"
        "def test_skip(): pytest.skip('no')\n"
        "@pytest.mark.xfail\n"
        "def test_xfail(): assert False\n"
        "def test_fine(): pass\n"
    )
    (tmp_path / "tests" / "test_b.py").write_text(
        "import pytest\npytest.importorskip('no_such_module')\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "tests"]

    def closing(**more: str) -> str:
        environment = {k: v for k, v in os.environ.items() if k != "OPTDYN_NO_SKIPS"}
        ran = subprocess.run(
            [*command, "--continue-on-collection-errors"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env={**environment, **more},
        )
        return ran.stdout.splitlines()[-1]

    strict = closing(OPTDYN_NO_SKIPS="1")
    assert re.fullmatch(r"2 failed, 1 passed, 2 errors in .*", strict)
    lenient = closing()
    assert re.fullmatch(r"1 passed, \d skipped, 1 xfailed in .*", lenient)


def test_all_tests_are_the_tests_with_more_kills(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    there = load(root)
    monkeypatch.setenv("OPTDYN_KILLS", "")  # is put back at the end
    monkeypatch.delenv("OPTDYN_KILLS")
    kills: list[str | None] = []
    monkeypatch.setattr(there, "test", lambda: kills.append(there.environment()["OPTDYN_KILLS"]))
    monkeypatch.setattr(there, "_conformance", lambda wish: "agrees")
    monkeypatch.setattr(there, "run_elsewhere", lambda kind: 0)
    monkeypatch.setattr(there, "lighthouse", lambda: None)
    monkeypatch.setattr(there, "same_twice", lambda: None)
    tried: list[bool] = []
    monkeypatch.setattr(there, "links", lambda outside: tried.append(outside))
    there.test_all()
    monkeypatch.setenv("OPTDYN_KILLS", "2")
    there.test_all()
    assert kills == ["20", "2"] and tried == [True, True]
    assert "jax==0.7.2" in capsys.readouterr().out
    monkeypatch.setattr(there, "_conformance", lambda wish: "agrees" if "=" in wish else "differs")
    with pytest.raises(SystemExit, match="does not agree with all of JAX: jax"):
        there.test_all()


def test_two_builds_of_the_site_are_compared(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = load(root)
    there.SITE.mkdir(parents=True)
    (there.SITE / "a.html").write_text("a")
    monkeypatch.setattr(there, "build", lambda: None)
    there.same_twice()
    monkeypatch.setattr(there, "build", lambda: (there.SITE / "a.html").write_text("b"))
    with pytest.raises(SystemExit, match=r"differ in 1 files: a\.html"):
        there.same_twice()


@pytest.mark.parametrize(("status", "everything", "fails"), [
    (0, "1", False), (1, "", True), (make.NOT_TRIED, "", False), (make.NOT_TRIED, "1", True),
])  # fmt: skip
def test_lighthouse_has_to_be_tried_when_everything_is(
    status: int, everything: str, fails: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPTDYN_ALL", everything)
    monkeypatch.setattr(make, "setup", lambda: None)
    monkeypatch.setattr(make, "run", lambda command, **_: status)
    with pytest.raises(SystemExit) if fails else contextlib.nullcontext():
        make.lighthouse()


def test_no_benchmark_is_imported_into_the_tests() -> None:
    """It would hold them all to one core."""
    found = {path.stem for path in (ROOT / "tests" / "bench").glob("bench_*.py")}
    assert found
    loaded = {name.rpartition(".")[2] for name in sys.modules} & found
    # Their own tests import these two; they hold only their children.
    assert loaded <= {"bench_figures", "bench_library"}


HANGS = """
import os, pathlib, time, pytest

@pytest.mark.parametrize("number", range(12))
def test_one(number):
    if number == 7 and not pathlib.Path("hung").exists():
        pathlib.Path("hung").touch()
        time.sleep(60)
"""


@pytest.mark.parametrize("shared", [make.ONE_BY_ONE, make.FILE_BY_FILE, ("-n2",)])
def test_a_hanging_test_ends_its_process_and_not_the_run(
    root: Path, monkeypatch: pytest.MonkeyPatch, shared: tuple[str, ...]
) -> None:
    """Some of xdist's ways to share out tests wait for ever once a process has ended."""
    there = load(root)
    monkeypatch.setattr(there, "venv_python", lambda: Path(sys.executable))
    short = tuple(a.replace(str(make.PATIENCE), "3") for a in make.HANGS)
    monkeypatch.setattr(there, "HANGS", short)
    for name in "ab":
        (root / f"test_{name}.py").write_text(HANGS)
    (root / "pytest.ini").write_text("[pytest]\n")
    began = time.monotonic()
    status = there.pytest(*shared, "test_a.py", "test_b.py")
    assert time.monotonic() - began < 50  # it sleeps for longer
    assert status == 1


def test_what_hung_and_does_not_again_is_unsteady(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = load(root)
    monkeypatch.setattr(there, "venv_python", lambda: Path(sys.executable))
    short = tuple(a.replace(str(make.PATIENCE), "3") for a in make.HANGS)
    monkeypatch.setattr(there, "HANGS", short)
    (root / "test_it.py").write_text(HANGS)
    (root / "pytest.ini").write_text("[pytest]\n")
    assert there.pytest_twice(*make.ONE_BY_ONE, "test_it.py") == 0
    assert there.unsteady == ["test_it.py::test_one[7]"]


UNSTEADY = """
import pathlib
import pytest

@pytest.mark.parametrize("name", ["a b", "c", "d"])
def test_one(name):
    seen = pathlib.Path(__file__).with_name(f"seen {name}")
    runs = len(seen.read_text()) if seen.exists() else 0
    seen.write_text("x" * (runs + 1))
    assert runs >= {OFTEN}[name]
"""


@pytest.mark.parametrize(
    ("fails", "status", "named", "runs"),
    [
        ((0, 0, 0), 0, [], (1, 1, 1)),
        ((1, 0, 1), 0, ["test_it.py::test_one[a b]", "test_it.py::test_one[d]"], (2, 1, 2)),
        ((1, 2, 0), 1, [], (2, 2, 1)),  # one fails again
        ((1, 1, 1), 1, [], (1, 1, 1)),  # too many
    ],
)
def test_a_disturbed_test_gets_a_second_run_alone_and_is_named(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    fails: tuple[int, ...],
    status: int,
    named: list[str],
    runs: tuple[int, ...],
) -> None:
    names = "a b", "c", "d"
    there = load(root)
    monkeypatch.setattr(there, "venv_python", lambda: Path(sys.executable))
    often = dict(zip(names, fails, strict=True))
    (root / "test_it.py").write_text(UNSTEADY.replace("{OFTEN}", repr(often)))
    (root / "pytest.ini").write_text("[pytest]\n")
    assert there.pytest_twice("-n2", "test_it.py") == status
    assert sorted(there.unsteady) == named
    assert tuple(len((root / f"seen {name}").read_text()) for name in names) == runs


# --- interrupted runs of the notebooks -----------------------------------------------


@pytest.fixture
def running_book(root: Path) -> Path:
    """Two notebooks of a few slow cells."""
    (root / "lib" / "optdyn").mkdir()
    (root / "lib" / "optdyn" / "__init__.py").write_text("")
    (root / "requirements.lock").write_text("altair==6\njax==0.10.2\nnumpy==2\n")
    for name in "a", "b":
        nb = nbformat.v4.new_notebook()
        pause = 0.1 if name == "a" else 1.5
        nb.cells = [
            nbformat.v4.new_code_cell(f"import time; time.sleep({pause}); {number}")
            for number in range(3)
        ]
        nbformat.write(nb, root / "chapters" / "cycles" / f"{name}.ipynb")
    return root


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("moment", ["start", "kernel", "first replaced"])
def test_interrupted_execute_leaves_whole_files_and_no_kernel(
    running_book: Path, how: int, moment: str
) -> None:
    folder = running_book / "chapters" / "cycles"
    before = {path: path.read_bytes() for path in sorted(folder.glob("*.ipynb"))}
    code = "import runpy; sys.argv = ['notebooks.py', 'execute']\n"
    code += "runpy.run_path('book/notebooks.py', run_name='__main__')"
    everyone: dict[int, psutil.Process] = {}

    def reached() -> bool:
        everyone.update({member.pid: member for member in family(process)})
        if moment == "start":
            return len(everyone) > 1
        if moment == "kernel":
            return any("ipykernel" in " ".join(commands(m)) for m in everyone.values())
        return any(path.read_bytes() != text for path, text in before.items())

    with started(running_book, code) as process:
        wait_for(reached)
        process.send_signal(how)
        process.wait(20)
        assert process.returncode != 0
    alive = psutil.wait_procs(list(everyone.values()), timeout=10)[1]
    assert not [member for member in alive if member.status() != "zombie"]
    for path, text in before.items():
        now = path.read_bytes()
        nb = nbformat.reads(now.decode(), as_version=4)
        assert now == text or nb.metadata["optdyn"]["fingerprint"]
    measured = running_book / "book" / "measurements.json"
    assert not measured.exists() or json.loads(measured.read_text())["notebooks"]


def commands(member: psutil.Process) -> list[str]:
    try:
        return list(member.cmdline())
    except psutil.Error:
        return []
