"""The checkpoint of a sweep: one file, read whole, replaced whole or not at all.

It is a NumPy .npz file: a header in JSON (the format, how many points are done, what made them) and
the results of these points, one array for each leaf of what fn returns. While it is written, it is
a hidden file beside its place that is locked; a run killed meanwhile leaves that file unlocked, and
the next run removes it.
"""

import errno
import hashlib
import json
import os
import re
import secrets
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

try:
    import fcntl
except ImportError:  # not on Windows, where a file in use cannot be removed anyway
    fcntl = None  # type: ignore[assignment]

FORMAT = "optdyn.sweep 2"


def digest(text: str, *arrays: Any) -> str:
    """A fingerprint of a text and of arrays, their types and shapes among it.

    >>> digest("a", np.ones(2)) == digest("a", np.ones((2, 1)))
    False
    """
    hashed = hashlib.sha256(text.encode())
    for x in arrays:
        hashed.update(f"{x.dtype} {x.shape}".encode())
        hashed.update(np.ascontiguousarray(x).reshape(-1).view(np.uint8).data)
    return hashed.hexdigest()


def resolve(checkpoint: Any) -> Path:
    """`checkpoint` as the path of a file that may be there or not.

    Raises: TypeError if it is no path.

    >>> resolve("search.npz").name
    'search.npz'
    """
    try:
        return Path(checkpoint)
    except TypeError:
        raise TypeError(
            f"checkpoint: got {checkpoint!r}, a path is needed; pass a text such as 'search.npz'."
        ) from None


def check_place(path: Path) -> None:
    """Raises: OSError if a folder is there, or no folder to put the file in.

    >>> check_place(Path("search.npz"))
    """
    if path.is_dir():
        raise IsADirectoryError(
            errno.EISDIR, f"checkpoint: {path} is a folder, a file is needed; add a file's name"
        )
    if not path.parent.is_dir():
        raise FileNotFoundError(
            errno.ENOENT, f"checkpoint: there is no folder {path.parent}; make it first"
        )


def _raw(x: Any) -> Any:
    """Types that a .npz file does not know (bfloat16 and the like) as unsigned integers."""
    return x.view(f"u{x.dtype.itemsize}") if x.dtype.kind == "V" else x


def read(path: Path, made_by: dict[str, str], kept: list[Any]) -> int:
    """Read the checkpoint, if there is one, into `kept`; how many points are done.

    Args: path; made_by, the settings by name, which those in the file must equal; kept, arrays with
        room for all points.
    Raises: ValueError if the file is damaged or of another sweep; OSError if it cannot be read.

    >>> read(Path("not there.npz"), {}, [])
    0
    """
    try:
        with open(path, "rb") as opened, np.load(opened) as file:
            header = json.loads(str(file["header"]))
            done, theirs = int(header["done"]), header["made_by"]
            if header["format"] == FORMAT:
                differ = [name for name in made_by if made_by[name] != theirs[name]]
            elif header["format"].startswith(FORMAT[:-1]):
                differ = ["format"]
                made_by, theirs = {"format": FORMAT}, {"format": header["format"]}
            else:
                raise ValueError(f"its format is {header['format']}")
            for i, into in enumerate([] if differ else kept):
                x, into = file[f"result_{i}"], _raw(into[:done])
                if (x.shape, x.dtype) != (into.shape, into.dtype):
                    raise ValueError(f"result {i} has shape {x.shape} and type {x.dtype}")
                into[...] = x
    except FileNotFoundError:
        return 0
    except PermissionError:
        raise
    except Exception as problem:  # what a damaged file raises depends on where it is damaged
        raise ValueError(
            f"checkpoint: {path} is damaged or is no checkpoint of a sweep; "
            f"delete the file or give another path."
        ) from problem
    if differ:
        digests = {
            "points": "the points differ",
            "fn": "fn differs (its operations or the constants in it)",
        }
        # Of another precision, say, fn is another program as well: no need to name it.
        says = [
            digests.get(name, f"{name} was {theirs[name]} and is {made_by[name]}")
            for name in differ
            if name != "fn" or differ == ["fn"]
        ]
        raise ValueError(
            f"checkpoint: {path} is of another sweep: {', '.join(says)}; "
            f"delete the file or give another path."
        )
    return done


def write(path: Path, made_by: dict[str, str], kept: list[Any], done: int) -> None:
    """Replace the checkpoint by one with the first `done` results, whole or not at all.

    Args: as `read`, and done, how many points are done.
    Raises: OSError if it cannot be written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write(Path(folder, "a.npz"), {"lanes": "4"}, [np.arange(3.0)], 2)
    ...     read(Path(folder, "a.npz"), {"lanes": "4"}, [np.zeros(3)])
    2
    """
    header = json.dumps({"format": FORMAT, "done": done, "made_by": made_by})
    arrays = {"header": np.array(header)}
    arrays |= {f"result_{i}": _raw(x[:done]) for i, x in enumerate(kept)}
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(new, "xb") as file:
            if fcntl is not None:
                with suppress(OSError):  # a file system without locks
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with zipfile.ZipFile(file, "w") as archive:
                for name, x in arrays.items():
                    with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                        np.lib.format.write_array(member, x, allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, path)
    except BaseException as problem:
        with suppress(OSError):
            new.unlink()
        if not isinstance(problem, OSError):
            raise
        raise OSError(
            problem.errno,
            f"checkpoint: cannot write {path} ({problem.strerror or problem}); the file there, if "
            f"any, is as it was; make room or give a path in a folder that may be written to",
        ) from problem


def remove_leftovers(path: Path) -> None:
    """Remove what runs killed while they wrote have left; runs still going hold a lock.

    >>> remove_leftovers(Path("search.npz"))
    """
    ours = re.compile(re.escape(f".{path.name}.") + r"[0-9a-f]{8}\.tmp")
    for old in path.parent.iterdir():
        if ours.fullmatch(old.name):
            with suppress(OSError):
                if fcntl is not None:
                    with open(old, "rb") as file:
                        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                old.unlink()
