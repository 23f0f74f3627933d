"""optdyn.checkpoint by itself; kills, full disks and damaged files are in test_sweep.py."""

import json
import zipfile

import jax.numpy as jnp
import numpy as np
import pytest

from optdyn import checkpoint


def test_what_is_written_is_read(tmp_path):
    kept = [np.arange(6.0).reshape(3, 2), np.asarray(jnp.arange(3, dtype=jnp.bfloat16))]
    checkpoint.write(tmp_path / "a.npz", {"lanes": "2"}, kept, 2)
    found = [np.zeros_like(x) for x in kept]
    assert checkpoint.read(tmp_path / "a.npz", {"lanes": "2"}, found) == 2
    for x, y in zip(kept, found, strict=True):
        assert x[:2].tobytes() == y[:2].tobytes() and not y[2:].any()
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]


def test_the_file_of_another_version_is_named_as_such(tmp_path):
    path, header = tmp_path / "a.npz", {"format": "optdyn.sweep 1", "done": 1, "made_by": {}}
    np.savez(path, header=np.array(json.dumps(header)), result_0=np.ones(1))
    says = r"a\.npz is of another sweep: format was optdyn\.sweep 1 and is optdyn\.sweep 2; delete"
    with pytest.raises(ValueError, match=says):
        checkpoint.read(path, {"lanes": "2"}, [np.ones(3)])


def test_an_error_of_the_disk_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    checkpoint.write(path, {}, [np.arange(3.0)], 2)
    before = path.read_bytes()

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "open", full)
    with pytest.raises(OSError, match=r"cannot write .*a\.npz \(No space left on device\)"):
        checkpoint.write(path, {}, [np.arange(3.0)], 3)
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["a.npz"]
