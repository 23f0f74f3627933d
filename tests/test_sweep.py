"""optdyn.sweep against jax.vmap, and against kills, full disks and files that are not its own."""

import itertools
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
import tracemalloc
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optdyn.sweep import grid, sweep

if hasattr(jax, "enable_x64"):
    enable_x64 = jax.enable_x64
else:
    from jax.experimental import enable_x64

module = import_module("optdyn.sweep")
files = import_module("optdyn.checkpoint")


@pytest.fixture(autouse=True)
def no_book(monkeypatch):
    monkeypatch.delenv("OPTDYN_BOOK", raising=False)


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes on by `clock.tick` seconds whenever it is read."""

    def read():
        clock.now += clock.tick
        return clock.now

    clock = read
    clock.now, clock.tick = 0.0, 1.0
    monkeypatch.setattr(module, "_clock", read)
    return clock


COMPILED = []  # a listener cannot be taken away again in every version of JAX
jax.monitoring.register_event_duration_secs_listener(
    lambda name, *_, **__: COMPILED.append(name) if "backend_compile" in name else None
)


def slope(a, b):
    """Something of every kind: exact integers, a vector, a nested result."""
    turns = jax.lax.fori_loop(0, 20, lambda _, x: jnp.sin(3.0 * x + a), 1.0 * b)
    return {"turns": turns, "pair": (jnp.stack([a, 1.0 * b]), b**2 + 1)}


POINTS = grid(a=np.linspace(0.0, 1.0, 5), b=np.arange(4))  # 20 points


def same(one, other):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for x, y in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert type(x) is np.ndarray and x.dtype == y.dtype
        assert x.tobytes() == np.asarray(y).tobytes()
    return True


def done(path):
    with np.load(path) as file:
        return json.loads(str(file["header"]))["done"]


def rewrite(path, **changes):
    """Change the header of a checkpoint."""
    with np.load(path) as file:
        arrays = dict(file)
    header = json.loads(str(arrays.pop("header")))
    for name, value in changes.items():
        (header if name in header else header["made_by"])[name] = value
    with open(path, "wb") as opened:
        np.savez(opened, header=np.array(json.dumps(header)), **arrays)


# --- the values ---------------------------------------------------------------------------------


@given(st.integers(1, 40), st.integers(1, 50))
@settings(max_examples=15)
def test_equals_vmap(n, chunk_size):
    rng = np.random.default_rng([n, chunk_size])
    a, b = rng.normal(size=n).astype(np.float32), rng.integers(-9, 9, n).astype(np.int32)
    result, expected = (
        sweep(slope, dict(a=a, b=b), lanes=chunk_size, chunk_size=chunk_size),
        jax.vmap(slope)(a, b),
    )
    np.testing.assert_allclose(result["turns"], expected["turns"], rtol=2e-4, atol=2e-4)
    assert result["pair"][0].tobytes() == np.asarray(expected["pair"][0]).tobytes()
    np.testing.assert_array_equal(result["pair"][1], expected["pair"][1])
    assert jax.tree.structure(result) == jax.tree.structure(expected)


def test_the_result_of_a_point_does_not_depend_on_the_chunk_it_is_in():
    whole = sweep(slope, POINTS, lanes=6, chunk_size=6)
    for n in (6, 7, 11, 19):
        part = sweep(slope, {k: v[:n] for k, v in POINTS.items()}, lanes=6, chunk_size=6)
        same(part, jax.tree.map(lambda x, n=n: x[:n], whole))


def test_grid_is_the_product_in_c_order():
    points = grid(a=[1, 2], b=[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], c=[True, False])
    expected = list(itertools.product([1, 2], [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], [True, False]))
    assert [(int(a), b.tolist(), bool(c)) for a, b, c in zip(*points.values(), strict=True)] == (
        expected
    )
    table = sweep(lambda a, b, c: a * b[0] * c, points, lanes=5, chunk_size=5).reshape(2, 3, 2)
    assert table[1, 2].tolist() == [10.0, 0.0]


def test_keys_are_points_too(tmp_path):
    keys = jax.random.split(jax.random.key(1), 3)
    points = grid(key=keys, scale=[1.0, 2.0])
    assert points["key"].shape == (6,)

    def draw(key, scale):
        return scale * jax.random.normal(key, (2,))

    result = sweep(draw, points, lanes=4, chunk_size=4, checkpoint=tmp_path / "a.npz")
    one = np.array([[draw(key, s) for s in (1.0, 2.0)] for key in keys]).reshape(6, 2)
    np.testing.assert_allclose(result, one, rtol=1e-6)
    other = grid(key=jax.random.split(jax.random.key(2), 3), scale=[1.0, 2.0])
    with pytest.raises(ValueError, match="the points differ"):
        sweep(draw, other, lanes=4, chunk_size=4, checkpoint=tmp_path / "a.npz")


def test_keys_stay_of_their_kind():
    kinds = []

    def fn(key):
        kinds.append(str(jax.random.key_impl(key)))
        return jax.random.key_data(key)

    keys = jax.random.split(jax.random.key(1, impl="rbg"), 3)
    np.testing.assert_array_equal(sweep(fn, keys, lanes=2, chunk_size=2), jax.random.key_data(keys))
    assert kinds == ["rbg"]


def test_points_that_are_no_dict_are_one_argument():
    class Pair(NamedTuple):
        left: np.ndarray
        right: np.ndarray

    pairs = Pair(np.arange(3.0), np.ones((3, 2)))
    assert sweep(lambda p: p.left + p.right.sum(), pairs, lanes=2, chunk_size=2).tolist() == [
        2.0,
        3.0,
        4.0,
    ]
    assert sweep(lambda x: x + 1, np.arange(3), lanes=2, chunk_size=2).tolist() == [1, 2, 3]
    assert sweep(
        lambda p: p[0] * p[1], (np.arange(3), np.arange(3)), lanes=9, chunk_size=9
    ).tolist() == [
        0,
        1,
        4,
    ]


def test_every_type_of_number_survives_the_checkpoint(tmp_path):
    def kinds(x):
        return (
            x > 1,
            jnp.bfloat16(x),
            x + 1j * x,
            jnp.int8(x),
            7,
            jnp.zeros((0, 2)),
            x[None, None],
        )

    for _ in range(2):  # computed, then read
        result = sweep(kinds, np.arange(5.0), lanes=2, chunk_size=2, checkpoint=tmp_path / "a.npz")
        same(result, jax.tree.map(np.asarray, jax.vmap(kinds)(np.arange(5.0, dtype=np.float32))))


def test_nan_and_infinity_pass(tmp_path):
    points = np.array([np.nan, np.inf, 0.0, -1.0])
    for _ in range(2):
        result = sweep(
            lambda x: jnp.log(x), points, lanes=3, chunk_size=3, checkpoint=tmp_path / "a.npz"
        )
        np.testing.assert_array_equal(result, [np.nan, np.inf, -np.inf, np.nan])


def test_computes_in_the_precision_jax_is_set_to():

    def third(x):
        return x / 3

    assert sweep(third, np.ones(2), lanes=2, chunk_size=2).dtype == np.float32
    with enable_x64(True):
        assert sweep(third, np.ones(2), lanes=2, chunk_size=2)[0] == 1 / 3


# --- one program, results held once -------------------------------------------------------------


def test_one_compilation_for_all_chunks_and_none_for_what_is_there(tmp_path):
    traced = []

    def fn(a, b):
        traced.append(a)
        return a * b

    sweep(lambda a, b: a, POINTS, lanes=6, chunk_size=6, checkpoint=tmp_path / "warm.npz")
    COMPILED.clear()
    result = sweep(
        fn, POINTS, lanes=6, chunk_size=6, checkpoint=tmp_path / "a.npz"
    )  # 6 + 6 + 6 + 2
    assert len(COMPILED) == 1
    COMPILED.clear()
    assert len(traced) == 1

    def written():  # the time of the last access changes with reading
        found = (tmp_path / "a.npz").stat()
        return found.st_ino, found.st_mtime_ns, found.st_size

    before = written()
    same(sweep(fn, POINTS, lanes=6, chunk_size=6, checkpoint=tmp_path / "a.npz"), result)
    assert not COMPILED
    assert written() == before


def wide(x):
    return jnp.full(1000, x)


@pytest.mark.parametrize("checkpoint", [None, "a.npz"])
def test_results_are_held_once(tmp_path, checkpoint):
    points = np.arange(5_000.0)  # 20 MB in all, 0.4 MB a chunk
    tracemalloc.start()
    result = sweep(
        wide, points, lanes=100, chunk_size=100, checkpoint=checkpoint and tmp_path / checkpoint
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    buffer = 17_000_000 if checkpoint else 0  # of NumPy, whatever the size of the results
    assert peak < 1.2 * result.nbytes + buffer


# --- the checkpoint -----------------------------------------------------------------------------

RUN = textwrap.dedent("""
    import os, signal, sys
    from importlib import import_module
    import numpy as np
    sys.path.insert(0, sys.argv[3])
    from test_sweep import POINTS, slope, sweep
    module = import_module("optdyn.sweep")
    module.WRITE_EVERY = module.WRITE_TIMES = 0.0
    replace, write, left = os.replace, np.lib.format.write_array, [int(sys.argv[2].split()[1])]
    def dying():
        left[0] -= 1
        return left[0] < 0
    def kill():
        os.kill(os.getpid(), signal.SIGKILL)
    def after(*where):
        replace(*where)
        if dying(): kill()
    def before(*where):
        if dying(): kill()
        replace(*where)
    def during(file, array, **how):
        if dying(): kill()
        write(file, array, **how)
    how = sys.argv[2].split()[0]
    if how == "after": os.replace = after
    if how == "before": os.replace = before
    if how == "during": np.lib.format.write_array = during
    print("starts", flush=True)
    sweep(slope, POINTS, lanes=2, chunk_size=2, checkpoint=sys.argv[1])
""")


def killed(path, how):
    command = [sys.executable, "-c", RUN, str(path), how, str(Path(__file__).parent)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert ended.stdout == "starts\n"


def test_killed_at_any_time_it_goes_on_to_the_same_bits(tmp_path):
    path = tmp_path / "a.npz"
    killed(path, "during 0")  # the very first write
    assert [p.suffix for p in tmp_path.iterdir()] == [".tmp"]
    killed(path, "after 3")  # the empty one and three chunks of two points
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]
    assert done(path) == 6
    killed(path, "before 2")  # two more chunks, the third is written but not in place
    assert done(path) == 10
    assert len(list(tmp_path.iterdir())) == 2
    killed(path, "during 5")  # each write has a header and three results
    assert done(path) == 12
    result = sweep(slope, POINTS, lanes=2, chunk_size=2, checkpoint=path)
    same(result, sweep(slope, POINTS, lanes=2, chunk_size=2))
    assert done(path) == 20
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]


def test_killed_from_outside_at_random_times(tmp_path):
    path = tmp_path / "a.npz"
    command = [sys.executable, "-c", SLOW, str(path), str(Path(__file__).parent)]
    seen = [0]
    for seconds in np.random.default_rng(0).uniform(0.0, 0.2, KILLS):
        with subprocess.Popen(command) as run:
            while run.poll() is None and not (path.exists() and done(path) > seen[-1]):
                time.sleep(0.02)
            time.sleep(seconds)
            run.kill()
        assert run.returncode == -signal.SIGKILL
        seen.append(done(path))
    assert len(seen) == KILLS + 1 and (np.diff(seen) > 0).all() and seen[-1] < len(MANY["a"])
    same(
        sweep(slope, MANY, lanes=4, chunk_size=4, checkpoint=path),
        sweep(slope, MANY, lanes=4, chunk_size=4),
    )


KILLS = int(os.environ.get("OPTDYN_KILLS", "3"))  # make test-all says 20
MANY = grid(a=np.linspace(0.1, 0.9, 100), b=np.arange(8.0 * max(KILLS, 3)))
SLOW = textwrap.dedent("""
    import sys, time
    from importlib import import_module
    sys.path.insert(0, sys.argv[2])
    from test_sweep import MANY, slope, sweep
    module = import_module("optdyn.sweep")
    module.WRITE_EVERY = module.WRITE_TIMES = 0.0
    module._progress = lambda *_: lambda done: time.sleep(0.02)
    sweep(slope, MANY, lanes=4, chunk_size=4, checkpoint=sys.argv[1])
""")


def test_written_about_every_second_not_at_every_chunk(tmp_path, clock, monkeypatch):
    written = []
    write = files.write

    def counting(path, made_by, kept, done):
        written.append(done)
        write(path, made_by, kept, done)

    monkeypatch.setattr(files, "write", counting)
    clock.tick = 0.0
    sweep(slope, POINTS, lanes=2, chunk_size=2, checkpoint=tmp_path / "a.npz")
    assert written == [0, 20]
    written.clear()
    monkeypatch.setattr(module, "WRITE_TIMES", 0.0)
    clock.tick = 0.3
    sweep(slope, POINTS, lanes=2, chunk_size=2, checkpoint=tmp_path / "b.npz")
    assert written[0] == 0 and written[-1] == 20 and 3 < len(written) < 11
    written.clear()
    monkeypatch.setattr(module, "WRITE_TIMES", 1000.0)  # writes that take long are rarer
    sweep(slope, POINTS, lanes=2, chunk_size=2, checkpoint=tmp_path / "c.npz")
    assert len(written) == 3


ORIGINAL = dict(a=np.array([1.0, 2.0, 3.0]), b=np.array([1, 2, 3]))


def product(constant=2.0):
    constant = np.full(30, constant)
    return lambda a, b: (a * b * jnp.asarray(constant)).sum()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (dict(lanes=3), "lanes was 2 and is 3"),
        (dict(points=ORIGINAL | dict(a=np.array([1.0, 2.0, 4.0]))), "the points differ"),
        (dict(points={k: x[:2] for k, x in ORIGINAL.items()}), "the points differ"),
        (dict(points=ORIGINAL | dict(b=np.array([1.0, 2, 3]))), "the points differ"),
        (dict(points=ORIGINAL | dict(a=np.array([[1.0], [2.0], [3.0]]))), "the points differ"),
        (dict(fn=product(2.5)), "fn differs"),
        (dict(fn=lambda a, b: a + b), "fn differs"),
        (dict(fn=lambda b, a: {"c": (a * b * jnp.full(30, 2.0)).sum()}), "fn differs"),
        (dict(fn=lambda a, b: [product()(a, b)]), "fn differs"),
        (dict(x64=True), "precision was float32 and is float64, the points differ"),
        (dict(header=dict(JAX="0.1")), "JAX was 0.1 and is 0."),
        (dict(header=dict(platform="tpu")), "platform was tpu and is [cg]pu"),
    ],
)
def test_the_checkpoint_of_another_sweep_is_refused(tmp_path, change, says):
    path = tmp_path / "a.npz"
    call = dict(fn=product(), points=ORIGINAL, lanes=2, chunk_size=2, checkpoint=path)
    sweep(**call)
    rewrite(path, **change.pop("header", {}))
    before, x64 = path.read_bytes(), change.pop("x64", False)
    with (
        enable_x64(x64),
        pytest.raises(ValueError, match=f"npz is of another sweep: {says}.*; delete the file or"),
    ):
        sweep(**call | change)
    assert path.read_bytes() == before


def test_the_same_function_written_again_is_the_same(tmp_path):
    call = dict(points=ORIGINAL, lanes=2, chunk_size=2, checkpoint=tmp_path / "a.npz")
    same(sweep(product(), **call), sweep(product(), **call))
    shuffled = {name: ORIGINAL[name] for name in ("b", "a")}
    sweep(product(), **call | dict(points=shuffled))


def test_a_damaged_file_is_refused_or_harmless(tmp_path):
    path = tmp_path / "a.npz"
    fn, points = lambda x: jnp.sin(x), np.arange(50.0)
    result = sweep(fn, points, lanes=20, chunk_size=20, checkpoint=path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    files = [whole[:length] for length in rng.integers(1, len(whole), 15)]
    for place in rng.integers(0, len(whole), 60):
        flipped = bytearray(whole)
        flipped[place] ^= 0xFF
        files.append(bytes(flipped))
    files += [b"", b"hello", b"\x93NUMPY", whole + b"x" * 70_000]
    refused = 0
    for content in files:
        path.write_bytes(content)
        try:
            same(sweep(fn, points, lanes=20, chunk_size=20, checkpoint=path), result)
        except ValueError as problem:
            refused += 1
            text = str(problem)
            assert "a.npz is damaged or is no checkpoint" in text or "of another sweep" in text
            assert "delete the file or give another path" in text
            assert path.read_bytes() == content
    assert refused > 0.7 * len(files)


def test_files_of_others_are_refused(tmp_path):
    path = tmp_path / "a.npz"
    for save in (np.savez, np.save):
        with open(path, "wb") as file:
            save(file, np.ones(3))
        with pytest.raises(ValueError, match=r"a\.npz is damaged or is no checkpoint of a sweep"):
            sweep(slope, POINTS, lanes=2, chunk_size=2, checkpoint=path)
    path.unlink()
    for change in (dict(format="optdyn.swept 2"), dict(done=19), dict(made_by={})):
        sweep(slope, POINTS, lanes=2, chunk_size=2, checkpoint=path)
        rewrite(path, **change)
        with pytest.raises(ValueError, match="is damaged"):
            sweep(slope, POINTS, lanes=2, chunk_size=2, checkpoint=path)
        path.unlink()


def test_what_another_run_is_writing_is_left_alone(tmp_path):
    names = (".a.npz.0123abcd.tmp", ".a.npz.01234567.tmp", ".other.npz.01234567.tmp")
    names += (".a.npz.notes.tmp", ".a.npz.0123abcd0.tmp", ".abnpz.0123abcd.tmp", ".a.npz.tmp")
    ours, theirs, *free = (tmp_path / name for name in names)
    for file in (ours, theirs, *free):
        file.write_bytes(b"x")
    with open(theirs, "rb") as held:
        files.fcntl.flock(held, files.fcntl.LOCK_EX)
        sweep(slope, POINTS, lanes=9, chunk_size=9, checkpoint=tmp_path / "a.npz")
    assert not ours.exists() and theirs.exists() and all(file.exists() for file in free)


def called_back(x):
    return jax.pure_callback(lambda x: 2 * x, jax.ShapeDtypeStruct((), x.dtype), x,
                             vmap_method="sequential")  # fmt: skip


def printed(x):
    jax.debug.print("{x}", x=x)
    return 2 * x


@pytest.mark.parametrize("fn", [called_back, printed])
def test_what_calls_back_to_python_has_no_checkpoint(tmp_path, fn):
    with pytest.raises(ValueError, match=r"^fn: calls back to Python .* leave checkpoint out"):
        sweep(fn, np.arange(4.0), lanes=2, chunk_size=2, checkpoint=tmp_path / "a.npz")
    assert not list(tmp_path.iterdir())
    assert sweep(fn, np.arange(4.0), lanes=2, chunk_size=2).tolist() == [0.0, 2.0, 4.0, 6.0]


# --- what goes wrong ----------------------------------------------------------------------------


@pytest.fixture
def interrupting(monkeypatch):
    """Ctrl-C while the third chunk is reported."""

    def show(done):
        if done == 6:
            raise KeyboardInterrupt

    monkeypatch.setattr(module, "_progress", lambda *_: show)
    return monkeypatch


def test_an_interruption_is_kept(tmp_path, interrupting, capsys):
    path = tmp_path / "a.npz"
    with pytest.raises(KeyboardInterrupt):
        sweep(slope, POINTS, lanes=2, chunk_size=2, checkpoint=path)
    assert done(path) == 6
    said = capsys.readouterr().out
    assert f"after 6 of 20 points; they are kept in {path}: the same call goes on" in said
    interrupting.undo()
    same(
        sweep(slope, POINTS, lanes=2, chunk_size=2, checkpoint=path),
        sweep(slope, POINTS, lanes=2, chunk_size=2),
    )


def test_an_interruption_without_a_checkpoint_says_how_to_have_one(interrupting, capsys):
    with pytest.raises(KeyboardInterrupt):
        sweep(slope, POINTS, lanes=2, chunk_size=2)
    assert "give checkpoint=PATH" in capsys.readouterr().out


def test_an_interruption_of_the_writing_leaves_nothing_behind(tmp_path, monkeypatch):
    path, fsync, calls = tmp_path / "a.npz", os.fsync, itertools.count()

    def interrupted(file):
        if next(calls) == 1:
            raise KeyboardInterrupt
        fsync(file)

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sweep(slope, POINTS, lanes=20, chunk_size=20, checkpoint=path)
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]
    assert done(path) == 20


def test_a_full_disk(tmp_path, monkeypatch):
    resource = pytest.importorskip("resource")
    path = tmp_path / "a.npz"
    monkeypatch.setattr(module, "WRITE_EVERY", 0.0)
    monkeypatch.setattr(module, "WRITE_TIMES", 0.0)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, hard))  # room for ten points, not for 20
    try:
        with pytest.raises(OSError, match=r"checkpoint: cannot write .*a\.npz \(File too large\)"):
            sweep(wide, np.arange(20.0), lanes=5, chunk_size=5, checkpoint=path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]
    assert done(path) == 10
    assert sweep(wide, np.arange(20.0), lanes=5, chunk_size=5, checkpoint=path)[-1, 0] == 19.0


@pytest.mark.parametrize("name", ["replace", "fsync"])
def test_a_file_that_cannot_be_written_is_found_out_before_computing(tmp_path, monkeypatch, name):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, name, full)
    monkeypatch.setattr(module, "_progress", lambda *_: pytest.fail("it computes"))
    with pytest.raises(OSError, match=r"a\.npz \(No space left on device\); .*make room") as caught:
        sweep(slope, POINTS, lanes=2, chunk_size=2, checkpoint=tmp_path / "a.npz")
    assert caught.value.errno == 28
    assert not list(tmp_path.iterdir())


def test_folders_that_are_not_there_or_not_ours(tmp_path, monkeypatch):
    call = dict(fn=slope, points=POINTS, lanes=2, chunk_size=2)
    with pytest.raises(OSError, match=r"there is no folder .*missing; make it first"):
        sweep(**call, checkpoint=tmp_path / "missing" / "a.npz")
    with pytest.raises(OSError, match="is a folder, a file is needed"):
        sweep(**call, checkpoint=tmp_path)
    if Path("/proc").is_dir():  # nobody, not even root, writes here
        with pytest.raises(OSError, match=r"cannot write /proc/a\.npz"):
            sweep(**call, checkpoint="/proc/a.npz")
    with pytest.raises(TypeError, match="checkpoint: got 3, a path is needed"):
        sweep(**call, checkpoint=3)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (dict(chunk_size=0), "chunk_size: got 0"),
        (dict(chunk_size=True), "chunk_size: got True"),
        (dict(chunk_size=2.0), r"chunk_size: got 2\.0"),
        (dict(lanes=0), "lanes: got 0"),
        (dict(lanes=2.0), r"lanes: got 2\.0"),
        (dict(memory=2**20), "memory: got 1048576, and chunk_size=2 as well, only one"),
        (dict(chunk_size=None, memory=0), "memory: got 0"),
        (dict(chunk_size=None, memory=1e9), r"memory: got 1000000000\.0"),
        (dict(devices=[]), r"devices: got \[\], a sequence of JAX's devices"),
        (dict(devices=2), "devices: got 2, a sequence"),
        (dict(devices=["cpu"]), r"devices: got \['cpu'\], a sequence"),
        (dict(devices=2 * jax.devices()[:1]), "devices: got .*, each may be there once"),
        (dict(fn=3), "fn: got 3, a function"),
        (dict(fn=lambda a: a), r"fn: takes \(a\), but is called by keyword, fn\(a=, b=\)"),
        (dict(fn=lambda a, b: None), "fn: returned None"),
        (dict(fn=lambda a, b: ()), r"fn: returned \(\)"),
        (dict(fn=lambda a, b: {"c": "no"}), r"fn: returned 'no' at result\['c'\]"),
        (dict(fn=lambda a, b: jax.random.key(0)), "fn: returned PRNG keys"),
        (dict(points={}), "points: got {}"),
        (dict(points=None), "points: got None"),
        (dict(points=dict(a=np.ones(3), b=np.ones(4))), r"points\['b'\]: got 4 points, .* has 3"),
        (dict(points=dict(a=np.ones(0), b=np.ones(0))), r"points\['a'\]: got shape \(0,\)"),
        (dict(points=dict(a=1.0, b=np.ones(4))), r"points\['a'\]: got one float32 value"),
        (dict(points=dict(a=[1.0], b=np.ones(4))), r"points\['a'\]\[0\]: .* numpy\.asarray"),
        (dict(points=dict(a=np.array([None]), b=np.ones(1))), r"points\['a'\]: .* type object"),
        (dict(points=dict(a=np.array(["x"]), b=np.ones(1))), r"points\['a'\]: .* type <U1"),
        (dict(points=dict(a=np.ma.ones(1), b=np.ones(1))), r"points\['a'\]: got a masked array"),
        (dict(points=dict(a=np.array([2**40]), b=np.ones(1))), "1099511627776, .* not fit int32"),
        (dict(points={1: np.ones(3)}), "keywords must be strings"),
        (dict(title=3), "title: got 3"),
    ],
)
def test_bad_input_is_named(change, says):
    with pytest.raises((TypeError, ValueError), match=says):
        sweep(**dict(fn=lambda a, b: a, points=POINTS, lanes=2, chunk_size=2) | change)


def test_bad_axes_are_named():
    for axes, says in [
        ({}, "axes: got none"),
        (dict(a=[]), r"a: got shape \(0,\)"),
        (dict(a=3), "a: got one int32 value"),
        (dict(a=["x"]), "a: got values of type <U1"),
        (dict(a=[[1], [1, 2]]), "a: got a ragged sequence"),
    ]:
        with pytest.raises((TypeError, ValueError), match=says):
            grid(**axes)


def test_traced_points_are_refused():
    with pytest.raises(TypeError, match="points: got a traced value"):
        jax.jit(lambda x: sweep(jnp.sin, x, lanes=2, chunk_size=2))(jnp.ones(3))
    with pytest.raises(TypeError, match="points: got a traced value"):
        jax.jit(lambda key: sweep(jax.random.normal, jax.random.split(key), lanes=2, chunk_size=2))(
            jax.random.key(0)
        )


# --- the bar ------------------------------------------------------------------------------------


def test_the_bar_shows_after_five_seconds_on_standard_output(clock, capfd):
    sweep(slope, POINTS, lanes=2, chunk_size=2, title="Sines")
    out, err = capfd.readouterr()
    assert err == ""
    assert out.endswith("\n") and out.count("\n") == 1
    lines = [line.rstrip() for line in out.strip("\n").split("\r")[1:]]
    assert lines[0].startswith("Sines: [##########          ] 10/20 points, 50 %, ")
    assert all(line.endswith(" s left") for line in lines)
    assert lines[-1] == "Sines: [####################] 20/20 points, 100 %, 0 s left"


def test_the_time_left_leaves_out_what_was_done_before(tmp_path, interrupting, clock, capsys):
    with pytest.raises(KeyboardInterrupt):
        sweep(slope, POINTS, lanes=2, chunk_size=2, checkpoint=tmp_path / "a.npz")
    interrupting.undo()
    interrupting.delenv("OPTDYN_BOOK", raising=False)  # undo has brought it back
    capsys.readouterr()
    now = itertools.count(0, 60)
    interrupting.setattr(module, "_clock", lambda: float(next(now)))
    sweep(slope, POINTS, lanes=7, chunk_size=7, checkpoint=None)
    assert "7/20 points, 35 %, " in capsys.readouterr().out
    show = module._progress("", 10, 20)  # ten were there
    capsys.readouterr()
    show(12)  # two in one minute: four minutes for the other eight
    assert "12/20 points, 60 %, 4 min left" in capsys.readouterr().out


def test_the_bar_is_drawn_again_after_a_while_and_at_the_end(monkeypatch, capsys):
    times = iter([0.0, 5.0, 5.1, 5.2, 5.31, 5.4])
    monkeypatch.setattr(module, "_clock", lambda: next(times))
    show = module._progress("", 0, 5)
    for done in range(1, 6):
        show(done)
    out = capsys.readouterr().out
    assert [line.split("] ")[1].split()[0] for line in out.split("\r")[1:]] == ["2/5", "4/5", "5/5"]


def test_a_short_run_and_the_book_show_nothing(clock, capfd, monkeypatch):
    clock.tick = 0.1
    sweep(slope, POINTS, lanes=2, chunk_size=2)
    clock.tick = 100.0
    monkeypatch.setenv("OPTDYN_BOOK", "1")
    sweep(slope, POINTS, lanes=2, chunk_size=2)
    assert capfd.readouterr() == ("", "")
