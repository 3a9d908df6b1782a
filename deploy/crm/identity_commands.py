"""`crm cafe`, `crm branch`, `crm user` and `crm apikey`: what an operator does before anybody can sign in.

What a script needs (an id, a key) goes to standard output, alone on its line; everything else to standard error.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any, TypeVar, cast
from uuid import UUID

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from services.identity import store
from services.identity.handlers import cafes, people, sessions, tills
from services.identity.models import AddMember, CreateApiKey, CreateBranch, CreateCafe
from shared import db
from shared.errors import Rejected
from shared.problems import problems_of
from shared.settings import settings

T = TypeVar("T")

cafe = typer.Typer(help="Cafes.", no_args_is_help=True)
branch = typer.Typer(help="Branches of a cafe.", no_args_is_help=True)
user = typer.Typer(help="People and their access.", no_args_is_help=True)
apikey = typer.Typer(help="API keys of tills.", no_args_is_help=True)

CafeOption = Annotated[UUID, typer.Option("--cafe", help="the cafe's id")]

_errors = Console(stderr=True)


def add_to(app: typer.Typer) -> None:
    """Hang the four groups of commands into the program."""
    for name, group in (("cafe", cafe), ("branch", branch), ("user", user), ("apikey", apikey)):
        app.add_typer(group, name=name)


@cafe.command("create")
def create_cafe(
    name: str,
    time_zone: Annotated[str, typer.Option(help="IANA name")] = "Asia/Tehran",
    calendar: Annotated[str, typer.Option(help="jalali or gregorian")] = "jalali",
    currency_unit: Annotated[str, typer.Option(help="IRT (Toman) or IRR (Rial)")] = "IRT",
    quiet_from: Annotated[str, typer.Option(help="no marketing message from this time on")] = "22:00",
    quiet_until: Annotated[str, typer.Option(help="and before this time")] = "09:00",
) -> None:
    """Create a cafe and print its id."""
    fields = {
        "name": name,
        "time_zone": time_zone,
        "calendar": calendar,
        "currency_unit": currency_unit,
        "quiet_from": quiet_from,
        "quiet_until": quiet_until,
    }
    command = _checked(CreateCafe, fields)
    print(_in_transaction(lambda conn: cafes.create_cafe(conn, command)).cafe_id)


@branch.command("create")
def create_branch(code: str, name: str, cafe_id: CafeOption) -> None:
    """Create a branch and print its id. CODE is what tills write into their records."""
    command = _checked(CreateBranch, {"code": code, "name": name})
    print(_in_transaction(lambda conn: cafes.create_branch(conn, cafe_id, command)).branch_id)


@user.command("add")
def add_user(
    login: Annotated[str, typer.Argument(help="e-mail address or phone number")],
    name: Annotated[str, typer.Argument(help="what the cafe calls the person")],
    cafe_id: CafeOption,
    role: Annotated[str, typer.Option(help="owner, manager or staff")] = "staff",
    password: Annotated[
        str,
        typer.Option(envvar="CRM_USER_PASSWORD", prompt=True, hide_input=True, help="only for a login without account"),
    ] = "",
) -> None:
    """Give a person access to a cafe, making their account when the login has none, and print their id."""
    fields = {"login": login, "display_name": name, "role": role, "password": password}
    command = _checked(AddMember, fields)

    async def add(conn: db.Connection) -> UUID:
        await cafes.hold_cafe(conn, cafe_id)
        hashed = await sessions.hash_password(command.password.get_secret_value())
        user_id = await people.add_user(conn, settings().keys, command.login, hashed)
        await people.grant_access(conn, cafe_id, user_id, command.role, display_name=command.display_name)
        return user_id

    print(_in_transaction(add))


@apikey.command("create")
def create_api_key(
    device_name: str,
    cafe_id: CafeOption,
    scope: Annotated[list[str] | None, typer.Option(help="ingest, loyalty_lookup; both when not given")] = None,
    expires_at: Annotated[datetime | None, typer.Option(help="UTC; never when not given")] = None,
) -> None:
    """Create a till's key and print it. It is never shown again."""
    fields: dict[str, Any] = {"device_name": device_name}
    if scope:
        fields["scopes"] = scope
    if expires_at:
        fields["expires_at"] = f"{expires_at.isoformat()}Z"
    command = _checked(CreateApiKey, fields)
    created = _in_transaction(lambda conn: tills.create_api_key(conn, settings().keys, cafe_id, command))
    print(created.api_key)
    _errors.print("Keep it now: only its hash is stored.")


@apikey.command("list")
def list_api_keys(cafe_id: CafeOption) -> None:
    """Show a cafe's keys, without their secrets."""
    table = Table("key id", "device", "scopes", "created", "expires", "revoked")
    for key in _in_transaction(lambda conn: store.list_api_keys(conn, cafe_id)):
        moments = (key.created_at, key.expires_at, key.revoked_at)
        shown = [moment.isoformat(timespec="minutes") if moment else "" for moment in moments]
        table.add_row(key.key_id, key.device_name, " ".join(key.scopes), *shown)
    Console().print(table)


@apikey.command("revoke")
def revoke_api_key(key_id: str, cafe_id: CafeOption) -> None:
    """Refuse a key from now on."""
    _in_transaction(lambda conn: tills.revoke_api_key(conn, cafe_id, key_id))
    _errors.print(f"revoked {key_id}")


def _in_transaction(work: Callable[[db.Connection], Awaitable[T]]) -> T:
    async def run() -> T:
        pool = await db.open_pool(settings().dsn("identity"), max_size=1, name="identity command")
        try:
            async with db.transaction(pool) as conn:
                return await work(conn)
        finally:
            await pool.close()

    try:
        return asyncio.run(run())
    except Rejected as error:
        _errors.print(error.en)
        raise typer.Exit(1) from error


M = TypeVar("M", CreateCafe, CreateBranch, AddMember, CreateApiKey)


def _checked(model: type[M], fields: dict[str, Any]) -> M:
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        for problem in problems_of(cast(Any, error.errors())):
            _errors.print(f"{problem.field}: {problem.en}")
        raise typer.Exit(2) from error
