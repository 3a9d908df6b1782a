"""Who knows one service knows all: the same six files or a row of rooms that have them, one visible list of reactions,
and no large file."""

import ast
import importlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest
from pydantic import BaseModel

from shared.messaging.consumer import Reactions, WithKeys
from shared.services import SERVICES, TABLE, WITH_INBOX, Service

ROOT = Path(__file__).parents[2]
SIX = {"models", "rules", "store", "handlers", "api", "worker"}
# A service that outgrew its six files is a row of rooms with the same names; only the worker stays whole.
ROOMS = {"campaign": {"audience", "texts", "channels", "messages", "campaigns", "journeys"}}
# What a room has beside them, as it is what the room is there for.
OWN = {
    "campaign/channels": {"protocol", "transport", "registry", "kavenegar"},
    "campaign/messages": {"facts", "decide", "record"},
}
LONGEST_FILE = 450
SAME_EVERYWHERE = {
    "GuestKey": "cafe and guest: by what a service's rows of one guest are found",
    "Identifier": "a code that somebody else gave: how it is read, and that it is one on a topic",
    "Name": "what people call something, as long as its column is",
}
# An owner writes a program's rules, and each version is kept as it was written: body and value are one.
KEPT_AS_WRITTEN = (
    "services.loyalty.models.programs",
    "services.loyalty.models.earn_rules",
    "services.loyalty.models.card_rules",
    "services.loyalty.models.terms",
    "services.loyalty.models.time_terms",
)


@pytest.mark.parametrize("service", TABLE, ids=lambda each: each.name)
def test_service_has_the_six_files_or_rooms_with_them(service: Service) -> None:
    rooms = ROOMS.get(service.name)
    if rooms is None:
        assert inside(service.name) - {"projection"} == (SIX if service.has_worker else SIX - {"worker"})
        return
    assert inside(service.name) - {"projection"} == rooms | {"api", "worker"}
    for room in rooms:
        place = f"{service.name}/{room}"
        assert inside(place) == SIX - {"worker"} | OWN.get(place, set()), place


def inside(place: str) -> set[str]:
    folder = ROOT / "services" / place
    files = {path.stem for path in folder.glob("*.py") if not path.name.startswith("__")}
    return files | {path.parent.name for path in folder.glob("*/__init__.py")}


@pytest.mark.parametrize("service", WITH_INBOX)
def test_worker_shows_one_list_of_reactions(service: str) -> None:
    worker = importlib.import_module(f"services.{service}.worker")
    assert isinstance(worker.REACTIONS, Reactions)


@pytest.mark.parametrize("service", WITH_INBOX)
def test_reactions_are_called_by_their_events(service: str) -> None:
    """One function may serve several events of a service; then it has the name of one of them."""
    events: dict[str, set[str]] = {}
    for kind, react in importlib.import_module(f"services.{service}.worker").REACTIONS.events.items():
        function = react.function if isinstance(react, WithKeys) else react
        events.setdefault(function.__name__, set()).add("on_" + kind.type.replace(".", "_"))
    assert not {name: fits for name, fits in events.items() if name not in fits}


@pytest.mark.parametrize("service", WITH_INBOX)
def test_jobs_are_called_by_what_they_do(service: str) -> None:
    names = [job.name for job in importlib.import_module(f"services.{service}.worker").JOBS]
    assert not [name for name in names if not re.fullmatch(rf"{service}\.[a-z]+(_[a-z]+)+", name)]


@pytest.mark.parametrize(
    "path", sorted((ROOT / "services").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT))
)
def test_projections_have_a_file_of_their_own(path: Path) -> None:
    assert ("Projection(" in path.read_text()) == (path.name == "projection.py")


@pytest.mark.parametrize("folder", ["services", "shared"])
def test_settings_are_not_read_by_an_import(folder: str) -> None:
    """Whoever only looks at a module, as `crm contract` does, needs no secret and no database."""
    read = [
        path for path in (ROOT / folder).rglob("*.py") if "settings" in called_at_import(ast.parse(path.read_text()))
    ]
    assert not read


def called_at_import(tree: ast.AST) -> set[str]:
    """The names of what a module calls before anybody calls its functions."""
    found = {ast.unparse(tree.func).rpartition(".")[2]} if isinstance(tree, ast.Call) else set()
    later = tree.body if isinstance(tree, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) else []
    for child in ast.iter_child_nodes(tree):
        if child not in (later if isinstance(later, list) else [later]):
            found |= called_at_import(child)
    return found


def test_every_event_somebody_reacts_to_is_emitted_by_its_owner() -> None:
    for service in WITH_INBOX:
        for kind in importlib.import_module(f"services.{service}.worker").REACTIONS.events:
            owner = kind.__module__.rpartition(".")[2]
            assert kind.__name__ in made_by(owner), f"{owner} makes no {kind.__name__}"


def test_no_init_holds_code() -> None:
    """A folder says in its `__init__` at most what it is; code lies in files with names."""
    found = []
    for path in (each for folder in ("services", "shared") for each in (ROOT / folder).rglob("__init__.py")):
        tree = ast.parse(path.read_text())
        if len(tree.body) > (ast.get_docstring(tree) is not None):
            found.append(str(path.relative_to(ROOT)))
    assert not found


@pytest.mark.parametrize("service", SERVICES)
def test_bodies_lie_in_one_file_and_values_beside_it(service: str) -> None:
    """`models/http.py` holds what is sent and answered over HTTP, and nothing else; no other file of a service does,
    but those beside it that are named `http_…` after what they are about, once there is too much for one."""
    places = [f"services.{service}.{room}" for room in ROOMS[service]] if service in ROOMS else [f"services.{service}"]
    assert all((ROOT / place.replace(".", "/") / "models").is_dir() for place in places)
    homes = {f"{place}.models.http" for place in places}
    bodies, values = set(), set()
    for name, module in modules_of(service):
        if any(name.startswith(f"{place}.models.http_") for place in places):
            homes.add(name)
        for kind in (each for each in vars(module).values() if isinstance(each, type) and each.__module__ == name):
            (bodies if issubclass(kind, BaseModel) else values).add((name, kind.__name__))
    assert not {each for each in bodies if each[0] not in {*homes, *KEPT_AS_WRITTEN}}
    # The frame of many bodies, each of which is read on its own.
    assert not {each for each in values if each[0] in homes} - {("services.visit.models.http", "Batch")}


def modules_of(service: str) -> Iterator[tuple[str, ModuleType]]:
    folder = ROOT / "services" / service
    for path in sorted(folder.rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        if not name.endswith("__main__"):
            yield name, importlib.import_module(name)


@pytest.mark.parametrize("service", SERVICES)
def test_api_opens_transactions_in_one_way(service: str) -> None:
    """What staff and tills do goes through `shared/web/acting.py`, which asks for the role and wakes the relay."""
    by_hand = {"staff_transaction", "waker", "require_role"}
    api = [path for path in (ROOT / "services" / service).rglob("*.py") if "api" in (path.stem, path.parent.name)]
    assert not {(path.name, name) for path in api for name in by_hand & set(re.findall(r"\w+", path.read_text()))}


@pytest.mark.parametrize("service", SERVICES)
def test_stores_hand_rows_over_in_one_way(service: str) -> None:
    """Two lists of the same rows' fields are `columns(rows, "this", "that")` (`shared/database/columns.py`)."""
    found = []
    for path in (ROOT / "services" / service).rglob("*.py"):
        if "store" in (path.stem, path.parent.name):
            calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
            found += [ast.unparse(call) for call in calls if any(map(_is_pair_of_fields, call.args, call.args[1:]))]
    assert not found


def _is_pair_of_fields(one: ast.expr, other: ast.expr) -> bool:
    match one, other:
        case (
            ast.ListComp(
                elt=ast.Attribute(value=ast.Name()),
                generators=[ast.comprehension(target=ast.Name(), iter=rows, ifs=[])],
            ),
            ast.ListComp(
                elt=ast.Attribute(value=ast.Name()),
                generators=[ast.comprehension(target=ast.Name(), iter=same, ifs=[])],
            ),
        ):
            return ast.dump(rows) == ast.dump(same)
    return False


@cache
def made_by(service: str) -> frozenset[str]:
    """The names of all that the service calls, also where it calls one of two: `(This if so else That)()`."""
    trees = [ast.parse(path.read_text()) for path in (ROOT / "services" / service).rglob("*.py")]
    called = [node.func for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return frozenset(name.id for each in called for name in ast.walk(each) if isinstance(name, ast.Name))


def test_a_type_has_a_name_of_its_own() -> None:
    """Whoever has read what a `Posting` is in one service need not ask what it is in another."""
    homes: dict[str, set[str]] = {}
    for path in (each for folder in ("services", "shared", "deploy") for each in (ROOT / folder).rglob("*.py")):
        for statement in ast.parse(path.read_text()).body:
            for name in types_of(statement):
                homes.setdefault(name, set()).add(str(path.relative_to(ROOT)))
    assert {name: found for name, found in homes.items() if len(found) > 1}.keys() == SAME_EVERYWHERE.keys()


def types_of(statement: ast.stmt) -> list[str]:
    """The public classes and aliases that a statement of a module makes: all names like `This`."""
    match statement:
        case ast.ClassDef(name=name):
            names = [name]
        case ast.Assign(targets=targets):
            names = [each.id for each in targets if isinstance(each, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name)):
            names = [name]
        case _:
            names = []
    return [name for name in names if re.match("[A-Z].*[a-z]", name)]


@pytest.mark.parametrize("folder", ["services", "shared", "deploy", "tests"])
def test_no_file_is_longer_than_one_idea(folder: str) -> None:
    long = [
        f"{path.relative_to(ROOT)}: {lines}"
        for path in (ROOT / folder).rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > LONGEST_FILE
    ]
    assert not long
