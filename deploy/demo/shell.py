"""The `crm` command, as an operator types it."""

import subprocess
import sys


def crm(*arguments: str, typed: str = "") -> str:
    """What the command prints; `typed` is its standard input. Raises `CalledProcessError` when it fails."""
    command = [sys.executable, "-m", "deploy.crm.main", *arguments]
    done = subprocess.run(command, check=True, input=typed, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()
