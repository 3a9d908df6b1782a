"""Nothing is kept that nobody uses: not even what only tests use."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from keyword import iskeyword
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("services", "shared", "deploy")
# Any other decorator gives what it decorates to somebody: a route, a command, a validator.
KEEPS_FOR_ITSELF = {
    "property", "dataclass", "lru_cache", "cache", "cached_property", "contextmanager", "asynccontextmanager",
    "staticmethod", "classmethod", "total_ordering",
}  # fmt: skip
USED_ELSEWHERE = {
    "a server or a client that we extend calls it": {
        "connection_lost", "connection_made", "consume_one", "data_received", "get_msg", "handle_exit", "on_body",
        "on_header", "on_headers_complete", "on_message_complete", "has_next", "next_batch", "size_in_bytes",
        "on_partitions_assigned", "on_partitions_revoked", "shutdown",
    },
    "a migration holds its answer, and a test keeps the two alike": {"sql_function", "sql_functions"},
    "what is true of every service is tested for each": {"SERVICES"},
}  # fmt: skip


def definitions(tree: ast.Module) -> Iterator[tuple[str, ast.stmt]]:
    """Every function, method and class of a module, and its own constants, by name."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                if {_last_word(each) for each in node.decorator_list} <= KEEPS_FOR_ITSELF:
                    yield name, node
    for statement in tree.body:
        for target in _targets(statement):
            if isinstance(target, ast.Name):
                yield target.id, statement


def _targets(statement: ast.stmt) -> list[ast.expr]:
    if isinstance(statement, ast.Assign):
        return statement.targets
    return [statement.target] if isinstance(statement, ast.AnnAssign) else []


def _last_word(decorator: ast.expr) -> str:
    return ast.unparse(decorator.func if isinstance(decorator, ast.Call) else decorator).rpartition(".")[2]


def uses(part: ast.AST) -> Counter[str]:
    """How often each name is read. Importing a name alone is no use of it, unless it gets another there."""
    found: Counter[str] = Counter()
    for node in ast.walk(part):
        match node:
            case ast.Name(id=name, ctx=ast.Load()) | ast.Attribute(attr=name) | ast.keyword(arg=str(name)):
                found[name] += 1
            case ast.alias(name=name, asname=str()):
                found[name.rpartition(".")[2]] += 1
    return found


def unused(trees: list[ast.Module]) -> set[str]:
    """The names that are read nowhere but in what they stand for."""
    everywhere = sum((uses(tree) for tree in trees), Counter[str]())
    inside: Counter[str] = Counter()
    names = set()
    for tree in trees:
        for name, part in definitions(tree):
            names.add(name)
            inside[name] += uses(part)[name]
    return {name for name in names if not name.startswith("__") and everywhere[name] <= inside[name]}


def in_templates() -> ast.Module:
    """What the console's templates say between their braces, as if it were code."""
    texts = [path.read_text() for path in (ROOT / "services/console/templates").glob("*.html")]
    said = " ".join(found for text in texts for found in re.findall(r"{[{%](.*?)[%}]}", text, re.S))
    return ast.parse("\n".join(f"x.{name}" for name in re.findall(r"(?<=\.)[a-z_]+", said) if not iskeyword(name)))


def test_every_name_is_used_outside_of_tests() -> None:
    trees = [ast.parse(path.read_text()) for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    trees.append(in_templates())
    assert unused(trees) == set().union(*USED_ELSEWHERE.values())


@pytest.mark.parametrize(
    "source",
    [
        "def dead(): ...",
        "def dead(): return dead()",
        "async def dead(): ...",
        "class dead:\n    def name(self): return dead",
        "dead = 5",
        "dead: int = 5",
        "class Used:\n    @property\n    def dead(self): ...\nUsed()",
        "from elsewhere import dead\ndef dead(): ...",
    ],
)
def test_check_is_red_on_what_nobody_uses(source: str) -> None:
    assert "dead" in unused([ast.parse(source)])
    assert "dead" not in unused([ast.parse(source), ast.parse("x.dead")])
