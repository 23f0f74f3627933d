"""A small run of the benchmark, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("bench_language.py")


def test_training_four_ways(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures = tmp_path / "figures.json"
    command = [sys.executable, "-W", "error", str(SCRIPT), "--quick", "--json", str(figures)]
    done = subprocess.run(command, capture_output=True, text=True)
    with capsys.disabled():
        print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    table = json.loads(figures.read_text("utf-8"))["tables"]["4"]
    assert all(x > 0 for x in table["milliseconds"].values())
    assert table["milliseconds"]["scan"] < 3 * table["milliseconds"]["step by step"]
