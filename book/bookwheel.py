"""The package optdyn as files to hand out: a wheel and a source archive.

    python book/bookwheel.py FOLDER            both, in place of those that are there
    python book/bookwheel.py --wheel FOLDER    the wheel alone

They are built by the hatchling that is installed here, without a network. Two builds of the same
commit are the same bytes: every file in them has the time of the commit, fixed modes and a fixed
order. Compression is zlib's, so that another version of zlib may pack the same content otherwise.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from build import BuildBackendException, BuildException, ProjectBuilder
from pyproject_hooks import quiet_subprocess_runner

ROOT = Path(__file__).resolve().parent.parent
WITHOUT_GIT = "1580601600"  # 2 February 2020, which hatchling takes as well


def _git(root: Path, *words: str) -> str:
    """What git says of the checkout; empty where there is none."""
    try:
        ran = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return ran.stdout.strip() if ran.returncode == 0 else ""


def commit_time(root: Path = ROOT) -> str:
    """Seconds since 1970 that the files get: SOURCE_DATE_EPOCH, else those of the commit."""
    return (
        os.environ.get("SOURCE_DATE_EPOCH") or _git(root, "log", "-1", "--format=%ct")
    ) or WITHOUT_GIT


def package(
    folder: Path, kinds: Sequence[Literal["sdist", "wheel"]] = ("sdist", "wheel"), root: Path = ROOT
) -> None:
    """Build the files into `folder`; those of other versions go. Each appears whole.

    Raises: BuildException or BuildBackendException if hatchling refuses.
    """
    folder.mkdir(parents=True, exist_ok=True)
    when = {"SOURCE_DATE_EPOCH": commit_time(root)}

    def runner(
        cmd: Sequence[str], cwd: str | None = None, extra_environ: Mapping[str, str] | None = None
    ) -> None:
        quiet_subprocess_runner(cmd, cwd, {**(extra_environ or {}), **when})

    builder = ProjectBuilder(root, runner=runner)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".building-") as scratch:
        made = [Path(builder.build(kind, scratch)) for kind in kinds]
        for old in [*folder.glob("optdyn-*.whl"), *folder.glob("optdyn-*.tar.gz")]:
            if old.name not in {path.name for path in made}:
                old.unlink()
        for path in made:
            os.replace(path, folder / path.name)
            digest = hashlib.sha256((folder / path.name).read_bytes()).hexdigest()
            print(f"{digest}  {path.name}")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--wheel", action="store_true", help="the wheel alone")
    parser.add_argument("folder", type=Path)
    chosen = parser.parse_args(arguments)
    if shutil.which("git") and _git(ROOT, "status", "--porcelain", "--", "lib", "pyproject.toml"):
        print("Note: lib/ or pyproject.toml has changes that are in no commit.")
    try:
        package(chosen.folder, ["wheel"] if chosen.wheel else ["sdist", "wheel"])
    except (BuildException, BuildBackendException) as error:
        print(f"The package could not be built: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
