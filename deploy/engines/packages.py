"""Debian packages, installed when a program is missing and we are allowed to."""

import os
import shutil
import subprocess
import sys

from deploy.engines.engine import EngineError


def install(packages: list[str], *, because: str) -> None:
    """Install packages with apt-get.

    Raises EngineError, saying what to install by hand, when not root or not on a Debian.
    """
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise EngineError(f"{because}: install {' and '.join(packages)}, or give a server's address instead")
    print(f"{because}: installing {' '.join(packages)}", file=sys.stderr, flush=True)
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    # An installation that was killed halfway must be ended before the next one.
    mend = ["dpkg", "--configure", "-a"]
    update = ["apt-get", "update", "-qq"]
    add = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    for command in (mend, update, add):
        done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise EngineError(f"{' '.join(command)} failed:\n{(done.stdout + done.stderr)[-2000:]}")
