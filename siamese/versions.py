"""Which software this is: its version, Python's, and those of the libraries that decide results, none imported."""

from __future__ import annotations

import platform
import re
from importlib.metadata import PackageNotFoundError, files, version

LIBRARIES = (
    "torch",
    "openvino",
    "timm",
    "numpy",
    "opencv-python-headless",
    "pillow",
    "scipy",
    "shapely",
    "rasterio",
    "torchvision",
    "pyarrow",
    "pandas",
    "nncf",
)
"""Packages that pixels, networks and geometries pass through, by their names on PyPI."""
_GDAL = re.compile(r"libgdal[^/]*\.so\.\d+\.(\d+(?:\.\d+)+)$")


def library_versions() -> dict[str, str]:
    """Versions of the libraries that decide results, with Python's and GDAL's; those not installed are left out."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    gdal = _gdal_version()
    return found | ({"gdal": gdal} if gdal else {})


def software_version() -> str:
    """The version of the installed package; ``unknown`` in a checkout that is not installed."""
    try:
        return version("siamese")
    except PackageNotFoundError:
        return "unknown"


def _gdal_version() -> str | None:
    """The version of GDAL that rasterio's wheel brings, by the name of the library file."""
    try:
        names = [file.as_posix() for file in files("rasterio") or ()]
    except PackageNotFoundError:
        return None
    matches = (_GDAL.search(name) for name in names)
    return next((match[1] for match in matches if match), None)
