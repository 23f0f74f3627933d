r"""The formulas of docstrings, which are written for a terminal, as TeX.

`tex` sets a text that is a formula as a whole, `runs` finds the formulas in a sentence. Both are
strict: what they do not know for sure they leave as it is, and the page shows the text. A product
is a space or `*`, a quotient is set as a fraction only where its two sides are single factors, and
a letter with digits is one with an index: b1 is b_1.

>>> tex("w_{t+1} = w_t - step_size * grad L(w_t)", {"step_size"})
'w_{t + 1} = w_{t} - \\mathrm{step\\_size}\\, \\nabla L(w_{t})'
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import NamedTuple

LETTERS = """alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma
    tau phi chi psi omega"""
GREEK = set(LETTERS.split())
PLAIN = "log exp min max sup inf lim sinh cosh sin cos tan arg arctan"
OTHERS = (
    "argmin argmax sign tr diag blockdiag erf KL conj floor clip expm1 atan Re Im gelu binom Li"
)
CALLED = {"sign", "diag", "blockdiag", "erf", "floor", "clip", "expm1", "atan", "gelu", "binom"}
FUNCTIONS = {
    **{name: rf"\{name}" for name in PLAIN.split()},
    **{name: rf"\operatorname{{{name}}}" for name in ("E", *OTHERS.split())},
    "sqrt": r"\sqrt",
    "sum": r"\sum",
    "prod": r"\prod",
    "grad": r"\nabla",
}
NAMED = {
    "Gamma": r"\Gamma",
    "Fmax": r"F_{\max}",
    "Hessian": r"\operatorname{Hessian}",
    "dW": r"\mathrm{d}W",
    "dX": r"\mathrm{d}X",
    "dt": r"\mathrm{d}t",
    "gamma_E": r"\gamma_E",
    "infinity": r"\infty",
}
SIGNS = {
    "<=": r"\le", ">=": r"\ge", "!=": r"\ne", "<-": r"\leftarrow", "->": r"\to", "=": "=",
    "<": "<", ">": ">", "~": r"\sim",
}  # fmt: skip
OPERATORS = {"+": "+", "-": "-", "+-": r"\pm ", "-+": r"\mp "}
OVER = "sum", "prod", "min", "max", "sup", "inf", "argmin", "argmax"
WORDS = {"for", "if", "else", "and", "with", "where", "from", "iff", "then", "or", "in"}
ENGLISH = """a an the is are be it its as at by on to of that this which no not kind form give gives
    has have so well"""
STOP = set(ENGLISH.split())
UPRIGHT = r"\mathrm"
BRACKETS = {"(": (")", "]"), "[": ("]", ")"), "{": ("}",), "⟨": ("⟩",)}
CLOSING = {")", "]", "}", "⟩"}
DRAWN = {"{": r"\{", "}": r"\}", "⟨": r"\langle ", "⟩": r"\rangle "}
BETWEEN = {"=", "<-", "->", "<=", ">=", "!=", "<", ">", "~", "+", "-", "*", "/", "+-", "-+"}
BARE = re.compile(r"\\(?:mathrm|text)\{[^}]*\}")  # a word without index or argument
SUMS = re.compile(r"\\(?:sum|prod|min|max|sup|frac|operatorname\{arg(?:min|max)\})| / ")
TOKEN = re.compile(
    r"""\s*(?:
    (?P<number>\d+(?:\.\d+)?(?:e-?\d+)?)
  | (?P<dots>\.\.\.|\.\.)
  | (?P<name>[A-Za-z][A-Za-z]*(?:_[A-Za-z]{2,})*\d*(?:s(?![A-Za-z]))?)
  | (?P<sign><=|>=|!=|!|<-|->|\+-|-\+|\|\||[-+*/=<>~|^_(){}\[\],;:.'⟨⟩])
    )""",
    re.X,
)


class Part(NamedTuple):
    kind: str
    text: str
    spaced: bool  # whether a space stands before it


class NoFormula(ValueError):
    """The text is no formula, or none that is understood."""


def parts_of(text: str) -> list[Part]:
    """The tokens of a formula. Raises NoFormula for a character that is none."""
    found, at = [], 0
    text = text.rstrip()
    while at < len(text):
        match = TOKEN.match(text, at)
        if match is None:
            raise NoFormula(text[at:])
        kind = match.lastgroup or ""
        spaced = match.start(kind) > at or at == 0
        if match[kind] == "||" and not spaced:  # two that close
            found += [Part(kind, "|", False), Part(kind, "|", False)]
        else:
            found.append(Part(kind, match[kind], spaced))
        at = match.end()
    return found


def is_symbol(name: str) -> bool:
    """Whether a name is a letter or a Greek one, perhaps with digits: x, eta, b1."""
    stem = name.rstrip("0123456789")
    return len(stem) == 1 or stem in GREEK


def symbol(name: str) -> str:
    stem = name.rstrip("0123456789")
    index = name[len(stem) :]
    letter = rf"\{stem}" if stem in GREEK else stem
    return letter + (f"_{{{index}}}" if index else "")


def upright(name: str) -> str:
    return UPRIGHT + "{" + name.replace("_", r"\_") + "}"


class Reader:
    """Reads tokens from left to right and writes TeX."""

    def __init__(
        self,
        parts: list[Part],
        names: Collection[str],
        words: bool,
        linear: bool,
        nested: bool = False,
    ) -> None:
        self.parts, self.names = parts, names
        self.words, self.linear, self.nested = words, linear, nested
        self.at = 0

    def within(self, first: int, last: int) -> str:
        """A part of the tokens, read by itself."""
        parts = self.parts[first:last]
        return Reader(parts, self.names, self.words, self.linear, True).formula()

    def ahead(self, by: int = 0) -> str:
        place = self.at + by
        return self.parts[place].text if place < len(self.parts) else ""

    def spaced(self, by: int) -> bool:
        return self.parts[self.at + by].spaced

    def kind(self) -> str:
        return self.parts[self.at].kind if self.at < len(self.parts) else ""

    def take(self, *wanted: str) -> str:
        text = self.ahead()
        if not text or (wanted and text not in wanted):
            raise NoFormula(f"{' or '.join(wanted)} expected at {text!r}")
        self.at += 1
        return text

    # a formula: terms, with signs between them
    def formula(self, closing: str = "") -> str:
        out: list[str] = []
        fresh = True  # whether an operand may come next
        while self.at < len(self.parts):
            text = self.ahead()
            if closing and text == closing and not (closing == "|" and fresh):
                break
            if text in SIGNS and self.kind() == "sign":
                if fresh and text not in ("->",):
                    raise NoFormula(text)
                out.append(f" {SIGNS[self.take()]} ")
                fresh = True
            elif text in OPERATORS:
                out.append(f"{OPERATORS[self.take()]}" if fresh else f" {OPERATORS[self.take()]} ")
                fresh = True
            elif text in (",", ";", ":", "||", "."):
                ends = self.at + 1 < len(self.parts) and not self.spaced(0) and self.spaced(1)
                if fresh or (text == "." and ends):
                    raise NoFormula(text)
                self.take()
                out.append({"||": r" \,\|\, ", ".": r" \cdot "}.get(text, text + r"\; "))
                fresh = text != "," or self.at < len(self.parts)
            elif self.words and self.kind() == "name" and self.is_word(text):
                self.take()
                out.append(rf"\ \text{{{text}}}\ ")
                fresh = True
            elif fresh:
                out.append(self.term(closing))
                fresh = False
            else:
                raise NoFormula(text)
        if fresh and not (closing and not out):
            raise NoFormula("it ends too early")
        return "".join(out)

    def is_word(self, text: str) -> bool:
        return text in WORDS and text not in self.names

    # a term: factors, multiplied or divided
    def term(self, closing: str) -> str:
        factors = [self.factor()]
        while self.at < len(self.parts):
            text = self.ahead()
            if text == "*":
                self.take()
                factors.append(r"\, ")
                factors.append(self.factor())
            elif text == "/":
                self.take()
                below = self.factor()
                follows = self.starts_factor(closing) and self.ahead() not in ("*", "/")
                start = len(factors)
                while start and not SUMS.match(factors[start - 1]):
                    start -= 1
                above = "".join(factors[start:]).strip()
                if above.startswith(r"\,"):
                    start, above = start + 1, above[2:].strip()
                if self.linear or follows or not above:
                    factors += [" / ", below]
                else:
                    quotient = rf"\frac{{{self.bare(above)}}}{{{self.bare(below)}}}"
                    factors[start:] = [quotient]
            elif self.starts_factor(closing):
                spaced = self.parts[self.at].spaced
                close = self.parts[self.at - 1].kind == "number" or self.ahead(-1) == "}"
                if not spaced and text not in ("(", "|") and not close:
                    raise NoFormula(text)
                apart = spaced and not factors[-1].endswith(" ")
                factors.append(r"\, " if apart else "")
                before, after = factors[-2], self.factor()
                words = [BARE.fullmatch(factor.strip()) for factor in (before, after)]
                allowed = self.nested and (self.words or before.isdecimal())
                if r"\ldots" in (before, after):
                    words = [None]
                if all(words) or (any(words) and not allowed):
                    raise NoFormula(f"a word is no factor: {before}, {after}")
                factors.append(after)
            else:
                break
        return "".join(factors)

    @staticmethod
    def bare(factor: str) -> str:
        """A factor without the brackets around all of it."""
        for opening, closing in ((r"\left(", r"\right)"), ("(", ")")):
            if factor.startswith(opening) and factor.endswith(closing):
                inner = factor[len(opening) : -len(closing)]
                depth = least = 0
                for mark in re.findall(r"[()]", inner):
                    depth += 1 if mark == "(" else -1
                    least = min(least, depth)
                return inner if least == 0 else factor
        return factor

    def starts_factor(self, closing: str) -> bool:
        text, kind = self.ahead(), self.kind()
        if kind in ("number", "dots"):
            return True
        if kind == "name":
            return not (self.words and self.is_word(text))
        return text in BRACKETS or (text == "|" and closing != "|")

    def factor(self) -> str:
        text, kind = self.ahead(), self.kind()
        if kind == "number":
            out = self.number(self.take())
        elif kind == "dots":
            self.take()
            return r"\ldots"
        elif kind == "name":
            out = self.named(self.take())
        elif text in BRACKETS:
            out = self.bracket()
        elif text == "|":
            out = self.bar()
        elif text == "-":
            self.take()
            return "-" + self.factor()
        else:
            raise NoFormula(f"no factor: {text!r}")
        return self.marked(out)

    @staticmethod
    def number(text: str) -> str:
        digits, _, power = text.partition("e")
        if not power:
            return digits
        return rf"10^{{{power}}}" if digits == "1" else rf"{digits} \cdot 10^{{{power}}}"

    def bracket(self) -> str:
        opening = self.take()
        inside, closing = self.inside(opening)
        left, right = DRAWN.get(opening, opening), DRAWN.get(closing, closing)
        if r"\frac" in inside:
            left, right = rf"\left{left}", rf"\right{right}"
        return left + inside + right

    def inside(self, opening: str) -> tuple[str, str]:
        """What stands in brackets, the opening one being read, and the closing one."""
        depth, place = 0, self.at
        while place < len(self.parts):  # which bracket closes it: intervals are half open
            text = self.parts[place].text
            if depth == 0 and text in BRACKETS[opening]:
                break
            depth += (text in BRACKETS) - (text in CLOSING)
            place += 1
        else:
            raise NoFormula("a bracket is not closed")
        inside = self.within(self.at, place)
        self.at = place
        return inside, self.take()

    def bar(self) -> str:
        self.take("|")
        inside = self.formula("|")
        self.take("|")
        if r"\frac" in inside:
            return rf"\left\lvert {inside}\right\rvert"
        return rf"\lvert {inside}\rvert"

    def named(self, name: str) -> str:
        if name == "sqrt":
            if self.ahead() == "(":
                return rf"\sqrt{{{self.bare(self.bracket())}}}"
            return rf"\sqrt{{{self.factor()}}}"
        ends = self.ahead() in ("", "=", ",", ")", ";", "+", "-", "/", "*", "<", "<=")
        if name in FUNCTIONS and name not in self.names and not (name == "E" and ends):
            if name in CALLED and self.ahead() != "(":
                raise NoFormula(f"{name} of nothing")
            over = self.over() if name in OVER else ""
            if self.at == len(self.parts) and name not in ("E", "KL"):
                raise NoFormula(f"{name} of nothing")
            out = FUNCTIONS[name] + over
            # a function and its bare argument are apart, one in brackets is close
            return out + (" " if self.ahead() not in ("(", "_", "^", "") else "")
        if name in NAMED:
            return NAMED[name]
        if is_symbol(name):
            return symbol(name)
        called = self.ahead() == "(" and not self.spaced(0)
        if name in self.names or called:
            return upright(name)
        if self.words and name not in STOP:
            quantity = "_" in name or self.ahead() in ("_", "^", *BETWEEN)
            return upright(name) if quantity else rf"\text{{{name}}}"
        raise NoFormula(f"no name of a formula: {name!r}")

    def over(self) -> str:
        """What a sum runs over: `sum over j < k of ...`."""
        if self.ahead() != "over":
            return ""
        self.take("over")
        ends = [i for i in range(self.at, len(self.parts)) if self.parts[i].text == "of"]
        if not ends:
            raise NoFormula("over what is not said")
        try:
            inside = self.within(self.at, ends[0])
        except NoFormula:
            inside = " ".join(part.text for part in self.parts[self.at : ends[0]])
            if not re.fullmatch(r"[\w ]+", inside):
                raise
            inside = rf"\text{{{inside}}}"
        self.at = ends[0]
        self.take("of")
        return rf"_{{{inside}}} "

    def marked(self, out: str) -> str:
        """Indices, exponents and primes."""
        primes = ""
        while self.ahead() in ("_", "^", "'", "*", "!") and not self.spaced(0):
            if self.ahead() == "!":
                primes += self.take()
                continue
            if self.ahead() == "*":  # a star, as in w*, or a product without spaces
                if self.ahead(1) not in ("", ")", "]", "|", ",", ";", ".") and not self.spaced(1):
                    break
                self.take()
                primes += "^{*}"
                continue
            mark = self.take()
            if mark == "'":
                primes += "'"
                continue
            script = self.script(mark)
            double = mark == "_" and re.search(r"_\{\w+\}$", out)
            out = (out[:-1] + "," + script + "}") if double else f"{out}{primes}{mark}{{{script}}}"
            primes = ""
        out += primes
        if self.ahead() in ("(", "[") and not self.spaced(0):  # f(x), noise[n]
            out += self.bracket()
            out = self.marked(out)
        return out

    def script(self, mark: str) -> str:
        text = self.ahead()
        if text == "*":
            return self.take()
        if text in ("{", "("):
            self.take()
            if text == "{" and self.ahead(1) == "}" and self.kind() == "name":
                out = self.script_name(self.take(), mark)
                self.take("}")
                return out
            return self.inside(text)[0].replace(r",\; ", ",")
        sign = self.take() if text in ("-", "+") else ""
        if self.ahead() == "|":
            return sign + self.bar()
        kind, text = self.kind(), self.take()
        if kind == "number":  # r^2H is r to the power of 2 H
            more = ""
            if self.kind() == "name" and not self.parts[self.at].spaced:
                more = self.script_name(self.take(), mark)
            return sign + text + more
        if kind != "name":
            raise NoFormula(f"no index: {text!r}")
        return sign + self.script_name(text, mark)

    def script_name(self, name: str, mark: str) -> str:
        if is_symbol(name):
            return symbol(name)
        if name in self.names or name in ("old", "new", "in", "out"):
            return upright(name)
        raise NoFormula(f"no index: {name!r}")


def tex(
    text: str, names: Collection[str] = (), *, words: bool = False, linear: bool = False
) -> str:
    """A formula as TeX. Raises NoFormula if it is none, or not understood.

    names: what else may stand for a number, such as the parameters of the function.
    words: whether other names, and `for`, `if`, `and` and the like between formulas, are allowed.
    linear: quotients keep their stroke, as in a line of text.
    """
    parts = parts_of(split_names(prepared(text), names))
    if not parts:
        raise NoFormula("nothing")
    return re.sub(r" {2,}", " ", Reader(parts, names, words, linear).formula()).strip()


def prepared(text: str) -> str:
    """A text with one sign for what is written with two: scalar products, the imaginary unit."""
    text = re.sub(r"(?<![\w)])<(\S[^<>]*[\w')}])>", r"⟨\1⟩", text)
    return re.sub(r"\b1j\b", "i", text)


def split_names(text: str, names: Collection[str]) -> str:
    """Indices of letters set in braces, so that step_size is one name and x_old an index."""

    def index(match: re.Match[str]) -> str:
        whole = match[0]
        if whole in names or whole in NAMED:
            return whole
        stem, _, rest = whole.partition("_")
        if (is_symbol(stem) or stem in FUNCTIONS or stem in names) and "_" not in rest:
            pair = len(rest) == 2 and rest not in GREEK  # two indices, as in G_st
            return f"{stem}_{{{' '.join(rest) if pair else rest}}}"
        return whole

    return re.sub(r"\b[A-Za-z]+_[A-Za-z_]+\b", index, text)


# -- formulas in sentences -------------------------------------------------------------------------

MATHY = re.compile(r"[A-Za-z0-9_{}()\[\]|^*/+\-=<>!~'.,;:⟨⟩]+")
SURE = re.compile(r"[=<>^]|\w_[\w{]| [-+*/] |\w/\w|\w\*(?=[)|]|$)")  # at least one makes a formula
NAMES = re.compile(r"[A-Za-z]+(?:_[A-Za-z]+)*\d*")


def known(word: str, names: Collection[str]) -> bool:
    """Whether all letters of a word belong to names of formulas."""
    if not MATHY.fullmatch(word):
        return False
    for match in NAMES.finditer(word):
        name = match[0]
        called = word[match.end() : match.end() + 1] == "("
        stems = [name] if name in names or name in NAMED or called else name.split("_")
        for place, stem in enumerate(stems):
            index = place > 0 and (stem in ("old", "new") or len(stem) == 2)
            fits = is_symbol(stem) or stem in FUNCTIONS or stem in names or stem in NAMED
            if not fits and not index and not called:
                return False
    return True


LEADS = {"and", "with", "where", "for", "if", "of", "by", "to", "order", "at", "then", "so", "is"}


def lone(words: list[str], at: int, names: Collection[str]) -> str:
    """A word that is no name of a formula and stands beside an operator, as in w^2 / loss."""
    bare = words[at].rstrip(".,;:")
    stem = re.sub(r"_[a-z]$", "", bare)
    if not re.fullmatch(r"[a-z]{3,}(?:_[a-z]+)*", bare) or stem in STOP | WORDS | set(FUNCTIONS):
        return ""
    ends = bare != words[at] or at + 1 == len(words)
    after = not ends and words[at + 1] in BETWEEN
    if at > 0 and words[at - 1] in BETWEEN:
        return stem if ends or after or not known(words[at + 1], names) else ""
    begins = at == 0 or words[at - 1][-1] in ",;:." or words[at - 1] in LEADS
    return stem if after and begins else ""


def runs(text: str, names: Collection[str] = ()) -> Iterator[tuple[str, str]]:
    """The pieces of a sentence: (text, TeX), TeX empty for what is no formula.

    >>> list(runs("for x^2 = 1, say"))
    [('for ', ''), ('x^2 = 1', 'x^{2} = 1'), (', say', '')]
    """
    found = list(re.finditer(r"\S+", text))
    words = [match[0] for match in found]
    done = first = 0
    while first < len(words):
        last, more, summed = first, set(names), False
        while last < len(words):
            word = words[last]
            summed = summed or re.split(r"\W", word)[-1] in OVER
            if stem := lone(words, last, names):
                more.add(stem)
            elif not known(word, names) and not (summed and word in ("over", "of")):
                break
            last += 1
        for stop in range(last, first, -1):
            start = found[first].start()
            piece = text[start : found[stop - 1].end()]
            bare = piece.rstrip(".,;:")
            torn = bare == piece and stop < len(words) and words[stop] in BETWEEN
            ahead = words[first - 1] if first else "."
            whole = ahead in ("a", "A") or ahead.rstrip(")")[-1:] in (*".,;:", "")
            english = ahead.isalpha() and len(ahead) > 1 and ahead not in GREEK
            whole = whole or (english and ahead not in FUNCTIONS.keys() - CALLED)
            torn = torn or ahead in BETWEEN or (not whole and known(ahead, names))
            torn = torn or (bare in GREEK and ahead in ("new", "a"))  # a function in Python
            if torn or not worth(bare, names):
                continue
            try:
                formula = tex(bare, more, linear=True)
            except NoFormula:
                continue
            if done < start:
                yield text[done:start], ""
            yield bare, formula
            done = start + len(bare)
            first = stop - 1
            break
        first += 1
    if done < len(text):
        yield text[done:], ""


def worth(piece: str, names: Collection[str]) -> bool:
    """Whether a piece of a sentence is a formula, and no more than one."""
    if piece in GREEK and piece not in names:
        return True
    if not SURE.search(piece) or not re.search(r"[A-Za-z]", piece):
        return False
    if re.search(r"[,;:]\s|[^.\s]\.\s", flat(piece)) or re.match(r"[+*/=<>]|-\s", piece):
        return False
    if re.match(r"a (?![-+*/=<>])", piece) or re.search(r"(?<!log)(?<![-+*/=<>(]) a$", piece):
        return False  # the article
    if re.search(r"[^-+*/=<>(] a (?![-+*/=<>])", piece):
        return False
    plain = not re.search(r"[=<>^_*'|]", piece)
    return not (plain and all(word in names for word in re.findall(r"\w+", piece)))


def flat(text: str) -> str:
    """A text without what stands in brackets."""
    before = None
    while before != text:
        before, text = text, re.sub(r"[(\[{][^()\[\]{}]*[)\]}]", "", text)
    return text


# -- long formulas in a line of text ---------------------------------------------------------------

WIDEST = 32  # letters that no line may break in: a phone is hardly wider
RELATIONS = tuple(f" {sign} " for sign in SIGNS.values())
BREAKS = (  # where formulas of more letters than this are broken, the best places first
    (RELATIONS, WIDEST // 2),
    ((" + ", " - "), WIDEST // 2),
    ((" / ",), 3 * WIDEST // 4),
    ((r",\; ", r"\, "), 3 * WIDEST // 4),
)


def letters(text: str) -> int:
    """About how many letters wide a formula is."""
    bare = re.sub(r"\\(?:mathrm|text|operatorname|left|right|frac|[lr]vert|[,;:!|])", "", text)
    signs = len(re.findall(r" (?:[-+/=<>]|\\[a-z]+) ", bare))  # with the space around them
    return signs + len(re.sub(r"\\[a-z]+", "x", bare).translate(str.maketrans("", "", "{}_^\\ ")))


def pieces(text: str) -> list[str]:
    """A formula in pieces, between which a line of text may break; they are short where possible.

    >>> pieces("a_{1} = b")
    ['a_{1} = b']
    """
    found = [text]
    for marks, most in BREAKS:
        found = [part for one in found for part in cut(one, marks, most)]
    return found


def cut(text: str, marks: tuple[str, ...], most: int) -> list[str]:
    """The text cut at each of the marks outside brackets, if it has more letters than `most`."""
    if letters(text) <= most:
        return [text]
    found, depth, start, at = [], 0, 0, 0
    while at < len(text):
        mark = next((m for m in marks if depth == 0 and at > start and text.startswith(m, at)), "")
        if mark:
            after = mark.startswith((",", "\\,"))  # these end a piece, the others begin one
            stop = at + len(mark) if after else at
            found.append(text[start:stop].strip())
            start = stop
            at += len(mark)
            continue
        opens = text[at] in "([{" or text.startswith(r"\lvert", at)
        closes = text[at] in ")]}" or text.startswith(r"\rvert", at)
        depth += opens - closes
        at += 1
    return [part for part in [*found, text[start:].strip()] if part]
