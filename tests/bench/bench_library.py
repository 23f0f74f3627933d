"""The library against what a user would otherwise take, row by row, and how its cost grows.

    make bench          everything; book/speed.json, from which a page is made, is replaced whole
    make bench QUICK=1  small tasks, which say little about speed; nothing is stored

Every row of tests/bench/rows is run as tests/bench/contest.py says, then tests/bench/growth.py.
A row that fails does not lose the others: what is wrong is listed at the end, the exit status is
1, and nothing is stored. Where JAX sees an accelerator, our contestants and the growth run on it,
the others on the CPU, the clock is the wall's, and the second column ("gpu") is replaced; the
first is kept. JAX_PLATFORMS=cpu measures the first one there too.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import signal
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import contest
import growth
import machine

STORED = contest.ROOT / "book" / "speed.json"
FORMAT = "optdyn.bench 1"


def all_rows(
    names: Sequence[str], task: str, rates: contest.Machine, device: bool
) -> tuple[dict[str, Any], dict[str, str], list[str]]:
    """What is stored of every row, versions, and what is wrong; prints each as it is done."""
    stored, versions, wrong = {}, {}, []
    for name in names:
        try:
            outcome = contest.measure(name, task, rates, device=device)
        except Exception as failure:  # a row's own mistake, of whatever kind
            traceback.print_exc()
            wrong.append(f"{name}: {type(failure).__name__}: {failure}")
            continue
        stored[name] = outcome.stored
        versions |= outcome.versions
        wrong += [f"{name}: {complaint}" for complaint in outcome.complaints]
        text = contest.table(outcome.stored) if outcome.stored else f"{name}: failed"
        print("\n" + text, flush=True)
    return stored, versions, wrong


def replace(path: Path, column: str, measured: dict[str, Any]) -> None:
    """Put a column into the file, which at every moment is the old one or the new one."""
    old = json.loads(path.read_text("utf-8")) if path.exists() else {}
    text = {"format": FORMAT, "cpu": old.get("cpu"), "gpu": old.get("gpu"), column: measured}
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with open(handle, "w", encoding="utf-8", newline="\n") as file:
            json.dump(text, file, ensure_ascii=False, indent=1)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def main(arguments: Sequence[str] | None = None) -> int:
    top = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    top.add_argument("--quick", action="store_true", help="small tasks; nothing is stored")
    top.add_argument("--output", type=Path, default=STORED, help="the file instead of speed.json")
    top.add_argument("rows", nargs="*", help="only these, to look at: nothing is stored")
    chosen = top.parse_args(arguments)
    only_cpu = os.environ.get("JAX_PLATFORMS") == "cpu"
    name = "" if only_cpu else machine.accelerator()
    device = bool(name)
    described = machine.described() | ({"device": name} if device else {})
    print(", ".join(f"{key} {value}" for key, value in described.items()))
    rates = machine.rates(device=device)
    for field, rate in rates._asdict().items():
        print(f"  {field:<8}{rate / 1e9:8.2f} thousand million a second")
    task = "quick" if chosen.quick else "whole"
    rows, versions, wrong = all_rows(chosen.rows or contest.row_names(), task, rates, device)
    grown: Any = []
    if not chosen.rows:
        print("\nExponents of time and memory", growth.HEAD, sep="\n", flush=True)
        try:
            grown = growth.measure(quickly=chosen.quick, device=device)
        except Exception as failure:
            wrong.append(f"growth: {failure}")
    print("\n" + ", ".join(f"{package} {version}" for package, version in versions.items()))
    for complaint in wrong:
        print(f"WRONG {complaint}")
    if wrong:
        print(f"Something is wrong: nothing is stored, {chosen.output.name} is as it was.")
        return 1
    if not (chosen.quick or chosen.rows):
        measured = {
            "date": datetime.date.today().isoformat(),
            "machine": described,
            "versions": versions,
            "rates": rates._asdict(),
            "rows": rows,
            "growth": grown,
        }
        replace(chosen.output, "gpu" if device else "cpu", measured)
        print(f"Replaced {chosen.output.name}.")
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        raise SystemExit(main())
    except KeyboardInterrupt:
        print("\nStopped; nothing is stored.")
        raise SystemExit(130) from None
