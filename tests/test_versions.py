"""The versions that the book supports: said once in pyproject.toml, and the same everywhere."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from optdyn import versions

ROOT = Path(__file__).resolve().parent.parent


def lower_bounds() -> dict[str, str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wishes = [*project["dependencies"], *project["optional-dependencies"]["book"]]
    return dict(wish.split(">=") for wish in wishes)


def pins(kind: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    text = (ROOT / f"requirements-{kind}.txt").read_text("utf-8")
    for name, version in re.findall(r"^([\w-]+)==([\d.]+)", text, re.MULTILINE):
        found.setdefault(name, []).append(version)
    return found


def test_the_check_knows_the_lower_bounds_of_the_package() -> None:
    assert lower_bounds() == versions.OLDEST


def test_the_oldest_versions_are_the_lower_bounds() -> None:
    oldest = pins("oldest")
    for name, bound in lower_bounds().items():
        assert versions._numbers(oldest[name][0]) == versions._numbers(bound), name


def test_the_package_asks_for_nothing_newer_than_colab_has() -> None:
    colab = pins("colab")
    for name, bound in lower_bounds().items():
        assert versions._numbers(colab[name][0]) >= versions._numbers(bound), name


@pytest.mark.parametrize("kind", ["colab", "oldest"])
def test_the_locks_hold_what_was_wished(kind: str) -> None:
    text = (ROOT / f"requirements-{kind}.lock").read_text("utf-8")
    entries = re.split(r"^(?=[\w.-]+==)", text, flags=re.MULTILINE)[1:]
    assert all("--hash=sha256:" in entry for entry in entries)
    locked = {entry.split()[0] for entry in entries}
    assert {f"{name}=={one}" for name, those in pins(kind).items() for one in those} <= locked


@pytest.mark.parametrize(
    ("installed", "good"),
    [
        ("0.7.2", True),
        ("0.7.10", True),
        ("0.10", True),
        ("1", True),
        ("0.7.2.dev5+cuda", True),
        ("0.7.1", False),
        ("0.7", False),
        ("0.6.99", False),
        ("", False),
    ],
)
def test_an_old_version_is_told_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], installed: str, good: bool
) -> None:
    real = metadata.version
    monkeypatch.setattr(
        metadata, "version", lambda name: installed if name == "jax" else real(name)
    )
    versions.check()
    sentence = (
        f"jax is {installed or 'missing'}, and the book needs 0.7.2 or later: run "
        '%pip install "jax>=0.7.2", then restart the kernel.\n'
    )
    assert capsys.readouterr().out == ("" if good else sentence)


def test_a_missing_package_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    assert [sentence.split(" and ")[0] for sentence in versions.complaints()] == [
        f"{name} is missing," for name in versions.OLDEST
    ]
