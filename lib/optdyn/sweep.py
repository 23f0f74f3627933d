"""A pure function at many points: in chunks, with a progress bar, a checkpoint, and resumption.

`sweep` is `jax.vmap` for computations too large or too long for one call. One program is compiled
for all chunks. The checkpoint is one file, replaced whole or not at all, so that a run may be
killed at any moment; the same call then goes on from it, to bit-identical results.
"""

import errno
import hashlib
import inspect
import json
import os
import re
import secrets
import time
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from optdyn import arguments, charts

try:
    import fcntl
except ImportError:  # not on Windows, where a file in use cannot be removed anyway
    fcntl = None  # type: ignore[assignment]

FORMAT = "optdyn.sweep 1"
BAR_AFTER = 5.0  # seconds that a run takes before it shows a bar
WRITE_EVERY = 1.0  # seconds from one write of the checkpoint to the next, and at least
WRITE_TIMES = 20.0  # times as long as the last one took
_clock = time.monotonic


def grid(**axes: ArrayLike) -> dict[str, Any]:
    """The points of a product of axes, to be given to `sweep`.

    {(a_i, b_j, ...)}: the last axis varies fastest, so that `result.reshape(len(a), len(b), ...)`
    is the table of results.

    Args:
        axes: by name, arrays with the values along their first axis, or arrays of PRNG keys.

    Returns: by name, arrays whose first axis has as many entries as the product has points.
    Raises: TypeError or ValueError naming the axis.
    Source: none; a definition.

    >>> grid(step_size=[1.0, 2.0], seed=[0, 1])["step_size"].tolist()
    [1.0, 1.0, 2.0, 2.0]
    """
    if not axes:
        raise ValueError(
            "axes: got none, at least one is needed; write grid(step_size=[1.0, 2.0])."
        )
    values = {name: _values(name, axis) for name, axis in axes.items()}
    places = np.indices([len(axis) for axis in values.values()]).reshape(len(values), -1)
    return {name: axis[i] for (name, axis), i in zip(values.items(), places, strict=True)}


def sweep(
    fn: Callable[..., Any],
    points: Any,
    *,
    chunk_size: int,
    checkpoint: str | os.PathLike[str] | None = None,
    title: str = "",
) -> Any:
    """A function at many points, chunk by chunk; what is done is kept in a checkpoint.

    result[i] = fn(points[i]), i = 0 .. N - 1, as `jax.vmap` computes it.

    Args:
        fn: a pure function of one point that JAX can trace; returns an array or a pytree of them.
        points: a dict of arrays, each with the points along its first axis, N long: fn is called by
            keyword, `fn(**point)`. Or another pytree of such arrays, or one array: `fn(point)`.
            Arrays of PRNG keys (jax.random.key) are allowed; split the key before.
        chunk_size: points computed at once; memory and speed, hardly the results, depend on it.
        checkpoint: path of a file, conventionally .npz, that keeps the results so far; None: none.
            It is written before the first chunk, then about every second, and holds all results at
            the end, when the same call returns them without computing.
        title: text in front of the progress bar, which standard output shows once the run has
            taken five seconds, and never while the book is made (OPTDYN_BOOK=1).

    Returns: what fn returns, as NumPy arrays with a first axis of length N.
    Raises: TypeError or ValueError naming the argument; ValueError if the checkpoint is damaged or
        belongs to another fn, other points, another chunk_size, precision, platform or JAX, or fn
        calls back to Python, which a checkpoint cannot tell; OSError if it cannot be written.
    Source: none; a definition.

    >>> sweep(lambda a, b: a + b, grid(a=[0, 10], b=[1, 2, 3]), chunk_size=4).tolist()
    [1, 2, 3, 11, 12, 13]
    """
    if not callable(fn):
        raise TypeError(f"fn: got {fn!r}, a function of one point is needed; pass it uncalled.")
    chunk_size = arguments.count("chunk_size", chunk_size)
    if not isinstance(title, str):
        raise TypeError(f"title: got {title!r}, a text is needed; leave it out for none.")
    path = None if checkpoint is None else _path(checkpoint)
    names, leaves, tree = _points(points)
    _check_call(fn, points)
    data, keys = zip(*map(_bare, leaves), strict=True)
    n = len(data[0])
    size = min(chunk_size, n)

    def chunk(data: tuple[jax.Array, ...]) -> Any:
        given = [
            x if impl is None else jax.random.wrap_key_data(x, impl=impl)
            for x, impl in zip(data, keys, strict=True)
        ]
        return jax.vmap(lambda *leaves: _call(fn, tree.unflatten(leaves)))(*given)

    def rows(first: int) -> tuple[Any, ...]:  # the last chunk is filled up with the last point
        index = np.minimum(np.arange(first, first + size), n - 1)
        return tuple(x[index] for x in data)

    lowered = jax.jit(chunk).lower(rows(0))
    result_tree: Any = jax.tree.structure(lowered.out_info)
    kept = [np.empty((n, *x.shape[1:]), x.dtype) for x in jax.tree.leaves(lowered.out_info)]
    done, made_by = 0, {}
    if path is not None:
        text = lowered.as_text()
        if "callback" in text:  # of which Python function is not in the text
            raise ValueError(
                "fn: calls back to Python (jax.pure_callback, jax.debug.print or the like), and a "
                "checkpoint cannot tell whether that function is still the same; compute in JAX "
                "alone or leave checkpoint out."
            )
        made_by = {
            "chunk_size": str(chunk_size),
            "JAX": jax.__version__,
            "precision": str(jnp.result_type(float)),
            "platform": str(next(iter(jnp.zeros(()).devices())).platform),
            "points": _digest(repr((names, keys)), *data),
            "fn": _digest(text + str(result_tree)),
        }
        done = _read(path, made_by, kept)
        _remove_leftovers(path)
        if done == 0:  # that it cannot be written is found out before, not after, the first chunk
            _write(path, made_by, kept, 0)
    if done == n:
        return result_tree.unflatten(kept)

    run = lowered.compile()
    show = _progress(title, done, n)
    written, due = done, _clock() + WRITE_EVERY
    try:
        while done < n:
            last = min(done + size, n)
            for into, x in zip(kept, jax.tree.leaves(run(rows(done))), strict=True):
                into[done:last] = np.asarray(x)[: last - done]
            done = last
            show(done)
            began = _clock()
            if path is not None and (began >= due or done == n):
                _write(path, made_by, kept, done)
                written, now = done, _clock()
                due = now + max(WRITE_EVERY, WRITE_TIMES * (now - began))
    except KeyboardInterrupt:
        how = "give checkpoint=PATH to keep what is done"
        if path is not None:
            if done > written:
                _write(path, made_by, kept, done)
            how = f"they are kept in {path}: the same call goes on from there"
        print(f"\nInterrupted after {done} of {n} points; {how}.", flush=True)
        raise
    return result_tree.unflatten(kept)


def _call(fn: Callable[..., Any], point: Any) -> Any:
    """fn of one point; what it returns must be arrays."""
    result = fn(**point) if isinstance(point, dict) else fn(point)
    leaves = jax.tree_util.tree_flatten_with_path(result)[0]
    needed = "an array or a pytree of arrays is needed"
    if not leaves:
        raise TypeError(f"fn: returned {result!r}, {needed}; end it with a return statement.")
    for at, leaf in leaves:
        where = f" at result{jax.tree_util.keystr(at)}" if at else ""
        if not isinstance(leaf, jax.Array | np.ndarray | np.generic | bool | int | float | complex):
            raise TypeError(f"fn: returned {leaf!r}{where}, {needed}; leave out what is no number.")
        if _is_key(leaf):
            raise TypeError(
                f"fn: returned PRNG keys{where}, numbers are needed; "
                f"return jax.random.key_data(key) instead."
            )
    return result


def _is_key(value: Any) -> bool:
    return isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key)


def _bare(leaf: Any) -> tuple[Any, Any]:
    """A leaf as a NumPy array, and for PRNG keys how to wrap it again."""
    if _is_key(leaf):
        return np.asarray(jax.random.key_data(leaf)), jax.random.key_impl(leaf)
    return leaf, None


def _values(name: str, value: Any) -> Any:
    """`value` as an array with at least one row, in a type that JAX computes with."""
    if not _is_key(value):
        array = arguments.real(name, value, finite=False)
        arguments.not_traced(**{name: array})
        with np.errstate(over="ignore"):
            value = array.astype(jax.dtypes.canonicalize_dtype(array.dtype))
        if array.dtype.kind in "iu" and (value != array).any():
            raise ValueError(
                f"{name}: got {array[value != array][0]}, which does not fit {value.dtype}; "
                f"set jax_enable_x64 or use smaller numbers."
            )
    arguments.not_traced(**{name: value})
    if value.ndim == 0:
        raise TypeError(
            f"{name}: got one {value.dtype} value, an array with the points along its first axis "
            f"is needed; turn lists into arrays with numpy.asarray."
        )
    if value.size == 0:
        raise ValueError(f"{name}: got shape {value.shape}, at least one value is needed.")
    return value


def _points(points: Any) -> tuple[list[str], list[Any], Any]:
    """The names and the arrays in `points`, and how to put them together again."""
    found, tree = jax.tree_util.tree_flatten_with_path(points)
    names = ["points" + jax.tree_util.keystr(at) for at, _ in found]
    if not names:
        raise ValueError(f"points: got {points!r}, at least one array is needed; see grid.")
    leaves = [_values(name, leaf) for name, (_, leaf) in zip(names, found, strict=True)]
    for name, leaf in zip(names, leaves, strict=True):
        if len(leaf) != len(leaves[0]):
            raise ValueError(
                f"{name}: got {len(leaf)} points, but {names[0]} has {len(leaves[0])}; "
                f"all need the same number, grid(...) makes all combinations."
            )
    return names, leaves, tree


def _check_call(fn: Callable[..., Any], points: Any) -> None:
    """That `fn` can be called as `sweep` will call it."""
    with suppress(ValueError):  # some built-in functions do not tell
        signature = inspect.signature(fn)
        try:
            signature.bind(**points) if isinstance(points, dict) else signature.bind(points)
        except TypeError as problem:
            how = f"by keyword, fn({', '.join(f'{k}=' for k in points)})"
            raise TypeError(
                f"fn: takes {signature}, but is called "
                f"{how if isinstance(points, dict) else 'fn(point)'}: {problem}; give the "
                f"arguments the names in points, or close over what is the same at all points."
            ) from None


def _progress(title: str, start: int, total: int) -> Callable[[int], None]:
    """A function of the points done that shows a line on standard output once it is time."""
    began, shown = _clock(), -np.inf

    def show(done: int) -> None:
        nonlocal shown
        now = _clock()
        hurry = now - shown < 0.2 and done < total
        if now - began <= BAR_AFTER or hurry or charts.in_book():
            return
        shown = now
        left = (now - began) / (done - start) * (total - done)
        units = [(left, "s"), (left / 60, "min"), (left / 3600, "h")]
        number, unit = next((x for x in units if x[0] < 100), units[-1])
        line = f"{title + ': ' if title else ''}[{'#' * (20 * done // total):<20}] {done}/{total}"
        line += f" points, {100 * done // total} %, {number:.0f} {unit} left"
        print(f"\r{line:<79}", end="\n" if done == total else "", flush=True)

    return show


def _digest(text: str, *arrays: Any) -> str:
    hashed = hashlib.sha256(text.encode())
    for x in arrays:
        hashed.update(f"{x.dtype} {x.shape}".encode())
        hashed.update(np.ascontiguousarray(x).reshape(-1).view(np.uint8).data)
    return hashed.hexdigest()


def _path(checkpoint: Any) -> Path:
    try:
        path = Path(checkpoint)
    except TypeError:
        raise TypeError(
            f"checkpoint: got {checkpoint!r}, a path is needed; pass a text such as 'search.npz'."
        ) from None
    if path.is_dir():
        raise IsADirectoryError(
            errno.EISDIR, f"checkpoint: {path} is a folder, a file is needed; add a file's name"
        )
    if not path.parent.is_dir():
        raise FileNotFoundError(
            errno.ENOENT, f"checkpoint: there is no folder {path.parent}; make it first"
        )
    return path


def _raw(x: Any) -> Any:
    """Types that a .npz file does not know (bfloat16 and the like) as unsigned integers."""
    return x.view(f"u{x.dtype.itemsize}") if x.dtype.kind == "V" else x


def _read(path: Path, made_by: dict[str, str], kept: list[Any]) -> int:
    """Read the checkpoint, if there is one, into `kept`; how many points are done."""
    try:
        with open(path, "rb") as opened, np.load(opened) as file:
            header = json.loads(str(file["header"]))
            if header["format"] != FORMAT:
                raise ValueError(f"its format is {header['format']}")
            done, theirs = int(header["done"]), header["made_by"]
            differ = [name for name in made_by if made_by[name] != theirs[name]]
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


def _write(path: Path, made_by: dict[str, str], kept: list[Any], done: int) -> None:
    """Replace the checkpoint by one with the first `done` results, whole or not at all."""
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


def _remove_leftovers(path: Path) -> None:
    """Remove what runs killed while they wrote have left; runs still going hold a lock."""
    ours = re.compile(re.escape(f".{path.name}.") + r"[0-9a-f]{8}\.tmp")
    for old in path.parent.iterdir():
        if ours.fullmatch(old.name):
            with suppress(OSError):
                if fcntl is not None:
                    with open(old, "rb") as file:
                        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                old.unlink()
