"""A bank of questions with numbers drawn from a seed, for sheets, keys and quizzes.

A template is a question without its numbers; a seed, such as the number of a student, decides
them::

    question = ask("cycles-critical-step", 7)
    question.text, question.answer, question.explanation
    is_right(question, "2.25")

The same seed gives the same question on every machine and in every version of NumPy. For a class::

    python -m optdyn.questions --topic cycles --seeds 1-30 --sheet --out sheets.md

and `--key` or `--moodle` in the place of `--sheet`; `--list` names the templates. Answers come from
formulas of the book, in plain Python; the tests find each of them in a second way.
"""

from __future__ import annotations

import argparse
import difflib
import math
import operator
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from optdyn.questions_adam import BANK as ADAM
from optdyn.questions_base import Option, Question, Template, show
from optdyn.questions_cycles import BANK as CYCLES
from optdyn.questions_moodle import as_xml
from optdyn.questions_noise import BANK as NOISE
from optdyn.questions_shiftk import BANK as SHIFTK

__all__ = [
    "TITLES",
    "Option",
    "Question",
    "Template",
    "ask",
    "is_right",
    "key",
    "moodle",
    "names",
    "sheet",
    "template",
]

TITLES = {"noise": "Noise", "cycles": "Cycles", "shiftk": "Memory", "adam": "Adam"}
LETTERS = "ABCDEF"
MOST_SEEDS = 1000
MOST = 2**31 - 2  # the largest seed
TEMPLATES = {one.name: one for bank in (NOISE, CYCLES, SHIFTK, ADAM) for one in bank.templates}


def names(topic: str | None = None) -> tuple[str, ...]:
    """The names of all templates, or of those of one topic, in the order of the book.

    Raises: ValueError if there is no such topic.

    >>> names("adam")[:2]
    ('adam-running-variance', 'adam-confidence')
    """
    if topic is not None and topic not in TITLES:
        raise ValueError(
            f"topic: got {topic!r}, one of {', '.join(TITLES)} is needed; leave it out for all."
        )
    return tuple(name for name, one in TEMPLATES.items() if topic in (None, one.topic))


def template(name: str) -> Template:
    """The template of this name.

    Raises: ValueError if there is none.

    >>> template("cycles-critical-step").title
    'The critical step size'
    """
    if name not in TEMPLATES:
        near = difflib.get_close_matches(str(name), TEMPLATES, n=1)
        fix = f"did you mean {near[0]}?" if near else "names() lists them."
        raise ValueError(f"template: got {name!r}, the name of a template is needed; {fix}")
    return TEMPLATES[name]


def ask(name: str, seed: int) -> Question:
    """The question that this template makes of this seed, with its answer.

    Args: name, one of `names()`; seed, an int of 0 or more.
    Raises: ValueError or TypeError if there is no such template or the seed is none.

    >>> question = ask("cycles-critical-step", 7)
    >>> question.kind, question.drawn
    ('number', {'up': 6, 'down': 3, 'size': 2.0})
    """
    found = template(name)
    try:
        number = operator.index(seed)
    except TypeError:
        number = None
    allowed = f"a whole number from 0 to {MOST} is needed; pass an int such as 7."
    if number is None or isinstance(seed, bool):
        raise TypeError(f"seed: got {seed!r}, {allowed}")
    if not 0 <= number <= MOST:
        raise ValueError(f"seed: got {number}, {allowed}")
    return found.ask(number)


def is_right(question: Question, given: float | str) -> bool:
    """Whether an answer is right: a number or its text, a letter, or letters in order.

    Raises: ValueError if the answer cannot be read as one of this kind.

    >>> is_right(ask("cycles-critical-step", 7), "2.25")
    True
    """
    if question.kind == "number":
        try:
            value = float(given)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise ValueError(f"given: got {given!r}, a number is needed; write it like 0.25.")
        slack = 1e-9 * abs(float(_number(question)))  # for an answer at the very edge
        return abs(value - float(_number(question))) <= question.tolerance + slack
    letters = re.sub(r"[\s,]", "", str(given)).upper()
    allowed = LETTERS[: len(question.options)]
    needed = 1 if question.kind == "choice" else len(question.options)
    if len(letters) != needed or len(set(letters) & set(allowed)) != needed:
        what = "one letter of" if question.kind == "choice" else "each letter once of"
        raise ValueError(
            f"given: got {given!r}, {what} {allowed} is needed; write it like {allowed[:needed]}."
        )
    return letters == _letters(question)


def sheet(questions: Sequence[Question]) -> str:
    """The questions as a sheet for students, in Markdown: no answer, no explanation."""
    return _pages(questions, "sheet", _asked)


def key(questions: Sequence[Question]) -> str:
    """The answers to `sheet(questions)`, each worked out with the numbers of its seed."""
    return _pages(questions, "key to sheet", _answered)


def moodle(questions: Sequence[Question]) -> str:
    """The questions as an XML file for Moodle, each template a category with its seeds in it."""
    return as_xml(questions)


def _number(question: Question) -> float:
    assert not isinstance(question.answer, tuple)
    return question.answer


def _letters(question: Question) -> str:
    """The right answer to a choice or an order."""
    answer = question.answer
    return "".join(LETTERS[i] for i in (answer if isinstance(answer, tuple) else [int(answer)]))


def _pages(questions: Sequence[Question], what: str, written: Callable[[Question], str]) -> str:
    """One page for each topic and seed, topics outside."""
    pages: dict[tuple[str, int], list[Question]] = {}
    for question in questions:
        pages.setdefault((template(question.template).topic, question.seed), []).append(question)
    texts = []
    for topic in TITLES:
        for (found, seed), page in pages.items():
            if found == topic:
                parts = [f"# {TITLES[topic]}, {what} {seed}"]
                for n, question in enumerate(page, 1):
                    parts.append(f"## {n}. {question.title}\n\n{written(question)}")
                texts.append("\n\n".join(parts))
    return "\n\n---\n\n".join(texts) + "\n"


def _asked(question: Question) -> str:
    """The text of a question, with its options under letters."""
    if not question.options:
        return question.text
    options = zip(LETTERS, question.options, strict=False)
    return "\n".join(
        [question.text, "", *(f"- **{one}** {option.text}" for one, option in options)]
    )


def _answered(question: Question) -> str:
    """The answer, the way to it, and where each wrong option comes from."""
    if question.kind == "number":
        exact = f"${show(_number(question))}$"
        slack = f", give or take ${show(question.tolerance)}$" if question.tolerance else ""
        answer = exact + slack
    elif question.kind == "choice":
        answer = f"{_letters(question)}, {question.options[int(_number(question))].text}"
    else:
        answer = ", ".join(_letters(question))
    lines = [f"**Answer:** {answer}", "", question.explanation]
    errors = [
        f"- **{one}** {option.text} ({option.why})"
        for one, option in zip(LETTERS, question.options, strict=False)
        if option.why
    ]
    return "\n".join([*lines, "", *errors] if errors else lines)


def seeds(text: str) -> list[int]:
    """The seeds that a text such as "1-30" or "4,7,10-12" names, each once and in that order.

    Raises: ValueError if it names none, one below 0 or above 2**31 - 2, or more than 1000.

    >>> seeds("7,1-3")
    [7, 1, 2, 3]
    """
    found: dict[int, None] = {}
    for part in text.replace(" ", "").split(","):
        ends = re.fullmatch(r"([0-9]{1,10})(?:-([0-9]{1,10}))?", part)
        first, last = (int(ends[1]), int(ends[2] or ends[1])) if ends else (1, 0)
        if first > last or last > MOST:
            raise ValueError(
                f"seeds: got {text!r}, whole numbers from 0 to {MOST} are needed, or "
                f"ranges of them; write them like 1-30 or 4,7,10-12."
            )
        if len(found) + last - first >= MOST_SEEDS:
            raise ValueError(
                f"seeds: got {text!r}, at most {MOST_SEEDS} are allowed; make several files."
            )
        found.update(dict.fromkeys(range(first, last + 1)))
    return list(found)


def _written(path: Path, text: str) -> None:
    """Write a file whole: nobody sees half of it. Into a device or a pipe it goes as it is."""
    if not path.parent.is_dir() or path.is_dir():
        raise ValueError(
            f"out: got {str(path)!r}, a file in a folder that exists is needed; make the "
            f"folder first."
        )
    if path.exists() and not path.is_file():
        path.write_text(text, "utf8", newline="\n")
        return
    part = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    part.write_text(text, "utf8", newline="\n")
    os.replace(part, path)


def _listed(chosen: Sequence[str]) -> str:
    """One line a template: its name, kind, objective and title."""
    lines = []
    for name in chosen:
        question = ask(name, 0)
        lines.append(f"{name:28} {question.kind:7} {question.objective:25} {question.title}")
    return "\n".join(lines) + "\n"


def main(args: Sequence[str] | None = None) -> int:
    """What `python -m optdyn.questions` does; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m optdyn.questions", description="Questions with numbers drawn from seeds."
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--list", action="store_true", help="the templates, one a line")
    what.add_argument("--sheet", action="store_true", help="the questions, in Markdown")
    what.add_argument("--key", action="store_true", help="the answers, worked out, in Markdown")
    what.add_argument("--moodle", action="store_true", help="both, as XML for Moodle")
    parser.add_argument("--topic", help=f"one of {', '.join(TITLES)}; all if left out")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these templates, in this order")
    parser.add_argument("--seeds", default="1", help="such as 1-30 or 4,7,10-12; 1 if left out")
    parser.add_argument("--out", type=Path, metavar="FILE", help="a file in place of the screen")
    given = parser.parse_args(args)
    try:
        chosen = names(given.topic)
        if given.only:
            chosen = tuple(dict.fromkeys(template(name).name for name in given.only))
            for name in chosen:
                if name not in names(given.topic):
                    raise ValueError(
                        f"only: got {name!r}, a template of {given.topic} is needed; leave out "
                        f"--topic or the name."
                    )
        asked = [ask(name, seed) for seed in seeds(given.seeds) for name in chosen]
        write = sheet if given.sheet else key if given.key else moodle
        text = _listed(chosen) if given.list else write(asked)
        if given.out:
            _written(given.out, text)
        else:
            sys.stdout.write(text)
    except ValueError as error:
        parser.error(str(error))
    except OSError as error:
        parser.error(f"out: {given.out} cannot be written ({error.strerror}); choose another file.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
