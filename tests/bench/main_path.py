"""The main path: visits on `pos.visits` until the books of all five services are complete, against two yardsticks."""

from collections.abc import Sequence

from deploy.demo import dataset
from tests.bench import limit
from tests.bench.figure import Bench, Figure, Part
from tests.bench.workers import Drained, drain, running

# A cafe of the middling kind, and what of the machine is left free for everything else.
VISITS_A_DAY, PEAK, LEFT_FREE = 300, 10, 0.5
SECONDS_A_DAY = 86_400
OURS, NAIVE, ALONE = "ours", "one event per transaction", "PostgreSQL alone"


async def measure(bench: Bench) -> list[Figure]:
    """Alternates the three and compares their medians."""
    visits, few, rounds = (10_000, 200, 2) if bench.quick else (60_000, 600, 3)
    baskets = dataset.load(visits)
    recording = await limit.record(bench, baskets)
    rates: dict[str, list[float]] = {OURS: [], NAIVE: [], ALONE: []}
    drained: list[Drained] = []
    # A broker that has been running for a while is compiled; a young one spends half of its time on that.
    async with running(bench, "warming") as system:
        await drain(system, baskets)
    for number in range(rounds):
        await bench.use_log_files_again()
        async with running(bench, f"ours{number}") as system:
            drained.append(await drain(system, baskets))
        await bench.use_log_files_again()
        async with running(bench, f"naive{number}", "tests.bench.naive") as system:
            naive = await drain(system, baskets[:few], "tests.bench.naive")
        rates[OURS].append(drained[-1].per_second)
        rates[NAIVE].append(naive.per_second)
        await bench.use_log_files_again()
        rates[ALONE].append(await limit.replay(bench, recording))
        bench.say("  " + ", ".join(f"{name} {values[-1]:,.0f} visits/s" for name, values in rates.items()))
    return [*_ratios(rates), *_costs(drained)]


def _ratios(rates: dict[str, list[float]]) -> list[Figure]:
    def against(other: str) -> list[float]:
        return [ours / theirs for ours, theirs in zip(rates[OURS], rates[other], strict=True)]

    return [
        Figure("main path", "against one event per transaction", against(NAIVE), "times", ("at least", 40)),
        Figure("main path", "against PostgreSQL alone", against(ALONE), "times", ("at least", 0.45)),
        *(Figure("main path", name, values, "visits/s") for name, values in rates.items()),
        cafes_at_the_peak(rates[OURS]),
    ]


def cafes_at_the_peak(per_second: Sequence[float]) -> Figure:
    """Of how many cafes such a machine takes in the visits at their peak: one of the bounds on how many it carries."""
    at_peak = VISITS_A_DAY * PEAK / SECONDS_A_DAY
    about = (
        f"{VISITS_A_DAY} visits a day each, {PEAK} times the average at the peak, half of the machine left free. By the"
        " processors alone: up to 50,000 cafes the part `cafes` shows that their jobs and figures keep pace, up to"
        " 1,000,000 guests `growth` that a visit costs the same; more guests, and the disk and memory for the years of"
        " so many cafes, are not shown"
    )
    values = [rate * (1 - LEFT_FREE) / at_peak for rate in per_second]
    return Figure("cost", "cafes whose visits are taken in at the peak", values, "cafes", None, about)


def _costs(drained: Sequence[Drained]) -> list[Figure]:
    """What one visit costs each process, and the most memory of each."""
    names = list(drained[0].cpu_us)
    return [
        *(Figure("cost", f"CPU of {name}", [each.cpu_us[name] for each in drained], "µs/visit") for name in names),
        *(
            Figure("cost", f"memory of {name}", [each.peak_mib[name] for each in drained], "MiB", ("at most", 150))
            for name in drained[0].peak_mib
        ),
    ]


PART = Part("main path", measure, in_quick=True)
