"""`python -m tests.bench [--quick] [--only PART ...] [--write]`: how fast, as ratios measured in one run."""

import argparse
import os
import signal
import sys
import time

import uvloop

from deploy.crm import engines
from shared.process.memory import rarely_collect
from tests.bench import (
    cafes,
    console,
    growth,
    guests,
    latency,
    main_path,
    rebuild,
    rehearsal,
    report,
    segments,
    storage,
)
from tests.bench.figure import Bench, Figure, Part, pace
from tests.bench.memory import huge_pages, total_mb
from tests.support import SECRET, throwaway_folder

PACE = "ten million steps of a loop in Python, before and after: runs on a machine that is busy elsewhere differ by it"
PARTS: tuple[Part, ...] = tuple(
    module.PART
    for module in (main_path, latency, growth, storage, segments, guests, rebuild, rehearsal, cafes, console)
)


def say(text: str) -> None:
    """Tell the person at the terminal what is being done."""
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    """Runs the parts; returns 1 when a goal is not reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the main path and the cafes only, on less data")
    parser.add_argument(
        "--write",
        action="store_true",
        help="save table, figures and picture beside this file, in place of what is kept of these parts",
    )
    parser.add_argument("--only", nargs="*", choices=[part.name for part in PARTS], help="some parts")
    given = parser.parse_args()
    chosen = [part for part in PARTS if (part.name in given.only if given.only else part.in_quick or not given.quick)]
    # Told to end, it stops its servers and gives back their memory.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    os.environ.setdefault("CRM_SECRET", SECRET)
    # Some parts do a worker's work in this process.
    rarely_collect()
    figures: list[Figure] = []
    # What PostgreSQL's documentation gives a server as its buffers.
    buffers_mb = total_mb() // 4
    with throwaway_folder("servaan-bench-") as folder, huge_pages(buffers_mb, say) as huge:
        postgres = engines.start_postgres(
            folder / "postgres", fsync=True, max_connections=300, shared_buffers=f"{buffers_mb}MB"
        )
        kafka = engines.start_kafka(folder / "kafka", heap_mb=1024, long_running=True)
        try:
            for part in chosen:
                own = folder / part.name.replace(" ", "-")
                own.mkdir(mode=0o711)
                started = time.monotonic()
                say(f"{part.name} …")
                paces = [pace()]
                figures += uvloop.run(part.measure(Bench(own, postgres, kafka, given.quick, say)))
                paces.append(pace())
                figures.append(Figure(part.name, "pace of the machine", paces, "s", note=PACE))
                say(f"{part.name}: {time.monotonic() - started:.0f} s")
        finally:
            engines.stop(kafka, forget=True)
            engines.stop(postgres, forget=True)
    parts = report.by_part(figures, quick=given.quick, huge=huge)
    print(report.markdown(parts))
    if given.write:
        report.write(parts)
    return 1 if any(figure.reached is False for figure in figures) else 0


if __name__ == "__main__":
    sys.exit(main())
