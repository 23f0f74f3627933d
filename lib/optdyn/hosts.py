"""The processes and devices of a sweep: what each says to the others, and errors that end them all.

Under `jax.distributed` every process runs the same script. Between two chunks they hand round one
row of bytes each, by one device of each, through JAX; nothing here depends on a common file system.
With one process, none of this does anything.
"""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding

P: Any = jax.sharding.PartitionSpec
MESSAGE = 16_384  # bytes for how a process is
NOTHING = np.zeros(0, np.uint8)


class Team(NamedTuple):
    """The devices that compute, and the processes that they belong to."""

    devices: list[Any]
    hosts: list[int]  # the first reads and writes the checkpoint and shows the bar

    @property
    def leads(self) -> bool:
        """Whether this process is the first."""
        return self.hosts[0] == jax.process_index()

    @property
    def alone(self) -> bool:
        """Whether there is no other process."""
        return len(self.hosts) == 1

    def of(self, host: int) -> list[Any]:
        """The devices of a process."""
        return [d for d in self.devices if d.process_index == host]

    @property
    def most(self) -> int:
        """Devices of the process that has most."""
        return max(len(self.of(host)) for host in self.hosts)


class Exhausted(Exception):
    """A device has not enough memory."""


_ERRORS = (ValueError, TypeError, OSError, MemoryError, KeyboardInterrupt, Exhausted)


def team(devices: Any) -> Team:
    """The devices given, or all that JAX sees.

    Raises: TypeError or ValueError if they are no devices, or none is of this process.

    >>> team(None).leads
    True
    """
    needed = "a sequence of JAX's devices is needed"
    if devices is None:
        devices = jax.devices()
    try:
        given = list(devices)
    except TypeError:
        given = [None]
    if not given or not all(isinstance(d, jax.Device) for d in given):
        raise TypeError(f"devices: got {devices!r}, {needed}; take some of jax.devices().")
    if len(set(given)) < len(given) or len({d.platform for d in given}) > 1:
        raise ValueError(
            f"devices: got {devices!r}, each may be there once and all must be of one platform; "
            f"take some of jax.devices()."
        )
    hosts = sorted({d.process_index for d in given})
    if jax.process_index() not in hosts:
        raise ValueError(
            f"devices: got {devices!r}, of which none belongs to this process "
            f"({jax.process_index()}); leave devices out, or call sweep only in processes "
            f"{hosts}."
        )
    return Team(given, hosts)


def together(
    group: Team, step: Callable[[], tuple[dict[str, int], Any]], *, size: int = 0, call: str = ""
) -> tuple[dict[str, int], Any]:
    """Every process does `step`; what the first one says, and the bytes of all.

    An error of one is raised by all, so that nobody waits for a process that has gone.

    Args: step, returns numbers by name and bytes, of which there are `size` in every process; call,
        which must be the same in all.
    Raises: what `step` raises, here or elsewhere; ValueError if the calls differ.

    >>> together(team(None), lambda: ({"done": 3}, NOTHING))[0]
    {'done': 3}
    """
    if group.alone:
        says, row = step()
        return says, row
    says, row, failed = {}, np.zeros(size, np.uint8), None
    try:
        says, row = step()
    except BaseException as caught:
        failed = caught
    kind = next((x.__name__ for x in _ERRORS if isinstance(failed, x)), "other")
    problem = failed and [kind, getattr(failed, "errno", None), _text(failed)]
    message = json.dumps([problem, call, says]).encode().ljust(MESSAGE)
    rows = _exchange(group, np.concatenate([np.frombuffer(message, np.uint8), row]), _all)
    heard = [json.loads(x[:MESSAGE].tobytes()) for x in rows]
    for host, (problem, _, _) in zip(group.hosts, heard, strict=True):
        if problem is not None:
            if host == jax.process_index() and failed is not None:
                raise failed
            raise _again(host, *problem) from failed
    if any(theirs != call for _, theirs, _ in heard):
        raise ValueError(
            f"points: processes {group.hosts} do not make the same call (fn, points and settings); "
            f"start one script with the same arguments in all of them."
        )
    return heard[0][2], rows[:, MESSAGE:]


def _text(problem: BaseException) -> str:
    if isinstance(problem, OSError) and problem.strerror:
        return problem.strerror
    known = isinstance(problem, _ERRORS)
    return str(problem)[:1500] if known else f"{type(problem).__name__}: {problem}"[:1500]


def _again(host: int, kind: str, number: int | None, text: str) -> BaseException:
    """The error of another process."""
    if kind == "OSError":
        return OSError(number, text)
    types = {x.__name__: x for x in _ERRORS}
    return types[kind](text) if kind in types else RuntimeError(f"process {host}: {text}")


def _all(rows: jax.Array) -> jax.Array:
    return rows


def _first(rows: jax.Array) -> jax.Array:
    return rows[:1]


def _exchange(group: Team, row: Any, which: Callable[[jax.Array], jax.Array]) -> Any:
    """The rows of bytes of all processes, or the first's, by one device of each."""
    devices = [group.of(host)[0] for host in group.hosts]
    mesh = Mesh(np.array(devices), ("hosts",))
    mine = jax.device_put(row[None], devices[group.hosts.index(jax.process_index())])
    whole = jax.make_array_from_single_device_arrays(
        (len(devices), len(row)), NamedSharding(mesh, P("hosts")), [mine]
    )
    rows = jax.jit(which, out_shardings=NamedSharding(mesh, P()))(whole)
    return np.asarray(rows.addressable_data(0))


def spread(group: Team, x: Any) -> None:
    """Fill an array, contiguous, with what it is in the first process.

    >>> spread(team(None), np.ones(3))
    """
    if not group.alone:
        flat = x.reshape(-1).view(np.uint8)
        for i in range(0, len(flat), 2**24):
            flat[i : i + 2**24] = _exchange(group, flat[i : i + 2**24], _first)[0]
