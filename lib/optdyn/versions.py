"""Whether the packages that are installed are ones that the book is made for.

The first cell of every notebook calls :func:`check`. The bounds are those of pyproject.toml, and
none is newer than what a hosted notebook has: its JAX never has to be replaced.
"""

import re
from importlib import metadata

OLDEST = {
    "jax": "0.7.2",
    "numpy": "2.0",
    "scipy": "1.13",
    "optax": "0.2.8",
    "altair": "5.5",
    "ipywidgets": "7.7.1",
}


def _numbers(version: str) -> list[int]:
    """The numbers at the head of a version, without zeros at the end: 2.0.0rc1 is [2]."""
    head = re.match(r"\d+(\.\d+)*", version)
    numbers = [int(part) for part in head[0].split(".")] if head else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return numbers


def complaints() -> list[str]:
    """A sentence for each package that is missing or older than the book supports, else nothing.

    >>> complaints()
    []
    """
    said = []
    for name, oldest in OLDEST.items():
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            version = ""
        if _numbers(version) < _numbers(oldest):
            said.append(
                f"{name} is {version or 'missing'}, and the book needs {oldest} or later: run "
                f'%pip install "{name}>={oldest}", then restart the kernel.'
            )
    return said


def check() -> None:
    """Print :func:`complaints`."""
    for sentence in complaints():
        print(sentence)
