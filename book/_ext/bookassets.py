"""The glue between Jupyter Book and this book.

Pages load the book's own files in place of other hosts', and scripts only where they
need them. A gate stops the build if a page would still ask another host for anything.
"""

from __future__ import annotations

import html
import os
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import bookpages
import booksolutions
import bookspeed
import bookweb
import yaml
from sphinx.errors import SphinxError
from sphinx.util import logging

logger = logging.getLogger(__name__)
HERE = Path(__file__).resolve().parent
BOOK = HERE.parent
LIBRARY = BOOK.parent / "lib" / "optdyn"
CITATION = BOOK.parent / "CITATION.cff"
DECKS = ("noise", "cycles", "shiftk", "adam", "closing")

os.environ.setdefault("OPTDYN_BOOK", "1")


# -- configuration ---------------------------------------------------------------------


def configure(app, config):
    # Here and not in _config.yml: Jupyter Book loads every script that it finds in a
    # static folder on every page.
    static = [
        BOOK / "_static",
        BOOK / "vendored",
        LIBRARY / "explore.js",
        LIBRARY / "explore.css",
        CITATION,
    ]
    config.html_static_path += [str(path) for path in static]
    config.templates_path.insert(0, str(HERE / "templates"))
    config.html_sidebars = {
        "**": ["brand.html", "search-button-field.html", "sbt-sidebar-nav.html"]
    }
    config.html_context.setdefault("default_mode", "auto")
    config.html_context["optdyn_cite"] = citation()
    config.html_theme_options.update(
        footer_content_items=["foot.html"],
        primary_sidebar_end=[],
        use_fullscreen_button=False,
    )
    config.nb_ipywidgets_js = {}  # no live widgets in a page
    mathematics(config)
    repository(config)
    without_thebe(app)
    try:
        bookpages.generate(Path(app.srcdir), solutions=config.optdyn_solutions)
        bookspeed.generate(Path(app.srcdir), solutions=config.optdyn_solutions)
    except ValueError as error:
        raise SphinxError(str(error)) from None


def citation() -> dict[str, str]:
    """What the foot of a page says of the book, from CITATION.cff."""
    record = yaml.safe_load(CITATION.read_text("utf8"))
    return {
        "title": record["title"],
        "version": str(record["version"]),
        "year": str(record["date-released"])[:4],
    }


def mathematics(config):
    config.mathjax_path = "mathjax/tex-chtml.js"  # relative to _static
    settings = dict(config.mathjax3_config or {})
    settings["options"] = {
        **settings.get("options", {}),
        "processHtmlClass": "tex2jax_process|mathjax_process|math|output_area",
        # the menu's entries need files that are not here, and it makes every formula
        # a stop of the Tab key
        "enableMenu": False,
    }
    config.mathjax3_config = settings


def repository(config):
    """Switch what needs the repository's address on or off.

    The environment variable OPTDYN_REPOSITORY stands in for the setting.
    """
    options = config.html_theme_options
    setting = options.get("repository_url") or ""
    address = os.environ.get("OPTDYN_REPOSITORY", setting).rstrip("/")
    if address:
        options.update(repository_url=address, use_repository_button=True)
    else:
        options.pop("repository_url", None)
        options.update(use_repository_button=False, launch_buttons={})
    config.html_context["optdyn_repository"] = address


def without_thebe(app):
    """Take out sphinx-thebe, which Jupyter Book always loads, from another host."""
    for listeners in app.events.listeners.values():
        listeners[:] = [
            one for one in listeners if not one.handler.__module__.startswith("sphinx_thebe")
        ]
    app.registry.css_files[:] = [
        style for style in app.registry.css_files if style[0] != "sphinx-thebe.css"
    ]


# -- pages -----------------------------------------------------------------------------


FALLBACK = re.compile(  # a figure that would have computed, and why it does not
    r'data-figure="([^"]*)"(?:(?!optdyn-figure).)*?"because":"((?:[^"\\]|\\.)*)"', re.DOTALL
)


def dress(app, pagename, templatename, context, doctree):
    """Give a page its style and scripts, and mend what hinders screen readers."""
    body = context.get("body") or ""
    app.add_css_file("book.css", priority=800)
    app.add_js_file("book.js", loading_method="defer", priority=800)
    for name, reason in FALLBACK.findall(html.unescape(body)):
        logger.info("%s: the figure %s replays a table: %s", pagename, name, reason)
    if "optdyn-figure" in body:
        app.add_css_file("explore.css", priority=801)
        app.add_js_file("vega/vega-bundle.js", loading_method="defer", priority=801)
        app.add_js_file("explore.js", loading_method="defer", priority=802)
    if "citation-list" in body:
        # docutils gives bibliographies roles that their children do not match
        for role in ("list", "doc-biblioentry", "doc-backlink"):
            body = body.replace(f' role="{role}"', "")
    # this label would hide from a screen reader what stands there to be read
    body = body.replace('<summary aria-label="Toggle hidden content">', "<summary>")
    context["body"] = body


def once(app, pagename, templatename, context, doctree):
    """Drop repeated inline scripts: the toggle button's setting comes twice."""
    if "script_files" not in context:
        return
    seen, kept = set(), []
    for script in context["script_files"]:
        body = (getattr(script, "attributes", None) or {}).get("body")
        if not body or body not in seen:
            kept.append(script)
        seen.add(body)
    context["script_files"][:] = kept


DOWNLOADS = {".ipynb": "Notebook", ".md": "Markdown", ".pdf": "Print"}


def name_downloads(app, pagename, templatename, context, doctree):
    """Say in the menu of downloads what each is, in place of the ending of a file."""
    for group in context.get("header_buttons", ()):
        if group.get("label") == "download-buttons":
            for button in group["buttons"]:
                button["text"] = DOWNLOADS.get(button["text"], button["text"])


def run_line(app, pagename, templatename, context, doctree):
    """Say under the title of a notebook's page where it can be run."""
    if context.get("page_source_suffix") != ".ipynb":
        return
    pathto = context["pathto"]
    places = [
        (button["text"], button["url"])
        for group in context.get("header_buttons", ())
        if group.get("label") == "launch-buttons"
        for button in group["buttons"]
    ]
    if address := context.get("optdyn_repository"):
        branch = app.config.html_theme_options.get("repository_branch") or "main"
        places.append(("GitHub", f"{address}/blob/{branch}/{pagename}.ipynb"))
    *first, last = [f'<a href="{url}">{name}</a>' for name, url in sorted(places)] or [""]
    where = ", ".join(first) + " or " * bool(first) + last
    source = pathto("_sources/" + context["sourcename"], 1)
    version = context["optdyn_cite"]["version"]
    wheel = pathto(f"downloads/optdyn-{version}-py3-none-any.whl", 1)
    line = (
        '<p class="optdyn-run">Run this page: '
        + (f"open it on {where}, " if where else "")
        + f'<a href="{source}" download>download the notebook</a>, '
        + f'<a href="{pathto(bookweb.archive_name(pagename), 1)}" download>its chapter as a zip'
        + "</a> that runs offline, "
        + f"or take <code>{pagename}.ipynb</code> in "
        + f'<a href="{pathto("book/how_to_read")}#run">a local copy</a>. '
        + f'By itself, a notebook wants <a href="{wheel}" download>the library</a> beside it.</p>'
    )
    if pagename == app.config.root_doc:  # which begins with its figure
        context["body"] += line
    else:
        context["body"] = context["body"].replace("</h1>", "</h1>\n" + line, 1)


DECK = re.compile(r"(?:chapters/(\w+)/index|book/teaching/(?!index)(\w+)|book/(closing))")


def slides_line(app, pagename, templatename, context, doctree):
    """Link a chapter's first page, and its page for teachers, to its slides (book/slides.py)."""
    match = DECK.fullmatch(pagename)
    if match and context.get("body") and (deck := next(filter(None, match.groups()))) in DECKS:
        address = context["pathto"](f"slides/{deck}.html", 1)
        line = (
            f'For a lecture: <a href="{address}">slides of this chapter</a>, whose figures compute.'
        )
        if match[1]:
            archive = context["pathto"](bookweb.archive_name(pagename), 1)
            line += f' To take along: <a href="{archive}" download>its notebooks as a zip</a>.'
        line = f'<p class="optdyn-run">{line}</p>'
        context["body"] = context["body"].replace("</h1>", "</h1>\n" + line, 1)


FRONT_DOOR = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="0; url={first}">
<link rel="icon" href="_static/favicon.svg">
<title>{title}</title>
</head>
<body><main><h1>{title}</h1><p><a href="{first}">Open the book</a></p></main></body>
</html>
"""


def front_door(app, exception):
    """Write an index.html at the top of the site that leads to the first page."""
    root = app.config.root_doc
    if exception or app.builder.name != "html" or root == "index":
        return
    text = FRONT_DOOR.format(first=f"{root}.html", title=app.config.html_title)
    (Path(app.outdir) / "index.html").write_text(text, encoding="utf8")


UNUSED = (  # what the themes ship and no page of this book loads
    "locales",
    "vendor/fontawesome",
    "scripts/fontawesome.js*",
    "scripts/*.map",
    "styles/*.map",
    "*webpack-macros.html",
)


def lighten(app, exception):
    """Take half of the site's weight away."""
    if exception or app.builder.format != "html":
        return
    for pattern in UNUSED:
        for path in (Path(app.outdir) / "_static").glob(pattern):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


STATE_LINK = re.compile(r'href="[^"#]*#[^"=]*=')  # to a figure with its sliders set


def without_spy(app, exception):
    """Let Bootstrap's scroll spy be, where a page links to figures in a certain state.

    It takes the fragment of every link for a selector, which a state is not, and fails.
    """
    if exception or app.builder.format != "html":
        return
    for path in Path(app.outdir).rglob("*.html"):
        text = path.read_text("utf-8")
        if STATE_LINK.search(text):
            path.write_text(text.replace(' data-bs-spy="scroll"', "", 1), "utf-8")


# -- the gate --------------------------------------------------------------------------

FETCHED = {  # what a browser fetches by itself: tag, attributes
    "audio": ("src",),
    "base": ("href",),
    "embed": ("src",),
    "iframe": ("src",),
    "image": ("href", "xlink:href"),
    "img": ("src", "srcset"),
    "input": ("src",),
    "object": ("data",),
    "script": ("src",),
    "source": ("src", "srcset"),
    "track": ("src",),
    "use": ("href", "xlink:href"),
    "video": ("src", "poster"),
}
# a <link> of another relation than these is fetched
LINKS = {
    "alternate",
    "author",
    "canonical",
    "index",
    "license",
    "next",
    "prev",
    "search",
}
OUTSIDE = re.compile(r"\s*(?:[a-z][a-z0-9+.-]*:)?//", re.I)
URL = r"(?:https?:)?//[^\"')\s]+"
STYLE = re.compile(rf"(?:url\(\s*[\"']?|@import\s+[\"']){URL}", re.I)
SCRIPT = re.compile(
    r"(?:cdn\.jsdelivr|unpkg|cdnjs\.cloudflare|esm|cdn\.skypack)\.\w+/[^\"'\s]*"
    rf"|(?:\bimport|importScripts|fetch)\s*\(?\s*[\"']{URL}"
    rf"|\bfrom\s*[\"']{URL}",
    re.I,
)
DATA = re.compile(rf'"url"\s*:\s*"{URL}', re.I)


class _Fetches(HTMLParser):
    """Collects what a page would ask another host for."""

    def __init__(self):
        super().__init__()
        self.found: list[str] = []
        self.inside = None

    def handle_starttag(self, tag, attrs):
        values = {name: value or "" for name, value in attrs}
        names = FETCHED.get(tag, ())
        if tag == "link" and not LINKS & set(values.get("rel", "").lower().split()):
            names = ("href",)
        for name in names:
            value = values.get(name, "")
            parts = value.split(",") if name == "srcset" else [value]
            self.found += [f'<{tag} {name}="{p.strip()}">' for p in parts if OUTSIDE.match(p)]
        self._search(STYLE, values.get("style", ""), "a style attribute")
        if tag == "script":
            self.inside = DATA if "json" in values.get("type", "").lower() else SCRIPT
        elif tag == "style":
            self.inside = STYLE

    def handle_endtag(self, tag):
        if tag in ("script", "style"):
            self.inside = None

    def handle_data(self, data):
        if self.inside:
            self._search(self.inside, data, "a script or style in the page")

    def _search(self, pattern, text, where):
        self.found += [f"{where}: {m.group(0)[:100]}" for m in pattern.finditer(text)]


def outside_fetches(page: str) -> list[str]:
    """What an HTML page would fetch from another host, one line each.

    Scripts, styles, fonts, images, frames and chart data count; links do not.
    """
    parser = _Fetches()
    parser.feed(page)
    parser.close()
    return parser.found


def gate(app, exception):
    """Fail the build if a page or a style sheet would ask another host for anything."""
    if exception or app.builder.format != "html":
        return
    out = Path(app.outdir)
    bad = []
    for path in sorted(out.rglob("*.html")):
        found = outside_fetches(path.read_text("utf8"))
        bad += [f"{path.relative_to(out)}: {line}" for line in found]
    for path in sorted(out.rglob("*.css")):
        found = STYLE.findall(path.read_text("utf8"))
        bad += [f"{path.relative_to(out)}: {line}" for line in found]
    if bad:
        list_ = "\n  ".join(bad[:20])
        raise SphinxError(f"the site would ask other hosts for:\n  {list_}")


def setup(app):
    booksolutions.setup(app)
    bookweb.setup(app)
    app.connect("config-inited", configure, priority=900)
    app.connect("html-page-context", dress, priority=400)
    app.connect("html-page-context", name_downloads, priority=600)
    app.connect("html-page-context", run_line, priority=600)
    app.connect("html-page-context", slides_line, priority=610)
    app.connect("html-page-context", once, priority=950)
    app.connect("build-finished", front_door, priority=100)
    app.connect("build-finished", without_spy)
    app.connect("build-finished", lighten, priority=200)
    app.connect("build-finished", gate, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
