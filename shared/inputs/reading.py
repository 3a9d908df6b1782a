"""The base of all input types: how they read a value, and what they say of themselves in JSON Schema."""

from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema


def fault(code: str, en: str, fa: str) -> PydanticCustomError:
    """What a validator raises: the code of the rule and how to mend it, in both languages, never the value."""
    return PydanticCustomError(code, en, {"fa": fa})


class Reader:
    """What all types here share: `read` before the field's own type is checked, `document` in JSON Schema."""

    def read(self, value: Any) -> Any:
        """The value as it is kept; raises PydanticCustomError."""
        raise NotImplementedError

    def document(self) -> dict[str, Any]:
        """What is taken, as JSON Schema."""
        raise NotImplementedError

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self.read, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return self.document() if handler.mode == "validation" else handler(schema)
