"""The reference of the library: directives that set its docstrings as pages, and their links.

`api-topic` sets the modules of a topic, `api-modules` lists all modules, `api-inner` those that
readers do not import, and `api-index` every name. What is public is for booklibrary to say, what a
docstring means for bookdocstrings. Anchors are full names, such as optdyn.cycles.find_cycle.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import bookdocstrings as docstrings
import bookformulas
import booklibrary
import bookpages
from bookdocstrings import Section, Span
from booklibrary import Entry, Member, Module
from docutils import nodes  # type: ignore[import-untyped]
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.domains import Domain, ObjType
from sphinx.environment import BuildEnvironment
from sphinx.errors import SphinxError
from sphinx.util.docutils import SphinxDirective

FRONT = "book/api"  # the page of all modules; those of the topics lie in the folder of that name
TITLES = {**bookpages.TOPICS, "tools": "For every topic"}
SOURCES = "_modules/"  # where the site keeps the modules' sources
MARKS = {"[t]": ("Traced", "api-traced"), "[h]": ("On the host", "api-host")}


class Reference:
    """The library and who uses what, read once for a build."""

    def __init__(self, root: Path, *, solutions: bool = True) -> None:
        uses = booklibrary.uses(root, solutions=solutions)
        self.library = booklibrary.read(root, booklibrary.used_names(uses))
        self.pages = self.library.pages()
        self.aliases = self.library.aliases()
        self.used: dict[str, list[booklibrary.Use]] = {}
        for use in uses:
            for name in {self.known(name) for name in use.names} - {""}:
                self.used.setdefault(name, []).append(use)
        bare = [entry.name for entry in self.library.entries]
        self.only = {e.name: e.full for e in self.library.entries if bare.count(e.name) == 1}

    def known(self, name: str) -> str:
        """The anchor that a full name, or the beginning of one, leads to; or nothing."""
        while name:
            name = self.aliases.get(name, name)
            if name in self.pages:
                return name
            name = name.rpartition(".")[0]
        return ""

    def named(self, text: str, module: str, entry: Entry | None = None) -> str:
        """What a name in backticks in a docstring leads to; or nothing."""
        name = text.split("(")[0].removeprefix("optdyn.")
        if not re.fullmatch(r"[A-Za-z_][\w.]*", name):
            return ""
        if entry is not None and name in entry.parameters:
            return ""
        places = [f"optdyn.{module}.{name}", f"optdyn.{name}"]
        if entry is not None:
            places.insert(1, f"optdyn.{entry.home}.{name}")
            places.insert(1, f"{entry.full}.{name}")
        places = [self.aliases.get(place, place) for place in places]
        found = next((place for place in places if place in self.pages), self.only.get(name, ""))
        return "" if entry is not None and found == entry.full else found


# -- nodes -----------------------------------------------------------------------------------------


class Setter:
    """Sets the docstrings of one module as nodes."""

    def __init__(self, reference: Reference, module: str, names: Iterable[str] = ()) -> None:
        self.reference, self.module, self.names = reference, module, set(names)

    def link(self, target: str, content: nodes.Node) -> nodes.Node:
        return addnodes.pending_xref(
            "", content, refdomain="", reftype="optdyn", reftarget=target, refwarn=True
        )

    def source(self, path: str, line: int, text: str) -> nodes.Node:
        return addnodes.pending_xref(
            "", nodes.inline(text=text),
            refdomain="", reftype="optdyn-source", reftarget=path, line=line, refwarn=True,
        )  # fmt: skip

    def page(self, name: str, title: str) -> nodes.Node:
        return addnodes.pending_xref(
            "", nodes.inline(text=title), refdomain="std", reftype="doc", reftarget=f"/{name}",
            refexplicit=True, refwarn=True,
        )  # fmt: skip

    def inline(self, text: str, entry: Entry | None = None) -> list[nodes.Node]:
        """The inside of a paragraph."""
        names = self.names | set(entry.parameters if entry else ())
        found: list[nodes.Node] = []
        before = ""
        for span in docstrings.spans(text, names):
            found += self.formula(span) if span.kind == "math" else [self.span(span, before, entry)]
            before = span.text
        if found and before.startswith("["):
            found.append(nodes.Text("."))
        return found

    def formula(self, span: Span) -> list[nodes.Node]:
        """A formula in a line of text, which may break in it; code if it would be too wide."""
        parts = bookformulas.pieces(span.text)
        if max(map(bookformulas.letters, parts)) > bookformulas.WIDEST:
            return [nodes.literal(text=span.target)]
        found: list[nodes.Node] = []
        for number, part in enumerate(parts):
            sign = re.match(r"[-+/] ", part) if number else None
            shown = f"{part[0]}\\: {part[2:]}" if sign else part  # no sign of one number
            found += [nodes.Text(" ")] * (number > 0)
            found.append(nodes.math(shown, shown))
        return found

    def span(self, span: Span, before: str, entry: Entry | None) -> nodes.Node:
        if span.kind == "text":
            return nodes.Text(span.text)
        if span.kind == "name":
            code = nodes.literal(text=span.text)
            target = self.reference.named(span.target, self.module, entry)
            return self.link(target, code) if target else code
        if span.kind == "mark":
            label, target = MARKS[span.text]
            if before and not re.search(r"[.:]\s*$", before):
                label = label[0].lower() + label[1:]
                if not before.rstrip().endswith(";"):
                    label = f"({label})"
            return self.link(target, nodes.inline(text=label))
        if span.kind == "arxiv":
            return nodes.reference("", span.text, refuri=f"https://arxiv.org/abs/{span.target}")
        if span.kind == "chapter":
            topic, _, part = span.target.partition("/")
            return self.page(f"chapters/{topic}/{part or 'index'}", span.text)
        return nodes.literal(text=span.text)

    def paragraph(self, text: str, entry: Entry | None = None) -> nodes.paragraph:
        return nodes.paragraph("", "", *self.inline(text, entry))

    def blocks(
        self, doc: str, entry: Entry | None, parameters: Sequence[str], kind: str, where: str
    ) -> list[nodes.Node]:
        """A docstring. Raises SphinxError, naming the place, if it is malformed."""
        try:
            parts = docstrings.blocks(doc, parameters, self.names, kind=kind)
        except ValueError as error:
            raise SphinxError(f"{where}: the docstring is malformed: {error}") from None
        found: list[nodes.Node] = []
        for part in parts:
            if isinstance(part, Section):
                if not isinstance(found[-1] if found else None, nodes.definition_list):
                    found.append(nodes.definition_list(classes=["optdyn-api-parts"]))
                found[-1] += self.section(part, entry)
            else:
                found += self.block(part, entry)
        return found

    def block(self, part: docstrings.Block, entry: Entry | None) -> list[nodes.Node]:
        if isinstance(part, docstrings.Formula):
            text = part.rows[0]
            if len(part.rows) > 1:
                text = r"\begin{aligned}" + r" \\ ".join(f"& {r}" for r in part.rows)
                text += r"\end{aligned}"
            return [nodes.math_block(text, text, nowrap=False, number=None, label=None)]
        if isinstance(part, docstrings.Code):
            return [code(part.text, "none")]
        if isinstance(part, docstrings.Example):
            return [nodes.rubric("", "Example"), code(part.text, "pycon")]
        if isinstance(part, docstrings.Choices):
            items = [
                nodes.list_item(
                    "",
                    nodes.paragraph(
                        "", "", nodes.literal(text=f'"{value}"'), nodes.Text(": "),
                        *self.inline(text, entry),
                    ),
                )
                for value, text in part.items
            ]  # fmt: skip
            return [nodes.bullet_list("", *items)]
        assert isinstance(part, docstrings.Paragraph)
        return [self.paragraph(part.text, entry)]

    def section(self, part: Section, entry: Entry | None) -> nodes.definition_list_item:
        title = docstrings.TITLES[part.title]
        if entry is not None and entry.kind == "class" and title == "Parameters":
            title = "Fields"
        body = nodes.definition()
        if part.items:
            rows = nodes.definition_list(classes=["optdyn-api-names"])
            for names, text in part.items:
                term = nodes.term()
                for number, name in enumerate(names):
                    term += [nodes.Text(", ")] * (number > 0)
                    term += nodes.literal(text=name)
                said = nodes.definition("", self.paragraph(text, entry))
                rows += nodes.definition_list_item("", term, said)
            body += rows
        if part.text:
            body += self.paragraph(part.text, entry)
        return nodes.definition_list_item("", nodes.term("", title), body)

    def entry(self, entry: Entry) -> nodes.section:
        """A public name, with its anchor, its signature, what is said of it, and who uses it."""
        found = nodes.section(ids=[entry.full, *[entry.defined] * (entry.defined != entry.full)])
        found["classes"] = ["optdyn-api-entry"]
        found += nodes.title("", "", nodes.literal(text=entry.name))
        found += code(entry.signature, "python", "optdyn-api-signature")
        where = f"{entry.path}, line {entry.line}"
        if entry.kind == "constant":
            said = entry.doc[:1].upper() + entry.doc[1:]
            said += "." * (bool(said) and said[-1] != ".")
            found += [self.paragraph(said)] * bool(said)
        else:
            found += self.blocks(entry.doc, entry, entry.parameters, entry.kind, where)
        if entry.members:
            rows = nodes.definition_list(classes=["optdyn-api-members"])
            for member in entry.members:
                rows += self.member(entry, member)
            found += rows
        found += self.foot(entry)
        return found

    def member(self, entry: Entry, member: Member) -> nodes.definition_list_item:
        text = member.signature.removeprefix("def ")
        term = nodes.term("", "", nodes.literal(text=" ".join(text.split())))
        term["ids"] = [f"{entry.full}.{member.name}"]
        where = f"{entry.path}, line {member.line}"
        said = self.blocks(member.doc, entry, member.parameters, "function", where)
        return nodes.definition_list_item("", term, nodes.definition("", *said))

    def foot(self, entry: Entry) -> nodes.paragraph:
        lines = f"line {entry.line}" if entry.line == entry.last else (
            f"lines {entry.line} to {entry.last}"
        )  # fmt: skip
        found = nodes.paragraph(classes=["optdyn-api-foot"])
        found += [self.source(entry.path, entry.line, entry.path), nodes.Text(f", {lines}.")]
        uses = self.reference.used.get(entry.full, [])
        for number, use in enumerate(uses):
            found += nodes.Text(", " if number else " Used in ")
            found += self.page(use.page, use.title)
        found += [nodes.Text(".")] * bool(uses)
        return found

    def module_section(self, module: Module) -> nodes.section:
        found = nodes.section(ids=[module.full], classes=["optdyn-api-module"])
        found += nodes.title("", "", nodes.literal(text=module.full))
        found += self.blocks(module.doc, None, (), "module", module.path)
        contents = nodes.paragraph(classes=["optdyn-api-contents"])
        for number, entry in enumerate(module.entries):
            contents += [nodes.Text(", ")] * (number > 0)
            contents += self.link(entry.full, nodes.literal(text=entry.name))
        contents += [nodes.Text("."), nodes.Text(" ")]
        contents += [self.source(module.path, 1, module.path), nodes.Text(".")]
        found += contents
        if module.borrowed:
            line = nodes.paragraph("", "Also here: ", classes=["optdyn-api-contents"])
            for number, full in enumerate(module.borrowed):
                line += [nodes.Text(", ")] * (number > 0)
                name = full.rpartition(".")[2]
                line += nodes.target("", "", ids=[f"{module.full}.{name}"])
                line += self.link(full, nodes.literal(text=full.removeprefix("optdyn.")))
            line += nodes.Text(".")
            found += line
        found += [self.entry(entry) for entry in module.entries]
        return found


def code(text: str, language: str, *classes: str) -> nodes.literal_block:
    return nodes.literal_block(text, text, language=language, classes=list(classes))


def sentence(doc: str) -> str:
    """The first sentence of a docstring."""
    first = " ".join(doc.strip().split("\n\n")[0].split())
    return re.split(r"(?<=[a-z)`'\d]\.) +(?=[A-Z`])", first)[0]


# -- directives ------------------------------------------------------------------------------------


def reference_of(env: BuildEnvironment) -> Reference:
    found: Reference = env.app.optdyn_reference  # type: ignore[attr-defined]
    return found


class Topic(SphinxDirective):
    """The modules of a topic."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        reference, topic = reference_of(self.env), self.arguments[0]
        if topic not in reference.library.topics:
            raise self.error(
                f"api-topic: got {topic!r}, one of {', '.join(reference.library.topics)} is needed"
            )
        found: list[nodes.Node] = []
        for module in reference.library.topics[topic]:
            names = {name for entry in module.entries for name in entry.parameters}
            setter = Setter(reference, module.name, names)
            found.append(setter.module_section(module))
        return found


def module_row(setter: Setter, module: Module, head: nodes.Node) -> nodes.definition_list_item:
    text = nodes.definition("", setter.paragraph(sentence(module.doc)))
    return nodes.definition_list_item("", nodes.term("", "", head), text)


class Modules(SphinxDirective):
    """All public modules, topic by topic, with the first sentence of each."""

    def run(self) -> list[nodes.Node]:
        reference = reference_of(self.env)
        found: list[nodes.Node] = []
        for topic, modules in reference.library.topics.items():
            made = nodes.section(ids=[f"api-{topic}"])
            setter = Setter(reference, "")
            title = TITLES.get(topic, topic)
            made += nodes.title("", "", setter.page(f"{FRONT}/{topic}", title))
            rows = nodes.definition_list(classes=["optdyn-api-list"])
            for module in modules:
                setter = Setter(reference, module.name)
                head = setter.link(module.full, nodes.literal(text=module.full))
                rows += module_row(setter, module, head)
            made += rows
            found.append(made)
        return found


class Inner(SphinxDirective):
    """The modules that readers do not import, with links to their sources."""

    def run(self) -> list[nodes.Node]:
        rows = nodes.definition_list(classes=["optdyn-api-list"])
        for module in reference_of(self.env).library.inner:
            setter = Setter(reference_of(self.env), module.name)
            rows += module_row(setter, module, setter.source(module.path, 1, module.full))
        return [rows]


class Index(SphinxDirective):
    """Every public name, by its first letter."""

    def run(self) -> list[nodes.Node]:
        reference = reference_of(self.env)
        entries = sorted(reference.library.entries, key=lambda e: (e.name.lower(), e.full))
        found: list[nodes.Node] = []
        for letter in sorted({entry.name[0].upper() for entry in entries}):
            made = nodes.section(ids=[f"api-letter-{letter.lower()}"])
            made += nodes.title("", letter)
            rows = nodes.definition_list(classes=["optdyn-api-list"])
            for entry in (e for e in entries if e.name[0].upper() == letter):
                setter = Setter(reference, entry.module)
                term = nodes.term()
                term += setter.link(entry.full, nodes.literal(text=entry.name))
                term += nodes.inline(text=f" optdyn.{entry.module}", classes=["optdyn-api-where"])
                said = sentence(entry.doc)
                body = setter.paragraph(said, entry) if said else nodes.paragraph("", "A constant.")
                rows += nodes.definition_list_item("", term, nodes.definition("", body))
            made += rows
            found.append(made)
        return found


# -- links, sources, search ----------------------------------------------------------------------


def start(app: Sphinx) -> None:
    """Read the library; what is wrong with it stops the build."""
    solutions = getattr(app.config, "optdyn_solutions", True)
    try:
        app.optdyn_reference = Reference(  # type: ignore[attr-defined]
            Path(app.srcdir), solutions=solutions is not False
        )
    except ValueError as error:
        raise SphinxError(str(error)) from None


class Names(Domain):
    """What the search and objects.inv are told of.

    Not Sphinx's own domain for Python: there a link to a place called `run` might mean a function.
    """

    name = "optdyn"
    label = "optdyn"
    object_types = {  # noqa: RUF012 (as in the base class)
        kind: ObjType(kind) for kind in ("function", "class", "constant", "method", "property")
    }

    def get_objects(self) -> Iterator[tuple[str, str, str, str, str, int]]:
        reference = reference_of(self.env)
        for entry in reference.library.entries:
            page = f"{FRONT}/{reference.pages[entry.full]}"
            if page in self.env.found_docs:
                yield entry.full, entry.full, entry.kind, page, entry.full, 1
                for member in entry.members:
                    full = f"{entry.full}.{member.name}"
                    yield full, full, member.kind, page, full, 1

    def resolve_any_xref(self, *_: Any, **__: Any) -> list[tuple[str, nodes.reference]]:
        return []

    def merge_domaindata(self, *_: Any) -> None:
        """Nothing is kept."""


def outdated(
    app: Sphinx, env: BuildEnvironment, added: set[str], changed: set[str], removed: set[str]
) -> list[str]:
    """The pages of the reference are read anew at each build: the library may have changed."""
    return [name for name in env.found_docs if name == FRONT or name.startswith(f"{FRONT}/")]


def resolve(
    app: Sphinx, env: BuildEnvironment, node: addnodes.pending_xref, content: nodes.Node
) -> nodes.Node | None:
    """Where a link to a name or to a source leads."""
    target, kind = node["reftarget"], node.get("reftype")
    builder: Any = app.builder
    if kind == "optdyn":
        topic = reference_of(env).pages.get(target)
        page = f"{FRONT}/{topic}" if topic else FRONT
        address = builder.get_relative_uri(node["refdoc"], page)
        return nodes.reference("", "", content, refuri=f"{address}#{target}", internal=True)
    if kind == "optdyn-source":
        if repository := repository_of(app):
            branch = app.config.html_theme_options.get("repository_branch") or "main"
            address = f"{repository}/blob/{branch}/{target}#L{node['line']}"
        elif builder.name == "html" and not withheld(app, target):
            address = builder.get_relative_uri(node["refdoc"], source_page(target))
            address += f"#line-{node['line']}"
        else:
            return content
        return nodes.reference("", "", content, refuri=address)
    return None


def repository_of(app: Sphinx) -> str:
    return str(app.config.html_context.get("optdyn_repository") or "")


def withheld(app: Sphinx, path: str) -> bool:
    """Whether a course wants no page of that source: it has answers, and solutions are left out."""
    kept = getattr(app.config, "optdyn_solutions", True)
    return not kept and re.search(r"/(exercises|questions)_\w+\.py$", path) is not None


def source_page(path: str) -> str:
    """The page of the site that shows a source, such as _modules/optdyn/cycles."""
    name = path.removeprefix("lib/").removesuffix(".py").removesuffix("/__init__")
    return SOURCES + name


def source_pages(app: Sphinx) -> Iterable[tuple[str, dict[str, Any], str]]:
    """A page for each source that the reference links to, where the book has no repository."""
    if app.builder.name != "html" or repository_of(app):
        return
    builder: Any = app.builder
    library = app.optdyn_reference.library  # type: ignore[attr-defined]
    paths = {module.path for module in (*library.modules, *library.inner)}
    paths |= {entry.path for entry in library.entries}
    for path in sorted(path for path in paths if not withheld(app, path)):
        text = (Path(app.srcdir) / path).read_text("utf8")
        shown = builder.highlighter.highlight_block(text, "python", linenos=False)
        before, rest = shown.split("<pre>", 1)
        lines = rest.split("\n")
        numbered = [f'<span id="line-{n}">{line}</span>' for n, line in enumerate(lines[:-1], 1)]
        page = source_page(path)
        back = builder.get_relative_uri(page, FRONT)
        body = (
            f'<h1>Source of <code>{path}</code></h1>\n<p><a href="{back}">The reference</a></p>\n'
            + before + "<pre>" + "\n".join([*numbered, lines[-1]])
        )  # fmt: skip
        yield page, {"title": f"Source of {path}", "body": body, "parents": []}, "page.html"


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_domain(Names)
    app.add_directive("api-topic", Topic)
    app.add_directive("api-modules", Modules)
    app.add_directive("api-inner", Inner)
    app.add_directive("api-index", Index)
    app.connect("builder-inited", start)
    app.connect("env-get-outdated", outdated)
    app.connect("missing-reference", resolve)
    app.connect("html-collect-pages", source_pages)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
