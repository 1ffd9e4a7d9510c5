"""Which device and number format this machine is fastest with."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def best_device() -> torch.device:
    """The GPU when there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def has_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware, so that it pays."""
    if device.type == "cuda":
        native: bool = torch.cuda.is_bf16_supported(including_emulation=False)
        return native
    amx: bool = torch.cpu._is_amx_tile_supported()
    avx512: bool = torch.cpu._is_avx512_bf16_supported()
    return amx or avx512


def autocast(device: torch.device) -> AbstractContextManager[object]:
    """bfloat16 where the hardware has it, else plain float32."""
    if has_bf16(device):
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()


def prediction_dtype(device: torch.device) -> torch.dtype:
    """The fastest number format that is good enough to predict with: older GPUs have float16, which cannot train."""
    if has_bf16(device):
        return torch.bfloat16
    return torch.float16 if device.type == "cuda" else torch.float32
