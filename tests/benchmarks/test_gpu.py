"""The GPU benchmark as far as a CPU can run it: every part, in tiny sizes, with the packages that it lists alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import gpu
import pytest
import torch
from card import inference, learning, loading
from card.measuring import Scale, matmul_peak

SCRIPT = Path(gpu.__file__)
TINY = Scale(torch.device("cpu"), quick=True)
ABSENT = (
    "boto3", "botocore", "prefect", "mlflow", "pyarrow", "pandas", "rasterio", "shapely", "scipy", "openvino", "dvc",
    "matplotlib", "typer", "httpx", "psutil",
)  # fmt: skip


@pytest.fixture(autouse=True)
def quiet(one_thread: None) -> None:
    """Tiny networks are quickest on one thread."""


def rows(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, object]]:
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    return {row["name"]: row for row in found}


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *words]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so_in_the_document_in_a_line_and_in_the_exit_code() -> None:
    ended = run()
    assert ended.returncode == gpu.NO_GPU
    assert json.loads(ended.stdout)["error"] == "no GPU"
    assert ended.stderr.startswith("gpu: no GPU")


def test_one_document_comes_out_with_none_but_the_listed_packages(tmp_path: Path) -> None:
    # None makes an import fail and lets find_spec answer that there is no such module, as where it is not installed.
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.modules.update(dict.fromkeys({ABSENT!r}))\n")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    words = ["--device", "cpu", "--quick", "--only", "ddp", "--minutes", "30"]
    ended = run(*words, PYTHONPATH=path)
    assert ended.returncode == 0, ended.stderr[-2000:]
    parts = json.loads(ended.stdout)["parts"]
    assert {name: part["ended"] for name, part in parts.items()} == {"peak": "done", "ddp": "done"}
    assert parts["ddp"]["rows"][0]["agree"]
    listed = run("--requirements").stdout.splitlines()
    assert not {line.partition(">")[0].replace("-", "_") for line in listed} & set(ABSENT)


def test_a_part_that_takes_too_long_is_ended_and_the_document_still_comes_out() -> None:
    ended = run("--device", "cpu", "--quick", "--only", "agreement", "--minutes", "0.05")
    assert ended.returncode == 0, ended.stderr[-2000:]
    parts = json.loads(ended.stdout)["parts"]
    assert all(part["ended"] != "done" for part in parts.values())


def test_training_is_measured_in_every_format_and_agrees_with_the_cpu(capsys: pytest.CaptureFixture[str]) -> None:
    learning.agreement(TINY, gpu.TINY[0])
    assert rows(capsys)["fp32, first steps"]["agree"]
    learning.training(TINY, gpu.TINY[0], peak=matmul_peak(TINY, torch.float32))
    found = rows(capsys)
    assert len(found) == 5
    assert not [row for row in found.values() if "error" in row or not row["crops_per_second"]]
    assert found["bf16 compiled"]["times_fp32_eager"]


def test_prediction_is_measured_in_every_format(capsys: pytest.CaptureFixture[str]) -> None:
    inference.inference(TINY, gpu.TINY[0], peak=1e12)
    found = rows(capsys)
    assert len(found) == 6
    assert not [row for row in found.values() if "error" in row or not row["mpx_per_second"]]


def test_loading_is_measured_and_a_failure_is_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    loading.loading(TINY, "")
    learning.half(TINY, gpu.TINY[0])
    found = rows(capsys)
    assert found["1 threads"]["crops_per_second"]
    assert "a cpu does not train in fp16" in str(found["fp16 eager"]["error"])


@pytest.mark.parametrize("encoder", gpu.ENCODERS)
def test_the_networks_that_are_measured_can_be_built(encoder: str) -> None:
    assert learning.seeded(encoder).encoder.name == encoder
