"""The data sets: shapes, whole numbers, and that every table row cycles as it says, in NumPy."""

import numpy as np
import pytest
from scipy.special import expit

from optdyn import datasets

TABLES = {
    name: getattr(datasets, name)
    for name in (
        "OUTLIER_CYCLES",
        "LONG_CYCLES",
        "WALL_CYCLES",
        "INTERCEPT_CYCLES",
        "SPHERE_CYCLES",
    )
}


def test_the_tables_are_whole():
    assert {name: len(rows) for name, rows in TABLES.items()} == {
        "OUTLIER_CYCLES": 20,
        "LONG_CYCLES": 9,
        "WALL_CYCLES": 6,
        "INTERCEPT_CYCLES": 9,
        "SPHERE_CYCLES": 6,
    }


@pytest.mark.parametrize("name", TABLES)
def test_the_start_ends_on_a_cycle_of_the_period_named(name):
    for known in TABLES[name]:
        z = known.points.z.reshape(len(known.points.z), -1)
        p = known.points.multiplicities / known.points.multiplicities.sum()
        w = np.array(np.atleast_1d(known.start), float)
        orbit = []
        for _ in range(4_000):
            w = w + float(known.step_size) * (p * expit(-z @ w)) @ z
            orbit.append(w)
        gap = [np.abs(orbit[-1 - k] - w).max() for k in range(1, known.period + 1)]
        assert gap[-1] < 1e-9 * (1 + np.abs(w).max()), known
        assert min(gap[:-1]) > 1e-3 * np.abs(w).max(), known


@pytest.mark.parametrize("known", datasets.SPHERE_CYCLES, ids=lambda k: f"{k.gamma}")
def test_points_on_the_sphere_have_equal_norms_exactly(known):
    assert len(set((known.points.z**2).sum(axis=1).tolist())) == 1


def test_all_is_in_whole_numbers():
    for rows in TABLES.values():
        for known in rows:
            assert known.points.z.dtype.kind == known.points.multiplicities.dtype.kind == "i"


def test_orings():
    raw, scaled = datasets.orings(raw=True), datasets.orings()
    assert raw.shape == scaled.shape == (23, 2)
    assert (raw[:, 1] > 0).sum() == 7
    temperature = scaled[:, 0] * scaled[:, 1]
    assert abs(temperature.mean()) < 1e-12 and abs(temperature.std() - 1) < 1e-12
    assert np.abs(np.corrcoef(temperature, raw[:, 0] * raw[:, 1])[0, 1] - 1) < 1e-12


def test_the_tables_cannot_be_edited():
    for rows in TABLES.values():
        for known in rows:
            for array in known.points:
                with pytest.raises(ValueError, match="read-only"):
                    array[0] = 7
    mine = datasets.outlier(2, 1, 10)
    mine.z[0] = 7  # not a table's
    assert datasets.outlier(2, 1, 10).z[0] == 1


def test_whole_numbers_of_numpy_stay_whole():
    points = datasets.sphere(np.int64(2), 4, 200, norm=np.int64(37))
    assert points.z.dtype.kind == "i"
    assert points.z.tolist() == datasets.sphere(2, 4, 200).z.tolist()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: datasets.outlier(0, 1, 10), "m_plus: got 0"),
        (lambda: datasets.outlier(2, 1, 10.5), "size: got 10.5"),
        (lambda: datasets.walls(20, -4, 15, 4), "margin: got -4"),
        (lambda: datasets.intercept(2, 10, 12), "n_positive: got 2"),
        (lambda: datasets.sphere(4, 1, 1), "dim: got 4"),
        (lambda: datasets.sphere(2, 1, 1, norm=5), "norm: got 5"),
        (lambda: datasets.sphere(2, 4, 200, norm=37.0), "norm: got 37.0, a whole number"),
        (lambda: datasets.sphere(2.0, 4, 200), "dim: got 2.0, a whole number"),
        (lambda: datasets.sphere(True, 4, 200), "dim: got True, a whole number"),
    ],
)
def test_bad_input_is_refused_by_name(call, words):
    with pytest.raises((TypeError, ValueError), match=words):
        call()
