"""`python -m tests.engines.small_system up`: the `crm` command of a system of which only identity is wanted."""

from deploy.crm import processes
from deploy.crm.main import app
from deploy.crm.processes import Part

_every = processes.parts


def only_identity(base_port: int, *, simulator: bool) -> tuple[Part, ...]:
    """The two processes of the smallest service."""
    return tuple(part for part in _every(base_port, simulator=simulator) if part.name.startswith("identity"))


if __name__ == "__main__":
    processes.parts = only_identity
    app()
