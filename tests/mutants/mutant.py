"""The list of mutants, and one process for each: a fork of one that has imported all libraries and none of our modules.

Nothing in the checkout is written: the fork compiles the wrong text in place of the file's own when it imports it.
"""

import gc
import os
import tomllib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import Final

ROOT: Final = Path(__file__).parents[2]
LIST: Final = Path(__file__).with_name("mutants.toml")
AT_ONCE: Final = 2
# Looking for all plugins there are would take longer than most tests.
PLUGINS: Final = ("pytest_asyncio.plugin", "pytest_timeout", "_hypothesis_pytestplugin")
# What most of a test's start is spent on. Our own modules are left out: each fork imports them anew, one of them wrong.
LIBRARIES: Final = (
    "pytest", *PLUGINS, "hypothesis", "hypothesis.strategies", "asyncpg", "aiokafka", "fastapi",
    "faststream.kafka", "msgspec", "structlog", "prometheus_client", "cryptography.hazmat.primitives.kdf.hkdf",
    "phonenumbers", "persiantools.jdatetime", "typer", "rich", "pydantic_settings", "uuid_utils", "jwt", "zxcvbn",
)  # fmt: skip
# pytest's own codes.
PASSED: Final = 0
FAILED: Final = 1


@dataclass(frozen=True)
class Mutant:
    """One wrong text in one file (both as in the list), and the tests that must notice."""

    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    @property
    def name(self) -> str:
        """What is shown of it."""
        return f"{self.file}: {' '.join(self.old.split())} -> {' '.join(self.new.split())}"

    def source(self) -> str:
        """The file with the wrong text in it.

        Raises ValueError when the old text is not in the file, or more than once: then the list is not current.
        """
        text = (ROOT / self.file).read_text()
        if text.count(self.old) != 1:
            raise ValueError(f"the list is not current: {text.count(self.old)} times in the file: {self.name}")
        return text.replace(self.old, self.new)


def listed() -> list[Mutant]:
    """Every mutant of the list, in its order."""
    entries = tomllib.loads(LIST.read_text())
    return [
        Mutant(file, old, new, tuple(entry["tests"])) for file, entry in entries.items() for old, new in entry["swaps"]
    ]


def warm() -> None:
    """Imports what every fork would import anyway."""
    for library in LIBRARIES:
        import_module(library)
    # The forks share what is not looked at.
    gc.freeze()


def each_in_a_fork(work: Iterable[Callable[[], int]]) -> Iterator[tuple[int, int]]:
    """(place, exit code) of each piece of work, as they end; `AT_ONCE` of them at a time."""
    running: dict[int, int] = {}
    for place, each in enumerate(work):
        if len(running) == AT_ONCE:
            yield _next_end(running)
        running[_fork(each)] = place
    while running:
        yield _next_end(running)


def _fork(work: Callable[[], int]) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 99
    try:
        code = work()
    finally:
        os._exit(code)


def _next_end(running: dict[int, int]) -> tuple[int, int]:
    pid, status = os.wait()
    return running.pop(pid), os.waitstatus_to_exitcode(status)


def run_tests(tests: Iterable[str], mutant: Mutant | None = None) -> int:
    """pytest's exit code for the pure ones of the tests, in this process, which is of no use afterwards."""
    if mutant is not None:
        _exchange(ROOT / mutant.file, compile(mutant.source(), mutant.file, "exec", dont_inherit=True))
    return _pytest(tests)


def _exchange(path: Path, code: CodeType) -> None:
    own = SourceFileLoader.get_code

    def get_code(loader: SourceFileLoader, name: str) -> CodeType | None:
        return code if Path(loader.path) == path else own(loader, name)

    SourceFileLoader.get_code = get_code  # type: ignore[method-assign]


def _pytest(tests: Iterable[str]) -> int:
    import hypothesis
    import pytest

    # What a mutant does to examples is not kept, and nobody waits for the smallest one.
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    hypothesis.settings.register_profile("mutants", phases=phases, derandomize=True, database=None, deadline=None)
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    options = [
        "-x", "-q", "-m", "pure", "-p", "no:cacheprovider", *(word for name in PLUGINS for word in ("-p", name)),
        "--hypothesis-profile=mutants", "--timeout=30", "-W", "ignore::pytest.PytestAssertRewriteWarning",
    ]  # fmt: skip
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    # What is thrown away in a moment need not be tidied up.
    gc.disable()
    return int(pytest.main([*options, *(str(ROOT / test) for test in tests)]))
