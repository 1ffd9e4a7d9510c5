"""The device and number format that are fastest on this machine."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def best_device() -> torch.device:
    """Returns the GPU if there is one, otherwise the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def has_bf16(device: torch.device) -> bool:
    """Returns whether the device multiplies bfloat16 in hardware, so that using it pays off."""
    if device.type == "cuda":
        native: bool = torch.cuda.is_bf16_supported(including_emulation=False)
        return native
    amx: bool = torch.cpu._is_amx_tile_supported()
    avx512: bool = torch.cpu._is_avx512_bf16_supported()
    return amx or avx512


def autocast(device: torch.device) -> AbstractContextManager[object]:
    """Returns a context with bfloat16 where the hardware supports it, otherwise plain float32."""
    if has_bf16(device):
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()


def prediction_dtype(device: torch.device) -> torch.dtype:
    """Returns the fastest format accurate enough for prediction: older GPUs have float16, unfit for training."""
    if has_bf16(device):
        return torch.bfloat16
    return torch.float16 if device.type == "cuda" else torch.float32
