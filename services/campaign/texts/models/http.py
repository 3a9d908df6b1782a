"""The library of texts, as staff send and see it."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from services.campaign.texts.models.values import LONGEST_MESSAGE
from shared.consent import Channel
from shared.inputs.fields import BlankableWords, Command, Matching, Text, Words

# The others are known by name and refused by one of their own; documents say what can be sent.
SendableChannel = Annotated[Channel, WithJsonSchema({"type": "string", "enum": ["sms"], "default": "sms"})]
Name = Annotated[str, Text(200, line=True)]
TemplateText = Annotated[str, Text(LONGEST_MESSAGE)]
Variable = Annotated[str, Matching("[a-z_]{1,30}", 30, "نام متغیر از حروف کوچک انگلیسی و زیرخط است")]
Fallbacks = Annotated[dict[Variable, Annotated[str, BlankableWords(60)]], Field(max_length=20)]


class WriteTemplate(Command):
    """A text for the library."""

    name: Name
    template_type: SendableChannel = "sms"
    content: TemplateText
    variables: Fallbacks = {}
    category: Annotated[str | None, Words(50, line=True)] = None


class RemarkView(BaseModel):
    """Something that whoever wrote a text should look at."""

    model_config = ConfigDict(from_attributes=True)

    code: str
    en: str
    fa: str


class TemplateView(BaseModel):
    """A text of the library."""

    id: UUID
    name: str
    template_type: Channel
    content: str
    variables: dict[str, str]
    category: str | None
    is_system_template: bool
    created_at: datetime
    warnings: list[RemarkView]
