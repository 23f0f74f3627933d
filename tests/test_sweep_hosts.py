"""optdyn.sweep on two processes joined by jax.distributed, on loopback."""

import json
import random
import signal
import time

import numpy as np
import pytest

from optdyn.sweep import sweep
from sweep_host import CASES, SOME, end, finish, flat, found, slope, start, stopped, swept


@pytest.fixture(autouse=True)
def no_book(monkeypatch):
    monkeypatch.delenv("OPTDYN_BOOK", raising=False)


def done(path):
    with np.load(path) as file:
        return json.loads(str(file["header"]))["done"]


def alike(results, expected):
    assert results.keys() == expected.keys()
    wrong = [name for name in expected if not np.array_equal(expected[name], results[name])]
    assert not wrong, wrong


def test_two_hosts_compute_the_bits_of_one_and_end_together(tmp_path):
    first, second = tmp_path / "host 0", tmp_path / "host 1"
    first.mkdir()
    with stopped(after=30):
        sweep(slope, SOME, lanes=3, chunk_size=3, checkpoint=first / "one.npz")
    (first / "damaged.npz").write_bytes((first / "one.npz").read_bytes()[:-40])
    running = start(tmp_path, "hosts", devices=2, hosts=2)
    expected = {"seen": np.array([2, 4])}
    for i, case in enumerate(CASES[::2]):
        expected |= flat(f"all {i}", swept(case))
    whole = flat("", sweep(slope, SOME, lanes=3))
    for name in ("resumed", "halved", "own"):
        expected |= {name + key: x for key, x in whole.items()}
    printed = finish(running)

    said = []
    for folder in (first, second):
        results, told = found(folder)
        alike(results, expected)
        said.append(told)
    faults = [each.pop("fault") for each in said]
    assert faults[1] == ["ZeroDivisionError", "a fault of host 1"]
    assert faults[0] == ["RuntimeError", "process 1: ZeroDivisionError: a fault of host 1"]
    assert said[0] == said[1]
    for name, (kind, text) in {
        "damaged": ("ValueError", "damaged.npz is damaged or is no checkpoint of a sweep"),
        "other lanes": ("ValueError", "one.npz is of another sweep: lanes was 3 and is 4; delete"),
        "no folder": ("FileNotFoundError", "there is no folder"),
        "other points": ("ValueError", "processes [0, 1] do not make the same call"),
        "too large": ("MemoryError", "lanes: got 3, and one block of so many points does not fit"),
    }.items():
        assert said[0][name][0] == kind and text in said[0][name][1]
    assert said[0]["slots"] == [8, 4, 2]
    assert "8 blocks of 3 points at once on each device: going on with 4." in printed[0]
    assert [line for line in printed[1].split("\n") if line and "[Gloo]" not in line] == []
    # Only the first process writes.
    assert {p.name for p in second.iterdir()} == {"found.npz", "found.json"}
    written = {"one.npz", "damaged.npz", "fault.npz", "two.npz", "found.npz", "found.json"}
    assert {p.name for p in first.iterdir()} == written
    assert done(first / "one.npz") == 92 and done(first / "two.npz") == 48
    alike(flat("", sweep(slope, SOME, lanes=3, checkpoint=first / "two.npz")), whole)


def test_both_hosts_are_killed_and_one_device_goes_on(tmp_path):
    path = tmp_path / "host 0" / "killed.npz"
    running = start(tmp_path, "kill", devices=2, hosts=2)
    try:
        until = time.monotonic() + 240
        while not (path.exists() and done(path) > 0):
            assert all(each.poll() is None for each in running) and time.monotonic() < until
            time.sleep(0.02)
        time.sleep(random.Random(0).uniform(0.0, 0.5))
    finally:
        end(running)
        said = [each.communicate()[0] for each in running]
    assert [each.returncode for each in running] == [-signal.SIGKILL] * 2, said
    assert 0 < done(path) < 92
    alike(
        flat("", sweep(slope, SOME, lanes=1, checkpoint=path)),
        flat("", sweep(slope, SOME, lanes=1)),
    )
