"""The pages of solutions, and how a course leaves them out: optdyn_solutions in _config.yml.

While it is false, no chapters/<topic>/solutions.ipynb is built or listed, nor a page for teachers,
which has the answers to polls and questions, and every line of text that links to one is left out
of its page. So let such a link stand on a line of its own. bookapi leaves out the sources of the
exercises' checks and of the questions.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from sphinx.errors import SphinxError

SOLUTIONS = re.compile(r"(?:.*/)?solutions(?:\.ipynb)?|book/teaching/.*")
LINK = re.compile(r"\bsolutions\.ipynb\b|\bteaching/\w+\.md\b")


def read_setting(app, config):
    if config.optdyn_solutions is None:
        config.optdyn_solutions = True
    if not isinstance(config.optdyn_solutions, bool):
        raise SphinxError(f"optdyn_solutions is {config.optdyn_solutions!r}: write true or false")


def leave_out(app, config):
    """Take the pages out of the table of contents and out of the build."""
    if config.optdyn_solutions:
        return
    pages = config.external_site_map
    gone = [name for name in pages if SOLUTIONS.fullmatch(name)]
    for page in pages.values():
        for tree in page.subtrees:
            tree.items = [item for item in tree.items if item not in gone]
        page.subtrees = [tree for tree in page.subtrees if tree.items]
    for name in gone:
        del pages[name]
    config["exclude_patterns"] = [
        *config["exclude_patterns"],
        "**/solutions.ipynb",
        "book/teaching/*",
    ]


def unlink(app, name, source):
    """Leave out the lines of a page that link to solutions."""
    if app.config.optdyn_solutions or not LINK.search(source[0]):
        return
    if Path(app.env.doc2path(name)).suffix == ".ipynb":
        notebook = json.loads(source[0])
        for cell in notebook["cells"]:
            if cell["cell_type"] == "markdown":
                cell["source"] = without_links("".join(cell["source"]))
        source[0] = json.dumps(notebook)
    else:
        source[0] = without_links(source[0])


def without_links(text: str) -> str:
    return "".join(line for line in text.splitlines(True) if not LINK.search(line))


def remove_leftovers(app, exception):
    """Remove the pages that an earlier build may have left."""
    if app.config.optdyn_solutions:
        return
    out = Path(app.outdir)
    for path in [*out.rglob("solutions.*"), *out.glob("**/teaching/*")]:
        path.unlink()


def setup(app):
    # no default, since Sphinx makes True of any text where the default is a truth value
    app.add_config_value("optdyn_solutions", None, "env")
    app.connect("config-inited", read_setting, priority=100)
    app.connect("config-inited", leave_out, priority=950)  # the contents are read at 900
    app.connect("source-read", unlink)
    app.connect("build-finished", remove_leftovers, priority=50)
