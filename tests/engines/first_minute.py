"""`make first-minute`: the README's two commands from fresh clones, wherever and as whoever a newcomer may be."""

import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
DEMO = ("make", "demo", "EXIT=1", "VISITS=500")
# The suite itself is what continuous integration runs; here it is whether it starts and ends.
TEST = ("make", "test", "TESTS=tests/shared/test_parked.py tests/engines/test_choice.py")
WITHIN_SECONDS = 900
ORDINARY = "nobody"


@dataclass(frozen=True)
class Newcomer:
    """Somebody with a clone in `folder`; `login` None is whoever runs this."""

    words: str
    folder: Path
    login: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def newcomers() -> Iterator[list[Newcomer]]:
    """Root or not, in a home of their own, under a name with spaces, under the plainest locale."""
    base = Path(tempfile.mkdtemp(prefix="servaan-newcomers-"))
    base.chmod(0o711)
    own, persian, home = base / "own", base / "کافهٔ من" / "crm", base / "home"
    for folder in (own, persian.parent, home):
        folder.mkdir(parents=True)
    own.chmod(0o700)
    found = [
        Newcomer("in a home that only its user may enter", own / "crm"),
        Newcomer("under a Persian name with a space, locale C", persian, environment={"LC_ALL": "C"}),
    ]
    if os.geteuid() == 0:
        shutil.chown(home, ORDINARY)
        found.append(Newcomer("an ordinary user", home / "crm", ORDINARY, {"HOME": str(home)}))
    try:
        yield found
    finally:
        shutil.rmtree(base)


def play(newcomer: Newcomer, dice: random.Random) -> None:
    """Both commands, the demo killed at some second, both commands again.

    Raises SystemExit that says which did not work.
    """
    subprocess.run(["git", "clone", "-q", str(ROOT), str(newcomer.folder)], check=True)
    if newcomer.login:
        subprocess.run(["chown", "-R", newcomer.login, str(newcomer.folder)], check=True)
    _must(newcomer, DEMO)
    _must(newcomer, TEST)
    seconds = dice.uniform(1, 25)
    _run(newcomer, DEMO, newcomer.folder, killed_after=seconds)
    _must(newcomer, DEMO, f"after one that was killed in second {seconds:.1f}")
    _must(newcomer, TEST, "again")
    _must(newcomer, ("make", "clean"))


def _must(newcomer: Newcomer, command: tuple[str, ...], when: str = "") -> None:
    started = time.monotonic()
    done = _run(newcomer, command, newcomer.folder)
    print(f"{newcomer.words}: {' '.join(command)} {when}: {done.returncode} in {time.monotonic() - started:.0f} s")
    if done.returncode != 0:
        raise SystemExit(done.stdout[-4000:])


def _run(
    newcomer: Newcomer, command: tuple[str, ...], folder: Path, *, killed_after: float | None = None
) -> subprocess.CompletedProcess[str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("CRM_", "LC_", "LANG", "MAKE"))}
    group = "nogroup" if newcomer.login else None
    child = subprocess.Popen(
        command, cwd=folder, env={**plain, **newcomer.environment}, user=newcomer.login, group=group,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        output, _ = child.communicate(timeout=killed_after or WITHIN_SECONDS)
    except subprocess.TimeoutExpired:
        # All of the terminal's own processes, as when its window is closed; what `up` started has its own sessions.
        os.killpg(child.pid, signal.SIGKILL)
        output, _ = child.communicate()
    return subprocess.CompletedProcess(command, child.returncode, output)


def main() -> None:
    """Plays every newcomer; the seed may be given."""
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else secrets.randbelow(10**6)
    print(f"seed {seed}")
    dice = random.Random(seed)
    with newcomers() as found:
        for newcomer in found:
            play(newcomer, dice)


if __name__ == "__main__":
    main()
