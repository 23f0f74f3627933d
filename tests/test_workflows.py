"""The workflows call targets of make and nothing else; Binder builds from the book's lock."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import epub
import make
import optdyn
import pdf

ROOT = Path(__file__).resolve().parent.parent
WORKFLOWS = ROOT / ".github" / "workflows"
CALLED = {
    "pull_request": ["make test"],
    "weekly": ["make test-all"],
    "release": ["make test-all", "make dist", "make build", "make pdf", "make epub"],
}
each = pytest.mark.parametrize("name", CALLED)


def steps(name: str) -> list[dict[str, Any]]:
    content = yaml.safe_load((WORKFLOWS / f"{name}.yml").read_text("utf-8"))
    return [step for job in content["jobs"].values() for step in job["steps"]]


def test_there_are_these_workflows_and_no_others() -> None:
    assert {path.name for path in WORKFLOWS.iterdir()} == {f"{name}.yml" for name in CALLED}


@each
def test_what_runs_is_targets_of_make(name: str) -> None:
    ran = [step["run"] for step in steps(name) if "run" in step]
    assert ran == CALLED[name]
    for command in ran:
        program, *targets = command.split()
        assert program == "make" and targets
        for target in targets:
            assert make.parser().parse_args([target]).command == target
            dry = ["make", "-n", "-C", str(ROOT), target]
            assert f"make.py {target}" in subprocess.check_output(dry, text=True)


@each
def test_nothing_else_runs_and_no_rights_are_given(name: str) -> None:
    text = (WORKFLOWS / f"{name}.yml").read_text("utf-8")
    content = yaml.safe_load(text)
    assert content["permissions"] == {"contents": "read"}
    assert all("permissions" not in job for job in content["jobs"].values())
    assert all(job["timeout-minutes"] > 0 for job in content["jobs"].values())
    assert "secrets" not in text and "pull_request_target" not in text
    for step in steps(name):
        if "run" in step:
            assert set(step) == {"run"}
            continue
        action, _, commit = step["uses"].partition("@")
        assert action in {
            f"actions/{one}" for one in ("checkout", "setup-python", "upload-artifact")
        }
        assert re.fullmatch(r"[0-9a-f]{40}", commit)
        if action == "actions/checkout":
            assert step["with"]["persist-credentials"] is False


def test_a_release_uploads_the_package_the_editions_and_the_site() -> None:
    paths = [step["with"]["path"] for step in steps("release") if "upload" in step.get("uses", "")]
    site = f"{make.SITE.relative_to(ROOT).as_posix()}/"
    editions = "".join(f"{file.parent.relative_to(ROOT)}/\n" for file in (pdf.FILE, epub.FILE))
    assert paths == ["dist/", editions, site]


def test_binder_builds_from_the_books_lock() -> None:
    folder = ROOT / ".binder"
    wishes = (folder / "requirements.txt").read_text().splitlines()
    (line,) = (line for line in wishes if not line.startswith("#"))
    option, name = line.split()
    assert option == "-r" and (folder / name).resolve() == make.LOCK
    assert (folder / "runtime.txt").read_text() == "python-3.11\n"


def test_binder_installs_the_library_and_nothing_else() -> None:
    script = ROOT / ".binder" / "postBuild"
    assert os.access(script, os.X_OK)
    text = script.read_text()
    assert text.startswith("#!/usr/bin/env bash\n") and "set -euo pipefail" in text
    (command,) = re.findall(r"^.*pip install.*$", text, re.MULTILINE)
    assert {"--no-deps", "--no-build-isolation", "."} <= set(command.split())
    assert "hatchling==" in make.LOCK.read_text()  # what builds it comes from the lock


def test_what_binder_runs_installs_the_library(tmp_path: Path) -> None:
    """The script itself, with a Python that installs into a folder of this test."""
    python, target = tmp_path / "python3", tmp_path / "packages"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@" --no-index --target "{target}"\n')
    python.chmod(0o755)
    path = os.pathsep.join([str(tmp_path), os.environ["PATH"]])
    script = ROOT / ".binder" / "postBuild"
    subprocess.run([script], cwd=ROOT, env={**os.environ, "PATH": path}, check=True, timeout=120)
    names = {found.name for found in target.iterdir()}
    assert names == {"optdyn", f"optdyn-{optdyn.__version__}.dist-info"}
