"""Points the project's DVC remote at the local stack, through DVC's uncommitted config."""

from __future__ import annotations

from pathlib import Path

from siamese.errors import SiameseError
from siamese.stack.layout import Layout

REMOTE = "lake"
_KEYS = ("endpointurl", "credentialpath", "configpath", "profile")


def point_dvc(root: Path, layout: Layout, endpoint: str) -> bool:
    """Points the remote ``lake`` at the local S3 server in ``.dvc/config.local``; other settings there are kept.

    Args:
        root: The project's folder.
        layout: Locates the credentials file.
        endpoint: URL of the S3 server.

    Returns:
        Whether there is a DVC project with such a remote.

    Raises:
        SiameseError: DVC cannot read its config.
    """
    files = (str(layout.aws_credentials), str(layout.aws_config))
    return _write(root, dict(zip(_KEYS, (endpoint, *files, "default"), strict=True)))


def release_dvc(root: Path, layout: Layout) -> bool:
    """Reverts what ``point_dvc`` wrote, for users who have their own storage."""
    local = root / ".dvc" / "config.local"
    return local.is_file() and str(layout.aws_credentials) in local.read_text() and _write(root, {})


def _write(root: Path, wanted: dict[str, str]) -> bool:
    folder = root / ".dvc"
    if not folder.is_dir():
        return False
    from dvc.config import Config, ConfigError

    try:
        config = Config(str(folder), validate=False)
        if REMOTE not in config.load_one("repo").get("remote", {}):
            return False
        there = config.load_one("local").get("remote", {}).get(REMOTE, {})
        kept = {key: value for key, value in there.items() if key not in _KEYS}
        if there != kept | wanted:
            with config.edit("local", validate=False) as local:
                local["remote"][REMOTE] = kept | wanted
    except ConfigError as error:
        raise SiameseError(
            f"cannot be read: {error}", where=str(folder), fix="mend it, or remove config.local"
        ) from error
    return True
