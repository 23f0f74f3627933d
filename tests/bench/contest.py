"""One row of the benchmark: the library and what a user would otherwise take, on the same work.

    python tests/bench/contest.py bifurcation               one row by itself, the whole task
    python tests/bench/contest.py bifurcation --task quick  a small one

Every contestant is a process of its own under the interpreter of its environment, held to one
core, the same for all, with one thread everywhere. They take turns, and the order rotates from
repeat to repeat. Their answers are compared by the row; a wrong answer makes the exit status 1.

Environments: "book" is the one this runs in; "peers" is .make/venv-peers, which `make bench`
makes from requirements-peers.lock; "torch" is the peers' too, if PyTorch is there. It is large,
so nothing installs it by itself. The one command that does:

    .make/venv-peers/bin/python -m pip install torch --index-url https://download.pytorch.org/whl/cpu
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.metadata
import importlib.util
import json
import os
import queue
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PEERS = ROOT / ".make" / "venv-peers"
PATIENCE = {"prepare": 600.0, "run": 300.0}  # seconds until a contestant counts as hanging
REPEATS = {"whole": 7, "quick": 3}
PACKAGES = ("jax", "jaxlib", "numpy", "scipy", "optax", "numba", "torch", "fbm", "stochastic")
ONE_THREAD = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "VECLIB_MAXIMUM", "NUMBA")


# --- what a row says -----------------------------------------------------------------


class Machine(NamedTuple):
    """Measured in the same run, on one core (machine.py): units per second."""

    flops64: float  # floating-point operations, a fused multiply-add counts two
    flops32: float
    exp64: float  # exponentials
    exp32: float
    bytes: float  # memory traffic, read and write, arrays far larger than the caches
    words: float  # 32-bit random words of threefry (jax.random.bits)


class Bound(NamedTuple):
    """No program on this core can be faster, if the argument holds."""

    seconds: float
    argument: str  # one sentence: which resource, how much of it, its measured rate


class Contestant(NamedTuple):
    """`prepare(**task)` imports what it needs, builds the inputs with NumPy from fixed seeds,
    and returns run(), which does the work once, waits until it is done and returns named
    NumPy answers. The first run() compiles."""

    prepare: Callable[..., Callable[[], dict[str, np.ndarray]]]
    environment: str = "book"  # "book", "peers" or "torch"
    share: float = 1.0  # the part of the work that run() does; its seconds are divided by it
    ours: bool = False


class Row(NamedTuple):
    """A line of the table; see the modules in rows/."""

    title: str
    topic: str  # noise, cycles, shiftk or adam
    ensemble: bool  # an ensemble or a sweep is computed: we should be ahead of everybody
    size: str  # one line, with str.format(**task)
    tasks: dict[str, dict[str, Any]]  # "whole" and "quick"
    contestants: dict[str, Contestant]  # by the name shown; the first is ours
    compare: Callable[[dict[str, dict[str, np.ndarray]], dict[str, Any]], list[str]]
    bound: Callable[[dict[str, Any], Machine], Bound]
    why: str = ""  # if somebody is ahead of us: the reason


def row_names() -> list[str]:
    """The modules in rows/."""
    return sorted(path.stem for path in (HERE / "rows").glob("*.py") if path.stem != "__init__")


def load_row(name: str) -> Row:
    """The row of a module in rows/, or of any file that ends in .py."""
    if name.endswith(".py"):
        spec = importlib.util.spec_from_file_location(Path(name).stem, name)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    else:
        module = importlib.import_module(f"rows.{name}")
    row: Row = module.ROW
    return row


# --- a contestant's own process ------------------------------------------------------


def hold(core: int | None) -> None:
    """Keep this process on one core, where the system can."""
    if core is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})


def the_core() -> int | None:
    """The core that all contestants share: the last we may use."""
    return max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


def answering() -> TextIO:
    """The stdout of this process, for its answers alone: what others print goes to stderr."""
    sys.stdout.flush()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


def clock() -> Callable[[], float]:
    """Seconds of the processor, which a busy machine disturbs little; on an accelerator, and
    where the system counts them too coarsely (Windows), seconds of the wall."""
    fine = time.get_clock_info("process_time").resolution < 1e-4
    wall = os.environ.get("OPTDYN_BENCH_CLOCK") == "wall"
    return time.process_time if fine and not wall else time.perf_counter


def versions() -> dict[str, str]:
    """Of the packages that matter, those that this process has imported."""
    found = {}
    for name in PACKAGES:
        if name in sys.modules:
            with contextlib.suppress(importlib.metadata.PackageNotFoundError):
                found[name] = importlib.metadata.version(name)
    return found


def peak() -> int | None:
    """The most memory that this process has had resident, in bytes."""
    with contextlib.suppress(OSError):  # Linux, whose getrusage counts what forked us, too
        status = Path("/proc/self/status").read_text("utf-8")
        return 1024 * int(status.partition("VmHWM:")[2].split()[0])
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def serve(row: str, contestant: str, task: str, answers: Path, core: int | None) -> int:
    """Answer the lines "prepare" and "run" on stdin with a line of JSON each on stdout."""
    hold(core)
    say, now = answering(), clock()
    chosen = load_row(row)
    one, settings = chosen.contestants[contestant], chosen.tasks[task]
    run: Callable[[], dict[str, np.ndarray]] | None = None
    for line in sys.stdin:
        if line.strip() == "prepare":
            run = one.prepare(**settings)
            began = now()
            found = run()
            took = now() - began
            np.savez(answers, **found)
            answer = {"first": took, "versions": versions(), "peak": peak()}
        else:
            assert run is not None
            began = now()
            run()
            answer = {"seconds": now() - began}
        print(json.dumps(answer), file=say, flush=True)
    return 0


# --- the parent's side ---------------------------------------------------------------


class Failure(Exception):
    """A contestant's process ended, hung, or said what cannot be read."""


class Child(NamedTuple):
    process: subprocess.Popen[str]
    lines: queue.SimpleQueue[str | None]
    errors: Path  # what it wrote to stderr


def interpreter(kind: str) -> Path:
    """The Python of an environment."""
    if kind == "book":
        return Path(sys.executable)
    return PEERS / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def why_missing(kind: str) -> str:
    """Why contestants of that environment cannot be had, or nothing."""
    python = interpreter(kind)
    if not python.exists():
        return "its environment is not there; make bench makes it"
    if kind == "torch":
        look = "import importlib.util, sys; sys.exit(importlib.util.find_spec('torch') is None)"
        if subprocess.run([python, "-c", look]).returncode:
            return "PyTorch is not installed beside the other competitors"
    return ""


def surroundings(device: bool) -> dict[str, str]:
    """The environment variables of a contestant: one thread, float64; the CPU, or the device."""
    kept = {k: v for k, v in os.environ.items() if k not in ("JAX_PLATFORMS", "XLA_FLAGS")}
    kept |= {f"{name}_NUM_THREADS": "1" for name in ONE_THREAD}
    kept |= {"JAX_ENABLE_X64": "1", "PYTHONUTF8": "1"}
    if device:  # which several processes share
        return {**kept, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    flags = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    return {**kept, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags}


@contextlib.contextmanager
def started(command: Sequence[str | Path], errors: Path, env: dict[str, str]) -> Iterator[Child]:
    """A child process and a queue of the lines it prints; ended whatever happens."""
    with errors.open("w", encoding="utf-8") as complaints:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=env,
        )
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(line)
        lines.put(None)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield Child(process, lines, errors)
    finally:
        process.kill()
        process.wait()
        reader.join(10)
        for pipe in process.stdin, process.stdout:
            assert pipe is not None
            with contextlib.suppress(OSError):
                pipe.close()


def ask(child: Child, word: str, patience: float) -> dict[str, Any]:
    """Send a word and wait for the line of JSON that answers it."""
    assert child.process.stdin is not None
    try:
        child.process.stdin.write(word + "\n")
        child.process.stdin.flush()
    except OSError:
        pass  # it is gone; its queue ends with None
    try:
        line = child.lines.get(timeout=patience)
    except queue.Empty:
        raise Failure(f"no answer to {word!r} in {patience:g} s{ending(child.errors)}") from None
    if line is None:
        status = child.process.wait()
        raise Failure(f"ended with status {status} at {word!r}{ending(child.errors)}")
    answer: dict[str, Any] = json.loads(line)
    return answer


def ending(errors: Path, lines: int = 8) -> str:
    """The end of what a child wrote to stderr."""
    said = errors.read_text("utf-8", errors="replace").splitlines()[-lines:]
    return "".join(f"\n      {line}" for line in said)


def rotated(names: Sequence[str], turn: int) -> list[str]:
    """The names in order, beginning one further each turn."""
    start = turn % len(names)
    return [*names[start:], *names[:start]]


def ratios(seconds: dict[str, list[float]], ours: str) -> dict[str, list[float]]:
    """Median, lowest and highest of each contestant's seconds over ours, repeat by repeat."""
    found = {}
    for name, values in seconds.items():
        if name != ours:
            each = [value / own for value, own in zip(values, seconds[ours], strict=True)]
            found[name] = [statistics.median(each), min(each), max(each)]
    return found


def precision(task: dict[str, Any], answers: dict[str, np.ndarray]) -> str:
    """The dtype that the task asks for, else the widest floating one of our answers."""
    if "dtype" in task:
        return np.dtype(task["dtype"]).name
    floats = [value.dtype for value in answers.values() if value.dtype.kind in "fc"]
    return np.result_type(*floats).name if floats else "float64"


class Outcome(NamedTuple):
    stored: dict[str, Any]  # as in book/speed.json
    versions: dict[str, str]
    complaints: list[str]


def measure(
    name: str,
    task_name: str,
    machine: Machine,
    *,
    repeats: int | None = None,
    device: bool = False,
    core: int | None = None,
    patience: dict[str, float] = PATIENCE,
) -> Outcome:
    """Run one row: answers first, then the repeats, then the tables' numbers."""
    row = load_row(name)
    task = row.tasks[task_name]
    repeats = repeats or REPEATS[task_name]
    missing, answers, first, used = {}, {}, {}, {}
    peaks: dict[str, int | None] = {}
    complaints: list[str] = []
    children: dict[str, Child] = {}
    core = the_core() if core is None else core
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        for number, (shown, one) in enumerate(row.contestants.items()):
            reason = why_missing(one.environment)
            if reason:
                missing[shown] = reason
                continue
            saved = Path(folder) / f"{number}.npz"
            command = [interpreter(one.environment), Path(__file__), "--serve", name, shown]
            command += [task_name, "--answers", saved]
            command += [] if core is None or (device and one.ours) else ["--core", str(core)]
            env = surroundings(device and one.ours)
            env["OPTDYN_BENCH_CLOCK"] = "wall" if device else "processor"
            child = stack.enter_context(started(command, saved.with_suffix(".err"), env))
            try:
                answer = ask(child, "prepare", patience["prepare"])
                with np.load(saved) as stored:
                    answers[shown] = dict(stored)
            except (Failure, OSError, ValueError) as failure:
                complaints.append(f"{shown}: {failure}")
                missing[shown] = "it failed"
                continue
            children[shown], first[shown], peaks[shown] = child, answer["first"], answer["peak"]
            used.update(answer["versions"])
        seconds: dict[str, list[float]] = {shown: [] for shown in children}
        try:
            for turn in range(repeats if children else 0):
                for shown in rotated(list(children), turn):
                    took = ask(children[shown], "run", patience["run"])["seconds"]
                    seconds[shown].append(took / row.contestants[shown].share)
        except (Failure, ValueError) as failure:
            complaints.append(f"{shown}: {failure}")
    ours = next(shown for shown, one in row.contestants.items() if one.ours)
    if complaints or ours not in answers:
        return Outcome({}, used, complaints or [f"{ours}: {missing[ours]}"])

    complaints += row.compare(answers, task)
    bound = row.bound(task, machine)
    contestants: dict[str, dict[str, Any]] = {}
    for shown, one in row.contestants.items():
        if shown in missing:
            contestants[shown] = {"missing": missing[shown]}
            continue
        median = statistics.median(seconds[shown])
        contestants[shown] = {
            "ours": one.ours,
            "median": median,
            "low": min(seconds[shown]),
            "high": max(seconds[shown]),
            # What the first call took beyond a later one.
            "compile": max(0.0, first[shown] - median * one.share),
            "share": one.share,
            "environment": one.environment,
            "peak": peaks[shown],
        }
        if task_name == "whole" and median < 0.9 * bound.seconds:
            complaints.append(f"{shown} is faster than the bound: {median:g} s, {bound}")
    return Outcome(
        {
            "title": row.title,
            "topic": row.topic,
            "ensemble": row.ensemble,
            "size": row.size.format(**task),
            "repeats": repeats,
            "precision": precision(task, answers[ours]),
            "contestants": contestants,
            "ratio": ratios(seconds, ours),
            "bound": bound._asdict(),
            "why": row.why,
        },
        used,
        complaints,
    )


# --- for people ----------------------------------------------------------------------


def table(stored: dict[str, Any]) -> str:
    """The outcome of a row as text."""
    lines = [f"{stored['title']}: {stored['size']}"]
    head = f"  {'median of ' + str(stored['repeats']):<30}{'compile s':>10}{'run s':>10}"
    lines.append(head + "  (low to high)" + f"{'times ours':>19}  (low to high)")
    for shown, one in stored["contestants"].items():
        if "missing" in one:
            lines.append(f"  {shown:<30}  not measured: {one['missing']}")
            continue
        spread = f"({one['low']:.4g} to {one['high']:.4g})"
        text = f"  {shown:<30}{one['compile']:>10.2f}{one['median']:>10.4g}  {spread:<22}"
        if shown in stored["ratio"]:
            middle, low, high = stored["ratio"][shown]
            text += f"{middle:>10.3g}  ({low:.3g} to {high:.3g})"
        if one["share"] != 1:
            text += f"   {100 * one['share']:.3g} % of the work timed, and scaled up"
        lines.append(text.rstrip())
    bound = stored["bound"]
    lines.append(f"  {'bound':<30}{'':>10}{bound['seconds']:>10.4g}  {bound['argument']}")
    others = [shown for shown, one in stored["contestants"].items() if not one.get("ours")]
    ahead = [shown for shown in others if stored["ratio"].get(shown, [1])[0] < 1]
    if ahead:
        lines.append(f"  ahead of us: {', '.join(ahead)}. {stored['why'] or 'No reason is given.'}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    top = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    top.add_argument("row", nargs="?", help="a module in tests/bench/rows, or a file")
    top.add_argument("--task", default="whole", choices=["whole", "quick"])
    top.add_argument("--repeats", type=int, help="how many, instead of the usual")
    top.add_argument("--serve", nargs=3, metavar=("ROW", "CONTESTANT", "TASK"))
    top.add_argument("--answers", type=Path, help="the file that --serve writes answers to")
    top.add_argument("--core", type=int, help="the core that --serve is held to")
    chosen = top.parse_args(arguments)
    if chosen.serve:
        return serve(*chosen.serve, chosen.answers, chosen.core)
    if chosen.row is None:
        top.error(f"name a row: {', '.join(row_names())}")
    import machine

    rates = machine.rates()
    outcome = measure(chosen.row, chosen.task, rates, repeats=chosen.repeats)
    if outcome.stored:
        print(table(outcome.stored))
    print("  " + ", ".join(f"{name} {version}" for name, version in outcome.versions.items()))
    for complaint in outcome.complaints:
        print(f"  WRONG {complaint}")
    return 1 if outcome.complaints else 0


if __name__ == "__main__":
    # Rows import this file as a module: run as that one, so that there are not two of each class.
    sys.path.insert(0, str(HERE))
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    from contest import main as of_the_module

    raise SystemExit(of_the_module())
