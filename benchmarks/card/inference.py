"""Prediction on a card: megapixels per second by number format, compilation and batch size."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from card.learning import seeded
from card.measuring import Figures, Scale, flop, forget_peak, peak_mib, report, seconds_each
from siamese.model.backends import TorchBackend


def inference(scale: Scale, encoder: str, peak: float) -> None:
    """Measures the network alone on batches of pairs, then complete predictions through the predictor."""
    side = scale.of(1024, 64)
    pairs = scale.of(8, 1)
    network = seeded(encoder).eval()
    images = torch.rand(2, pairs, 3, side, side, device=scale.device)

    @torch.inference_mode()
    def measured(kind: torch.dtype | None, compiling: dict[str, Any] | None = None) -> Figures:
        forget_peak(scale.device)
        run = seeded(encoder).eval().to(scale.device).to(memory_format=torch.channels_last)
        if compiling is not None:
            run.compile(**compiling)

        def predict() -> None:
            with torch.autocast(scale.device.type, dtype=kind or torch.bfloat16, enabled=kind is not None):
                run(images[0], images[1])

        operations = flop(predict) if compiling is None else 0.0
        spent = seconds_each(predict, scale, most=scale.of(30, 3))
        figures = {"mpx_per_second": pairs * side**2 / spent / 1e6, "peak_memory_mib": peak_mib(scale.device)}
        share = {"share_of_bf16_peak": operations / spent / peak} if peak and operations else {}
        return figures | share

    def asked(kind: torch.dtype) -> Figures:
        backend = TorchBackend(network, scale.device, kind)
        pre, post = np.random.default_rng(0).integers(0, 256, (2, side, side, 3), np.uint8)
        spent = seconds_each(lambda: backend.ask(pre, post, 0).damage(), scale, most=scale.of(30, 3))
        return {"mpx_per_second": side**2 / spent / 1e6}

    report("fp32 eager", lambda: measured(None))
    report("bf16 eager", lambda: measured(torch.bfloat16))
    report("as the predictor asks, fp32", lambda: asked(torch.float32))
    report("as the predictor asks, bf16", lambda: asked(torch.bfloat16))
    report("bf16 compiled", lambda: measured(torch.bfloat16, scale.compiling("default")))
    report("bf16 compiled, CUDA graphs", lambda: measured(torch.bfloat16, scale.compiling("reduce-overhead")))
