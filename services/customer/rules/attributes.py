"""The closed list of what criteria may ask about a guest.

Names stand in stored criteria: they may be added, never taken away or given another meaning.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from shared.inputs.bounds import MOST_POINTS, MOST_TOMAN

# How many of the newest visits the projection keeps, and so the most that monthly_visits can be compared with.
NEWEST_VISITS = 101
MONTH_DAYS = 30


class AttributeKind(Enum):
    """How an attribute is compared; each has its own form in the criteria."""

    COUNT = "count"
    MONEY = "money"
    SCORE = "score"
    DAYS_SINCE = "days_since"
    NEWER_THAN = "newer_than"
    NEWEST = "newest"
    CHOICE = "choice"
    FLAG = "flag"


@dataclass(frozen=True)
class Attribute:
    """One attribute. `sql` reads `a` (customer_activity) or `c` (customers); `choices` is empty for free words."""

    name: str
    kind: AttributeKind
    sql: str
    en: str
    fa: str
    choices: tuple[str, ...] = ()
    sql_type: str = "text"
    most: int = MOST_TOMAN

    @property
    def needs_customer(self) -> bool:
        """Whether the customers table must be read as well."""
        return "c." in self.sql


# The form of each kind, as shown to people who write criteria.
FORMS: Final[dict[AttributeKind, str]] = {
    AttributeKind.COUNT: '{"min": 3, "max": 10}',
    AttributeKind.MONEY: '{"min": 500000, "max": "750000.50"}',
    AttributeKind.SCORE: '{"min": 4.5}',
    AttributeKind.DAYS_SINCE: '{"min": 7, "max": 14}',
    AttributeKind.NEWER_THAN: "30",
    AttributeKind.NEWEST: '{"min": 4}',
    AttributeKind.CHOICE: '["one", "other"]',
    AttributeKind.FLAG: "true",
}

_ALL = (
    Attribute(
        "created_within_days",
        AttributeKind.NEWER_THAN,
        "LEAST(a.registered_at, a.first_visit_at)",
        "The guest became known (registered or first visited) less than so many days ago.",
        "مهمان کمتر از این تعداد روز پیش ثبت شده یا نخستین بار آمده است.",
        most=36_500,
    ),
    Attribute(
        "visit_count",
        AttributeKind.COUNT,
        "a.total_visits",
        "Number of visits ever.",
        "تعداد همهٔ بازدیدها.",
        most=2**31 - 1,
    ),
    Attribute(
        "monthly_visits",
        AttributeKind.NEWEST,
        "a.recent_visits",
        "Number of visits in the last 30 days, counted back from now.",
        "تعداد بازدیدها در ۳۰ روز گذشته، از همین لحظه به عقب.",
        most=NEWEST_VISITS - 1,
    ),
    Attribute(
        "last_visit_days",
        AttributeKind.DAYS_SINCE,
        "a.last_visit_at",
        "Whole days since the last visit; a guest without a visit matches no bound.",
        "روزهای کامل از آخرین بازدید؛ مهمان بدون بازدید با هیچ حدی جور نیست.",
        most=36_500,
    ),
    Attribute(
        "first_visit_days",
        AttributeKind.DAYS_SINCE,
        "a.first_visit_at",
        "Whole days since the first visit; a guest without a visit matches no bound.",
        "روزهای کامل از نخستین بازدید؛ مهمان بدون بازدید با هیچ حدی جور نیست.",
        most=36_500,
    ),
    Attribute(
        "lifetime_spent",
        AttributeKind.MONEY,
        "a.lifetime_spent",
        "Sum of all bills after discounts, in the cafe's unit of money.",
        "جمع همهٔ پرداخت‌ها پس از تخفیف، به واحد پول کافه.",
    ),
    Attribute(
        "avg_spend",
        AttributeKind.MONEY,
        "a.lifetime_spent / NULLIF(a.total_visits, 0)",
        "Average bill in the cafe's unit of money; a guest without a visit matches no bound.",
        "میانگین پرداخت هر بازدید به واحد پول کافه؛ مهمان بدون بازدید با هیچ حدی جور نیست.",
    ),
    Attribute(
        "points",
        AttributeKind.COUNT,
        "a.current_points",
        "Points the guest can spend now.",
        "امتیازی که مهمان اکنون می‌تواند خرج کند.",
        most=MOST_POINTS,
    ),
    Attribute(
        "tier_level",
        AttributeKind.CHOICE,
        "a.tier_level",
        "Loyalty tier.",
        "سطح وفاداری.",
        choices=("bronze", "silver", "gold", "platinum"),
        sql_type="loyalty_tier_enum",
    ),
    Attribute(
        "avg_rating",
        AttributeKind.SCORE,
        "a.rating_sum::numeric / NULLIF(a.rating_count, 0)",
        "Average of the guest's ratings, 1 to 5; a guest who never rated matches no bound.",
        "میانگین امتیازهای مهمان از ۱ تا ۵؛ مهمانی که نظر نداده با هیچ حدی جور نیست.",
        most=5,
    ),
    Attribute(
        "rating_count",
        AttributeKind.COUNT,
        "a.rating_count",
        "How many times the guest rated a visit.",
        "تعداد نظرهای ثبت‌شدهٔ مهمان.",
        most=2**31 - 1,
    ),
    Attribute(
        "status",
        AttributeKind.CHOICE,
        "c.status",
        "Status of the guest.",
        "وضعیت مهمان.",
        choices=("active", "inactive", "blocked"),
        sql_type="customer_status_enum",
    ),
    Attribute(
        "city",
        AttributeKind.CHOICE,
        # Folding a million cities takes longer than all the rest together; guests from before the key have none.
        "COALESCE(c.city_key, crm.search_key(c.city))",
        "City, in any spelling.",
        "شهر، با هر املایی.",
    ),
    Attribute(
        "has_birthday",
        AttributeKind.FLAG,
        "c.birthday IS NOT NULL",
        "Whether the birthday is known.",
        "آیا تاریخ تولد ثبت شده است.",
    ),
    Attribute(
        "has_email",
        AttributeKind.FLAG,
        "c.email_sealed IS NOT NULL",
        "Whether an e-mail address is known.",
        "آیا ایمیل ثبت شده است.",
    ),
)
ATTRIBUTES: Final[dict[str, Attribute]] = {attribute.name: attribute for attribute in _ALL}
