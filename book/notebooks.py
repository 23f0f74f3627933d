"""The stored notebooks: run them, keep them in one form, tell when they are stale.

    python book/notebooks.py execute [NOTEBOOK ...]
    python book/notebooks.py normalise [NOTEBOOK ...]
    python book/notebooks.py check [NOTEBOOK ...]

The site is built from the outputs stored in the notebooks. `execute` renews them: it
runs each notebook in a fresh kernel and replaces the file whole, when its run succeeded
and something changed. `normalise` only rewrites files in the stored form, without
running them. `check` names what is wrong with the stored notebooks; the tests call it.
Exercises and their solutions have one source, solutions.ipynb in nbgrader's format:
`execute` strips it into the exercises.ipynb beside it and runs both.
Use these through `make execute`, which sets up the environment first.
"""

from __future__ import annotations

import argparse
import ast
import concurrent.futures
import contextlib
import copy
import datetime
import functools
import hashlib
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import nbformat
import psutil
import yaml
from IPython.core.inputtransformer2 import TransformerManager

ROOT = Path(__file__).resolve().parent.parent
MEASUREMENTS = ROOT / "book" / "measurements.json"
FINGERPRINTED = ("jax", "numpy", "altair")  # packages whose versions count
CELL_TIMEOUT = 300  # seconds
CELL_LINES, LINE_LENGTH = 20, 88
FILE_SIZE = 1_500_000  # bytes
KEPT_CELL_METADATA = ("mystnb", "nbgrader", "slideshow", "tags")

Notebook = Any  # nbformat's nodes are dictionaries with attributes


def all_notebooks() -> list[Path]:
    """The notebooks of the book, in a fixed order."""
    return sorted([*ROOT.glob("book/*.ipynb"), *ROOT.glob("chapters/*/*.ipynb")])


def short_name(path: Path) -> str:
    """The path within the repository, with forward slashes."""
    return Path(os.path.relpath(path.resolve(), ROOT)).as_posix()


# --- the set-up cell -----------------------------------------------------------------

SETUP_MARK = "# Set-up:"
FIND = """\
# Set-up: find the book's library, or install it; no other package is changed.
import sys
from importlib import import_module, util
from pathlib import Path

import jax

if not getattr(util.find_spec("optdyn"), "origin", None):
    up = [Path.cwd(), *Path.cwd().parents]
    found = [f for p in up[:3] for f in sorted(p.glob("optdyn-*-none-any.whl"))[::-1]]
    found += [p / "lib" for p in up if (p / "lib/optdyn/__init__.py").exists()]
    {last}
    if Path(found[0]).is_dir():
        sys.path.insert(0, str(found[0]))
    else:
        %pip install -q --no-deps "{{found[0]}}"
import_module("optdyn.versions").check()
"""
NOWHERE = 'assert found, "Put optdyn\'s wheel, a download of the book, beside this notebook."'
CONFIGURE = """\
jax.config.update("jax_default_matmul_precision", "highest")  # a GPU's default is TF32
"""
DOUBLE = """\
jax.config.update("jax_enable_x64", True)  # double precision throughout
"""


def _setting(value: str | None, section: str, key: str) -> str:
    """An address: the one that is given, else the one in _config.yml, else none."""
    if value is not None:
        return value.rstrip("/")
    config = ROOT / "_config.yml"
    if not config.exists():
        return ""
    settings = yaml.safe_load(config.read_text("utf-8")) or {}
    return str((settings.get(section) or {}).get(key) or "").rstrip("/")


def library_address(environment: Mapping[str, str] = os.environ) -> str:
    """Where pip finds the library once the book is published; empty until then.

    The wheel among the downloads of the site, whose address is OPTDYN_SITE or html: baseurl; else
    the repository, OPTDYN_REPOSITORY or repository: url.
    """
    if site := _setting(environment.get("OPTDYN_SITE"), "html", "baseurl"):
        text = (ROOT / "lib" / "optdyn" / "__init__.py").read_text("utf-8")
        (version,) = re.findall(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)
        return f"{site}/downloads/optdyn-{version}-py3-none-any.whl"
    repository = _setting(environment.get("OPTDYN_REPOSITORY"), "repository", "url")
    return f"git+{repository}" if repository else ""


def setup_source(path: Path, environment: Mapping[str, str] = os.environ) -> str:
    """The first code cell of the notebook at `path`.

    It takes the library that is installed; else a wheel that lies beside the notebook or up to two
    folders up; else the folder lib of the checkout that the notebook lies in; else, once the book
    is published, what is at its address. pip gets --no-deps, so that nothing else is installed;
    `optdyn.versions` says which packages are too old.

    Every notebook has the same cell, but for one thing: those of the noise chapter compute in
    single precision. Matrix products keep all digits of their type: on a GPU those of float32 would
    keep ten bits, TF32, which breaks what the claims test.
    """
    address = library_address(environment)
    last = f'found += ["{address}"]' if address else NOWHERE
    site, _, file = address.partition("/downloads/")
    if file:
        last = f'site = "{site}"\n    found += [f"{{site}}/downloads/{file}"]'
    return FIND.format(last=last) + configuration(path)


def is_setup_source(source: str, path: Path) -> bool:
    """Whether that is the set-up cell, with the address of the settings or of the environment."""
    return source in (setup_source(path, {}), setup_source(path))


def configuration(path: Path) -> str:
    """The end of the set-up cell: what outputs follow from."""
    single = Path(short_name(path)).parts[:2] == ("chapters", "noise")
    return (CONFIGURE + ("" if single else DOUBLE)).rstrip("\n")


def setup_cell(nb: Notebook) -> Notebook | None:
    """The notebook's set-up cell: its first code cell, if that is one."""
    for cell in nb.cells:
        if cell.cell_type == "code":
            return cell if cell.source.startswith(SETUP_MARK) else None
    return None


def put_setup_cell(nb: Notebook, path: Path) -> None:
    """Write the set-up cell anew, or put it before the first code cell."""
    cell = setup_cell(nb)
    if cell is None:
        kinds = [cell.cell_type for cell in nb.cells]
        place = kinds.index("code") if "code" in kinds else len(kinds)
        cell = nbformat.v4.new_code_cell(metadata={"tags": ["hide-input"]})
        nb.cells.insert(place, cell)
    cell.source = setup_source(path)


# --- the stored form -----------------------------------------------------------------


def normalise(nb: Notebook) -> str:
    """The notebook as the text that is stored: the same for the same content.

    Cell ids and execution counts are by position, metadata is what matters to the book
    and nothing else, consecutive prints are one output, keys are sorted.
    """
    nb = nbformat.from_dict(nb)
    nb.nbformat, nb.nbformat_minor = 4, 5
    ours = nb.metadata.get("optdyn", {})
    nb.metadata = nbformat.from_dict(
        {
            "kernelspec": {
                "display_name": "Python 3",
                "language": "python",
                "name": "python3",
            },
            "language_info": {"name": "python"},
            **({"optdyn": ours} if ours else {}),
        }
    )
    count = 0
    for index, cell in enumerate(nb.cells):
        cell.id = f"c{index:03d}"
        kept = {key: cell.metadata.get(key) for key in KEPT_CELL_METADATA}
        if kept["tags"]:
            kept["tags"] = sorted(set(kept["tags"]))
        cell.metadata = nbformat.from_dict({k: v for k, v in kept.items() if v})
        if cell.cell_type != "code":
            continue
        count += 1
        blank = not cell.source.strip()
        cell.execution_count = None if blank else count
        cell.outputs = _joined(cell.outputs)
        for output in cell.outputs:
            output.pop("transient", None)
            if output.output_type == "execute_result":
                output.execution_count = cell.execution_count
    nbformat.validate(nb)
    # nbformat's writer splits texts into lines, so that differences are readable.
    split = nbformat.v4.rwbase.split_lines(nbformat.from_dict(nb))
    return json.dumps(split, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def _joined(outputs: Sequence[Notebook]) -> list[Notebook]:
    joined: list[Notebook] = []
    for output in outputs:
        last = joined[-1] if joined else None
        if (
            last is not None
            and output.output_type == last.output_type == "stream"
            and output.name == last.name
        ):
            last.text += output.text
        else:
            joined.append(output)
    return joined


def read(path: Path) -> Notebook:
    return nbformat.reads(path.read_text("utf-8"), as_version=4)


def write_whole(path: Path, text: str) -> None:
    """Replace a file in one step: at every moment it is the old one or the new one."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with open(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, path.stat().st_mode if path.exists() else 0o644)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


# --- exercises -----------------------------------------------------------------------

# nbgrader's grammar, with its default stubs: in a cell whose metadata make it a solution,
# what stands between the two marks is replaced by a stub; without marks the whole cell is.
# Where nbgrader would keep what a solutions page alone needs, such as its figures, there is
# a tag: book/course.py takes those cells out before it makes homework.
SOLUTIONS, EXERCISES = "solutions.ipynb", "exercises.ipynb"
BEGIN, END = "BEGIN SOLUTION", "END SOLUTION"
STUBS = {
    "code": ["# YOUR CODE HERE", "raise NotImplementedError()"],
    "markdown": ["YOUR ANSWER HERE"],
}
SOLUTION_ONLY = "solution-only"
EXERCISES_ONLY = "remove-cell"  # the page of solutions leaves such a cell out, the other not


def exercises_from(nb: Notebook) -> Notebook:
    """The exercises of a notebook of solutions: stubs for solutions, and no outputs."""
    made = copy.deepcopy(nb)
    made.metadata.pop("optdyn", None)
    made.cells = []
    for cell in copy.deepcopy(nb.cells):
        tags = cell.metadata.get("tags", [])
        if SOLUTION_ONLY in tags:
            continue
        if EXERCISES_ONLY in tags:
            cell.metadata.tags = [tag for tag in tags if tag != EXERCISES_ONLY]
        cell.source = _stubbed(cell)
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        made.cells.append(cell)
    return made


def _stubbed(cell: Notebook) -> str:
    kept: list[str] = []
    inside = marked = False
    solution = cell.metadata.get("nbgrader", {}).get("solution", False)
    for line in cell.source.split("\n"):
        if BEGIN in line:
            if inside or not solution:
                raise ValueError(f"{line.strip()} inside another, or in no solution cell")
            inside = marked = True
            indent = line[: len(line) - len(line.lstrip())]
            kept += [indent + stub for stub in STUBS[cell.cell_type]]
        elif END in line:
            inside = False
        elif not inside:
            kept.append(line)
    if inside:
        raise ValueError(f"{BEGIN} without {END}: {kept[0].strip()}")
    return "\n".join(STUBS[cell.cell_type] if solution and not marked else kept)


def _essence(nb: Notebook) -> list[Any]:
    """What two notebooks share if one was made from the other."""
    cells = json.loads(normalise(nb))["cells"]
    return [[cell["cell_type"], cell["source"], cell["metadata"]] for cell in cells]


def renew_exercises(paths: Sequence[Path]) -> list[Path]:
    """Write the exercises anew where they differ; the paths, of each pair both."""
    all_: dict[Path, None] = {}
    for path in paths:
        source, made = path.with_name(SOLUTIONS), path.with_name(EXERCISES)
        if path.name not in (SOLUTIONS, EXERCISES) or not source.is_file():
            all_[path] = None
            continue
        nb = read(source)
        put_setup_cell(nb, source)
        fresh = exercises_from(nb)
        if not made.is_file() or _essence(read(made)) != _essence(fresh):
            write_whole(made, normalise(fresh))
        all_ |= {source: None, made: None}
    return list(all_)


def exercise_problems(path: Path, nb: Notebook) -> Iterator[str]:
    """What is wrong with a notebook of solutions, or with exercises made from it."""
    source = path.with_name(SOLUTIONS)
    if path.name not in (SOLUTIONS, EXERCISES) or not source.is_file():
        return
    try:
        fresh = exercises_from(read(source))
    except ValueError as error:
        yield f"cannot be stripped: {error}"
        return
    if path.name == EXERCISES and _essence(nb) != _essence(fresh):
        yield f"is not {SOLUTIONS} without its solutions: make execute"
    ids = [
        cell.metadata.nbgrader.get("grade_id") for cell in nb.cells if "nbgrader" in cell.metadata
    ]
    for name in sorted({str(name) for name in ids if ids.count(name) > 1}):
        yield f"has the grade_id {name} twice"
    for index, cell in enumerate(nb.cells):
        data = cell.metadata.get("nbgrader")
        if data is not None:
            for text in _grammar(cell.cell_type, data):
                yield f"cell {index}, for nbgrader: {text}"


def _grammar(kind: str, data: dict[str, Any]) -> Iterator[str]:
    """What nbgrader would refuse in the metadata of a cell, schema 3."""
    flags = ("grade", "locked", "solution", "task")
    if data.get("schema_version") != 3 or not all(type(data.get(f)) is bool for f in flags):
        yield f"needs schema_version 3 and {', '.join(flags)}, true or false"
    if not re.fullmatch(r"[A-Za-z0-9_-]+", str(data.get("grade_id", ""))):
        yield "needs a grade_id of letters, digits, - and _"
    points = data.get("points")
    if data.get("grade") and not (isinstance(points, int | float) and points >= 0):
        yield "needs points, as it is graded"
    if not data.get("grade") and "points" in data:
        yield "has points and is not graded"
    if kind == "markdown" and data.get("solution") and not data.get("grade"):
        yield "is a solution in words, which has to be graded"


# --- fingerprints --------------------------------------------------------------------


def fingerprint(nb: Notebook, path: Path) -> str:
    """A hash of what the stored outputs follow from.

    That is the code cells with their tags, the optdyn modules that they import,
    directly or through others, and the locked versions of jax, numpy and altair.
    Comments, docstrings and layout of the library do not count. Nor does the part of the
    set-up cell that finds the library: another address does not make outputs stale.
    """
    first = setup_cell(nb)
    cells, sources = [], []
    for cell in nb.cells:
        if cell.cell_type == "code":
            source = cell.source
            if cell is first and is_setup_source(source, path):
                source = configuration(path)
            cells.append([source, sorted(set(cell.metadata.get("tags", [])))])
            sources.append(plain_python(source))
    library = ROOT / "lib" / "optdyn"
    modules = sorted(modules_of(sources, library))
    content = {
        "cells": cells,
        "modules": {name: _module(library, name).hexdigest for name in modules},
        "versions": locked_versions(),
    }
    text = json.dumps(content, ensure_ascii=True, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def plain_python(source: str) -> str:
    """The source of a cell with IPython's own syntax, such as %pip, translated."""
    return str(TransformerManager().transform_cell(source))


def locked_versions() -> dict[str, str]:
    text = (ROOT / "requirements.lock").read_text("utf-8")
    found = dict(re.findall(r"^([\w.-]+)==([^\s;\\]+)", text, re.MULTILINE))
    return {name: found[name] for name in FINGERPRINTED}


class _Module:
    """A module of the library, or a package in it: the hash of its code, and its imports."""

    def __init__(self, files: Iterable[Path], package: Path):
        self.imports: set[str] = set()
        code = []
        for file in files:
            text = file.read_text("utf-8")
            if file.suffix == ".py":
                tree = ast.parse(text)
                self.imports |= imported_modules(tree, package)
                text = repr(_shape(tree))
            code.append(text)
        self.hexdigest = hashlib.sha256("\0".join(code).encode()).hexdigest()


@functools.cache
def _parsed(files: tuple[Path, ...], package: Path, stamps: tuple[Any, ...]) -> _Module:
    return _Module(files, package)


def _module(package: Path, name: str) -> _Module:
    inside = sorted(p for p in (package / name).glob("*") if p.suffix in (".py", ".js"))
    files = tuple(inside) or (package / f"{name}.py",)
    stamps = tuple((file.stat().st_mtime_ns, file.stat().st_size) for file in files)
    return _parsed(files, package, stamps)


def modules_of(sources: Iterable[str], package: Path) -> set[str]:
    """Names of the package's modules that the sources import, also through others."""
    waiting: set[str] = set()
    for source in sources:
        waiting |= imported_modules(ast.parse(source), package)
    reached: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting |= _module(package, name).imports
    return reached


def imported_modules(tree: ast.AST, package: Path) -> set[str]:
    """Modules of the package named in a syntax tree; importing any brings __init__."""
    top, found, aliases = package.name, set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for item in node.names:
                parts = item.name.split(".")
                if parts[0] == top:
                    found.update(["__init__", *parts[1:2]])
                    aliases.add(item.asname if len(parts) == 1 and item.asname else top)
        elif isinstance(node, ast.ImportFrom):
            parts = (node.module or "").split(".")
            parts = [top, *filter(None, parts)] if node.level else parts
            if parts[0] == top:
                found.update(["__init__", *parts[1:2]])
                if len(parts) == 1:
                    found.update(item.name for item in node.names)
                    if any(item.name == "*" for item in node.names):
                        found.update(file.stem for file in package.glob("*.py"))
    for node in ast.walk(tree):  # optdyn.logistic.loss after `import optdyn`
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id in aliases
        ):
            found.add(node.attr)
    return {name for name in found if any(file.is_file() for file in _files(package, name))}


def _files(package: Path, name: str) -> tuple[Path, Path]:
    """Where a module's code is, if it is one of the package's: a file, or a folder's."""
    return package / f"{name}.py", package / name / "__init__.py"


DOCUMENTED = ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef


def _shape(node: Any) -> Any:
    """A syntax tree as nested tuples, the same on every Python version.

    `ast.dump` will not do: its fields differ between versions. Empty fields are left
    out, and so are docstrings.
    """
    if isinstance(node, list):
        return [_shape(item) for item in node]
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = []
    documented = isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False)
    for name, value in ast.iter_fields(node):
        if name == "body" and documented:
            value = value[1:]
        if isinstance(node, ast.JoinedStr):
            value = _merged(value)
        if name not in ("kind", "type_comment", "ctx") and value not in (None, []):
            fields.append((name, _shape(value)))
    if isinstance(node, ast.Constant) and node.value is None:
        fields = [("value", "None")]
    return (type(node).__name__, fields)


def _merged(parts: list[ast.expr]) -> list[ast.expr]:
    """The parts of an f-string, texts joined and no empty ones, as Pythons differ."""
    merged: list[ast.expr] = []
    for part in parts:
        last = merged[-1] if merged else None
        if isinstance(part, ast.Constant) and not part.value:
            continue
        if isinstance(part, ast.Constant) and isinstance(last, ast.Constant):
            merged[-1] = ast.Constant(str(last.value) + str(part.value))
        else:
            merged.append(part)
    return merged


# --- checks --------------------------------------------------------------------------

RANDOM = re.compile(
    r"\bat 0x[0-9a-f]{6,}"  # an object's address
    r"|altair-viz-[0-9a-f]{8,}"
    r"|\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b"  # a UUID
)


def output_problems(nb: Notebook) -> Iterator[str]:
    """What no stored output may hold."""
    for index, cell in enumerate(nb.cells):
        where = f"cell {index}"
        outputs = cell.get("outputs", [])
        tags = cell.metadata.get("tags", [])
        checked = "nbval-check-output" in tags
        if checked and not outputs:
            yield f"{where} is tagged nbval-check-output and has no output"
        for output in outputs:
            if output.output_type == "error":
                yield f"{where} ended in an error"
            if output.output_type == "stream" and output.name == "stderr":
                yield f"{where} writes to stderr: {output.text.strip()[:200]}"
            if any("jupyter.widget" in kind for kind in output.get("data", {})):
                yield f"{where} stores a widget, which a page cannot draw"
            if output.get("metadata", {}).get("optdyn_claim") and not checked:
                yield f"{where} states a claim and lacks the tag nbval-check-output"
            text = output.get("text", "") + json.dumps(
                {
                    kind: data
                    for kind, data in output.get("data", {}).items()
                    if not kind.startswith("image/")
                }
            )
            match = RANDOM.search(text)
            if match:
                yield f"{where} stores what differs from run to run: {match[0]}"


def problems(path: Path) -> Iterator[str]:
    """What is wrong with a stored notebook, in sentences."""
    text = path.read_bytes().decode("utf-8")
    nb = nbformat.reads(text, as_version=4)
    if text != normalise(nb):
        yield "is not in the stored form: python book/notebooks.py normalise"
    if len(text.encode()) > FILE_SIZE:
        yield f"has {len(text.encode())} bytes, more than {FILE_SIZE}"
    first = setup_cell(nb)
    if first is None:
        yield "has no set-up cell first: make execute puts it in"
    elif not is_setup_source(first.source, path):
        yield "has a set-up cell that differs from the template: make execute renews it"
    if nb.metadata.get("optdyn", {}).get("fingerprint") != fingerprint(nb, path):
        yield "has outputs older than its cells, the library or the lock: make execute"
    for index, cell in enumerate(nb.cells):
        if cell.cell_type != "code":
            continue
        lines = cell.source.splitlines()
        if not cell.source.strip():
            yield f"cell {index} is empty"
        if len(lines) > CELL_LINES:
            yield f"cell {index} has {len(lines)} lines, more than {CELL_LINES}"
        for line in lines:
            if len(line) > LINE_LENGTH:
                yield f"cell {index} has a line longer than {LINE_LENGTH}: {line[:40]}"
    yield from exercise_problems(path, nb)
    yield from output_problems(nb)


# --- running -------------------------------------------------------------------------

PROBE = """\
import json as _json, jax as _jax, jax.numpy as _jnp, numpy as _np
_device = _jax.devices()[0]
_names = dict.fromkeys([_device.platform, _device.device_kind])
print(_json.dumps(dict(device=": ".join(_names),
    dtype=str(_jnp.zeros(()).dtype), jax=_jax.__version__, numpy=_np.__version__)))
"""


def run_one(path: Path, result: Path) -> int:
    """Run one notebook and write what came of it to `result`; for a process of its own.

    Progress goes to standard output, a line a cell.
    """
    import nbclient
    from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager

    class ThisPython(KernelSpecManager):
        """Kernels of this very Python, whatever is installed for the user."""

        def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
            import ipykernel.kernelspec as kernel

            return KernelSpec(resource_dir=kernel.RESOURCES, **kernel.get_kernel_dict())

    # Left alone in the world, end the kernel and go: our parent holds the other end.
    def watch_parent() -> None:
        sys.stdin.read()
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                child.kill()
        os._exit(1)

    threading.Thread(target=watch_parent, daemon=True).start()
    before = path.read_text("utf-8")
    nb = nbformat.reads(before, as_version=4)
    put_setup_cell(nb, path)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as home:
        os.environ["IPYTHONDIR"] = home  # no start-up files, no history
        manager = AsyncKernelManager(kernel_spec_manager=ThisPython())
        client = nbclient.NotebookClient(
            nb,
            km=manager,
            timeout=CELL_TIMEOUT,
            record_timing=False,
            store_widget_state=False,
            shutdown_kernel="immediate",
            resources={"metadata": {"path": str(path.parent)}},
        )
        try:
            with client.setup_kernel(cleanup_kc=True):
                for index, cell in enumerate(nb.cells):
                    print(f"cell {index + 1} of {len(nb.cells)}", flush=True)
                    client.execute_cell(cell, index)
                seconds = time.monotonic() - began
                probe = nbformat.v4.new_code_cell(PROBE)
                nb.cells.append(probe)
                client.execute_cell(probe, len(nb.cells) - 1)
                nb.cells.pop()
                machine = json.loads(probe.outputs[0].text)
        except nbclient.exceptions.CellExecutionError as error:
            print(f"failed: cell {index} of {short_name(path)}\n{error}", flush=True)
            return 1
        except (nbclient.exceptions.CellTimeoutError, RuntimeError) as error:
            print(f"failed: cell {index} of {short_name(path)}: {error}", flush=True)
            return 1
    wrong = list(output_problems(nb))
    if wrong:
        print(f"failed: {short_name(path)}", *wrong, sep="\n  ", flush=True)
        return 1
    nb.metadata["optdyn"] = {"fingerprint": fingerprint(nb, path)}
    content = {
        "before": before,
        "after": normalise(nb),
        "seconds": round(seconds, 1),
        "machine": machine,
    }
    result.write_text(json.dumps(content), "utf-8")
    return 0


class Progress:
    """One line on a terminal that is drawn over; plain lines elsewhere."""

    def __init__(self, total: int):
        self.total, self.done = total, 0
        self.began = time.monotonic()
        self.running: dict[str, str] = {}
        self.lock = threading.Lock()
        self.told = 0.0
        self.terminal = sys.stdout.isatty()

    def say(self, text: str) -> None:
        if not self.terminal:
            text = re.sub(r"\x1b\[[0-9;]*m", "", text)  # tracebacks come in colour
        with self.lock:
            print(("\r\x1b[K" if self.terminal else "") + text, flush=True)

    def draw(self) -> None:
        seconds = time.monotonic() - self.began
        now = "; ".join(f"{name}: {at}" for name, at in list(self.running.items()))
        text = f"{self.done} of {self.total}, {seconds:.0f} s  {now}"
        if self.terminal:
            width = 20
            full = width * self.done // self.total
            bar = "#" * full + "." * (width - full)
            columns = os.get_terminal_size().columns - 1
            with self.lock:
                print("\r\x1b[K" + f"[{bar}] {text}"[:columns], end="", flush=True)
        elif seconds - self.told >= 10:
            self.told = seconds
            self.say("  " + text)

    def clear(self) -> None:
        if self.terminal:
            print("\r\x1b[K", end="", flush=True)


def execute(paths: Sequence[Path], jobs: int = 2) -> int:
    """Run the notebooks, `jobs` at a time; return how many failed."""
    progress = Progress(len(paths))
    children: dict[subprocess.Popen[str], None] = {}
    stopping = threading.Event()
    failed = 0

    def run(path: Path, result: Path) -> str | None:
        """Run in a process of its own; what it printed, if it failed."""
        name = short_name(path)
        apart: dict[str, Any] = {"start_new_session": True}  # Ctrl-C reaches us alone
        if os.name == "nt":
            apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}  # type: ignore[attr-defined,unused-ignore]
        command = [sys.executable, __file__, "run-one", str(path), str(result)]
        if stopping.is_set():
            return "stopped"
        child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            **apart,
        )
        children[child] = None
        said: list[str] = []
        assert child.stdout is not None
        for line in child.stdout:
            if re.fullmatch(r"cell \d+ of \d+\n", line):
                progress.running[name] = line.strip()
            else:
                said.append(line)
        status = child.wait()
        del children[child]
        progress.running.pop(name, None)
        return "".join(said) or f"ended with status {status}" if status else None

    def take(path: Path, result: Path, complaint: str | None) -> bool:
        """Put a finished run's notebook in place."""
        name = short_name(path)
        if complaint is not None:
            progress.say(f"FAILED {name}\n{complaint}")
            return False
        content = json.loads(result.read_text("utf-8"))
        if path.read_text("utf-8") != content["before"]:
            progress.say(f"FAILED {name}: it was edited while it ran; left as it is.")
            return False
        changed = content["after"] != content["before"]
        if changed:
            write_whole(path, content["after"])
        record(name, content["seconds"], content["machine"])
        state = "renewed" if changed else "unchanged"
        progress.say(f"{name}: {state}, {content['seconds']:.1f} s")
        return True

    progress.say(f"Running {len(paths)} notebooks, {jobs} at a time.")
    pool = concurrent.futures.ThreadPoolExecutor(jobs)
    with tempfile.TemporaryDirectory() as folder:
        try:
            runs = {}
            for number, path in enumerate(paths):
                result = Path(folder) / f"{number}.json"
                runs[pool.submit(run, path, result)] = path, result
            waiting = set(runs)
            while waiting:
                done, waiting = concurrent.futures.wait(
                    waiting,
                    timeout=0.5,
                    return_when=concurrent.futures.FIRST_COMPLETED,
                )
                for future in done:
                    failed += not take(*runs[future], future.result())
                    progress.done += 1
                progress.draw()
            progress.clear()
        finally:
            stopping.set()
            pool.shutdown(wait=False, cancel_futures=True)
            for child in list(children):
                with contextlib.suppress(psutil.Error):
                    family = psutil.Process(child.pid).children(recursive=True)
                    for process in [psutil.Process(child.pid), *family]:
                        with contextlib.suppress(psutil.Error):
                            process.kill()
    return failed


# --- measurements --------------------------------------------------------------------


def cpu_model() -> str:
    with contextlib.suppress(OSError):
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
        if found:
            return found[1]
    if sys.platform == "darwin":
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            command = ["sysctl", "-n", "machdep.cpu.brand_string"]
            return subprocess.check_output(command, text=True).strip()
    return platform.processor() or platform.machine()


def record(name: str, seconds: float, probed: dict[str, str]) -> None:
    """Put one notebook's run into book/measurements.json.

    The file is replaced whole. `machine` describes the latest run; each notebook keeps
    the processor, device and dtype of its own.
    """
    stored: dict[str, Any] = {}
    if MEASUREMENTS.exists():
        stored = json.loads(MEASUREMENTS.read_text("utf-8"))
    versions = locked_versions()
    cores = os.cpu_count() or 1
    machine = {
        "cpu": cpu_model(),
        "cores": cores,
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "os": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "altair": versions["altair"],
        **probed,
    }
    runs = {
        path: entry for path, entry in stored.get("notebooks", {}).items() if (ROOT / path).exists()
    }
    runs[name] = {
        "seconds": seconds,
        "date": datetime.date.today().isoformat(),
        "cpu": f"{machine['cpu']}, {cores} cores",
        "device": probed["device"],
        "dtype": probed["dtype"],
    }
    text = json.dumps(
        {"machine": machine, "notebooks": runs},
        ensure_ascii=False,
        indent=1,
        sort_keys=True,
    )
    write_whole(MEASUREMENTS, text + "\n")


# --- the commands --------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("command", choices=["execute", "normalise", "check", "run-one"])
    parser.add_argument("notebooks", nargs="*", type=Path, help="all, if none is named")
    parser.add_argument("--jobs", type=int, default=2, help="how many run at a time")
    chosen = parser.parse_args(arguments)
    paths = [path.resolve() for path in chosen.notebooks] or all_notebooks()
    if chosen.command == "run-one":
        return run_one(*paths)
    for path in paths:
        if not path.is_file() or path.suffix != ".ipynb":
            parser.error(f"{path} is no notebook; name files that end in .ipynb")
    if not paths:
        parser.error("there are no notebooks")
    if chosen.command == "execute":
        os.environ["OPTDYN_BOOK"] = "1"
        for leftover in {f for p in paths for f in p.parent.glob(".*.ipynb.*.tmp")}:
            leftover.unlink(missing_ok=True)  # of a run that was killed
        paths = renew_exercises(paths)
        return 1 if execute(paths, max(1, chosen.jobs)) else 0
    if chosen.command == "normalise":
        for path in paths:
            before = path.read_text("utf-8")
            nb = nbformat.reads(before, as_version=4)
            put_setup_cell(nb, path)
            after = normalise(nb)
            if after != before:
                write_whole(path, after)
                print(f"rewritten {short_name(path)}")
        return 0
    found = [f"{short_name(path)} {text}" for path in paths for text in problems(path)]
    print(*found, sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    import signal

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        status = main()
    except KeyboardInterrupt:
        print("\nStopped. Every notebook is as it was or renewed whole.", flush=True)
        status = 130
    sys.stdout.flush()
    os._exit(status)  # threads that still read from killed runs are of no interest
