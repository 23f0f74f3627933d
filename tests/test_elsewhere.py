"""One notebook a chapter under the versions that Colab ships, and the harness that runs them.

The environment is made by the first run, from the package index; `make colab`, `make oldest` and
`make newest` run all notebooks.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import http.server
import subprocess
import sys
import threading
from pathlib import Path

import nbformat
import pytest

import bookwheel
import make
import notebooks
from tests import elsewhere

ROOT = Path(__file__).resolve().parent.parent
HERE = Path(sys.executable)


def failures(results: list[elsewhere.Result]) -> str:
    return "\n".join(f"{one.name}: {text}" for one in results for text in one.complaints)


# --- Colab ----------------------------------------------------------------------------


def test_a_notebook_of_each_chapter_runs_under_colabs_versions() -> None:
    """By the wheel alone, outside the checkout, and no package is another one afterwards."""
    paths = elsewhere.sample()
    chapters = {path.parent.name for path in notebooks.all_notebooks()}
    assert {path.parent.name for path in paths} == chapters
    results = elsewhere.run("colab", paths)
    assert len(results) == len(paths) + 1 and not failures(results)
    assert all(one.claims > 0 for one in results if one.name.startswith("chapters/"))


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


def test_the_cell_installs_the_wheel_that_a_site_offers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, there = tmp_path / "site", tmp_path / "there"
    there.mkdir()
    bookwheel.package(site / "downloads", ["wheel"])
    handler = functools.partial(Quiet, directory=str(site))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    with make.one_at_a_time("elsewhere-colab"), server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            monkeypatch.setenv("NO_PROXY", "127.0.0.1")
            monkeypatch.setenv("OPTDYN_SITE", f"http://127.0.0.1:{server.server_port}")
            cell = notebooks.setup_source(ROOT / "book" / "index.ipynb")
            nb = nbformat.v4.new_notebook()
            for source in cell, "import optdyn\nassert 'site-packages' in optdyn.__file__":
                nb.cells.append(nbformat.v4.new_code_cell(source))
            nbformat.write(nb, there / "one.ipynb")
            python = elsewhere.environment("colab")
            elsewhere.without_library(python)
            before = elsewhere.freeze(python)
            result = elsewhere.run_notebook(there / "one.ipynb", python)
        finally:
            server.shutdown()
    assert not result.complaints, failures([result])
    assert elsewhere.freeze(python) == before


# --- the harness ----------------------------------------------------------------------

CLAIM = {"optdyn_claim": {"id": "noise-1"}}
WRONG = {  # the source of a cell, and what is said of it
    "raises": ("1 / 0", "ZeroDivisionError"),
    "cannot be shown": (
        "class A:\n    def _repr_html_(self):\n        raise ImportError('no such')\nA()",
        "ImportError: no such",
    ),
    "warns": ("import warnings\nwarnings.warn('careful')", "writes to stderr"),
    "is too old": ("print('jax is 0.1, and the book needs 0.7')", "the book needs 0.7"),
    "ends the kernel": ("import os\nos._exit(1)", "the kernel died in this cell"),
    "never ends": ("while True:\n    pass", "took more than 4 s"),
    "misses a claim": ("1", "claims that were not reached: noise-1"),
    "is right": ("print('fine')", ""),
    "claims": (f"from IPython.display import display\ndisplay(1, metadata={CLAIM})", ""),
}


def test_what_is_wrong_with_a_notebook_is_seen(tmp_path: Path) -> None:
    def complaints(name: str) -> str:
        cell = nbformat.v4.new_code_cell(WRONG[name][0])
        if "claim" in name:
            cell.outputs = [nbformat.v4.new_output("display_data", {}, metadata=CLAIM)]
        nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# One"), cell])
        nbformat.write(nb, tmp_path / f"{name}.ipynb")
        return failures([elsewhere.run_notebook(tmp_path / f"{name}.ipynb", HERE, seconds=4)])

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        found = dict(zip(WRONG, pool.map(complaints, WRONG), strict=True))
    for name, (_, said) in WRONG.items():
        assert said in found[name] and bool(said) == bool(found[name]), (name, found[name])


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that is not made, and in which nothing is installed."""
    monkeypatch.setattr(make, "one_at_a_time", lambda what: contextlib.nullcontext())
    monkeypatch.setattr(elsewhere, "environment", lambda kind: HERE)
    monkeypatch.setattr(elsewhere, "without_library", lambda python: None)
    monkeypatch.setattr(elsewhere, "forget", lambda kind: None)


def test_packages_that_changed_are_a_failure(
    pretended: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    same = dict.fromkeys(elsewhere.NAMED, "1")
    freezes = iter([{**same, "old": "3"}, {**same, "jax": "2", "new": "1"}])
    monkeypatch.setattr(elsewhere, "freeze", lambda python: next(freezes))
    monkeypatch.setattr(
        elsewhere, "run_notebook", lambda path, python: elsewhere.Result(path.stem, 1, 0, [])
    )
    forgotten: list[str] = []
    monkeypatch.setattr(elsewhere, "forget", forgotten.append)
    path = str(ROOT / "book" / "index.ipynb")
    assert elsewhere.main(["colab", path]) == 1
    assert forgotten == ["colab"]  # else the next run would begin with what this one left
    said = capsys.readouterr().out
    for line in "jax was 1 and is 2", "new was None and is 1", "old was 3 and is None":
        assert line in said
    assert "book/index.ipynb" in said and "failed: packages" in said


def test_with_everything_another_python_is_a_failure(
    pretended: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(elsewhere, "freeze", lambda python: dict.fromkeys(elsewhere.NAMED, "1"))
    monkeypatch.setattr(
        elsewhere, "run_notebook", lambda path, python: elsewhere.Result(path.stem, 1, 0, [])
    )
    monkeypatch.setitem(elsewhere.KINDS, "colab", elsewhere.Kind("none.lock", "9.9"))
    path = str(ROOT / "book" / "index.ipynb")
    for everything, failed in ("", 0), ("1", 1):
        monkeypatch.setenv("OPTDYN_ALL", everything)
        assert elsewhere.main(["colab", path]) == failed
        assert ("and 9.9 is meant" in capsys.readouterr().out) == bool(failed)


def test_a_notebook_that_fails_first_ends_the_run(
    pretended: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It installs what the others need."""
    monkeypatch.setattr(elsewhere, "freeze", lambda python: dict.fromkeys(elsewhere.NAMED, "1"))
    monkeypatch.setattr(
        elsewhere, "run_notebook", lambda path, python: elsewhere.Result(path.stem, 1, 0, ["bad"])
    )
    assert elsewhere.main(["oldest"]) == 1
    said = capsys.readouterr().out
    assert said.count("FAILED") == 1 and f"1 of {len(notebooks.all_notebooks())}" in said


def test_an_environment_is_made_once_for_a_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, venv = tmp_path / "requirements-small.lock", tmp_path / "venv"
    lock.write_text("# nothing\n")
    monkeypatch.setitem(elsewhere.KINDS, "small", elsewhere.Kind(str(lock), "9.9"))
    python = elsewhere.environment("small", venv)
    assert subprocess.run([python, "-c", "import optdyn"], capture_output=True).returncode == 1
    assert "pip" in elsewhere.freeze(python)

    asked: list[str] = []
    monkeypatch.setattr(make, "watch", lambda label, *_, **__: asked.append(label) or 1)
    assert elsewhere.environment("small", venv) == python and not asked
    (venv.with_suffix(".log")).write_text("no such package\n")
    lock.write_text("# something else\n")
    with pytest.raises(SystemExit, match="making the environment"):
        elsewhere.environment("small", venv)
    assert not venv.exists()


def test_the_python_is_of_the_version_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setenv("UV_PYTHON_INSTALL_DIR", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert elsewhere.interpreter("9.9") == HERE  # there is none

    def program(path: Path, does: str) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{does}\n")
        path.chmod(0o755)
        return path

    broken = program(tmp_path / "python9.9", "exit 127")  # as a version manager's may be
    assert elsewhere.interpreter("9.9") == HERE
    kept = program(tmp_path / "versions" / "9.9.1" / "bin" / "python9.9", "echo 9.9")
    assert elsewhere.interpreter("9.9") == kept
    program(broken, "echo 9.9")
    assert elsewhere.interpreter("9.9") == broken


def test_nothing_of_the_books_environment_reaches_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in "PYTHONPATH", "OPTDYN_BOOK", "OPTDYN_REFERENCES", "IPYTHONDIR":
        monkeypatch.setenv(name, "x")
    kept = elsewhere.variables(MORE="1")
    assert not {"PYTHONPATH", "OPTDYN_BOOK", "OPTDYN_REFERENCES", "IPYTHONDIR"} & kept.keys()
    assert kept["MORE"] == kept["PYTHONNOUSERSITE"] == "1"


def test_the_targets_run_this(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str | Path]] = []
    monkeypatch.setattr(make, "setup", lambda: None)
    monkeypatch.setattr(make, "run", lambda command, **_: asked.append(command) or 0)
    assert set(make.ELSEWHERE) == set(elsewhere.KINDS)
    for kind in make.ELSEWHERE:
        make.main([kind])
        dry = ["make", "-n", "-C", str(ROOT), kind, "NOTEBOOKS=a.ipynb"]
        assert f"make.py {kind} a.ipynb" in subprocess.check_output(dry, text=True)
    assert [command[1:] for command in asked] == [
        ["-m", "tests.elsewhere", kind] for kind in make.ELSEWHERE
    ]
    make.main(["oldest", "a.ipynb"])
    assert asked[-1][1:] == ["-m", "tests.elsewhere", "oldest", "a.ipynb"]
    monkeypatch.setattr(make, "run", lambda command, **_: 1)
    with pytest.raises(SystemExit):
        make.main(["newest"])


def test_test_all_fails_where_notebooks_fail_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTDYN_KILLS", "20")  # which test_all would set for good
    monkeypatch.setenv("OPTDYN_ALL", "")
    for part in "test", "same_twice", "lighthouse", "links":
        monkeypatch.setattr(make, part, lambda **_: None)
    monkeypatch.setattr(make, "_conformance", lambda wish: "agrees")
    for bad in (None, *make.ELSEWHERE):
        monkeypatch.setattr(make, "run_elsewhere", lambda kind, bad=bad: int(kind == bad))
        if bad is None:
            make.test_all()
            continue
        with pytest.raises(SystemExit, match=f"make {bad}"):
            make.test_all()
