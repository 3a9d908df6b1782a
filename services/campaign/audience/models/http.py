"""Who of the cafe is told of unhappy guests, as staff send and see it."""

from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field, StrictBool, field_validator

from shared.inputs.fields import Command, Phone, Text, Whole, fault
from shared.persian.phone import is_mobile


def _takes_messages(phone: str) -> str:
    if not is_mobile(phone):
        raise fault("not_a_mobile", "SMS go to mobile numbers only.", "پیامک تنها به شمارهٔ همراه می‌رسد.")
    return phone


Mobile = Annotated[Phone, AfterValidator(_takes_messages)]


class Person(Command):
    """Somebody of the cafe: a mobile number, and what the cafe calls it."""

    phone: Mobile
    label: Annotated[str, Text(100, line=True)]
    is_on_duty: StrictBool = True


class WriteDuty(Command):
    """Whom the cafe wants told of low ratings, whole."""

    people: Annotated[list[Person], Field(max_length=10)]
    most_a_day: Annotated[int, Whole(1, 50)] = 10

    @field_validator("people")
    @classmethod
    def _each_once(cls, people: list[Person]) -> list[Person]:
        if len({person.phone for person in people}) < len(people):
            raise fault("twice", "A number is there twice.", "شماره‌ای دو بار آمده است.")
        return people


class PersonView(BaseModel):
    """Somebody who may be told; of the number only its end is shown."""

    id: UUID
    label: str
    phone_ending: str
    is_on_duty: bool


class DutyView(BaseModel):
    """Who is told of low ratings by SMS, and how many such messages a day each gets at most."""

    people: list[PersonView]
    most_a_day: int
