"""What people and tills type is taken; what no database can keep is refused by name, in both languages, unquoted."""

from datetime import UTC, date, datetime
from typing import Annotated, Any

import jsonschema
import pytest
from pydantic import TypeAdapter, ValidationError

from shared.inputs.fields import (
    Birth,
    Count,
    Day,
    Email,
    Free,
    Identifier,
    Matching,
    Moment,
    Opaque,
    PageSize,
    Phone,
    Text,
    Whole,
    Words,
)  # fmt: skip
from shared.web.validation_errors import problems_of

NAME = Annotated[str, Text(10, line=True)]
NOTE = Annotated[str, Text(30)]
REASON = Annotated[str, Text(30, least=3)]
SAID = Annotated[str | None, Words(10)]
STARS = Annotated[int, Whole(1, 5)]
JSON = Annotated[dict[str, Any], Free(100, 3)]


@pytest.mark.parametrize(
    ("kind", "typed", "kept"),
    [
        (NAME, "  علي   x ", "علی x"),
        (NAME, "a\u202eb\u200bc\u2062", "abc"),
        (NAME, "a\u200db", "ab"),
        (NAME, "👩\u200d🍳", "👩\u200d🍳"),
        (NAME, "a\n b", "a b"),
        (NOTE, "a\nb", "a\nb"),
        (SAID, "x\0\ud800", "x"),
        (SAID, " \u200b ", None),
        (SAID, None, None),
        (STARS, "۴", 4),
        (STARS, 4, 4),
        (Identifier, "۱۲", "12"),
        (Identifier, "٠١２", "012"),
        (Identifier, " Ａ-b ", "A-b"),
        (Birth, "۱۹۹۰-۰۷-۲۲", date(1990, 7, 22)),
        (Birth, "1370-01-02", date(1991, 3, 22)),
        (Birth, "۱۳۷۰/۱/۲", date(1991, 3, 22)),
        (Birth, "1399-12-30", date(2021, 3, 20)),
        (Day, "1405-09-03", date(2026, 11, 24)),
        (Day, "2000-01-01", date(2000, 1, 1)),
        (Day, "2100-12-31", date(2100, 12, 31)),
        (Birth, "1900-01-01", date(1900, 1, 1)),
        (Birth, "1278-10-11", date(1900, 1, 1)),
        (Moment, "2000-01-01T00:00:00Z", datetime(2000, 1, 1, tzinfo=UTC)),
        (Moment, "2100-12-31T23:59:59Z", datetime(2100, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (Moment, "2026-11-24T18:30:00+03:30", datetime(2026, 11, 24, 15, tzinfo=UTC)),
        (Moment, "۱۴۰۵-۰۹-۰۳ ۱۰:۰۰Z", datetime(2026, 11, 24, 10, tzinfo=UTC)),
        (Phone, "۰۹۱۲ ۳۴۵ ۶۷۸۹", "+989123456789"),
        (Email, " a@b.ir ", "a@b.ir"),
        (Annotated[str, Matching("[0-9]{4}", 4)], "۱۲۳۴", "1234"),
        (PageSize, "200", 200),
    ],
)
def test_what_people_type_is_taken(kind: Any, typed: Any, kept: Any) -> None:
    assert TypeAdapter(kind).validate_python(typed) == kept


@pytest.mark.parametrize(
    ("kind", "typed", "code"),
    [
        (NAME, "", "string_too_short"),
        (NAME, "\u200b\u2062 \u0640", "string_too_short"),
        (NAME, "x" * 11, "string_too_long"),
        (NAME, "a\0", "unstorable"),
        (NAME, "a\ud800", "unstorable"),
        (NAME, 5, "string_type"),
        (NAME, None, "string_type"),
        (REASON, "a \u200b ", "string_too_short"),
        (SAID, "x" * 11, "string_too_long"),
        (STARS, 6, "less_than_equal"),
        (STARS, 10**400, "less_than_equal"),
        (STARS, -1, "greater_than_equal"),
        (STARS, True, "int_type"),
        (STARS, 4.5, "int_type"),
        (STARS, "4.5", "int_type"),
        (STARS, "9" * 5000, "int_type"),
        (Identifier, " ", "string_too_short"),
        (Identifier, "a\u200b", "control_character"),
        (Identifier, "\0", "control_character"),
        (Identifier, "\ud800", "control_character"),
        (Identifier, "ﷺ" * 10, "string_too_long"),
        (Identifier, "x" * 65, "string_too_long"),
        (Birth, "0001-01-01", "day_out_of_range"),
        (Birth, "9999-12-31", "day_out_of_range"),
        (Birth, "1400-12-30", "date_parsing"),
        (Birth, "2026-02-30", "date_parsing"),
        (Birth, 20260101, "date_parsing"),
        (Day, "1999-12-31", "day_out_of_range"),
        (Day, "2026-01-01T00:00:00", "date_parsing"),
        (Moment, "0001-01-01T00:00:00+14:00", "moment_out_of_range"),
        (Moment, "2026-01-01T10:00:00", "moment"),
        (Moment, "9999-12-31T23:59:59-23:59", "moment_out_of_range"),
        (Moment, "now", "moment"),
        (Moment, 0, "moment"),
        (Phone, "12", "phone"),
        (Phone, "\0", "phone"),
        (Email, "nobody", "string_pattern_mismatch"),
        (JSON, {"a": float("nan")}, "free_value"),
        (JSON, {"a": 2**63}, "free_value"),
        (JSON, {"a": "\0"}, "unstorable"),
        (JSON, {"\ud800": 1}, "unstorable"),
        (JSON, {"a": [[[[1]]]]}, "free_value"),
        (JSON, {"a": "x" * 99}, "too_large"),
        (Annotated[str, Opaque(5)], "\0", "unstorable"),
        (Annotated[str, Opaque(5)], "123456", "string_too_long"),
    ],
)
def test_what_cannot_be_kept_is_refused_in_both_languages_without_quoting_it(kind: Any, typed: Any, code: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(kind).validate_python(typed)
    (problem,) = problems_of(caught.value.errors(include_input=False))
    assert problem.code == code
    assert problem.en
    assert any("\u0600" < letter < "\u06ff" for letter in problem.fa)
    assert problem.fa != "مقدار درست نیست"
    assert not (isinstance(typed, str) and len(typed) > 3 and typed in problem.en + problem.fa)


@pytest.mark.parametrize(
    "kind", [NAME, NOTE, REASON, SAID, STARS, Birth, Day, Moment, Phone, Email, PageSize, Annotated[int, Count(0, 9)]]
)
def test_what_the_document_allows_is_taken(kind: Any) -> None:
    adapter = TypeAdapter(kind)
    schema = adapter.json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    days = ["1990-07-22", "2026-11-24", "1405-09-03", "2026-11-24T18:30:00+03:30", "0000-00-00"]
    for value in [*days, "abc", "09123456789", "a@b.ir", 3, "3", None, "", " ", "\0", -1, 2**63]:
        if jsonschema.Draft202012Validator(schema).is_valid(value):
            adapter.validate_python(value)
