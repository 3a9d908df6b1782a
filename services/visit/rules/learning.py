"""What visits tell of their guests."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from services.visit.models.values import BillDraft, CorrectVisit, KnownGuest
from shared.consent import ASKED, TICK, Answer, counts_at


@dataclass(frozen=True)
class Told:
    """What a visit says that was not known about its guest: that there is such a guest, a name, an answer on
    marketing."""

    draft: BillDraft
    name: str | None
    answer: Answer | None


def learn(guest: KnownGuest, drafts: Iterable[BillDraft], *, is_new: bool) -> tuple[KnownGuest, list[Told]]:
    """What is new about a guest in these visits, in the order of the visits, and what is known of the guest afterwards.

    A no that is known already is not told again. If a yes from before it comes into force, it is told then (reactions).
    """
    told = []
    for draft in sorted(drafts, key=lambda each: each.command.body.occurred_at):
        body = draft.command.body
        name = body.guest_name if body.guest_name and not guest.name_known else None
        answer, known = answer_of(draft), guest.answer
        if answer and known and answer.rank <= known.rank:
            answer = None
        is_told = answer is not None and (known is None or known.granted or answer.granted)
        if name or is_told or is_new:
            told.append(Told(draft, name, answer if is_told else None))
        if answer:
            guest = replace(guest, answer=answer)
        if name:
            guest = replace(guest, name_known=True)
        is_new = False
    return guest, told


def answer_of(draft: BillDraft) -> Answer | None:
    """What the bill says its guest answered on marketing, if it counts: not from before the guest's erasure.

    A correction can take a yes back and give none: it comes later than the question, and may come again.
    """
    body = draft.command.body
    if body.marketing_consent is None or (body.marketing_consent and isinstance(draft.command, CorrectVisit)):
        return None
    at = counts_at(body.consent_asked_at or body.occurred_at, draft.heard_at)
    if draft.found.erased_at is not None and at <= draft.found.erased_at:
        return None
    return Answer(body.marketing_consent, ASKED if body.consent_asked_at else TICK, at)
