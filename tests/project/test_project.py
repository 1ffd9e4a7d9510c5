"""What the project states about itself in more than one place agrees."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.markers import Marker
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import siamese
from siamese.classes import COLOURS
from siamese.progress import progress

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
LOCK = (ROOT / "requirements.lock").read_text()
PYTHONS = [f"3.{minor}" for minor in range(8, 20) if f"3.{minor}.0" in SpecifierSet(PROJECT["requires-python"])]


def test_the_version_has_one_source_and_types_are_shipped() -> None:
    assert PROJECT["dynamic"] == ["version"]
    assert PYPROJECT["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "siamese.__version__"}
    assert re.fullmatch(r"\d+\.\d+\.\d+", siamese.__version__)
    assert f"## {siamese.__version__}" in (ROOT / "CHANGELOG.md").read_text()
    shipped = PYPROJECT["tool"]["setuptools"]["package-data"]["siamese"]
    assert "py.typed" in shipped
    assert all(list((ROOT / "siamese").glob(pattern)) for pattern in shipped)
    assert (ROOT / "siamese" / "py.typed").is_file()


def test_hosted_ci_runs_every_python_that_is_supported() -> None:
    workflow = ROOT / ".github" / "workflows" / "ci.yml"
    jobs = yaml.safe_load(workflow.read_text())["jobs"]
    assert jobs["test"]["strategy"]["matrix"]["python"] == PYTHONS
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(workflow)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_pins_every_dependency_on_every_python(python: str) -> None:
    pinned = {}
    for name, number, marker in re.findall(r"^([a-z0-9._-]+)==(\S+)(?: ; (.+?))? \\$", LOCK, re.MULTILINE):
        environment = {"python_version": python, "python_full_version": f"{python}.9", "sys_platform": "linux"}
        if not marker or Marker(marker).evaluate(environment):
            assert name not in pinned, f"{name} is pinned twice for {python}"
            pinned[canonicalize_name(name)] = number
    extras = PROJECT["optional-dependencies"]
    wanted = PROJECT["dependencies"] + extras["dev"] + extras["imagenet"] + extras["int8"]
    for line in wanted:
        name, _, specifiers = re.fullmatch(r"([A-Za-z0-9_.-]+)(\[[a-z0-9,]+\])?(.*)", line).groups()  # type: ignore[union-attr]
        assert pinned[canonicalize_name(name)] in SpecifierSet(specifiers), line


def test_the_lock_names_no_registry() -> None:
    assert "://" not in LOCK
    assert LOCK.count("--hash=sha256:") > LOCK.count("==") > 200


def test_maps_and_their_page_have_the_same_colours() -> None:
    source = (ROOT / "web" / "src" / "colours.ts").read_text()
    found = re.findall(r"#[0-9a-f]{6}", source.partition("COLOURS = [")[2].partition("]")[0])
    assert found == ["#{:02x}{:02x}{:02x}".format(*colour) for colour in COLOURS.values()]


@pytest.mark.parametrize(
    ("total", "line"), [(None, "read: 3 done"), (9, "read: 3 of 9")], ids=["unknown total", "known total"]
)
def test_a_progress_line_says_how_much_is_done(total: int | None, line: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "siamese"), progress("read", total) as advance:
        advance(3)
    assert caplog.messages == [line]


def test_bars_of_work_that_goes_on_at_once_share_one_display(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    with progress("outer", 2) as outer:
        for name in ("one", "other [b]"):
            with progress(name, 5) as inner:
                inner(5)
            outer()
    shown = capsys.readouterr().err
    assert "one: 5 of 5" in shown
    assert "other [b]: 5 of 5" in shown
    assert shown.count("\x1b[?25l") == 1, "the cursor is hidden once: there is one display"
