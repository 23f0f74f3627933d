"""What the site is to the web: a policy for browsers, cards for those who share a page, downloads.

After the build every page gets a content-security policy and a description with a picture; the
small scripts that stand in the pages' heads move into one file, so that the policy can forbid
scripts in pages. ``_headers`` says the same policy to servers. ``downloads/`` holds one archive a
chapter that runs without a network.
"""

from __future__ import annotations

import base64
import hashlib
import html
import os
import posixpath
import re
import sys
import textwrap
import tomllib
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import nbformat
from sphinx.errors import SphinxError

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TITLE = "The Dynamics of Learning"

# -- the policy ------------------------------------------------------------------------

POLICY = {  # what a page may do; book/hosting.md explains each line
    "default-src": "'self'",
    "script-src": "'self'",
    "script-src-attr": "'none'",
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data:",
    "worker-src": "blob:",
    "frame-src": "'none'",
    "media-src": "'none'",
    "object-src": "'none'",
    "base-uri": "'none'",
    "form-action": "'self'",
}
HEADER_ONLY = {"frame-ancestors": "'self'"}  # a page cannot say this of itself
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": ", ".join(
        f"{power}=()"
        for power in (
            "camera",
            "display-capture",
            "geolocation",
            "microphone",
            "payment",
            "usb",
            "interest-cohort",
        )
    ),
}
SETTINGS = "_static/settings.js"

SCRIPT = re.compile(r"<script([^>]*)>(.*?)</script>", re.DOTALL)
PAGENAME = re.compile(r"\s*DOCUMENTATION_OPTIONS\.pagename = '[^']*';\s*")  # nothing here reads it


def policy(scripts: Iterable[str] = (), more: Mapping[str, str] | None = None) -> str:
    """The policy as one line; ``scripts`` are the texts of inline scripts that it allows.

    >>> policy(["go()"]).split("; ")[1]
    "script-src 'self' 'sha256-5KYv+PUboo5h+0+YAtGRPbwv5d/QxzHslP4YGnUaxRw='"
    """
    hashes = sorted({f" '{fingerprint(script)}'" for script in scripts})
    parts = {**POLICY, **(more or {})}
    parts["script-src"] += "".join(hashes)
    return "; ".join(f"{name} {value}" for name, value in parts.items())


def fingerprint(script: str) -> str:
    """What a policy calls an inline script."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def inline_scripts(page: str) -> list[str]:
    """The texts of the scripts that stand in a page; data are none.

    >>> inline_scripts('<script src="a.js"></script><script>b()</script>')
    ['b()']
    """
    return [text for attributes, text in SCRIPT.findall(page) if _runs(attributes)]


def _runs(attributes: str) -> bool:
    return "src=" not in attributes and "json" not in attributes


def gather(pages: dict[str, str]) -> str:
    """Take what several pages carry in their heads out of them; return it as one script.

    It loads where the first of them stood, before any other script. What only one page carries
    stays there: its policy allows it by its hash.
    """
    heads = {name: page.partition("</head>")[0] for name, page in pages.items()}
    met = Counter(text for head in heads.values() for text in dict.fromkeys(inline_scripts(head)))
    common = [text for text, count in met.items() if count > 1 and not PAGENAME.fullmatch(text)]
    script = "".join(f"{textwrap.dedent(text).strip()}\n" for text in common)
    version = hashlib.sha256(script.encode()).hexdigest()[:8]
    for name, head in heads.items():
        address = f"{posixpath.relpath(SETTINGS, posixpath.dirname(name) or '.')}?v={version}"
        loads = [f'<script src="{address}"></script>']

        def without(found: re.Match[str], loads: list[str] = loads) -> str:
            attributes, text = found.groups()
            if not _runs(attributes) or (text not in common and not PAGENAME.fullmatch(text)):
                return found[0]
            return loads.pop() if loads and text in common else ""

        pages[name] = SCRIPT.sub(without, head) + pages[name][len(head) :]
    return script


PRINT = ' onclick="window.print()"'  # book.js listens instead


class _Handlers(HTMLParser):
    """Collects the event handlers that stand in a page as attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [f'<{tag} {name}="{value}">' for name, value in attrs if name[:2] == "on"]


def guard(page: str) -> str:
    """A page with its policy at the top of its head.

    Raises:
        ValueError: an event handler that the policy would forbid.
    """
    page = page.replace(PRINT, "")
    if found := _Handlers(page).found:
        raise ValueError(
            f"{found[0][:80]} would be forbidden by the page's policy: no element may have an "
            "attribute that is run. Listen in book/_static/book.js instead."
        )
    line = html.escape(policy(inline_scripts(page)), quote=False)
    tag = f'<meta http-equiv="Content-Security-Policy" content="{line}">'
    made, count = re.subn(r"<meta charset=[^>]*>", lambda m: f"{m[0]}\n{tag}", page, count=1)
    if not count:
        raise ValueError("the page has no <meta charset>, after which its policy could stand.")
    return made


BLOCKING = re.compile(r"<script(?=[^>]*\ssrc=)(?![^>]*\s(?:defer|async)\b)(?![^>]*settings\.js)")


FONT = "_static/fonts/source-serif-4-latin-normal.woff2"  # of the text, on every page


def hasten(name: str, page: str) -> str:
    """Let a page be shown before its scripts have run, in its own font.

    The scripts still run in their order. The font is asked for with the page, not only when the
    style sheet has come: text that changes its font moves.

    >>> hasten("a/b.html", '<title>B</title><script src="a.js"></script>')[-34:]
    '<script defer src="a.js"></script>'
    """
    address = posixpath.relpath(FONT, posixpath.dirname(name) or ".")
    link = f'<link rel="preload" href="{address}" as="font" type="font/woff2" crossorigin>'
    page = page.replace("</title>", f"</title>\n{link}", 1)
    return BLOCKING.sub("<script defer", page)


def headers_file(scripts: Iterable[str]) -> str:
    """The file ``_headers``, as Netlify and Cloudflare Pages read it, and make.py."""
    lines = {"Content-Security-Policy": policy(scripts, HEADER_ONLY), **HEADERS}
    return "/*\n" + "".join(f"  {name}: {value}\n" for name, value in lines.items())


# -- cards -----------------------------------------------------------------------------

DESCRIPTION = 220  # characters, at most
CARD = 1200, 630  # pixels


@dataclass
class Page(HTMLParser):
    """What a card tells of a page: its heading, its first paragraph, its first figure."""

    text: str
    heading: str = ""
    paragraph: str = ""
    picture: str = ""  # SVG
    alt: str = ""
    _open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self._into = ""  # the field that is being read
        self._hidden = self._figure = self._article = False
        self.feed(self.text)
        self.close()
        self.heading = " ".join(self.heading.split())
        self.paragraph = " ".join(self.paragraph.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        classes = values.get("class", "").split()
        self._article |= tag == "article"
        self._figure |= "optdyn-figure" in classes
        if not self._article:
            return
        if tag == "h1" and not self.heading:
            self._into = "heading"
        elif tag == "p" and not self.paragraph and self.heading and not classes:
            self._into = "paragraph"
        elif tag == "a" and "headerlink" in classes:
            self._hidden = True
        elif tag == "div" and "citation" in classes:
            self.paragraph = self.paragraph or " "  # a list of works has none
        elif tag == "img" and self._figure and not self.picture:
            kind, _, drawing = values.get("src", "").partition(",")
            if kind == "data:image/svg+xml":
                self.picture, self.alt = unquote(drawing), values.get("alt", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == {"heading": "h1", "paragraph": "p"}.get(self._into):
            self._into = ""
        elif tag == "a":
            self._hidden = False

    def handle_data(self, data: str) -> None:
        if self._into and not self._hidden:
            setattr(self, self._into, getattr(self, self._into) + data)


def summary(paragraph: str, most: int = DESCRIPTION) -> str:
    r"""The first sentences of a paragraph that fit; a letter between \( and \) is itself.

    >>> summary(r"It keeps \(S\) of them. Here \(\log\) is natural. So?")
    'It keeps S of them. So?'
    >>> summary("One two three four", 13)
    'One two …'
    """
    plain = re.sub(r"\\\(([^\\]*?)\\\)", r"\1", paragraph)
    said = ""
    for sentence in re.split(r"(?<=[.?!:]) +(?=[A-Z“])", plain):
        if "\\" in sentence:
            continue
        if said and len(said) + 1 + len(sentence) > most:
            break
        said = f"{said} {sentence}".strip()
    return textwrap.shorten(said, most, placeholder=" …")


def name_apart(pages: Mapping[str, Page]) -> None:
    """Put the topic before headings that several pages have, as every chapter's *Exercises*."""
    met = Counter(page.heading for page in pages.values())
    for name, page in pages.items():
        chapter = pages.get(f"{posixpath.dirname(name)}/index.html")
        if met[page.heading] > 1 and chapter:
            page.heading = f"{chapter.heading.partition(':')[0]}: {page.heading.lower()}"


def descriptions(pages: Mapping[str, Page]) -> dict[str, str]:
    """One description a page, no two alike where headings differ."""
    found = {name: summary(page.paragraph) for name, page in pages.items()}
    met = Counter(found.values())
    for name, page in pages.items():
        if not found[name]:
            found[name] = f"{page.heading or 'A page'}: a page of {TITLE}."
        elif met[found[name]] > 1:
            found[name] = textwrap.shorten(
                f"{page.heading}. {found[name]}", DESCRIPTION, placeholder=" …"
            )
    return found


def site_address(setting: str = "") -> str:
    """Where the site will stand: the variable OPTDYN_SITE, else the setting; empty if unknown.

    Raises:
        ValueError: not an address of the web.
    """
    given = os.environ.get("OPTDYN_SITE", setting)
    if given and (urlsplit(given).scheme not in ("http", "https") or not urlsplit(given).netloc):
        raise ValueError(
            f"OPTDYN_SITE, or html: baseurl in _config.yml, must be the address of the site, such "
            f"as https://example.org/book/; got {given!r}. Correct it, or leave it out."
        )
    return given.rstrip("/") + "/" if given else ""


def card_tags(name: str, page: Page, description: str, site: str) -> str:
    """The description of a page and its card, as lines of its head."""
    here = posixpath.dirname(name) or "."
    picture = card_name(name)
    tags = [
        ("name", "description", description),
        ("property", "og:type", "website" if name == "book/index.html" else "article"),
        ("property", "og:site_name", TITLE),
        ("property", "og:title", page.heading or TITLE),
        ("property", "og:description", description),
        ("property", "og:image", site + picture if site else posixpath.relpath(picture, here)),
        ("property", "og:image:width", str(CARD[0])),
        ("property", "og:image:height", str(CARD[1])),
        ("property", "og:image:alt", summary(page.alt, 400) or f"{page.heading}: {TITLE}"),
        ("name", "twitter:card", "summary_large_image"),
    ]
    if site:
        tags.insert(2, ("property", "og:url", site + name))
    return "".join(
        f'<meta {kind}="{key}" content="{html.escape(value, quote=True)}">\n'
        for kind, key, value in tags
    )


def card_name(name: str) -> str:
    """The picture of a page's card.

    >>> card_name("chapters/adam/index.html")
    'cards/chapters-adam-index.png'
    """
    return f"cards/{name.removesuffix('.html').replace('/', '-')}.png"


SANS, SERIF = "Liberation Sans, Arial, sans-serif", "Liberation Serif, Georgia, serif"
BRAND = re.compile(r'<path d="([^"]*)"')


def card_drawing(page: Page) -> str:
    """The card of a page as SVG: its title above its first figure, or above the book's sign."""
    width, height = CARD
    lines = textwrap.wrap(page.heading or TITLE, 46)[:2]
    title = "".join(
        f'<text x="60" y="{122 + 54 * i}" font-family="{SERIF}" font-size="46" fill="#23272b">'
        f"{html.escape(line)}</text>"
        for i, line in enumerate(lines)
    )
    top = 100 + 54 * len(lines)
    room = f'x="60" y="{top}" width="{width - 120}" height="{height - top - 30}"'
    if page.picture:
        drawn = re.sub(r' (?:width|height)="[^"]*"', "", page.picture.partition(">")[0])
        figure = drawn.replace("<svg", f"<svg {room}", 1) + page.picture[len(_head(page.picture)) :]
    else:
        sign = BRAND.search((HERE / "templates" / "brand.html").read_text("utf-8"))
        assert sign is not None
        figure = (
            f'<svg {room} viewBox="0 3 32 26"><path d="{sign[1]}" fill="none" stroke="#0b5c8a" '
            'stroke-width="0.9" stroke-linecap="round"/></svg>'
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'width="{width}" height="{height}" viewBox="0 0 {width} {height}">'
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>'
        f'<rect width="{width}" height="10" fill="#0b5c8a"/>'
        f'<text x="60" y="58" font-family="{SANS}" font-size="24" fill="#596067">{TITLE}</text>'
        f"{title}{figure}</svg>"
    )


def _head(drawing: str) -> str:
    return drawing.partition(">")[0]


def card(page: Page) -> bytes:
    """The card of a page as PNG."""
    import vl_convert

    return bytes(vl_convert.svg_to_png(card_drawing(page), scale=1))


# -- downloads -------------------------------------------------------------------------

DATE = (1980, 1, 1, 0, 0, 0)  # of every file in an archive, so that equal ones have equal bytes
NEEDED = (
    *("altair", "vl-convert-python", "ipywidgets", "ipykernel"),
    *("scikit-learn", "mpmath", "jupyterlab"),
)
README = """{title}: the notebooks of {folder}, with the book's library beside them, version {version}.
Once, with a network: python -m pip install -r requirements.txt   Then, without one: jupyter lab
Open a notebook in {folder}/ and run it from its first cell. Licences: LICENSE (code), LICENSE-TEXT (text).
"""  # noqa: E501


def archive_name(notebook: str) -> str:
    """The archive that holds a notebook, from the top of the site.

    >>> archive_name("chapters/adam/1_phenomenon"), archive_name("book/index")
    ('downloads/adam.zip', 'downloads/book.zip')
    """
    return f"downloads/{posixpath.basename(posixpath.dirname(notebook))}.zip"


def requirements() -> str:
    """What the notebooks need, at the locked versions: the library's dependencies, and NEEDED."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lock = (ROOT / "requirements.lock").read_text("utf-8")
    locked = dict(re.findall(r"^([\w.-]+)==([^\s;\\]+)", lock, re.MULTILINE))
    wishes = [re.split(r"[<>=]", wish)[0] for wish in project["dependencies"]]
    lines = [f"{name}=={locked[name]}" if name in locked else name for name in (*wishes, *NEEDED)]
    return "\n".join(lines) + "\n"


def downloadable(name: str, source: Path = ROOT) -> bytes:
    """A notebook as it is offered: once the site has an address, its first cell knows the wheel's.

    Arguments:
        name: such as ``chapters/adam/1_phenomenon``.
        source: the book's folder.
    """
    if str(HERE.parent) not in sys.path:
        sys.path.append(str(HERE.parent))
    tool = import_module("notebooks")
    stored = (source / f"{name}.ipynb").read_bytes()
    nb = nbformat.reads(stored.decode(), as_version=4)
    if not tool.library_address() or tool.setup_cell(nb) is None:
        return stored
    tool.put_setup_cell(nb, ROOT / f"{name}.ipynb")
    return bytes(tool.normalise(nb).encode())


def archive(notebooks: Iterable[str], version: str, source: Path = ROOT) -> dict[str, bytes]:
    """The files of one archive: the notebooks of one folder, and the library.

    Arguments:
        notebooks: names such as ``chapters/adam/1_phenomenon``, all of one folder.
        version: of the book.
        source: the book's folder.
    """
    names = sorted(notebooks)
    folder = posixpath.dirname(names[0])
    top = f"dynamics-of-learning-{posixpath.basename(folder)}"
    files = {f"{name}.ipynb": downloadable(name, source) for name in names}
    library = ROOT / "lib" / "optdyn"
    for path in library.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".tmp":
            inside = path.relative_to(library).as_posix()
            files[f"{folder}/optdyn/{inside}"] = path.read_bytes()
    for licence in ("LICENSE", "LICENSE-TEXT", "CITATION.cff"):
        files[licence] = (ROOT / licence).read_bytes()
    files["README.txt"] = README.format(title=TITLE, folder=folder, version=version).encode()
    files["requirements.txt"] = requirements().encode()
    return {f"{top}/{name}": files[name] for name in sorted(files)}


def pack(files: Mapping[str, bytes], path: Path) -> None:
    """Write an archive whole; equal files make equal bytes."""
    part = path.with_name(path.name + ".tmp")
    with zipfile.ZipFile(part, "w") as made:
        for name, content in files.items():
            about = zipfile.ZipInfo(name, DATE)
            about.external_attr = 0o100644 << 16
            about.create_system = 3
            about.compress_type = zipfile.ZIP_DEFLATED
            made.writestr(about, content, compresslevel=9)
    os.replace(part, path)


def archives(notebooks: Iterable[str], out: Path, version: str, source: Path = ROOT) -> list[Path]:
    """Write the archives of a site's notebooks into ``out``, and return their paths."""
    groups: dict[str, list[str]] = {}
    for name in sorted(notebooks):
        groups.setdefault(archive_name(name), []).append(name)
    made = []
    for name, members in groups.items():
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pack(archive(members, version, source), path)
        made.append(path)
    return made


# -- the build -------------------------------------------------------------------------


def configure(app: Any, config: Any) -> None:
    """Settle the site's address; let pages of an earlier build be written anew.

    They are dressed once they are written, all at a time, and Sphinx writes those that are missing.
    """
    try:
        config.html_baseurl = site_address(config.html_baseurl or "")
    except ValueError as problem:
        raise SphinxError(str(problem)) from None
    out = Path(app.outdir)
    if (out / "_headers").exists():
        for path in (*out.rglob("*.html"), *out.glob("cards/*"), *out.glob("downloads/*")):
            path.unlink()


def finish(app: Any, exception: Exception | None) -> None:
    """Dress the pages that were written, and write what goes beside them."""
    if exception or app.builder.name != "html":
        return
    out, site = Path(app.outdir), app.config.html_baseurl or ""
    paths = {p.relative_to(out).as_posix(): p for p in sorted(out.rglob("*.html"))}
    pages = {name: path.read_text("utf-8") for name, path in paths.items()}
    (out / SETTINGS).write_text(gather(pages), "utf-8", newline="\n")
    read = {name: Page(text) for name, text in pages.items() if "<article" in text}
    name_apart(read)
    described = descriptions(read)
    (out / "cards").mkdir(exist_ok=True)
    allowed: set[str] = set()
    for name, text in pages.items():
        if name in read:
            text = hasten(name, text)
            tags = card_tags(name, read[name], described[name], site)
            text = text.replace("</title>", f"</title>\n{tags}", 1)
            (out / card_name(name)).write_bytes(card(read[name]))
        try:
            paths[name].write_text(guard(text), "utf-8", newline="\n")
        except ValueError as problem:
            raise SphinxError(f"{name}: {problem}") from None
        allowed.update(inline_scripts(text))
    (out / "_headers").write_text(headers_file(allowed), "utf-8", newline="\n")
    (out / ".nojekyll").touch()  # GitHub Pages would drop the folders that begin with a line
    notebooks = [name for name in app.env.found_docs if app.env.doc2path(name).endswith(".ipynb")]
    version = str(app.config.html_context["optdyn_cite"]["version"])
    for name in notebooks:
        (out / "_sources" / f"{name}.ipynb").write_bytes(downloadable(name, Path(app.srcdir)))
    archives(notebooks, out, version, Path(app.srcdir))


def setup(app: Any) -> None:
    app.connect("config-inited", configure, priority=910)
    app.connect("build-finished", finish, priority=300)
