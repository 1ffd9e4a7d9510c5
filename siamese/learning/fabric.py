"""Device, number format and group of processes of a run, by Lightning Fabric."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning_fabric.plugins.precision import MixedPrecision, Precision
from lightning_fabric.strategies.ddp import DDPStrategy

from siamese.errors import SiameseError
from siamese.learning.processes import AGAIN, ProcessLostError, joined
from siamese.learning.recipe import Recipe
from siamese.model.precision import best_device, has_bf16

TIMEOUT = timedelta(minutes=10)
"""How long a process waits for the others: longer than any piece of work that one does alone."""


@contextmanager
def opened(
    recipe: Recipe, *, partial_steps: bool = False, device: torch.device | None = None, group: bool | None = None
) -> Iterator[Fabric]:
    """Gets device and number format ready, and joins the other processes where there are some.

    Args:
        recipe: Number format, and section for messages.
        partial_steps: Whether some steps leave parameters without a gradient.
        device: By default the GPU when there is one.
        group: Whether to make a group of processes, which may be of one; by default where others were started.

    Raises:
        SiameseError: The device does not compute in that format, or there are more processes than GPUs.
        ProcessLostError: Another process has ended.
    """
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    kind = (device or best_device()).type
    options: dict[str, Any] = {"devices": 1, "plugins": [precision_of(recipe, torch.device(kind))]}
    group = joined() if group is None else group
    if group:
        options["strategy"] = DDPStrategy(
            timeout=TIMEOUT, broadcast_buffers=False, find_unused_parameters=partial_steps
        )
    if joined():
        here = int(os.environ.get("LOCAL_WORLD_SIZE", os.environ["WORLD_SIZE"]))
        if kind == "cuda" and here > torch.cuda.device_count():
            what = f"{here} processes on a machine with {torch.cuda.device_count()} GPUs; each needs one of its own"
            raise SiameseError(what, where=f"{recipe.section}.processes", fix="start as many as there are GPUs")
        options |= {"devices": here, "num_nodes": int(os.environ["WORLD_SIZE"]) // here}
        options["plugins"].append(TorchElasticEnvironment())
        _stay_on_this_machine()
    with _losses_named():
        fabric = Fabric(accelerator=kind, **options)
        fabric.launch()
        try:
            yield fabric
        finally:
            if group and dist.is_initialized():
                dist.destroy_process_group()


def alone(recipe: Recipe, device: torch.device | None = None) -> Fabric:
    """Device and number format of a run in this process alone; see :func:`opened`."""
    device = device or best_device()
    return Fabric(accelerator=device.type, devices=1, plugins=[precision_of(recipe, device)])


def precision_of(recipe: Recipe, device: torch.device) -> Precision:
    """The number format of a run; ``auto`` is bfloat16 where the hardware has it, else float32.

    Raises:
        SiameseError: The device does not train in float16.
    """
    if recipe.precision == "fp16" and device.type != "cuda":
        what = f"a {device.type} does not train in fp16"
        fix = "choose auto, bf16 or fp32, or train on a GPU"
        raise SiameseError(what, where=f"{recipe.section}.precision", fix=fix)
    auto = "bf16" if has_bf16(device) else "fp32"
    match auto if recipe.precision == "auto" else recipe.precision:
        case "bf16":
            return Autocast("bf16-mixed", device.type)
        case "fp16":
            return Autocast("16-mixed", device.type)
        case _:
            return Precision()


class Autocast(MixedPrecision):
    """Mixed precision that leaves images in float32 until the first layer, and outputs as the network returns them."""

    def convert_input(self, data: Any) -> Any:  # noqa: ANN401
        """Returns its argument."""
        return data

    def convert_output(self, data: Any) -> Any:  # noqa: ANN401
        """Returns its argument."""
        return data

    def unscale_gradients(self, optimizer: Any) -> None:  # noqa: ANN401
        """Takes the scale off gradients, as PyTorch can for fused optimizers too, which Fabric refuses to clip."""
        if self.scaler is not None:
            self.scaler.unscale_(optimizer)


def _stay_on_this_machine() -> None:
    """Has processes of one machine talk over its loopback interface, whatever its name resolves to."""
    if os.environ.get("MASTER_ADDR") in {"127.0.0.1", "localhost"}:
        loopback = "lo" if sys.platform.startswith("linux") else "lo0"
        for name in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
            os.environ.setdefault(name, loopback)


@contextmanager
def _losses_named() -> Iterator[None]:
    """Names a lost connection to another process as what it is."""
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, dist.DistError) and "onnection" not in str(error):
            raise
        raise ProcessLostError("another process of this run has ended", where="training", fix=AGAIN) from error
