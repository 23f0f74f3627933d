"""The parts of pages that are written at build, never by hand.

The claims, as the notebooks measured them last, and what those runs took. Everything
comes from the stored outputs of the notebooks and from book/measurements.json, and goes
into book/generated, which the pages include.
"""

from __future__ import annotations

import html
import json
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

TOPICS = {
    "noise": "Noise",
    "cycles": "Cycles",
    "shiftk": "Memory",
    "adam": "Adam",
    "closing": "All four together",
}
KINDS = {
    "theorem": "theorem",
    "derived": "derived here",
    "observed": "observed",
    "open": "open",
}
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
BUDGET, LABORATORY_BUDGET = 60, 150  # seconds for a notebook, and for a laboratory
ID = re.compile(r"([a-z]+)-(p?)(\d+)([a-z]?)")  # cycles-6b, cycles-p3
NOTHING_MEASURED = (
    "Nothing has been measured yet. `python make.py execute` runs the notebooks and "
    "records what they took.\n"
)


class Claim(NamedTuple):
    """A claim as a notebook measured it."""

    id: str
    statement: str
    kind: str
    source: str
    predicted: str
    tolerance: str
    measured: str
    verdict: str
    page: str  # the notebook, without its ending

    @property
    def topic(self) -> str:
        return self.id.partition("-")[0]

    @property
    def rank(self) -> tuple:
        topic, series, number, suffix = ID.fullmatch(self.id).groups()
        place = list(TOPICS).index(topic) if topic in TOPICS else len(TOPICS)
        return place, topic, series, int(number), suffix


def notebooks(root: Path, *, solutions: bool = True) -> list[Path]:
    """Every notebook of the book, in order, with solutions or without."""
    found = sorted(root.glob("chapters/*/*.ipynb"))
    chapters = [path for path in found if solutions or path.stem != "solutions"]
    return [*sorted(root.glob("book/*.ipynb")), *chapters]


def records(path: Path) -> Iterable[dict[str, Any]]:
    """The records of claims in a notebook's stored outputs."""
    for cell in json.loads(path.read_text("utf8"))["cells"]:
        for output in cell.get("outputs", ()):
            record = output.get("metadata", {}).get("optdyn_claim")
            if record is not None:
                yield record


def read_claims(root: Path) -> list[Claim]:
    """The claims of all notebooks, by topic and number.

    Raises ValueError, naming the notebook, if a claim lacks a field, has an id or a
    kind of another form, or is measured twice.
    """
    claims: dict[str, Claim] = {}
    for path in notebooks(root):
        name = path.relative_to(root).as_posix()
        for record in records(path):
            fields = Claim._fields[:-1]
            if lacking := [field for field in fields if field not in record]:
                raise ValueError(f"{name}: a claim lacks {', '.join(lacking)}: {record}")
            values = {field: str(record[field]) for field in fields}
            claim = Claim(**values, page=name.removesuffix(".ipynb"))
            if not ID.fullmatch(claim.id):
                raise ValueError(f"{name}: {claim.id!r} is not an id such as cycles-4 or cycles-6b")
            if claim.kind not in KINDS:
                raise ValueError(
                    f"{name}: claim {claim.id} is of kind {claim.kind!r}; a kind is "
                    f"one of {', '.join(KINDS)}"
                )
            if claim.id in claims:
                first = claims[claim.id].page
                raise ValueError(f"{name}: {claim.id} is measured in {first}.ipynb too")
            claims[claim.id] = claim
    return sorted(claims.values(), key=lambda claim: claim.rank)


# -- HTML ------------------------------------------------------------------------------


def line(text: str) -> str:
    """Text as HTML on one line: a blank line would end a table for Markdown."""
    return html.escape(" ".join(text.split()))


def span(name: str, content: str, **data: str) -> str:
    extra = "".join(f' data-{key}="{html.escape(value)}"' for key, value in data.items())
    return f'<span class="optdyn-{name}"{extra}>{content}</span>'


def link(page: str, folder: str, label: str, anchor: str = "") -> str:
    """A link to a page of the site, from a page that lies in `folder`."""
    address = os.path.relpath(f"{page}.html", folder).replace(os.sep, "/") + anchor
    return f'<a href="{html.escape(address)}">{html.escape(label)}</a>'


def table(kind: str, caption: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose rows stack on a narrow screen; the first cell heads its row.

    Cells are HTML already. The roles say again what the tags say, since browsers
    forget it when a style sheet stacks the cells.
    """
    top = "".join(f'<th scope="col" role="columnheader">{h}</th>' for h in heads)
    lines = []
    for row in rows:
        cells = [f'<th scope="row" role="rowheader">{row[0]}</th>']
        for head, cell in zip(heads[1:], row[1:], strict=True):
            cells.append(f'<td role="cell" data-head="{head}">{cell}</td>')
        lines.append(f'<tr role="row">{"".join(cells)}</tr>')
    return "\n".join(
        [
            f'<table class="optdyn-table optdyn-{kind}" role="table">',
            f"<caption>{html.escape(caption)}</caption>",
            f'<thead role="rowgroup"><tr role="row">{top}</tr></thead>',
            '<tbody role="rowgroup">',
            *lines,
            "</tbody>",
            "</table>",
            "",
        ]
    )


# -- what the pages include ------------------------------------------------------------


def claims_table(claims: Iterable[Claim], folder: str, caption: str) -> str:
    """A table of claims for a page that lies in `folder`."""
    rows = []
    for c in claims:
        name = link(c.page, folder, c.id, f"#claim-{c.id}")
        statement = [
            span("statement", line(c.statement)),
            span("kind", KINDS[c.kind], kind=c.kind),
            span("source", line(c.source)) if c.source else "",
        ]
        predicted = line(c.predicted) or "–"
        if c.tolerance:
            predicted += " " + span("tolerance", line(c.tolerance))
        rows.append(
            [
                f"{name} {span('verdict', line(c.verdict), verdict=c.verdict)}",
                " ".join(statement).strip(),
                predicted,
                line(c.measured) or "–",
            ]
        )
    return table("claims", caption, ["Claim", "Statement", "Predicted", "Measured"], rows)


def claims_page(claims: Sequence[Claim]) -> str:
    """The body of book/claims."""
    if not claims:
        return "No notebook carries a claim yet.\n"
    parts = [f"Claims so far: {len(claims)}.\n"]
    for topic in dict.fromkeys(claim.topic for claim in claims):
        title = TOPICS.get(topic, topic.capitalize())
        mine = [claim for claim in claims if claim.topic == topic]
        body = claims_table(mine, "book", f"The claims on {title.lower()}")
        parts.append(f"## {title}\n\n{body}")
    return "\n".join(parts)


def chapter_claims(claims: Sequence[Claim], topic: str) -> str:
    """The claims table of chapters/<topic>/index."""
    mine = [claim for claim in claims if claim.topic == topic]
    if not mine:
        return "No claim of this topic has been measured yet.\n"
    title = TOPICS.get(topic, topic).lower()
    return claims_table(mine, f"chapters/{topic}", f"The claims on {title}")


def status_page(root: Path, *, solutions: bool = True) -> str:
    """The body of book/status."""
    path = root / "book" / "measurements.json"
    if not path.exists():
        return NOTHING_MEASURED
    record = json.loads(path.read_text("utf8"))
    parts = []
    if machine := record.get("machine"):
        known = [key for key in MACHINE if key in machine]
        rows = [
            [line(MACHINE.get(key, key.replace("_", " "))), line(str(machine[key]))]
            for key in (*known, *(key for key in machine if key not in MACHINE))
        ]
        body = table("facts", "What the notebooks ran on", ["What", "Value"], rows)
        parts.append(f"## The machine\n\n{body}")
    body = table(
        "times",
        "How long each notebook took, all cells, from a cold start",
        ["Notebook", "Measured", "Budget", "Date"],
        [time_row(name, entry) for name, entry in times(root, record, solutions)],
    )
    parts.append(f"## The notebooks\n\n{body}")
    return "\n".join(parts)


SPEED = (  # heads of the table of figures
    "Figure, and what is moved",
    "kB",
    "Browser, ms",
    "JAX, ms",
    "Ratio",
    "Redraws a second",
    "Limited by",
)


def figures_page(root: Path, *, solutions: bool = True) -> str:
    """The table of book/how_figures_compute, as tests/bench/bench_figures.py measured it."""
    path = root / "book" / "figures.json"
    if not path.exists():
        return "Not measured yet.\n"
    record = json.loads(path.read_text("utf8"))
    where, hand = record["machine"], record["hand"]
    rows = [r for r in record["figures"] if solutions or not r["page"].endswith("/solutions.html")]
    body = table("speed", "What the figures take", SPEED, map(speed_row, rows))
    text = (
        f"Measured on {where['date']} in {where['browser']}, on {where['cores']} cores of "
        f"{where['cpu']} that other work shared (load {where['load']}). JAX ran on one thread. A "
        f"bifurcation diagram written in JavaScript by hand took {hand['hand']:.1f} ms in the same "
        f"run, its translation from JAX {hand['translated']:.1f} ms: {hand['ratio']:.2f} times as "
        "long."
    )
    return f"{body}\n\n{line(text)}\n"


def speed_row(row: dict[str, Any]) -> list[str]:
    measured = row["compute"] >= 0.1  # a browser's clock ticks in tenths of a millisecond
    limit = row["limit"]
    if limit == "computation" and "operation" in row:
        limit += f" ({row['operation']})"
    label = link(row["page"].removesuffix(".html"), "book", row["name"])
    return [
        label + line(f", {row['control']}"),
        f"{row['kilobytes']:.1f}",
        f"{row['compute']:.1f}" if measured else "below 0.1",
        f"{row['jax']:.2f}" if "jax" in row else "–",
        f"{row['compute'] / row['jax']:.1f}" if "jax" in row and measured else "–",
        f"{row['redraws']:.0f}",
        line(limit),
    ]


def times(
    root: Path, record: dict[str, Any], solutions: bool = True
) -> list[tuple[str, dict | None]]:
    """Every notebook with its measurement, or with None."""
    measured = record.get("notebooks", {})
    paths = notebooks(root, solutions=solutions)
    here = [path.relative_to(root).as_posix() for path in paths]
    return [(name, measured.get(name)) for name in here]


def time_row(name: str, entry: dict[str, Any] | None) -> list[str]:
    budget = LABORATORY_BUDGET if "laboratory" in name else BUDGET
    label = link(name.removesuffix(".ipynb"), "book", name)
    if entry is None:
        return [label, "not measured yet", f"{budget} s", "–"]
    seconds = float(entry["seconds"])
    over = " (over its budget)" if seconds > budget else ""
    if place := ", ".join(str(entry[key]) for key in ("cpu", "device", "dtype") if key in entry):
        label += " " + span("place", line(place))
    date = line(str(entry.get("date", "–")))
    return [label, f"{seconds:.1f} s{over}", f"{budget} s", date]


# -- writing ---------------------------------------------------------------------------


def write_whole(path: Path, text: str) -> bool:
    """Write a file whole or not at all, and only if it changes. True if written."""
    if path.exists() and path.read_text("utf8") == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    part.write_text(text, encoding="utf8", newline="\n")
    os.replace(part, path)
    return True


def generate(root: Path, *, solutions: bool = True) -> None:
    """Write book/generated; without solutions, no table links to them."""
    claims = [c for c in read_claims(root) if solutions or not c.page.endswith("/solutions")]
    out = root / "book" / "generated"
    write_whole(out / "claims.md", claims_page(claims))
    write_whole(out / "status.md", status_page(root, solutions=solutions))
    write_whole(out / "figures.md", figures_page(root, solutions=solutions))
    for folder in sorted(path for path in root.glob("chapters/*") if path.is_dir()):
        text = chapter_claims(claims, folder.name)
        write_whole(out / f"claims-{folder.name}.md", text)
