"""The events that say what became of a visit."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

import msgspec

from services.visit.models.values import (
    BillDraft,
    DeviceKey,
    Gap,
    GuestKey,
    KnownReceipt,
    NewVisit,
    Receipt,
    StoredVisit,
    VoidVisit,
)
from services.visit.rules.learning import Told
from shared.clock import now
from shared.consent import ASKED, counts_at
from shared.events.base import Item
from shared.events.visit import (
    ConsentRefused,
    ContactLearned,
    DeviceGapDetected,
    VisitClaimed,
    VisitCorrected,
    VisitRecorded,
    VisitVoided,
)
from shared.inputs.table_numbers import table_code
from shared.security.crypto import Keys, seal
from shared.security.ids import menu_code

VisitSpan = tuple[datetime | None, datetime | None]


def recorded(visit: NewVisit, keys: Keys) -> VisitRecorded:
    """A visit was taken in."""
    command, body = visit.draft.command, visit.draft.command.body
    return VisitRecorded(
        cafe_id=command.cafe_id,
        occurred_at=body.occurred_at,
        correlation_id=command.correlation_id,
        causation_id=command.event_id,
        visit_id=visit.visit_id,
        customer_id=visit.customer_id,
        device_id=command.device_id,
        receipt_number=command.receipt_number,
        branch_id=visit.draft.branch_id,
        final_amount=body.total - body.discount,
        currency_unit=body.currency_unit,
        visit_number=visit.visit_number,
        total_amount=body.total,
        discount_amount=body.discount,
        payment_method=body.payment_method,
        items=_coded(command.cafe_id, visit.draft.lines, keys),
        table_number=table_code(body.table_number),
        points_to_redeem=body.points_to_redeem,
        redemption_id=body.redemption_id,
    )


def claimed(stored: Mapping[str, Any], draft: BillDraft, customer_id: UUID, number: int, keys: Keys) -> VisitClaimed:
    """A stored visit of nobody, with all its columns, is this guest's since `draft` came."""
    command = draft.command
    assert draft.corrected_at is not None
    return VisitClaimed(
        cafe_id=command.cafe_id,
        occurred_at=stored["visit_date"],
        correlation_id=command.correlation_id,
        causation_id=command.event_id,
        visit_id=stored["id"],
        customer_id=customer_id,
        device_id=command.device_id,
        receipt_number=command.receipt_number,
        branch_id=stored["branch_id"],
        final_amount=stored["final_amount"],
        currency_unit=stored["currency_unit"],
        visit_number=number,
        total_amount=stored["total_amount"],
        discount_amount=stored["discount_amount"],
        payment_method=stored["payment_method"],
        items=_coded(command.cafe_id, msgspec.convert(stored["items_ordered"], list[Item], strict=False), keys),
        table_number=table_code(stored["table_number"]),
        claimed_at=draft.corrected_at,
    )


def corrected(
    stored: StoredVisit, draft: BillDraft, span: VisitSpan, corrected_at: datetime, keys: Keys
) -> VisitCorrected:
    """A visit became what `draft` says; `span` is the guest's first and last visit now."""
    command, body = draft.command, draft.command.body
    return VisitCorrected(
        cafe_id=command.cafe_id,
        occurred_at=body.occurred_at,
        correlation_id=command.correlation_id,
        causation_id=command.event_id,
        visit_id=stored.visit_id,
        customer_id=stored.customer_id,
        device_id=command.device_id,
        receipt_number=command.receipt_number,
        branch_id=draft.branch_id,
        final_amount=body.total - body.discount,
        currency_unit=body.currency_unit,
        total_amount=body.total,
        discount_amount=body.discount,
        payment_method=body.payment_method,
        items=_coded(command.cafe_id, draft.lines, keys),
        points_to_redeem=body.points_to_redeem,
        redemption_id=body.redemption_id,
        previous_final_amount=stored.final_amount,
        previous_currency_unit=stored.currency_unit,
        previous_occurred_at=stored.visit_date,
        first_visit_at=span[0] or body.occurred_at,
        last_visit_at=span[1] or body.occurred_at,
        corrected_at=corrected_at,
    )


def voided(stored: StoredVisit, void: VoidVisit, span: VisitSpan) -> VisitVoided:
    """A visit never was; `span` is what remains to the guest."""
    return VisitVoided(
        cafe_id=void.cafe_id,
        occurred_at=stored.visit_date,
        correlation_id=void.correlation_id,
        causation_id=void.event_id,
        visit_id=stored.visit_id,
        customer_id=stored.customer_id,
        device_id=void.device_id,
        receipt_number=void.receipt_number,
        branch_id=stored.branch_id,
        final_amount=stored.final_amount,
        currency_unit=stored.currency_unit,
        voided_at=void.voided_at,
        first_visit_at=span[0],
        last_visit_at=span[1],
    )


def voided_before(visit: NewVisit, void: KnownReceipt, span: VisitSpan) -> VisitVoided:
    """The void of a visit that was taken in after its void: published as if it had come in the usual order."""
    command, body = visit.draft.command, visit.draft.command.body
    assert void.voided_at is not None
    return VisitVoided(
        cafe_id=command.cafe_id,
        occurred_at=body.occurred_at,
        correlation_id=command.correlation_id,
        causation_id=command.event_id,
        visit_id=visit.visit_id,
        customer_id=visit.customer_id,
        device_id=command.device_id,
        receipt_number=command.receipt_number,
        branch_id=visit.draft.branch_id,
        final_amount=body.total - body.discount,
        currency_unit=body.currency_unit,
        voided_at=void.voided_at,
        first_visit_at=span[0],
        last_visit_at=span[1],
    )


def _coded(cafe_id: UUID, lines: Sequence[Item], keys: Keys) -> list[Item]:
    """The bill's lines for a topic that is kept for ever: with codes for names, because a till may call a dish
    anything."""
    code = partial(menu_code, keys, cafe_id)
    return [
        Item(
            name="",
            quantity=line.quantity,
            amount=line.amount,
            name_code=code(line.name) if line.name else None,
            sku_code=code(line.sku) if line.sku else None,
            category_code=code(line.category) if line.category else None,
        )
        for line in lines
    ]


def contact(told: Told, customer_id: UUID, keys: Keys) -> ContactLearned:
    """What a visit told about its guest."""
    command, body = told.draft.command, told.draft.command.body
    assert body.phone is not None
    return ContactLearned(
        cafe_id=command.cafe_id,
        # Decides whether this is from before or after the guest's erasure: so never by a clock that is ahead.
        occurred_at=counts_at(body.occurred_at, told.draft.heard_at),
        correlation_id=command.correlation_id,
        causation_id=command.event_id,
        customer_id=customer_id,
        phone_sealed=seal(keys, body.phone, table="visit.contacts", column="phone", row=customer_id),
        name_sealed=seal(keys, told.name, table="visit.contacts", column="name", row=customer_id)
        if told.name
        else None,
        marketing_consent=told.answer.granted if told.answer else None,
        consent_at=told.answer.at if told.answer else None,
        consent_asked=told.answer is not None and told.answer.source == ASKED,
        is_correction=told.draft.corrected_at is not None,
    )


def refused(guest: GuestKey, at: datetime) -> ConsentRefused:
    """The guest's no of that moment, published because it overrules a yes from before it."""
    return ConsentRefused(cafe_id=guest[0], customer_id=guest[1], occurred_at=at)


def gap(device: DeviceKey, missing: Gap, cause: Receipt) -> DeviceGapDetected:
    """A device skipped these numbers; `cause` is what showed it."""
    return DeviceGapDetected(
        cafe_id=device[0],
        occurred_at=now(),
        correlation_id=cause.correlation_id,
        causation_id=cause.event_id,
        device_id=device[1],
        missing_from=missing[0],
        missing_to=missing[1],
    )
