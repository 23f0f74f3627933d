"""The page "Past one machine": its script alone and as two processes, its files, its commands."""

from __future__ import annotations

import importlib.util
import inspect
import json
import os
import random
import re
import shlex
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

from optdyn.sweep import sweep

ROOT = Path(__file__).resolve().parents[1]
SCALE = ROOT / "book" / "scale"
SCRIPT = SCALE / "valley_sweep.py"
PAGE = (ROOT / "book" / "many_machines.md").read_text("utf8")
SMALL = ["--seeds", "200", "--steps", "200"]  # 800 points, four blocks
PATIENCE = 300  # seconds until processes that wait for each other count as hanging

spec = importlib.util.spec_from_file_location("valley_sweep", SCRIPT)
valley_sweep = importlib.util.module_from_spec(spec)
spec.loader.exec_module(valley_sweep)


def surroundings(folder: Path) -> dict[str, str]:
    """The variables of a process: `python` is this one, JAX has one CPU and no cluster."""
    binaries = folder / "bin"
    binaries.mkdir(exist_ok=True)
    executable(binaries / "python", f'exec {shlex.quote(sys.executable)} "$@"')
    unwanted = ("_proxy", "slurm", "jax_", "xla_flags", "kubernetes", "optdyn")
    kept = {k: v for k, v in os.environ.items() if not any(x in k.lower() for x in unwanted)}
    path = f"{binaries}{os.pathsep}{os.environ['PATH']}"
    return {**kept, "PATH": path, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT / "lib")}


def executable(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/bash\n{script}\n")
    path.chmod(0o755)


def free_port(low: int = 20_000, high: int = 60_000) -> int:
    """A port that nobody listens on."""
    while True:
        port = random.randrange(low, high)
        with socket.socket(socket.AF_INET6 if socket.has_ipv6 else socket.AF_INET) as one:
            try:
                one.bind(("", port))
            except OSError:
                continue
            return port


def together(commands: list[list[str]], env: dict[str, str]) -> list[str]:
    """Run commands side by side, each to a good end; what they printed."""
    started = [
        subprocess.Popen(
            command, env=env, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        for command in commands
    ]
    until = time.monotonic() + PATIENCE
    try:
        said = [each.communicate(timeout=until - time.monotonic())[0] for each in started]
    finally:
        for each in started:
            each.kill()
            each.wait()
    assert [each.returncode for each in started] == [0] * len(started), "\n".join(said)
    return said


def whole(folder: Path) -> dict[str, bytes]:
    """The files that a run leaves: the results and the checkpoint."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> dict[str, bytes]:
    """What the script leaves that runs by itself."""
    folder = tmp_path_factory.mktemp("alone")
    (said,) = together(
        [["python", str(SCRIPT), str(folder / "valley.npy"), *SMALL]], surroundings(folder)
    )
    assert "process 0 of 1" in said and "1 of 1 devices, all 800 results" in said
    assert len(re.findall(r"^kappa .* at rest; the law says", said, re.M)) == 4
    with np.load(folder / "valley.checkpoint.npz") as file:
        made_by = json.loads(str(file["header"]))["made_by"]
    assert 800 // int(made_by["lanes"]) >= 2, "one block says nothing of how blocks are shared out"
    files = whole(folder)
    assert set(files) == {"valley.npy", "valley.checkpoint.npz"}
    return files


def same_as_alone(said: list[str], folder: Path, alone: dict[str, bytes]) -> None:
    """Two processes took part, both have all results, and these are those of one, bit for bit."""
    lines = re.findall(r"process (\d) of 2 on .*: 1 of 2 devices, (.*)", "\n".join(said))
    assert sorted(index for index, _ in lines) == ["0", "1"]
    assert len({what for _, what in lines}) == 1 and "all 800 results" in lines[0][1]
    assert whole(folder) == alone


def test_two_processes_on_loopback_give_the_same_bits(tmp_path, alone):
    address = f"127.0.0.1:{free_port()}"
    command = ["python", str(SCRIPT), str(tmp_path / "valley.npy"), *SMALL, "--join", address, "2"]
    said = together([[*command, "0"], [*command, "1"]], surroundings(tmp_path))
    same_as_alone(said, tmp_path, alone)


def test_the_script_finds_what_the_law_says(tmp_path, monkeypatch, capsys):
    out = tmp_path / "valley.npy"
    valley_sweep.main(valley_sweep.options([str(out), "--seeds", "40", "--steps", "6000"]))
    found = np.load(out)
    assert found.shape == (4, 40) and found.dtype == np.float32
    for row, kappa in zip(found, (0.0, 0.3, 0.5, 0.7), strict=True):
        assert row.mean() == pytest.approx(7 / (10 + 4 * kappa / (1 - kappa) ** 2), abs=0.03)
    assert capsys.readouterr().out.count("at rest; the law says") == 4


def test_the_script_refuses_half_a_join(capsys):
    with pytest.raises(SystemExit):
        valley_sweep.options(["valley.npy", "--join", "127.0.0.1:5555", "2"])
    assert "--join takes HOST:PORT PROCESSES INDEX, or nothing" in capsys.readouterr().err


# --- Slurm ----------------------------------------------------------------------------------

SRUN = """
while [[ $1 == --* ]]; do shift; done
export SLURM_JOB_ID={job} SLURM_STEP_NODELIST=localhost SLURM_NTASKS=2
logs={logs}
for i in 0 1; do SLURM_PROCID=$i SLURM_LOCALID=$i "$@" &> "$logs/$i" & tasks+=($!); done
for task in "${{tasks[@]}}"; do wait "$task" || failed=1; done
cat "$logs/0" "$logs/1"  # one after the other: Gloo writes in pieces of lines
exit ${{failed:-0}}
"""


def test_the_batch_file_runs_under_an_srun_of_two_local_tasks(tmp_path, alone):
    batch = SCALE / "job.sbatch"
    assert subprocess.run(["bash", "-n", batch]).returncode == 0
    env = surroundings(tmp_path)
    job = free_port(61_440, 65_536) - 61_440  # from it JAX makes the coordinator's port
    logs = tmp_path / "bin" / "logs"
    logs.mkdir()
    executable(tmp_path / "bin" / "srun", SRUN.format(job=job, logs=shlex.quote(str(logs))))
    said = together([["bash", str(batch), str(tmp_path / "valley.npy"), *SMALL]], env)
    same_as_alone(said, tmp_path, alone)


def test_the_batch_file_asks_for_a_task_a_gpu_and_hides_none():
    lines = (SCALE / "job.sbatch").read_text("utf8").splitlines()
    asked = [line.split()[1] for line in lines if line.startswith("#SBATCH ")]
    first = next(i for i, line in enumerate(lines) if not line.startswith("#"))
    assert not any(line.startswith("#SBATCH") for line in lines[first:]), "Slurm reads no further"
    settings = dict(setting.lstrip("-").partition("=")[::2] for setting in asked)
    assert settings["ntasks-per-node"] == settings["gpus-per-node"]
    assert not {"gpus-per-task", "gpu-bind"} & set(settings)
    assert "requeue" in settings


# --- Kubernetes -----------------------------------------------------------------------------


def test_the_manifest_starts_processes_that_find_each_other(tmp_path, alone):
    service, job = yaml.safe_load_all((SCALE / "job.yaml").read_text("utf8"))
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert (service["kind"], job["kind"]) == ("Service", "Job")
    assert job["apiVersion"] == "batch/v1" and job["spec"]["completionMode"] == "Indexed"
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["selector"] == {"job-name": job["metadata"]["name"]}
    assert pod["subdomain"] == service["metadata"]["name"]
    assert pod["restartPolicy"] in ("Never", "OnFailure")  # a Job's pods know no other
    assert all(isinstance(word, str) for word in container["command"] + container["args"])
    (mount,) = container["volumeMounts"]
    assert mount["name"] in {volume["name"] for volume in pod["volumes"]}

    program, script = container["command"]
    assert program == "python" and script == "/book/scale/valley_sweep.py"  # COPY . /book: below
    chosen = valley_sweep.options(container["args"])
    address, processes, index = chosen.join
    assert str(chosen.out).startswith(mount["mountPath"])
    assert int(processes) == job["spec"]["completions"] == job["spec"]["parallelism"]
    host, _, port = address.partition(":")
    assert host == f"{job['metadata']['name']}-0.{service['metadata']['name']}"
    assert index == "$(JOB_COMPLETION_INDEX)" and 1024 < int(port) < 65_536

    local = {
        str(chosen.out): str(tmp_path / "valley.npy"),
        address: f"127.0.0.1:{free_port()}",
        processes: "2",
        f"--seeds={chosen.seeds}": "--seeds=200",
    }
    words = [local.get(word, word) for word in container["args"]]
    assert sum(old != new for old, new in zip(container["args"], words, strict=True)) == 4
    env = {**surroundings(tmp_path), "KUBERNETES_SERVICE_HOST": "10.0.0.1"}  # as in every pod
    commands = [
        ["python", str(SCRIPT), "--steps=200", *(w.replace(index, i) for w in words)] for i in "01"
    ]
    same_as_alone(together(commands, env), tmp_path, alone)


# --- the page -------------------------------------------------------------------------------


def test_the_page_shows_every_file_and_its_commands_are_understood():
    shown = set(re.findall(r"^```\{literalinclude\} scale/(\S+)$", PAGE, re.M))
    assert shown == {path.name for path in SCALE.iterdir() if path.is_file()}
    commands = re.findall(r"^(?:\w+=\S+ )?python book/scale/valley_sweep\.py (.*)$", PAGE, re.M)
    assert len(commands) == 5
    for command in commands:
        valley_sweep.options(shlex.split(command, comments=True))
    (batch,) = re.findall(r"^sbatch book/scale/job\.sbatch (.*)$", PAGE, re.M)
    valley_sweep.options([*shlex.split(batch), "--join"])


def test_the_page_names_the_arguments_of_a_sweep():
    arguments = set(inspect.signature(sweep).parameters) - {"fn", "points", "title"}
    assert arguments == {"lanes", "chunk_size", "memory", "devices", "checkpoint"}
    for name in arguments - {"checkpoint"}:
        assert f"`{name}`" in PAGE or f"{name}=" in PAGE
