"""Every row of the benchmark, quickly: the answers agree, and everybody takes part."""

from __future__ import annotations

import math
import os

import contest
import pytest

# A bound is looked at for its form only, so any rates do.
RATES = contest.Machine(5e10, 1e11, 1e9, 3e9, 2e10, 2e8)


def own_core() -> int | None:
    """Two tests at once are held to different cores."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    cores = sorted(os.sched_getaffinity(0))
    return cores[int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % len(cores)]


@pytest.mark.parametrize("name", contest.row_names())
def test_a_row(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    row = contest.load_row(name)
    outcome = contest.measure(name, "quick", RATES, core=own_core())
    assert outcome.complaints == []
    stored = outcome.stored
    with capsys.disabled():
        print("\n" + contest.table(stored))
    missing = {shown for shown, one in stored["contestants"].items() if "missing" in one}
    assert missing <= {s for s, one in row.contestants.items() if one.environment == "torch"}
    there = [one for one in stored["contestants"].values() if "missing" not in one]
    assert all(0 < one["low"] <= one["median"] <= one["high"] for one in there)
    assert len(stored["ratio"]) == len(there) - 1 >= 1
    assert all(0 < x < math.inf for ratio in stored["ratio"].values() for x in ratio)
    assert 0 < stored["bound"]["seconds"] < math.inf and stored["bound"]["argument"]
    if row.ensemble:  # so small a task says little; but we are not behind everybody, nor far
        others = [shown for shown in stored["ratio"] if not row.contestants[shown].ours]
        middles = [stored["ratio"][shown][0] for shown in others]
        assert max(middles) > 1 and min(middles) > 0.02


@pytest.mark.parametrize("name", contest.row_names())
def test_what_a_row_says(name: str) -> None:
    row = contest.load_row(name)
    assert row.topic in ("noise", "cycles", "shiftk", "adam")
    assert {"whole", "quick"} <= set(row.tasks)
    assert all(row.size.format(**task) for task in row.tasks.values())
    first, *others = row.contestants.values()
    assert first.ours and any(not one.ours for one in others)
    assert {one.environment for one in others} <= {"book", "peers", "torch"}
    assert all(0 < one.share <= 1 for one in row.contestants.values())


def test_every_function_that_was_promised_has_a_row() -> None:
    assert set(contest.row_names()) >= {
        *("bifurcation", "lyapunov", "basins", "valley", "fractional", "recovery"),
        *("exit_time", "optimal_poles", "recurrence", "race", "transformer"),
    }
