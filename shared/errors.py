"""What can go wrong by somebody's fault. Everything else is a bug or an outage and is raised as it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

# A code of its own: a caller who knows that the person is of the cafe learns by it that the service has not heard yet.
CAFE_UNKNOWN: Final = "cafe_unknown"


@dataclass(frozen=True)
class Problem:
    """One fault in the caller's input: where, which rule, and how to mend it, in both languages."""

    field: str
    code: str
    en: str
    fa: str


class Rejected(Exception):
    """The caller's fault. HTTP answers problem+json with `status`; a Kafka record with it is parked.

    `problems` must hold no personal data: they are logged and stored as they are. `retry_after` (seconds) is told with
    the statuses 429 and 503.
    """

    def __init__(
        self,
        code: str,
        en: str,
        fa: str,
        *,
        status: int = 422,
        problems: Sequence[Problem] = (),
        retry_after: int = 1,
    ) -> None:
        super().__init__(f"{code}: {en}")
        self.code = code
        self.en = en
        self.fa = fa
        self.status = status
        self.problems = tuple(problems)
        self.retry_after = retry_after


class Poison(Exception):
    """This record can never succeed: park it at once, never retry. `reason` holds no personal data."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class NotFound(Rejected):
    """Nothing with that id in this cafe."""

    def __init__(self, what: str, fa: str) -> None:
        super().__init__(
            "not_found", f"There is no such {what} in this cafe.", f"{fa} در این کافه پیدا نشد.", status=404
        )
