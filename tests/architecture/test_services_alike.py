"""Who knows one service knows all: the same six files, one visible list of reactions, and no large file."""

import ast
import importlib
import re
from functools import cache
from pathlib import Path

import pytest

from shared.messaging.consumer import Reactions
from shared.services import SERVICES

ROOT = Path(__file__).parents[2]
SIX = {"models", "rules", "store", "handlers", "api", "worker"}
LONGEST_FILE = 450
MOVING = {"campaign"}


@pytest.mark.parametrize("service", SERVICES)
def test_service_has_the_six_rooms(service: str) -> None:
    folder = ROOT / "services" / service
    rooms = {path.stem for path in folder.iterdir() if path.name not in ("__init__.py", "__pycache__")}
    assert rooms == SIX


@pytest.mark.parametrize("service", SERVICES)
def test_worker_shows_one_list_of_reactions(service: str) -> None:
    worker = importlib.import_module(f"services.{service}.worker")
    assert isinstance(worker.REACTIONS, Reactions)


def test_every_event_somebody_reacts_to_is_emitted_by_its_owner() -> None:
    for service in SERVICES:
        for kind in importlib.import_module(f"services.{service}.worker").REACTIONS.events:
            owner = kind.__module__.rpartition(".")[2]
            assert kind.__name__ in made_by(owner), f"{owner} makes no {kind.__name__}"


@pytest.mark.parametrize("service", sorted(set(SERVICES) - MOVING))
def test_api_opens_transactions_in_one_way(service: str) -> None:
    """What staff and tills do goes through `shared/web/acting.py`, which asks for the role and wakes the relay."""
    by_hand = {"staff_transaction", "waker", "require_role"}
    api = (ROOT / "services" / service / "api").rglob("*.py")
    assert not {(path.name, name) for path in api for name in by_hand & set(re.findall(r"\w+", path.read_text()))}


@cache
def made_by(service: str) -> frozenset[str]:
    """The names of all that the service calls, also where it calls one of two: `(This if so else That)()`."""
    trees = [ast.parse(path.read_text()) for path in (ROOT / "services" / service).rglob("*.py")]
    called = [node.func for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return frozenset(name.id for each in called for name in ast.walk(each) if isinstance(name, ast.Name))


@pytest.mark.parametrize("folder", ["services", "shared", "deploy", "tests"])
def test_no_file_is_longer_than_one_idea(folder: str) -> None:
    long = [
        f"{path.relative_to(ROOT)}: {lines}"
        for path in (ROOT / folder).rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > LONGEST_FILE
    ]
    assert not long
