"""Sets up device, number format and process group of a run with Lightning Fabric."""

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
"""How long a process waits for the others: longer than any piece of work that one process does alone."""


@contextmanager
def opened(
    recipe: Recipe, *, partial_steps: bool = False, device: torch.device | None = None, group: bool | None = None
) -> Iterator[Fabric]:
    """Prepares device and number format, and joins the other processes if there are any.

    Args:
        recipe: Supplies the number format, and the section name for messages.
        partial_steps: Whether some steps leave parameters without a gradient.
        device: Defaults to the GPU if there is one.
        group: Whether to form a process group, possibly of one; by default only if several processes were started.

    Raises:
        SiameseError: The device does not support that format, or there are more processes than GPUs.
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
    """Returns device and number format of a run in this process alone; see :func:`opened`."""
    device = device or best_device()
    return Fabric(accelerator=device.type, devices=1, plugins=[precision_of(recipe, device)])


def precision_of(recipe: Recipe, device: torch.device) -> Precision:
    """Returns the number format of a run; ``auto`` is bfloat16 where the hardware has it, otherwise float32.

    Raises:
        SiameseError: The device cannot train in float16.
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
    """Mixed precision that keeps images in float32 up to the first layer, and returns outputs as the network does."""

    def convert_input(self, data: Any) -> Any:  # noqa: ANN401
        """Returns its argument."""
        return data

    def convert_output(self, data: Any) -> Any:  # noqa: ANN401
        """Returns its argument."""
        return data

    def unscale_gradients(self, optimizer: Any) -> None:  # noqa: ANN401
        """Unscales gradients; PyTorch can do so for fused optimizers too, which Fabric refuses to clip."""
        if self.scaler is not None:
            self.scaler.unscale_(optimizer)


def _stay_on_this_machine() -> None:
    """Makes processes on one machine communicate over its loopback interface, whatever its hostname resolves to."""
    if os.environ.get("MASTER_ADDR") in {"127.0.0.1", "localhost"}:
        loopback = "lo" if sys.platform.startswith("linux") else "lo0"
        for name in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
            os.environ.setdefault(name, loopback)


@contextmanager
def _losses_named() -> Iterator[None]:
    """Raises a lost connection to another process as a :class:`ProcessLostError`."""
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, dist.DistError) and "onnection" not in str(error):
            raise
        raise ProcessLostError("another process of this run has ended", where="training", fix=AGAIN) from error
