"""Base class of all sections of params.yaml."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict
from pydantic.config import JsonDict
from pydantic_core import to_jsonable_python

HOW_ONLY: JsonDict = {"changes_result": False}
"""``json_schema_extra`` of a field that says how fast work is done, not what comes out; no part of an identity."""

CHOOSES_INPUT: JsonDict = {"chooses_input": True}
"""``json_schema_extra`` of a field that chooses an input; the input's content is part of the identity in its place."""

_NEUTRAL = "neutral"


def neutral(value: Any) -> JsonDict:  # noqa: ANN401
    """Returns the ``json_schema_extra`` of a field whose neutral value is not its default.

    A field at its neutral value does not affect the identity of results. So a new field gets a default that changes
    nothing, and a field whose *default* changes keeps its former default as its neutral value.
    """
    return {_NEUTRAL: value}


def _rising(span: tuple[float, float]) -> tuple[float, float]:
    if not span[0] < span[1]:
        raise ValueError(f"the first value, {span[0]:g}, must be below the second, {span[1]:g}")
    return span


ValueRange = Annotated[tuple[float, float], AfterValidator(_rising)]
"""The values that become 0 and 255."""


class Section(BaseModel):
    """A section of params: immutable, without unknown keys, each field documented."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    def identity(self) -> dict[str, Any]:
        """Returns the values that affect results and are not neutral, as JSON types."""
        neutral_values = type(self).neutral()
        values = self.model_dump(mode="json")
        return {name: values[name] for name, plain in neutral_values.items() if values[name] != plain}

    @classmethod
    def neutral(cls) -> dict[str, Any]:
        """Returns the neutral value of every field that is part of the identity, as JSON types."""
        found: dict[str, Any] = {}
        for name, field in cls.model_fields.items():
            if field.json_schema_extra in (HOW_ONLY, CHOOSES_INPUT):
                continue
            extra = field.json_schema_extra
            declared = extra.get(_NEUTRAL, ...) if isinstance(extra, dict) else ...
            value = field.get_default(call_default_factory=True) if declared is ... else declared
            found[name] = to_jsonable_python(value)
        return found
