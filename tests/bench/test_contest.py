"""The harness of the benchmark, with rows made up for it: what goes wrong is found."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import bench_library
import contest
import growth
import machine
import numpy as np
import psutil
import pytest

HERE = Path(__file__).parent
RATES = contest.Machine(5e10, 1e11, 1e9, 3e9, 2e10, 2e8)

HEAD = """
import os, sys, time
from pathlib import Path
import numpy as np
from contest import Bound, Contestant, Row

def work(add=0, do=lambda: None):
    def prepare(size):
        x = np.arange(size, dtype=float)
        def run():
            do()
            return {"sum": np.array([x.sum() + add])}
        return run
    return prepare

def compare(answers, task):
    right = task["size"] * (task["size"] - 1) / 2
    return [f"{name} says {a['sum'][0]}" for name, a in answers.items() if a["sum"][0] != right]

def row(**contestants):
    return Row(
        title="Sum", topic="noise", ensemble=True, size="{size:,} numbers",
        tasks={"whole": {"size": 100_000}, "quick": {"size": 1000}},
        contestants={"ours": Contestant(work(), ours=True), **contestants},
        compare=compare, bound=lambda task, machine: Bound(1e-9, "none"),
    )
"""


@pytest.fixture
def fake(tmp_path: Path) -> Any:
    """Writes a row's module; returns its path."""

    def write(code: str, name: str = "fake") -> str:
        path = tmp_path / f"{name}.py"
        path.write_text(HEAD + code)
        return str(path)

    return write


def children() -> list[psutil.Process]:
    return [one for one in psutil.Process().children() if "--serve" in " ".join(one.cmdline())]


# --- a row ---------------------------------------------------------------------------


def test_a_row_is_measured(fake: Any) -> None:
    name = fake("ROW = row(numpy=Contestant(work()), peers=Contestant(work(), 'peers'))")
    outcome = contest.measure(name, "quick", RATES, repeats=5)
    assert outcome.complaints == []
    stored = outcome.stored
    assert json.loads(json.dumps(stored)) == stored
    assert stored["size"] == "1,000 numbers" and stored["repeats"] == 5
    assert stored["precision"] == "float64" and "numpy" in outcome.versions
    assert [one["ours"] for one in stored["contestants"].values()] == [True, False, False]
    assert set(stored["ratio"]) == {"numpy", "peers"}
    for middle, low, high in stored["ratio"].values():
        assert 0 < low <= middle <= high < math.inf
    assert stored["contestants"]["peers"]["environment"] == "peers"
    assert "peers" in contest.table(stored) and children() == []


def test_a_wrong_answer_is_found(
    fake: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(machine, "rates", lambda: RATES)
    assert contest.main([fake("ROW = row(numpy=Contestant(work()))"), "--task", "quick"]) == 0
    assert "WRONG" not in capsys.readouterr().out
    assert contest.main([fake("ROW = row(off=Contestant(work(1)))"), "--task", "quick"]) == 1
    assert "WRONG off says 499501.0" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("ROW = row(bad=Contestant(lambda size: 1 / 0))", "ZeroDivisionError"),
        (
            "def last(size):\n    print('last words', file=sys.stderr, flush=True)\n"
            "    os._exit(7)\nROW = row(bad=Contestant(last))",
            "ended with status 7 at 'prepare'\n      last words",
        ),
        (
            "count = []\ndef second():\n    count.append(1)\n    len(count) == 2 and os._exit(9)\n"
            "ROW = row(bad=Contestant(work(do=second)))",
            "ended with status 9 at 'run'",
        ),
        (
            "count = []\ndef second():\n    count.append(1)\n"
            "    len(count) == 2 and time.sleep(600)\nROW = row(bad=Contestant(work(do=second)))",
            "no answer to 'run' in 3 s",
        ),
    ],
    ids=["raises", "ends at once", "ends later", "hangs"],
)
def test_a_contestant_that_fails_is_reported_and_ended(fake: Any, code: str, said: str) -> None:
    patience = {"prepare": 60.0, "run": 3.0}
    outcome = contest.measure(fake(code), "quick", RATES, patience=patience)
    assert outcome.stored == {}
    assert any(one.startswith("bad: ") and said in one for one in outcome.complaints)
    assert children() == []


def test_who_cannot_be_had_is_named_with_the_reason(
    fake: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    name = fake("ROW = row(numpy=Contestant(work()), peers=Contestant(work(), 'peers'))")
    monkeypatch.setattr(contest, "PEERS", tmp_path / "nowhere")
    outcome = contest.measure(name, "quick", RATES)
    assert outcome.complaints == []
    reason = {"missing": "its environment is not there; make bench makes it"}
    assert outcome.stored["contestants"]["peers"] == reason
    assert set(outcome.stored["ratio"]) == {"numpy"}
    assert "not measured: its environment" in contest.table(outcome.stored)


def test_torch_is_looked_for_where_the_peers_are(monkeypatch: pytest.MonkeyPatch) -> None:
    there = "import importlib.util, sys; sys.exit(importlib.util.find_spec('torch') is None)"
    has = subprocess.run([contest.interpreter("torch"), "-c", there]).returncode == 0
    assert (contest.why_missing("torch") == "") == has
    monkeypatch.setattr(contest, "interpreter", lambda kind: Path(sys.executable))
    assert "PyTorch is not installed" in contest.why_missing("torch")  # not in the book's
    assert contest.why_missing("peers") == ""


def test_the_order_rotates_and_all_are_on_one_core(fake: Any, tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = f"""
def note(name):
    def do():
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
        threads = os.environ["OMP_NUM_THREADS"]
        with open({str(log)!r}, "a") as file:
            file.write(f"{{name}} {{cores}} {{threads}}\\n")
    return do
ROW = row(a=Contestant(work(do=note("a"))), b=Contestant(work(do=note("b"))))
ROW.contestants["ours"] = ROW.contestants["ours"]._replace(prepare=work(do=note("ours")))
"""
    contest.measure(fake(code), "quick", RATES, repeats=3)
    lines = [line.split(maxsplit=1) for line in log.read_text().splitlines()]
    # The first three are for the answers.
    assert "".join(name[0] for name, _ in lines[3:]) == "oab" + "abo" + "boa"
    (core,) = {where for _, where in lines}
    assert core == f"[{contest.the_core() or 0}] 1"


def test_on_an_accelerator_ours_are_free_and_the_others_on_the_cpu(fake: Any) -> None:
    code = """
def told(size):
    said = [os.environ.get("JAX_PLATFORMS", ""), os.environ["OPTDYN_BENCH_CLOCK"]]
    return lambda: {"sum": np.array([int(said == ["", "wall"]) + 2 * int(said == ["cpu", "wall"])])}
ROW = row(other=Contestant(told))._replace(compare=lambda answers, task: [
    f"{name} {a['sum'][0]}" for name, a in answers.items()])
ROW.contestants["ours"] = Contestant(told, ours=True)
"""
    outcome = contest.measure(fake(code), "quick", RATES, device=True)
    assert outcome.complaints == ["ours 1", "other 2"]


def test_a_part_is_scaled_up(fake: Any) -> None:
    stored = contest.measure(
        fake("ROW = row(part=Contestant(work(), share=1e-4))"), "whole", RATES, repeats=5
    ).stored
    assert stored["contestants"]["part"]["share"] == 1e-4
    assert stored["ratio"]["part"][0] > 300  # the same work: 10,000 but for the noise
    assert "0.01 % of the work" in contest.table(stored)


def test_a_bound_that_somebody_beats_is_no_bound(fake: Any) -> None:
    code = "ROW = row(a=Contestant(work()))._replace(bound=lambda t, m: Bound(100.0, 'none'))"
    assert contest.measure(fake(code), "quick", RATES).complaints == []  # too small to tell
    complaints = contest.measure(fake(code), "whole", RATES).complaints
    assert len(complaints) == 2 and "a is faster than the bound" in complaints[1]


def test_ratios_are_taken_repeat_by_repeat() -> None:
    seconds = {"ours": [1.0, 2.0, 4.0], "other": [3.0, 2.0, 2.0]}
    assert contest.ratios(seconds, "ours") == {"other": [1.0, 0.5, 3.0]}


def test_children_see_the_parents_end(fake: Any) -> None:
    """A parent that is killed leaves nobody behind."""
    name = fake("ROW = row(slow=Contestant(work(do=lambda: time.sleep(0.5))))")
    code = f"import contest; contest.measure({name!r}, 'quick', contest.Machine(*6 * [1e9]))"
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=HERE)
    family: list[psutil.Process] = []
    end = time.monotonic() + 60
    while len(family) < 2 and time.monotonic() < end:
        family = psutil.Process(parent.pid).children()
        time.sleep(0.05)
    assert len(family) == 2
    parent.kill()
    parent.wait()
    assert psutil.wait_procs(family, timeout=30)[1] == []


def test_rows_are_importable_where_there_is_no_jax_and_change_nothing() -> None:
    code = """
import os, sys
def state(): return dict(os.environ), getattr(os, "sched_getaffinity", lambda _: 0)(0)
before = state()
import contest
for name in contest.row_names():
    contest.load_row(name)
print(sorted({"jax", "numba", "scipy", "torch", "optdyn"} & set(sys.modules)), state() == before)
"""
    command = [contest.interpreter("peers"), "-W", "error", "-c", code]
    assert subprocess.check_output(command, cwd=HERE, text=True).strip() == "[] True"


# --- all rows ------------------------------------------------------------------------


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """bench_library over made-up rows and a made-up machine; runs it, returns the status."""
    monkeypatch.setattr(machine, "accelerator", lambda: "")
    monkeypatch.setattr(machine, "rates", lambda device: RATES)
    monkeypatch.setattr(growth, "measure", lambda quickly, device: [{"function": "f"}])
    monkeypatch.setattr(contest, "REPEATS", {"whole": 2, "quick": 2})

    def run(names: list[str], *options: str) -> int:
        monkeypatch.setattr(contest, "row_names", lambda: names)
        return bench_library.main(["--output", str(tmp_path / "speed.json"), *options])

    return run


def test_one_bad_row_does_not_lose_the_others(
    fake: Any,
    library: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    good = fake("ROW = row(numpy=Contestant(work()))", "good")
    wrong = fake("ROW = row(off=Contestant(work(1)))", "wrong")
    broken = fake("ROW = 1 / 0", "broken")
    path = tmp_path / "speed.json"

    assert library([broken, wrong, good]) == 1
    said = capsys.readouterr().out
    assert said.count("Sum: 100,000 numbers") == 2
    assert "ZeroDivisionError" in said and "off says" in said
    assert "speed.json is as it was" in said and not path.exists()

    assert library([good], "--quick") == 0 and not path.exists()

    assert library([good]) == 0
    found = json.loads(path.read_text("utf-8"))
    assert found["format"] == "optdyn.bench 1" and found["gpu"] is None
    cpu = found["cpu"]
    assert set(cpu) == {"date", "machine", "versions", "rates", "rows", "growth"}
    assert set(cpu["machine"]) == {"processor", "cores", "memory", "system", "python", "load"}
    assert cpu["rates"] == RATES._asdict() and cpu["growth"] == [{"function": "f"}]
    assert set(cpu["rows"][good]["ratio"]) == {"numpy"}

    assert library([good, wrong]) == 1
    assert json.loads(path.read_text("utf-8")) == found

    monkeypatch.setattr(machine, "accelerator", lambda: "Abacus 5000")
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    assert library([good]) == 0
    both = json.loads(path.read_text("utf-8"))
    assert both["cpu"] == cpu and both["gpu"]["machine"]["device"] == "Abacus 5000"
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    assert library([good]) == 0
    assert json.loads(path.read_text("utf-8"))["gpu"] == both["gpu"]


def test_one_column_is_replaced_and_the_other_kept(tmp_path: Path) -> None:
    path = tmp_path / "speed.json"
    bench_library.replace(path, "cpu", {"a": 1})
    bench_library.replace(path, "gpu", {"b": 2})
    bench_library.replace(path, "cpu", {"c": 3})
    assert json.loads(path.read_text("utf-8")) == {
        "format": "optdyn.bench 1",
        "cpu": {"c": 3},
        "gpu": {"b": 2},
    }
    with pytest.raises(TypeError):
        bench_library.replace(path, "cpu", {"d": object()})
    assert [one.name for one in tmp_path.iterdir()] == ["speed.json"]
    assert json.loads(path.read_text("utf-8"))["cpu"] == {"c": 3}


@pytest.mark.parametrize("moment", ["replace", "fsync"])
def test_a_kill_leaves_the_old_file(tmp_path: Path, moment: str) -> None:
    path = tmp_path / "speed.json"
    bench_library.replace(path, "cpu", {"old": 1})
    before = path.read_bytes()
    code = f"""
import os, signal, pathlib, bench_library
os.{moment} = lambda *a: os.kill(os.getpid(), signal.SIGKILL)
bench_library.replace(pathlib.Path({str(path)!r}), "cpu", {{"new": list(range(10000))}})
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=HERE)
    assert done.returncode == -signal.SIGKILL
    assert path.read_bytes() == before


# --- growth --------------------------------------------------------------------------


def test_an_exponent_and_its_error() -> None:
    sizes = np.array([1, 2, 4, 8])
    assert growth.slope(sizes, 3.0 * sizes**2) == pytest.approx((2.0, 0.0))
    assert growth.slope(sizes, [5.0] * 4) == (0.0, 0.0)
    x, y = np.log(sizes), np.log([1.0, 2.2, 3.9, 8.5])
    coefficients, covariance = np.polyfit(x, y, 1, cov=True)
    expected = coefficients[0], covariance[0, 0] ** 0.5
    assert growth.slope(sizes, np.exp(y)) == pytest.approx(expected, abs=1e-4)


def test_small_sizes_that_are_overhead_are_left_out_and_named() -> None:
    one = growth.Growth("f", "n", growth.doubled(10, 6), lambda n: None)
    seconds = [max(0.06, n / 1000) for n in one.sizes]
    found = growth.summary(one, seconds, [100] * 6)
    assert 0.75 < found["time_exponent"][0] < 1
    assert found["memory_exponent"] == [0.0, 0.0]
    assert found["note"] == "exponents fitted from 40 on; up to 20 a fixed cost counts"
    assert json.loads(json.dumps(found)) == found
    apart = growth.summary(one._replace(compiled=False), seconds, [100] * 6)
    assert apart["note"].startswith("bytes: growth of a fresh process's resident memory; ")


def test_what_grows() -> None:
    """Everything that is measured can be called at its smallest size; twice as much is twice."""
    import jax

    named = {f"{one.function} {one.against}" for one in growth.ALL}
    assert len(named) == len(growth.ALL) >= 15
    for one in growth.ALL:
        if one.compiled:
            fn, args = one.make(one.sizes[0])
            shapes = jax.eval_shape(fn, *jax.tree.map(jax.numpy.asarray, args))
            assert jax.tree.leaves(shapes)


def test_growth_of_the_linear_rnn() -> None:
    (found,) = growth.measure(quickly=True, only=["linear_rnn length"])
    assert found["sizes"] == list(growth.doubled(2**13, 3))
    assert found["memory_exponent"][0] == pytest.approx(1, abs=0.1)
    assert len(found["seconds"]) == 3 and min(found["seconds"]) > 0


def test_growth_of_a_sweep_is_that_of_a_fresh_process() -> None:
    found = growth.measure(quickly=True, only=["sweep"])
    (one,) = found
    assert "fresh process" in one["note"]
    # Four times as many points: as much memory, but for the noise of the allocator. A block of 64
    # points is 64 x 16,384 numbers of eight bytes, and all 4,096 are 64 times as many.
    assert min(one["bytes"]) > 8 * 2**20 and max(one["bytes"]) < 2 * min(one["bytes"])


def test_the_peak_is_that_of_this_process_alone() -> None:
    """Not that of the one that started it."""
    held = bytearray(400_000_000)
    held[::4096] = b"x" * len(held[::4096])
    code = "import contest; print(contest.peak())"
    found = int(subprocess.check_output([sys.executable, "-c", code], cwd=HERE, text=True))
    ours = contest.peak()
    assert ours is not None and ours > len(held) > 2 * found > 2e7


# --- the machine ---------------------------------------------------------------------


def test_rates_of_this_machine() -> None:
    found = machine.rates()
    assert all(0 < rate < 1e15 for rate in found)
    assert found.exp64 < found.flops64 and found.exp32 < found.flops32
    assert found.words < found.flops32


def test_what_jax_computes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contest, "surroundings", lambda device: os.environ | platform)
    platform = {"JAX_PLATFORMS": "cpu"}
    assert machine.accelerator() == ""
    platform = {"JAX_PLATFORMS": "abacus"}
    with pytest.raises(RuntimeError, match="JAX does not say"):
        machine.accelerator()


def test_the_machine_in_words() -> None:
    said = machine.described()
    assert said["processor"] and said["cores"] == os.cpu_count()
    assert said["memory"].endswith(" GiB") and said["python"].startswith("3.")
