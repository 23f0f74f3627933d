"""Renew the third-party files of book/vendored, or check them by their hashes.

    python book/vendor.py            fetch, write, print the hashes
    python book/vendor.py --check    compare the files with their recorded hashes

The site serves every script and font itself. What it serves is fixed here: a package,
its version, the files taken from it. Fetching needs npm and vl-convert-python.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

VENDORED = Path(__file__).resolve().parent / "vendored"

MATHJAX = "3.2.2"
SOURCE_SERIF = "5.3.1"
VL_CONVERT = "1.9.0.post1"
VEGA_LITE = "6.4"  # the line vl-convert bundles; the exact versions are in VEGA
VEGA = {
    "vega": "6.2.0",
    "vega-lite": "6.4.1",
    "vega-embed": "7.0.2",
    "lodash.debounce": "4.0.8",
}

# loaded by MathJax when a formula asks for them
MATHJAX_EXTENSIONS = ("boldsymbol", "braket", "cancel", "cases", "color", "enclose")
FONTS = [
    (script, style) for script in ("latin", "latin-ext", "greek") for style in ("normal", "italic")
]
# packages that npm installs with Vega and that are not part of what a browser runs
NOT_BUNDLED = [
    "ansi-regex",
    "ansi-styles",
    "cliui",
    "commander",
    "emoji-regex",
    "escalade",
    "get-caller-file",
    "get-east-asian-width",
    "iconv-lite",
    "rw",
    "safer-buffer",
    "string-width",
    "strip-ansi",
    "vega-typings",
    "wrap-ansi",
    "y18n",
    "yargs",
    "yargs-parser",
]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def run(*command: str, cwd: Path) -> str:
    return subprocess.run(command, cwd=cwd, check=True, text=True, stdout=subprocess.PIPE).stdout


def npm_package(name: str, number: str, work: Path) -> Path:
    """Unpack one npm package below `work` and return its folder."""
    folder = work / name.replace("/", "_")
    folder.mkdir()
    archive = (
        run("npm", "pack", "--silent", f"{name}@{number}", cwd=folder).strip().splitlines()[-1]
    )
    shutil.unpack_archive(folder / archive, folder)
    return folder / "package"


def mathjax(work: Path, out: Path) -> None:
    package = npm_package("mathjax", MATHJAX, work)
    target = out / "mathjax"
    fonts = Path("output/chtml/fonts/woff-v2")
    (target / fonts).mkdir(parents=True)
    shutil.copy(package / "es5/tex-chtml.js", target)
    for font in sorted((package / "es5" / fonts).glob("*.woff")):
        shutil.copy(font, target / fonts)
    (target / "input/tex/extensions").mkdir(parents=True)
    for name in MATHJAX_EXTENSIONS:
        shutil.copy(
            package / f"es5/input/tex/extensions/{name}.js",
            target / "input/tex/extensions",
        )
    shutil.copy(package / "LICENSE", target / "LICENSE")


def fonts(work: Path, out: Path) -> None:
    package = npm_package("@fontsource-variable/source-serif-4", SOURCE_SERIF, work)
    target = out / "fonts"
    target.mkdir()
    for script, style in FONTS:
        source = package / "files" / f"source-serif-4-{script}-wght-{style}.woff2"
        shutil.copy(source, target / f"source-serif-4-{script}-{style}.woff2")
    shutil.copy(package / "LICENSE", target / "LICENSE")


def vega(work: Path, out: Path) -> None:
    import vl_convert

    if (installed := version("vl-convert-python")) != VL_CONVERT:
        sys.exit(
            f"vendor.py: vl-convert-python {VL_CONVERT} is wanted and {installed} is "
            "installed. Install the one or write the other into this file."
        )
    target = out / "vega"
    target.mkdir()
    snippet = "window.vegaEmbed=vegaEmbed;window.vega=vega;window.vegaLite=vegaLite;"
    body = vl_convert.javascript_bundle(snippet, vl_version=VEGA_LITE)
    versions = ", ".join(f"{name} {number}" for name, number in VEGA.items())
    # the bundle declares top-level names such as `n` and `t`: a function keeps them in
    notice = f"/* {versions}; licences in LICENSE beside this file */"
    text = f"{notice}\n(function(){{\n{body}\n}})();\n"
    (target / "vega-bundle.js").write_text(text, encoding="utf8", newline="\n")
    licences = vega_licences(work / "licences")
    (target / "LICENSE").write_text(licences, encoding="utf8", newline="\n")


def vega_licences(folder: Path) -> str:
    """The licences of all packages in the bundle; a text they share comes once."""
    folder.mkdir()
    (folder / "package.json").write_text("{}")
    packages = [f"{name}@{number}" for name, number in VEGA.items()]
    options = ["--silent", "--no-audit", "--no-fund", "--ignore-scripts"]
    run("npm", "install", *options, *packages, cwd=folder)
    titles: dict[str, list[str]] = {}
    for manifest in sorted((folder / "node_modules").glob("*/package.json")):
        about = json.loads(manifest.read_text("utf8"))
        if about["name"] in NOT_BUNDLED:
            continue
        files = sorted(manifest.parent.glob("[Ll][Ii][Cc][Ee][Nn][CSEcse]*"))
        if not files:
            sys.exit(f"vendor.py: {about['name']} ships no licence text")
        title = f"{about['name']} {about['version']} ({about['license']})"
        titles.setdefault(files[0].read_text("utf8").strip(), []).append(title)
    head = "vega-bundle.js holds these packages, each under the licence printed below it."
    blocks = [", ".join(names) + "\n\n" + text for text, names in titles.items()]
    return ("\n\n" + "-" * 80 + "\n\n").join([head, *blocks]) + "\n"


README = """# Third-party files

The site serves these itself; no page asks another host for anything. Written by
`python book/vendor.py`, which fetches the packages again; with `--check` it compares
the files with this table, and so does a test. Nothing here is edited by hand.

| file | origin | licence | SHA-256 |
|---|---|---|---|"""


def readme(out: Path) -> str:
    origin = {
        "mathjax": (f"npm `mathjax` {MATHJAX}", "Apache-2.0"),
        "fonts": (
            f"npm `@fontsource-variable/source-serif-4` {SOURCE_SERIF}",
            "OFL-1.1",
        ),
        "vega": (
            f"PyPI `vl-convert-python` {VL_CONVERT}, its bundle of "
            + ", ".join(f"{n} {v}" for n, v in VEGA.items()),
            "BSD-3-Clause, ISC, MIT",
        ),
    }
    lines = [README]
    for path in sorted(p for p in out.rglob("*") if p.is_file() and p.name != "README.md"):
        name = path.relative_to(out)
        source, licence = origin[name.parts[0]]
        lines.append(f"| `{name.as_posix()}` | {source} | {licence} | `{digest(path)}` |")
    return "\n".join(lines) + "\n"


def recorded(folder: Path = VENDORED) -> dict[str, str]:
    """The hashes that README.md records, by file name."""
    rows = (
        line.split("|")
        for line in (folder / "README.md").read_text("utf8").splitlines()
        if line.startswith("| `")
    )
    return {row[1].strip(" `"): row[4].strip(" `") for row in rows}


def differences(folder: Path = VENDORED) -> list[str]:
    """What differs between the files and the record, one sentence each."""
    known = recorded(folder)
    found = {
        p.relative_to(folder).as_posix(): p
        for p in folder.rglob("*")
        if p.is_file() and p != folder / "README.md"
    }
    missing = [f"{name} is recorded and not there" for name in sorted(known.keys() - found.keys())]
    extra = [f"{name} is there and not recorded" for name in sorted(found.keys() - known.keys())]
    changed = [
        f"{name} differs from its recorded hash"
        for name in sorted(known.keys() & found.keys())
        if digest(found[name]) != known[name]
    ]
    return missing + extra + changed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare only; fetch nothing")
    if not parser.parse_args().check:
        with tempfile.TemporaryDirectory() as name:
            work, out = Path(name) / "work", Path(name) / "vendored"
            work.mkdir()
            out.mkdir()
            for part in (mathjax, fonts, vega):
                part(work, out)
            (out / "README.md").write_text(readme(out), encoding="utf8", newline="\n")
            shutil.rmtree(VENDORED, ignore_errors=True)
            shutil.copytree(out, VENDORED)
        for file, value in recorded().items():
            print(value, file)
    if problems := differences():
        sys.exit("\n".join(problems))


if __name__ == "__main__":
    main()
