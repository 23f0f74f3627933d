"""The reference of the library: what it lists, how it reads docstrings, what it links to."""

from __future__ import annotations

import ast
import doctest
import html
import json
import os
import re
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
from sphinx.errors import SphinxError

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "book" / "_ext"))

import bookapi  # noqa: E402
import bookdocstrings as docstrings  # noqa: E402
import bookformulas as formulas  # noqa: E402
import booklibrary  # noqa: E402

TIMEOUT = 300  # seconds for a small site


# --- an independent look at the sources ---------------------------------------------------


def names_of(path: Path) -> dict[str, ast.FunctionDef | ast.ClassDef | None]:
    """The public names of a module, by another way: None for what is imported or no function."""
    tree = ast.parse(path.read_text("utf8"))
    here = {n.name: n for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return {name: here.get(name) for name in ast.literal_eval(node.value)}
    return {name: node for name, node in here.items() if name[0] != "_"}


def path_of(module: str) -> Path:
    folder = ROOT / "lib" / "optdyn"
    plain = folder / f"{module}.py"
    return plain if plain.exists() else folder / module / "__init__.py"


MODULES = [module for modules in booklibrary.TOPICS.values() for module in modules]


@pytest.fixture(scope="module")
def reference() -> bookapi.Reference:
    return bookapi.Reference(ROOT)


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_has_an_entry_that_says_something(reference, module):
    entries = {e.name: e for e in reference.library.entries if e.module == module}
    [made] = [m for m in reference.library.modules if m.name == module]
    elsewhere = {full.rpartition(".")[2] for full in made.borrowed}
    expected = names_of(path_of(module))
    assert set(expected) <= set(entries) | elsewhere
    constants = {name for name, entry in entries.items() if entry.kind == "constant"}
    assert set(entries) - constants <= set(expected)
    for name, entry in entries.items():
        if entry.kind != "constant":
            assert len(entry.doc.split("\n\n")[0].split()) >= 3, name
            assert re.match(r"(def|class) " + name + r"\b", entry.signature)
            node = expected[name]
            if node is not None:
                assert (entry.line, entry.last) == (node.lineno, node.end_lineno)


def test_every_module_is_public_or_inner_and_anchors_are_unique(reference):
    here = {p.stem for p in (ROOT / "lib" / "optdyn").glob("*.py")} - {"__init__"}
    here |= {p.parent.name for p in (ROOT / "lib" / "optdyn").glob("*/__init__.py")}
    library = reference.library
    assert {m.name for m in library.modules} | {m.name for m in library.inner} == here
    anchors = [m.full for m in library.modules] + list(library.aliases())
    for entry in library.entries:
        anchors += [entry.full, *(f"{entry.full}.{m.name}" for m in entry.members)]
    assert [name for name, count in Counter(anchors).items() if count > 1] == []
    assert {"optdyn.cycles.find_cycle", "optdyn.allpass.Poles"} <= set(anchors)
    assert set(library.aliases().values()) <= set(library.pages())


def test_a_name_lives_where_it_is_imported_from(reference):
    library = reference.library
    poles = next(e for e in library.entries if e.name == "Poles")
    assert (poles.module, poles.home, poles.path) == ("filters", "allpass", "lib/optdyn/allpass.py")
    [values] = poles.members
    assert (values.name, values.kind, values.signature) == ("values", "property", "values: Any")
    [optimizers] = [m for m in library.modules if m.name == "optimizers"]
    assert optimizers.borrowed == ("optdyn.anti_pgd.AntiPgdState", "optdyn.anti_pgd.anti_pgd")
    program = next(e for e in library.entries if e.full == "optdyn.javascript.Program")
    assert program.path == "lib/optdyn/javascript/program.py"


# --- small libraries -----------------------------------------------------------------------


def package(folder: Path, monkeypatch, **sources: str) -> Path:
    """A library with these modules, in one topic; those that begin with inner_ are inner."""
    names = tuple(name for name in sources if not name.startswith("inner_"))
    monkeypatch.setattr(booklibrary, "TOPICS", {"noise": names})
    monkeypatch.setattr(booklibrary, "INNER", ("inner_*",))
    home = folder / "lib" / "optdyn"
    home.mkdir(parents=True)
    for name, text in sources.items():
        (home / f"{name}.py").write_text(text, encoding="utf8")
    return folder


GOOD = '"""A module."""\n\n\ndef double(x: float, *, n: int = 2) -> float:\n    """Twice x."""\n'


def test_a_small_library_is_read(tmp_path, monkeypatch):
    facade = '"""A facade."""\nfrom optdyn.inner_b import hidden as shown\n__all__ = ["shown"]\n'
    inner = '"""Inner."""\n\n\ndef hidden(*a, **k):\n    """What is behind."""\n'
    root = package(tmp_path, monkeypatch, a=GOOD, facade=facade, inner_b=inner)
    double, hidden = booklibrary.read(root).entries
    assert double.signature == "def double(x: float, *, n: int = 2) -> float"
    assert double.parameters == ("x", "n")
    assert (hidden.full, hidden.home) == ("optdyn.facade.hidden", "inner_b")
    assert hidden.signature == "def hidden(*a, **k)"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def f():\n    pass\n", r"lib/optdyn/a.py, line 2: f has no docstring; say"),
        ('def f():\n    """Nothing"""\n', r"line 2: the docstring of f does not begin with a sent"),
        ('__all__ = ["g"]\n', r"lib/optdyn/a.py: __all__ has 'g', and nothing defines it"),
        ("__all__ = sorted(x)\n", r"lib/optdyn/a.py: its __all__ is computed"),
        (
            'class C:\n    """Has a method."""\n\n    def m(self):\n        pass\n',
            r"line 5: C.m has no docstring",
        ),
    ],
)
def test_what_is_missing_is_named(tmp_path, monkeypatch, source, said):
    root = package(tmp_path, monkeypatch, a='"""A."""\n' + source)
    with pytest.raises(ValueError, match=said):
        booklibrary.read(root)


def test_an_unknown_module_stops_the_build(tmp_path, monkeypatch):
    root = package(tmp_path, monkeypatch, a=GOOD)
    (root / "lib" / "optdyn" / "new.py").write_text(GOOD, encoding="utf8")
    with pytest.raises(ValueError, match=r"lib/optdyn/new.py: the module stands in no list of"):
        booklibrary.read(root)
    config = SimpleNamespace(optdyn_solutions=True)
    with pytest.raises(SphinxError, match="stands in no list"):
        bookapi.start(SimpleNamespace(srcdir=root, config=config))
    (root / "lib" / "optdyn" / "new.py").unlink()
    (root / "lib" / "optdyn" / "a.py").unlink()
    with pytest.raises(ValueError, match="lists the module 'a', and lib/optdyn has none"):
        booklibrary.read(root)
    (root / "lib" / "optdyn" / "inner_a.py").write_text(GOOD, encoding="utf8")
    monkeypatch.setattr(booklibrary, "TOPICS", {"noise": ("inner_a",)})
    with pytest.raises(ValueError, match="lists the module 'inner_a' twice"):
        booklibrary.read(root)
    (root / "lib" / "optdyn" / "inner_a.py").write_text("x = 1\n", encoding="utf8")
    monkeypatch.setattr(booklibrary, "INNER", ())
    with pytest.raises(ValueError, match=r"inner_a.py: has no docstring"):
        booklibrary.read(root)


def test_constants_are_public_where_they_are_named_or_used(tmp_path, monkeypatch):
    text = (
        '"""One of KINDS.\n\n>>> UNSEEN\n"""\nKINDS = ("a", "b")  # what there is\n'
        "UNSEEN = 1\nUSED = tuple(range(9))\n# Two lines\n# of words.\n"
        'LONG: dict[str, int] = {"a": 1}\n'
    )
    root = package(tmp_path, monkeypatch, a=text)
    used = {"optdyn.a.USED", "optdyn.a.LONG"}
    found = booklibrary.read(root, used).entries
    assert [(e.signature, e.doc) for e in found] == [
        ("KINDS = ('a', 'b')", "what there is"),
        ("USED = ...", ""),
        ("LONG: dict[str, int] = {'a': 1}", "Two lines of words."),
    ]


# --- docstrings ----------------------------------------------------------------------------

DOC = """The orbit of a map.

w_{t+1} = w_t - step_size * grad L(w_t)

Args:
    w0, z: start and data, shape (n,) or (n, d).
    step_size: positive; see `other`.

Returns: shape (n,). [t] in w0.
Raises: ValueError naming the argument.
Source: Meng et al., arXiv 2406.05033; derived in chapters/cycles.

>>> f(1)
2
"""


def test_a_docstring_is_taken_apart():
    summary, formula, args, returns, raises, source, example = docstrings.blocks(
        DOC, ("w0", "z", "step_size")
    )
    assert summary == docstrings.Paragraph("The orbit of a map.")
    assert formula.rows == (r"w_{t + 1} = w_{t} - \mathrm{step\_size}\, \nabla L(w_{t})",)
    assert args.items == (
        (("w0", "z"), "start and data, shape (n,) or (n, d)."),
        (("step_size",), "positive; see `other`."),
    )
    assert (returns.title, returns.text) == ("Returns", "shape (n,). [t] in w0.")
    assert raises.text == "ValueError naming the argument."
    assert source.title == "Source"
    assert example == docstrings.Example(">>> f(1)\n2")
    kinds = [(s.kind, s.target) for s in docstrings.spans(source.text) if s.kind != "text"]
    assert kinds == [("arxiv", "2406.05033"), ("chapter", "cycles")]
    assert [s.text for s in docstrings.spans(returns.text) if s.kind == "code"] == ["(n,)"]
    assert ("mark", "[t]") in [(s.kind, s.text) for s in docstrings.spans(returns.text)]


@pytest.mark.parametrize(
    ("text", "names", "items", "besides"),
    [
        (
            "poles; n, static (say 3; more); rho, in (-1, 1); arrays are broadcast.",
            ("poles", "n", "rho"),
            [("n", "static (say 3; more)"), ("rho", "in (-1, 1)")],
            "Arrays are broadcast.",
        ),
        (
            "key, a key; either x, in [0, 1], or y, from `f`.",
            ("key", "x", "y"),
            [("key", "a key"), ("x, y", "either x, in [0, 1], or y, from `f`")],
            "",
        ),
        ("b1, b2, in [0, 1).", ("b1", "b2"), [("b1, b2", "in [0, 1)")], ""),
        ("as `read`, and done.", ("path",), [], "as `read`, and done."),
    ],
)
def test_parameters_between_semicolons(text, names, items, besides):
    [section] = docstrings.blocks(f"Args: {text}", names)
    assert [(", ".join(group), said) for group, said in section.items] == items
    assert section.text == besides


def test_fields_choices_and_code():
    doc = "A record.\n\nwidth: of it; height: of it, in\npixels.\n"
    assert docstrings.blocks(doc, ("width", "height"), kind="class")[1].items == (
        (("width",), "of it"),
        (("height",), "of it, in pixels"),
    )
    doc = 'One of\n"a":  x = 1;\n"b|c": another\n    line.\nThen more.'
    lead, choices, rest = docstrings.blocks(doc)
    assert (lead.text, rest.text) == ("One of", "Then more.")
    assert choices.items == (("a", "x = 1;"), ("b|c", "another line."))
    [_, block] = docstrings.blocks("Do this::\n\n    import optdyn\n    optdyn.run()")
    assert block == docstrings.Code("import optdyn\noptdyn.run()")
    [_, block] = docstrings.blocks("So:\n\n    y = a x,    x = b_1 u,")
    assert block.rows == (r"y = a\, x,", r"x = b_{1}\, u,")


@pytest.mark.parametrize(
    ("doc", "said"),
    [
        ("Ends `here.", "its backticks do not come in pairs"),
        ("Fine.\n\nArgs:\n    y: not there.", "it describes 'y', and the signature has x"),
    ],
)
def test_a_malformed_docstring_stops_the_build(reference, doc, said):
    with pytest.raises(ValueError, match=said):
        docstrings.blocks(doc, ("x",))
    setter = bookapi.Setter(reference, "cycles")
    with pytest.raises(SphinxError, match=f"a.py, line 3: the docstring is malformed: {said}"):
        setter.blocks(doc, None, ("x",), "function", "a.py, line 3")


# --- formulas ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "tex"),
    [
        ("G_st = (1 - p) / (1 - q)", r"G_{s\, t} = \frac{1 - p}{1 - q}"),
        ("v^2 |u|^2 / 2 = x", r"\frac{v^{2}\, \lvert u\rvert^{2}}{2} = x"),
        ("x = log a / log b", r"x = \log a / \log b"),
        ("sum_i r_i^2 / (4 m) = y", r"\sum_{i}\, \frac{r_{i}^{2}}{4\, m} = y"),
        ("sum over j < k of b^j < 1", r"\sum_{j < k} b^{j} < 1"),
        ("min over b >= 0 of |b| = 0", r"\min_{b \ge 0} \lvert b\rvert = 0"),
        ("r^2H = (b1 / b2)^j", r"r^{2H} = \left(\frac{b_{1}}{b_{2}}\right)^{j}"),
        ("w' A w = T.H^{-1}T", r"w'\, A\, w = T \cdot H^{-1}T"),
        ("x_{n,s} = sqrt(1 - |a|^2)", r"x_{n,s} = \sqrt{1 - \lvert a\rvert^{2}}"),
        ("w* +- s = |a - |b||", r"w^{*} \pm s = \lvert a - \lvert b\rvert\rvert"),
        ("r = <A, U> - y", r"r = \langle A,\; U\rangle - y"),
        ("L''(w) = 1e-3", "L''(w) = 10^{-3}"),
        ("x in (0, 1] if y >= 0", r"x\ \text{in}\ (0,\; 1]\ \text{if}\ y \ge 0"),
        ("n = 0 .. N - 1", r"n = 0\, \ldots\, N - 1"),
        ("K_{S+1/2}(x) = 0", r"K_{S + \frac{1}{2}}(x) = 0"),
    ],
)
def test_formulas(text, tex):
    assert formulas.tex(text, words=True) == tex


@pytest.mark.parametrize(
    "text",
    ["", "x = (1", "x = ", "= x", "the orbit of a = b", "x = y. Then z = 1", "x[1:] = y", "a $ b"],
)
def test_what_is_no_formula_is_refused(text):
    with pytest.raises(formulas.NoFormula):
        formulas.tex(text, words=True)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("at H = 0 the limit", ["H = 0"]),
        ("for any H. lambda_0 = 1 is put in", [r"\lambda_{0} = 1"]),
        ("for c > 0 a stable cycle, a set", ["c > 0"]),
        ("gradient descent settles at a point, in 2-d", []),
        ("in units of w^2 / loss.", [r"w^{2} / \mathrm{loss}"]),
        ("low <= the largest modulus of the values <= high", []),
        ("a new lambda does; lambda is the largest", [r"\lambda"]),
        ("E |y_n|^2, in nats", [r"\operatorname{E} \lvert y_{n}\rvert^{2}"]),
        ("at lag (1 + j) * lag the echo", [r"(1 + j)\, \mathrm{lag}"]),
        ("sum over k >= 1 of a^k is it", [r"\sum_{k \ge 1} a^{k}"]),
    ],
)
def test_formulas_in_sentences(text, found):
    pieces = list(formulas.runs(text, {"lag"}))
    assert "".join(piece for piece, _ in pieces) == text
    assert [tex for _, tex in pieces if tex] == found


def test_a_long_formula_breaks_between_its_terms():
    text = formulas.tex("w_{n+1} = w_n - step * gradient(w_n) + xi_{n+1} - kappa * xi_n", {"step"})
    parts = formulas.pieces(text)
    assert " ".join(parts).replace(" ", "") == text.replace(" ", "")
    assert parts[:3] == ["w_{n + 1}", "= w_{n}", r"- \mathrm{step}\, \mathrm{gradient}(w_{n})"]
    assert formulas.pieces(r"\lvert a + b\rvert = c") == [r"\lvert a + b\rvert = c"]
    assert all(formulas.letters(part) <= formulas.WIDEST for part in parts)


def test_every_formula_of_the_library_is_balanced(reference):
    found = []
    for module in reference.library.modules:
        names = {p for entry in module.entries for p in entry.parameters}
        for entry in module.entries:
            if entry.kind == "constant":
                continue
            for part in docstrings.blocks(entry.doc, entry.parameters, names, kind=entry.kind):
                if isinstance(part, docstrings.Formula):
                    found += part.rows
                elif isinstance(part, docstrings.Paragraph):
                    spans = docstrings.spans(part.text, names)
                    found += [span.text for span in spans if span.kind == "math"]
    assert len(found) > 150
    for tex in found:
        bare = re.sub(r"\\[{}]", "", tex)
        assert bare.count("{") == bare.count("}"), tex
        assert len(re.findall(r"\\left(?!arrow)", tex)) == tex.count(r"\right"), tex
        assert not re.search(r"[`$#%]|__|\\[a-z]+\d", tex), tex


@pytest.mark.parametrize("module", [formulas, booklibrary])
def test_the_examples_in_the_extension_are_right(module):
    tried = doctest.testmod(module)
    assert tried.attempted > 0
    assert tried.failed == 0


# --- notebooks -----------------------------------------------------------------------------


def test_the_names_that_cells_use():
    cells = [
        "%matplotlib inline\nimport optdyn\nfrom optdyn import noise as n, lasso",
        "def f(w):\n  ...\n  return",
        "return what",  # no Python
        "x = n.white_noise(key, (3,)).shape\nlasso = 3\noptdyn.cycles.period([1])",
        "from optdyn.check import check\ncheck('a', f)\nimport optdyn.descent as d; d.run",
        "from numpy import noise\n",
    ]
    assert booklibrary.names_in(cells) == {
        "optdyn.noise.white_noise",
        "optdyn.noise.white_noise(key, (3,)).shape",
        "optdyn.noise",
        "optdyn.lasso",
        "optdyn.cycles",
        "optdyn.cycles.period",
        "optdyn.check.check",
        "optdyn.descent",
        "optdyn.descent.run",
    }


def test_who_uses_what(reference):
    pages = {name: [use.page for use in uses] for name, uses in reference.used.items()}
    assert "chapters/cycles/1_phenomenon" in pages["optdyn.cycles.find_cycle"]
    assert "chapters/shiftk/1_phenomenon" in pages["optdyn.filters.shift_error"]
    assert "chapters/adam/exercises" in pages["optdyn.check.check"]
    titles = {use.page: use.title for uses in reference.used.values() for use in uses}
    assert titles["chapters/adam/exercises"] == "Exercises, adam"
    assert any("solutions" in page for found in pages.values() for page in found)
    withheld = booklibrary.uses(ROOT, solutions=False)
    assert len(withheld) > 10
    assert not [use for use in withheld if "solutions" in use.page]


def test_names_in_backticks_lead_to_what_they_mean(reference):
    entries = {entry.full: entry for entry in reference.library.entries}
    language, noise = entries["optdyn.language.train"], entries["optdyn.noise.prefix_root"]
    named = reference.named
    assert named("optimizers.DENOMINATORS", "language", language) == (
        "optdyn.optimizers.DENOMINATORS"
    )
    assert named("bible", "language", language) == "optdyn.language.bible"
    assert named("text()", "language", language) == "optdyn.language.text"
    assert named("sweep", "sweep") == "optdyn.sweep.sweep"
    assert named("datasets", "certify") == "optdyn.datasets"
    assert named("anti_pgd", "optimizers") == "optdyn.anti_pgd.anti_pgd"
    assert named("corpus.split", "language", language) == "optdyn.language.split"
    assert named("certify_cycle", "noise", noise) == "optdyn.certify.certify_cycle"
    assert named("seed", "language", language) == ""  # a parameter
    assert named("prefix_root", "noise", noise) == ""  # itself
    assert named("jax.vmap", "noise", noise) == named("a + b", "noise", noise) == ""


# --- pages ---------------------------------------------------------------------------------

NOTEBOOK = {
    "cells": [
        {"cell_type": "markdown", "source": "# Two ways <to> shake"},
        {"cell_type": "code", "source": "from optdyn import noise\nnoise.white_noise(0, ())"},
    ]
}
CONFIG = """
extensions = ["bookapi"]
html_theme = "basic"
html_copy_source = False
html_show_copyright = False
master_doc = "index"
"""


def small_site(folder: Path, out: str, seed: str) -> Path:
    """The reference of the real library in a site of its own, with one notebook."""
    source = folder / "source"
    if not source.exists():
        (source / "book" / "api").mkdir(parents=True)
        (source / "lib").mkdir()
        (source / "lib" / "optdyn").symlink_to(ROOT / "lib" / "optdyn", target_is_directory=True)
        topics = list(booklibrary.TOPICS)
        pages = ["book/api", *(f"book/api/{topic}" for topic in (*topics, "all"))]
        texts = dict.fromkeys(
            [f"chapters/{t}/{n}" for t in topics for n in ("index", "2_mechanism", "3_laboratory")]
            + ["chapters/noise/1_phenomenon"],
            "A chapter\n=========\n",
        )
        texts["book/api"] = (
            "Library\n=======\n\n.. api-modules::\n\nInner\n-----\n\n.. api-inner::\n"
        )
        texts |= {f"book/api/{t}": f"{t}\n======\n\n.. api-topic:: {t}\n" for t in topics}
        texts["book/api/all"] = "All\n===\n\n.. api-index::\n"
        tree = "".join(f"   {name}\n" for name in (*texts,))
        texts["index"] = f"Book\n====\n\n.. toctree::\n\n{tree}"
        texts = {f"{name}.rst": text for name, text in texts.items()} | {"conf.py": CONFIG}
        for name, text in texts.items():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_text(text, encoding="utf8")
        assert {f"{page}.rst" for page in pages} <= set(texts)
        notebook = source / "chapters" / "noise" / "1_phenomenon.ipynb"
        notebook.write_text(json.dumps(NOTEBOOK), encoding="utf8")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "-b", "html", str(source)]
    search = os.pathsep.join([str(ROOT / "book" / "_ext"), str(ROOT / "lib")])
    done = subprocess.run(
        [*command, str(folder / out), "-d", str(folder / f"{out}.doctrees")],
        env={**os.environ, "PYTHONPATH": search, "PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return folder / out


@pytest.fixture(scope="module")
def sites(tmp_path_factory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("api")
    return small_site(folder, "one", "1"), small_site(folder, "two", "2")


def test_two_builds_give_the_same_bytes(sites):
    first, second = sites
    names = sorted(p.relative_to(first) for p in first.rglob("*.html"))
    assert len([name for name in names if name.parts[0] == "_modules"]) > 30
    assert Path("book/api/all.html") in names
    for name in (*names, Path("searchindex.js")):
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


def text_of(page: str) -> str:
    return html.unescape(re.sub(r"<[^>]+>", "", page))


@pytest.mark.parametrize("topic", booklibrary.TOPICS)
def test_the_pages_say_what_the_sources_say(sites, reference, topic):
    page = (sites[0] / "book" / "api" / f"{topic}.html").read_text("utf8")
    ids = re.findall(r' id="([^"]+)"', page)
    assert [name for name, count in Counter(ids).items() if count > 1] == []
    headings = [int(level) for level in re.findall(r"<h(\d)", page.split('<div class="body"')[1])]
    assert headings[:2] == [1, 2]
    assert not [pair for pair in pairwise(headings) if pair[1] > pair[0] + 1]
    assert " object at 0x" not in page
    pieces = re.split(r'(?=<section class="optdyn-api-entry" id=")', page)
    sections = {piece.split('id="', 1)[1].split('"', 1)[0]: piece for piece in pieces[1:]}
    for module in reference.library.topics[topic]:
        assert module.full in ids
        for name, node in names_of(path_of(module.name)).items():
            full = f"{module.full}.{name}"
            assert full in ids
            if node is None:
                continue
            said = text_of(sections[full])
            assert f"{name}" in said
            if isinstance(node, ast.FunctionDef):
                given = [*node.args.args, *node.args.kwonlyargs]
                for argument in given:
                    assert re.search(rf"\b{argument.arg}\b", said), (full, argument.arg)
            doc = ast.get_docstring(node) or ""
            for line in re.findall(r"^>>> (.+)$", doc, re.M):
                assert f">>> {line}" in said, full
            for title in re.findall(r"^(Returns|Raises|Source):", doc, re.M):
                assert title in said
            plain = re.match(r"[A-Z][a-z]*(?: [a-z]{2,})*", doc)
            assert plain is None or " ".join(plain[0].split()[:5]) in said


def test_the_links_of_a_page(sites):
    folder = sites[0] / "book" / "api"
    noise = (folder / "noise.html").read_text("utf8")
    entry = noise.split('id="optdyn.noise.fractional_gaussian_noise"')[1].split("<section")[0]
    assert 'href="#optdyn.noise.fgn_spectrum"' in entry
    assert 'href="../api.html#api-traced"' in entry
    white = noise.split('id="optdyn.noise.white_noise"')[1].split("<section")[0]
    assert 'href="../../chapters/noise/1_phenomenon.html"' in white
    assert "Two ways &lt;to&gt; shake" in white
    assert 'href="https://arxiv.org/abs/2202.02831"' in white
    line = re.search(r'href="../../_modules/optdyn/noise.html#line-(\d+)"', white)[1]
    source = (sites[0] / "_modules" / "optdyn" / "noise.html").read_text("utf8")
    shown = source.split(f'<span id="line-{line}">')[1].split("\n")[0]
    assert text_of(shown) == "def white_noise("
    adam = (folder / "adam.html").read_text("utf8")
    assert 'href="noise.html#optdyn.anti_pgd.anti_pgd"' in adam
    index = (folder / "all.html").read_text("utf8")
    assert 'href="cycles.html#optdyn.cycles.find_cycle"' in index
    front = (folder.parent / "api.html").read_text("utf8")
    assert 'href="api/shiftk.html#optdyn.filters"' in front
    assert "optdyn.allpass" in text_of(front)
    for page in (noise, adam, index, front):  # places within the reference
        for name, anchor in re.findall(r'href="((?:api/)?[a-z]*\.html)?#(optdyn[^"]*)"', page):
            where = folder / name.removeprefix("api/") if name else None
            text = where.read_text("utf8") if where else page
            assert f'id="{anchor}"' in text, (name, anchor)


def test_the_search_knows_the_names(sites):
    index = (sites[0] / "searchindex.js").read_text("utf8")
    assert "find_cycle" in index
    assert '"optdyn.cycles"' in index


def test_with_a_repository_sources_are_links_to_it():
    node = {"reftarget": "lib/optdyn/noise.py", "reftype": "optdyn-source", "line": 7}
    content = bookapi.nodes.inline(text="source")

    def app(name: str, repository: str) -> SimpleNamespace:
        options = {"repository_branch": "trunk"}
        config = SimpleNamespace(
            html_context={"optdyn_repository": repository}, html_theme_options=options
        )
        return SimpleNamespace(config=config, builder=SimpleNamespace(name=name))

    there = app("html", "https://example.org/book")
    link = bookapi.resolve(there, None, node, content)
    assert link["refuri"] == "https://example.org/book/blob/trunk/lib/optdyn/noise.py#L7"
    assert list(bookapi.source_pages(there)) == []
    assert bookapi.resolve(app("latex", ""), None, node, content) is content
    assert bookapi.resolve(there, None, {"reftarget": "x", "reftype": "doc"}, content) is None
    assert bookapi.source_page("lib/optdyn/javascript/__init__.py") == "_modules/optdyn/javascript"


def test_an_unknown_topic_is_refused(reference):
    directive = bookapi.Topic.__new__(bookapi.Topic)
    directive.arguments = ["nose"]
    app = SimpleNamespace(optdyn_reference=reference)
    document = SimpleNamespace(settings=SimpleNamespace(env=SimpleNamespace(app=app)))
    directive.state = SimpleNamespace(document=document)
    directive.error = lambda text: ValueError(text)
    with pytest.raises(ValueError, match=r"api-topic: got 'nose', one of noise, cycles, shiftk"):
        directive.run()
