"""The licences of what the book stands on: packages, scripts and fonts of others, data.

    python book/licences.py            a table; exit status 1 if something is not in order
    python book/licences.py --review   the same, and record the licences as last known

A package's licence is what its metadata say, in this order: License-Expression, License, the
classifiers, the licence file. Not in order is a licence that cannot be told or is not in ACCEPTED,
a package that is installed and not in requirements.lock, or pinned there and missing, or without
a hash; and a vendored file or data file that is not recorded, or not as recorded.
`make licences` sets up the environment first.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import re
import sys
import sysconfig
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement

import vendor

ROOT = Path(__file__).resolve().parent.parent
REVIEW = ROOT / "book" / "licences.json"

NOTICE = "asks that its notice stays, and nothing of what is made with it"
NOTHING = "asks for nothing"
ACCEPTED = {  # and why
    **dict.fromkeys(["MIT", "BSD", "BSD-2-Clause", "BSD-3-Clause", "ISC", "Zlib"], NOTICE),
    **dict.fromkeys(["0BSD", "MIT-0", "CC0-1.0", "Unlicense", "Public-Domain"], NOTHING),
    "Apache-2.0": NOTICE + "; grants patents",
    "PSF-2.0": NOTICE,
    "MPL-2.0": "covers its own files, which are used unchanged",
    "OFL-1.1": "lets fonts be served, under their own licence beside them",
}
ALIASES = {  # what metadata write, in lower case
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "bsd 2-clause license": "BSD-2-Clause",
    "bsd 3-clause license": "BSD-3-Clause",
    "bsd license": "BSD",
    "isc license": "ISC",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "psfl": "PSF-2.0",
    "python software foundation license": "PSF-2.0",
    "public domain": "Public-Domain",
}
TEXTS = (  # a licence by words of its text
    (r"Apache License\s+Version 2\.0", "Apache-2.0"),
    (r"Mozilla Public License", "MPL-2.0"),
    (r"Redistribution and use in source and binary(?s:.*)[Nn]either the name", "BSD-3-Clause"),
    (r"Redistribution and use in source and binary", "BSD-2-Clause"),
    (r"Permission is hereby granted, free of charge", "MIT"),
    (r"Permission to use, copy, modify,? and(?:/or)? distribute", "ISC"),
)
READ = {  # where the metadata do not tell the whole: what was read, and where
    "docutils": ("Public-Domain AND BSD-2-Clause AND PSF-2.0", "COPYING; rst.el is not installed"),
    "axe-playwright-python": ("MIT AND MPL-2.0", "it carries axe-core"),
}
TOOLS = {"pip", "setuptools"}  # that every environment begins with
DATA = {  # files of data in lib/optdyn: licence, source
    "king_james_bible.txt.xz": ("Public-Domain AND MIT", "king_james_bible.md says of what"),
    "language_sweep.json": ("Apache-2.0", "our own: make sweep writes it"),
}
IN_CODE = {  # data that stand in the code as numbers, which are facts
    "datasets.orings": "Dalal, Fowlkes and Hoadley, J. Am. Stat. Assoc. 84 (1989)",
}


class Row(NamedTuple):
    """One line of the table."""

    name: str
    version: str
    licence: str
    accepted: str
    pinned: str = ""
    known: str = ""


def normal(name: str) -> str:
    """A package's name as indices compare it.

    >>> normal("Sphinx_Design")
    'sphinx-design'
    """
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(text: str) -> dict[str, tuple[Requirement, bool]]:
    """The packages of a lock: the requirement, and whether a hash stands with it.

    >>> found = locked("a==1 ; os_name == 'nt' \\\\\\n    --hash=sha256:0\\nb==2\\n")
    >>> {name: (str(wish.specifier), pinned) for name, (wish, pinned) in found.items()}
    {'a': ('==1', True), 'b': ('==2', False)}
    """
    found: dict[str, tuple[Requirement, bool]] = {}
    for line in re.sub(r"\\\n", " ", text).splitlines():
        if re.match(r"[A-Za-z0-9]", line):
            wish = Requirement(line.split(" --hash=")[0].strip())
            found[normal(wish.name)] = wish, " --hash=sha256:" in line
    return found


def recognised(text: str) -> str:
    """The licence whose text this is, or an empty text."""
    return next((name for words, name in TEXTS if re.search(words, text)), "")


def licence_of(distribution: importlib.metadata.Distribution) -> str:
    """The licence of an installed package as an SPDX expression, or an empty text."""
    about = distribution.metadata
    name = normal(about["Name"])
    if name in READ:
        return READ[name][0]
    expression, field = (
        (about.get_all(key) or [""])[0] for key in ("License-Expression", "License")
    )
    if expression:
        return str(expression)
    field = str(field).strip()
    if field and "\n" not in field and field != "UNKNOWN":
        return ALIASES.get(field.lower(), field)
    if known := recognised(field):
        return known
    classifiers = about.get_all("Classifier") or []
    said = [line.split(" :: ")[-1] for line in classifiers if line.startswith("License ::")]
    said = [ALIASES.get(text.lower(), text) for text in said if text != "OSI Approved"]
    if said:
        return " AND ".join(said)
    for file in distribution.files or []:
        if re.search(r"licen[cs]e|copying", file.name, re.I) and file.suffix in ("", ".txt", ".md"):
            path = Path(str(distribution.locate_file(file)))
            if path.is_file() and (known := recognised(path.read_text("utf-8", "replace"))):
                return known
    return ""


def is_accepted(licence: str) -> bool:
    """Whether a licence, or one of those it offers, is accepted.

    >>> is_accepted("GPL-3.0 OR MIT"), is_accepted("GPL-3.0 AND MIT"), is_accepted("")
    (True, False, False)
    """

    def known(part: str) -> bool:
        return part.partition(" WITH ")[0].strip() in ACCEPTED

    if "(" in licence:  # no package needs more care so far
        return all(map(known, re.split(r" AND | OR ", re.sub(r"[()]", "", licence))))
    return any(all(map(known, offer.split(" AND "))) for offer in licence.split(" OR "))


def verdict(licence: str) -> str:
    return "yes" if is_accepted(licence) else "NO" if licence else "UNKNOWN"


def packages(
    lock: str, folders: Iterable[str], known: dict[str, str]
) -> tuple[list[Row], list[str]]:
    """The rows of the packages of a lock and of those installed, and what is not in order.

    Arguments:
        lock: the text of requirements.lock.
        folders: where packages are installed.
        known: version and licence of each as they were when last reviewed, such as "1.0 MIT".
    """
    wishes = locked(lock)
    installed = {
        normal(one.metadata["Name"]): one
        for one in importlib.metadata.distributions(path=list(folders))
    }
    rows, wrong = [], []
    for name in sorted({*wishes, *(set(installed) - TOOLS)}):
        wish, pinned = wishes.get(name, (None, False))
        one = installed.get(name)
        if one is None:
            assert wish is not None
            version = str(wish.specifier).removeprefix("==")
            licence = known.get(name, "").partition(" ")[2]  # of another system's package
            hashed = "yes" if pinned else "NO"
            rows.append(Row(name, version, licence or "?", verdict(licence), hashed, "not here"))
            if wish.marker is None or wish.marker.evaluate():
                wrong.append(f"{name} is in requirements.lock and not installed: make setup")
            wrong += complaint(f"{name} {version}", licence)
            continue
        licence = licence_of(one)
        row = Row(name, one.version, licence or "?", verdict(licence), "yes" if pinned else "NO")
        rows.append(row._replace(known=known.get(name, "new")))
        if wish is None:
            wrong.append(
                f"{name} {one.version} is installed and not in requirements.lock: add it to "
                "requirements.txt and run make lock, or make the environment anew"
            )
        elif str(wish.specifier) != f"=={one.version}":
            wrong.append(f"{name} {one.version} is installed and {wish} is locked: make setup")
        elif not pinned:
            wrong.append(f"{name} has no hash in requirements.lock: make lock")
        wrong += complaint(f"{name} {one.version}", licence)
    return rows, wrong


def complaint(what: str, licence: str) -> list[str]:
    if not licence:
        return [f"the licence of {what} cannot be told: read it, and record it in READ"]
    if not is_accepted(licence):
        names = ", ".join(ACCEPTED)
        return [f"{what} has the licence {licence}; accepted are {names}. Replace it"]
    return []


def vendored(folder: Path = vendor.VENDORED) -> tuple[list[Row], list[str]]:
    """The same for the scripts and fonts that the site serves, as their README records them."""
    found: dict[tuple[str, str], None] = {}
    for line in (folder / "README.md").read_text("utf-8").splitlines():
        if line.startswith("| `"):
            file, origin, licence, _ = (cell.strip() for cell in line.strip("|").split("|"))
            found[f"{file.strip('`').split('/')[0]}: {origin}", licence] = None
    rows, wrong = [], []
    for (name, version), licence in ((_origin(text), licence) for text, licence in found):
        both = licence.replace(", ", " AND ")
        rows.append(Row(name, version, both, verdict(both), "yes", both))
        wrong += complaint(name, both)
    return rows, wrong + [f"book/vendored: {text}" for text in vendor.differences(folder)]


def _origin(text: str) -> tuple[str, str]:
    folder, _, origin = text.partition(": ")
    match = re.search(r"`([^`]+)` ([\w.]+)(.*)", origin)
    return (f"{folder} ({match[1]}{match[3]})", match[2]) if match else (text, "")


def data(folder: Path = ROOT / "lib" / "optdyn") -> tuple[list[Row], list[str]]:
    """The same for the files of data in the library, and for data that stand in its code."""
    code = {".py", ".js", ".css", ".md", ".typed", ".tmp", ".pyc"}
    files = [path.name for path in folder.iterdir() if path.is_file()]
    files = sorted(
        name for name in files if Path(name).suffix not in code and not name.startswith(".")
    )
    rows, wrong = [], []
    for name in files:
        licence, source = DATA.get(name, ("", ""))
        rows.append(Row(name, source or "?", licence or "?", verdict(licence)))
        wrong += complaint(f"lib/optdyn/{name}", licence)
    rows += [Row(name, source, "facts", "yes") for name, source in IN_CODE.items()]
    return rows, wrong


def table(title: str, heads: Sequence[str], rows: Sequence[Row]) -> str:
    """Rows as text, in columns."""
    lines = [[*heads], *([*row][: len(heads)] for row in rows)]
    widths = [min(44, max(len(line[i]) for line in lines)) for i in range(len(heads))]
    said = ["  ".join(t.ljust(w) for t, w in zip(ln, widths, strict=True)).rstrip() for ln in lines]
    return "\n".join([f"{title}: {len(rows)}", *said, ""])


def changes(rows: Sequence[Row]) -> list[str]:
    """What differs from the last review, a sentence each."""
    new = [row.name for row in rows if row.known == "new"]
    now = {row.name: f"{row.version} {row.licence}" for row in rows}
    other = [row for row in rows if row.known not in ("new", "not here", now[row.name])]
    said = [f"new since the last review: {', '.join(new)}"] if new else []
    return said + [f"{row.name} was {row.known} and is {now[row.name]}" for row in other]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--review", action="store_true", help="record versions and licences as last known"
    )
    review = parser.parse_args(arguments).review
    known = json.loads(REVIEW.read_text("utf-8")) if REVIEW.exists() else {}
    folders = dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))
    lock = (ROOT / "requirements.lock").read_text("utf-8")
    rows, wrong = packages(lock, folders, known)
    heads = ("name", "version", "licence", "accepted", "hash", "last known")
    print(table("Packages of requirements.lock", heads, rows))
    for title, names, part in (
        ("Scripts and fonts that the site serves", heads[:4], vendored()),
        ("Data in the library", ("name", "source", *heads[2:4]), data()),
    ):
        print(table(title, names, part[0]))
        wrong += part[1]
    for path in sorted(ROOT.glob("requirements-*.lock")):
        others = locked(path.read_text("utf-8"))
        more = sorted(others.keys() - locked(lock).keys())
        print(f"{path.name}: {len(others)} packages, in environments of their own; besides those")
        print(f"above {', '.join(more) or 'none'}\n")
        bare = [name for name, (_, pinned) in others.items() if not pinned]
        wrong += [f"{name} has no hash in {path.name}: make lock" for name in bare]
    print("Accepted:", *(f"  {name}: {why}" for name, why in ACCEPTED.items()), "", sep="\n")
    if review:
        kept = {name: known[name] for name in locked(lock) if name in known}
        now = {row.name: f"{row.version} {row.licence}" for row in rows if row.accepted == "yes"}
        text = json.dumps({**kept, **now}, indent=1, sort_keys=True) + "\n"
        part_ = REVIEW.with_name(f"{REVIEW.name}.tmp")
        part_.write_text(text, encoding="utf-8", newline="\n")
        os.replace(part_, REVIEW)
    else:
        print(*changes(rows), sep="\n")
    for sentence in wrong:
        print(f"licences.py: {sentence}.", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
