"""A box for code that nobody has read: submitted homework (course_worker.py, course_marker.py).

`enter` shuts the calling process in, for good, before it runs what it does not trust. From then on
it reads the named files and folders, writes into its own folder, computes, and can do nothing
else: no other file, no network, no other process, none of its own. `run` starts such a process
from outside, watches its time, memory, threads and disk, and kills it. Linux 6.2 or later, on
x86-64 or 64-bit ARM; elsewhere `complaint` says what is missing.

    python book/sandbox.py        tries the box and says whether it holds here

Source: the Linux manual pages landlock(7), seccomp(2), bpf(2), prctl(2), setrlimit(2), and the
kernel's tables of system calls.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import platform
import signal
import stat
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

GIGA = 2**30
PAUSE = 0.05  # seconds between two looks at a running box
NAMELESS = 2  # deleted files that a box may have mapped and closed: their size is not seen


class Limits(NamedTuple):
    """What one run may use: seconds, bytes of memory and disk, numbers of threads and files."""

    seconds: float = 300.0
    memory: int = 3 * GIGA
    addresses: int = 12 * GIGA  # JAX reserves more than it uses
    disk: int = 2**27
    threads: int = 400
    files: int = 2_000


class Unavailable(RuntimeError):
    """The kernel cannot shut a process in; the text says why."""


# --- from inside ----------------------------------------------------------------------

# Rights that Landlock knows, by bit; the last came with version 5.
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, REMOVE_DIR, REMOVE_FILE = (1 << i for i in range(6))
MAKE_DIR, MAKE_REG, TRUNCATE, IOCTL = 1 << 7, 1 << 8, 1 << 14, 1 << 15
OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL  # what a rule on a file may grant
READS = READ_FILE | READ_DIR
WRITES = READS | WRITE_FILE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG | TRUNCATE
LANDLOCK_VERSION = 3  # the first that also guards truncation

# Numbers of refused system calls on x86-64 and on 64-bit ARM; -1 where there is none.
REFUSED = {
    # the network, and pipes to other programs
    "socket": (41, 198), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201),
    "accept": (43, 202), "accept4": (288, 242), "sendto": (44, 206), "sendmsg": (46, 211),
    "sendmmsg": (307, 269), "recvmsg": (47, 212), "socketpair": (53, 199),
    # other processes, and new ones
    "fork": (57, -1), "vfork": (58, -1), "execve": (59, 221), "execveat": (322, 281),
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "tkill": (200, 130), "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240),
    "pidfd_open": (434, 434), "pidfd_send_signal": (424, 424), "pidfd_getfd": (438, 438),
    "setpriority": (141, 140), "ioprio_set": (251, 30), "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119), "sched_setattr": (314, 274),
    "sched_setaffinity": (203, 122), "migrate_pages": (256, 238), "move_pages": (279, 239),
    "close_range": (436, 436),  # which can give a thread open files that nobody sees
    "process_madvise": (440, 440), "process_mrelease": (448, 448), "kcmp": (312, 272),
    # what Landlock leaves open: modes, owners, times and attributes of files
    "chmod": (90, -1), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452),
    "chown": (92, -1), "fchown": (93, 55), "lchown": (94, -1), "fchownat": (260, 54),
    "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7),
    "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16),
    "utime": (132, -1), "utimes": (235, -1), "futimesat": (261, -1), "utimensat": (280, 88),
    "truncate": (76, 45), "fallocate": (285, 47), "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    # memory that outlives the process or is not counted, and that of others
    "shmget": (29, 194), "shmat": (30, 196), "shmctl": (31, 195), "msgget": (68, 186),
    "msgsnd": (69, 189), "msgrcv": (70, 188), "msgctl": (71, 187), "semget": (64, 190),
    "semop": (65, 193), "semtimedop": (220, 192), "semctl": (66, 191),
    "mq_open": (240, 180), "mq_unlink": (241, 181), "memfd_create": (319, 279),
    "memfd_secret": (447, 447), "userfaultfd": (323, 282),
    # the machine
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51),
    "setns": (308, 268), "unshare": (272, 97), "mount_setattr": (442, 442),
    "move_mount": (429, 429), "open_tree": (428, 428), "fsopen": (430, 430),
    "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433), "swapon": (167, 224),
    "swapoff": (168, 225), "reboot": (169, 142), "kexec_load": (246, 104),
    "kexec_file_load": (320, 294), "init_module": (175, 105), "finit_module": (313, 273),
    "delete_module": (176, 106), "acct": (163, 89), "quotactl": (179, 60),
    "quotactl_fd": (443, 443), "settimeofday": (164, 170), "clock_settime": (227, 112),
    "adjtimex": (159, 171), "clock_adjtime": (305, 266), "sethostname": (170, 161),
    "setdomainname": (171, 162), "syslog": (103, 116), "vhangup": (153, 58),
    "iopl": (172, -1), "ioperm": (173, -1), "bpf": (321, 280), "perf_event_open": (298, 241),
    "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427), "fanotify_init": (300, 262), "inotify_init": (253, -1),
    "inotify_init1": (294, 26), "lookup_dcookie": (212, 18),
}  # fmt: skip
CLONE, CLONE3, KILL, TGKILL, PRLIMIT = (56, 220), (435, 435), (62, 129), (234, 131), (302, 261)
FCNTL, PRCTL, MMAP = (72, 25), (157, 167), (9, 222)
# what is refused of two of them: who gets a file's signals and which, leases; to outlive the
# parent, and to be hidden from `_too_far`
SETOWN, SETSIG, SETOWN_EX, SETLEASE, DUMPABLE = 8, 10, 15, 1024, 4
NEWEST = 462  # system calls after this one are not known here, and refused
ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column, seccomp's name
CREATE_RULESET, ADD_RULE, RESTRICT_SELF, CAPSET = 444, 445, 446, (126, 91)
CLONE_THREAD, CLONE_FILES, X32 = 0x10000, 0x400, 0x40000000
SHARED, ANONYMOUS = 0x01, 0x20
PDEATHSIG, NO_NEW_PRIVS, SET_SECCOMP, FILTER = 1, 38, 22, 2


class _Ruleset(ctypes.Structure):
    _fields_ = (("handled", ctypes.c_uint64),)


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32))


class _Step(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_uint16),
        ("yes", ctypes.c_uint8),
        ("no", ctypes.c_uint8),
        ("value", ctypes.c_uint32),
    )


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint16), ("steps", ctypes.POINTER(_Step)))


class Walls(NamedTuple):
    """What a box lets through: files and folders to read, folders to look into, one to write in."""

    read: Sequence[str | Path]
    look: Sequence[str | Path]
    write: str | Path


def enter(walls: Walls, limits: Limits) -> None:
    """Shut this process in, and all threads that it starts later. There is no way back.

    Call it before anything starts a thread: those that run already stay outside.

    Raises: Unavailable, before or between the steps; the caller must then end.
    """
    machine = platform.machine()
    if not sys.platform.startswith("linux") or machine not in ARCHITECTURES:
        raise Unavailable(f"it is made for Linux on x86-64 or ARM, and this is {machine}")
    libc = ctypes.CDLL(None, use_errno=True)
    column, name = ARCHITECTURES[machine]

    def call(what: str, result: int) -> int:
        if result < 0:
            raise Unavailable(f"the kernel refuses {what}: {os.strerror(ctypes.get_errno())}")
        return result

    _limit(limits)
    call("to tie it to its parent", libc.prctl(PDEATHSIG, signal.SIGKILL, 0, 0, 0))
    call("to bar new privileges", libc.prctl(NO_NEW_PRIVS, 1, 0, 0, 0))
    header, none = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    call("to give up privileges", libc.syscall(CAPSET[column], header, none))
    _shut_files(libc, walls)
    steps = _filter(column, name, os.getpid())
    program = _Program(len(steps), steps)
    call("a filter of system calls", libc.prctl(SET_SECCOMP, FILTER, ctypes.byref(program), 0, 0))


def _limit(limits: Limits) -> None:
    import resource  # not on Windows

    def lower(which: int, wish: int) -> None:
        most = resource.getrlimit(which)[1]
        value = wish if most == resource.RLIM_INFINITY else min(wish, most)
        resource.setrlimit(which, (value, value))

    cores = os.cpu_count() or 1
    lower(resource.RLIMIT_AS, limits.addresses)
    lower(resource.RLIMIT_CPU, int(limits.seconds * cores) + 1)
    lower(resource.RLIMIT_FSIZE, limits.disk)
    lower(resource.RLIMIT_CORE, 0)
    lower(resource.RLIMIT_NOFILE, 256)
    lower(resource.RLIMIT_NPROC, _tasks_of_user() + limits.threads)


def _tasks_of_user() -> int:
    """How many threads this user has running: the kernel's limit counts them all."""
    count = 0
    for entry in os.scandir("/proc"):
        with contextlib.suppress(OSError):
            if entry.name.isdecimal() and entry.stat().st_uid == os.getuid():
                count += len(os.listdir(f"/proc/{entry.name}/task"))
    return count


def _shut_files(libc: ctypes.CDLL, walls: Walls) -> None:
    version = libc.syscall(CREATE_RULESET, None, 0, 1)
    if version < LANDLOCK_VERSION:
        raise Unavailable("it needs Landlock, version 3, which Linux has from 6.2 on")
    all_rights = (1 << (16 if version >= 5 else 15)) - 1
    ruleset = _Ruleset(all_rights)
    rules = libc.syscall(CREATE_RULESET, ctypes.byref(ruleset), ctypes.sizeof(ruleset), 0)
    if rules < 0:
        raise Unavailable("the kernel refuses a Landlock ruleset")
    null = os.fspath(Path(os.devnull))
    for path, rights in (
        *((path, READS) for path in walls.read),
        *((path, READ_DIR) for path in walls.look),
        (walls.write, WRITES),
        (null, READS | WRITE_FILE),
    ):
        try:
            handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        if not stat.S_ISDIR(os.fstat(handle).st_mode):
            rights &= OF_FILES
        beneath = _Beneath(rights, handle)
        failed = libc.syscall(ADD_RULE, rules, 1, ctypes.byref(beneath), 0)
        os.close(handle)
        if failed:
            raise Unavailable(f"the kernel refuses a Landlock rule for {path}")
    if libc.syscall(RESTRICT_SELF, rules, 0):
        raise Unavailable("the kernel refuses to hold this process to Landlock's rules")
    os.close(rules)


def _filter(column: int, architecture: int, own: int) -> ctypes.Array[_Step]:
    """The filter of system calls, in the kernel's small language: load, compare, return."""
    load, equal, at_least, test, give = 0x20, 0x15, 0x35, 0x45, 0x06
    allow, kill = 0x7FFF0000, 0x80000000
    no, unknown = 0x50000 | errno.EPERM, 0x50000 | errno.ENOSYS
    steps = [(load, 0, 0, 4), (equal, 1, 0, architecture), (give, 0, 0, kill), (load, 0, 0, 0)]
    steps += [(at_least, 0, 1, X32 if column == 0 else 2**31), (give, 0, 0, kill)]
    steps += [(at_least, 0, 1, NEWEST + 1), (give, 0, 0, unknown)]
    steps += [(equal, 0, 1, CLONE3[column]), (give, 0, 0, unknown)]  # libc then takes clone
    for numbers in REFUSED.values():
        if numbers[column] >= 0:
            steps += [(equal, 0, 1, numbers[column]), (give, 0, 0, no)]
    # threads with the same open files yes, processes no
    steps += [(equal, 0, 5, CLONE[column]), (load, 0, 0, 16), (test, 0, 2, CLONE_THREAD)]
    steps += [(test, 0, 1, CLONE_FILES), (give, 0, 0, allow), (give, 0, 0, no)]
    for number in KILL[column], TGKILL[column]:  # signals to itself only, as abort() sends
        steps += [(equal, 0, 4, number), (load, 0, 0, 16)]
        steps += [(equal, 0, 1, own), (give, 0, 0, allow), (give, 0, 0, no)]
    # limits may be asked for and not set, since those of other processes are set so, too
    steps += [(equal, 0, 6, PRLIMIT[column]), (load, 0, 0, 32), (equal, 0, 3, 0)]
    steps += [(load, 0, 0, 36), (equal, 0, 1, 0), (give, 0, 0, allow), (give, 0, 0, no)]
    for number, place, values in (
        (FCNTL[column], 24, (SETOWN, SETSIG, SETOWN_EX, SETLEASE)),
        (PRCTL[column], 16, (PDEATHSIG, DUMPABLE)),
    ):
        steps += [(equal, 0, 2 + 2 * len(values), number), (load, 0, 0, place)]
        for value in values:
            steps += [(equal, 0, 1, value), (give, 0, 0, no)]
        steps += [(give, 0, 0, allow)]
    # no shared memory without a name: it is not counted once it is unmapped in part
    steps += [(equal, 0, 5, MMAP[column]), (load, 0, 0, 40), (test, 0, 2, ANONYMOUS)]
    steps += [(test, 0, 1, SHARED), (give, 0, 0, no), (give, 0, 0, allow)]
    steps += [(give, 0, 0, allow)]
    return (_Step * len(steps))(*(_Step(*step) for step in steps))


# --- what may be read -----------------------------------------------------------------


def system() -> list[Path]:
    """Python with its packages, the libraries of the system, and what they ask of the machine.

    Not the whole of /usr: nbgrader's exchange, with what all students hand in, lies in there.
    """
    base = Path(sys.base_prefix)
    places: list[str | Path] = ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib"]
    places += [base / "lib", base / "lib64"]
    places += [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    if sys.prefix != sys.base_prefix:
        places.append(sys.prefix)  # an environment of its own
    places += ["/etc/ld.so.cache", "/etc/localtime", "/etc/mime.types", "/dev/urandom"]
    places += ["/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/version"]
    places += ["/sys/devices/system/cpu", "/sys/devices/system/node"]
    return [Path(place) for place in dict.fromkeys(places)]


def open_to(hidden: Path, readable: Sequence[Path]) -> Path | None:
    """The readable place that a path to be hidden lies in, if there is one."""
    hidden = hidden.resolve()
    for place in readable:
        if hidden.is_relative_to(place.resolve()):
            return place
    return None


# --- from outside ---------------------------------------------------------------------


def environment(folder: Path) -> dict[str, str]:
    """The environment of a run: nothing of ours."""
    threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
    homes = dict.fromkeys(("HOME", "TMPDIR", "XDG_CACHE_HOME", "MPLCONFIGDIR"), str(folder))
    plain = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "JAX_PLATFORMS": "cpu"}
    return {**plain, "MALLOC_ARENA_MAX": "2", **threads, **homes}


def run(
    command: Sequence[str | Path],
    folder: Path,
    limits: Limits,
    stop: threading.Event | None = None,
) -> str:
    """Run a program in a folder of its own until it ends or goes too far; then nothing is left.

    Its output goes nowhere: what it has to say is in files, which are data from a stranger.

    Args: command; folder; limits; stop, an event at which it is ended.
    Returns: "" if it ended well, else what happened, in words.
    """
    process = subprocess.Popen(
        [str(part) for part in command],
        cwd=folder,
        env=environment(folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    end = time.monotonic() + limits.seconds
    reason = ""
    try:
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                status = process.wait(PAUSE)
                break
            reason = _too_far(process.pid, folder, limits)
            if time.monotonic() > end:
                reason = f"it did not end within {limits.seconds:g} s"
            if stop is not None and stop.is_set():
                reason = "it was stopped"
            if reason:
                break
    finally:
        kill_group(process)
    if reason:
        return reason
    return "" if status == 0 else ended(status)


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process that leads a session, with all that are still in it, and wait for it."""
    with contextlib.suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(OSError):
        process.kill()
    process.wait()


def ended(status: int) -> str:
    """An exit status in words."""
    if status >= 0:
        return f"it ended itself with status {status}"
    return f"it was ended by {signal.Signals(-status).name}"


def _too_far(pid: int, folder: Path, limits: Limits) -> str:
    """What a running process has too much of, in words."""
    task, found = _alive(pid)
    if int(found.get("Threads", 0)) > limits.threads:
        return f"it started more than {limits.threads} threads"
    if int(found.get("VmRSS", "0 kB").split()[0]) * 1024 > limits.memory:
        return f"it took more than {limits.memory / GIGA:g} GiB of memory"
    nameless, mapped = _nameless(task)
    if mapped > NAMELESS:
        return f"it mapped more than {NAMELESS} deleted files"
    count, size = 0, nameless
    for information in _entries(folder, limits.files):
        count, size = count + 1, size + information.st_blocks * 512
        if size > limits.disk:
            break
    if size > limits.disk:
        return f"it wrote more than {limits.disk / 2**20:g} MiB"
    return f"it made more than {limits.files} files" if count > limits.files else ""


def _alive(pid: int) -> tuple[str, dict[str, str]]:
    """A thread of a process that runs, as its folder in /proc, with what the kernel says of it.

    The first one may have ended before the others; then nothing is to be learnt from it.
    """
    found: dict[str, str] = {}
    task = f"/proc/{pid}"
    with contextlib.suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError):
                task = f"/proc/{pid}/task/{name}"
                parts = (line.partition(":") for line in _lines(f"{task}/status"))
                found = {key: text for key, _, text in parts}
                if "VmRSS" in found:
                    break
    return task, found


def _lines(path: str) -> list[str]:
    """The lines of a file in /proc; names in it, which a stranger chose, may be any bytes."""
    return Path(path).read_bytes().decode("latin-1").split("\n")


def _nameless(task: str) -> tuple[int, int]:
    """The bytes of deleted files that a thread has open, and the number of others it has mapped."""
    seen: dict[int, int] = {}
    with contextlib.suppress(OSError):
        for entry in os.scandir(f"{task}/fd"):
            with contextlib.suppress(OSError):
                data = entry.stat()
                if stat.S_ISREG(data.st_mode) and not data.st_nlink:
                    seen[data.st_ino] = data.st_blocks * 512
    mapped: set[int] = set()
    with contextlib.suppress(OSError):
        for line in _lines(f"{task}/maps"):
            if line.endswith(" (deleted)"):
                mapped.add(int(line.split()[4]))
    return sum(seen.values()), len(mapped - seen.keys())


def _entries(folder: Path, most: int) -> Iterator[os.stat_result]:
    """What lies in a folder, `most` and one more entries at most.

    A folder that cannot be looked into, as too long a path, counts as too many entries.
    """
    waiting, count = [str(folder)], 0
    while waiting:
        place = waiting.pop()
        try:
            with os.scandir(place) as found:
                for entry in found:
                    information = entry.stat(follow_symlinks=False)
                    yield information
                    count += 1
                    if count > most:
                        return
                    if stat.S_ISDIR(information.st_mode):
                        waiting.append(entry.path)
        except FileNotFoundError:
            continue  # it was there a moment ago
        except OSError:
            yield from [folder.stat()] * (most + 1)
            return


def remove(folder: Path) -> None:
    """Remove a folder with all that is in it, however deep, long or closed its tree is.

    Every folder is moved to the top before it is looked into, so no path is longer than two names.
    """
    if not os.path.lexists(folder):
        return
    top = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        os.fchmod(top, 0o700)
        number, waiting = 0, _emptied(top, top, "0")
        while waiting:
            name = waiting.pop()
            os.chmod(name, 0o700, dir_fd=top)
            inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=top)
            try:
                number += 1
                waiting += _emptied(inner, top, str(number))
            finally:
                os.close(inner)
            os.rmdir(name, dir_fd=top)
    finally:
        os.close(top)
    os.rmdir(folder)


def _emptied(inner: int, top: int, mark: str) -> list[str]:
    """Delete the files of an open folder and move its folders into `top`; their names there."""
    moved = []
    for index, name in enumerate(os.listdir(inner)):
        if stat.S_ISDIR(os.stat(name, dir_fd=inner, follow_symlinks=False).st_mode):
            os.chmod(name, 0o700, dir_fd=inner)
            moved.append(f".removed-{os.getpid()}-{mark}-{index}")
            os.rename(name, moved[-1], src_dir_fd=inner, dst_dir_fd=top)
        else:
            os.unlink(name, dir_fd=inner)
    return moved


@contextlib.contextmanager
def scratch(prefix: str = "optdyn-box-") -> Iterator[Path]:
    """A new folder, which is removed at the end whatever has been put into it."""
    folder = Path(tempfile.mkdtemp(prefix=prefix)).resolve()
    try:
        yield folder
    finally:
        remove(folder)


def complaint() -> str | None:
    """Why no process can be shut in here, in words; None if it can."""
    if not sys.platform.startswith("linux"):
        return f"it is made for Linux, and this is {platform.system()}"
    with scratch() as folder:
        said = folder / "said"
        status = run([sys.executable, "-I", "-B", __file__, said], folder, Limits(seconds=30))
        text = said.read_text("utf-8") if said.is_file() else ""
    return None if status == "" and text == "It holds." else text or status


def _try(folder: Path, said: Path) -> str:
    """Enter the box and try its walls; what stands open or is missing, in words."""
    try:
        enter(Walls(system(), (), folder), Limits(seconds=30))
    except (Unavailable, OSError, ValueError) as problem:
        return str(problem)

    import socket

    tries = {
        "processes": os.fork,
        "the network": socket.socket,
        "files": lambda: os.listdir("/"),
        "signals": lambda: os.kill(os.getppid(), 0),
        "modes": lambda: os.chmod(said, 0o600),
    }
    for what, attempt in tries.items():
        try:
            attempt()  # type: ignore[operator]
        except OSError:
            continue
        return f"the kernel leaves {what} open"
    return "It holds."


if __name__ == "__main__":
    if len(sys.argv) == 1:
        print(complaint() or "The box holds here.")
    else:
        target = Path(sys.argv[1])
        target.write_text(_try(target.parent, target), "utf-8")
