"""What every command that lists or shows something can do: print it for a program to read."""

from typing import Annotated, Any

import msgspec
import typer

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output, for a program to read.")]


def show_json(found: Any) -> None:
    """Prints lists, dicts, dates, ids and dataclasses as one JSON document."""
    typer.echo(msgspec.json.format(msgspec.json.encode(found)).decode())
