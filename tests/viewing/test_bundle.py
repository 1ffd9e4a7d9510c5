"""The page in the package is what its sources build."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from siamese.viewing.folders import page_file

WEB = Path(__file__).parents[2] / "web"
READY = shutil.which("node") is not None and (WEB / "node_modules" / "esbuild").is_dir()


@pytest.mark.skipif(not READY, reason="needs node, and `npm ci` in web/")
def test_the_sources_build_the_page(tmp_path: Path) -> None:
    subprocess.run(["node", "build.mjs", str(tmp_path)], cwd=WEB, check=True, timeout=300)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["LICENSES.txt", "app.css", "app.js", "index.html", "learn-worker.js", "map-worker.js"]
    for name in names:
        assert (tmp_path / name).read_bytes() == page_file(name), f"{name}: run `make page` and commit what it builds"
