"""The page of a small map as one HTML file, which opens by a double click and loads nothing."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from siamese.errors import SiameseError
from siamese.viewing.folders import DATA_FILES

_CODE = ("map-worker.js", "learn-worker.js")


def write_one_file(folder: Path, file: Path) -> int:
    """Writes a page as one file.

    Everything is in it: scripts and styles under a policy that names their hashes, data as base64. Nothing in it is
    put together from texts of the map, so no text of a map can become markup.

    Args:
        folder: The page, as :func:`siamese.viewing.verb.write_view` writes it.
        file: The HTML file.

    Returns:
        Its size in bytes.

    Raises:
        SiameseError: It cannot be written.
    """
    script, style = ((folder / name).read_bytes() for name in ("app.js", "app.css"))
    # An inline script ends at the first "</script", wherever it stands; the bundler escapes it.
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}' blob:; style-src '{_hash(style)}'; img-src blob: data:; "
        "connect-src blob: data:; worker-src blob:; base-uri 'none'; form-action 'none'"
    )
    parts = [
        b'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n',
        b'<meta name="viewport" content="width=device-width, initial-scale=1">\n',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'.encode(),
        b'<meta name="referrer" content="no-referrer">\n<meta name="color-scheme" content="light dark">\n',
        b'<title>Damage map</title>\n<link rel="icon" href="data:,">\n<style>',
        style,
        b"</style>\n</head>\n<body>\n",
        *(
            part
            for name in (*DATA_FILES, *_CODE)
            if (folder / name).is_file()
            for part in (
                f'<script type="application/octet-stream" id="file:{name}">'.encode(),
                base64.b64encode((folder / name).read_bytes()),
                b"</script>\n",
            )
        ),
        b"<script>",
        script,
        b"</script>\n</body>\n</html>\n",
    ]
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as out:
            out.writelines(parts)
    except OSError as error:
        raise SiameseError(f"cannot be written: {error.strerror}", where=str(file), fix="name another file") from error
    return file.stat().st_size


def _hash(text: bytes) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text).digest()).decode()
