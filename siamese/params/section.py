"""What every section of params.yaml has in common."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic.config import JsonDict

HOW_ONLY: JsonDict = {"changes_result": False}
"""``json_schema_extra`` of a field that says how fast work is done, not what comes out; it is no part of a digest."""


class Section(BaseModel):
    """Frozen, strict about names, documented field by field."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    def identity(self) -> dict[str, Any]:
        """The values that decide what comes out, as JSON types."""
        how_only = {name for name, field in type(self).model_fields.items() if field.json_schema_extra == HOW_ONLY}
        return self.model_dump(mode="json", exclude=how_only)
