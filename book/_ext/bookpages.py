"""The pages that are written at build: the claims, as the notebooks last measured them, and what those runs took."""

from __future__ import annotations

import html
import json
import os
import re
from pathlib import Path
from typing import NamedTuple

TOPICS = {"noise": "Noise", "cycles": "Cycles", "shiftk": "Memory", "adam": "Adam"}
KINDS = {
    "theorem": "theorem",
    "derived": "derived here",
    "observed": "observed",
    "open": "open",
}
FIELDS = (
    "id",
    "statement",
    "kind",
    "source",
    "predicted",
    "tolerance",
    "measured",
    "verdict",
)
ID = re.compile(r"([a-z]+)-([a-z]*)(\d+)([a-z]*)")  # cycles-6b, cycles-p3
MACHINE = {  # what the record calls it: what the page calls it, in the page's order
    "device": "device",
    "dtype": "precision",
    "cpu": "processor",
    "cores": "cores",
    "memory": "memory",
    "os": "system",
    "python": "Python",
    "jax": "JAX",
    "numpy": "NumPy",
    "altair": "Altair",
}
BUDGET, LABORATORY_BUDGET = 60, 150  # seconds for one notebook, and for a laboratory


class Claim(NamedTuple):
    id: str
    statement: str
    kind: str
    source: str
    predicted: str
    tolerance: str
    measured: str
    verdict: str
    page: str  # of the notebook that measures it, without its ending

    @property
    def topic(self) -> str:
        return self.id.partition("-")[0]

    @property
    def rank(self) -> tuple:
        topic, series, number, suffix = ID.fullmatch(self.id).groups()
        return (
            list(TOPICS).index(topic) if topic in TOPICS else len(TOPICS),
            topic,
            series,
            int(number),
            suffix,
        )


def notebooks(root: Path) -> list[Path]:
    """Every notebook of the book, in order."""
    return [
        p
        for p in (
            *sorted(root.glob("book/index.ipynb")),
            *sorted(root.glob("chapters/*/*.ipynb")),
        )
    ]


def read_claims(root: Path) -> list[Claim]:
    """The claims in the stored outputs of all notebooks, ordered by topic and number.

    Raises ValueError, naming the notebook, if a claim lacks a field, has an id of another form, or is measured twice.
    """
    claims: dict[str, Claim] = {}
    for path in notebooks(root):
        name = path.relative_to(root).as_posix()
        for cell in json.loads(path.read_text("utf8"))["cells"]:
            for output in cell.get("outputs", ()):
                record = output.get("metadata", {}).get("optdyn_claim")
                if record is None:
                    continue
                if lacking := [f for f in FIELDS if f not in record]:
                    raise ValueError(
                        f"{name}: a claim lacks {', '.join(lacking)}: {record}"
                    )
                claim = Claim(
                    **{f: str(record[f]) for f in FIELDS},
                    page=name.removesuffix(".ipynb"),
                )
                if not ID.fullmatch(claim.id):
                    raise ValueError(
                        f"{name}: {claim.id!r} is not an id such as cycles-4 or cycles-6b"
                    )
                if claim.kind not in KINDS:
                    raise ValueError(
                        f"{name}: claim {claim.id} is of kind {claim.kind!r}; a kind is one of {', '.join(KINDS)}"
                    )
                if claim.id in claims:
                    raise ValueError(
                        f"{name}: claim {claim.id} is measured in {claims[claim.id].page}.ipynb already"
                    )
                claims[claim.id] = claim
    return sorted(claims.values(), key=lambda c: c.rank)


def inline(text: str) -> str:
    """Text as HTML, on one line: a blank line would end the table for the Markdown parser."""
    return html.escape(" ".join(text.split()))


def table(kind: str, caption: str, heads: list[str], rows: list[list[str]]) -> str:
    """An HTML table without blank lines, whose rows stack on a narrow screen. Cells are HTML already; a row's first cell heads it."""
    head = "".join(f'<th scope="col" role="columnheader">{h}</th>' for h in heads)
    body = "\n".join(
        '<tr role="row">'
        + "".join(
            f'<{"th scope=row" if i == 0 else "td"} role="{"rowheader" if i == 0 else "cell"}" data-head="{html.escape(heads[i])}">{cell}</{"th" if i == 0 else "td"}>'
            for i, cell in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )
    return (
        f'<table class="optdyn-table {kind}" role="table">\n<caption>{html.escape(caption)}</caption>\n'
        f'<thead role="rowgroup"><tr role="row">{head}</tr></thead>\n<tbody role="rowgroup">\n{body}\n</tbody>\n</table>\n'
    )


def claims_table(claims: list[Claim], folder: str, caption: str) -> str:
    """One table of claims, with links for a page that lies in `folder` (relative to the root of the site)."""
    rows = []
    for c in claims:
        link = (
            os.path.relpath(f"{c.page}.html", folder).replace(os.sep, "/")
            + f"#claim-{c.id}"
        )
        source = (
            ""
            if c.source in ("", c.kind, KINDS[c.kind])
            else f'<span class="optdyn-source">{inline(c.source)}</span>'
        )
        rows.append(
            [
                f'<a href="{html.escape(link)}">{c.id}</a> <span class="optdyn-verdict" data-verdict="{html.escape(c.verdict)}">{html.escape(c.verdict)}</span>',
                f'<span class="optdyn-statement">{inline(c.statement)}</span> <span class="optdyn-kind" data-kind="{c.kind}">{KINDS[c.kind]}</span> {source}',
                (inline(c.predicted) or "–")
                + (
                    f' <span class="optdyn-tolerance">{inline(c.tolerance)}</span>'
                    if c.tolerance
                    else ""
                ),
                inline(c.measured) or "–",
            ]
        )
    return table(
        "optdyn-claims", caption, ["Claim", "Statement", "Predicted", "Measured"], rows
    )


def claims_page(claims: list[Claim]) -> str:
    """The body of book/claims."""
    if not claims:
        return "No notebook carries a claim yet.\n"
    parts = [
        f"{len(claims)} claims, all measured again each time the notebooks are run.\n"
        if len(claims) > 1
        else ""
    ]
    for topic in dict.fromkeys(c.topic for c in claims):
        title = TOPICS.get(topic, topic.capitalize())
        mine = [c for c in claims if c.topic == topic]
        parts.append(
            f"## {title}\n\n"
            + claims_table(mine, "book", f"The claims on {title.lower()}")
        )
    return "\n".join(parts)


def chapter_claims(claims: list[Claim], topic: str) -> str:
    """The claims table of chapters/<topic>/index."""
    mine = [c for c in claims if c.topic == topic]
    if not mine:
        return "No claim of this topic has been measured yet.\n"
    return claims_table(
        mine, f"chapters/{topic}", f"The claims on {TOPICS.get(topic, topic).lower()}"
    )


def status_page(root: Path) -> str:
    """The body of book/status, from book/measurements.json."""
    path = root / "book" / "measurements.json"
    if not path.exists():
        return "Nothing has been measured yet. `python make.py execute` runs the notebooks and records what they took.\n"
    record = json.loads(path.read_text("utf8"))
    machine, measured = record.get("machine", {}), record.get("notebooks", {})
    parts = []
    if machine:
        known = [key for key in MACHINE if key in machine]
        rows = [
            [
                html.escape(MACHINE.get(key, key.replace("_", " "))),
                html.escape(str(machine[key])),
            ]
            for key in (*known, *(key for key in machine if key not in MACHINE))
        ]
        parts.append(
            "## The machine\n\n"
            + table(
                "optdyn-facts", "What the notebooks ran on", ["What", "Value"], rows
            )
        )
    rows, total = [], 0.0
    for name in dict.fromkeys(
        [*(p.relative_to(root).as_posix() for p in notebooks(root)), *measured]
    ):
        budget = LABORATORY_BUDGET if "laboratory" in name else BUDGET
        page = os.path.relpath(name.removesuffix(".ipynb") + ".html", "book").replace(
            os.sep, "/"
        )
        label = (
            f'<a href="{html.escape(page)}">{html.escape(name)}</a>'
            if (root / name).exists()
            else html.escape(name)
        )
        if (entry := measured.get(name)) is None:
            rows.append([label, "not measured yet", f"{budget} s", "–"])
            continue
        seconds = float(entry["seconds"])
        total += seconds
        over = "" if seconds <= budget else " (over its budget)"
        rows.append(
            [
                label,
                f"{seconds:.1f} s{over}",
                f"{budget} s",
                html.escape(str(entry.get("date", "–"))),
            ]
        )
    parts.append(
        "## The notebooks\n\n"
        + table(
            "optdyn-times",
            "How long each notebook took, all cells, from a cold start",
            ["Notebook", "Measured", "Budget", "Date"],
            rows,
        )
    )
    parts.append(
        f"Together: {total:.0f} s.\n"
        if total
        else "No notebook has been measured yet.\n"
    )
    return "\n".join(parts)


def write_whole(path: Path, text: str) -> bool:
    """Write a file whole or not at all, and only if its content changes. True if it was written."""
    if path.exists() and path.read_text("utf8") == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + f".{os.getpid()}.part")
    part.write_text(text, encoding="utf8", newline="\n")
    os.replace(part, path)
    return True


def generate(root: Path) -> None:
    """Write book/generated, which the pages of the book include."""
    claims = read_claims(root)
    out = root / "book" / "generated"
    write_whole(out / "claims.md", claims_page(claims))
    write_whole(out / "status.md", status_page(root))
    for folder in sorted(p for p in root.glob("chapters/*") if p.is_dir()):
        write_whole(
            out / f"claims-{folder.name}.md", chapter_claims(claims, folder.name)
        )
