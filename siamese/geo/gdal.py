"""Opens files with GDAL: only two drivers, no files beside the image, and one clear error."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar

import rasterio
from rasterio import features, warp
from rasterio._err import CPLE_BaseError
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader, MemoryFile
from rasterio.session import DummySession, Session

from siamese.errors import SiameseError
from siamese.geo.formats import driver_of

GDAL_OPTIONS: Final = {
    "GDAL_CACHEMAX": 128 * 2**20,
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": "NO",
    "GDAL_TIFF_INTERNAL_MASK": "YES",
}
"""A small block cache (bytes) keeps memory flat; files beside a user's file are neither read nor written."""

Source = Path | bytes
"""A file on disk or in memory."""


_LOCAL: Final = "SIAMESE_LOCAL_FILES"
"""Option of GDAL environments that read local files only."""


def local_gdal(**options: Any) -> rasterio.Env:  # noqa: ANN401
    """Returns a rasterio environment with GDAL options, which apply to the current thread only.

    With AWS settings in force, rasterio creates a boto3 session for every call outside such an environment, and for
    every environment without a session: more work than the call itself, and much garbage.
    """
    prepare_rasterio()
    return rasterio.Env(session=DummySession(), **options, **{_LOCAL: "YES"})


def prepare_rasterio() -> None:
    """Has rasterio make no sessions inside :func:`local_gdal`, and no warnings of rasters that lie nowhere.

    It applies to the whole process, as filters of warnings are shared by all threads, and changes nothing when called
    again. Every reader calls it, as there is no door that all of them pass: commands, flows, workers of Dask, processes
    of training, and programs that call a verb.
    """
    if _NOWHERE not in warnings.filters:  # or someone who had saved them put them back
        warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)
    if Session.from_environ is not _session_of_nested_environment:
        Session.from_environ = staticmethod(_session_of_nested_environment)


def _session_of_nested_environment(*given: Any, **named: Any) -> Session:  # noqa: ANN401
    """Returns no session inside :func:`local_gdal`, and what rasterio would make of AWS settings anywhere else.

    `rasterio.warp.reproject` opens four environments of its own in each call, whose boto3 sessions would take longer
    than warping a window, and which it cannot be given a session for.
    """
    inside = rasterio.env.hasenv() and _LOCAL in rasterio.env.getenv()
    return DummySession() if inside else _from_environ(*given, **named)


_from_environ = Session.from_environ
_NOWHERE = ("ignore", None, NotGeoreferencedWarning, None, 0)
"""The filter as `warnings` keeps it."""

_Given = ParamSpec("_Given")
_Found = TypeVar("_Found")


def _in_local_gdal(call: Callable[_Given, _Found]) -> Callable[_Given, _Found]:
    @wraps(call)
    def inside(*given: _Given.args, **named: _Given.kwargs) -> _Found:
        with local_gdal():
            return call(*given, **named)

    return inside


rasterize = _in_local_gdal(features.rasterize)
"""`rasterio.features.rasterize`, which touches no file but would make a session each time."""
transform_points = _in_local_gdal(warp.transform)
"""`rasterio.warp.transform`, likewise."""


@contextmanager
def opened(source: Source, name: str) -> Iterator[DatasetReader]:
    """Opens an image; any failure while it is open becomes one clear error.

    Args:
        source: The file.
        name: Name of the file in errors.

    Raises:
        SiameseError: The file is neither PNG nor GeoTIFF, or is damaged.
    """
    try:
        driver = driver_of(_first_bytes(source), name)
        with ExitStack() as stack:
            stack.enter_context(local_gdal(**GDAL_OPTIONS))
            if isinstance(source, Path):
                dataset = rasterio.open(source, driver=driver, sharing=False)
            else:
                memory = stack.enter_context(MemoryFile(source))
                dataset = rasterio.open(memory.name, driver=driver, sharing=False)
            yield stack.enter_context(dataset)
    except (RasterioError, CPLE_BaseError, OSError, ValueError, MemoryError) as error:
        raise unreadable(name, error) from error


def unreadable(name: str, error: BaseException) -> SiameseError:
    """Returns the error for an image that cannot be read."""
    cause = str(error.__cause__ or error).splitlines() or [type(error).__name__]
    fix = "give a whole PNG or GeoTIFF; copy it again from its source"
    return SiameseError(f"cannot be read: {cause[0]}", where=name, fix=fix)


def _first_bytes(source: Source) -> bytes:
    if isinstance(source, bytes):
        return source[:16]
    with source.open("rb") as file:
        return file.read(16)
