"""What stands in the addresses of the console's pages."""

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from pydantic import BaseModel, Field


class VisitFilter(BaseModel):
    """What a list of visits is asked for, as it stands in its address. `since` and `until` are days as people type
    them, both included; `before` and `before_id` what the page before ended with."""

    receipt: str = Field("", max_length=64)
    since: str = Field("", max_length=30)
    until: str = Field("", max_length=30)
    branch: str = Field("", max_length=36)
    guest: UUID | None = None
    voided: bool = False
    nameless: bool = False
    before: str = Field("", max_length=40)
    before_id: UUID | None = None

    @property
    def is_narrow(self) -> bool:
        """Whether the form has something in it."""
        return bool(self.receipt or self.since or self.until or self.branch or self.nameless)

    def typed(self) -> dict[str, str]:
        """What the fields of the form hold."""
        return {"receipt": self.receipt, "since": self.since, "until": self.until}

    def address(self, **changed: Any) -> str:
        """The query of the first page's address, with some of it changed."""
        kept = self.model_copy(update=changed).model_dump(
            mode="json", exclude_defaults=True, exclude={"before", "before_id"}
        )
        return urlencode({name: "true" if value is True else value for name, value in kept.items()})
