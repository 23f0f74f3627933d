"""The notebooks as a reader elsewhere runs them: other versions, and no checkout around them.

    python -m tests.elsewhere KIND [NOTEBOOK ...]     KIND: colab, oldest or newest; all notebooks

In an environment of those versions, without the library, each notebook lies in a folder outside the
checkout, with the library's wheel two folders up. It is run from its first cell on, by a kernel of
that environment, as by somebody at a screen: with widgets, not as for the site. What raises, what
writes to stderr, a claim that fails or is not reached, and a set-up cell that finds a version too
old, are failures; so is every package that is another one afterwards.

The kernels are read by jupyter_client itself. nbclient, which runs the notebooks for the site,
stalls now and then at the Output widgets that a live figure has (its issue 312).
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import hashlib
import json
import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
import psutil
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager

import bookwheel
import make
import notebooks

ROOT = Path(__file__).resolve().parent.parent
CELL_SECONDS = 300.0  # a cell that takes longer hangs
NAMED = ("jax", "jaxlib", "numpy", "ipywidgets")  # in the table's first line


class Kind(NamedTuple):
    requirements: str  # a lock, or ranges of which the newest are taken
    python: str  # the version it is meant for; another does if there is none


KINDS = {
    "colab": Kind("requirements-colab.lock", "3.13"),
    "oldest": Kind("requirements-oldest.lock", "3.11"),
    "newest": Kind("requirements-newest.txt", "3.13"),
}


class Result(NamedTuple):
    name: str
    seconds: float
    claims: int
    complaints: list[str]


# --- environments ---------------------------------------------------------------------


def interpreter(version: str) -> Path:
    """A Python of that version, from PATH or where pyenv and uv put it; else the one that runs."""
    places = {
        "PYENV_ROOT": (Path.home() / ".pyenv", f"versions/{version}.*/bin/python{version}"),
        "UV_PYTHON_INSTALL_DIR": (
            Path.home() / ".local/share/uv/python",
            f"cpython-{version}.*/bin/python{version}",
        ),
    }
    found = [shutil.which(f"python{version}")]
    for variable, (folder, pattern) in places.items():
        found += sorted(map(str, Path(os.environ.get(variable, folder)).glob(pattern)))
    question = "import ensurepip, sys, venv; print('%d.%d' % sys.version_info[:2])"
    for one in filter(None, found):
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            asked = [one, "-c", question]
            ran = subprocess.run(asked, capture_output=True, text=True, timeout=60, cwd="/")
            if ran.returncode == 0 and ran.stdout.strip() == version:
                return Path(one)
    return Path(sys.executable)


def variables(**more: str) -> dict[str, str]:
    """The environment of what runs there: nothing of the book's, nothing of the user's."""
    kept = {k: v for k, v in make.environment().items() if not k.startswith(("OPTDYN_", "IPYTHON"))}
    return {**kept, "PYTHONNOUSERSITE": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", **more}


def environment(kind: str, folder: Path | None = None) -> Path:
    """The Python of an environment of that kind, made unless it is there for the same lock.

    Raises: SystemExit if it cannot be made.
    """
    wanted = ROOT / KINDS[kind].requirements
    base = interpreter(KINDS[kind].python)
    venv = folder or ROOT / ".make" / f"elsewhere-{kind}"
    python, mark = make.venv_python(venv), venv / "optdyn-mark"
    digest = hashlib.sha256(wanted.read_bytes()).hexdigest()
    complete = f"complete\n{base}\n{digest}\n{venv}\n"
    locked = wanted.suffix == ".lock"
    if locked and python.exists() and mark.is_file() and mark.read_text("utf-8") == complete:
        return python
    shutil.rmtree(venv, ignore_errors=True)
    pip: list[str | Path] = [python, "-m", "pip", "install", "--progress-bar=off", "--no-input"]
    pip += ["--only-binary=:all:", "-r", wanted]
    pip += ["--no-deps", "--require-hashes"] if locked else []
    log = venv.with_suffix(".log")
    make.say(f"Setting up {venv.name} from {wanted.name}: 1 GB, a minute or a few.")
    steps: dict[str, list[str | Path]] = {
        "making the environment": [base, "-m", "venv", venv],
        "installing": pip,
    }
    for label, command in steps.items():
        if make.watch(label, command, log, PIP_USER="0") != 0:
            make.say(make.tail(log))
            make.stop(f"{venv.name} could not be made ({label}; {log} says why). A network?")
    mark.write_text(complete, "utf-8")
    return python


def forget(kind: str) -> None:
    """Let the environment of that kind be made anew the next time."""
    (ROOT / ".make" / f"elsewhere-{kind}" / "optdyn-mark").unlink(missing_ok=True)


def freeze(python: Path) -> dict[str, str]:
    """The version of every package there, but the library's."""
    code = (
        "import importlib.metadata as m, json; "
        "print(json.dumps({d.name.lower(): d.version for d in m.distributions()}))"
    )
    said = subprocess.check_output([str(python), "-c", code], text=True, env=variables(), cwd="/")
    return {k: v for k, v in sorted(json.loads(said).items()) if k != "optdyn"}


def without_library(python: Path) -> None:
    """Take the library out of that environment, if an earlier run put it there."""
    command = [str(python), "-m", "pip", "uninstall", "--yes", "--quiet", "optdyn"]
    subprocess.run(command, check=True, capture_output=True, env=variables())


# --- one notebook ---------------------------------------------------------------------


def run_notebook(path: Path, python: Path, seconds: float = CELL_SECONDS) -> Result:
    """Run a notebook in its folder, by a kernel of that Python.

    Args: path; python; seconds, how long a cell may take.
    Returns: its name, the time, the number of claims, and what went wrong.
    """
    return asyncio.run(_run_notebook(path, python, seconds))


async def _run_notebook(path: Path, python: Path, seconds: float) -> Result:
    class There(KernelSpecManager):
        def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
            launch = ["-Xfrozen_modules=off", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
            return KernelSpec(argv=[str(python), *launch], display_name="There", language="python")

    nb = nbformat.read(path, as_version=4)
    stored = {claim for cell in nb.cells for claim in claims_of(cell.get("outputs", []))}
    complaints: list[str] = []
    seen: list[str] = []
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as home:
        manager = AsyncKernelManager(kernel_spec_manager=There())
        await manager.start_kernel(
            cwd=str(path.parent),
            env=variables(IPYTHONDIR=home),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        client = manager.client()
        try:
            client.start_channels()
            await client.wait_for_ready(timeout=120)
            for index, cell in enumerate(nb.cells):
                if cell.cell_type != "code":
                    continue
                outputs = []
                async for output in execute(manager, client, cell.source, seconds):
                    outputs.append(output)
                    if output["output_type"] == "error":
                        trace = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(output["traceback"]))
                        complaints.append(f"cell {index}:\n{trace}")
                    elif output.get("name") == "stderr":
                        complaints.append(f"cell {index} writes to stderr: {output['text']}")
                    elif "and the book needs" in output.get("text", ""):
                        complaints.append(f"cell {index}: {output['text']}")
                seen += claims_of(outputs)
                if complaints:
                    break
        except (TimeoutError, RuntimeError) as error:
            complaints.append(str(error))
        finally:
            client.stop_channels()
            await _end(manager)
    if not complaints and stored - set(seen):
        complaints.append(f"claims that were not reached: {', '.join(sorted(stored - set(seen)))}")
    return Result(path.stem, time.monotonic() - began, len(seen), complaints)


async def _end(manager: AsyncKernelManager) -> None:
    """End a kernel and what it started."""
    family: list[psutil.Process] = []
    with contextlib.suppress(psutil.Error):
        kernel = getattr(manager.provisioner, "pid", None)
        family = psutil.Process(kernel).children(recursive=True) if kernel else []
    await manager.shutdown_kernel(now=True)
    for process in family:
        with contextlib.suppress(psutil.Error):
            process.kill()


async def execute(
    manager: AsyncKernelManager, client: Any, source: str, seconds: float
) -> AsyncIterator[dict[str, Any]]:
    """The outputs of a cell, as they come.

    Raises: TimeoutError if it takes too long, RuntimeError if the kernel dies.
    """
    asked = client.execute(source, allow_stdin=False)
    end = time.monotonic() + seconds
    while True:
        if time.monotonic() > end:
            raise TimeoutError(f"a cell took more than {seconds:g} s: {source[:200]}")
        try:
            message = await client.get_iopub_msg(timeout=1)
        except queue.Empty:
            if not await manager.is_alive():
                raise RuntimeError(f"the kernel died in this cell: {source[:200]}") from None
            continue
        if message["parent_header"].get("msg_id") != asked:
            continue
        kind, content = message["header"]["msg_type"], message["content"]
        if kind == "status" and content["execution_state"] == "idle":
            return
        if kind in ("stream", "error", "display_data", "execute_result"):
            yield {"output_type": kind, **content}


def claims_of(outputs: Sequence[Any]) -> list[str]:
    """Ids of the claims that outputs state."""
    return [
        output["metadata"]["optdyn_claim"]["id"]
        for output in outputs
        if "optdyn_claim" in output.get("metadata", {})
    ]


# --- all of them ----------------------------------------------------------------------


def lay(paths: Sequence[Path], folder: Path) -> list[Path]:
    """Copy notebooks to `folder`, in the book's order of folders, with the wheel at its top."""
    bookwheel.package(folder, ["wheel"])
    laid = []
    for path in paths:
        name = notebooks.short_name(path)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / name)
        laid.append(folder / name)
    return laid


def run(kind: str, paths: Sequence[Path], jobs: int = 2) -> list[Result]:
    """Run notebooks under the versions of that kind, the first alone: its set-up cell installs.

    Returns: a result for each, and one for the packages, whose complaints are what changed.
    """
    with make.one_at_a_time(f"elsewhere-{kind}"), tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch).resolve() / "a reader's folder"
        folder.mkdir()
        python = environment(kind)
        without_library(python)
        before = freeze(python)
        versions = ", ".join(f"{name} {before[name]}" for name in NAMED)
        asked = [str(python), "-c", "import platform; print(platform.python_version())"]
        number = subprocess.check_output(asked, text=True).strip()
        make.say(f"Python {number} (meant for {KINDS[kind].python}), {versions}")
        first, *others = lay(paths, folder)

        def one(path: Path) -> Result:
            name = path.relative_to(folder).as_posix()
            result = run_notebook(path, python)._replace(name=name)
            verdict = "FAILED" if result.complaints else "passed"
            row = f"  {name:<36}{result.seconds:7.1f} s {result.claims:4d} claims  {verdict}"
            make.say("\n".join([row, *result.complaints]))
            return result

        results = [one(first)]
        if not results[0].complaints:
            with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
                results += pool.map(one, others)
        after = freeze(python)
        changed = [
            f"{name} was {before.get(name)} and is {after.get(name)}"
            for name in sorted(before.keys() | after.keys())
            if before.get(name) != after.get(name)
        ]
        if changed:
            forget(kind)
        meant = KINDS[kind].python
        if os.environ.get("OPTDYN_ALL") == "1" and not number.startswith(f"{meant}."):
            changed.append(f"Python is {number}, and {meant} is meant: install it beside this one")
        row = f"  {len(before)} packages{'':<35} {'FAILED' if changed else 'unchanged'}"
        make.say("\n".join([row, *changed]))
        return [*results, Result("packages", 0.0, 0, changed)]


def sample() -> list[Path]:
    """The index, the closing chapter, and one notebook of each topic."""
    chosen = {"shiftk": "2_mechanism"}  # works with mpmath
    folders = sorted(path.parent for path in ROOT.glob("chapters/*/1_phenomenon.ipynb"))
    return [
        *(ROOT / "book" / f"{name}.ipynb" for name in ("index", "closing")),
        *(folder / f"{chosen.get(folder.name, '1_phenomenon')}.ipynb" for folder in folders),
    ]


def main(arguments: Sequence[str]) -> int:
    kind, *names = arguments
    paths = [Path(name).resolve() for name in names] or notebooks.all_notebooks()
    results = run(kind, paths)
    failed = [result.name for result in results if result.complaints]
    ran = len(results) - 1
    if failed:
        make.say(f"{kind}: {ran} of {len(paths)} notebooks ran; failed: {', '.join(failed)}")
    else:
        make.say(f"{kind}: {ran} notebooks passed.")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
