"""How the site is put together: its generated pages, its gate, its one setting."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "book" / "_ext"))

import bookassets  # noqa: E402
import bookpages  # noqa: E402

import test_site  # noqa: E402

CLAIM = {
    "id": "cycles-3",
    "statement": "A step below 1/λ converges from every start.",
    "kind": "theorem",
    "source": "Meng et al. 2024",
    "predicted": "above 1",
    "tolerance": "",
    "measured": "1.286",
    "verdict": "holds",
}


def notebook(*claims: dict, cells: tuple[dict, ...] = ()) -> dict:
    """A notebook as a run leaves it, with one cell for each claim."""
    made = [{"cell_type": "markdown", "source": "# A fake notebook", "metadata": {}}]
    for record in claims:
        box = f'<div class="optdyn-claim" id="claim-{record.get("id")}"><p>box</p></div>'
        output = {
            "output_type": "display_data",
            "data": {"text/plain": "a claim", "text/html": box},
            "metadata": {"optdyn_claim": record},
        }
        made.append(
            {
                "cell_type": "code",
                "source": "claim()",
                "metadata": {},
                "execution_count": 1,
                "outputs": [output],
            }
        )
    made += cells
    made = [{**cell, "id": f"c{i:03d}"} for i, cell in enumerate(made)]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return {"cells": made, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def write(path: Path, content: dict | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_text(text, encoding="utf8")
    return path


# --- claims ---------------------------------------------------------------------------


def test_claims_are_ordered_by_topic_and_number(tmp_path):
    ids = ["cycles-13", "cycles-p3", "noise-8", "cycles-6b", "cycles-6", "cycles-2"]
    records = [{**CLAIM, "id": name} for name in ids]
    write(tmp_path / "chapters/cycles/1_phenomenon.ipynb", notebook(*records[:2]))
    write(tmp_path / "chapters/noise/1_phenomenon.ipynb", notebook(records[2]))
    write(tmp_path / "book/index.ipynb", notebook(*records[3:]))
    found = [claim.id for claim in bookpages.read_claims(tmp_path)]
    assert found == [
        "noise-8",
        "cycles-2",
        "cycles-6",
        "cycles-6b",
        "cycles-13",
        "cycles-p3",
    ]


def test_a_claim_links_to_its_cell_from_both_pages(tmp_path):
    write(tmp_path / "chapters/cycles/1_phenomenon.ipynb", notebook(CLAIM))
    claims = bookpages.read_claims(tmp_path)
    page = bookpages.claims_page(claims)
    assert 'href="../chapters/cycles/1_phenomenon.html#claim-cycles-3"' in page
    assert "## Cycles" in page
    chapter = bookpages.chapter_claims(claims, "cycles")
    assert 'href="1_phenomenon.html#claim-cycles-3"' in chapter
    for word in ("theorem", "Meng et al. 2024", "above 1", "1.286", "holds"):
        assert word in page
        assert word in chapter


def test_what_a_claim_says_is_text_and_not_html(tmp_path):
    nasty = '<script>alert("1")</script> & "quotes"\n\n## not a heading'
    record = {**CLAIM, "statement": nasty, "measured": "<b>1</b>", "source": "<i>"}
    write(tmp_path / "chapters/cycles/1_phenomenon.ipynb", notebook(record))
    page = bookpages.claims_page(bookpages.read_claims(tmp_path))
    assert "<script>" not in page
    assert "<b>" not in page
    assert "<i>" not in page
    assert "&lt;script&gt;" in page
    body = page[page.index("<table") : page.index("</table>")]
    assert "\n\n" not in body, "a blank line ends an HTML block in Markdown"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"id": "Cycles 3"}, "is not an id"),
        ({"kind": "guess"}, "a kind is one of theorem"),
        ({"measured": None}, "lacks measured"),
    ],
)
def test_a_malformed_claim_stops_the_build(tmp_path, change, words):
    record = {key: val for key, val in {**CLAIM, **change}.items() if val is not None}
    write(tmp_path / "chapters/cycles/1_phenomenon.ipynb", notebook(record))
    with pytest.raises(ValueError, match=words) as problem:
        bookpages.read_claims(tmp_path)
    assert "chapters/cycles/1_phenomenon.ipynb" in str(problem.value)


def test_a_claim_measured_twice_stops_the_build(tmp_path):
    write(tmp_path / "chapters/cycles/1_a.ipynb", notebook(CLAIM))
    write(tmp_path / "chapters/cycles/2_b.ipynb", notebook(CLAIM))
    with pytest.raises(ValueError, match=r"measured in chapters/cycles/1_a\.ipynb too"):
        bookpages.read_claims(tmp_path)


def test_without_claims_the_pages_say_so(tmp_path):
    write(tmp_path / "chapters/cycles/1_phenomenon.ipynb", notebook())
    assert "No notebook carries a claim yet" in bookpages.claims_page([])
    assert "has been measured yet" in bookpages.chapter_claims([], "cycles")


def test_every_claim_of_the_book_is_well_formed():
    claims = bookpages.read_claims(ROOT)
    assert all(claim.verdict == "holds" for claim in claims)


# --- status ---------------------------------------------------------------------------


def test_status_without_measurements(tmp_path):
    assert "Nothing has been measured yet" in bookpages.status_page(tmp_path)


def test_status_shows_what_was_measured_and_what_was_not(tmp_path):
    write(tmp_path / "chapters/cycles/1_phenomenon.ipynb", notebook())
    write(tmp_path / "chapters/cycles/2_mechanism.ipynb", notebook())
    write(tmp_path / "chapters/cycles/3_laboratory.ipynb", notebook())
    fast, slow = "chapters/cycles/1_phenomenon.ipynb", "chapters/cycles/3_laboratory.ipynb"
    record = {
        "machine": {"python": "3.11.7", "device": "<cpu>", "page_size": 4096},
        "notebooks": {
            fast: {"seconds": 61.25, "date": "2026-11-25", "cpu": "Some <CPU>"},
            slow: {"seconds": 140.0, "date": "2026-11-24"},
            "chapters/gone.ipynb": {"seconds": 1.0, "date": "2026-11-01"},
        },
    }
    write(tmp_path / "book/measurements.json", record)
    page = bookpages.status_page(tmp_path)
    assert "61.2 s (over its budget)" in page
    assert "140.0 s<" in page, "a laboratory may take 150 s"
    assert "not measured yet" in page
    assert "2026-11-25" in page
    assert "gone" not in page
    assert "Some &lt;CPU&gt;" in page
    assert "&lt;cpu&gt;" in page
    assert page.index("device") < page.index("Python") < page.index("page size")
    assert 'href="../chapters/cycles/1_phenomenon.html"' in page


def test_a_generated_file_is_written_whole_and_only_if_it_changes(tmp_path):
    path = tmp_path / "generated" / "claims.md"
    assert bookpages.write_whole(path, "one\n")
    before = path.stat().st_mtime_ns
    assert not bookpages.write_whole(path, "one\n")
    assert path.stat().st_mtime_ns == before
    assert bookpages.write_whole(path, "two\n")
    assert [p.name for p in path.parent.iterdir()] == ["claims.md"]


# --- the gate -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "page",
    [
        '<script src="https://example.org/x.js"></script>',
        '<script src="//example.org/x.js"></script>',
        '<script>import "https://example.org/x.js"</script>',
        '<script>import x from "https://example.org/x.js"</script>',
        '<script>load("https://cdn.jsdelivr.net/npm/vega@6")</script>',
        '<script>fetch("http://example.org/data.json")</script>',
        '<script type="application/json">{"data":{"url":"https://a.org/d"}}</script>',
        '<link rel="stylesheet" href="https://example.org/x.css">',
        '<link rel="preload" as="font" href="https://example.org/x.woff2">',
        '<link rel="icon" href="http://example.org/x.ico">',
        '<img src="https://example.org/x.png" alt="x">',
        '<img src="x.png" srcset="x.png 1x, https://a.org/y.png 2x" alt="x">',
        '<iframe src="https://example.org"></iframe>',
        "<style>@font-face{src:url(https://example.org/x.woff2)}</style>",
        '<style>@import "https://example.org/x.css";</style>',
        '<p style="background:url(//example.org/x.png)">x</p>',
        '<svg><image href="https://example.org/x.png"></image></svg>',
        '<object data="https://example.org/x.svg"></object>',
    ],
)
def test_the_gate_sees_what_a_page_would_fetch_elsewhere(page):
    assert len(bookassets.outside_fetches(f"<html><body>{page}</body></html>")) == 1


@pytest.mark.parametrize(
    "page",
    [
        '<a href="https://example.org">a link</a>',
        '<link rel="canonical" href="https://example.org/page.html">',
        '<link rel="license" href="https://creativecommons.org/licenses/by/4.0/">',
        '<script src="_static/x.js"></script><img src="data:image/png;base64,AA==">',
        '<svg xmlns="http://www.w3.org/2000/svg"><path d="M0 0"/></svg>',
        '<script type="application/json">{"$schema":"https://vega.github.io/x"}</script>',
        "<code>&lt;script src=&quot;https://example.org/x.js&quot;&gt;</code>",
    ],
)
def test_the_gate_lets_links_pass(page):
    assert bookassets.outside_fetches(f"<html><body>{page}</body></html>") == []


# --- third-party files ----------------------------------------------------------------


@pytest.fixture(scope="module")
def vendor():
    spec = importlib.util.spec_from_file_location("vendor", ROOT / "book" / "vendor.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_third_party_files_are_as_recorded(vendor):
    assert vendor.differences() == []
    folders = {name.partition("/")[0] for name in vendor.recorded()}
    assert all(f"{folder}/LICENSE" in vendor.recorded() for folder in folders)


def test_a_changed_third_party_file_is_noticed(vendor, tmp_path):
    copy = tmp_path / "vendored"
    shutil.copytree(ROOT / "book" / "vendored", copy)
    (copy / "mathjax" / "tex-chtml.js").write_text("changed")
    (copy / "vega" / "vega-bundle.js").unlink()
    (copy / "fonts" / "new.woff2").write_text("new")
    assert vendor.differences(copy) == [
        "vega/vega-bundle.js is recorded and not there",
        "fonts/new.woff2 is there and not recorded",
        "mathjax/tex-chtml.js differs from its recorded hash",
    ]


# --- a small book, built --------------------------------------------------------------

NOTEBOOK = "chapters/cycles/1_phenomenon.ipynb"
FIGURE = {
    "cell_type": "markdown",
    "metadata": {},
    "source": '<div class="optdyn-figure" data-figure="none"></div>',
}
TOC = {
    "format": "jb-book",
    "root": "book/index",
    "chapters": [
        {"file": "book/how_to_read"},
        {"file": "chapters/cycles/index", "sections": [{"file": NOTEBOOK[:-6]}]},
        {"file": "book/claims"},
        {"file": "book/status"},
    ],
}


def small_book(folder: Path) -> Path:
    """A book with the real configuration, glue and generated pages, and little text."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text("utf8"))
    config["sphinx"]["local_extensions"] = {"bookassets": str(ROOT / "book" / "_ext")}
    write(folder / "_config.yml", yaml.safe_dump(config))
    write(folder / "_toc.yml", yaml.safe_dump(TOC))
    for name in ("book/references.bib", "book/_static/favicon.svg"):
        write(folder / name, (ROOT / name).read_text("utf8"))
    for name in ("claims", "status"):
        text = f"# {name}\n\n```{{include}} generated/{name}.md\n```\n"
        write(folder / f"book/{name}.md", text)
    write(folder / "book/index.md", "# A small book\n\nText.\n")
    write(folder / "book/how_to_read.md", "# How\n\n(run)=\n## Run\n\n(cite)=\n## Cite\n")
    text = "# Cycles\n\n```{include} ../../book/generated/claims-cycles.md\n```\n"
    write(folder / "chapters/cycles/index.md", text)
    write(folder / NOTEBOOK, notebook(CLAIM, cells=(FIGURE,)))
    return folder


def build(folder: Path, repository: str | None = None) -> subprocess.CompletedProcess:
    tool = shutil.which("jupyter-book", path=str(Path(sys.executable).parent))
    environment = {k: v for k, v in os.environ.items() if k != "OPTDYN_REPOSITORY"}
    if repository is not None:
        environment["OPTDYN_REPOSITORY"] = repository
    return subprocess.run(
        [tool, "build", "-W", "--keep-going", "."],
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=400,
    )


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """The small book without a repository's address."""
    folder = small_book(tmp_path_factory.mktemp("local"))
    done = build(folder)
    assert done.returncode == 0, done.stdout[-3000:]
    return folder


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """The small book with one."""
    folder = small_book(tmp_path_factory.mktemp("published"))
    done = build(folder, "https://github.com/someone/dynamics")
    assert done.returncode == 0, done.stdout[-3000:]
    return folder


def page(folder: Path, name: str) -> str:
    return (folder / "_build" / "html" / f"{name}.html").read_text("utf8")


def links(text: str) -> list[str]:
    return re.findall(r'href="([^"#]+)', text)


def test_without_an_address_no_page_points_to_a_service(local):
    for name in ("book/index", "chapters/cycles/index", NOTEBOOK[:-6], "book/claims"):
        for address in links(page(local, name)):
            assert not re.search(r"colab|binder|github", address), (name, address)


def test_without_an_address_a_notebook_can_be_downloaded(local):
    text = page(local, NOTEBOOK[:-6])
    assert "Run this page: <a href" in text
    assert NOTEBOOK in text
    (source,) = {a for a in links(text) if a.endswith(".ipynb")}
    file = (local / "_build/html/chapters/cycles" / source).resolve()
    assert json.loads(file.read_text("utf8")) == json.loads((local / NOTEBOOK).read_text("utf8"))


@pytest.mark.parametrize(
    "before",
    [
        "https://colab.research.google.com/github/someone/dynamics/blob/main/",
        "https://mybinder.org/v2/gh/someone/dynamics/main?urlpath=lab/tree/",
        "https://github.com/someone/dynamics/blob/main/",
    ],
)
def test_with_an_address_the_buttons_point_to_the_file(published, before):
    found = [a for a in links(page(published, NOTEBOOK[:-6])) if a.startswith(before)]
    assert found
    for address in found:
        assert (ROOT / address.removeprefix(before)).suffix == ".ipynb"
        assert (published / address.removeprefix(before)).is_file()


def test_with_an_address_every_page_points_to_the_repository(published):
    for name in ("book/index", NOTEBOOK[:-6]):
        assert "https://github.com/someone/dynamics" in links(page(published, name))


def test_the_setting_is_one_and_reads_as_the_variable_does(tmp_path, monkeypatch):
    class Config:
        html_context: dict = {}  # noqa: RUF012

    Config.html_theme_options = {"repository_url": "https://github.com/a/b/"}
    monkeypatch.delenv("OPTDYN_REPOSITORY", raising=False)
    bookassets.repository(Config)
    assert Config.html_theme_options["repository_url"] == "https://github.com/a/b"
    assert Config.html_theme_options["use_repository_button"]


def test_generated_pages_are_in_the_site(local):
    assert 'href="../chapters/cycles/1_phenomenon.html#claim-cycles-3"' in page(
        local, "book/claims"
    )
    assert 'href="1_phenomenon.html#claim-cycles-3"' in page(local, "chapters/cycles/index")
    assert 'id="claim-cycles-3"' in page(local, NOTEBOOK[:-6])
    assert "Nothing has been measured yet" in page(local, "book/status")


def test_only_pages_with_figures_load_what_draws_them(local):
    for file in ("vega-bundle.js", "explore.js", "explore.css"):
        assert file in page(local, NOTEBOOK[:-6])
        assert file not in page(local, "book/index")
    for name in ("book/index", NOTEBOOK[:-6]):
        assert "thebe" not in page(local, name).lower()
        assert "fontawesome.js" not in page(local, name)


def test_the_front_door_leads_to_the_first_page(local):
    text = page(local, "index")
    assert text.startswith("<!DOCTYPE html>")
    assert '<html lang="en">' in text
    assert "<title>The Dynamics of Learning</title>" in text
    assert '<a href="book/index.html">' in text


# --- solutions, left out by one setting -------------------------------------------------

SECRET = "the solution is forty two"


def with_exercises(folder: Path, **settings: object) -> Path:
    """The small book with exercises and solutions, and links to them from three pages."""
    small_book(folder)
    config = yaml.safe_load((folder / "_config.yml").read_text("utf8"))
    config["sphinx"]["config"] |= settings
    write(folder / "_config.yml", yaml.safe_dump(config))
    toc = json.loads(json.dumps(TOC))
    names = ("exercises", "solutions")
    toc["chapters"][1]["sections"] += [{"file": f"chapters/cycles/{name}"} for name in names]
    write(folder / "_toc.yml", yaml.safe_dump(toc))
    for name, text in {
        "exercises": "# Exercises\n\nWork.\n\nSee [the answers](solutions.ipynb).\n\nEnd.",
        "solutions": f"# Solutions\n\n{SECRET}",
    }.items():
        cell = {"cell_type": "markdown", "metadata": {}, "source": text}
        made = notebook(cells=(cell,))
        made["cells"] = made["cells"][1:]
        write(folder / f"chapters/cycles/{name}.ipynb", made)
    index = folder / "chapters/cycles/index.md"
    table = "| page | |\n|---|---|\n| [](exercises.ipynb) | x |\n| [](solutions.ipynb) | y |\n"
    index.write_text(index.read_text("utf8") + "\n" + table, encoding="utf8")
    record = {"notebooks": {f"chapters/cycles/{n}.ipynb": {"seconds": 1.0} for n in names}}
    write(folder / "book/measurements.json", record)
    return folder


def test_solutions_are_pages_unless_a_course_leaves_them_out(tmp_path):
    folder = with_exercises(tmp_path)
    done = build(folder)
    assert done.returncode == 0, done.stdout[-3000:]
    assert SECRET in page(folder, "chapters/cycles/solutions")
    for name in ("chapters/cycles/exercises", "chapters/cycles/index"):
        assert "solutions.html" in links(page(folder, name)), name
    assert "../chapters/cycles/solutions.html" in links(page(folder, "book/status"))

    left_out = with_exercises(tmp_path, optdyn_solutions=False)  # over the site just built
    done = build(left_out)
    assert done.returncode == 0, done.stdout[-3000:]
    site = left_out / "_build" / "html"
    assert not list(site.rglob("*solutions*"))
    for file in site.rglob("*"):
        if file.suffix in (".html", ".js", ".md", ".ipynb", ".json", ".inv") and file.is_file():
            assert SECRET.encode() not in file.read_bytes(), file
        if file.suffix == ".html":
            assert "solutions" not in file.read_text("utf8"), file
    text = page(left_out, "chapters/cycles/exercises")
    assert "Work." in text and "End." in text and "the answers" not in text
    assert "exercises.html" in links(page(left_out, "chapters/cycles/index"))
    assert "chapters/cycles/exercises.ipynb" in page(left_out, "book/status")


def test_the_book_itself_can_be_built_without_solutions_and_answers(tmp_path):
    """No page, archive, index or source has them, and no link leads there."""
    for name in ("_config.yml", "_toc.yml", "book", "chapters", "lib"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tmp_path / name)
    for path in ROOT.glob("*"):
        if path.is_file() and not (tmp_path / path.name).exists():
            shutil.copy(path, tmp_path / path.name)
    config = yaml.safe_load((tmp_path / "_config.yml").read_text("utf8"))
    config["sphinx"]["config"]["optdyn_solutions"] = False
    write(tmp_path / "_config.yml", yaml.safe_dump(config))
    done = build(tmp_path)
    assert done.returncode == 0, done.stdout[-3000:]
    site = tmp_path / "_build" / "html"
    names = [path.relative_to(site).as_posix() for path in site.rglob("*")]
    for archive in site.glob("downloads/*.zip"):
        with zipfile.ZipFile(archive) as zipped:
            names += [name.rpartition("optdyn/")[0] or name for name in zipped.namelist()]
    secret = re.compile(r"solutions\b|teaching|(exercises|questions)_\w+")
    assert [name for name in names if secret.search(name)] == []
    later = ("downloads/optdyn-", "slides/")  # what make.py puts there after the build
    problems = test_site.link_problems(site)
    assert [p for p in problems if not any(name in p for name in later)] == []
    mark = "BEGIN SOLUTION"
    assert mark in (test_site.SITE / "chapters/cycles/solutions.html").read_text("utf8")
    assert [p for p in site.rglob("*.html") if mark in p.read_text("utf8")] == []


def test_the_setting_is_true_or_false_and_in_the_configuration(tmp_path):
    config = yaml.safe_load((ROOT / "_config.yml").read_text("utf8"))
    assert config["sphinx"]["config"]["optdyn_solutions"] is True
    done = build(with_exercises(tmp_path, optdyn_solutions="some"))
    assert done.returncode != 0 and "optdyn_solutions" in done.stdout


def test_a_page_that_asks_another_host_fails_the_build(tmp_path):
    folder = small_book(tmp_path)
    script = '<script src="https://cdn.jsdelivr.net/npm/vega@6"></script>'
    write(folder / "book/index.md", f"# A small book\n\n{script}\n")
    done = build(folder)
    assert done.returncode != 0
    assert "the site would ask other hosts for" in done.stdout
    assert "book/index.html" in done.stdout
