"""The glue between Jupyter Book and this book: its own files instead of other hosts', scripts only where a page needs them, and
a gate that stops the build if a page would still ask another host for anything."""

from __future__ import annotations

import os
import re
from html.parser import HTMLParser
from pathlib import Path

import bookpages
from sphinx.errors import SphinxError

HERE = Path(__file__).resolve().parent
BOOK = HERE.parent

os.environ.setdefault("OPTDYN_BOOK", "1")


# -- configuration ----------------------------------------------------------------------------------------------------------------


def configure(app, config):
    root = Path(app.srcdir)
    static = [BOOK / "_static", BOOK / "vendored"]
    static += [
        p
        for p in (
            BOOK.parent / "lib/optdyn/explore.js",
            BOOK.parent / "lib/optdyn/explore.css",
        )
        if p.exists()
    ]
    config.html_static_path += [
        str(p) for p in static
    ]  # here and not in _config.yml: Jupyter Book loads each script it finds there
    config.templates_path.insert(0, str(HERE / "templates"))
    config.html_sidebars = {
        "**": ["brand.html", "search-button-field.html", "sbt-sidebar-nav.html"]
    }
    config.html_context.setdefault("default_mode", "auto")
    config.html_theme_options.update(
        footer_content_items=["foot.html"],
        primary_sidebar_end=[],
        use_fullscreen_button=False,
    )
    for listeners in (
        app.events.listeners.values()
    ):  # Jupyter Book loads sphinx-thebe on every page, twice, from another host
        listeners[:] = [
            one
            for one in listeners
            if not one.handler.__module__.startswith("sphinx_thebe")
        ]
    app.registry.css_files[:] = [
        css for css in app.registry.css_files if css[0] != "sphinx-thebe.css"
    ]
    config.mathjax_path = "mathjax/tex-chtml.js"  # relative to _static, as all below
    config.mathjax3_config = {
        **(config.mathjax3_config or {}),
        "options": {
            **(config.mathjax3_config or {}).get("options", {}),
            "processHtmlClass": "tex2jax_process|mathjax_process|math|output_area",
            "enableMenu": False,  # its entries need files that are not here, and it makes every formula a tab stop
        },
    }
    config.nb_ipywidgets_js = {}  # no live widgets in a page
    repository(config)
    try:
        bookpages.generate(root)
    except ValueError as error:
        raise SphinxError(str(error)) from None


def repository(config):
    """Switch what needs the repository's address on or off; OPTDYN_REPOSITORY stands in for the setting in tests."""
    options = config.html_theme_options
    address = os.environ.get(
        "OPTDYN_REPOSITORY", options.get("repository_url") or ""
    ).rstrip("/")
    if address:
        options.update(repository_url=address, use_repository_button=True)
    else:
        options.pop("repository_url", None)
        options.update(use_repository_button=False, launch_buttons={})
    config.html_context["optdyn_repository"] = address


# -- pages ------------------------------------------------------------------------------------------------------------------------


def dress(app, pagename, templatename, context, doctree):
    body = context.get("body") or ""
    app.add_css_file("book.css", priority=800)
    app.add_js_file("book.js", loading_method="defer", priority=800)
    if "optdyn-figure" in body:
        app.add_css_file("explore.css", priority=801)
        app.add_js_file("vega/vega-bundle.js", loading_method="defer", priority=801)
        app.add_js_file("explore.js", loading_method="defer", priority=802)
    if (
        "citation-list" in body
    ):  # roles that docutils gives to bibliographies and that their children do not match
        for role in (' role="list"', ' role="doc-biblioentry"', ' role="doc-backlink"'):
            body = body.replace(role, "")
    # the label would hide from a screen reader what stands there to be read
    context["body"] = body.replace(
        '<summary aria-label="Toggle hidden content">', "<summary>"
    )


def once(app, pagename, templatename, context, doctree):
    """Jupyter Book writes the toggle button's setting twice, as a `var` that may stand once."""
    seen, kept = set(), []
    for script in context.get("script_files", []):
        body = (getattr(script, "attributes", None) or {}).get("body")
        if body and body in seen:
            continue
        seen.add(body)
        kept.append(script)
    if "script_files" in context:
        context["script_files"][:] = kept


def run_line(app, pagename, templatename, context, doctree):
    """Under the title of a notebook's page: where to run it."""
    if context.get("page_source_suffix") != ".ipynb" or pagename == app.config.root_doc:
        return
    pathto = context["pathto"]
    places = []
    for group in context.get("header_buttons", ()):
        if group.get("label") == "launch-buttons":
            places += [(button["text"], button["url"]) for button in group["buttons"]]
    if address := context.get("optdyn_repository"):
        branch = app.config.html_theme_options.get("repository_branch") or "main"
        places.append(("GitHub", f"{address}/blob/{branch}/{pagename}.ipynb"))
    where = ", ".join(f'<a href="{url}">{name}</a>' for name, url in places)
    source = pathto("_sources/" + context["sourcename"], 1)
    line = (
        '<p class="optdyn-run">Run this page: '
        + (f"open it on {where}; or " if where else "")
        + f'<a href="{source}" download>download the notebook</a>, or take <code>{pagename}.ipynb</code> in '
        + f'<a href="{pathto("book/how_to_read")}#run">a local copy</a>.</p>'
    )
    context["body"] = context["body"].replace("</h1>", "</h1>\n" + line, 1)


def front_door(app, exception):
    """An index.html at the top of the site that leads to the first page."""
    if exception or app.builder.name != "html" or app.config.root_doc == "index":
        return
    first, title = f"{app.config.root_doc}.html", app.config.html_title
    (Path(app.outdir) / "index.html").write_text(
        f"""<!DOCTYPE html>
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
""",
        encoding="utf8",
    )


# -- the gate ---------------------------------------------------------------------------------------------------------------------

OUTSIDE = re.compile(r"\s*(?:[a-z][a-z0-9+.-]*:)?//", re.I)
FETCHED = {
    "script": ("src",),
    "img": ("src", "srcset"),
    "iframe": ("src",),
    "source": ("src", "srcset"),
    "video": ("src", "poster"),
    "audio": ("src",),
    "track": ("src",),
    "embed": ("src",),
    "object": ("data",),
    "image": ("href", "xlink:href"),
    "use": ("href", "xlink:href"),
    "input": ("src",),
    "base": ("href",),
}
NOT_FETCHED = {
    "canonical",
    "next",
    "prev",
    "license",
    "author",
    "alternate",
    "search",
    "index",
    "help",
    "me",
}
STYLE_URL = re.compile(
    r"""(?:url\(\s*['"]?|@import\s+['"])((?:https?:)?//[^'")\s]+)""", re.I
)
SCRIPT_URL = re.compile(
    r"""(?:cdn\.jsdelivr\.net|unpkg\.com|cdnjs\.cloudflare\.com|esm\.sh|esm\.run|cdn\.skypack\.dev)[^"'\s]*"""
    r"""|(?:import|importScripts|fetch)\s*\(?\s*["'](?:https?:)?//[^"']+|from\s*["'](?:https?:)?//[^"']+""",
    re.I,
)
DATA_URL = re.compile(r'"url"\s*:\s*"(?:https?:)?//[^"]+"', re.I)


class _Fetches(HTMLParser):
    """Collects what a page would ask another host for."""

    def __init__(self):
        super().__init__()
        self.found: list[str] = []
        self.inside = ""

    def handle_starttag(self, tag, attrs):
        values = {name: value or "" for name, value in attrs}
        where = [
            (name, values[name]) for name in FETCHED.get(tag, ()) if name in values
        ]
        if (
            tag == "link"
            and not set(values.get("rel", "").lower().split()) & NOT_FETCHED
        ):
            where.append(("href", values.get("href", "")))
        for name, value in where:
            pieces = (
                [p.split()[0] for p in value.split(",") if p.split()]
                if name == "srcset"
                else [value]
            )
            self.found += [
                f'<{tag} {name}="{piece}">' for piece in pieces if OUTSIDE.match(piece)
            ]
        self.found += [
            f'style="...{url}"' for url in STYLE_URL.findall(values.get("style", ""))
        ]
        if tag == "script":
            kind = values.get("type", "").lower()
            self.inside = "data" if "json" in kind else "script"
        elif tag == "style":
            self.inside = "style"

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.inside = ""

    def handle_endtag(self, tag):
        if tag in ("script", "style"):
            self.inside = ""

    def handle_data(self, data):
        if self.inside:
            pattern = {"script": SCRIPT_URL, "style": STYLE_URL, "data": DATA_URL}[
                self.inside
            ]
            self.found += [
                f"in a {self.inside} block: {m.group(0)[:100]}"
                for m in pattern.finditer(data)
            ]


def outside_fetches(page: str) -> list[str]:
    """What an HTML page would fetch from another host: scripts, styles, fonts, images, frames, data. Links do not count."""
    parser = _Fetches()
    parser.feed(page)
    parser.close()
    return parser.found


def gate(app, exception):
    if exception or app.builder.format != "html":
        return
    out = Path(app.outdir)
    bad = []
    for path in sorted(out.rglob("*.html")):
        bad += [
            f"{path.relative_to(out)}: {found}"
            for found in outside_fetches(path.read_text("utf8"))
        ]
    for path in sorted(out.rglob("*.css")):
        bad += [
            f"{path.relative_to(out)}: {url}"
            for url in STYLE_URL.findall(path.read_text("utf8"))
        ]
    if bad:
        raise SphinxError(
            "the site would ask other hosts for:\n  " + "\n  ".join(bad[:20])
        )


def setup(app):
    app.connect("config-inited", configure, priority=900)
    app.connect("html-page-context", dress, priority=400)
    app.connect("html-page-context", run_line, priority=600)
    app.connect("html-page-context", once, priority=950)
    app.connect("build-finished", front_door, priority=100)
    app.connect("build-finished", gate, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
