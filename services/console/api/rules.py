"""The editor of a club's rules: sentences with blanks, step by step, and what they would change."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from string import Formatter
from typing import Any, Final

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import Response

from services.console.api import rehearsals
from services.console.api.forms import typed_moment
from services.console.api.rendering import catalogue, go, is_fragment, look_of, page, speech_of
from services.console.api.visiting import Here, upstream
from services.console.handlers import rules as handler
from services.console.handlers.rules import RuleChoices
from services.console.models.session import Insider
from services.console.rules import club_rules, roles, rule_draft, rule_forms
from services.console.rules.rule_blanks import MENU, WEEK, Fields
from services.console.rules.rule_writing import LADDER, as_fields, field_at, written_rules
from services.console.rules.speech import Speech
from services.console.store import club as club_store
from services.console.store.upstream import RefusedCall
from shared import clock
from shared.errors import Rejected

router = APIRouter(prefix="/c/{cafe_id}/club/rules", include_in_schema=False)

# A page shows again what its draft would change.
REDRAWN: Final = {"HX-Trigger": "redraw"}


@dataclass(frozen=True)
class ClubDraft:
    """What stands in the editor, and what it means. `body`: as the API takes it, None while something has to be
    mended; `faults`: by field what is said there."""

    fields: Fields
    changes: tuple[club_rules.RuleChange, ...] = ()
    body: Mapping[str, Any] | None = None
    faults: Mapping[str, str] | None = None
    error: str = ""
    status: int = 200

    @property
    def digest(self) -> str:
        """A name for exactly these rules: only what was shown is sent."""
        return hashlib.sha256(msgspec.json.encode(self.body, order="sorted")).hexdigest()[:32]


@router.get("/new")
async def ask_new(request: Request, here: Here) -> Response:
    """The newest rules, to be changed."""
    known = await _choices(request, here)
    return _editor(request, here, known, ClubDraft(as_fields(known.versions[-1], _speech(request, here))))


@router.post("/new")
async def edit(request: Request, here: Here) -> Response:
    """A step of the editor; `look` says what would change, `rehearse` tries it on all bills, and `send` sends what was
    looked at."""
    form = await request.form()
    known, fields, step = await _choices(request, here), _fields(form), str(form.get("step", "look"))
    if step not in ("look", "rehearse", "send"):
        return _editor(request, here, known, ClubDraft(rule_draft.moved(fields, step)))
    draft = meant(request, here, known, fields)
    if step == "look" or draft.body is None or (step == "send" and draft.digest != form.get("seen")):
        return _editor(request, here, known, draft, looked=True)
    try:
        if step == "rehearse":
            return await rehearsals.asked(request, here, dict(draft.body))
        answer = await club_store.propose(upstream(request), here.access, here.cafe.cafe_id, dict(draft.body))
    except RefusedCall as error:
        return _editor(request, here, known, _refused(request, here, known, draft, error), looked=True)
    return go(request, f"/c/{here.cafe.cafe_id}/club?done={'asked' if answer.proposal_id else 'published'}")


@router.post("/changes")
async def show_changes(request: Request, here: Here) -> Response:
    """What the draft would change; without JavaScript the editor itself says it."""
    form = await request.form()
    known = await _choices(request, here)
    draft = meant(request, here, known, _fields(form))
    if not is_fragment(request):
        return _editor(request, here, known, draft, looked=True)
    return page(request, "rules_changes.html", here, draft=draft, place_of=_place_of)


def meant(request: Request, here: Insider, known: RuleChoices, fields: Fields) -> ClubDraft:
    """What the fields of the editor mean beside the newest rules: their JSON for the API, or what has to be mended."""
    speech, now = _speech(request, here), known.versions[-1]
    found = written_rules(fields, now, speech)
    say = partial(catalogue().say, look_of(request).language)
    faults = {name: say(f"draft_fault.{key}") for name, key in found.faults.items()}
    begins = None
    try:
        if day := (fields.get("from_day") or ("",))[0].strip():
            hour = (fields.get("from_clock") or ("",))[0].strip() or "0:00"
            begins = typed_moment("from_day", day, "from_clock", hour, here.cafe.time_zone)
    except RefusedCall as error:
        faults |= _said(request, error, fields)
    if faults or found.version is None or found.body is None:
        return ClubDraft(fields, faults=faults, error=say("draft.mend"), status=422)
    body = found.body | ({"valid_from": begins} if begins else {})
    return ClubDraft(fields, club_rules.changes(now, found.version, speech), body)


def _refused(request: Request, here: Insider, known: RuleChoices, draft: ClubDraft, error: RefusedCall) -> ClubDraft:
    said = error.fa if look_of(request).language == "fa" else error.en
    version = written_rules(draft.fields, known.versions[-1], _speech(request, here)).version
    faults = {
        field_at(each.field, draft.fields, version): each.fa if look_of(request).language == "fa" else each.en
        for each in error.faults
    }
    return ClubDraft(draft.fields, draft.changes, None, faults, said, error.status)


def _said(request: Request, error: RefusedCall, fields: Fields) -> dict[str, str]:
    language = look_of(request).language
    return {field_at(each.field, fields, None): each.fa if language == "fa" else each.en for each in error.faults}


async def _choices(request: Request, here: Insider) -> RuleChoices:
    if not roles.may(here.cafe.role, "write_rules"):
        raise Rejected(
            "role_too_low",
            "Only managers write the rules of the club.",
            "قاعده‌های باشگاه را مدیرها می‌نویسند.",
            status=403,
        )
    return await handler.choices(upstream(request), here, _speech(request, here).local_day(clock.now()))


def _editor(request: Request, here: Insider, known: RuleChoices, draft: ClubDraft, *, looked: bool = False) -> Response:
    template = "rules_fields.html" if is_fragment(request) else "rules_edit.html"
    fields = draft.fields
    answer = page(
        request, template, here, status=draft.status, nav="club", draft=draft, fields=fields, looked=looked,
        lacks=draft.faults or {}, error=draft.error, known_choices=known, week=WEEK, menu_words=tuple(MENU),
        ladder=LADDER, pieces=partial(_pieces, request), entries=partial(rule_draft.entries, fields),
        forms_of=rule_forms.forms_of, place_of=_place_of, spans=partial(_spans, fields),
        with_gone=partial(_with_gone, request, fields), offered=partial(_is_offered, fields, known),
        values={name: each[0] for name, each in fields.items() if each}, faults=draft.faults or {},
    )  # fmt: skip
    if is_fragment(request):
        answer.headers.update(REDRAWN)
    return answer


def _pieces(request: Request, key: str) -> list[tuple[str, str | None]]:
    """A sentence with blanks as texts, each with the path of the blank that follows it."""
    return [(text, path) for text, path, *_ in Formatter().parse(catalogue().texts[key][look_of(request).language])]


def _spans(fields: Fields, name: str) -> list[int]:
    """The numbers of the spans of days that stand in a blank; of an empty one the first, to be filled."""
    return [each for each in range(50) if f"{name}.{each}.first" in fields] or [0]


def _with_gone(request: Request, fields: Fields, name: str, pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """What can be ticked, with what is ticked and is no longer there, so that it is seen and can be taken away."""
    there, word = {value for value, _ in pairs}, catalogue().say(look_of(request).language, "draft_gone.ticked")
    return pairs + [(value, word) for value in fields.get(name, ()) if value not in there]


def _is_offered(fields: Fields, known: RuleChoices, limit: str) -> bool:
    """Whether that condition could say anything in this cafe."""
    needs = {
        "branches": bool(known.branches),
        "segments": bool(known.segments),
        "on": bool(rule_draft.entries(fields, "earn")),
    }
    return needs.get(limit, True)


def _place_of(field: str) -> str:
    """Where on the page a field stands, as the target of a link."""
    return f"f-{field.replace('.', '-')}"


def _fields(form: Any) -> dict[str, tuple[str, ...]]:
    fields: dict[str, tuple[str, ...]] = {}
    for name, value in form.multi_items():
        if isinstance(value, str) and name not in ("csrf", "step", "seen"):
            fields[name] = (*fields.get(name, ()), value[:300])
    return fields


def _speech(request: Request, here: Insider) -> Speech:
    return speech_of(look_of(request), here)
