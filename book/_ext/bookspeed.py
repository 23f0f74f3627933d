"""What the pages on speed are written from: book/speed.json and the notebooks' own lines.

`speed_page` is the body of book/speed, as `make bench` measured it; `large_page` is the table of
book/gpu: what the notebooks do more of where there is a GPU. Both are pure but for reading.
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import bookpages
from bookpages import MACHINE, line, span, table

FORMAT = "optdyn.bench 1"
NOTHING_MEASURED = (
    "Nothing has been measured yet. `make bench` does it, and stores what it found.\n"
)
NOT_MEASURED = "not measured"
ENVIRONMENTS = {"book": "the book's", "peers": "the peers'", "torch": "the peers', with PyTorch"}
GROWTH = (
    "Seconds and bytes are measured while one size grows and the others stay, and are fitted by a "
    "power of that size, on logarithms, over the larger sizes. Bytes are what the compiled program "
    "states that it needs, unless the note says otherwise."
)
CAPTION = "color:var(--soft);font:0.9rem/1.4 var(--sans);text-align:left"  # as a table's
RATES = {  # field of the record: what the page calls it, and what it is divided by
    "flops64": ("Arithmetic, float64, 10⁹ operations a second", 1e9),
    "flops32": ("Arithmetic, float32, 10⁹ operations a second", 1e9),
    "exp64": ("Exponentials, float64, 10⁶ a second", 1e6),
    "exp32": ("Exponentials, float32, 10⁶ a second", 1e6),
    "bytes": ("Memory traffic, GB a second", 1e9),
    "words": ("Random words of 32 bits, 10⁶ a second", 1e6),
}


def read(path: Path) -> dict[str, Any] | None:
    """The record of one run of the benchmark, or None. Raises ValueError if it is none."""
    if not path.exists():
        return None
    try:
        record = json.loads(path.read_text("utf8"))
        found = record["format"]
    except (ValueError, KeyError, TypeError):
        found = None
    if found != FORMAT:
        raise ValueError(
            f"book/{path.name}: its format is {found!r}, and the book reads {FORMAT!r}; "
            f"measure again with `make bench`"
        )
    return record


# -- numbers and sentences ---------------------------------------------------------------


def digits(value: float) -> str:
    """Three significant digits, without an exponent: 1,234; 12.3; 0.00123."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    places = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{places}f}"


def ratio(values: Sequence[float]) -> str:
    """A median with what it lay between, on one line."""
    middle, low, high = map(digits, values)
    return f'<span style="white-space:nowrap">{middle} ({low} to {high})</span>'


def exponent(value: Sequence[float] | None) -> str:
    return "–" if value is None else f"{round(value[0], 2) + 0.0:.2f} ± {value[1]:.2f}"


def listed(names: Sequence[str]) -> str:
    """a; a and b; a, b and c."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def paragraph(text: str) -> str:
    """Text as HTML, so that nothing in it is taken for Markdown."""
    return f"<p>{line(text)}</p>\n"


def ours(row: dict[str, Any]) -> dict[str, Any]:
    return next(one for one in row["contestants"].values() if one.get("ours"))


def others(row: dict[str, Any]) -> dict[str, float]:
    """Each competitor's time over the library's; the library's other ways are none."""
    own = {name for name, one in row["contestants"].items() if one.get("ours")}
    return {name: middle for name, (middle, *_) in row["ratio"].items() if name not in own}


def nearest(row: dict[str, Any]) -> str | None:
    """The quickest of the others."""
    return min(others(row), key=others(row).__getitem__, default=None)


def ahead(row: dict[str, Any]) -> list[str]:
    """Who is quicker than the library."""
    return [name for name, middle in others(row).items() if middle < 1]


def place(name: str) -> str:
    """The anchor of a row's section."""
    return "speed-" + name.replace("_", "-").lower()


# -- the overview --------------------------------------------------------------------------


def tally(rows: dict[str, dict[str, Any]]) -> str:
    """How often the library is ahead."""
    many = [row for row in rows.values() if row["ensemble"]]
    first = [sum(not ahead(row) for row in some) for some in (rows.values(), many)]
    return (
        f"The library is ahead of every other contestant in {first[0]} of {len(rows)} rows. "
        f"{len(many)} of them compute an ensemble or a sweep; of these it is ahead in {first[1]}."
    )


def overview_row(name: str, row: dict[str, Any], gpu: dict[str, Any] | None) -> list[str]:
    mine, other = ours(row)["median"], nearest(row)
    beside = "nobody else was measured"
    if other is not None:
        beside = f"{line(other)}: {ratio(row['ratio'][other])}"
        beside += " " + span("place", "ahead of optdyn") if ahead(row) else ""
    there = (gpu or {"rows": {}})["rows"].get(name)
    return [
        f'<a href="#{place(name)}">{line(row["title"])}</a> {span("place", line(row["size"]))}',
        digits(1e3 * mine),
        beside,
        digits(mine / row["bound"]["seconds"]),
        digits(1e3 * ours(there)["median"]) if there else NOT_MEASURED,
    ]


def overview(rows: dict[str, dict[str, Any]], gpu: dict[str, Any] | None) -> str:
    heads = [
        "What is computed",
        "optdyn, ms",
        "The quickest other, times optdyn’s time",
        "optdyn, times the bound",
        "optdyn on a GPU, ms",
    ]
    body = [overview_row(name, row, gpu) for name, row in rows.items()]
    return table(
        "speed optdyn-times", "Every row, the quickest of the others beside it", heads, body
    )


def strip(rows: dict[str, dict[str, Any]]) -> str:
    """A picture of all ratios, on a logarithmic scale: a line a row, a dot a contestant."""
    logs = {
        name: [math.log10(middle) for middle in others(row).values()] for name, row in rows.items()
    }
    bounds = {
        name: math.log10(row["bound"]["seconds"] / ours(row)["median"])
        for name, row in rows.items()
    }
    values = [0.0, *bounds.values(), *(x for each in logs.values() for x in each)]
    low, high = math.floor(min(values)), max(1, math.ceil(max(values)))

    def at(x: float) -> str:
        return f"{6 + 88 * (x - low) / (high - low):.2f}%"

    def write(where: str, y: int, anchor: str, colour: str, text: str) -> str:
        # the outline keeps a label apart from the scale's lines behind it
        style = f"fill:var(--{colour});font:0.8rem var(--sans);paint-order:stroke;"
        style += "stroke:var(--ground);stroke-width:5px"
        return f'<text x="{where}" y="{y}" text-anchor="{anchor}" style="{style}">{text}</text>'

    height = 38 * len(rows) + 8
    parts = []
    for power in range(low, high + 1):
        width, colour = (2, "soft") if power == 0 else (1, "line")
        parts.append(
            f'<line x1="{at(power)}" x2="{at(power)}" y1="0" y2="{height}" '
            f'style="stroke:var(--{colour});stroke-width:{width}"/>'
        )
        if high - low <= 5 or power % 3 == 0:  # on a phone there is no room for more
            parts.append(write(at(power), height + 16, "middle", "soft", f"{10.0**power:,.15g}"))
    for number, (name, row) in enumerate(rows.items()):
        y = 38 * number + 28
        title = line(row["title"])
        parts.append(write("0", y - 12, "start", "ink", title))
        bar = at(bounds[name])
        parts.append(
            f'<line x1="{bar}" x2="{bar}" y1="{y - 6}" y2="{y + 6}" '
            f'style="stroke:var(--bad);stroke-width:3"/>'
        )
        best = min(logs[name], default=None)
        for x in logs[name]:
            fill = "accent" if x == best else "ground"
            parts.append(
                f'<circle cx="{at(x)}" cy="{y}" r="5" '
                f'style="fill:var(--{fill});stroke:var(--accent);stroke-width:2"/>'
            )
    says = "; ".join(
        f"{row['title']}: the bound {digits(row['bound']['seconds'] / ours(row)['median'])}"
        + "".join(f", {name} {digits(middle)}" for name, (middle, *_) in row["ratio"].items())
        for row in rows.values()
    )
    label = line(f"Time over that of optdyn. {says}.")
    return "\n".join(
        [
            "<figure>",
            f'<svg role="img" aria-label="{label}" width="100%" height="{height + 24}" '
            'style="display:block;overflow:visible">',
            *parts,
            "</svg>",
            f'<figcaption style="{CAPTION}">',
            "Right of 1 optdyn is quicker. Time over that of optdyn, on a logarithmic scale: a dot "
            "for each competitor, the quickest filled; a bar for the bound, which nobody can pass.",
            "</figcaption>",
            "</figure>",
            "",
        ]
    )


# -- row by row ----------------------------------------------------------------------------


def contestant_row(name: str, one: dict[str, Any], ratios: dict[str, Any]) -> list[str]:
    if "missing" in one:
        reason = span("place", line(one["missing"]))
        return [f"{line(name)} {reason}", NOT_MEASURED, "–", "–", "–"]
    label = line(name)
    if one["share"] != 1:
        part = f"{digits(100 * one['share'])} % of the work was timed, and scaled up"
        label += " " + span("place", part)
    return [
        label,
        digits(1e3 * one["median"]),
        "1" if one["ours"] else ratio(ratios[name]),
        f"{one['compile']:.2f}",
        line(ENVIRONMENTS.get(one["environment"], one["environment"])),
    ]


def verdict(row: dict[str, Any]) -> str:
    """Who is ahead, and why."""
    others = ahead(row)
    if not others:
        return ""
    verb = "is" if len(others) == 1 else "are"
    why = row["why"] or "The reason has not been found."
    return f"{listed(others)} {verb} ahead of optdyn here. {why}"


def row_section(name: str, row: dict[str, Any]) -> str:
    heads = ["Contestant", "Median, ms", "Times optdyn’s", "Compilation, s", "Environment"]
    body = [contestant_row(who, one, row["ratio"]) for who, one in row["contestants"].items()]
    bound, repeats = row["bound"], row["repeats"]
    times = ours(row)["median"] / bound["seconds"]
    title = " ".join(row["title"].split())
    parts = [
        f"({place(name)})=\n### {line(title)}\n",
        paragraph(f"{row['size']}. Answers in {row['precision']}, {repeats} repeats."),
        table("speed optdyn-times", f"{title}: who takes how long", heads, body),
        paragraph(
            f"The bound is {digits(1e3 * bound['seconds'])} ms, and optdyn takes {digits(times)} "
            f"times that: {bound['argument']}"
        ),
        paragraph(verdict(row)) if ahead(row) else "",
    ]
    return "\n".join(part for part in parts if part)


# -- growth, machine -----------------------------------------------------------------------


def growth(entries: Sequence[dict[str, Any]], caption: str) -> str:
    heads = ["Function, and what grows", "Time", "Memory", "Sizes", "Note"]
    rows = [
        [
            f"<code>{line(one['function'])}</code> {span('place', line(one['against']))}",
            exponent(one["time_exponent"]),
            exponent(one["memory_exponent"]),
            ", ".join(f"{size:,}" for size in one["sizes"]),
            line(one["note"]) or "–",
        ]
        for one in entries
    ]
    return table("speed optdyn-times", caption, heads, rows)


def machine(record: dict[str, Any], caption: str) -> str:
    """What was measured on, with what, when, and what a core of it can do."""
    rows = [("date", record["date"]), *record["machine"].items(), *record["versions"].items()]
    rows += [
        (title, digits(record["rates"][name] / unit))
        for name, (title, unit) in RATES.items()
        if name in record["rates"]
    ]
    return table(
        "facts",
        caption,
        ["What", "Value"],
        [[line(MACHINE.get(k, k)), line(str(v))] for k, v in rows if v is not None],
    )


def speed_text(record: dict[str, Any]) -> str:
    """The body of book/speed, from a record of the benchmark."""
    cpu, gpu = record["cpu"], record["gpu"]
    rows = cpu["rows"]
    parts = [
        "## All rows\n",
        paragraph(tally(rows)),
        strip(rows),
        overview(rows, gpu),
        "## Row by row\n",
        *(row_section(name, row) for name, row in rows.items()),
        "## How cost grows\n",
        paragraph(GROWTH),
        growth(cpu["growth"], "Exponents, with standard errors: 1 is in proportion, 0 not at all"),
        growth(gpu["growth"], "The same on the GPU") if gpu else "",
        "## The machine\n",
        machine(cpu, "What the benchmark ran on, and what one core of it can do"),
        machine(gpu, "The GPU, and what it can do") if gpu else "",
    ]
    return "\n".join(part for part in parts if part)


def speed_page(root: Path) -> str:
    """The body of book/speed: rows are measured on a CPU, a GPU is a second column.

    Raises ValueError if the record is of another format.
    """
    record = read(root / "book" / "speed.json")
    return NOTHING_MEASURED if record is None or record["cpu"] is None else speed_text(record)


# -- what a GPU does more of -----------------------------------------------------------------


class Larger(NamedTuple):
    """An expression `gpu if LARGE else cpu` of a notebook."""

    page: str  # the notebook, without its ending
    section: str
    name: str
    cpu: str
    gpu: str


def value(node: ast.expr) -> str:
    """An expression as text, numbers with commas, a tuple without its brackets."""
    text = ast.unparse(node)
    text = text[1:-1] if isinstance(node, ast.Tuple) and text.startswith("(") else text
    return re.sub(r"\d{4,}", lambda match: f"{int(match[0]):,}", text)


def choices(source: str) -> Iterator[tuple[str, str, str]]:
    """The name that `gpu if LARGE else cpu` is given to, cpu and gpu, for each in a cell."""

    def found(node: ast.AST, name: str) -> Iterator[tuple[str, str, str]]:
        if isinstance(node, ast.Assign):
            name = value(node.targets[0])
        elif isinstance(node, ast.FunctionDef):
            arguments = node.args.args
            last = len(arguments) - len(node.args.defaults)
            for argument, default in zip(arguments[last:], node.args.defaults, strict=True):
                yield from found(default, f"{node.name}({argument.arg})")
            for inner in node.body:
                yield from found(inner, node.name)
            return
        elif isinstance(node, ast.IfExp) and ast.unparse(node.test) == "LARGE":
            yield name, value(node.orelse), value(node.body)
        for inner in ast.iter_child_nodes(node):
            yield from found(inner, name)

    return found(ast.parse(source), "")


def larger(root: Path, *, solutions: bool = True) -> list[Larger]:
    """What the notebooks compute more of on a GPU, notebook by notebook."""
    rows: list[Larger] = []
    for path in bookpages.notebooks(root, solutions=solutions):
        page = path.relative_to(root).as_posix().removesuffix(".ipynb")
        section, known = "", {}  # a choice may be another's name
        for cell in json.loads(path.read_text("utf8"))["cells"]:
            source = "".join(cell["source"])
            if cell["cell_type"] == "markdown":
                heads = re.findall(r"^#{1,3} +(.+)$", source, re.M)
                section = heads[-1] if heads else section
            elif "if LARGE" in source:
                for name, cpu, gpu in choices(source):
                    known[name] = known.get(gpu, gpu)
                    rows.append(Larger(page, section, name, cpu, known[name]))
    return rows


def large_page(root: Path, *, solutions: bool = True) -> str:
    """The table of book/gpu."""
    rows = [
        [
            f"{bookpages.link(one.page, 'book', one.page.removeprefix('chapters/'))} "
            f"{span('place', line(one.section))}",
            f"<code>{line(one.name)}</code>",
            line(one.cpu),
            line(one.gpu),
        ]
        for one in larger(root, solutions=solutions)
    ]
    heads = ["Notebook and section", "In its code", "On a CPU", "On a GPU"]
    return table("speed optdyn-times", "What the notebooks do more of on a GPU", heads, rows)


def generate(root: Path, *, solutions: bool = True) -> None:
    """Write what the pages on speed include into book/generated."""
    out = root / "book" / "generated"
    bookpages.write_whole(out / "speed.md", speed_page(root))
    bookpages.write_whole(out / "large.md", large_page(root, solutions=solutions))
