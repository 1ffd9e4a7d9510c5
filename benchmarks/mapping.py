"""How fast and in how much memory a map is made: from 4 to 400 Mpx, on one process and on several, beside a script.

Every measurement runs in a process of its own, on made-up imagery of two dates that lie on different grids. The network
has random weights and costs what a trained one costs; what it finds is replaced by the roofs that were drawn, 40 to a
scene, so that buildings are as many as in xBD. ``plain`` reads windows with rasterio, runs the same network in eager
fp32 and writes classes, one after the other; ``reference`` does so with a ResNet-34 Siamese U-Net
(benchmarks/speed/contenders.py). Neither aligns dates, looks for clouds, blends windows, nor makes buildings.

    python benchmarks/mapping.py [--minutes 30] [--sides 2048 6144 10240 20480] [--workers 1 2] [--folder DIR]
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import subprocess
import sys
import tempfile
from contextlib import nullcontext
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from budget import Budget, add_minutes
from localstorage import local_storage
from mapped.contenders import Job
from mapped.imagery import write_imagery
from speed.contenders import OURS, shape

from siamese.allocator import allocator_environment
from siamese.manifests import Checkpoint
from siamese.store import ObjectStore

_PLAIN_WINDOWS = 4
"""Windows that the plain contenders map; their speed does not depend on the size."""


def main() -> None:
    """Prints one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="+", default=[2048, 6144, 10240, 20480], metavar="PX")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], metavar="N")
    parser.add_argument("--rounds", type=int, default=3, help="of the comparison with the plain scripts")
    parser.add_argument("--folder", type=Path, help="keep the imagery here; by default it is removed")
    add_minutes(parser)
    options = parser.parse_args()
    budget = Budget("mapping", options.minutes)
    with (
        nullcontext(options.folder) if options.folder else tempfile.TemporaryDirectory() as folder,
        local_storage() as store,
    ):
        os.environ["SIAMESE_HOME"] = str(store.settings.home)
        print(budget.record(_measured(options, budget, Path(folder), store)))


def _measured(options: argparse.Namespace, budget: Budget, folder: Path, store: ObjectStore) -> dict[str, Any]:
    folder.mkdir(parents=True, exist_ok=True)
    digest = _publish_network(store)
    record: dict[str, Any] = {"threads": os.cpu_count(), "maps": [], "processes": []}
    small = options.sides[0]
    paths = budget.attempt(f"imagery of {small} px", partial(write_imagery, folder, small))
    if paths is None:
        return record
    job = Job("siamese", str(paths[0]), str(paths[1]), digest, windows=_windows(small))
    rounds: list[dict[str, Any]] = []
    for number in range(options.rounds):
        fresh = partial(_publish_network, store)  # so that no block is found
        one = {
            name: budget.attempt(f"{name}, round {number + 1}", partial(_run, job, fresh, contender=name))
            for name in ("siamese", "plain", "reference")
        }
        if all(one.values()):
            rounds.append({name: found["mpx_s"] for name, found in one.items() if found})
    if rounds:
        for name in ("plain", "reference"):
            record[f"times_{name}"] = sorted(one["siamese"] / one[name] for one in rounds)
        record["mpx_s"] = {name: sorted(one[name] for one in rounds) for name in rounds[0]}
    for workers in options.workers:
        found = budget.attempt(
            f"first step, {workers} processes of one thread", partial(_run, job, partial(_publish_network, store),
            contender="windows", workers=workers, threads=1),
        )  # fmt: skip
        if found:
            record["processes"].append({"workers": workers, "mpx_s": found["mpx_s"]})
    for side in options.sides:
        paths = budget.attempt(f"imagery of {side} px", partial(write_imagery, folder, side))
        if paths is None:
            continue
        one_job = Job("siamese", str(paths[0]), str(paths[1]), digest, windows=_windows(side))
        found = budget.attempt(f"map of {side} px", partial(_run, one_job, partial(_publish_network, store)))
        if found:
            record["maps"].append({name: value for name, value in found.items() if name != "job"})
    return record


def _run(job: Job, fresh: Any, **changes: Any) -> dict[str, Any]:  # noqa: ANN401
    threads = changes.pop("threads", None)
    doing = Job(**{**asdict(job), **changes, "checkpoint": fresh()})
    if doing.contender in ("plain", "reference"):
        doing = Job(**{**asdict(doing), "windows": min(doing.windows, _PLAIN_WINDOWS)})
    command = [sys.executable, "-m", "mapped.contenders", json.dumps(asdict(doing))]
    environment = os.environ | allocator_environment(os.environ)  # as commands start
    environment |= {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    if threads:
        environment |= {"OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE)  # noqa: S603
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _windows(side_px: int) -> int:
    return (-(-side_px // 1024)) ** 2


def _publish_network(store: ObjectStore) -> str:
    """Publishes our network with new random weights, and returns its checkpoint's digest."""
    import torch

    from siamese.model import Decision, build_network, put_network
    from siamese.store import Origin, put_blob

    params = shape(OURS, "tf_efficientnet_lite0")
    torch.manual_seed(int.from_bytes(os.urandom(4)))
    network = build_network(params)
    origin = Origin(digest=secrets.token_hex(8), inputs={}, params={}, code="0")
    folder = Checkpoint.folder(store, origin.digest)
    weights, config = put_network(store, folder, network.state_dict(), params, Decision(), "random")
    made = Checkpoint(
        origin=origin,
        weights=weights,
        network=config,
        curves=put_blob(store, folder, "curves.csv", b"epoch\n"),
        pairs="1" * 16,
        epochs=1,
        best_epoch=1,
        run_id=None,
    )
    return made.publish(store).digest


if __name__ == "__main__":
    main()
