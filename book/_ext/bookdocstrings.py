"""Our docstrings as blocks: what is a sentence, a formula, a parameter, an example.

A docstring is a sentence, paragraphs, then Args, Returns, Raises and Source, then examples.
`blocks` finds these parts, and `spans` the links, code and formulas of a paragraph. Nothing here
knows Sphinx.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from bookformulas import NoFormula, flat, runs, tex


class Paragraph(NamedTuple):
    text: str


class Formula(NamedTuple):
    rows: tuple[str, ...]  # TeX


class Code(NamedTuple):
    text: str


class Example(NamedTuple):
    """A doctest."""

    text: str


class Choices(NamedTuple):
    """What each of some strings means."""

    items: tuple[tuple[str, str], ...]


class Section(NamedTuple):
    """Args, Returns, ...: named items, and what else is said."""

    title: str
    items: tuple[tuple[tuple[str, ...], str], ...]
    text: str


Block = Paragraph | Formula | Code | Example | Choices | Section

TITLES = {
    "Args": "Parameters",
    "Arguments": "Parameters",
    "Args, raises": "Parameters, errors",
    "Raises, warns": "Raises, warns",
    "Returns": "Returns",
    "Raises": "Raises",
    "Source": "Source",
}
SECTION = re.compile(rf"({'|'.join(sorted(TITLES, key=len, reverse=True))}):(?: +|$)(.*)")
CHOICE = re.compile(r'"([\w|]+)": +(.+)')
NAME = r"\*{0,2}\w+(?:\.\w+)?"
ITEM = re.compile(rf"({NAME}(?:, {NAME})*): +(.+)")


def blocks(
    doc: str,
    parameters: Collection[str] = (),
    names: Collection[str] = (),
    *,
    kind: str = "function",
) -> list[Block]:
    """The parts of a docstring, cleaned of its indentation, in their order.

    parameters: of the function, or the fields of the class; names: what else stands for a number.
    Raises: ValueError if a parameter is described that the signature lacks, or a backtick is open.
    """
    if doc.count("`") % 2:
        raise ValueError("its backticks do not come in pairs; close the one that is open")
    found: list[Block] = []
    for chunk in chunks(doc):
        head = SECTION.fullmatch(chunk[0])
        if chunk[0].startswith(">>>"):
            found.append(Example("\n".join(chunk)))
        elif head:
            found.append(section(head, chunk[1:], parameters, kind))
        elif all(line.startswith("    ") or not line for line in chunk):
            found.append(indented("\n".join(line[4:] for line in chunk), {*names, *parameters}))
        else:
            found += paragraph(chunk, parameters, {*names, *parameters}, kind)
    return found


def chunks(doc: str) -> Iterator[list[str]]:
    """The lines of a docstring: paragraphs, sections with all their lines, examples."""
    lines = doc.strip("\n").splitlines()
    at = 0
    while at < len(lines):
        if not lines[at].strip():
            at += 1
            continue
        start = at
        if lines[at].startswith(">>>"):
            at = len(lines)  # examples come last, whatever is printed in them
        elif SECTION.fullmatch(lines[at]):
            at += 1
            while at < len(lines) and (lines[at].startswith(" ") or not lines[at].strip()):
                at += 1
        else:
            deep = lines[at].startswith("    ")
            while (
                at < len(lines)
                and lines[at].strip()
                and not lines[at].startswith(">>>")
                and not (at > start and SECTION.fullmatch(lines[at]))
                and (not deep or lines[at].startswith("    "))
            ):
                at += 1
        chunk = lines[start:at]
        while chunk and not chunk[-1].strip():
            chunk.pop()
        yield chunk


# -- paragraphs ------------------------------------------------------------------------------------


def joined(lines: Sequence[str]) -> str:
    text = " ".join(line.strip() for line in lines if line.strip())
    return re.sub(r"::$", ":", text)


def indented(text: str, names: Collection[str]) -> Block:
    """A block set in: a formula if it is one, else code."""
    try:
        return Formula(rows(text, names))
    except NoFormula:
        return Code(text)


def rows(text: str, names: Collection[str]) -> tuple[str, ...]:
    """The formulas of a paragraph, one a row. Raises NoFormula if there is anything else in it."""
    whole = text.strip()
    if not re.search(r"[=<>]|\b(?:min|max|argmin|argmax) over\b", whole):
        raise NoFormula(whole)
    found = []
    for piece in re.split(r"(?<=[,;]) {2,}|(?<=;)\s+|(?<=,)\n", whole):
        body = " ".join(piece.split())
        end = body[-1] if body[-1] in ",;." and not body.endswith("..") else ""
        bare = body[: len(body) - len(end)]
        found.append(tex(bare, names, words=True) + end)
    return tuple(found)


def paragraph(
    lines: list[str], parameters: Collection[str], names: Collection[str], kind: str
) -> list[Block]:
    """A paragraph: formulas, then a text; or choices; or the fields of a class."""
    if kind == "class" and (described := fields(lines, parameters)):
        return [Section("Args", described, "")]
    if sum(CHOICE.match(line) is not None for line in lines) > 1:
        return choices(lines)
    if len(lines) > 1 and all(re.match(r"[\w, ]+ <- \S", line) for line in lines):
        return [Code("\n".join(lines))]
    text = "\n".join(lines)
    ends = [len(text), *(m.end() for m in re.finditer(r"(?<!\.)[.;:](?=\s)", text))]
    for end in sorted(ends, reverse=True):  # the longest beginning that is formulas
        try:
            found = Formula(rows(text[:end], names))
        except NoFormula:
            continue
        rest = joined(text[end:].splitlines())
        return [found, Paragraph(rest)] if rest else [found]
    return [Paragraph(joined(lines))]


def choices(lines: list[str]) -> list[Block]:
    """Lines that begin with a quoted value, each with the lines that continue it."""
    found: list[Block] = []
    items: list[tuple[str, str]] = []
    for at, line in enumerate(lines):
        match = CHOICE.match(line)
        if match:
            items.append((match[1], match[2].strip()))
        elif items and not re.match(r"[A-Z]", line):
            items[-1] = items[-1][0], f"{items[-1][1]} {line.strip()}"
        elif items:
            return [*found, Choices(tuple(items)), Paragraph(joined(lines[at:]))]
        else:
            found.append(Paragraph(line.strip()))
    return [*found, Choices(tuple(items))]


# -- parameters ------------------------------------------------------------------------------------


def fields(lines: list[str], names: Collection[str]) -> tuple[tuple[tuple[str, ...], str], ...]:
    """The fields that a paragraph of a class describes, `name: text` or `name, text`; or none."""
    heads = [line for line in lines if not line.startswith(" ")]
    matches = [ITEM.fullmatch(line) for line in heads]
    if all(m and set(m[1].split(", ")) <= set(names) for m in matches):
        return tuple(hanging(lines))
    found = []
    for piece in split(joined(lines)):
        match = re.match(rf"({NAME})(?:: |, | \(|$)", piece)
        if not match or match[1] not in names:
            return ()
        rest = piece[len(match[1]) :].lstrip(":, ")
        found.append(((match[1],), rest.rstrip(".")))
    return tuple(found) if len(found) > 1 else ()


def hanging(lines: Sequence[str]) -> list[tuple[tuple[str, ...], str]]:
    """Items `name, name: text`, each with the deeper lines that follow it."""
    found: list[tuple[tuple[str, ...], str]] = []
    for line in lines:
        match = ITEM.fullmatch(line)
        if match and not line.startswith(" "):
            found.append((tuple(match[1].split(", ")), match[2]))
        elif found:
            found[-1] = found[-1][0], f"{found[-1][1]} {line.strip()}".strip()
    return found


def split(text: str) -> list[str]:
    """The pieces between semicolons, but for those in brackets."""
    found, depth, start = [], 0, 0
    for at, letter in enumerate(text):
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(letter, 0)
        if letter == ";" and depth <= 0:
            found.append(text[start:at].strip())
            start = at + 1
    return [*found, text[start:].strip()]


def section(head: re.Match[str], body: Sequence[str], names: Collection[str], kind: str) -> Section:
    """A section: its items where it has some, else its text."""
    title, first = head[1], head[2]
    lines = [line.removeprefix("    ") for line in body]
    if first or title not in ("Args", "Arguments", "Raises", "Returns"):
        text = joined([first, *lines])
        if title not in ("Args", "Arguments"):
            return Section(title, (), text)
        items, besides = listed(text, names)
        if items and besides.split(" ")[0] not in names:
            besides = besides[:1].upper() + besides[1:]
        return Section(title, items, besides + "." * (besides[-1:] not in ("", ".")))
    if title == "Returns" or not ITEM.fullmatch(next(line for line in lines if line)):
        return Section(title, (), joined(lines))
    items = tuple(hanging(lines))
    if title != "Raises" and names:
        for name in (name for group, _ in items for name in group):
            if name.lstrip("*").split(".")[0] not in names:
                raise ValueError(
                    f"it describes {name!r}, and the signature has {', '.join(names)}; "
                    f"describe what is there"
                )
    return Section(title, items, "")


def listed(
    text: str, names: Collection[str]
) -> tuple[tuple[tuple[tuple[str, ...], str], ...], str]:
    """The parameters that a sentence describes one after the other, between semicolons.

    And what it says besides. No parameters if it does not begin with one.
    """
    pieces = split(text.rstrip("."))
    heads = [headed(piece, names) for piece in pieces]
    told = {name for group, _ in heads for name in group}
    found: list[tuple[tuple[str, ...], str]] = []
    besides: list[str] = []
    seen: set[str] = set()
    for piece, (group, rest) in zip(pieces, heads, strict=True):
        here = [n for n in names if n not in told and mentioned(n, piece)]
        if here:  # such as "either x, or y", or "x and y, positive"
            group, rest = tuple(n for n in names if n in here or n in group), piece
        if group and not seen.issuperset(group):
            told.update(group)
            seen.update(group)
            found += [(group, rest)] if rest else []
        elif found or seen:
            besides.append(piece)
        else:
            return (), text
    return tuple(found), "; ".join(besides)


def mentioned(name: str, piece: str) -> bool:
    """Whether a piece speaks of a parameter, outside brackets and formulas."""
    return bool(re.search(rf"(?<![\w.])(?<!a )(?<!the )(?<!= ){name}(?!\w| =)", flat(piece)))


def headed(piece: str, names: Collection[str]) -> tuple[tuple[str, ...], str]:
    """The names at the head of a piece, and the rest of it."""
    group: list[str] = []
    rest = piece
    while True:
        match = re.match(r"\*{0,2}(\w+)(?:, | \(|: | |$)", rest)
        if not match or match[1] not in names:
            break
        group.append(match[1])
        rest = rest[match.end(1) :]
        if not rest.startswith(", "):
            break
        rest = rest[2:]
    return tuple(group), rest.strip(" ,:")


# -- the inside of a paragraph ---------------------------------------------------------------------


class Span(NamedTuple):
    """A piece of a paragraph: text, code, a name, math, mark, arxiv or chapter."""

    kind: str
    text: str
    target: str = ""


CALL = r"(?:\((?:[^()]|\([^()]*\))*\))?(?:\[[^\]]*\])?"
PLAIN = re.compile(
    rf"""
    ``(?P<double>[^`]+)``
  | :(?P<role>\w+):`(?P<aimed>[^`]+)`
  | `(?P<single>[^`]+)`
  | arXiv[ ](?P<arxiv>\d{{4}}\.\d{{5}})
  | (?<![\w/])chapters/(?P<chapter>(?:noise|cycles|shiftk|adam)(?:/\w+)?)
  | (?P<mark>\[[th]\])
  | (?P<shape>\bshapes?[ ]\((?:[^()=]|\([^()]*\))*\)(?:,?[ ](?:or|for|and)[ ]\([^()=]*\))*
      | \([\w+\-*/. ,]*,\) | \((?:[\w.]+,[ ])*\*\w[\w.]*\)
      | (?<=[ ]for[ ])\([a-z\d]+(?:,[ ][a-z\d]+)+\)
      | \([a-z\d]+(?:,[ ][a-z\d]+)+\)(?=[ ]for[ ]\()
      | (?<=[ ]or[ ])\([a-z]\w*(?:,[ ]\w+)+\))
  | (?P<python>"[\w|]+" | \b[a-z]\w+[ ]//[ ]\w+(?:[ ][+-][ ]\d+)?
      | \b\w+\[[^\]]*:[^\]]*\]
      | \b(?:[a-z]{{2,}}\w*|[a-z](?=\.[a-z]{{3}}))(?:\.[a-zA-Z_]\w+)+\b{CALL}
      | \b(?:[a-z][a-z\d]+_)+[a-z\d]{{2,}}\b{CALL} | \b[A-Z]{{2,}}_[A-Z_]+\b
      | \b(?:TypeError|ValueError|NotImplementedError|ImportError|MemoryError|OSError)\b)
    """,
    re.X,
)


def spans(text: str, names: Collection[str] = ()) -> list[Span]:
    """The pieces of a paragraph: what is code or a formula, and what is to be linked."""
    found: list[Span] = []
    held: list[Span] = []

    def put_aside(match: re.Match[str]) -> str:
        held.append(plain(PLAIN.fullmatch(match[0])))
        return f"\0{len(held) - 1}\0"

    # what is code for sure is put aside before formulas are looked for
    bare = re.sub(r"``[^`]+``|:\w+:`[^`]+`|`[^`]+`|\[[th]\]", put_aside, text)
    for part in re.split(r"(\0\d+\0)", bare):
        if part.startswith("\0"):
            found.append(held[int(part.strip("\0"))])
        else:
            found += sentence(part, names)
    return [span for span in found if span.text]


def plain(match: re.Match[str] | None) -> Span:
    """What is not text, as a span."""
    assert match is not None
    kind, text = match.lastgroup or "", match[0]
    if match["double"]:
        return Span("code", match["double"])
    if match["role"]:
        aimed = match["aimed"]
        shown = aimed.rsplit(".", 1)[-1] if aimed.startswith("~") else aimed
        return Span("name", shown, aimed.lstrip("~"))
    if kind == "single":
        return Span("name", match["single"], match["single"].removesuffix("()"))
    if kind == "arxiv":
        return Span("arxiv", text, match["arxiv"])
    if kind == "chapter":
        return Span("chapter", text, match["chapter"])
    if kind == "mark":
        return Span("mark", text)
    return Span(kind, text)


def sentence(text: str, names: Collection[str]) -> list[Span]:
    """Text without marked code: its formulas, shapes and names."""
    found: list[Span] = []
    at = 0
    for match in PLAIN.finditer(text):
        kind = match.lastgroup
        if kind == "python" and not match[0].startswith('"') and inside_formula(match, names):
            continue
        found += formulas(text[at : match.start()], names)
        if kind == "shape":
            words = re.match(r"shapes? |", match[0])
            assert words is not None
            found.append(Span("text", words[0]))
            found += [
                Span("text" if re.fullmatch(r",? (?:or|for|and) ", part) else "code", part)
                for part in re.split(r"(,? (?:or|for|and) (?=\())", match[0][words.end() :])
            ]
        elif kind == "python":
            found.append(Span("code", match[0]))
        else:
            found.append(plain(match))
        at = match.end()
    return found + formulas(text[at:], names)


def inside_formula(match: re.Match[str], names: Collection[str]) -> bool:
    """Whether a name such as step_size stands in a formula, which shows it."""
    text, name = match.string, match[0]
    signs = r"[-+*/=<>]=?"
    before = re.search(rf"(?:{signs} |[/^(])$", text[: match.start()])
    after = re.match(rf" {signs} |[/^]", text[match.end() :])
    if "(" in name or (not before and not after):
        return False
    return any(name in piece for piece, found in runs(text, {*names, name}) if found)


def formulas(text: str, names: Collection[str]) -> list[Span]:
    found = []
    for piece, formula in runs(text, names):
        if not formula:
            found.append(Span("text", piece))
        elif piece in names:  # a parameter by itself
            found.append(Span("code", piece))
        else:
            found.append(Span("math", formula, piece))
    return found
