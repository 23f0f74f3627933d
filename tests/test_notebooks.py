"""The stored notebooks, the tool that keeps them, and the way nbval checks them."""

from __future__ import annotations

import ast
import importlib.util
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import xml.etree.ElementTree
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import nbformat
import pytest

import make
import notebooks

ROOT = Path(__file__).resolve().parent.parent
BOOK = notebooks.all_notebooks()
each_notebook = pytest.mark.parametrize("path", BOOK, ids=notebooks.short_name)


# --- the book's notebooks ------------------------------------------------------------


def test_there_are_notebooks() -> None:
    """Without one, the tests over every notebook would pass in vain."""
    names = [notebooks.short_name(path) for path in BOOK]
    assert "book/index.ipynb" in names
    assert any(name.startswith("chapters/") for name in names)


@each_notebook
def test_stored_notebook_is_in_order(path: Path) -> None:
    """Fresh, in the stored form, set-up cell as the template, short cells and lines,
    no random ids, no widgets, claims tagged, no error and no warning in an output."""
    assert list(notebooks.problems(path)) == []


@each_notebook
def test_figure_data_is_within_its_budget(path: Path) -> None:
    pages = [
        output.data["text/html"]
        for cell in notebooks.read(path).cells
        for output in cell.get("outputs", [])
        if "text/html" in output.get("data", {})
    ]
    script = r'<script type="application/json">(.*?)</script>'
    sizes = [len(found.encode()) for found in re.findall(script, "".join(pages), re.DOTALL)]
    assert max(sizes, default=0) <= 300_000
    assert sum(sizes) <= 900_000


@pytest.mark.budget
@each_notebook
def test_measured_seconds_are_within_three_budgets(path: Path) -> None:
    stored = json.loads(notebooks.MEASUREMENTS.read_text("utf-8"))
    name = notebooks.short_name(path)
    assert name in stored["notebooks"], "not measured yet: make execute"
    budget = 150 if "laboratory" in path.name else 60
    assert stored["notebooks"][name]["seconds"] <= 3 * budget


@pytest.mark.budget
def test_measurements_are_of_this_book() -> None:
    stored = json.loads(notebooks.MEASUREMENTS.read_text("utf-8"))
    assert set(stored["notebooks"]) == {notebooks.short_name(path) for path in BOOK}
    assert {"cpu", "cores", "memory", "os", "python"} <= set(stored["machine"])
    locked = notebooks.locked_versions()
    assert {name: stored["machine"][name] for name in locked} == locked


# --- a small book to try the tool on -------------------------------------------------

FIRST = """\
\"\"\"One.\"\"\"
from optdyn import second


def f(x):
    return second.g(x)
"""
SECOND = """\
\"\"\"Two.\"\"\"


def g(x):
    \"\"\"Twice x.\"\"\"
    return 2 * x  # twice
"""
SMALL_LIBRARY = {
    "__init__": '"""A library."""\n__version__ = "1"\n',
    "first": FIRST,
    "second": SECOND,
    "third": "def h(x):\n    return 3 * x\n",
    "versions": "def check():\n    pass\n",
}
SMALL_LOCK = "altair==6.3.0 \\\n    --hash=sha256:00\njax==0.10.2\nnumpy==2.4.6\nruff==1\n"


def tool_of(root: Path) -> ModuleType:
    """The notebook tool of the book at `root`."""
    spec = importlib.util.spec_from_file_location(
        f"notebooks_{root.name.replace('-', '_')}", root / "book" / "notebooks.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def small_notebook(*cells: str | tuple[str, list[str]]) -> nbformat.NotebookNode:
    nb = nbformat.v4.new_notebook()
    nb.cells.append(nbformat.v4.new_markdown_cell("# Small"))
    for cell in cells:
        source, tags = (cell, []) if isinstance(cell, str) else cell
        nb.cells.append(nbformat.v4.new_code_cell(source, metadata={"tags": tags} if tags else {}))
    return nb


@pytest.fixture
def small_book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in "OPTDYN_REPOSITORY", "OPTDYN_SITE":
        monkeypatch.delenv(name, raising=False)
    for folder in "book", "lib/optdyn", "chapters/cycles":
        (tmp_path / folder).mkdir(parents=True)
    shutil.copy(ROOT / "book" / "notebooks.py", tmp_path / "book")
    for name, text in SMALL_LIBRARY.items():
        (tmp_path / "lib" / "optdyn" / f"{name}.py").write_text(text)
    (tmp_path / "requirements.lock").write_text(SMALL_LOCK)
    nb = small_notebook("from optdyn import first", "6 * 7", "print('done')")
    nbformat.write(nb, tmp_path / "chapters" / "cycles" / "1_small.ipynb")
    return tmp_path


# --- fingerprints --------------------------------------------------------------------


def _edit(name: str, old: str, new: str) -> Callable[[Path], None]:
    def edit(root: Path) -> None:
        file = root / name
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))

    return edit


NOTEBOOK = "chapters/cycles/1_small.ipynb"
COUNTS = {
    "a cell": _edit(NOTEBOOK, "6 * 7", "6 * 8"),
    "a tag": _edit(NOTEBOOK, '"metadata": {},', '"metadata": {"tags": ["new"]},'),
    "an imported module": _edit("lib/optdyn/first.py", "second.g(x)", "second.g(-x)"),
    "a module imported by that": _edit("lib/optdyn/second.py", "2 * x", "4 * x"),
    "the package": _edit("lib/optdyn/__init__.py", '"1"', '"2"'),
    "the version of jax": _edit("requirements.lock", "0.10.2", "0.10.3"),
    "the version of numpy": _edit("requirements.lock", "2.4.6", "2.4.7"),
    "the version of altair": _edit("requirements.lock", "6.3.0", "6.4.0"),
}
DOES_NOT_COUNT = {
    "the text": _edit(NOTEBOOK, "# Small", "# Tiny"),
    "a docstring": _edit("lib/optdyn/second.py", "Twice x.", "Two x."),
    "a module's docstring": _edit("lib/optdyn/second.py", "Two.", "2."),
    "a comment": _edit("lib/optdyn/second.py", "# twice", "# two times"),
    "layout": _edit("lib/optdyn/second.py", "2 * x", "(2 *   x)"),
    "another module": _edit("lib/optdyn/third.py", "3 * x", "5 * x"),
    "another version": _edit("requirements.lock", "ruff==1", "ruff==2"),
}


@pytest.mark.parametrize(
    ("edit", "counts"),
    [pytest.param(edit, True, id=name) for name, edit in COUNTS.items()]
    + [pytest.param(edit, False, id=name) for name, edit in DOES_NOT_COUNT.items()],
)
def test_what_makes_outputs_stale(
    small_book: Path, edit: Callable[[Path], None], counts: bool
) -> None:
    tool = tool_of(small_book)
    path = small_book / NOTEBOOK
    before = tool.fingerprint(tool.read(path), path)
    assert before == tool.fingerprint(tool.read(path), path)
    edit(small_book)
    assert (tool.fingerprint(tool.read(path), path) != before) is counts


@pytest.mark.parametrize(
    ("source", "modules"),
    [
        ("import numpy", set()),
        ("import optdyn", {"__init__"}),
        ("import optdyn.third", {"__init__", "third"}),
        ("import optdyn.third as t", {"__init__", "third"}),
        ("import optdyn\noptdyn.third.h(1)", {"__init__", "third"}),
        ("import optdyn as o\no.third.h(1)", {"__init__", "third"}),
        ("from optdyn import third as t", {"__init__", "third"}),
        ("from optdyn.third import h", {"__init__", "third"}),
        ("from optdyn import __version__", {"__init__"}),
        ("from optdyn import first", {"__init__", "first", "second"}),
        ("def late():\n    from optdyn import third", {"__init__", "third"}),
        ("from optdyn import *", {"__init__", "first", "second", "third", "versions"}),
        ("%pip install x\nimport optdyn.third", {"__init__", "third"}),
    ],
)
def test_imports_are_followed(small_book: Path, source: str, modules: set[str]) -> None:
    library = small_book / "lib" / "optdyn"
    plain = notebooks.plain_python(source)
    assert notebooks.modules_of([plain], library) == modules


def test_relative_imports_are_followed(small_book: Path) -> None:
    library = small_book / "lib" / "optdyn"
    (library / "fourth.py").write_text("from .third import h\n")
    (library / "fifth.py").write_text("from . import fourth\n")
    found = notebooks.modules_of(["import optdyn.fifth"], library)
    assert found == {"__init__", "fifth", "fourth", "third"}


def test_a_package_inside_the_library_counts_with_all_its_files(small_book: Path) -> None:
    library = small_book / "lib" / "optdyn"
    inside = library / "sixth"
    inside.mkdir()
    (inside / "__init__.py").write_text("from optdyn.sixth.part import f\n")
    (inside / "part.py").write_text("from optdyn import third\nf = third.h\n")
    (inside / "data.js").write_text("1;\n")
    source = "from optdyn.sixth import f"
    assert notebooks.modules_of([source], library) == {"__init__", "sixth", "third"}
    tool, path, nb = tool_of(small_book), small_book / NOTEBOOK, small_notebook(source)
    seen = {tool.fingerprint(nb, path)}
    for name in ("part.py", "data.js"):
        with (inside / name).open("a") as file:
            file.write("2;\n")
        seen.add(tool.fingerprint(nb, path))
    assert len(seen) == 3


def test_fingerprints_do_not_depend_on_the_python_version(small_book: Path) -> None:
    """The value is written down here; the suite runs on several versions."""
    (small_book / "lib" / "optdyn" / "third.py").write_text(
        textwrap.dedent(
            '''
            """Text."""
            from __future__ import annotations
            import math as m
            async def a(x, /, y=1.5, *z, k: int = 2, **w):
                """Text."""
                async with x as q:
                    yield f"{x!r:>{y}} and {k=}" "more", b"", u"x"
            class C(dict, metaclass=type):
                """Text."""
                n: int = None
                def f(self):
                    match self:
                        case {"a": [1, *_], **rest} if rest is not None: return ...
                        case None | True: return lambda *a: -1j
                    try: return [*self, *{**self}][::2]
                    except* (ValueError, KeyError) as e: raise e from None
                    finally: del self[0], e
            '''
        )
    )
    tool = tool_of(small_book)
    path = small_book / NOTEBOOK
    nb = small_notebook("import optdyn.third\n%pip --version\nf'{1:.2f}'")
    assert tool.fingerprint(nb, path)[:16] == "645b375d00de4e0b"


# --- the set-up cell -----------------------------------------------------------------


def test_setup_cell(small_book: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tool_of(small_book)
    chapter = small_book / "chapters" / "cycles" / "1_small.ipynb"
    assert tool.library_address() == "" and "assert found" in tool.setup_source(chapter)
    assert tool.setup_source(small_book / "book" / "index.ipynb") == tool.setup_source(chapter)
    assert "jax_enable_x64" in tool.setup_source(chapter)
    noise = small_book / "chapters" / "noise" / "1_small.ipynb"
    assert "jax_enable_x64" not in tool.setup_source(noise)
    url = "https://example.org/ours/book"
    (small_book / "_config.yml").write_text(f"repository:\n  url: {url}\n")
    assert f'found += ["git+{url}"]' in tool.setup_source(chapter)
    monkeypatch.setenv("OPTDYN_REPOSITORY", "https://example.org/fork")
    assert '"git+https://example.org/fork"' in tool.setup_source(chapter)
    (small_book / "_config.yml").write_text("html:\n  baseurl: https://example.org/site/\n")
    wheel = "downloads/optdyn-1-py3-none-any.whl"
    assert tool.library_address() == f"https://example.org/site/{wheel}"
    monkeypatch.setenv("OPTDYN_SITE", "https://example.org/other")
    assert tool.library_address() == f"https://example.org/other/{wheel}"
    assert 'site = "https://example.org/other"\n' in tool.setup_source(chapter)


@pytest.mark.parametrize("address", ["", "https://a-host-with-a-long-name.example.org/the-book"])
def test_setup_cell_is_short_and_changes_nothing_else(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("OPTDYN_SITE", address)
    source = notebooks.setup_source(BOOK_CHAPTER)
    lines = source.splitlines()
    assert len(lines) <= notebooks.CELL_LINES
    assert max(map(len, lines)) <= notebooks.LINE_LENGTH
    (command,) = (line.strip() for line in lines if "%" in line)
    assert command == '%pip install -q --no-deps "{found[0]}"'
    ast.parse(notebooks.plain_python(source))


def test_setup_cell_runs_and_prints_nothing(tmp_path: Path) -> None:
    source = notebooks.plain_python(notebooks.setup_source(BOOK_CHAPTER))
    code = f"{source}\nassert jax.numpy.zeros(()).dtype == 'float64'\nprint('ran')"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert (ran.stdout, ran.stderr) == ("ran\n", "")


BOOK_CHAPTER = ROOT / "chapters" / "cycles" / "1_phenomenon.ipynb"


def test_setup_cell_is_put_in_renewed_and_no_reason_to_run_again(
    small_book: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tool_of(small_book)
    path = small_book / NOTEBOOK
    nb = tool.read(path)
    tool.put_setup_cell(nb, path)
    assert [cell.cell_type for cell in nb.cells] == ["markdown"] + ["code"] * 4
    before, count = tool.fingerprint(nb, path), len(nb.cells)
    monkeypatch.setenv("OPTDYN_SITE", "https://example.org/other")
    tool.put_setup_cell(nb, path)
    assert len(nb.cells) == count
    assert "example.org/other" in nb.cells[1].source
    assert tool.fingerprint(nb, path) == before
    said = "has a set-up cell that differs from the template: make execute renews it"
    for address in "https://example.org/other", "":  # stored under one, checked under another
        monkeypatch.setenv("OPTDYN_SITE", address)
        (small_book / NOTEBOOK).write_text(tool.normalise(nb))
        assert (said in tool.problems(path)) == (not address)
        tool.put_setup_cell(nb, path)
    monkeypatch.setenv("OPTDYN_SITE", "https://example.org/other")
    tool.write_whole(path, tool.normalise(nb))
    assert said not in tool.problems(path)
    monkeypatch.setattr(tool, "FIND", tool.FIND + "assert True\n")  # found in another way
    tool.put_setup_cell(nb, path)
    assert "assert True" in nb.cells[1].source and tool.fingerprint(nb, path) == before
    monkeypatch.setattr(tool, "DOUBLE", "")  # another precision
    tool.put_setup_cell(nb, path)
    assert tool.fingerprint(nb, path) != before
    monkeypatch.undo()
    tool.put_setup_cell(nb, path)
    assert tool.fingerprint(nb, path) == before
    nb.cells[1].source += "\nprint('more')"
    assert tool.fingerprint(nb, path) != before


# --- the stored form and what is refused ---------------------------------------------


def test_normal_form_is_a_fixed_point_and_carries_no_noise() -> None:
    nb = small_notebook("1", ("2", ["b", "a"]))
    cell = nb.cells[1]
    cell.metadata = {"execution": {"started": "now"}, "collapsed": True}
    cell.execution_count = 17
    cell.outputs = [
        nbformat.v4.new_output("stream", name="stdout", text="a\n"),
        nbformat.v4.new_output("stream", name="stdout", text="b\n"),
        nbformat.v4.new_output("execute_result", {"text/plain": "1"}),
    ]
    nb.metadata = {"kernelspec": {"name": "mine", "display_name": "Mine"}, "toc": {}}
    text = notebooks.normalise(nb)
    again = nbformat.reads(text, as_version=4)
    assert notebooks.normalise(again) == text
    assert [c.id for c in again.cells] == ["c000", "c001", "c002"]
    assert [c.get("execution_count") for c in again.cells] == [None, 1, 2]
    assert again.cells[1].metadata == {}
    assert again.cells[2].metadata == {"tags": ["a", "b"]}
    assert [o.output_type for o in again.cells[1].outputs] == [
        "stream",
        "execute_result",
    ]
    assert again.cells[1].outputs[0].text == "a\nb\n"
    assert "toc" not in again.metadata and again.metadata.kernelspec.name == "python3"
    assert text.endswith("}\n") and '\n "cells"' in text


def _output(kind: str, data: dict[str, str], **metadata: object) -> object:
    return nbformat.v4.new_output(kind, data, metadata=metadata)


@pytest.mark.parametrize(
    ("output", "tags", "complaint"),
    [
        (nbformat.v4.new_output("stream", name="stderr", text="w"), [], "stderr"),
        (nbformat.v4.new_output("error", ename="E", evalue="e"), [], "error"),
        (
            _output("display_data", {"application/vnd.jupyter.widget-view+json": "x"}),
            [],
            "widget",
        ),
        (
            _output("display_data", {"text/plain": "x"}, optdyn_claim={"id": "a-1"}),
            [],
            "lacks the tag",
        ),
        (None, ["nbval-check-output"], "has no output"),
        (_output("execute_result", {"text/plain": "<f at 0x7f0011223344>"}), [], "run"),
        (
            _output("display_data", {"text/html": '<div id="altair-viz-0123456789ab">'}),
            [],
            "differs from run to run",
        ),
    ],
    ids=["stderr", "error", "widget", "claim", "empty check", "address", "random id"],
)
def test_outputs_that_are_refused(output: object, tags: list[str], complaint: str) -> None:
    nb = small_notebook(("1", tags))
    nb.cells[1].outputs = [output] if output else []
    (found,) = notebooks.output_problems(nb)
    assert complaint in found


def test_long_cells_and_lines_are_refused(small_book: Path) -> None:
    tool = tool_of(small_book)
    path = small_book / NOTEBOOK
    nb = small_notebook("\n".join(["1"] * 21), "# " + "x" * 90, "")
    path.write_text(tool.normalise(nb))
    found = "\n".join(tool.problems(path))
    assert "has 21 lines" in found
    assert "a line longer than 88" in found
    assert "is empty" in found
    assert "no set-up cell" in found
    assert "older than" in found


# --- exercises and solutions ----------------------------------------------------------

SOLUTION = "def f(x):\n    y = x\n    ### BEGIN SOLUTION\n    return 2 * y\n    ### END SOLUTION"
STUB = "def f(x):\n    y = x\n    # YOUR CODE HERE\n    raise NotImplementedError()"


def marked(grade_id: str, **more: object) -> dict[str, object]:
    """nbgrader's metadata of a cell."""
    flags = dict.fromkeys(("grade", "locked", "solution", "task"), False)
    return {"nbgrader": {"schema_version": 3, "grade_id": grade_id, **flags, **more}}


def solutions_notebook() -> nbformat.NotebookNode:
    v4 = nbformat.v4
    nb = v4.new_notebook()
    nb.cells = [
        v4.new_markdown_cell("# Solutions", metadata={"tags": ["solution-only"]}),
        v4.new_markdown_cell("# Exercises", metadata={"tags": ["remove-cell"]}),
        v4.new_code_cell("import math"),
        v4.new_code_cell(SOLUTION, metadata=marked("a-f", solution=True)),
        v4.new_code_cell(
            "print(1)",
            metadata={**marked("a-f-check", grade=True, locked=True, points=2), "tags": ["x"]},
        ),
        v4.new_markdown_cell("A proof.", metadata=marked("p", grade=True, solution=True, points=1)),
        v4.new_code_cell("f(3)", metadata={"tags": ["hide-input", "solution-only"]}),
    ]
    return executed(nb, "", "", "1\n", "6\n")


def test_exercises_are_solutions_without_solutions() -> None:
    nb = solutions_notebook()
    nb.metadata["optdyn"] = {"fingerprint": "of the solutions"}
    made = notebooks.exercises_from(nb)
    assert [cell.source for cell in made.cells] == [
        "# Exercises",
        "import math",
        STUB,
        "print(1)",
        "YOUR ANSWER HERE",
    ]
    assert "optdyn" not in made.metadata
    assert not any(cell.get("outputs") for cell in made.cells)
    assert made.cells[0].metadata.tags == [] and made.cells[3].metadata.tags == ["x"]
    assert [cell.metadata.get("nbgrader") for cell in made.cells[2:]] == [
        cell.metadata.nbgrader for cell in nb.cells[3:6]
    ]
    assert nb.cells[4].outputs and nb.cells[3].source == SOLUTION  # the source is as it was
    stored = nbformat.reads(notebooks.normalise(made), as_version=4)
    assert stored.cells[2].metadata.nbgrader == nb.cells[3].metadata.nbgrader


def test_a_solution_without_marks_is_replaced_whole() -> None:
    nb = small_notebook("x = 1")
    nb.cells[1].metadata = nbformat.from_dict(marked("x", solution=True))
    assert notebooks.exercises_from(nb).cells[1].source == (
        "# YOUR CODE HERE\nraise NotImplementedError()"
    )


@pytest.mark.parametrize(
    ("source", "solution", "words"),
    [
        ("### BEGIN SOLUTION\n1", True, "without END SOLUTION"),
        ("### BEGIN SOLUTION\n### BEGIN SOLUTION\n### END SOLUTION", True, "inside another"),
        ("### BEGIN SOLUTION\n1\n### END SOLUTION", False, "in no solution cell"),
    ],
)
def test_marks_that_do_not_match_are_refused(source: str, solution: bool, words: str) -> None:
    nb = small_notebook(source)
    if solution:
        nb.cells[1].metadata = nbformat.from_dict(marked("x", solution=True))
    with pytest.raises(ValueError, match=words):
        notebooks.exercises_from(nb)


@pytest.mark.parametrize(
    ("kind", "data", "words"),
    [
        ("code", {"schema_version": 2}, "schema_version 3"),
        ("code", {"grade": "yes", "points": 1}, "true or false"),
        ("code", {"grade_id": "a b"}, "grade_id of letters"),
        ("code", {"grade": True}, "needs points"),
        ("code", {"points": 1}, "not graded"),
        ("markdown", {"solution": True}, "has to be graded"),
    ],
)
def test_what_nbgrader_would_refuse(kind: str, data: dict[str, object], words: str) -> None:
    good = marked("x")["nbgrader"]
    assert isinstance(good, dict)
    assert list(notebooks._grammar(kind, good)) == []
    (found,) = notebooks._grammar(kind, {**good, **data})
    assert words in found


def test_execute_writes_and_runs_exercises_and_check_tells_them_apart(small_book: Path) -> None:
    tool = tool_of(small_book)
    folder = small_book / "chapters" / "cycles"
    source, made = folder / "solutions.ipynb", folder / "exercises.ipynb"
    nbformat.write(solutions_notebook(), source)
    ran = run_tool(small_book, "execute", str(source))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert list(tool.problems(source)) == list(tool.problems(made)) == []
    nb = tool.read(made)
    assert [cell.source for cell in nb.cells[2:5]] == ["import math", STUB, "print(1)"]
    assert nb.cells[1].source == tool.setup_source(made)
    assert nb.cells[4].outputs[0].text == "1\n"
    assert tool.read(source).cells[-1].outputs[0].data["text/plain"] == "6"
    when = made.stat().st_mtime_ns
    assert tool.renew_exercises([made]) == [source, made]  # the one brings the other
    assert made.stat().st_mtime_ns == when

    text = source.read_text()
    for old, new in (("A proof.", "Another proof."), ("return 2 * y", "return y + y")):
        assert old in text
        source.write_text(text.replace(old, new))
        assert not any("without its solutions" in found for found in tool.problems(made))
    for old, new in (
        ("y = x", "y = 1 * x"),
        ("# Exercises", "# Tasks"),
        ('"points": 2', '"points": 3'),
    ):
        assert old in text
        source.write_text(text)
        tool.renew_exercises([source])
        source.write_text(text.replace(old, new))
        assert any("without its solutions" in found for found in tool.problems(made))
        tool.renew_exercises([source])
        assert not any("without its solutions" in found for found in tool.problems(made))
    source.write_text(text.replace("### END SOLUTION", ""))
    assert any("cannot be stripped" in found for found in tool.problems(source))
    source.write_text(text.replace('"p"', '"a-f"'))
    assert any("grade_id a-f twice" in found for found in tool.problems(source))


# --- running notebooks ---------------------------------------------------------------


def run_tool(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k != "OPTDYN_BOOK"}
    return subprocess.run(
        [sys.executable, str(root / "book" / "notebooks.py"), *arguments],
        capture_output=True,
        text=True,
        env={**environment, "PYTHONPATH": str(root / "lib")},
        cwd=root,
    )


def test_execute_renews_good_notebooks_and_leaves_bad_ones(small_book: Path) -> None:
    good, bad = small_book / NOTEBOOK, small_book / "chapters" / "cycles" / "2.ipynb"
    nbformat.write(small_notebook("import os", "1 / 0", "print(os.environ['OPTDYN_BOOK'])"), bad)
    was = bad.read_bytes()
    ran = run_tool(small_book, "execute")
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "Parent appears" not in ran.stdout  # its kernel was ended in good order
    assert "ZeroDivisionError" in ran.stdout and "chapters/cycles/2.ipynb" in ran.stdout
    assert bad.read_bytes() == was
    tool = tool_of(small_book)
    assert list(tool.problems(good)) == []
    nb = tool.read(good)
    assert nb.cells[3].outputs[0].data["text/plain"] == "42"
    stored = json.loads((small_book / "book" / "measurements.json").read_text())
    assert list(stored["notebooks"]) == [NOTEBOOK]
    entry = stored["notebooks"][NOTEBOOK]
    assert entry["dtype"] == "float64" and 0 < entry["seconds"] < 120
    assert stored["machine"]["device"]

    was, when = good.read_bytes(), good.stat().st_mtime_ns
    nbformat.write(small_notebook("import warnings", "warnings.warn('careful')"), bad)
    ran = run_tool(small_book, "execute")  # the same again, and a warning for the other
    assert ran.returncode == 1
    assert "unchanged" in ran.stdout and "stderr" in ran.stdout
    assert (good.read_bytes(), good.stat().st_mtime_ns) == (was, when)
    assert not list(small_book.rglob("*.tmp"))


def test_execute_names_a_notebook_that_is_not_there(small_book: Path) -> None:
    ran = run_tool(small_book, "execute", "chapters/none.ipynb")
    assert ran.returncode == 2 and "no notebook" in ran.stderr


def test_normalise_command_keeps_outputs(small_book: Path) -> None:
    path = small_book / NOTEBOOK
    assert run_tool(small_book, "normalise").returncode == 0
    ran = run_tool(small_book, "check")
    assert ran.returncode == 1 and "older than" in ran.stdout
    assert len(ran.stdout.splitlines()) == 1  # all else is in order
    assert path.read_text() == notebooks.normalise(notebooks.read(path))


# --- nbval as we call it -------------------------------------------------------------

CHECKED = ["nbval-check-output"]
CLAIM = "print('a-1 holds: 1 within 0.1, measured {}')"


def executed(nb: nbformat.NotebookNode, *texts: str) -> nbformat.NotebookNode:
    """With these printed outputs stored, one a code cell ("" for none)."""
    codes = [cell for cell in nb.cells if cell.cell_type == "code"]
    for count, (cell, text) in enumerate(itertools.zip_longest(codes, texts), 1):
        cell.execution_count = count
        if text:
            output = nbformat.v4.new_output("stream", name="stdout", text=text)
            cell.outputs = [output]
    return nb


NBVAL_CASES = {
    "good": (
        executed(small_notebook(("print('a')", CHECKED), "print('b')"), "a\n", "c\n"),
        set(),
    ),
    "measured-differs": (
        executed(
            small_notebook((CLAIM.format(1.02), CHECKED)),
            "a-1 holds: 1 within 0.1, measured 0.98\n",
        ),
        set(),
    ),
    "text-differs": (
        executed(small_notebook(("print('a')", CHECKED), "1"), "b\n", ""),
        {"Cell 0"},
    ),
    "tolerance-differs": (
        executed(
            small_notebook((CLAIM.format(1.02), CHECKED)),
            "a-1 holds: 1 within 0.2, measured 1.02\n",
        ),
        {"Cell 0"},
    ),
    "claim-false": (
        executed(small_notebook(("assert 1 > 2, 'a-1 fails'", CHECKED)), ""),
        {"Cell 0"},
    ),
    "stderr-unchecked": (
        executed(small_notebook("import sys", "_ = sys.stderr.write('w')"), "", ""),
        {"Cell 1"},
    ),
    "skipped": (
        executed(small_notebook(("1", ["nbval-skip"]), "2"), "", ""),
        {"Cell 0"},
    ),
    "output-gone": (
        executed(small_notebook(("pass", CHECKED)), "a\n"),
        {"Cell 0"},
    ),
    "too-slow": (
        executed(small_notebook("import time; time.sleep(60)", "1"), "", ""),
        {"Cell 0", "Cell 1"},
    ),
}


def test_nbval_fails_where_it_should(tmp_path: Path) -> None:
    """Our own options, over notebooks that are wrong in one way each."""
    for name in "conftest.py", "pyproject.toml":
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "tests").mkdir()
    shutil.copy(ROOT / "tests" / "nbval_sanitise.cfg", tmp_path / "tests")
    (tmp_path / "chapters").mkdir()
    for name, (nb, _) in NBVAL_CASES.items():
        nbformat.write(nb, tmp_path / "chapters" / f"{name}.ipynb")
    command = [sys.executable, "-m", "pytest", "-q", "-n2", "--dist=loadfile"]
    # long enough for a kernel to start on a busy machine, far from the 60 s of what is too slow
    command += [*make.NBVAL, "--nbval-cell-timeout=12", "--junitxml=report.xml"]
    ran = subprocess.run(
        [*command, "chapters"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "OPTDYN_NO_SKIPS": "1"},
    )
    assert ran.returncode == 1, ran.stdout + ran.stderr
    failed: dict[str, set[str]] = {name: set() for name in NBVAL_CASES}
    seen = set()
    for case in xml.etree.ElementTree.parse(tmp_path / "report.xml").iter("testcase"):
        name = Path(case.get("classname", "").split(".", 1)[1].replace("/", "."))
        notebook = str(name).removesuffix(".ipynb").rsplit(".", 1)[-1]
        seen.add(notebook)
        if case.find("failure") is not None or case.find("error") is not None:
            failed[notebook].add(case.get("name", ""))
    assert seen == set(NBVAL_CASES)
    assert failed == {name: expected for name, (_, expected) in NBVAL_CASES.items()}
