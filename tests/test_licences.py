"""The licences of what the book stands on: told, accepted, pinned, and as last reviewed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import licences


def installed(folder: Path, name: str, *lines: str, licence: str = "") -> Path:
    """An installed package, as its metadata show it."""
    place = folder / f"{name}-1.0.dist-info"
    place.mkdir(parents=True)
    head = f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\n"
    (place / "METADATA").write_text(head + "\n".join(lines) + "\n", "utf-8")
    (place / "LICENSE").write_text(licence, "utf-8")
    (place / "RECORD").write_text(f"{place.name}/METADATA,,\n{place.name}/LICENSE,,\n", "utf-8")
    return folder


def looked(folder: Path, lock: str, known: dict[str, str] | None = None):
    return licences.packages(lock, [str(folder)], known or {})


TERMS = "Redistribution and use in source and binary forms"
OSI = "Classifier: License :: OSI Approved"
PINNED = "a-b==1.0 \\\n    --hash=sha256:00\n"


@pytest.mark.parametrize(
    ("lines", "text", "licence"),
    [
        (["License-Expression: Apache-2.0 OR BSD-2-Clause", "License: x"], "", None),
        (["License: MIT License"], "", "MIT"),
        (["License: UNKNOWN", f"{OSI} :: ISC License (ISCL)"], "", "ISC"),
        ([OSI, f"{OSI} :: BSD License"], "", "BSD"),
        ([], "Permission is hereby granted, free of charge, to any person", "MIT"),
        ([], f"{TERMS}\nNeither the name of", "BSD-3-Clause"),
        ([], "                 Apache License\n           Version 2.0, January 2004", "Apache-2.0"),
    ],
)  # fmt: skip
def test_the_licence_of_a_package_is_found(tmp_path, lines, text, licence):
    rows, wrong = looked(installed(tmp_path, "A_b", *lines, licence=text), PINNED)
    assert [row.licence for row in rows] == [licence or "Apache-2.0 OR BSD-2-Clause"]
    assert (rows[0].name, rows[0].accepted, rows[0].pinned, rows[0].known) == (
        ("a-b", "yes", "yes", "new")
    )
    assert wrong == []


@pytest.mark.parametrize(
    ("lines", "verdict", "words"),
    [
        (["License-Expression: GPL-3.0-only"], "NO", "has the licence GPL-3.0-only; accepted"),
        (["License-Expression: MIT AND SSPL-1.0"], "NO", "MIT AND SSPL-1.0"),
        (["License-Expression: (MIT OR GPL-2.0) AND ISC"], "NO", "GPL-2.0"),
        (["License: see the web page"], "NO", "see the web page"),
        ([], "UNKNOWN", "the licence of a-b 1.0 cannot be told"),
    ],
)  # fmt: skip
def test_a_licence_that_is_unknown_or_not_accepted_is_named(tmp_path, lines, verdict, words):
    rows, wrong = looked(installed(tmp_path, "A_b", *lines), PINNED)
    assert rows[0].accepted == verdict
    assert len(wrong) == 1 and words in wrong[0]


def test_the_lock_and_the_environment_are_compared(tmp_path):
    folder = installed(tmp_path, "extra", "License: MIT")
    installed(folder, "pip", "License: MIT")
    installed(folder, "bare", "License: MIT")
    installed(folder, "old", "License: MIT")
    lock = (
        PINNED
        + "bare==1.0\nold==2.0\nwindows==3 ; os_name == 'no system' \\\n    --hash=sha256:00\n"
    )
    rows, wrong = looked(folder, lock, {"windows": "3 MIT", "bare": "1.0 ISC", "old": "0.9 MIT"})
    assert [(row.name, row.known) for row in rows] == [
        ("a-b", "not here"),
        ("bare", "1.0 ISC"),
        ("extra", "new"),
        ("old", "0.9 MIT"),
        ("windows", "not here"),
    ]
    said = "\n".join(wrong)
    assert "a-b is in requirements.lock and not installed" in said
    assert "the licence of a-b ==1.0" not in said and "the licence of a-b 1.0 cannot" in said
    assert "bare has no hash" in said
    assert "extra 1.0 is installed and not in requirements.lock" in said
    assert "old 1.0 is installed and old==2.0 is locked" in said
    assert "windows" not in said and "pip" not in said
    assert licences.changes(rows) == [
        "new since the last review: extra",
        "bare was 1.0 ISC and is 1.0 MIT",
        "old was 0.9 MIT and is 1.0 MIT",
    ]


def test_vendored_files_and_data_have_licences(tmp_path):
    rows, wrong = licences.vendored()
    assert {row.name.split()[0] for row in rows} == {"fonts", "mathjax", "vega"} and wrong == []
    copy = tmp_path / "vendored"
    shutil.copytree(licences.vendor.VENDORED, copy)
    record = copy / "README.md"
    record.write_text(record.read_text("utf-8").replace("OFL-1.1", "Secret-1"), "utf-8")
    (copy / "new.js").write_text("x")
    said = "\n".join(licences.vendored(copy)[1])
    assert "has the licence Secret-1" in said and "new.js is there and not recorded" in said

    rows, wrong = licences.data()
    assert "king_james_bible.txt.xz" in [row.name for row in rows] and wrong == []
    (tmp_path / "numbers.csv").write_text("1")
    assert "lib/optdyn/numbers.csv cannot be told" in licences.data(tmp_path)[1][0]


def test_this_environment_is_in_order_and_as_reviewed(capsys):
    """A renewed lock asks for a review: python book/licences.py --review."""
    assert licences.main([]) == 0, capsys.readouterr().err
    out = capsys.readouterr().out
    for words in ("jax ", "Packages of requirements.lock: ", "OFL-1.1", "king_james_bible"):
        assert words in out
    assert "new since the last review" not in out and " was " not in out
    lock = licences.locked((licences.ROOT / "requirements.lock").read_text("utf-8"))
    assert set(json.loads(licences.REVIEW.read_text("utf-8"))) == set(lock)


def test_trouble_ends_in_status_1_and_a_review_is_recorded(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(licences, "REVIEW", tmp_path / "licences.json")
    monkeypatch.setattr(licences.sysconfig, "get_path", lambda name: str(tmp_path))
    monkeypatch.setattr(licences, "ROOT", tmp_path)
    (tmp_path / "requirements.lock").write_text(PINNED)
    (tmp_path / "requirements-other.lock").write_text(PINNED + "more==2 \\\n    --hash=sha256:1\n")
    installed(tmp_path, "A_b", "License-Expression: MIT")
    assert licences.main(["--review"]) == 0
    assert json.loads((tmp_path / "licences.json").read_text()) == {"a-b": "1.0 MIT"}
    assert list(tmp_path.glob("*.tmp")) == []
    assert "requirements-other.lock: 2 packages" in capsys.readouterr().out
    (tmp_path / "requirements-other.lock").write_text("more==2\n")
    assert licences.main([]) == 1
    assert "more has no hash in requirements-other.lock" in capsys.readouterr().err
    (tmp_path / "requirements-other.lock").unlink()
    installed(tmp_path, "bad", "License-Expression: GPL-3.0-only")
    assert licences.main([]) == 1
    err = capsys.readouterr().err
    assert err.count("licences.py: bad 1.0 ") == 2
