"""The guides for teachers: what they name is there, and what they add up adds up.

A guide names a figure in code, linked to its notebook; a preset in quotation marks, linked to the
page with that state; a claim by its id, in italics; an exercise by its number and title. All of
it is looked up in the stored notebooks.
"""

from __future__ import annotations

import functools
import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
TEACHING = ROOT / "book" / "teaching"
TOPICS = ("noise", "cycles", "shiftk", "adam")
NAMES = {"noise": "noise", "cycles": "cycles", "shiftk": "memory", "adam": "Adam"}
NOTEBOOKS = {
    "phenomenon": "1_phenomenon",
    "mechanism": "2_mechanism",
    "laboratory": "3_laboratory",
}
each_topic = pytest.mark.parametrize("topic", TOPICS)

FIGURE = re.compile(r"\[`([^`]+)`\]\(\.\./\.\./chapters/(\w+)/(\w+)\.ipynb\)(?: \(Figure (\d+)\))?")
STATE = re.compile(r'<a href="\.\./\.\./chapters/(\w+)/(\w+)\.html#([^"]*)">([^<]*)</a>')
CLAIM = re.compile(rf"(\*?)\b((?:{'|'.join(TOPICS)})-p?\d+[a-z]?)\b(\*?)")
EXERCISE = re.compile(r"Exercise (\d+)(?:, \*([^*]+)\*(?: (★+))?)?")
ROW = re.compile(r"\*\*(\d+)\*\* (.+?) (★+)")


# --- what there is --------------------------------------------------------------------


def cells(path: Path) -> list[dict[str, Any]]:
    return list(json.loads(path.read_text("utf8"))["cells"])


def text_of(value: str | list[str]) -> str:
    return value if isinstance(value, str) else "".join(value)


class Drawn(NamedTuple):
    """A figure of a notebook: the number in its caption, its controls and its presets."""

    number: int
    controls: dict[str, dict[str, Any]]
    presets: dict[str, dict[str, Any]]


@functools.cache
def figures(topic: str, notebook: str) -> dict[str, Drawn]:
    found = {}
    all_cells = cells(ROOT / "chapters" / topic / f"{notebook}.ipynb")
    for cell, below in zip(all_cells, [*all_cells[1:], {"source": ""}], strict=True):
        caption = re.match(r"\*\*Figure (\d+)\b", text_of(below["source"]))
        for output in cell.get("outputs", ()):
            page = text_of(output.get("data", {}).get("text/html", ""))
            if name := re.search(r'class="optdyn-figure" data-figure="([^"]+)"', page):
                script = re.search(r'<script type="application/json">(.*?)</script>', page, re.S)
                data = json.loads(script[1])
                controls = {control["name"]: control for control in data["controls"]}
                presets = {preset["label"]: preset["at"] for preset in data["presets"]}
                found[name[1]] = Drawn(int(caption[1]) if caption else 0, controls, presets)
    return found


@functools.cache
def claims() -> set[str]:
    found = set()
    for path in ROOT.glob("chapters/*/*.ipynb"):
        for cell in cells(path):
            for output in cell.get("outputs", ()):
                if record := output.get("metadata", {}).get("optdyn_claim"):
                    found.add(record["id"])
    return found


class Task(NamedTuple):
    """An exercise: its title, stars and minutes, and nbgrader's points for check and proof."""

    title: str
    stars: str
    minutes: int
    check: int
    proof: int


@functools.cache
def exercises(topic: str) -> dict[int, Task]:
    found: dict[int, Task] = {}
    for cell in cells(ROOT / "chapters" / topic / "solutions.ipynb"):
        source = text_of(cell["source"])
        if head := re.match(r"## (\d+)\. (.+)\n\n(★+) · (?:(\d+) minutes|open)", source):
            number = int(head[1])
            found[number] = Task(head[2], head[3], int(head[4] or 0), 0, 0)
        graded = cell["metadata"].get("nbgrader", {})
        if graded.get("grade"):
            kind = graded["grade_id"].rpartition("-")[2]
            found[number] = found[number]._replace(**{kind: graded["points"]})
    return found


@functools.cache
def objectives(topic: str, notebook: str) -> int:
    [box] = [
        text_of(cell["source"])
        for cell in cells(ROOT / "chapters" / topic / f"{notebook}.ipynb")
        if "After this notebook you can" in text_of(cell["source"])
    ]
    return len(re.findall(r"^\d+\. ", box, re.M))


@functools.cache
def headings(path: Path) -> set[str]:
    prose = (text_of(cell["source"]) for cell in cells(path) if cell["cell_type"] == "markdown")
    return {head for text in prose for head in re.findall(r"^#+ (.+)$", text, re.M)}


# --- what a page says -----------------------------------------------------------------


def section(text: str, title: str) -> str:
    """The text from a heading, whose beginning is given, to the next of its rank or above."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    found = re.search(rf"^(#+) {re.escape(title)}.*$", text, re.M)
    if not found:
        return ""
    rest = text[found.end() :]
    end = re.search(rf"^#{{1,{len(found[1])}}} ", rest, re.M)
    return rest[: end.start()] if end else rest


def rows(text: str) -> list[list[str]]:
    """The rows of a page's tables, without heads and rules."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    rules = [i for i, line in enumerate(lines) if re.fullmatch(r"[|\- ]+", line)]
    kept = [line for i, line in enumerate(lines) if i not in rules and i + 1 not in rules]
    return [[part.strip() for part in line.strip("|").split(" | ")] for line in kept]


def figure_problems(text: str) -> Iterator[str]:
    for name, topic, notebook, number in FIGURE.findall(text):
        drawn = figures(topic, notebook).get(name)
        if drawn is None:
            yield f"{topic}/{notebook} has no figure {name}"
        elif number and int(number) != drawn.number:
            yield f"{name} is Figure {drawn.number}, not {number}"
    for code in re.findall(r"`[^`\n]+`", re.sub(r"\{cite:t\}`[^`]+`", "", FIGURE.sub("", text))):
        yield f"{code} is in code and no figure with a link"
    if bare := re.search(r"\.ipynb\)(?: \(Figure \d+\))?, “[^”]+”", text):
        yield f"a preset without a link: {bare[0]}"


def state_problems(text: str) -> Iterator[str]:
    for topic, notebook, fragment, label in STATE.findall(text):
        pairs = [(*key.split("."), value) for key, value in parse_qsl(html.unescape(fragment))]
        names = {name for name, _, _ in pairs}
        drawn = figures(topic, notebook).get(names.pop()) if len(names) == 1 else None
        if drawn is None:
            yield f"#{fragment} is no state of a figure of {topic}/{notebook}"
            continue
        asked = {name: control["start"] for name, control in drawn.controls.items()}
        for _, name, value in pairs:
            control = drawn.controls.get(name, {"texts": []})
            if control.get("kind") == "points":
                asked[name] = [[float(x) for x in part.split(",")] for part in value.split(";")]
            elif value in control["texts"]:
                asked[name] = control["texts"].index(value)
            else:
                yield f"#{fragment}: {name} has no position {value!r}"
        if not label.startswith("“"):
            name, _, value = label.rpartition(" = ")
            if (name, value) not in [(drawn.controls[n]["label"], v) for _, n, v in pairs]:
                yield f"#{fragment} does not set {label}"
        elif label.strip("“”") not in drawn.presets:
            yield f"no preset {label}: there are {sorted(drawn.presets)}"
        else:
            start = {name: control["start"] for name, control in drawn.controls.items()}
            if asked != start | drawn.presets[label.strip("“”")]:
                yield f"#{fragment} is not the state of {label}"
    if text.count("<a ") != len(STATE.findall(text)):
        yield "a link in HTML that leads to no state of a figure"


def claim_problems(text: str) -> Iterator[str]:
    for before, name, after in CLAIM.findall(text):
        if name not in claims():
            yield f"there is no claim {name}"
        if not before or not after:
            yield f"{name} is not in italics"


def exercise_problems(topic: str, text: str) -> Iterator[str]:
    named = [match.groups() for match in EXERCISE.finditer(text)]
    for number, title, stars in named + [match.groups() for match in ROW.finditer(text)]:
        task = exercises(topic).get(int(number))
        if not task or title != task.title or stars not in (None, task.stars):
            yield f"exercise {number} is {task and (task.title, task.stars)}, not {title, stars}"


def objective_problems(topic: str, text: str) -> Iterator[str]:
    found = re.findall(r"\b(\w+), objective (\d+)", text)
    if not found:
        yield "no objective is one of the chapter's"
    for notebook, number in found:
        if not 1 <= int(number) <= objectives(topic, NOTEBOOKS[notebook]):
            yield f"the {notebook} has no objective {number}"


def plan_problems(text: str) -> Iterator[str]:
    minutes = [tuple(map(int, row[0].split("–"))) for row in rows(section(text, "The plan"))]
    ends = [0, *(end for _, end in minutes)]
    if [start for start, _ in minutes] != ends[:-1] or ends[-1] != 90:
        yield f"the plan does not go from 0 to 90 without a gap: {minutes}"


def poll_problems(text: str) -> Iterator[str]:
    plan = section(text, "The plan")
    called = {
        int(n)
        for found in re.findall(r"Polls? (\d+(?: and \d+)?)", plan)
        for n in found.split(" and ")
    }
    parts = re.split(r"^\*\*Poll (\d+)\.\*\*", section(text, "Questions to poll"), flags=re.M)[1:]
    numbers = [int(n) for n in parts[::2]]
    if numbers != list(range(1, len(numbers) + 1)) or not 5 <= len(numbers) <= 8:
        yield f"the polls are {numbers}"
    if called != set(numbers):
        yield f"the plan calls the polls {sorted(called)}, and there are {numbers}"
    for number, poll in zip(numbers, parts[1::2], strict=True):
        letters = re.findall(r"^- ([A-D])\. ", poll, re.M)
        right = re.findall(r"^\*Answer: ([A-D])\.\*", poll, re.M)
        if letters != list("ABCD"[: len(letters)]) or len(letters) < 3:
            yield f"poll {number} has the options {letters}"
        if len(right) != 1 or right[0] not in letters:
            yield f"poll {number} has the answers {right}"
            continue
        reasons = poll[poll.index("*Answer") :]
        for letter in set(letters) - set(right):
            if not re.search(rf"\*{letter}\*", reasons):
                yield f"poll {number} says nothing of {letter}"
        if not FIGURE.search(poll) or not (CLAIM.search(reasons) or STATE.search(reasons)):
            yield f"poll {number} names no figure, or nothing that decides it"


def misconception_problems(text: str) -> Iterator[str]:
    items = re.findall(r"^- .+$", section(text, "What students get wrong"), re.M)
    if len(items) < 6:
        yield f"only {len(items)} errors of students"
    for item in items:
        if not re.match(r"- \*\*“.+?”\*\* ", item):
            yield f"no error in quotation marks: {item[:60]}"
        if not (CLAIM.search(item) or FIGURE.search(item) or EXERCISE.search(item)):
            yield f"nothing cures {item[:60]}"


def scheme_problems(topic: str, text: str) -> Iterator[str]:
    for week in ("One week", "The second week"):
        head = re.search(rf"^### {week}: (\d+) minutes, (\d+) points$", text, re.M)
        if not head:
            yield f"no scheme for {week.lower()}"
            continue
        minutes = checks = hands = 0
        *tasks, total = rows(section(text, week))
        for name, points, how in tasks:
            number = int(ROW.match(name)[1])
            task = exercises(topic)[number]
            check, hand = map(int, points.split(" + "))
            minutes, checks, hands = minutes + task.minutes, checks + check, hands + hand
            if check != task.check or task.proof not in (0, hand):
                yield f"exercise {number} has {task.check} + {task.proof} points, not {points}"
            if sum(int(n) for n in re.findall(r"\b(\d) for\b", how)) != hand:
                yield f"exercise {number}: the parts do not add up to {hand}"
        if total[:2] != ["together", f"{checks} + {hands} = {checks + hands}"]:
            yield f"{week}: {checks} + {hands}, not {total}"
        if (int(head[1]), int(head[2])) != (minutes, checks + hands):
            yield f"{week}: {minutes} minutes and {checks + hands} points, not {head[0]}"


def rubric_problems(text: str) -> Iterator[str]:
    head = re.search(r"^### (An essay or a project): (\d+) points$", text, re.M)
    if not head:
        yield "no essay or project"
    elif sum(int(points) for points, _ in rows(section(text, head[1]))) != int(head[2]):
        yield "the rubric does not add up"


def link_problems(text: str, folder: Path = TEACHING) -> Iterator[str]:
    labels = {
        label
        for path in ROOT.glob("book/**/*.md")
        for label in re.findall(r"^\(([\w-]+)\)=$", path.read_text("utf8"), re.M)
    }
    for address in re.findall(r"\]\(([^)]+)\)", text):
        if address.startswith("#"):
            if address[1:] not in labels:
                yield f"{address} is no label of the book"
        elif not address.startswith("https://") and not (folder / address).is_file():
            yield f"{address} is no file"
    for page, _, _, _ in STATE.findall(text):
        if not (ROOT / "chapters" / page).is_dir():
            yield f"there is no topic {page}"
    for title, page in re.findall(r"“([^”]+)” in \[[^\]]+\]\(([^)]+)\)", text):
        if title not in headings((folder / page).resolve()):
            yield f"{page} has no section {title!r}"


def citation_problems(text: str) -> Iterator[str]:
    known = set(
        re.findall(r"^@\w+\{(\w+),", (ROOT / "book/references.bib").read_text("utf8"), re.M)
    )
    cited = re.findall(r"\{cite:[tp]\}`(\w+)`", text)
    if not cited:
        yield "nothing to read"
    yield from (f"{key} is not in references.bib" for key in cited if key not in known)


def tone_problems(text: str) -> Iterator[str]:
    for word in re.findall(r"\b(?:clearly|of course|simply|obviously)\b", text, re.I):
        yield f"{word!r} explains nothing"
    for line in text.splitlines():
        if re.search(r"\bsolutions\.ipynb\b", line):
            yield f"left out of the page where solutions are withheld: {line[:60]}"


def problems(topic: str, text: str) -> list[str]:
    return [
        *figure_problems(text),
        *state_problems(text),
        *claim_problems(text),
        *exercise_problems(topic, text),
        *objective_problems(topic, text),
        *plan_problems(text),
        *poll_problems(text),
        *misconception_problems(text),
        *scheme_problems(topic, text),
        *rubric_problems(text),
        *link_problems(text),
        *citation_problems(text),
        *tone_problems(text),
    ]


# --- the guides -----------------------------------------------------------------------


@each_topic
def test_a_guide_names_what_is_there_and_adds_up(topic):
    assert problems(topic, (TEACHING / f"{topic}.md").read_text("utf8")) == []


@each_topic
def test_a_guide_stays_with_its_topic(topic):
    text = (TEACHING / f"{topic}.md").read_text("utf8")
    found = {t for _, t, _, _ in FIGURE.findall(text)} | {s[0] for s in STATE.findall(text)}
    assert found == {topic}
    assert {name.partition("-")[0] for _, name, _ in CLAIM.findall(text)} == {topic}


@each_topic
def test_a_guide_uses_every_notebook_of_its_topic(topic):
    text = (TEACHING / f"{topic}.md").read_text("utf8")
    assert {n for _, _, n, _ in FIGURE.findall(text)} == set(NOTEBOOKS.values())


def test_the_guides_are_in_the_contents():
    parts = yaml.safe_load((ROOT / "_toc.yml").read_text("utf8"))["parts"]
    [part] = [part for part in parts if part["caption"] == "For teachers"]
    [start] = part["chapters"]
    assert start["file"] == "book/teaching/index"
    files = [page["file"] for page in start["sections"]]
    assert files[: len(TOPICS)] == [f"book/teaching/{t}" for t in TOPICS]
    assert "book/teaching/questions" in files


INDEX = (TEACHING / "index.md").read_text("utf8")


def test_the_first_page_leads_to_what_is_there():
    assert [*link_problems(INDEX), *claim_problems(INDEX), *tone_problems(INDEX)] == []
    for name in re.findall(r"\b(?:book|tests|lib)/[\w/]+\.(?:py|md)\b", INDEX):
        assert (ROOT / name).is_file(), name
    assert "optdyn_solutions" in (ROOT / "_config.yml").read_text("utf8")


def test_the_term_has_twelve_weeks_and_every_notebook():
    weeks = rows(section(INDEX, "Formats"))
    assert [int(row[0]) for row in weeks] == list(range(1, 13))
    pages = {link for row in weeks for link in re.findall(r"\(([^)]+)\)", " ".join(row))}
    for topic in TOPICS:
        assert f"{topic}.md" in pages
        for notebook in NOTEBOOKS.values():
            assert f"../../chapters/{topic}/{notebook}.ipynb" in pages


def test_the_points_are_those_that_nbgrader_gives():
    expected = []
    for topic in TOPICS:
        tasks = exercises(topic).values()
        sums = sum(t.check for t in tasks), sum(t.proof for t in tasks)
        expected.append([NAMES[topic], str(len(tasks)), *map(str, sums)])
    assert rows(section(INDEX, "How homework is marked")) == expected


# --- the checks can fail --------------------------------------------------------------

FAULTS = [
    ("[`shaken-ball`](", "[`shaken-bowl`](", "has no figure shaken-bowl"),
    ("(Figure 1)", "(Figure 2)", "shaken-ball is Figure 1, not 2"),
    (
        "[`hovering`](../../chapters/noise/1_phenomenon.ipynb)",
        "`hovering`",
        "no figure with a link",
    ),
    ("“Three hundred”</a>", "“Three hundreds”</a>", "no preset “Three hundreds”"),
    ('#shaken-ball.n=300"', '#shaken-ball.n=350"', "is not the state of “Three hundred”"),
    ('#shaken-ball.n=300"', '#shaken-ball.n=301"', "n has no position '301'"),
    ("*noise-14b*", "*noise-14x*", "there is no claim noise-14x"),
    ("*noise-14b*", "noise-14b", "noise-14b is not in italics"),
    ("**3** Where the curves cross", "**3** Where curves cross", "exercise 3 is"),
    ("Exercise 11, *First leave, then slide* ★★★★", "Exercise 11", "exercise 11 is"),
    ("mechanism, objective 4", "mechanism, objective 6", "the mechanism has no objective 6"),
    ("| 15–25 |", "| 15–24 |", "does not go from 0 to 90"),
    ("**Poll 7.**", "**Poll 8.**", "the polls are"),
    ("Poll 7; hand out", "hand out", "the plan calls the polls"),
    ("*Answer: C.* Kept", "*Answer: E.* Kept", "poll 1 has the answers"),
    ("*A* thinks that mean", "Some think that mean", "poll 1 says nothing of A"),
    ("- **“It adds less noise.”**", "- It adds less noise.", "no error in quotation marks"),
    ("| 1 + 2 |", "| 2 + 2 |", "exercise 1 has 1 + 0 points, not 2 + 2"),
    ("1 for the bracket, 1", "1 for the bracket, 2", "exercise 7: the parts do not add up to 3"),
    ("6 + 14 = 20", "6 + 13 = 19", "One week: 6 + 14"),
    ("65 minutes, 20", "70 minutes, 20", "One week: 65 minutes and 20 points"),
    ("| 6 | a fair", "| 5 | a fair", "the rubric does not add up"),
    ("(#marking-homework)", "(#marking)", "#marking is no label of the book"),
    ("chapters/noise/index.md", "chapters/noise/inde.md", "is no file"),
    ("“The smallest case, by hand”", "“The least case, by hand”", "has no section"),
    ("{cite:t}`dinh2017sharp`", "{cite:t}`dinh2018sharp`", "dinh2018sharp is not in"),
    ("Poll 1 at twenty kicks", "Clearly, Poll 1 at twenty kicks", "explains nothing"),
]


@pytest.mark.parametrize(("there", "put", "words"), FAULTS)
def test_a_fault_in_a_guide_is_noticed(there, put, words):
    text = (TEACHING / "noise.md").read_text("utf8")
    assert there in text
    assert any(words in problem for problem in problems("noise", text.replace(there, put, 1)))
