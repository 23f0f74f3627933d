"""What the templates of `optdyn.questions` are made of: draws, drafts and questions.

A template is a function that draws numbers and returns a draft, made by `number`, `choice` or
`order`. Texts are Markdown with mathematics between dollars; `<name>` in them is replaced by the
value of that name, which is why a `less than` in a formula is written `\\lt`.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np

T = TypeVar("T")
Values = Mapping[str, Any]
Answer = float | tuple[int, ...]

NOTEBOOKS = ("phenomenon", "mechanism", "laboratory")
SHARE = 0.01  # of the answer: how far a number may be off unless its template says otherwise


class Option(NamedTuple):
    """One option of a choice, or one item to be put in order."""

    text: str
    why: str = ""  # what the usual error is that leads here; empty for the right one
    value: float | None = None  # where the text is a number


class Draft(NamedTuple):
    """What a template makes of its draws; the fields are those of `Question`."""

    kind: str
    text: str
    options: tuple[Option, ...]
    answer: Answer
    tolerance: float
    explanation: str
    drawn: dict[str, Any]


@dataclass(frozen=True)
class Question:
    """One question with its answer.

    `answer` is a number; of a choice the place of the right option, from 0; of an order the places
    of the options from first to last. `tolerance` is absolute. `drawn` holds the numbers that the
    seed decided.
    """

    template: str
    seed: int
    title: str
    objective: str
    kind: str
    text: str
    options: tuple[Option, ...]
    answer: Answer
    tolerance: float
    explanation: str
    drawn: dict[str, Any]


class Draw:
    """A stream of choices that depends on a name and a seed and on nothing else.

    It takes the raw words of PCG64, which NumPy keeps the same in all versions, as it does not
    promise for the methods of its Generator.

    >>> Draw("an example", 0).shuffle("abcd")
    ['c', 'd', 'a', 'b']
    """

    def __init__(self, name: str, seed: int) -> None:
        entropy = np.random.SeedSequence([zlib.crc32(name.encode()), seed])
        self._words = np.random.PCG64(entropy)

    def below(self, n: int) -> int:
        """A whole number from 0 to n - 1, all equally likely up to 2**-50."""
        return int(self._words.random_raw()) % n

    def pick(self, items: Sequence[T]) -> T:
        """One of the items."""
        return items[self.below(len(items))]

    def shuffle(self, items: Iterable[T]) -> list[T]:
        """All items in a random order."""
        left = list(items)
        return [left.pop(self.below(len(left))) for _ in range(len(left))]

    def sample(self, items: Iterable[T], n: int) -> list[T]:
        """n of the items, in a random order."""
        return self.shuffle(items)[:n]


@dataclass(frozen=True)
class Template:
    """A question without its numbers, and the objective that it tests."""

    name: str
    topic: str
    notebook: str
    objective: int
    title: str
    draft: Callable[[Draw], Draft]

    def ask(self, seed: int) -> Question:
        """The question of this seed, an int of 0 or more (not checked here)."""
        draft = self.draft(Draw(self.name, seed))
        objective = f"{self.notebook}, objective {self.objective}"
        return Question(self.name, seed, self.title, objective, *draft)


class Bank:
    """The templates of one topic, in the order in which they are written down."""

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.templates: list[Template] = []

    def template(
        self, notebook: str, objective: int, title: str
    ) -> Callable[[Callable[[Draw], Draft]], Callable[[Draw], Draft]]:
        """Register a function as a template; its name becomes that of the template."""

        def register(draft: Callable[[Draw], Draft]) -> Callable[[Draw], Draft]:
            name = f"{self.topic}-{draft.__name__.replace('_', '-')}"
            found = Template(name, self.topic, notebook, objective, title, draft)
            self.templates.append(found)
            return draft

        return register


def show(value: Any) -> str:
    """A value as it stands in a formula: text as it is, numbers to four digits, ints in full.

    >>> show(12345), show(0.25), show(0.000012345)
    ('12345', '0.25', '1.234 \\\\cdot 10^{-5}')
    """
    if isinstance(value, str | int):
        return str(value)
    text = f"{rounded(value):.4g}"  # rounded twice, so that ties go one way everywhere
    mantissa, mark, exponent = text.partition("e")
    return rf"{mantissa} \cdot 10^{{{int(exponent)}}}" if mark else text


def fill(text: str, values: Values) -> str:
    """`text` on one line, with each `<name>` replaced by the value of that name.

    Raises: KeyError if there is no such value.

    >>> fill(r"$a = <a>$", dict(a=0.5))
    '$a = 0.5$'
    """
    return re.sub(r"<(\w+)>", lambda found: show(values[found[1]]), " ".join(text.split()))


def rounded(value: float) -> float:
    """`value` to ten digits: what is left is the same with every mathematical library."""
    return float(f"{value:.10g}")


def number(
    drawn: dict[str, Any],
    text: str,
    answer: float,
    explanation: str,
    *,
    tolerance: float | None = None,
    **derived: Any,
) -> Draft:
    """A question whose answer is a number.

    `tolerance` is absolute: by default `SHARE` of the answer, 0 for a whole number. In the texts
    the drawn and the derived values can be named, and the answer as `<answer>`.
    """
    if tolerance is None:
        tolerance = 0.0 if isinstance(answer, int) else SHARE * abs(answer)
    values = {"answer": answer, **drawn, **derived}
    how = "Give a whole number." if isinstance(answer, int) else "Give three significant digits."
    return Draft(
        "number",
        f"{fill(text, values)} {how}",
        (),
        answer if isinstance(answer, int) else rounded(answer),
        rounded(tolerance),
        fill(explanation, values),
        drawn,
    )


def choice(
    draw: Draw,
    drawn: dict[str, Any],
    text: str,
    right: float | str,
    wrong: Sequence[tuple[float | str, str]],
    explanation: str,
    **derived: Any,
) -> Draft:
    """A question with one right option; each wrong one comes with the error that leads to it."""
    values = {"answer": right, **drawn, **derived}

    def option(what: float | str, why: str = "") -> Option:
        if isinstance(what, str):
            return Option(fill(what, values), fill(why, values))
        return Option(f"${show(what)}$", fill(why, values), rounded(what))

    options = draw.shuffle([option(right), *(option(*one) for one in wrong)])
    answer = next(place for place, one in enumerate(options) if not one.why)
    tolerance = 0.0 if isinstance(right, str) else rounded(SHARE / 2 * abs(right))
    filled = fill(text, values), fill(explanation, values)
    return Draft("choice", filled[0], tuple(options), answer, tolerance, filled[1], drawn)


def order(
    draw: Draw,
    drawn: dict[str, Any],
    text: str,
    items: Sequence[str],
    explanation: str,
    **derived: Any,
) -> Draft:
    """A question that asks for the order of `items`, which are given in the right one."""
    values = {**drawn, **derived}
    shown = draw.shuffle(range(len(items)))
    options = tuple(Option(fill(items[i], values)) for i in shown)
    answer = tuple(shown.index(i) for i in range(len(items)))
    filled = fill(text, values), fill(explanation, values)
    return Draft("order", filled[0], options, answer, 0.0, filled[1], drawn)
