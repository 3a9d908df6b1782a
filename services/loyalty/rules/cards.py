"""Stamp cards, folded from the guest's bills, like points.

The published rule: a bill stamps the cards of the program in force at its moment, in the order of the bills, whenever
it arrives. Stamps gather on the present card; when they reach what the card needs, it is completed, and what is over
goes to the next one. A program that needs another number counts so from its first stamp on; the stamps stay.

Card number k gives one voucher, under an id that follows from cafe, guest, card and k. When a late bill, a correction
or a void moves the fold, the voucher moves with it: it has the moment of the bill that now completes card k, and what
the program of then gives; when no bill does, it is withdrawn. When one does again, it is the same voucher.

What was used stays used. If the bills do not complete its card any more, the guest owes that card: number k gives
nothing when the fold reaches it again, because its voucher is used. Until then as many of the guest's other open
vouchers of the card cannot be used: they stand for what is owed. So however bills come and go, a guest uses no more
vouchers than cards were completed, but for what was used before its bill was taken back.

A voucher is used once, by whoever asks first; asking again under the same request's id is answered the same. Who used
it by mistake takes it back: a till its own use for `TAKE_BACK_WITHIN`, a manager any.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID, uuid5

from msgspec.structs import replace

from services.loyalty.models.accounts import Account, Plan, Program, Visit
from services.loyalty.models.cards import (
    Card,
    CardQuoted,
    CardShown,
    CardState,
    CardStates,
    Completion,
    Stamped,
    Voucher,
    VoucherUse,
)
from services.loyalty.models.earning import BillFacts, BillLine, RuleCheck
from services.loyalty.rules.bill_facts import unpack
from services.loyalty.rules.earning import is_of, number_text
from services.loyalty.rules.tiers import in_force
from shared.errors import Rejected

TAKE_BACK_WITHIN: Final = timedelta(hours=2)


def has_cards(plan: Plan) -> bool:
    """Whether any version of the cafe's rules has cards."""
    return any(program.cards for program in plan.programs)


def fold(plan: Plan, before: CardStates, visits: Iterable[Visit]) -> tuple[CardStates, list[Completion]]:
    """The cards after `visits`, which come in their order and after all that `before` counts, and which of them were
    completed by which visit."""
    if not has_cards(plan):
        return before, []
    states = {each.key: each for each in before}
    completions: list[Completion] = []
    for visit in visits:
        program = in_force(plan, visit.occurred_at)
        for stamped in stamps(program, states, visit):
            if stamped.given:
                states[stamped.card.key] = stamped.after
                completions += _completed(program, visit, stamped)
    return tuple(states[key] for key in sorted(states)), completions


def stamps(program: Program, states: Mapping[str, CardState], visit: Visit) -> list[Stamped]:
    """What a bill does to each card of its program."""
    if not program.cards:
        return []
    facts = unpack(visit.facts)
    return [_stamped(card, states.get(card.key) or CardState(card.key), visit, facts) for card in program.cards]


def voucher_id(cafe_id: UUID, customer_id: UUID, key: str, number: int) -> UUID:
    """The id of what card `number` with that key gives the guest."""
    return uuid5(cafe_id, f"voucher:{customer_id}:{key}:{number}")


def vouchers_of(account: Account, completions: Iterable[Completion]) -> list[Voucher]:
    """What these cards give, before anybody used it."""
    return [
        Voucher(
            voucher_id=voucher_id(account.cafe_id, account.customer_id, each.card.key, each.number),
            cafe_id=account.cafe_id,
            customer_id=account.customer_id,
            card_key=each.card.key,
            number=each.number,
            card_name=each.card.name,
            reward=each.card.reward,
            visit_id=each.visit_id,
            earned_at=each.at,
            program_version=each.program_version,
            expires_at=each.at + timedelta(days=each.card.lives_days) if each.card.lives_days else None,
        )
        for each in completions
    ]


def changed_vouchers(known: Mapping[UUID, Voucher], earned: Sequence[Voucher]) -> list[Voucher]:
    """The vouchers that are to be written. `known`: those that there are among `earned`, and all of the guest's where
    `earned` is all that the guest's bills give: what is not among it is not earned any more."""
    after = {each.voucher_id: _as_kept(each, known.get(each.voucher_id)) for each in earned}
    gone = [
        replace(each, state="withdrawn")
        for each in known.values()
        if each.voucher_id not in after and each.state == "open"
    ]
    return [each for each in after.values() if known.get(each.voucher_id) != each] + gone


def use(
    known: Voucher, states: CardStates, vouchers: Sequence[Voucher], wanted: VoucherUse, moment: datetime
) -> Voucher:
    """The voucher after it was used, or as it was when this very request has used it. `vouchers`: the guest's open
    ones, and those used that are owed.

    Raises Rejected when it was used by another request or before this one was taken back, has expired, was withdrawn,
    or stands for what the guest owes.
    """
    by = (wanted.request_id, wanted.used_by, wanted.till_key_id)
    if known.state == "used":
        if (known.request_id, known.used_by, known.till_key_id) == by:
            return known
        raise _refused("voucher_used", "This voucher is used.", "این کوپن پیش‌تر استفاده شده است.")
    if known.undone_request_id == wanted.request_id:
        raise _refused(
            "use_taken_back",
            "This use was taken back; ask under a new request_id to use the voucher anew.",
            "این استفاده پس گرفته شده است؛ برای استفادهٔ دوباره با request_id تازه بفرستید.",
        )
    if known.state == "withdrawn":
        raise _refused(
            "voucher_withdrawn",
            "A bill was corrected or voided, and the card is not full any more.",
            "صورت‌حسابی اصلاح یا باطل شده و کارت دیگر پر نیست.",
        )
    if is_over(known, moment):
        raise _refused("voucher_expired", "The time of this voucher is over.", "مهلت این کوپن گذشته است.")
    if not usable(states, vouchers, known.card_key, moment):
        raise _refused(
            "card_owed",
            "The guest owes a card: a voucher was used whose bill was taken back later.",
            "مهمان یک کارت بدهکار است: کوپنی استفاده شده که صورت‌حسابش بعداً پس گرفته شد.",
        )
    return replace(
        known,
        state="used",
        used_at=moment,
        used_by=wanted.used_by,
        till_key_id=wanted.till_key_id,
        request_id=wanted.request_id,
        order_reference=wanted.order_reference,
    )


def take_back(known: Voucher, states: CardStates) -> Voucher:
    """The voucher as if it had not been used: open when its card is completed, withdrawn when it was owed."""
    is_earned = known.number <= _completed_of(states).get(known.card_key, 0)
    return replace(
        known,
        state="open" if is_earned else "withdrawn",
        used_at=None,
        used_by=None,
        till_key_id=None,
        request_id=None,
        undone_request_id=known.request_id,
        order_reference=None,
    )


def take_back_at_till(
    known: Voucher, states: CardStates, request_id: UUID, till_key_id: str, moment: datetime
) -> Voucher:
    """The same for the till that used it, under the id of that request; as it was when that is done already.

    Raises Rejected when another request or till used it, or it is too long ago.
    """
    if known.state != "used":
        return known
    if (known.request_id, known.till_key_id) != (request_id, till_key_id):
        raise Rejected(
            "used_by_another",
            "Another till or person has used this voucher: a manager can take that back.",
            "این کوپن را صندوق یا شخص دیگری استفاده کرده است: مدیر می‌تواند آن را برگرداند.",
            status=403,
        )
    if known.used_at is not None and moment - known.used_at > TAKE_BACK_WITHIN:
        raise _refused(
            "too_late_to_take_back",
            "It was used more than two hours ago: a manager can take that back.",
            "بیش از دو ساعت از استفادهٔ آن گذشته است: مدیر می‌تواند آن را برگرداند.",
        )
    return take_back(known, states)


def is_over(voucher: Voucher, moment: datetime) -> bool:
    """Whether its time is over."""
    return voucher.expires_at is not None and voucher.expires_at <= moment


def usable(states: CardStates, vouchers: Iterable[Voucher], key: str, moment: datetime) -> int:
    """How many of the open vouchers of a card can be used: those beyond what is owed."""
    held, owed = _held_and_owed(states, vouchers, key, moment)
    return max(0, held - owed)


def usable_ones(states: CardStates, vouchers: Sequence[Voucher], moment: datetime) -> list[Voucher]:
    """Those of the open vouchers that can be used, in their order: of each card those that lapse last stand for what is
    owed."""
    found = set[UUID]()
    for key in sorted({each.card_key for each in vouchers}):
        own = [each for each in vouchers if each.card_key == key and each.state == "open" and not is_over(each, moment)]
        own.sort(key=lambda each: (each.expires_at is None, each.expires_at, each.number))
        found.update(each.voucher_id for each in own[: usable(states, vouchers, key, moment)])
    return [each for each in vouchers if each.voucher_id in found]


def shown(program: Program, states: CardStates, vouchers: Sequence[Voucher], moment: datetime) -> list[CardShown]:
    """The cards of a program as they stand for a guest. `vouchers` as in `use`."""
    return [_shown(card, states, vouchers, moment) for card in program.cards]


def quote(plan: Plan, account: Account, vouchers: Sequence[Voucher], visit: Visit) -> list[CardQuoted]:
    """What a bill would do to the cards of its program, after all that the account's standing counts. `vouchers` as in
    `use`."""
    before, program = account.standing.cards, in_force(plan, visit.occurred_at)
    states, completions = fold(plan, before, (visit,))
    known = {each.voucher_id for each in vouchers}
    new = [each for each in vouchers_of(account, completions) if each.voucher_id not in known]
    found = stamps(program, {each.key: each for each in before}, visit)
    return [
        CardQuoted(
            each.given,
            each.after.completed - each.before.completed,
            _shown(each.card, states, [*vouchers, *new], visit.occurred_at),
        )
        for each in found
    ]


def _shown(card: Card, states: CardStates, vouchers: Sequence[Voucher], moment: datetime) -> CardShown:
    state = next((each for each in states if each.key == card.key), CardState(card.key))
    held, owed = _held_and_owed(states, vouchers, card.key, moment)
    return CardShown(
        key=card.key,
        name=card.name,
        reward=card.reward,
        stamps=state.stamps,
        need=card.need,
        completed=state.completed,
        owed=owed,
        # A program that needs less than there is asks for one stamp more.
        missing=max(1, card.need - state.stamps) + max(0, owed - held) * card.need,
    )


def _held_and_owed(states: CardStates, vouchers: Iterable[Voucher], key: str, moment: datetime) -> tuple[int, int]:
    completed, own = _completed_of(states).get(key, 0), [each for each in vouchers if each.card_key == key]
    held = sum(each.state == "open" and not is_over(each, moment) for each in own)
    return held, sum(each.state == "used" and each.number > completed for each in own)


def _stamped(card: Card, before: CardState, visit: Visit, facts: BillFacts) -> Stamped:
    lines = [line for line in facts.lines if _counts(card, line)]
    checks = list(_asks(card, visit, lines))
    counted = 0
    if all(check.held for check in checks):
        counted = 1 if card.per == "visit" else sum(line.quantity for line in lines) // 1000
    given = min(counted, card.most)
    if not given:
        return Stamped(card, checks, counted, 0, before, before)
    full, stamps_left = divmod(before.stamps + given, card.need)
    return Stamped(card, checks, counted, given, before, CardState(card.key, stamps_left, before.completed + full))


def _asks(card: Card, visit: Visit, lines: Sequence[BillLine]) -> Iterator[RuleCheck]:
    """The conditions of a card."""
    if card.minimum:
        amounts = {"bill": visit.amount, "minimum": card.minimum}
        yield RuleCheck("minimum_bill", visit.amount >= card.minimum, amounts=amounts)
    if card.match is not None or card.per == "quantity":
        values: dict[str, int | str | None] = {
            "lines": len(lines), "quantity": number_text(sum(line.quantity for line in lines)),
        }  # fmt: skip
        yield RuleCheck("item_bought", bool(lines), values)


def _counts(card: Card, line: BillLine) -> bool:
    """What was given for nothing, as the reward itself, is not bought; no more is a line that takes off a price."""
    return (card.match is None or is_of(card.match, line)) and (line.amount is None or line.amount > 0)


def _completed(program: Program, visit: Visit, stamped: Stamped) -> list[Completion]:
    return [
        Completion(
            card=stamped.card,
            number=number,
            visit_id=visit.visit_id,
            at=visit.occurred_at,
            program_version=program.version,
        )
        for number in range(stamped.before.completed + 1, stamped.after.completed + 1)
    ]


def _as_kept(earned: Voucher, known: Voucher | None) -> Voucher:
    """What the bills say of a voucher, with what was done with it."""
    if known is None:
        return earned
    return replace(
        earned,
        state="used" if known.state == "used" else "open",
        used_at=known.used_at,
        used_by=known.used_by,
        till_key_id=known.till_key_id,
        request_id=known.request_id,
        undone_request_id=known.undone_request_id,
        order_reference=known.order_reference,
    )


def _completed_of(states: CardStates) -> dict[str, int]:
    return {each.key: each.completed for each in states}


def _refused(code: str, en: str, fa: str) -> Rejected:
    return Rejected(code, en, fa, status=409)
