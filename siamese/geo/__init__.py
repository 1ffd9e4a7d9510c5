"""The only reader of pixels, so that ingest, pairs, evaluation and maps see the same values and the same gaps.

Formats
    PNG and GeoTIFF, recognised by their first bytes; no other GDAL driver ever opens a file. :func:`read_header`
    refuses what cannot be read from the first few kilobytes, before anything large is read. JPEG is for photos alone:
    :func:`decode_jpeg`.

Bands
    1 to 32 bands of integers or floats, colour in RGB order. A palette becomes red, green and blue. An alpha band is
    validity, not a band.

Validity
    A pixel is valid where all three hold:

    1. the file's own alpha band, mask or nodata value marks it as valid;
    2. every band is finite;
    3. it is not black fill: providers fill what the sensor did not see with black and often declare nothing. Fill is
       the morphological opening, by a square of 9 x 9 pixels of the file, of the pixels that are 0 in all bands;
       the area beyond the image's edge counts as black, so that thin strips along the edge are fill too. Shadows and
       dark roofs are smaller or not completely black (in 54 real xBD tiles every black pixel is fill).

    The opening depends on pixels up to 8 away, so a window read with that margin gives the same result as the whole
    image. Invalid pixels read as 0. They are ignored in training (mask value 255), excluded from evaluation, and
    unknown in maps.

Values
    Networks see 8 bits. ``uint8`` stays as it is; wider types are mapped to 8 bits by one linear :class:`ValueRange`
    for all bands, which :mod:`siamese.geo.values` chooses from params, the file's metadata, or a sample of the data.
    :attr:`ValueRange.note` states the assumption that was made.

Georeference
    :mod:`siamese.geo.georeference` finds it, in the file or in files beside it.
"""

from typing import TYPE_CHECKING

from siamese.geo.bands import by_fours, check_bands, shown
from siamese.lazy import lazily

if TYPE_CHECKING:
    from siamese.geo.decode import DecodedImage, decode_image
    from siamese.geo.gdal import GDAL_OPTIONS, local_gdal, opened, rasterize
    from siamese.geo.header import Header, RangedFile, read_header
    from siamese.geo.jpeg import decode_jpeg, is_jpeg
    from siamese.geo.raster import Raster, open_raster, open_rasters
    from siamese.geo.roles import role_warnings
    from siamese.geo.values import ValueRange

__all__ = [
    "GDAL_OPTIONS",
    "DecodedImage",
    "Header",
    "RangedFile",
    "Raster",
    "ValueRange",
    "by_fours",
    "check_bands",
    "decode_image",
    "decode_jpeg",
    "is_jpeg",
    "local_gdal",
    "open_raster",
    "open_rasters",
    "opened",
    "rasterize",
    "read_header",
    "role_warnings",
    "shown",
]

# GDAL and OpenCV load only for callers that read files: crops of training need the bands alone.
__getattr__ = lazily(
    __name__,
    {
        "siamese.geo.decode": ("DecodedImage", "decode_image"),
        "siamese.geo.gdal": ("GDAL_OPTIONS", "local_gdal", "opened", "rasterize"),
        "siamese.geo.header": ("Header", "RangedFile", "read_header"),
        "siamese.geo.jpeg": ("decode_jpeg", "is_jpeg"),
        "siamese.geo.raster": ("Raster", "open_raster", "open_rasters"),
        "siamese.geo.roles": ("role_warnings",),
        "siamese.geo.values": ("ValueRange",),
    },
)
