"""Where noise rests in the widening valley, on all devices of one process or of many.

python valley_sweep.py valley.npy                                     # this machine
python valley_sweep.py valley.npy --join HOST:PORT PROCESSES INDEX    # one process of several
srun python valley_sweep.py valley.npy --join                         # the same, told by Slurm
"""

import argparse
import hashlib
import os
import socket
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from optdyn import descent, landscapes, stationarity
from optdyn.sweep import grid, sweep

KAPPAS = np.array([0.0, 0.3, 0.5, 0.7])  # the noise's memory
DIM, STEP_SIZE, SIGMA, START = 8, 0.0025, 0.2**0.5, 300.0  # START: |u|^2
VALLEY = landscapes.widening_valley()


def options(given: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path, help="the table, .npy; its checkpoint lies beside it")
    parser.add_argument("--seeds", type=int, default=1_000, help="runs for each memory")
    parser.add_argument("--steps", type=int, default=20_000, help="of a run, a multiple of 100")
    parser.add_argument("--join", nargs="*", metavar="X", help="HOST:PORT PROCESSES INDEX or none")
    chosen = parser.parse_args(given)
    if chosen.join and len(chosen.join) != 3:
        parser.error("--join takes HOST:PORT PROCESSES INDEX, or nothing")
    return chosen


def main(chosen: argparse.Namespace) -> None:
    if chosen.join:  # before anything asks JAX for its devices
        address, processes, index = chosen.join
        jax.distributed.initialize(
            address, int(processes), int(index), cluster_detection_method="deactivate"
        )
    elif chosen.join is not None:
        jax.distributed.initialize()

    def rest(kappa, key):
        """Mean of step_size |u|^2 / 2 over the second half of a run."""
        start = jnp.append(jnp.full(DIM, (START / DIM) ** 0.5), 0.0)
        half = descent.run(
            VALLEY.gradient, start, key, step_size=STEP_SIZE, sigma=SIGMA, kappa=kappa,
            n_steps=chosen.steps, record_every=chosen.steps // 100,
            observe=lambda w, z: STEP_SIZE / 2 * jnp.sum(z[:DIM] ** 2),
        )[51:]  # fmt: skip
        return jnp.mean(half)

    points = grid(kappa=KAPPAS, key=jax.random.split(jax.random.key(0), chosen.seeds))
    checkpoint = chosen.out.with_suffix(".checkpoint.npz")
    found = sweep(rest, points, checkpoint=checkpoint, title="valley").reshape(KAPPAS.size, -1)

    print(
        f"process {jax.process_index()} of {jax.process_count()} on {socket.gethostname()}: "
        f"{jax.local_device_count()} of {jax.device_count()} devices, all {found.size} results, "
        f"digest {hashlib.sha256(found.tobytes()).hexdigest()[:8]}",
        flush=True,
    )
    if jax.process_index() > 0:  # every process holds all results; one writes them
        return
    part = chosen.out.with_suffix(".part")
    with part.open("wb") as file:
        np.save(file, found)
    os.replace(part, chosen.out)
    for kappa, row in zip(KAPPAS, found, strict=True):
        a, b = stationarity.valley_beta(DIM, kappa)
        print(f"kappa {kappa}: {row.mean():.3f} at rest; the law says {a / (a + b):.3f}")


if __name__ == "__main__":
    main(options())
