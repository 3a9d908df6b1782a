"""What is kept of scenarios that were played."""

from pathlib import Path

from tests.chaos.__main__ import Outcome, write


def test_outcome_takes_the_place_of_the_scenarios_last_and_others_stay(tmp_path: Path) -> None:
    def played(name: str, words: str, *, survived: bool) -> None:
        write([Outcome(name, 7, 60.2, survived, words, True, "2026-11-26", "2 CPUs")], tmp_path)

    played("network", "22 cuts", survived=True)
    played("kills", "lost | a visit", survived=False)
    played("kills", "200 kills", survived=True)
    rows = (tmp_path / "chaos.md").read_text().splitlines()[4:]
    # In the order in which they are played.
    assert rows == [
        "| kills | yes | 200 kills | quick, 60 s | 2026-11-26 | 7 |",
        "| network | yes | 22 cuts | quick, 60 s | 2026-11-26 | 7 |",
    ]
