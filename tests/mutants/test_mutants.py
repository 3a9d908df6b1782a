"""The list of mutants is current, and its runner tells a mutant that is noticed from one that is not."""

import subprocess
import sys

import pytest

from tests.mutants import mutant
from tests.mutants.mutant import ROOT, Mutant

LISTED = mutant.listed()


def test_every_mutant_is_in_the_list_once_and_changes_the_rules_as_they_are() -> None:
    assert len({(each.file, each.old, each.new) for each in LISTED}) == len(LISTED) >= 80
    for each in LISTED:
        compile(each.source(), each.file, "exec")
        assert all((ROOT / test).exists() for test in each.tests), each.name


def test_a_text_that_is_not_there_any_more_is_an_error() -> None:
    gone = Mutant("shared/consent.py", "no such text", "", ())
    with pytest.raises(ValueError, match="the list is not current"):
        gone.source()


def test_mutants_are_noticed_without_touching_the_checkout() -> None:
    before = (ROOT / "shared/consent.py").read_bytes()
    command = [sys.executable, "-m", "tests.mutants", "shared/consent.py: return"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.startswith("2 of 2 mutants noticed")
    assert (ROOT / "shared/consent.py").read_bytes() == before
