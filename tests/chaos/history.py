"""One history of a cafe's tills, and the many ways in which it can arrive.

Left out is what the contract itself makes depend on who comes first:
- two different names of one guest, or voids of one receipt with different words: the first one heard stays;
- a correction of another guest, a second claim, another record under a used number: refused, so that what came first
  stays;
- consent that differs between a record and its correction: a till's answer is heard with the bill that came first;
- a void of a corrected bill whose guest spends points: what it was worth until then is known only as it came.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from persiantools.jdatetime import JalaliDate

from shared.clock import new_id

GUESTS = 5
# Whose bills are corrected twice at one moment: which correction stands follows from the cafe's key, so cafes differ.
TWIN = GUESTS
VISITS_EACH = 9
# Bills of nobody, most of which somebody claims.
ANONYMOUS = 6
TWINS = 4
# Guests who spend points, whether or not they have them; the first was given some.
SPENDER, SPENDERS = 0, (0, 1, 2)
CLAIMERS = (3, 4)
GIFT = 5_000
DAYS = 430
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Sent:
    """What a till sends once or more. `guest` is the number of the guest, None for nobody."""

    kind: str
    body: Mapping[str, Any]
    guest: int | None
    event_id: UUID

    def __str__(self) -> str:
        """A line for a report."""
        body = self.body
        when = body.get("corrected_at") or body.get("voided_at") or body["occurred_at"]
        return f"{self.kind.removeprefix('pos.visit_'):9} {body['device_id']} {body['receipt_number']} {when}"


def phone(guest: int) -> str:
    """The guest's number as the services keep it."""
    return f"+9891255500{guest:02d}"


def spellings(guest: int) -> tuple[str, ...]:
    """The same number as cashiers type it."""
    plain = f"091255500{guest:02d}"
    return (
        plain,
        plain.translate(str.maketrans("0123456789", "۰۱۲۳۴۵۶۷۸۹")),
        plain.translate(str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")),
        f"+98 {plain[1:4]} {plain[4:7]} {plain[7:]}",
        f"0098-{plain[1:]}",
    )


def history(dice: random.Random, moment: datetime) -> list[Sent]:
    """Some 80 records in the order in which they happened, as known at `moment`.

    They lie on both sides of the last Jalali new year, and late ones cross thresholds of tiers.
    """
    moment = moment.replace(minute=0, second=0, microsecond=0)
    told: list[tuple[datetime, Sent]] = []
    guests = [guest for guest in range(GUESTS) for _ in range(VISITS_EACH)]
    for number, guest in enumerate([*guests, *[None] * ANONYMOUS, *[TWIN] * TWINS]):
        told += _life_of_receipt(dice, moment, number, guest)
    told.sort(key=lambda each: each[0])
    counters: dict[str, int] = {}
    for place, (at, sent) in enumerate(told):
        device = sent.body["device_id"]
        # Some numbers never come.
        counters[device] = counters.get(device, 0) + dice.choice([1, 1, 1, 1, 2, 3])
        told[place] = at, replace(sent, body={**sent.body, "device_sequence": counters[device]})
    return [sent for _, sent in told]


def an_order(dice: random.Random, sent: Sequence[Sent]) -> list[Sent]:
    """The history in another order, a quarter of it more than once: the same message, or the receipt in a new one."""
    again = [each if dice.random() < 0.5 else _told_anew(dice, each) for each in sent if dice.random() < 0.25]
    return dice.sample([*sent, *again], len(sent) + len(again))


def _life_of_receipt(
    dice: random.Random, moment: datetime, number: int, guest: int | None
) -> list[tuple[datetime, Sent]]:
    at = _when(dice, moment, number)
    body = _bill(dice, number, at, guest)
    life = [(at, Sent("pos.visit_recorded", body, guest, new_id()))]
    if guest is None and dice.random() < 0.6:
        life.append(_claim(dice, body, at))
    corrections = 2 if guest == TWIN else dice.choice([0, 0, 0, 1, 2, 3])
    corrected_at = max(at, moment - 40 * DAY)
    for _ in range(corrections):
        # A till that counts in seconds may correct twice in one.
        corrected_at += timedelta(seconds=0 if guest == TWIN else dice.choice([1, 3600]))
        life.append((corrected_at, Sent("pos.visit_corrected", _corrected(dice, body, corrected_at), guest, new_id())))
    if corrections == 0 and guest is not None and dice.random() < 0.4:
        body |= {"marketing_consent": dice.random() < 0.5}
    if dice.random() < 0.2 and not (corrections and guest in SPENDERS):
        voided_at = corrected_at + timedelta(hours=2)
        void = {key: body[key] for key in ("device_id", "receipt_number")} | {
            "voided_at": voided_at.isoformat(),
            "reason": "اشتباه صندوق",
        }
        life.append((voided_at, Sent("pos.visit_voided", void, guest, new_id())))
    return life


def _claim(dice: random.Random, body: Mapping[str, Any], at: datetime) -> tuple[datetime, Sent]:
    """A bill of nobody becomes that of a guest who spends nothing."""
    guest, claimed_at = dice.choice(CLAIMERS), at + DAY
    whose = {"phone": dice.choice(spellings(guest)), "guest_name": dice.choice([None, f"مهمان {guest}"])}
    claim = {**_corrected(dice, body, claimed_at), **whose}
    return claimed_at, Sent("pos.visit_corrected", claim, guest, new_id())


def _when(dice: random.Random, moment: datetime, number: int) -> datetime:
    # Half days and odd minutes keep the visits off the edges of days and segments while the scenario runs.
    new_year: datetime = datetime.combine(
        JalaliDate(JalaliDate(moment.date()).year, 1, 1).to_gregorian(), moment.timetz()
    )
    by_turns = number % 4
    if by_turns == 0:
        at = min(moment - DAY, new_year + dice.randint(-12, 12) * DAY)
    elif by_turns == 1:
        at = moment - dice.randint(1, 25) * DAY
    else:
        at = moment - dice.randint(35, DAYS) * DAY
    return at - timedelta(hours=12, minutes=number)


def _bill(dice: random.Random, number: int, at: datetime, guest: int | None) -> dict[str, Any]:
    unit = dice.choice(["IRT", "IRT", "IRR"])
    total = dice.randint(20, 700) * 1_000 + dice.choice([0, 1, 999])
    body: dict[str, Any] = {
        "device_id": f"till-{number % 3}",
        "receipt_number": f"{number:05}",
        "occurred_at": at.isoformat(),
        "items": [{"name": "قهوه ترک", "quantity": dice.randint(1, 3), "amount": str(total)}],
        "total": str(total * 10 if unit == "IRR" else total),
        "discount": dice.choice(["0", "5000"]),
        "currency_unit": unit,
        "payment_method": dice.choice(["cash", "card", "online"]),
        "attributes": {"shift": dice.choice(["day", "night"])},
    }
    if guest is not None:
        body |= {"phone": dice.choice(spellings(guest)), "guest_name": dice.choice([None, f"مهمان {guest}"])}
        if guest in SPENDERS and dice.random() < 0.4:
            body |= {"points_to_redeem": dice.randint(1, 600)}
    return body


def _corrected(dice: random.Random, body: Mapping[str, Any], corrected_at: datetime) -> dict[str, Any]:
    # Only bills that are old anyway: whether the guest is thanked is decided by the bill that came first.
    is_old = corrected_at - datetime.fromisoformat(body["occurred_at"]) > 22 * DAY
    moved = timedelta(days=dice.choice([0, 0, -20, 20]) if is_old else 0)
    at = datetime.fromisoformat(body["occurred_at"]) + moved
    redeems = "points_to_redeem" in body and dice.random() < 0.5
    return {
        **body,
        **({"points_to_redeem": dice.choice([0, 50, 400])} if redeems else {}),
        "occurred_at": at.isoformat(),
        "total": str(dice.randint(20, 900) * 1_000),
        "currency_unit": dice.choice(["IRT", "IRR"]),
        "corrected_at": corrected_at.isoformat(),
    }


def _told_anew(dice: random.Random, sent: Sent) -> Sent:
    body = dict(sent.body)
    if sent.guest is not None and "phone" in body:
        body["phone"] = dice.choice(spellings(sent.guest))
    return replace(sent, body=body, event_id=new_id())
