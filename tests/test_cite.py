"""How to cite: one record, CITATION.cff, and a line at the foot of every page."""

from __future__ import annotations

import html
import re
import sys
from pathlib import Path

import jinja2
import pytest
import yaml

import optdyn

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "_build" / "html"
sys.path.insert(0, str(ROOT / "book" / "_ext"))

import bookassets  # noqa: E402

RECORD = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf8"))


def foot(pagename: str, title: str, sourcename: str = "source.md") -> str:
    """The foot of a page as its readers see it, links as Markdown has them."""
    loader = jinja2.FileSystemLoader(ROOT / "book" / "_ext" / "templates")
    made = (
        jinja2.Environment(loader=loader)
        .get_template("foot.html")
        .render(
            pagename=pagename,
            title=title,
            sourcename=sourcename,
            root_doc="book/index",
            optdyn_cite=bookassets.citation(),
            pathto=lambda name, resource=0: name if resource else f"{name}.html",
        )
    )
    made = re.sub(r'<a [^>]*?href="([^"]*)"[^>]*>(.*?)</a>', r"[\2](\1)", made)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", made)).split())


def test_the_record_the_library_and_the_changelog_name_one_version():
    first = re.search(r"(?m)^## \[(.*?)\]", (ROOT / "CHANGELOG.md").read_text("utf8"))
    assert first is not None
    assert RECORD["version"] == optdyn.__version__ == first[1]


def test_how_to_read_cites_what_the_record_names():
    text = (ROOT / "book" / "how_to_read.md").read_text("utf8")
    (line,) = re.findall(r"(?m)^> (.*)$", text)
    (author,) = RECORD["authors"]
    year = str(RECORD["date-released"])[:4]
    assert line.replace("*", "") == f"{author['name']}. {RECORD['title']}. {year}."


def test_the_foot_names_page_book_version_and_year():
    text = foot("chapters/adam/index", "Adam, what is <em>left</em> &amp; why", "index.md")
    assert text.startswith(
        "Cite this page: The authors of The Dynamics of Learning, “Adam, what is left & why”, in "
        f"{RECORD['title']}, version {optdyn.__version__}, {str(RECORD['date-released'])[:4]}."
    )
    assert "[CITATION.cff](_static/CITATION.cff)" in text
    assert "[How to cite](book/how_to_read.html#cite)" in text
    assert "[CC BY 4.0](https://creativecommons.org/licenses/by/4.0/)" in text


def test_the_first_page_is_cited_as_the_book_and_a_title_is_text():
    assert "“" not in foot("book/index", "The Dynamics of Learning")
    assert "[How to cite](#cite)" in foot("book/how_to_read", "How to read this book")
    loud = foot("book/claims", "&lt;script&gt;alert(1)&lt;/script&gt;")
    assert "“<script>alert(1)</script>”" in loud  # once unescaped: it was text


def test_what_is_no_page_of_the_book_is_not_cited():
    text = foot("search", "Search", sourcename="")
    assert text.startswith("[How to cite](")
    assert "Cite this page" not in text


@pytest.mark.site
def test_every_page_of_the_site_says_how_to_cite_it():
    pages = sorted([*SITE.glob("[!_]*/**/*.html"), *SITE.glob("_modules/**/*.html")])
    assert len(pages) > 25
    for path in pages:
        text = path.read_text("utf8")
        (line,) = re.findall(r"(?s)Cite this page: (.*?)</p>", text)
        heading = re.search(r'(?s)<h1>((?:(?!<h1>).)+?)(?:<a class="headerlink"|</h1>)', text)
        assert heading is not None, path
        title = html.unescape(re.sub(r"<[^>]+>", "", heading[1])).strip()
        said = html.unescape(re.sub(r"<[^>]+>", "", line))
        if path.relative_to(SITE).as_posix() != "book/index.html":
            assert f"“{title}”" in said, path
        assert f"version {optdyn.__version__}" in said, path
        assert (path.parent / re.search(r'href="([^"]*CITATION\.cff)"', line)[1]).is_file()
    assert (SITE / "_static" / "CITATION.cff").read_text("utf8") == (
        ROOT / "CITATION.cff"
    ).read_text("utf8")
