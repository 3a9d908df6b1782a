"""`python -m tests.mutants [WORD]`: every mutant of the list, or those whose file or text has that word in it."""

import os
import sys
import tempfile
import time
from functools import partial

from tests.mutants import mutant
from tests.mutants.mutant import FAILED, PASSED, Mutant


def main(word: str) -> int:
    """0 when every mutant was noticed."""
    mutants = [each for each in mutant.listed() if word in each.name]
    for each in mutants:
        each.source()
    began = time.monotonic()
    mutant.warm()
    with tempfile.TemporaryDirectory() as folder:
        # No fork begins a run of the suite, which would look for the remains of others.
        os.environ["CRM_TEST_RUN"] = folder
        if red := _red_without_mutants(mutants):
            print("These fail without any mutant:", *red, sep="\n  ")
            return 1
        survivors = _survivors(mutants)
    print(
        f"{len(mutants) - len(survivors)} of {len(mutants)} mutants noticed in {time.monotonic() - began:.0f} seconds"
    )
    return 1 if survivors or not mutants else 0


def _red_without_mutants(mutants: list[Mutant]) -> list[str]:
    sets = list(dict.fromkeys(each.tests for each in mutants))
    work = [partial(mutant.run_tests, tests) for tests in sets]
    return [", ".join(sets[place]) for place, code in mutant.each_in_a_fork(work) if code != PASSED]


def _survivors(mutants: list[Mutant]) -> list[str]:
    work = [partial(mutant.run_tests, each.tests, each) for each in mutants]
    survivors = []
    for place, code in mutant.each_in_a_fork(work):
        if code != FAILED:
            survivors.append(mutants[place].name)
            print(f"{'survived' if code == PASSED else f'broke the tests themselves ({code})'}: {survivors[-1]}")
    return survivors


if __name__ == "__main__":
    sys.exit(main(" ".join(sys.argv[1:])))
