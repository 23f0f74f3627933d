"""No key, no password and nobody's folder stands in the repository or in the built site."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import make

ROOT = Path(__file__).resolve().parent.parent
MADE = {".git", ".venv", ".make", "_build", "dist", ".hypothesis", "__pycache__"}
SECRETS = {
    "a private key": rb"-----BEGIN [A-Z ]*PRIVATE KEY",
    "a key of a cloud": rb"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bAIza[\w-]{35}\b",
    "a token of a host": rb"\b(?:gh[pousr]_\w{36}|github_pat_\w{22,}|glpat-[\w-]{20}|hf_\w{34})\b",
    "a token of an index": rb"\bpypi-[\w-]{60,}|\bnpm_\w{36}\b",
    "a token of a chat": rb"\bxox[abpr]-[\w-]{10,}|\bsk-[A-Za-z0-9_-]{32,}",
    "a password in an address": rb"\bhttps?://[\w.-]+:[^\s/@\"'{}<>]+@[\w-]+\.\w",
    "somebody's folder": rb"(?<![\w.~-])/(?:root|home/(?!jovyan)\w+|Users/\w+)/[\w.]",
}


def found(content: bytes) -> list[str]:
    return [what for what, pattern in SECRETS.items() if re.search(pattern, content)]


def files(folder: Path) -> Iterator[Path]:
    for here, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in MADE and not name.endswith("_cache")]
        yield from (Path(here, name) for name in names)


def told(folder: Path) -> list[str]:
    return [f"{p}: {what}" for p in files(folder) if p.is_file() for what in found(p.read_bytes())]


def test_the_repository_has_no_secret() -> None:
    assert len(list(files(ROOT))) > 200
    assert [line for line in told(ROOT) if not line.startswith(str(Path(__file__)))] == []


@pytest.mark.site
def test_the_site_has_no_secret() -> None:
    assert (make.SITE / "index.html").is_file()
    assert told(make.SITE) == []


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("a private key", "-----BEGIN OPENSSH PRIVATE KEY-----"),
        ("a key of a cloud", "AKIA" + "A1B2C3D4" * 2),
        ("a token of a host", "ghp_" + "a1B2" * 9),
        ("a token of an index", "npm_" + "a1B2" * 9),
        ("a token of a chat", "sk-" + "a1B2" * 9),
        ("a password in an address", "https://me:secret@example.org/"),
        ("somebody's folder", 'File "/home/somebody/book.py"'),
    ],
)
def test_a_secret_is_seen(what: str, text: str) -> None:
    assert found(text.encode()) == [what]
    assert found(b"a line of the book, https://example.org/home/page and ~/course") == []
