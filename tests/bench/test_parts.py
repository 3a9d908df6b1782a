"""The parts of the benchmark on hardly any data: they measure nothing here, but they run, check what they load and say
all that they promise."""

from pathlib import Path

import pytest

from deploy.engines.engine import Engine
from shared.services import WITH_DATABASE
from shared.settings import Settings
from tests.bench import cafes, growth, memory, rehearsal, report, rows, segments, storage
from tests.bench.figure import Bench, Figure
from tests.bench.history import Size
from tests.support import Databases, admin_connection

pytestmark = pytest.mark.timeout(300)


def bench_on(config: Settings, folder: Path) -> Bench:
    """What a part is given, with the server of this run of the tests."""
    postgres = Engine("postgres", config.postgres_url)
    return Bench(folder, postgres, Engine("kafka", "none"), quick=True, say=print)


async def assert_gone(config: Settings) -> None:
    """A part leaves no database behind."""
    async with admin_connection(config) as admin:
        names = [row["datname"] for row in await admin.fetch("SELECT datname FROM pg_database")]
    assert not [name for name in names if name.startswith(config.database_prefix)]


def assert_said(figures: list[Figure], names: set[str], runs: int) -> None:
    """Each of the figures, once, with a value for each run."""
    found = {figure.name: figure for figure in figures}
    assert len(found) == len(figures)
    assert names <= set(found)
    assert all(min(figure.runs) > 0 for figure in figures if figure.unit != "%")
    assert all(len(found[name].runs) == runs for name in names)


async def test_growth_runs_the_same_visits_through_both_histories(
    config: Settings, database: Databases, tmp_path: Path
) -> None:
    sizes = growth.Sizes(Size(100, 300), Size(200, 600), warm_ups=1, runs=2, visits=40)
    figures = await growth.compare(bench_on(config, tmp_path), config, sizes)
    names = {
        f"cost per visit at 2x{about}" for about in ("", ", waiting for SQL", *(f", {s}" for s in growth.TAKING_PART))
    }
    assert_said(figures, names, runs=2)
    await assert_gone(config)


async def test_jobs_and_figures_are_measured_among_few_cafes_and_among_many(
    config: Settings, database: Databases, tmp_path: Path
) -> None:
    figures = await cafes.compare(bench_on(config, tmp_path), config, cafes.Sizes(20, 40, runs=2, due=3))
    jobs = {(service, job.name) for service in WITH_DATABASE for job in cafes.jobs_of(service)}
    names = {f"{service}, {name.removeprefix(f'{service}.')}, idle" for service, name in jobs}
    names |= {
        f"{service}, {name.removeprefix(f'{service}.')}, with work" for service, name in jobs if name in cafes.WORK
    }
    assert {name for _, name in jobs} >= set(cafes.WORK)
    assert_said(figures, names, runs=2)
    await assert_gone(config)


async def test_storage_compares_each_choice_with_its_rival(
    config: Settings, database: Databases, tmp_path: Path
) -> None:
    sizes = storage.Sizes(Size(100, 300), runs=2, batches=2)
    figures = await storage.compare(bench_on(config, tmp_path), config, sizes)
    rivals = (
        "random ids",
        "one table of visits",
        "fillfactor 100 on the hot row",
        "an index on a column that each visit changes",
    )
    assert_said(figures, {f"{rival}: {kind}" for rival in rivals for kind in ("time", "WAL")}, runs=2)
    await assert_gone(config)


async def test_segments_are_evaluated_on_all_three_occasions(
    config: Settings, database: Databases, tmp_path: Path
) -> None:
    figures = await segments.evaluate(bench_on(config, tmp_path), config, 400)
    assert_said(
        figures,
        {
            "finding stale memberships",
            "recalculation with all that follows",
            "1,000 changed guests evaluated",
            "1,000 changed guests with all that follows",
            "a day passing without visits",
        },
        runs=segments.RUNS,
    )
    await assert_gone(config)


async def test_rehearsals_are_right_and_timed_alone_and_beside_live_bills(
    config: Settings, database: Databases, tmp_path: Path
) -> None:
    figures = await rehearsal.rehearse(bench_on(config, tmp_path), config, rehearsal.Sizes(30, runs=2, live=5))
    # What starting takes is taken off: of so few visits nothing may be left.
    own = [figure for figure in figures if figure.unit == "µs"]
    assert [(figure.name, len(figure.runs)) for figure in own] == [
        ("processor time of a visit, without the server's", 2)
    ]
    assert_said([figure for figure in figures if figure not in own], {"1,200 visits"}, runs=2)
    await assert_gone(config)


async def test_history_that_the_service_would_not_have_written_is_noticed(
    config: Settings, database: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = rows.EVALUATED.replace("{mask}", "{mask} # 1")
    monkeypatch.setattr(rows, "EVALUATED", wrong)
    with pytest.raises(AssertionError, match="wrong segments"):
        await segments.evaluate(bench_on(config, tmp_path), config, 400)
    await assert_gone(config)


@pytest.mark.parametrize(("free", "reserved_meanwhile"), [(700, 700), (100, 1240)])
def test_huge_pages_that_were_missing_are_reserved_and_given_back(
    free: int, reserved_meanwhile: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "meminfo").write_text(
        f"MemTotal: 24683520 kB\nHugePages_Free: {free}\nHugePages_Rsvd: 0\nHugepagesize: 2048 kB\n"
    )
    (tmp_path / "reserved").write_text("700\n")
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "RESERVED", tmp_path / "reserved")
    assert memory.total_mb() == 24105
    with memory.huge_pages(1024, print) as there:
        assert int((tmp_path / "reserved").read_text()) == reserved_meanwhile
        # The kernel would have given what was asked for; this file stays as it was.
        assert there == (free == 700)
    assert int((tmp_path / "reserved").read_text()) == 700


def test_what_is_kept_of_other_parts_stays(tmp_path: Path) -> None:
    def measured(part: str, value: float) -> None:
        figure = Figure(part, "speed", [value, value + 2], "times", ("at least", 4.0))
        report.write(report.by_part([figure], quick=True, huge=True), tmp_path)

    for part, value in (("main path", 1), ("growth", 5), ("main path", 7)):
        measured(part, value)
    table = (tmp_path / "bench.md").read_text()
    assert table.count(", huge pages.") == 2
    assert table.count("**main path**") == table.count("**growth**") == 1
    assert "8.00 times | 7.00 to 9.00 | at least 4.00 | yes" in table
    assert "6.00 times | 5.00 to 7.00" in table
    assert (tmp_path / "bench.svg").read_text().count("<rect") == 3
