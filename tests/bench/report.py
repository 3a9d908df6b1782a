"""What runs found: a table of each part, the figures themselves, and a picture."""

import html
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from tests.bench.figure import Figure
from tests.bench.memory import total_mb

FOLDER = Path(__file__).with_name("results")
# A bar's length is how well a goal is met: value over goal, or goal over value where less is better.
LONGEST_BAR = 3.0
WIDTH, ROW, LABELS, BARS = 980, 26, 400, 420
COLOURS = {True: "#2f855a", False: "#c05621"}
SIGNS = {True: "yes", False: "**no**", None: ""}


def machine(*, huge: bool) -> str:
    """The machine in a few words: its processor, cores, memory, system and Python. `huge` says whether the database
    had huge pages."""
    words = dict(
        line.split(":", 1) for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")
    )
    names = [value.strip() for value in words.values()] or [platform.machine()]
    cores = sum(line.startswith("processor") for line in Path("/proc/cpuinfo").read_text().splitlines())
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    pages = ", huge pages" if huge else ""
    return f"{names[0]}, {cores} cores, {total_mb() / 1024:.0f} GiB, {system}{pages}"


@dataclass(frozen=True)
class Measured:
    """The figures of one part, all from one run: on which machine and when."""

    machine: str
    at: str
    quick: bool
    figures: Sequence[Figure]


Parts = Mapping[str, Measured]


def by_part(figures: Sequence[Figure], *, quick: bool, huge: bool) -> Parts:
    """The figures of this run, under the name of their part."""
    at = datetime.now(UTC).isoformat(timespec="seconds")
    names = dict.fromkeys(figure.part for figure in figures)
    return {
        name: Measured(machine(huge=huge), at, quick, [figure for figure in figures if figure.part == name])
        for name in names
    }


def write(parts: Parts, folder: Path = FOLDER) -> None:
    """Writes `bench.md`, `bench.json` and `bench.svg` into the folder; what is kept of other parts stays."""
    folder.mkdir(exist_ok=True)
    data = folder / "bench.json"
    kept = {**msgspec.json.decode(data.read_bytes(), type=dict[str, Measured]), **parts} if data.exists() else parts
    data.write_bytes(msgspec.json.format(msgspec.json.encode(_as_data(kept))) + b"\n")
    (folder / "bench.md").write_text(markdown(kept))
    (folder / "bench.svg").write_text(picture([figure for part in kept.values() for figure in part.figures]))


def markdown(parts: Parts) -> str:
    """A table of each part under the machine's name."""
    return "\n\n".join(_table(name, part) for name, part in parts.items()) + "\n"


def _table(name: str, part: Measured) -> str:
    how = f"{'a quick run' if part.quick else 'a full run'} of `make bench` on {part.at[:10]}, {part.machine}"
    lines = [
        f"**{name}**: {how}. Medians, with the lowest and the highest run.",
        "",
        "| figure | median | runs | goal | reached |",
        "| --- | --- | --- | --- | --- |",
    ]
    for each in part.figures:
        spread = f"{number(min(each.runs))} to {number(max(each.runs))}" if len(each.runs) > 1 else "one"
        goal = f"{each.goal[0]} {number(each.goal[1])}" if each.goal else ""
        what = f"{each.name} ({each.note})" if each.note else each.name
        lines.append(f"| {what} | {number(each.value)} {each.unit} | {spread} | {goal} | {SIGNS[each.reached]} |")
    return "\n".join(lines)


def number(value: float) -> str:
    """Three digits that count, and no more than are there."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def picture(figures: Sequence[Figure]) -> str:
    """The figures that have a goal as bars: at the line the goal is met, beyond it surpassed."""
    shown = [figure for figure in figures if figure.goal is not None]
    height = ROW * len(shown) + 50
    line = LABELS + BARS / LONGEST_BAR
    rows = [_bar(figure, 34 + ROW * place) for place, figure in enumerate(shown)]
    frame = f'viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="13"'
    goal = f'x1="{line:.0f}" y1="24" x2="{line:.0f}" y2="{height - 12}" stroke="#1a202c" stroke-dasharray="4 3"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {frame}>',
            f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
            *rows,
            f"<line {goal}/>",
            f'<text x="{line:.0f}" y="17" text-anchor="middle" fill="#1a202c">goal</text>',
            "</svg>\n",
        ]
    )


def _bar(figure: Figure, top: int) -> str:
    assert figure.goal is not None
    how, limit = figure.goal
    met = figure.value / limit if how == "at least" else limit / max(figure.value, 1e-9)
    length = min(met, LONGEST_BAR) / LONGEST_BAR * BARS
    label = html.escape(f"{figure.part}: {figure.name}")
    value = html.escape(f"{number(figure.value)} {figure.unit} ({how} {number(limit)})")
    return (
        f'<text x="{LABELS - 8}" y="{top + 14}" text-anchor="end" fill="#1a202c">{label}</text>'
        f'<rect x="{LABELS}" y="{top + 2}" width="{length:.0f}" height="{ROW - 8}" rx="3"'
        f' fill="{COLOURS[bool(figure.reached)]}"/>'
        f'<text x="{LABELS + length + 6:.0f}" y="{top + 15}" fill="#4a5568" font-size="11">{value}</text>'
    )


def _as_data(parts: Parts) -> dict[str, Any]:
    return {
        name: {
            "machine": part.machine, "at": part.at, "quick": part.quick,
            "figures": [
                {**msgspec.to_builtins(each), "median": each.value, "reached": each.reached} for each in part.figures
            ],
        }
        for name, part in parts.items()
    }  # fmt: skip
