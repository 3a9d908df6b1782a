"""A report: what it asks, and what is made of the answer. One call each, and one for the names of branches."""

import asyncio
from dataclasses import dataclass
from uuid import UUID

from services.console.handlers.panels import panel
from services.console.models.session import Insider
from services.console.rules import report_views as views
from services.console.rules.report_range import SectionKey, Span
from services.console.rules.report_tables import Say
from services.console.rules.report_views import Report
from services.console.rules.speech import Speech
from services.console.store import reports as store
from services.console.store.upstream import Away, Upstream

YEAR, MOST_MONTHS, MOST_COHORTS = 12, 36, 12


@dataclass(frozen=True)
class ReportPage:
    """One report and the branches that it can be asked of, by name; what could not be asked is `Away`."""

    report: Report | Away
    branches: tuple[tuple[UUID, str], ...]


async def show(
    up: Upstream, here: Insider, section: SectionKey, span: Span, branch_id: UUID | None, speech: Speech, say: Say
) -> ReportPage:
    """The page of one report."""
    report, side = await asyncio.gather(
        panel(make(up, here, section, span, branch_id, speech, say)),
        panel(store.side_by_side(up, here.access, here.cafe.cafe_id, span.last, span.last)),
    )
    names = () if isinstance(side, Away) else side.branches
    return ReportPage(report, tuple((each.branch_id, each.name or "") for each in names if each.branch_id))


async def make(
    up: Upstream, here: Insider, section: SectionKey, span: Span, branch_id: UUID | None, speech: Speech, say: Say
) -> Report:
    """One report, asked and put into words. Raises what `Upstream` raises."""
    access, cafe_id = here.access, here.cafe.cafe_id
    days = span.first, span.last
    match section:
        case "months":
            count = min(MOST_MONTHS, span.months + YEAR)
            months = await store.months(up, access, cafe_id, count, branch_id)
            report = views.of_months(months, span.months, speech, say)
        case "days":
            report = views.of_days(await store.days_in_full(up, access, cafe_id, *days, branch_id), speech, say)
        case "hours":
            report = views.of_hours(await store.hours(up, access, cafe_id, span.weeks, branch_id), speech, say)
        case "return":
            report = views.of_returns(await store.returns(up, access, cafe_id, max(span.months, YEAR)), speech, say)
        case "cohorts":
            count = min(max(span.months, YEAR), MOST_COHORTS)
            report = views.of_cohorts(await store.cohorts(up, access, cafe_id, count), speech, say)
        case "club":
            report = views.of_club(await store.club_beside_others(up, access, cafe_id, *days, branch_id), speech, say)
        case "branches":
            report = views.of_branches(await store.side_by_side(up, access, cafe_id, *days), speech, say)
        case "dishes":
            report = views.of_dishes(await store.dishes(up, access, cafe_id, *days, branch_id), speech, say)
        case "ratings":
            step = span.rating_step
            ratings = await store.ratings(up, access, cafe_id, *days, step)
            report = views.of_ratings(ratings, speech, say, by_months=step == "month")
    return report
