"""optdyn.sweep over devices and chunks: the same bits however it is cut, and out of memory."""

from importlib import import_module

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optdyn.cycles import lyapunov_exponent
from optdyn.sweep import sweep
from sweep_host import (
    CASES,
    FUNCTIONS,
    SOME,
    enable_x64,
    finish,
    flat,
    found,
    numbers,
    out_of_memory,
    slope,
    start,
    stopped,
    swept,
)

module = import_module("optdyn.sweep")


@pytest.fixture(autouse=True)
def no_book(monkeypatch):
    monkeypatch.delenv("OPTDYN_BOOK", raising=False)


def same(one, other):
    one, other = flat("", one), flat("", other)
    assert one.keys() == other.keys() and one
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])
    return True


# --- the same bits ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FUNCTIONS)
def test_no_bit_depends_on_the_chunks(name):
    x64 = name in ("transcendental", "learned", "kinds")
    whole = swept((name, x64, 5, 83), chunk_size=1000)
    for chunk_size in (1, 13):
        assert same(swept((name, x64, 5, 83), chunk_size=chunk_size), whole)
    with enable_x64(x64):  # other programs: the numbers, not the bits
        other = jax.vmap(FUNCTIONS[name])(numbers(83, x64))
        for x, y in zip(jax.tree.leaves(whole), jax.tree.leaves(other), strict=True):
            if x.dtype.kind == "f":
                np.testing.assert_allclose(x, y, rtol=1e-9 if x64 else 2e-3, atol=1e-3)


def test_what_a_compiler_would_fuse_with_the_chunk(tmp_path):
    """In a loop over the blocks of a chunk this function has other bits in chunks of one block than
    in others (JAX 0.10.2 on a CPU)."""

    def plain(x):
        return jnp.sin(x) * x + jnp.exp(x)

    for lanes in (1, 5, 37):
        one = sweep(plain, numbers(333, False), lanes=lanes, chunk_size=1)
        for blocks in (2, 5, 400):
            size = blocks * lanes
            assert same(sweep(plain, numbers(333, False), lanes=lanes, chunk_size=size), one)


def test_chaos_shows_the_last_bit():
    """A chaotic orbit doubles a difference in the last place every step or two."""
    z = np.array([1.0, 1.0, 1.0, -1.0])

    def exponent(step_size):
        return lyapunov_exponent(0.1, z, step_size=step_size, n_transient=300, n_steps=500)

    with enable_x64(True):
        steps = np.linspace(4, 20, 320)
        one, two, all_ = (
            sweep(exponent, steps, lanes=64, chunk_size=64 * blocks) for blocks in (1, 2, 5)
        )
        assert (one > 0.1).any()  # there is chaos
    assert same(one, two) and same(one, all_)


def test_eight_devices_compute_the_bits_of_one_and_go_on_where_it_stopped(tmp_path):
    with stopped(after=30):
        sweep(slope, SOME, lanes=3, chunk_size=3, checkpoint=tmp_path / "one.npz")
    [run] = start(tmp_path, "devices", devices=8)
    expected = {}
    for i, case in enumerate(CASES):
        result = swept(case, chunk_size=7 * case[2])
        expected |= flat(f"all {i}", result)
        expected |= flat(f"three {i}", result) if i % 4 == 0 else {}
    whole = sweep(slope, SOME, lanes=3)
    expected |= flat("resumed", whole)
    finish([run])
    results, said = found(tmp_path)
    assert said == {"devices": 8, "computed": list(range(8))}
    assert results.keys() == expected.keys()
    wrong = [name for name in expected if not np.array_equal(expected[name], results[name])]
    assert not wrong, [(name, CASES[int(name.split()[1].split(".")[0])]) for name in wrong]
    with np.load(tmp_path / "eight.npz") as file:  # and the other way round
        assert len(file["result_0"]) == 48
    assert same(sweep(slope, SOME, lanes=3, checkpoint=tmp_path / "eight.npz"), whole)


def test_a_checkpoint_goes_on_with_other_chunks(tmp_path):
    whole = sweep(slope, SOME, lanes=4)
    for how in (dict(chunk_size=4), dict(chunk_size=50), dict(memory=1000), {}):
        path = tmp_path / "a.npz"
        with stopped(after=20):
            sweep(slope, SOME, lanes=4, chunk_size=12, checkpoint=path)
        assert same(sweep(slope, SOME, lanes=4, checkpoint=path, **how), whole)
        path.unlink()


# --- what is computed at once ---------------------------------------------------------------------


def test_the_default_lanes_depend_on_the_number_of_points_alone():
    for n, lanes in [(1, 1), (20, 20), (256, 256), (257, 256), (4096, 256), (4097, 512)]:
        assert module._default_lanes(n) == lanes
    assert module._default_lanes(10**5) == 8192
    assert module._default_lanes(2**18) == module._default_lanes(10**9) == 16384
    seen = []
    sweep(lambda x: seen.append(x.shape) or x, np.arange(5_000.0), chunk_size=1)
    with out_of_memory(99) as slots:
        a = sweep(lambda x: jnp.sin(x), np.arange(5_000.0), chunk_size=1)
        b = sweep(lambda x: jnp.sin(x), np.arange(5_000.0), lanes=512, chunk_size=1_500)
    assert slots == [1, 3] and same(a, b)  # the last chunk is one block as well


@pytest.mark.parametrize(
    ("chunk_size", "slots"), [(1, 1), (4, 1), (5, 2), (8, 2), (9, 3), (90, 23), (10**6, 23)]
)
def test_chunks_are_whole_blocks(chunk_size, slots):
    with out_of_memory(99) as seen:
        sweep(slope, SOME, lanes=4, chunk_size=chunk_size)
    assert seen[0] == slots


def test_memory_has_room_for_points_results_and_what_the_program_needs(monkeypatch):
    def wide(x):
        return jnp.full(1000, x)

    def needy(x):  # 80 kB for each point, beside 4 bytes of result
        v = jnp.sin(x * jnp.arange(20_000.0))
        return jnp.sort(v)[7]

    found, slots = [], module._slots

    def watched(job, team, memory, program):
        room = slots(job, team, memory, program)
        found.append((module._needed(program), sum(module._block_bytes(job, team)), room))
        return room

    monkeypatch.setattr(module, "_slots", watched)
    points = np.linspace(0.0, 1.0, 400, dtype=np.float32)
    sizes = []
    for fn, memory in [(wide, 2**18), (wide, 2**20), (wide, 2**30), (needy, 2**21), (needy, 9)]:
        sweep(fn, points, lanes=10, memory=memory)
        needed, block, room = found[-1]
        assert room == 1 or needed + (room - 1) * block <= memory < needed + room * block
        sizes.append(room)
    assert 1 < sizes[0] < sizes[1] < sizes[2] and sizes[3:] == [sizes[3], 1]
    assert found[3][0] > 10 * 80_000 > 10 * found[3][1]  # what the block needs for itself counts


def test_what_a_device_says_is_free(monkeypatch):
    class Device:
        def __init__(self, stats):
            self.memory_stats = lambda: stats

    for stats, free in [
        (None, 2**30),
        (dict(bytes_limit=3000, bytes_in_use=1000), 1000),
        (dict(bytes_limit=10**12, bytes_in_use=5), 2**30),
        (dict(bytes_limit=5, bytes_in_use=5), 1),
    ]:
        with monkeypatch.context() as patch:
            patch.setattr(jax, "local_devices", lambda stats=stats: [Device(stats)])
            assert module._free() == free


def test_without_a_size_chunks_last_about_two_seconds(monkeypatch):
    now, works = [0.0], []
    compute = module._compute

    def slow(*given):
        works.append(given[-1])
        now[0] += 0.5 * works[-1]
        return compute(*given)

    monkeypatch.setattr(module, "_clock", lambda: now[0])
    monkeypatch.setattr(module, "_compute", slow)
    sweep(slope, SOME, lanes=4)
    assert works == [1, 4, 4, 4, 4, 4, 2]


# --- out of memory ------------------------------------------------------------------------------


def test_out_of_memory_half_as_many_blocks_run_at_once(capsys, tmp_path):
    whole = sweep(slope, SOME, lanes=4, chunk_size=32)
    with out_of_memory(2) as slots:
        result = sweep(slope, SOME, lanes=4, chunk_size=32, checkpoint=tmp_path / "a.npz")
    assert slots[:3] == [8, 4, 2] and same(result, whole)
    said = capsys.readouterr().out.split("\n")
    assert [line for line in said if line] == [
        "Out of memory with 8 blocks of 4 points at once on each device: going on with 4.",
        "Out of memory with 4 blocks of 4 points at once on each device: going on with 2.",
    ]


def test_out_of_memory_later_it_goes_on_from_the_same_point(monkeypatch):
    shown = []
    whole = sweep(slope, SOME, lanes=4, chunk_size=12)
    monkeypatch.setattr(module, "_progress", lambda *_: shown.append)
    with out_of_memory(2, only_after=3) as slots:
        assert same(sweep(slope, SOME, lanes=4, chunk_size=12), whole)
    assert slots == [3, 1] and shown[:5] == [12, 24, 36, 40, 44] and shown[-1] == 92


@pytest.mark.parametrize("when", ["compile", "run"])
def test_out_of_memory_with_one_block_the_lanes_are_named(tmp_path, when):
    path = tmp_path / "a.npz"
    with (
        out_of_memory(0, when, only_after=1),
        pytest.raises(MemoryError, match=r"lanes: got 4, .* \(RESOURCE_EXH.*; give lanes=2 and, "),
    ):
        sweep(slope, SOME, lanes=4, chunk_size=4, checkpoint=path)
    with np.load(path) as file:  # what was done is kept
        assert len(file["result_0"]) == (4 if when == "run" else 0)
    assert same(sweep(slope, SOME, lanes=4, checkpoint=path), sweep(slope, SOME, lanes=4))
    with out_of_memory(0, when), pytest.raises(MemoryError, match=r"got 1, .*; use less memory in"):
        sweep(slope, SOME, lanes=1, chunk_size=4)


def test_another_error_of_the_device_is_passed_on(monkeypatch):
    def broken(*_):
        raise jax.errors.JaxRuntimeError("INTERNAL: no")

    monkeypatch.setattr(module, "_lowered", lambda *_: type("", (), {"compile": broken}))
    with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL: no"):
        sweep(slope, SOME, lanes=4)
