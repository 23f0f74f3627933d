"""What readers import from the library, by topic, and which notebooks use it.

Everything is read from the sources as text: nothing is imported, so the build needs no JAX for it.
A module belongs to a topic, whose page of the reference has its public names, or it is inner: then
its names stand where a public module lists them in `__all__`.
"""

from __future__ import annotations

import ast
import json
import pprint
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

import bookpages

PACKAGE = "optdyn"
TOPICS = {  # page of the reference: modules, in the order in which a reader wants them
    "noise": ("noise", "descent", "landscapes", "stationarity", "lasso", "anti_pgd"),
    "cycles": ("logistic", "cycles", "doublings", "certify", "datasets"),
    "shiftk": ("filters", "recurrence", "pole_families"),
    "adam": ("moments", "optimizers", "quadratics", "sign_descent", "language"),
    "tools": ("sweep", "explore", "charts", "javascript", "claims", "check", "questions"),
}
INNER = (  # patterns: a topic's exercises are a module
    "allpass",
    "answers",
    "arguments",
    "averages",
    "checkpoint",
    "controls",
    "corpus",
    "counterexamples",
    "exercises_*",
    "guard",
    "hosts",
    "intervals",
    "questions_*",
    "rasters",
    "reduction",
    "references",
    "sigmoid",
    "versions",
)
CONSTANT = re.compile(r"[A-Z][A-Z0-9_]+")
LONG = 12  # lines of a constant's value
WIDTH = 76  # characters of a signature on one line


class Member(NamedTuple):
    """A method or a property of a class."""

    name: str
    kind: str  # "method" or "property"
    signature: str
    doc: str
    line: int
    parameters: tuple[str, ...]


class Entry(NamedTuple):
    """A public name."""

    name: str
    kind: str  # "function", "class" or "constant"
    module: str  # the public module that it stands in
    home: str  # the module that defines it, such as allpass or javascript.program
    signature: str
    doc: str  # of a constant its comment
    path: str  # of the source, from the root
    line: int
    last: int
    parameters: tuple[str, ...]  # of a class its fields
    members: tuple[Member, ...]

    @property
    def full(self) -> str:
        return f"{PACKAGE}.{self.module}.{self.name}"

    @property
    def defined(self) -> str:
        """Its name where it is defined."""
        return f"{PACKAGE}.{self.home}.{self.name}"


class Module(NamedTuple):
    """A module: its entries, and the names that it lists and another public module defines."""

    name: str
    doc: str
    path: str
    entries: tuple[Entry, ...]
    borrowed: tuple[str, ...]  # full names

    @property
    def full(self) -> str:
        return f"{PACKAGE}.{self.name}"


class Library(NamedTuple):
    topics: dict[str, tuple[Module, ...]]
    inner: tuple[Module, ...]

    @property
    def modules(self) -> Iterator[Module]:
        return (module for modules in self.topics.values() for module in modules)

    @property
    def entries(self) -> list[Entry]:
        return [entry for module in self.modules for entry in module.entries]

    def pages(self) -> dict[str, str]:
        """The topic of every anchor: modules, names, members of classes."""
        found: dict[str, str] = {}
        for topic, modules in self.topics.items():
            for module in modules:
                found[module.full] = topic
                for entry in module.entries:
                    found[entry.full] = topic
                    found |= {f"{entry.full}.{member.name}": topic for member in entry.members}
        return found

    def aliases(self) -> dict[str, str]:
        """Other names by which an entry can be imported, and its own."""
        found = {e.defined: e.full for e in self.entries if e.defined != e.full}
        for module in self.modules:
            found |= {f"{module.full}.{name.split('.')[-1]}": name for name in module.borrowed}
        return found


# -- sources ------------------------------------------------------------------------------------


class Source:
    """A module's text, and what its top level defines and imports."""

    def __init__(self, root: Path, path: Path, name: str) -> None:
        self.name = name
        self.path = path.relative_to(root).as_posix()
        self.text = path.read_text("utf8")
        self.lines = self.text.splitlines()
        self.rows = [line.encode() for line in self.lines]
        self.tree = ast.parse(self.text)
        self.doc = ast.get_docstring(self.tree) or ""
        self.defined: dict[str, ast.stmt] = {}
        self.imported: dict[str, tuple[str, str]] = {}  # module, name there
        for node in self.tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                self.defined[node.name] = node
            elif isinstance(node, ast.Assign):
                for target in node.targets:
                    if isinstance(target, ast.Name):
                        self.defined[target.id] = node
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                self.defined[node.target.id] = node
            elif isinstance(node, ast.ImportFrom):
                of = (node.module or "").partition(f"{PACKAGE}.")
                if not of[0] and of[2]:
                    self.imported |= {a.asname or a.name: (of[2], a.name) for a in node.names}
        self.listed = self._listed()

    def _listed(self) -> list[str] | None:
        node = self.defined.get("__all__")
        if not isinstance(node, ast.Assign):
            return None
        try:
            return list(ast.literal_eval(node.value))
        except ValueError:
            raise ValueError(
                f"{self.path}: its __all__ is computed, and the reference reads a list of names; "
                f"write the names out"
            ) from None

    def words(self) -> str:
        """The docstrings of the module and of what is public in it, without examples."""
        found = [self.doc]
        for name, node in self.defined.items():
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not name.startswith("_"):
                found.append(ast.get_docstring(node) or "")
        return re.sub(r"^ *(>>>|\.\.\.).*$", "", "\n".join(found), flags=re.M)

    def segment(self, node: ast.expr | ast.stmt) -> str:
        """The text of a node on one line (ast.get_source_segment splits the file at each call)."""
        first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
        rows = self.rows[first : last + 1]
        rows[-1] = rows[-1][: node.end_col_offset]
        rows[0] = rows[0][node.col_offset :]
        return " ".join(b" ".join(rows).decode().split())


def sources(root: Path) -> dict[str, Source]:
    """Every module of the package by its name; those of subpackages with a dot."""
    folder = root / "lib" / PACKAGE
    found: dict[str, Source] = {}
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        name = ".".join(part for part in parts if part != "__init__")
        if name:
            found[name] = Source(root, path, name)
    return found


# -- signatures ------------------------------------------------------------------------------------


def parameters(source: Source, node: ast.FunctionDef) -> list[str]:
    """The parameters as they are written, with the marks / and *; without self and cls."""
    given = node.args
    plain = [*given.posonlyargs, *given.args]
    defaults: list[ast.expr | None] = [None] * (len(plain) - len(given.defaults))
    defaults += given.defaults

    def written(argument: ast.arg, default: ast.expr | None, stars: str = "") -> str:
        text = stars + argument.arg
        if argument.annotation is not None:
            text += f": {source.segment(argument.annotation)}"
        if default is not None:
            equals = " = " if argument.annotation is not None else "="
            text += equals + source.segment(default)
        return text

    parts = [written(a, d) for a, d in zip(plain, defaults, strict=True)]
    if given.posonlyargs:
        parts.insert(len(given.posonlyargs), "/")
    if given.vararg:
        parts.append(written(given.vararg, None, "*"))
    elif given.kwonlyargs:
        parts.append("*")
    named = zip(given.kwonlyargs, given.kw_defaults, strict=True)
    parts += [written(a, d) for a, d in named]
    if given.kwarg:
        parts.append(written(given.kwarg, None, "**"))
    if parts and re.match(r"(self|cls)\b", parts[0]):
        del parts[0]
    return parts


def names_of(node: ast.FunctionDef) -> tuple[str, ...]:
    given = node.args
    every = [*given.posonlyargs, *given.args, given.vararg, *given.kwonlyargs, given.kwarg]
    return tuple(a.arg for a in every if a is not None and a.arg not in ("self", "cls"))


def signature(source: Source, node: ast.FunctionDef) -> str:
    """The head of a function, on one line where there is room, else a parameter a line."""
    parts = parameters(source, node)
    back = f" -> {source.segment(node.returns)}" if node.returns is not None else ""
    head = f"def {node.name}("
    text = f"{head}{', '.join(parts)}){back}"
    if len(text) <= WIDTH:
        return text
    return head + "".join(f"\n    {part}," for part in parts) + f"\n){back}"


def is_property(node: ast.FunctionDef) -> bool:
    return any("property" in ast.unparse(one) for one in node.decorator_list)


def fields(node: ast.ClassDef) -> list[ast.AnnAssign]:
    found = (part for part in node.body if isinstance(part, ast.AnnAssign))
    return [f for f in found if isinstance(f.target, ast.Name) and not f.target.id.startswith("_")]


def class_text(source: Source, node: ast.ClassDef) -> str:
    """The head of a class and its fields, or its head and how it is made."""
    bases = ", ".join(source.segment(base) for base in node.bases)
    head = f"class {node.name}({bases})" if bases else f"class {node.name}"
    lines = [f"    {source.segment(field)}" for field in fields(node)]
    if not lines:
        made = [f for f in node.body if isinstance(f, ast.FunctionDef) and f.name == "__init__"]
        for one in made:
            lines += [f"    {line}" for line in signature(source, one).splitlines()]
    return "\n".join([head + ":" * bool(lines), *lines])


def members(source: Source, node: ast.ClassDef) -> tuple[Member, ...]:
    found = []
    for one in node.body:
        if isinstance(one, ast.FunctionDef) and not one.name.startswith("_"):
            kind = "property" if is_property(one) else "method"
            text = signature(source, one)
            if kind == "property":
                back = f": {source.segment(one.returns)}" if one.returns is not None else ""
                text = f"{one.name}{back}"
            doc = ast.get_docstring(one) or ""
            found.append(Member(one.name, kind, text, doc, one.lineno, names_of(one)))
    return tuple(found)


# -- entries ---------------------------------------------------------------------------------------


def comment(source: Source, line: int, last: int) -> str:
    """What a comment says of a constant: behind it, or right above it."""
    behind = re.search(r"#\s*(?!type:|noqa)(.+)$", source.lines[line - 1])
    if not behind and last != line:
        behind = re.search(r"#\s*(?!type:|noqa)(.+)$", source.lines[last - 1])
    if behind:
        return behind[1].strip()
    above: list[str] = []
    while line >= 2 and source.lines[line - 2].startswith("#"):
        line -= 1
        above.insert(0, source.lines[line - 1].lstrip("# "))
    return " ".join(above)


def constant_text(name: str, node: ast.Assign | ast.AnnAssign) -> str:
    """A constant and its value, if that is written out and short."""
    kind = f": {ast.unparse(node.annotation)}" if isinstance(node, ast.AnnAssign) else ""
    try:
        value = ast.literal_eval(node.value or ast.Constant(...))
        text = pprint.pformat(value, width=WIDTH - len(name), sort_dicts=False)
    except ValueError:
        text = ""
    if not text or text.count("\n") >= LONG:
        whole = ast.unparse(node.value) if node.value is not None else ""
        text = f"{whole[0]} ... {whole[-1]}" if whole[:1] in "([{" else "..."
    return f"{name}{kind} = " + text.replace("\n", "\n" + " " * (len(name) + len(kind) + 3))


def entry(source: Source, name: str, module: str) -> Entry:
    """The entry of a name that a source defines, standing in a public module."""
    node = source.defined[name]
    first, last = node.lineno, node.end_lineno or node.lineno
    inside: tuple[Member, ...] = ()
    names: tuple[str, ...] = ()
    doc = ""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        doc = ast.get_docstring(node) or ""
    if isinstance(node, ast.FunctionDef):
        kind, text, names = "function", signature(source, node), names_of(node)
    elif isinstance(node, ast.ClassDef):
        kind, text, inside = "class", class_text(source, node), members(source, node)
        names = tuple(f.target.id for f in fields(node) if isinstance(f.target, ast.Name))
    else:
        assert isinstance(node, ast.Assign | ast.AnnAssign)
        kind, text, doc = "constant", constant_text(name, node), comment(source, first, last)
    return Entry(
        name, kind, module, source.name, text, doc, source.path, first, last, names, inside
    )


def public(source: Source, used: set[str]) -> list[str]:
    """The public names of a module, in its order.

    Those of `__all__`; without it its functions and classes without an underscore in front, and the
    constants in capitals that a docstring of the module names or a notebook uses.
    """
    if source.listed is not None:
        order = [*source.defined, *source.imported]
        return sorted(source.listed, key=lambda name: order.index(name) if name in order else 0)
    texts = source.words()
    found = []
    for name, node in source.defined.items():
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found += [name] * (not name.startswith("_"))
        elif CONSTANT.fullmatch(name):
            named = re.search(rf"(?<![\w.]){name}\b", texts) is not None
            found += [name] * (named or f"{PACKAGE}.{source.name}.{name}" in used)
    return found


def module(known: dict[str, Source], name: str, used: set[str]) -> Module:
    """A public module with its entries. Raises ValueError for a name that has no docstring."""
    source, entries, borrowed = known[name], [], []
    of_topics = {one for modules in TOPICS.values() for one in modules}
    for one in public(source, used):
        home, real = source, one
        while real not in home.defined:
            if real not in home.imported or home.imported[real][0] not in known:
                raise ValueError(f"{source.path}: __all__ has {one!r}, and nothing defines it")
            there, real = home.imported[real]
            home = known[there]
        if home is not source and home.name in of_topics:
            borrowed.append(f"{PACKAGE}.{home.name}.{real}")
        else:
            entries.append(entry(home, real, name))
    for made in entries:
        described(made)
    if not source.doc:
        raise ValueError(f"{source.path}: has no docstring; say in a sentence what is in it")
    return Module(name, source.doc, source.path, tuple(entries), tuple(borrowed))


def described(one: Entry) -> None:
    """Raise ValueError, naming the place, where an entry or a member says nothing of itself."""
    if one.kind == "constant":  # its value speaks
        return
    said = [(one.name, one.doc, one.line)]
    said += [(f"{one.name}.{m.name}", m.doc, m.line) for m in one.members]
    for name, doc, line in said:
        if not doc.strip():
            raise ValueError(
                f"{one.path}, line {line}: {name} has no docstring; say in a sentence what it is"
            )
        if not re.search(r"[.:!?)]$", doc.strip().split("\n\n")[0]):
            raise ValueError(
                f"{one.path}, line {line}: the docstring of {name} does not begin with a sentence; "
                f"end its first paragraph with a full stop"
            )


def read(root: Path, used: set[str] | None = None) -> Library:
    """The library. Raises ValueError if a module is in no list or in two, a docstring is missing.

    used: names that notebooks use, such as optdyn.datasets.WALL_CYCLES.
    """
    known = sources(root)
    of_topics = [name for names in TOPICS.values() for name in names]
    here = [name for name in known if "." not in name]
    inner = [name for name in here if any(fnmatchcase(name, pattern) for pattern in INNER)]
    if unknown := [name for name in here if name not in (*of_topics, *inner)]:
        raise ValueError(
            f"{known[unknown[0]].path}: the module stands in no list of book/_ext/booklibrary.py; "
            f"add it to a topic in TOPICS, or to INNER if readers do not import it"
        )
    if gone := [name for name in of_topics if name not in known]:
        raise ValueError(
            f"book/_ext/booklibrary.py lists the module {gone[0]!r}, and lib/{PACKAGE} has none of "
            f"that name; take it out of the list"
        )
    listed = [*of_topics, *inner]
    if twice := [name for name in listed if listed.count(name) > 1]:
        raise ValueError(
            f"book/_ext/booklibrary.py lists the module {twice[0]!r} twice; leave one of them"
        )
    names = used or set()
    topics = {
        topic: tuple(module(known, name, names) for name in modules)
        for topic, modules in TOPICS.items()
    }
    rest = (known[name] for name in inner)
    return Library(topics, tuple(Module(s.name, s.doc, s.path, (), ()) for s in rest))


# -- notebooks -------------------------------------------------------------------------------------


class Use(NamedTuple):
    """A notebook."""

    page: str  # without its ending
    title: str
    names: frozenset[str]  # full names that its cells use


def names_in(cells: list[str]) -> frozenset[str]:
    """The full names of the library that cells use, one after the other.

    >>> sorted(names_in(["from optdyn import noise as n", "n.white_noise(key, (3,))"]))
    ['optdyn.noise', 'optdyn.noise.white_noise']
    """
    bound: dict[str, str] = {}
    found: set[str] = set()
    for text in cells:
        try:
            tree = ast.parse(re.sub(r"^\s*[%!].*$", "", text, flags=re.M))
        except SyntaxError:  # such as an exercise to be completed
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for one in node.names:
                    if one.name.split(".")[0] == PACKAGE:
                        bound[one.asname or PACKAGE] = one.name if one.asname else PACKAGE
            elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE:
                for one in node.names:
                    bound[one.asname or one.name] = f"{node.module}.{one.name}"
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and node.id in bound:
                found.add(bound[node.id])
            elif isinstance(node, ast.Attribute):
                name, _, rest = ast.unparse(node).partition(".")
                if name in bound:
                    found.add(f"{bound[name]}.{rest}")
    return frozenset(name for name in found if name != PACKAGE)


def uses(root: Path, *, solutions: bool = True) -> list[Use]:
    """What each notebook of the book uses, in the order of the book's files."""
    found = []
    for path in bookpages.notebooks(root, solutions=solutions):
        cells = json.loads(path.read_text("utf8"))["cells"]
        code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
        words = "\n".join(
            "".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"
        )
        head = re.search(r"^# +(.+)$", words, re.M)
        title = head[1].strip() if head else path.stem
        if path.stem in ("exercises", "solutions"):
            title += f", {bookpages.TOPICS.get(path.parent.name, path.parent.name).lower()}"
        page = path.relative_to(root).as_posix().removesuffix(".ipynb")
        found.append(Use(page, title, names_in(code)))
    return found


def used_names(found: list[Use]) -> set[str]:
    return {name for use in found for name in use.names}
