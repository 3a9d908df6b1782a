"""Segments: the list, one of them, and the builder in which a rule is made row by row."""

from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response

from services.console.api.rendering import catalogue, go, is_fragment, look_of, page, refused, speech_of
from services.console.api.visiting import Here, upstream
from services.console.handlers import segments as handler
from services.console.handlers.segments import RuleAttributes, RuleCount
from services.console.models.segments import RuleGroup, RulePath, RuleRow
from services.console.models.session import Insider
from services.console.rules import roles, segment_tree
from services.console.rules.segment_filters import rule_of_filter
from services.console.rules.segment_words import sentence
from services.console.store import segments
from services.console.store.upstream import RefusedCall
from shared.clock import new_id
from shared.errors import Rejected

router = APIRouter(prefix="/c/{cafe_id}/segments", include_in_schema=False)

FIRST_ROW = RuleRow("visit_count", "at_least", ("",))
EMPTY = RuleGroup("all", (FIRST_ROW,))
COLORS = ("#8A4B2A", "#C2703D", "#D9A03F", "#4F7F52", "#2F7F86", "#3B6FB6", "#6A3D7C", "#B0475A")
RECOUNT = {"HX-Trigger": "recount"}


@dataclass(frozen=True)
class RuleDraft:
    """What stands in the builder. `key`: of the segment that is made, so that a second tap makes no second one."""

    name: str
    description: str
    color: str
    key: str
    tree: RuleGroup


@router.get("")
async def show_list(request: Request, here: Here, after: int = 0) -> Response:
    """Segments as cards, some at a time."""
    shown = await handler.show_list(upstream(request), here, max(after, 0))
    template = "segments_cards.html" if is_fragment(request) else "segments.html"
    return page(request, template, here, nav="segments", shown=shown, **_words(request, here, shown.attributes))


@router.get("/new")
async def ask_new(request: Request, here: Here, only: str = "", of: UUID | None = None) -> Response:
    """An empty builder, or one filled from a filter of the guest list, or from another segment."""
    _must_edit(here)
    known = await handler.attributes(upstream(request), here)
    tree = rule_of_filter(only) or EMPTY
    if of is not None:
        source = await segments.find(upstream(request), here.access, here.cafe.cafe_id, of)
        tree = handler.rule_of(source, known) or EMPTY
    draft = RuleDraft("", "", COLORS[6], f"own_{new_id().hex[-12:]}", tree)
    return _builder(request, here, draft, known, None)


@router.post("/new")
async def make(request: Request, here: Here) -> Response:
    """A step in the builder, or the new segment."""
    return await _step(request, here, None)


@router.post("/preview")
async def preview(request: Request, here: Here) -> Response:
    """How many guests a rule finds, and who; without JavaScript the builder itself shows it."""
    form = await request.form()
    known = await handler.attributes(upstream(request), here)
    tree = segment_tree.shaped(segment_tree.from_form(_fields(form)), known.kinds)
    segment_id = _uuid(str(form.get("segment_id", "")))
    counted = await handler.count(upstream(request), here, tree, known, segment_id)
    if not is_fragment(request):
        return _builder(request, here, _draft(form, tree), known, segment_id, counted)
    said = _words(request, here, known) | _reasons(request, counted)
    return page(request, "segment_count.html", here, counted=counted, tree=tree, **said)


@router.get("/{segment_id}")
async def show(request: Request, here: Here, segment_id: UUID, after: UUID | None = None, done: str = "") -> Response:
    """A segment: its days, its rule in words, who is in it and what is sent by it."""
    if is_fragment(request):
        members = await segments.list_members(
            upstream(request), here.access, here.cafe.cafe_id, segment_id, after, handler.FACES
        )
        return page(request, "segment_members.html", here, members=members, segment_id=segment_id)
    shown = await handler.show(upstream(request), here, segment_id, after)
    return page(
        request, "segment.html", here, nav="segments", shown=shown, members=shown.members, done=done,
        segment_id=segment_id, **_words(request, here, shown.attributes),
    )  # fmt: skip


@router.get("/{segment_id}/edit")
async def ask_edit(request: Request, here: Here, segment_id: UUID) -> Response:
    """The builder with the segment's rule."""
    _must_edit(here)
    known = await handler.attributes(upstream(request), here)
    segment = await segments.find(upstream(request), here.access, here.cafe.cafe_id, segment_id)
    tree = handler.rule_of(segment, known)
    if segment.is_system_segment or tree is None:
        return go(request, f"/c/{here.cafe.cafe_id}/segments/{segment_id}")
    draft = RuleDraft(segment.name, segment.description or "", segment.color_hex.upper(), segment.segment_key, tree)
    return _builder(request, here, draft, known, segment_id)


@router.post("/{segment_id}/edit")
async def edit(request: Request, here: Here, segment_id: UUID) -> Response:
    """A step in the builder, or the changed segment."""
    return await _step(request, here, segment_id)


@router.get("/{segment_id}/delete")
async def ask_delete(request: Request, here: Here, segment_id: UUID) -> Response:
    """Says what deleting means before it is done."""
    _must_edit(here)
    segment = await segments.find(upstream(request), here.access, here.cafe.cafe_id, segment_id)
    journeys = await handler.used_by(upstream(request), here, segment)
    return page(request, "segment_delete.html", here, nav="segments", segment=segment, journeys=journeys)


@router.post("/{segment_id}/delete")
async def delete(request: Request, here: Here, segment_id: UUID) -> Response:
    """Deletes it."""
    await segments.remove(upstream(request), here.access, here.cafe.cafe_id, segment_id)
    return go(request, f"/c/{here.cafe.cafe_id}/segments")


async def _step(request: Request, here: Insider, segment_id: UUID | None) -> Response:
    form = await request.form()
    up, known = upstream(request), await handler.attributes(upstream(request), here)
    tree = segment_tree.shaped(segment_tree.from_form(_fields(form)), known.kinds)
    do, _, place = str(form.get("do", "")).partition(".")
    if do == "save":
        return await _save(request, here, _draft(form, tree), known, segment_id)
    counted = await handler.count(up, here, tree, known, segment_id) if do == "count" else None
    draft = _draft(form, _moved(tree, do, _path(place)))
    return _builder(request, here, draft, known, segment_id, counted)


async def _save(
    request: Request, here: Insider, draft: RuleDraft, known: RuleAttributes, segment_id: UUID | None
) -> Response:
    up, access, cafe_id = upstream(request), here.access, here.cafe.cafe_id
    faults = segment_tree.faults(draft.tree, known.kinds, known.choices)
    if faults:
        return _builder(request, here, draft, known, segment_id, RuleCount(faults=faults), status=422)
    written: dict[str, Any] = {
        "name": draft.name, "description": draft.description.strip() or None, "color_hex": draft.color,
        "criteria": segment_tree.to_criteria(draft.tree),
    }  # fmt: skip
    try:
        if segment_id is None:
            made = await segments.make(up, access, cafe_id, written | {"segment_key": draft.key})
            return go(request, f"/c/{cafe_id}/segments/{made.id}?done=made")
        await segments.alter(up, access, cafe_id, segment_id, written)
    except RefusedCall as error:
        if error.code == "key_in_use":
            return go(request, f"/c/{cafe_id}/segments")
        counted = RuleCount(faults=handler.faults_of(error), refused=error)
        return _builder(request, here, draft, known, segment_id, counted, status=error.status)
    return go(request, f"/c/{cafe_id}/segments/{segment_id}?done=saved")


def _builder(
    request: Request,
    here: Insider,
    draft: RuleDraft,
    known: RuleAttributes,
    segment_id: UUID | None,
    counted: RuleCount | None = None,
    *,
    status: int = 200,
) -> Response:
    base = f"/c/{here.cafe.cafe_id}/segments"
    template = "segment_fields.html" if is_fragment(request) else "segment_build.html"
    colors = COLORS if draft.color in COLORS else (*COLORS, draft.color)
    answer = page(
        request, template, here, status=status, nav="segments", draft=draft, tree=draft.tree, colors=colors,
        fields=segment_tree.to_form(draft.tree),
        attributes=known.by_name, operators=segment_tree.OPERATORS, key=segment_tree.key, deepest=segment_tree.DEEPEST,
        action=f"{base}/new" if segment_id is None else f"{base}/{segment_id}/edit", segment_id=segment_id,
        counted=counted, **_words(request, here, known), **_reasons(request, counted),
    )  # fmt: skip
    if is_fragment(request):
        answer.headers.update(RECOUNT)
    return answer


def _reasons(request: Request, counted: RuleCount | None) -> dict[str, Any]:
    """What is said of each row that needs mending: the API's own sentence, or one of the catalogue."""
    language = look_of(request).language
    if counted is None:
        return {"error": None, "faults": {}, "row_faults": {}}
    if counted.refused is None:
        own = {path: catalogue().say(language, key) for path, key in counted.faults.items()}
        return {"error": None, "faults": {}, "row_faults": own}
    by_field = {each.field: each.fa if language == "fa" else each.en for each in counted.refused.faults}
    said = refused(counted.refused, language)
    return {**said, "row_faults": {path: by_field[field] for path, field in counted.faults.items()}}


def _words(request: Request, here: Insider, known: RuleAttributes) -> dict[str, Any]:
    """How these pages say rules, places of rows, days and typed numbers."""
    look = look_of(request)
    speech, say = speech_of(look, here), partial(catalogue().say, look.language)

    def written(value: str) -> str:
        return speech.number(Decimal(value)) if segment_tree.is_number(value) else value

    return {
        "say_rule": lambda tree: sentence(tree, known.kinds, say, catalogue().has, speech),
        "said": lambda path: speech.digits(("٫" if look.language == "fa" else ".").join(str(n + 1) for n in path)),
        "words_of": lambda days: [speech.day(each.date, year=False) for each in days],
        "written": written,
    }


def _fields(form: Any) -> dict[str, list[str]]:
    fields: dict[str, list[str]] = {}
    for name, value in form.multi_items():
        if isinstance(value, str):
            fields.setdefault(name, []).append(value[:300])
    return fields


def _draft(form: Any, tree: RuleGroup) -> RuleDraft:
    text = {name: str(form.get(name, "")) for name in ("name", "description", "color", "key")}
    return RuleDraft(text["name"][:300], text["description"][:2000], text["color"][:7], text["key"][:50], tree)


def _moved(tree: RuleGroup, do: str, path: RulePath) -> RuleGroup:
    if do == "add":
        return segment_tree.with_row(tree, path, FIRST_ROW)
    if do == "group":
        return segment_tree.with_group(tree, path, FIRST_ROW)
    return segment_tree.without(tree, path) if do == "remove" else tree


def _path(written: str) -> RulePath:
    return tuple(int(part) for part in written.split(".") if part.isdecimal() and len(part) < 4)[:12]


def _uuid(written: str) -> UUID | None:
    try:
        return UUID(written)
    except ValueError:
        return None


def _must_edit(here: Insider) -> None:
    if not roles.may(here.cafe.role, "edit_segments"):
        raise Rejected(
            "role_too_low",
            "Only managers make and change segments.",
            "بخش‌ها را مدیرها می‌سازند و تغییر می‌دهند.",
            status=403,
        )
