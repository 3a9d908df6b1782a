"""What the fields of a form may hold; the APIs say whether it is right."""

from typing import Annotated
from uuid import UUID

from fastapi import Form

Typed = Annotated[str, Form(max_length=300)]
Prose = Annotated[str, Form(max_length=2000)]
FormId = Annotated[UUID, Form()]
