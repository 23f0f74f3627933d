"""book/language_sweep.py: killed it goes on; and what it has stored can be had again."""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

import language_sweep
from optdyn import language
from optdyn.language import Config

SCRIPT = Path(language_sweep.__file__)
STORED = json.loads(language_sweep.OUTPUT.read_text("utf-8"))
NO_BAR = {**os.environ, "OPTDYN_BOOK": "1"}  # however slow the machine is


def command(folder):
    options = ["--quick", "--output", folder / "a.json", "--checkpoints", folder / "kept"]
    return [sys.executable, "-W", "error", str(SCRIPT), *map(str, options)]


def run(folder, *more, **env):
    done = subprocess.run(
        [*command(folder), *more], capture_output=True, text=True, env=NO_BAR | env
    )
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return json.loads((folder / "a.json").read_text("utf-8")), done.stdout


def check_same_identity(*folders):
    """Checkpoints of one device and of two are of the same sweep, in every word."""
    for name in ("headline-4x6.npz", "batch-4x7.npz"):
        heads = []
        for folder in folders:
            with np.load(folder / name) as kept:
                heads.append(json.loads(str(kept["header"])))
        assert heads[0] == heads[1]


def test_killed_it_goes_on_and_loses_nothing(tmp_path):
    whole, said = run(tmp_path)
    assert said.count("\n") == 4 and len(whole["runs"]) == 10
    again = tmp_path / "killed"
    again.mkdir()
    with subprocess.Popen(command(again), stdout=subprocess.DEVNULL) as process:
        while process.poll() is None and not (again / "a.json").exists():
            time.sleep(0.01)
        process.kill()
    half = json.loads((again / "a.json").read_text("utf-8"))
    assert 5 <= len(half["runs"]) < 10  # the first part, unless the machine was very slow to kill
    before = (again / "kept" / "headline-4x6.npz").stat().st_mtime_ns
    (again / "a.json.tmp").write_text("what a kill during a write leaves")
    resumed, _ = run(again)
    assert resumed["runs"] == whole["runs"]
    assert (again / "kept" / "headline-4x6.npz").stat().st_mtime_ns == before
    assert sorted(path.name for path in again.iterdir()) == ["a.json", "kept"]
    assert resumed["seconds"]["headline, 4 x 6"] == half["seconds"]["headline, 4 x 6"]
    two = tmp_path / "two"
    two.mkdir()
    spread, _ = run(two, XLA_FLAGS="--xla_force_host_platform_device_count=2")
    assert spread["runs"] == whole["runs"]
    check_same_identity(again / "kept", two / "kept")
    (again / "kept" / "headline-4x6.npz").write_bytes(b"no checkpoint")
    done = subprocess.run(command(again), capture_output=True, text=True)
    assert done.returncode == 1 and "make sweep ANEW=1" in done.stderr
    assert json.loads((again / "a.json").read_text("utf-8")) == resumed


def test_the_plan():
    for large in (False, True):
        parts = language_sweep.plan(large)
        assert len({part.name for part in parts}) == len(parts)
        for part in parts:
            assert len(set(part.runs)) == len(part.runs)
            for run in part.runs:
                assert run.b2 == run.b1 or run.method != "adam_equal"
    small, big = (sum(len(p.runs) for p in language_sweep.plan(x)) for x in (False, True))
    assert big > 1.3 * small
    assert {b * n for b, n in language_sweep.TOKENS} == {9600}


def test_the_command():
    root = SCRIPT.parents[1]
    for more, ends in (([], "make.py sweep"), (["ANEW=1"], "make.py sweep --anew")):
        said = subprocess.check_output(["make", "-s", "-n", "-C", str(root), "sweep", *more])
        assert said.decode().strip().endswith(ends)


# --- what is stored -----------------------------------------------------------------------------


def test_the_stored_sweep_is_the_plan():
    names = [part.name for part in language_sweep.plan(False)]
    assert [*STORED["seconds"]] == names
    planned = [
        language_sweep.entry(part, run, 0.0)
        for part in language_sweep.plan(False)
        for run in part.runs
    ]
    assert [{**run, "loss": 0.0} for run in STORED["runs"]] == planned
    assert STORED["settings"]["text"] == language.SHA256
    assert STORED["settings"]["config"] == Config()._asdict()
    assert set(STORED["versions"]) == {"python", "jax", "jaxlib", "numpy", "optax"}
    lines = language_sweep.OUTPUT.read_text("utf-8").splitlines()
    assert sum(bool(re.match(r'  \{"experiment"', line)) for line in lines) == len(planned)


def best(experiment, batch, method, b1):
    """The losses by seed at the learning rate that is best in the mean."""
    by_rate = defaultdict(list)
    for run in STORED["runs"]:
        if [run[name] for name in ("experiment", "batch", "method", "b1")] == [
            experiment, batch, method, b1,
        ]:  # fmt: skip
            by_rate[run["learning_rate"]].append(run["loss"])
    return np.array(min(by_rate.values(), key=statistics.mean))


def test_the_stored_order_and_the_gap_that_grows_with_the_batch():
    sgd, signum, tied = (
        best("headline", 128, method, 0.8) for method in ("sgd_momentum", "signum", "adam_equal")
    )
    assert (sgd - tied > 0.1).all() and (sgd - signum > 0.1).all()
    assert (signum - tied).mean() > 0
    few = best("batch", 8, "sgd_momentum", 0.8) - best("batch", 8, "adam_equal", 0.8)
    assert few.mean() < 0.08 and (sgd - tied).mean() > 2.5 * few.mean()


@pytest.mark.parametrize("method", ["sgd_momentum", "signum"])
def test_stored_runs_again(method):
    rows = [r for r in STORED["runs"] if r["experiment"] == "batch" and r["batch"] == 8]
    rows = [r for r in rows if r["method"] == method and r["loss"] is not None]
    stored = np.array([r["loss"] for r in rows])
    rates = np.array([r["learning_rate"] for r in rows])
    again = language.train(
        language.hyper(method, rates, 0.8), np.array([r["seed"] for r in rows]), Config(batch=8)
    ).loss
    # On the machine it was made on to the last digit; elsewhere rounding makes other runs.
    means = [np.mean(x.reshape(-1, 3), 1) for x in (np.asarray(again), stored)]
    np.testing.assert_allclose(*means, rtol=0, atol=0.05)
