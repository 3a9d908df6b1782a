"""The documents say what is so: their table of topics is that of the contract, and what they name is there."""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from deploy.crm.contract import document

ROOT = Path(__file__).parents[2]
DOCUMENTS = (ROOT / "ARCHITECTURE.md", ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")
ANCHOR = re.compile(r"\]\(([^)#:\s]*)#([^)]+)\)")
# A file or folder by its path from the root, a migration by its number.
PLACE = re.compile(r"`((?:services|shared|deploy|tests|docs|sql)/[\w./-]+)`")
TEST = re.compile(r"`(test_\w+)`")
ARROW = re.compile(r"^ {4}(\S+) --> (\w+)", re.MULTILINE)
ENUM = re.compile(r"CREATE TYPE (\w+) AS ENUM \(([^)]+)\)")
KEPT_AND_KEY = re.compile(r"Kept: (?P<kept>.+)\. Key: (?P<key>.+)\.")


def topics() -> Iterator[tuple[str, ...]]:
    """Name, key, how long it is kept, who says and who hears of every topic, as the contract has them."""
    written = document()
    for name, channel in written["channels"].items():
        about = KEPT_AND_KEY.fullmatch(channel["description"])
        assert about
        of_topic = [each for each in written["operations"].values() if each["channel"]["$ref"] == f"#/channels/{name}"]
        says, hears = (
            ", ".join(each["tags"][0]["name"] for each in of_topic if each["action"] == action)
            for action in ("send", "receive")
        )
        yield f"`{name}`", about["key"], about["kept"], says, hears


def test_table_of_topics_is_that_of_the_contract() -> None:
    lines = (ROOT / "ARCHITECTURE.md").read_text().splitlines()
    start = lines.index("| topic | key | kept | who says | who hears |") + 2
    rows = [line for line in lines[start:] if line.startswith("|")][: len(list(topics()))]
    assert rows == [f"| {' | '.join(each)} |" for each in topics()]


@pytest.mark.parametrize(
    ("thing", "enum", "beside"),
    [("message to a guest", "delivery_status_enum", set()), ("redemption", "redemption_state_enum", {"reserved"})],
)
def test_states_are_those_of_the_table(thing: str, enum: str, beside: set[str]) -> None:
    picture = (ROOT / "ARCHITECTURE.md").read_text().partition(f"## The states of a {thing}")[2].partition("\n## ")[0]
    drawn = {state for arrow in ARROW.findall(picture) for state in arrow if state != "[*]"}
    enums = dict(each for path in (ROOT / "sql").rglob("*.sql") for each in ENUM.findall(path.read_text()))
    assert drawn == set(re.findall(r"'(\w+)'", enums[enum])) | beside


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    text = path.read_text()
    assert not [link for link in LINK.findall(text) if not (path.parent / link).exists()]
    for file, anchor in ANCHOR.findall(text):
        headings = re.findall(r"^#+ (.+)$", (path.parent / file if file else path).read_text(), re.MULTILINE)
        assert anchor in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_files_and_tests_that_are_named_are_there(path: Path) -> None:
    text = path.read_text()
    tests = "\n".join(each.read_text() for each in (ROOT / "tests").rglob("test_*.py"))
    missing = [name for name in TEST.findall(text) if f"def {name}(" not in tests]
    missing += [place for place in PLACE.findall(text) if not _exists(place)]
    assert not missing


def _exists(place: str) -> bool:
    return (ROOT / place).exists() or any((ROOT / place).parent.glob(f"{Path(place).name}_*.sql"))


def test_glossary_has_each_word_once_and_in_order_and_the_persian_one_that_is_used() -> None:
    entries = re.findall(r"^\*\*(.+?)\*\*(?: \((.+?)\))?:", (ROOT / "docs" / "glossary.md").read_text(), re.MULTILINE)
    assert all(one.casefold() < other.casefold() for (one, _), (other, _) in pairwise(entries))
    used = "".join(path.read_text() for folder in ("services", "shared") for path in (ROOT / folder).rglob("*.py"))
    used += "".join(path.read_text() for path in (ROOT / "services/console/words").glob("*.toml"))
    assert not [word for _, word in entries if word not in used]
