"""The services there are. Ports, databases, logins, migrations and processes follow from a service's row."""

from dataclasses import dataclass
from typing import Final

WORKERS_ABOVE: Final = 100


@dataclass(frozen=True)
class Service:
    """One service. `port` is that of its API; `outside_port` serves people from outside: their pages and no more.

    Without a database it keeps nothing of its own: no login, no migrations. Without a worker it reads no events and
    publishes none; with a worker but no database it only shows what it reads.
    """

    name: str
    port: int
    has_database: bool = True
    has_worker: bool = True
    outside_port: int | None = None

    @property
    def worker_port(self) -> int:
        """Where its worker shows health and metrics."""
        return self.port + WORKERS_ABOVE


TABLE: Final = (
    Service("identity", 8101),
    Service("customer", 8102),
    Service("visit", 8103),
    Service("loyalty", 8104),
    Service("campaign", 8105),
    Service("feedback", 8106, outside_port=8107),
    # Owns nothing: it shows people of a cafe what the others know, and asks them as that person.
    Service("console", 8108, has_database=False, outside_port=8100),
)
FIRST_PORT: Final = 8101

SERVICES: Final = tuple(each.name for each in TABLE)
WITH_DATABASE: Final = tuple(each.name for each in TABLE if each.has_database)
# Their workers take events in, each with one effect, and publish their own.
WITH_INBOX: Final = tuple(each.name for each in TABLE if each.has_worker and each.has_database)


def service_of(name: str) -> Service:
    """The row of that service. Raises KeyError when there is none."""
    return {each.name: each for each in TABLE}[name]
