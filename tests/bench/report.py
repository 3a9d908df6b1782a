"""What a run found: a table, the figures themselves, and a picture."""

import html
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from tests.bench.figure import Figure

FOLDER = Path(__file__).with_name("results")
# A bar's length is how well a goal is met: value over goal, or goal over value where less is better.
LONGEST_BAR = 3.0
WIDTH, ROW, LABELS, BARS = 980, 26, 400, 420
COLOURS = {True: "#2f855a", False: "#c05621"}
SIGNS = {True: "yes", False: "**no**", None: ""}


def machine() -> str:
    """The machine in a few words: its processor, cores, memory and system."""
    words = dict(
        line.split(":", 1) for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")
    )
    names = [value.strip() for value in words.values()] or [platform.machine()]
    cores = sum(line.startswith("processor") for line in Path("/proc/cpuinfo").read_text().splitlines())
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / 1024 / 1024
    return f"{names[0]}, {cores} cores, {memory:.0f} GiB, {platform.system()} {platform.release()}"


def write(figures: Sequence[Figure], *, quick: bool, folder: Path = FOLDER) -> None:
    """Writes `bench.md`, `bench.json` and `bench.svg` into the folder."""
    folder.mkdir(exist_ok=True)
    (folder / "bench.md").write_text(markdown(figures, quick=quick))
    (folder / "bench.json").write_bytes(
        msgspec.json.format(msgspec.json.encode(_as_data(figures, quick=quick))) + b"\n"
    )
    (folder / "bench.svg").write_text(picture(figures))


def markdown(figures: Sequence[Figure], *, quick: bool) -> str:
    """All figures as a table under the machine's name."""
    kind = "a quick run" if quick else "a full run"
    about = f"Measured by `make bench` ({kind}) on {datetime.now(UTC):%Y-%m-%d}: {machine()}."
    lines = [
        f"{about} Medians, with the lowest and the highest run.",
        "",
        "| part | figure | median | runs | goal | reached |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for each in figures:
        spread = f"{number(min(each.runs))} to {number(max(each.runs))}" if len(each.runs) > 1 else "one"
        goal = f"{each.goal[0]} {number(each.goal[1])}" if each.goal else ""
        name = f"{each.name} ({each.note})" if each.note else each.name
        lines.append(
            f"| {each.part} | {name} | {number(each.value)} {each.unit} | {spread} | {goal} | {SIGNS[each.reached]} |"
        )
    return "\n".join(lines) + "\n"


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


def _as_data(figures: Sequence[Figure], *, quick: bool) -> dict[str, object]:
    return {
        "machine": machine(),
        "quick": quick,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "figures": [
            {
                "part": each.part, "name": each.name, "median": each.value, "runs": list(each.runs), "unit": each.unit,
                "goal": each.goal, "reached": each.reached, "note": each.note,
            }
            for each in figures
        ],
    }  # fmt: skip
