"""`crm cafe`, `crm branch`, `crm user` and `crm apikey`: what an operator does before anybody can sign in.

What a script needs (an id, a key) goes to standard output, alone on its line; everything else to standard error.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any, TypeVar, cast
from uuid import UUID

import typer
from pydantic import SecretStr, ValidationError
from pydantic_core import PydanticCustomError
from rich.console import Console

from deploy.crm.output import AsJson, show_json
from services.identity.handlers import cafes, invitations, passwords, people, resets, tills
from services.identity.handlers.attempts import login_hash
from services.identity.models.http import (
    Cafe,
    ChosenPassword,
    CreateApiKey,
    CreateBranch,
    CreateCafe,
    Invite,
    NewInvitation,
    NewReset,
)
from services.identity.models.logins import spellings
from services.identity.store import accounts
from services.identity.store import cafes as store
from shared.database import db
from shared.errors import Rejected
from shared.settings import settings
from shared.web.validation_errors import problems_of

T = TypeVar("T")

cafe = typer.Typer(help="Cafes.", no_args_is_help=True)
branch = typer.Typer(help="Branches of a cafe.", no_args_is_help=True)
user = typer.Typer(help="People and their access.", no_args_is_help=True)
apikey = typer.Typer(help="API keys of tills.", no_args_is_help=True)

CafeOption = Annotated[UUID, typer.Option("--cafe", help="the cafe's id")]
LoginArgument = Annotated[str, typer.Argument(help="e-mail address or phone number")]

ACCEPT = '/invitations/accept {"code": …, "password": …}'
RESET = '/password-resets/use {"code": …, "new_password": …}'

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
    language: Annotated[str, typer.Option(help="fa or en: what its people read first")] = "fa",
    owner: Annotated[str | None, typer.Option(help="login of the owner, who is invited")] = None,
    owner_name: Annotated[str | None, typer.Option(help="what the cafe calls them; else the login")] = None,
    as_json: AsJson = False,
) -> None:
    """Create a cafe and print its id; with --owner also, on a second line, the one-time link of their invitation."""
    fields = {
        "name": name,
        "time_zone": time_zone,
        "calendar": calendar,
        "currency_unit": currency_unit,
        "quiet_from": quiet_from,
        "quiet_until": quiet_until,
        "language": language,
    }
    command = _checked(CreateCafe, fields)
    if owner is None:
        made = _in_transaction(lambda conn: cafes.create_cafe(conn, command))
        _answer(made.model_dump(), made.cafe_id, as_json=as_json)
        return
    invite = _checked(Invite, {"login": owner, "display_name": owner_name or owner, "role": "owner"})
    keys, console = settings().keys, settings().console_url

    async def create_and_invite(conn: db.Connection) -> tuple[Cafe, NewInvitation]:
        made = await cafes.create_cafe(conn, command)
        return made, await invitations.invite(conn, keys, made.cafe_id, invite, by=None, console=console)

    made, invited = _in_transaction(create_and_invite)
    alone = f"{made.cafe_id}\n{invited.link or invited.code}"
    _answer({"cafe": made.model_dump(), "invitation": invited.model_dump()}, alone, as_json=as_json)
    _say_where(f"owner {invited.login} has access after accepting", invited, ACCEPT)


@branch.command("create")
def create_branch(code: str, name: str, cafe_id: CafeOption) -> None:
    """Create a branch and print its id. CODE is what tills write into their records."""
    command = _checked(CreateBranch, {"code": code, "name": name})
    print(_in_transaction(lambda conn: cafes.create_branch(conn, cafe_id, command)).branch_id)


@user.command("add")
def add_user(
    login: LoginArgument,
    name: Annotated[str, typer.Argument(help="what the cafe calls the person")],
    cafe_id: CafeOption,
    role: Annotated[str, typer.Option(help="owner, manager or staff")] = "staff",
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="make a new account with the password on standard input")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Invite a person into a cafe and print the one-time code, by which they choose a password and accept.

    With --password-stdin the person's account is made at once, and its id printed: only for a login without an account.
    """
    command = _checked(Invite, {"login": login, "display_name": name, "role": role})
    if password_stdin:
        user_id = _add_with_password(command, cafe_id)
        _answer({"user_id": user_id}, user_id, as_json=as_json)
        return
    keys, console = settings().keys, settings().console_url
    invited = _in_transaction(lambda conn: invitations.invite(conn, keys, cafe_id, command, by=None, console=console))
    _answer(invited.model_dump(), invited.code, as_json=as_json)
    _say_where(f"{invited.role} {invited.login} has access after accepting", invited, ACCEPT)


@user.command("password")
def reset_password(
    login: LoginArgument,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="set the password on standard input instead")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Sign a person out everywhere and print a one-time code, by which they choose a new password."""
    names = _logins(login)
    if password_stdin:
        user_id = _set_password(names)
        if as_json:
            show_json({"user_id": user_id})
        _errors.print("the password is set; all sessions have ended")
        return

    async def reset(conn: db.Connection) -> NewReset:
        return await resets.operator_reset(conn, await _account(conn, names), console=settings().console_url)

    made = _in_transaction(reset)
    _answer(made.model_dump(), made.code, as_json=as_json)
    _say_where("all sessions have ended; until the code is used the old password still signs in", made, RESET)


@user.command("list")
def list_users(cafe_id: CafeOption, as_json: AsJson = False) -> None:
    """Show who has access to a cafe, and since when in that role."""
    members = _in_transaction(lambda conn: store.list_members(conn, cafe_id))
    if as_json:
        show_json([member.model_dump() for member in members])
        return
    for member in members:
        print(f"{member.user_id}  {member.role}\n  {member.display_name}, since {member.changed_at:%F %H:%M} UTC")
    if not members:
        _errors.print("nobody has access")


def _add_with_password(command: Invite, cafe_id: UUID) -> UUID:
    password = _password_from_stdin()

    async def add(conn: db.Connection) -> UUID:
        cafe = await cafes.hold_cafe(conn, cafe_id)
        passwords.check_new_password("password", password, [command.login, command.display_name, cafe.name])
        hashed = await passwords.hash_password(password)
        user_id = await invitations.make_account(conn, settings().keys, command.login, hashed)
        if user_id is None:
            raise Rejected(
                "login_taken",
                "This login has an account, and its password stays; leave --password-stdin out to invite the person.",
                "این نام کاربری حساب دارد و گذرواژه‌اش همان می‌ماند؛ بدون ‎--password-stdin دعوتش کنید.",
                status=409,
            )
        await people.admit(conn, cafe_id, user_id, command.role, display_name=command.display_name)
        return user_id

    return _in_transaction(add)


def _set_password(names: list[str]) -> UUID:
    password = _password_from_stdin()

    async def change(conn: db.Connection) -> UUID:
        user_id = await _account(conn, names)
        passwords.check_new_password("password", password, names)
        hashed = await passwords.hash_password(password)
        await accounts.lock_user(conn, user_id)
        await resets.set_password(conn, user_id, hashed)
        return user_id

    return _in_transaction(change)


async def _account(conn: db.Connection, names: list[str]) -> UUID:
    found = await accounts.find_login(conn, [login_hash(settings().keys, name) for name in names])
    if found.user_id is None:
        raise Rejected("no_account", "No account has this login.", "هیچ حسابی این نام کاربری را ندارد.", status=404)
    return found.user_id


def _logins(typed: str) -> list[str]:
    try:
        return spellings(typed)
    except PydanticCustomError as error:
        _errors.print(f"login: {error.message()}")
        raise typer.Exit(2) from error


def _password_from_stdin() -> SecretStr:
    if sys.stdin.isatty():
        typed = str(typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    else:
        typed = sys.stdin.readline().rstrip("\r\n")
    return _checked(ChosenPassword, {"password": typed}).password


def _answer(whole: dict[str, Any], alone: object, *, as_json: bool) -> None:
    # What a script needs stands alone on its line, or is a field of the whole.
    if as_json:
        show_json(whole)
    else:
        print(alone)


def _say_where(what: str, made: NewInvitation | NewReset, route: str) -> None:
    _errors.print(f"{what}. Hand over the code; it holds once, until {made.expires_at:%Y-%m-%d %H:%M} UTC.")
    _errors.print(made.link or f"POST {settings().identity_url}{route}", soft_wrap=True, highlight=False, markup=False)


@apikey.command("create")
def create_api_key(
    device_name: str,
    cafe_id: CafeOption,
    scope: Annotated[list[str] | None, typer.Option(help="ingest, loyalty_lookup; both when not given")] = None,
    expires_at: Annotated[datetime | None, typer.Option(help="UTC; never when not given")] = None,
    as_json: AsJson = False,
) -> None:
    """Create a till's key and print it. It is never shown again."""
    fields: dict[str, Any] = {"device_name": device_name}
    if scope:
        fields["scopes"] = scope
    if expires_at:
        fields["expires_at"] = f"{expires_at.isoformat()}Z"
    command = _checked(CreateApiKey, fields)
    created = _in_transaction(lambda conn: tills.create_api_key(conn, settings().keys, cafe_id, command))
    _answer(created.model_dump(), created.api_key, as_json=as_json)
    _errors.print("Keep it now: only its hash is stored.")


@apikey.command("list")
def list_api_keys(cafe_id: CafeOption, as_json: AsJson = False) -> None:
    """Show a cafe's keys, without their secrets; times are UTC."""
    keys = _in_transaction(lambda conn: store.list_api_keys(conn, cafe_id))
    if as_json:
        show_json([key.model_dump() for key in keys])
        return
    for key in keys:
        # A fact or two a line: a table would cut the ids at the width of most terminals.
        moments = {"created": key.created_at, "expires": key.expires_at, "revoked": key.revoked_at}
        told = [f"{what} {moment:%F %H:%M}" for what, moment in moments.items() if moment]
        print(f"{key.key_id}  {' '.join(key.scopes)}\n  {key.device_name}\n  {', '.join(told)}")
    if not keys:
        _errors.print("no keys")


@apikey.command("revoke")
def revoke_api_key(key_id: str, cafe_id: CafeOption, as_json: AsJson = False) -> None:
    """Refuse a key from now on."""
    revoked = _in_transaction(lambda conn: tills.revoke_api_key(conn, cafe_id, key_id))
    if as_json:
        show_json(revoked.model_dump())
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
        _errors.print("; ".join(f"{problem.field}: {problem.en}" for problem in error.problems) or error.en)
        raise typer.Exit(1) from error


M = TypeVar("M", CreateCafe, CreateBranch, Invite, ChosenPassword, CreateApiKey)


def _checked(model: type[M], fields: dict[str, Any]) -> M:
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        for problem in problems_of(cast(Any, error.errors())):
            _errors.print(f"{problem.field}: {problem.en}")
        raise typer.Exit(2) from error
