"""A pure function at many points: on all devices, in chunks, with a checkpoint and resumption.

`sweep` is `jax.vmap` for computations too large or too long for one call or one device. The points
are cut into blocks of a fixed number of lanes, and one program, compiled once, computes a block at
a time on each device. Chunks, memory, devices and hosts change only how many blocks run at once, so
the results are bit-identical however the sweep is cut, on the same kind of device with the same
JAX. The checkpoint is one file, replaced whole or not at all: a run may be killed at any moment,
and the same call then goes on from it, on whatever devices there are.
"""

import inspect
import math
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.typing import ArrayLike

from optdyn import arguments, charts, hosts
from optdyn import checkpoint as files

Shape: Any = jax.ShapeDtypeStruct

BAR_AFTER = 5.0  # seconds that a run takes before it shows a bar
WRITE_EVERY = 1.0  # seconds from one write of the checkpoint to the next, and at least
WRITE_TIMES = 20.0  # times as long as the last one took
LOOK_EVERY = 2.0  # seconds of a chunk whose size is not given
MEMORY = 2**30  # bytes of a chunk on a device, if it does not say what is free, and at most
LANES = 256, 2**14  # of the default, the fewest (if there are as many points) and the most
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


class _Job(NamedTuple):
    """What is to be computed: the same whatever computes it."""

    block: Callable[..., list[Any]]  # of lanes points, their leaves, to the leaves of the results
    data: tuple[Any, ...]  # the leaves of the points, NumPy arrays (n, ...)
    results: list[Any]  # the shapes (lanes, ...) and types of the leaves of a block's results
    lanes: int
    n: int  # points

    @property
    def blocks(self) -> int:
        return _up(self.n, self.lanes)


def sweep(
    fn: Callable[..., Any],
    points: Any,
    *,
    lanes: int | None = None,
    chunk_size: int | None = None,
    memory: int | None = None,
    devices: Sequence[Any] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    title: str = "",
) -> Any:
    """A function at many points, on all devices; what is done is kept in a checkpoint.

    result[i] = fn(points[i]), i = 0 .. N - 1, as `jax.vmap` computes it.

    Args:
        fn: a pure function of one point that JAX can trace; returns an array or a pytree of them.
        points: a dict of arrays, each with the points along its first axis, N long: fn is called by
            keyword, `fn(**point)`. Or another pytree of such arrays, or one array: `fn(point)`.
            Arrays of PRNG keys (jax.random.key) are allowed; split the key before.
        lanes: points of a block, which one program computes together; the last block is filled up.
            The last bits of the results may depend on it, and speed does: a device runs one block
            at a time, so lanes=1 is one point after another on each device. The default is a power
            of two near N / 16, from 256 (or N, if there are fewer points) to 16384: many blocks for
            many devices, each large enough to hide what a call costs and small enough for a
            cache. A large GPU and a small fn like more, 2**14 to 2**17; a large fn, fewer.
        chunk_size: about how many points are computed between two looks at the host, on all devices
            together; rounded up to whole blocks on every device. By default as many as
            `memory` has room for, but not much longer than two seconds. No bit depends on it.
        memory: instead, bytes that a chunk may take on a device: points, results, and what the
            compiled program says it needs beside them. Default: half of what is free where the
            device knows, at most 1 GiB. No bit depends on it, and one block always runs.
        devices: where to compute; default jax.devices(), under jax.distributed those of all
            processes. Each process must make the same call, and gets all results. No bit depends
            on their number.
        checkpoint: path of a file, conventionally .npz, that keeps the results so far; None: none.
            It is written before the first chunk, then after a chunk about every second, and
            holds all results at the end, when the same call returns them without computing. Only
            the first process reads and writes it: the file system need not be shared.
        title: text in front of the progress bar, which standard output shows once the run has
            taken five seconds, and never while the book is made (OPTDYN_BOOK=1).

    Where a device is out of memory, half as many blocks run at once, and a line says so.

    Returns: what fn returns, as NumPy arrays with a first axis of length N.
    Raises: TypeError or ValueError naming the argument; ValueError if the checkpoint is damaged or
        belongs to another fn, other points, lanes, precision, platform or JAX, or fn calls back to
        Python, which a checkpoint cannot tell; OSError if it cannot be written; MemoryError if one
        block does not fit. All processes raise the same.
    Source: none; a definition.

    >>> sweep(lambda a, b: a + b, grid(a=[0, 10], b=[1, 2, 3])).tolist()
    [1, 2, 3, 11, 12, 13]
    """
    if not callable(fn):
        raise TypeError(f"fn: got {fn!r}, a function of one point is needed; pass it uncalled.")
    if not isinstance(title, str):
        raise TypeError(f"title: got {title!r}, a text is needed; leave it out for none.")
    if chunk_size is not None and memory is not None:
        raise ValueError(
            f"memory: got {memory!r}, and chunk_size={chunk_size!r} as well, only one is allowed; "
            f"leave one out, the results are the same."
        )
    chunk_size = None if chunk_size is None else arguments.count("chunk_size", chunk_size)
    memory = None if memory is None else arguments.count("memory", memory, most=2**62)
    lanes = None if lanes is None else arguments.count("lanes", lanes)
    path = None if checkpoint is None else files.resolve(checkpoint)
    team = hosts.team(devices)
    names, leaves, tree = _points(points)
    _check_call(fn, points)
    data, keys = zip(*map(_bare, leaves), strict=True)
    n = len(data[0])
    lanes = _default_lanes(n) if lanes is None else lanes

    def block(*data: jax.Array) -> Any:
        given = [
            x if impl is None else jax.random.wrap_key_data(x, impl=impl)
            for x, impl in zip(data, keys, strict=True)
        ]
        return jax.vmap(lambda *leaves: _call(fn, tree.unflatten(leaves)))(*given)

    shapes = [Shape((lanes, *x.shape[1:]), x.dtype) for x in data]
    traced = jax.jit(block).trace(*shapes)
    result_tree: Any
    results, result_tree = jax.tree.flatten(traced.out_info)
    kept = [np.empty((n, *x.shape[1:]), x.dtype) for x in results]
    job = _Job(jax.extend.core.jaxpr_as_fun(traced.jaxpr), data, results, lanes, n)
    made_by = {
        "lanes": str(lanes),
        "JAX": jax.__version__,
        "precision": str(jnp.result_type(float)),
        "platform": str(team.devices[0].platform),
        "points": files.digest(repr((names, keys)), *data),
    }
    if path is not None:
        text = traced.lower(lowering_platforms=(made_by["platform"],)).as_text()
        if "callback" in text:  # of which Python function is not in the text
            raise ValueError(
                "fn: calls back to Python (jax.pure_callback, jax.debug.print or the like), and a "
                "checkpoint cannot tell whether that function is still the same; compute in JAX "
                "alone or leave checkpoint out."
            )
        made_by["fn"] = files.digest(text + str(result_tree))

    def begin() -> tuple[dict[str, int], Any]:
        done = 0
        if path is not None and team.leads:
            files.check_place(path)
            done = files.read(path, made_by, kept)
            files.remove_leftovers(path)
            if done == 0:  # that it cannot be written is found out before, not after, a chunk
                files.write(path, made_by, kept, 0)
        return {"done": done, "memory": _free() if memory is None else memory}, hosts.NOTHING

    call = (made_by, [(x.shape, x.dtype) for x in kept], chunk_size, memory, team, path is None)
    says, _ = hosts.together(team, begin, call=files.digest(repr(call)))
    for x in kept:
        hosts.spread(team, x[: says["done"]])
    if says["done"] < n:
        _run(job, kept, says["done"], team, path, made_by, title, chunk_size, says["memory"])
    return result_tree.unflatten(kept)


def _run(
    job: _Job,
    kept: list[Any],
    done: int,
    team: hosts.Team,
    path: Path | None,
    made_by: dict[str, str],
    title: str,
    chunk_size: int | None,
    memory: int,
) -> None:
    """Compute the points from `done` on into `kept`; keep them in the file."""
    lanes, n, width = job.lanes, job.n, len(team.devices)

    def to_do() -> int:  # blocks, on the busiest device
        return _up(_up(n - done, lanes), width)

    # A chunk computes `now` blocks on each device, of which at most `slots` have room.
    now = slots = 1
    program: Any = None
    show = _progress(title, done, n)
    shown, saved, due = done, done, _clock() + WRITE_EVERY

    def tell() -> None:
        nonlocal shown
        if team.leads and done > shown:
            shown = done
            show(done)

    def keep(after: float = -math.inf) -> None:
        nonlocal saved, due
        if team.leads and path is not None and done > saved and (began := _clock()) >= after:
            files.write(path, made_by, kept, done)
            saved, ended = done, _clock()
            due = ended + max(WRITE_EVERY, WRITE_TIMES * (ended - began))

    def ready() -> tuple[dict[str, int], Any]:
        nonlocal program
        program = _compile(job, team)
        room = _slots(job, team, memory, program) if chunk_size is None else to_do()
        return {}, np.array([room], np.int64).view(np.uint8)

    def chunk() -> tuple[dict[str, int], Any]:
        tell()
        keep(after=due)
        began = _clock() if chunk_size is None else 0.0
        mine, after = _compute(job, team, program, done // lanes, now), slots
        if chunk_size is None:
            enough = int(now * LOOK_EVERY / max(_clock() - began, 1e-9))
            after = max(1, min(slots, enough))
        return {"after": after}, _packed(job, team, now, mine)

    def end() -> tuple[dict[str, int], Any]:
        tell()
        keep()
        return {}, hosts.NOTHING

    try:
        try:
            fits = hosts.together(team, ready, size=8)[1].reshape(-1).view(np.int64)
        except hosts.Exhausted as problem:  # at the compilation
            raise _too_large(job, problem) from None
        slots = int(fits.min())
        if chunk_size is not None:
            now = slots = min(slots, _up(chunk_size, lanes * width))
        while done < n:
            now = min(now, to_do())
            try:
                says, rows = hosts.together(team, chunk, size=_size(job, team, now))
            except hosts.Exhausted as problem:
                if now == 1:
                    raise _too_large(job, problem) from None
                if team.leads:
                    print(
                        f"\nOut of memory with {now} blocks of {lanes} points at once on each "
                        f"device: going on with {now // 2}.",
                        flush=True,
                    )
                now = slots = now // 2
                continue
            until = min(done + now * width * lanes, n)
            for into, x in zip(kept, _unpacked(job, team, now, rows), strict=True):
                into[done:until] = x[: until - done]
            done, now = until, says["after"]
        hosts.together(team, end)
    except OSError:  # that of the file itself
        raise
    except BaseException as problem:
        keep()
        if isinstance(problem, KeyboardInterrupt) and team.leads:
            how = "give checkpoint=PATH to keep what is done"
            if path is not None:
                how = f"they are kept in {path}: the same call goes on from there"
            print(f"\nInterrupted after {done} of {n} points; {how}.", flush=True)
        raise


def _up(number: int, by: int) -> int:
    """The quotient, rounded up."""
    return -(-number // by)


def _default_lanes(n: int) -> int:
    """Of n alone, never of devices or memory: the same call has the same blocks everywhere."""
    fewest, most = LANES
    power = 2 ** math.ceil(math.log2(max(n / 16, 1)))
    return int(min(n, max(fewest, min(power, most))))


def _free() -> int:
    """Bytes that a chunk may take on a device, if the caller does not say."""
    with suppress(Exception):  # not every device knows
        stats = jax.local_devices()[0].memory_stats()
        return int(max(1, min(MEMORY, (stats["bytes_limit"] - stats["bytes_in_use"]) // 2)))
    return MEMORY


def _slots(job: _Job, team: hosts.Team, memory: int, program: Any) -> int:
    """How many blocks there may be at once on a device: one is computed, the others wait."""
    block = max(1, sum(_block_bytes(job, team)))
    needed = _needed(program)
    return max(1, memory // block if needed is None else 1 + (memory - needed) // block)


def _block_bytes(job: _Job, team: hosts.Team) -> tuple[int, int]:
    """Bytes of a block's points and of its results, those that hosts hand round among them."""
    inputs = sum(x.itemsize * math.prod(x.shape[1:]) for x in job.data) * job.lanes
    results = sum(x.dtype.itemsize * math.prod(x.shape) for x in job.results)
    copies = 1 if team.alone else 1 + (len(team.hosts) + 1) * team.most
    return inputs, copies * results


def _compile(job: _Job, team: hosts.Team) -> Any:
    try:
        return _lowered(job, team).compile()
    except jax.errors.JaxRuntimeError as problem:
        raise _known(problem) from None


def _needed(program: Any) -> int | None:
    """Bytes that a program takes on a device, where the backend tells."""
    with suppress(Exception):
        told = program.memory_analysis()
        return int(
            told.argument_size_in_bytes + told.output_size_in_bytes + told.temp_size_in_bytes
        )
    return None


def _lowered(job: _Job, team: hosts.Team) -> Any:
    """The program: one block on each device. It knows nothing of chunks, so no bit can.

    A loop over the blocks of a chunk would save calls, of some 50 microseconds each, but XLA fuses
    the block with what is around it, and that differs with the size of the chunk.
    """

    def device(*data: jax.Array) -> list[jax.Array]:
        return [x[None] for x in job.block(*(x[0] for x in data))]

    over = _over(team)
    run = jax.shard_map(
        device, mesh=over.mesh, in_specs=over.spec, out_specs=over.spec, check_vma=False
    )
    shapes = [((len(team.devices), job.lanes, *x.shape[1:]), x.dtype) for x in job.data]
    return jax.jit(run).lower(*(Shape(shape, kind, sharding=over) for shape, kind in shapes))


def _over(team: hosts.Team) -> NamedSharding:
    return NamedSharding(Mesh(np.array(team.devices), ("devices",)), hosts.P("devices"))


def _given(job: _Job, team: hosts.Team, first: int) -> list[jax.Array]:
    """The points of one block for each device, from the block `first` on."""
    blocks, over = first + np.arange(len(team.devices)), _over(team)

    def rows(x: Any) -> Callable[[Any], Any]:  # the last block is filled up with the last point
        def of(where: Any) -> Any:
            places = blocks[where[0]][:, None] * job.lanes + np.arange(job.lanes)
            return x[np.minimum(places, job.n - 1)]

        return of

    return [
        jax.make_array_from_callback((len(blocks), job.lanes, *x.shape[1:]), over, rows(x))
        for x in job.data
    ]


def _compute(
    job: _Job, team: hosts.Team, program: Any, first: int, now: int
) -> list[dict[int, Any]]:
    """The results of a chunk on this process's devices: by leaf, by device."""
    width = len(team.devices)
    found: list[dict[int, Any]] = [{} for _ in job.results]
    try:  # all calls are made before the first result is waited for
        calls = [program(*_given(job, team, first + i * width)) for i in range(now)]
        for i, results in enumerate(calls):
            for leaf, x in zip(found, results, strict=True):
                for shard in x.addressable_shards:
                    part = np.asarray(shard.data)
                    kept = leaf.setdefault(
                        shard.device.id, np.empty((now, *part.shape[1:]), part.dtype)
                    )
                    kept[i] = part[0]
    except jax.errors.JaxRuntimeError as problem:
        raise _known(problem) from None
    return found


def _known(problem: Exception) -> Exception:
    text = str(problem)
    return hosts.Exhausted(text.splitlines()[0]) if "RESOURCE_EXHAUSTED" in text else problem


def _too_large(job: _Job, problem: Exception) -> MemoryError:
    fix = "use less memory in fn"
    if job.lanes > 1:
        fix = f"give lanes={job.lanes // 2} and, as lanes are part of it, another checkpoint"
    return MemoryError(
        f"lanes: got {job.lanes}, and one block of so many points does not fit a device "
        f"({problem}); {fix}. What is done so far is kept in the checkpoint, if there is one."
    )


def _size(job: _Job, team: hosts.Team, now: int) -> int:
    """Bytes of the results of one process in a chunk of `now` blocks a device."""
    each = sum(x.dtype.itemsize * math.prod(x.shape) for x in job.results)
    return int(now * each * team.most)


def _packed(job: _Job, team: hosts.Team, now: int, mine: list[dict[int, Any]]) -> Any:
    """The results as bytes, device by device, leaf by leaf; one process keeps the arrays."""
    if team.alone:
        return mine
    row, at = np.zeros(_size(job, team, now), np.uint8), 0
    for device in team.of(jax.process_index()):
        for x in mine:
            part = np.ascontiguousarray(x[device.id][:now]).reshape(-1).view(np.uint8)
            row[at : at + len(part)] = part
            at += len(part)
    return row


def _unpacked(job: _Job, team: hosts.Team, now: int, rows: Any) -> list[Any]:
    """The results of a chunk, leaf by leaf, in the order of the points."""
    found: list[dict[int, Any]] = [{} for _ in job.results]
    if team.alone:
        found = [{device: x[:now] for device, x in leaf.items()} for leaf in rows]
    else:
        for host, row in zip(team.hosts, rows, strict=True):
            at = 0
            for device in team.of(host):
                for leaf, x in zip(found, job.results, strict=True):
                    until = at + now * x.dtype.itemsize * math.prod(x.shape)
                    leaf[device.id] = row[at:until].view(x.dtype).reshape(now, *x.shape)
                    at = until
    order = [device.id for device in team.devices]
    return [
        np.stack([leaf[i] for i in order], axis=1).reshape(
            now * len(order) * job.lanes, *x.shape[1:]
        )
        for leaf, x in zip(found, job.results, strict=True)
    ]


# --- what is given -------------------------------------------------------------------------------


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
