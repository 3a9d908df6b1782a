"""Every setting of a process, read once from `CRM_…` environment variables."""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Any, Self
from urllib.parse import quote, urlsplit

from pydantic import AwareDatetime, BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from shared import clock
from shared.security.addresses import Network, networks_of
from shared.security.crypto import Keys, derive_password
from shared.services import TABLE, service_of


def _addresses_of(text: Any) -> Any:
    """`name=address` of each service, with commas."""
    if not isinstance(text, str):
        return text
    pairs = [part.strip().partition("=") for part in text.split(",") if part.strip()]
    known = {each.name for each in TABLE}
    for name, _, address in pairs:
        if name not in known or urlsplit(address).scheme not in {"http", "https"}:
            raise ValueError(f"{name!r}: write one of {', '.join(sorted(known))}, =, and an address with http(s)://")
    return {name: address for name, _, address in pairs}


def _span_of(text: Any) -> Any:
    """`400d` or `36h`."""
    if not isinstance(text, str):
        return text
    number, unit = text[:-1], text[-1:]
    if not (number.isascii() and number.isdigit() and unit in ("d", "h") and len(number) <= 5):
        raise ValueError(f"{text!r}: write days or hours, as 400d or 36h")
    return timedelta(days=int(number)) if unit == "d" else timedelta(hours=int(number))


class Settings(BaseSettings):
    """Defaults are safe to expose: everything listens on loopback and no secret has a default."""

    model_config = SettingsConfigDict(env_prefix="CRM_", frozen=True, extra="ignore")

    secret: SecretStr = Field(min_length=32, description="the one secret all others are derived from")
    previous_secret: SecretStr | None = Field(None, description="still accepted for reading while rotating")
    postgres_url: str = Field("postgresql://postgres@127.0.0.1:5432/postgres", description="server and admin login")
    database_url: str | None = Field(None, description="this process's database, instead of the derived one")
    database_prefix: str = ""
    kafka_servers: str = "127.0.0.1:9092"
    topic_prefix: str = ""
    partitions: int = Field(6, ge=1, le=256)
    replication: int = Field(1, ge=1, le=5)
    host: str = "127.0.0.1"
    port: int | None = Field(None, description="of this process; the service's own port when not given")
    trusted_proxies: Annotated[tuple[Network, ...], NoDecode, BeforeValidator(networks_of)] = Field(
        (),
        validate_default=False,
        description="addresses or networks, with commas, of proxies whose X-Forwarded-For is believed",
    )
    guests_port: int | None = Field(None, description="of the feedback API: guests' pages and no more")
    public_url: str = Field("http://127.0.0.1:8107", description="where guests reach the feedback page")
    identity_url: str = Field("http://127.0.0.1:8101", description="issuer of staff tokens")
    console_port: int | None = Field(None, description="of the console: its pages and no more")
    console_url: str | None = Field(None, description="where people open invitations; without it only codes are shown")
    guest_url: str | None = Field(
        None, description="where guests reach their own page, which the console serves; its own address when left out"
    )
    till_url: str = Field("http://127.0.0.1:8103", description="where tills reach the visit API, for people to read")
    console_insecure: bool = Field(
        False, description="the console without TLS, for a network at home: its cookies may be read on the way"
    )
    api_urls: Annotated[Mapping[str, str], NoDecode, BeforeValidator(_addresses_of)] = Field(
        {},
        validate_default=False,
        description="where the console reaches the APIs: identity=http://…,customer=http://…",
    )
    live_url: str = Field("http://127.0.0.1:8208", description="where the console reaches its worker's live stream")
    sms_endpoint: str = Field("https://api.kavenegar.com", description="base address of the SMS provider")
    sms_api_key: SecretStr | None = Field(None, description="the account of cafes that have none of their own")
    sms_sender: str | None = Field(None, description="the line that account sends from")
    sms_price: Decimal = Field(Decimal(1390), ge=0, le=10**6, description="Rial that account pays for one Persian part")
    sms_lent_daily: int | None = Field(
        None, ge=0, description="messages a day that one cafe may send by that account; 0 lends it to nobody"
    )
    unsigned_events_until: AwareDatetime | None = Field(
        None, description="until then events are taken in that the version before signatures published"
    )
    development: bool = Field(
        False, description="a system to try things on; `crm up` and `crm demo` say so by themselves"
    )
    clock_offset: Annotated[timedelta, NoDecode, BeforeValidator(_span_of)] = Field(
        timedelta(), validate_default=False, description="how far ahead the clock runs, as 400d; only in development"
    )
    batch_size: int = Field(1000, ge=1, le=5000)
    session_seconds: float = Field(8, ge=6, le=300, description="after this silence the broker gives up a worker")
    drain_seconds: float = Field(6, ge=0, le=60, description="an API serves on so long after SIGTERM, but is not ready")
    log_level: str = "INFO"

    @model_validator(mode="after")
    def _moves_no_real_clock(self) -> Self:
        if self.clock_offset and not self.development:
            raise ValueError(
                "CRM_CLOCK_OFFSET makes points lapse and messages go out before their time: it is for development alone"
            )
        return self

    @property
    def keys(self) -> Keys:
        """The keyring derived from the secret."""
        previous = self.previous_secret.get_secret_value() if self.previous_secret else None
        return _keys(self.secret.get_secret_value(), previous)

    def database_name(self, service: str) -> str:
        """`<prefix>crm_<service>`."""
        return f"{self.database_prefix}crm_{service}"

    def dsn(self, service: str) -> str:
        """The service's own login to its own database."""
        if self.database_url:
            return self.database_url
        password = quote(derive_password(self.secret.get_secret_value(), service), safe="")
        host = urlsplit(self.postgres_url).netloc.rpartition("@")[2]
        return f"postgresql://crm_{service}:{password}@{host}/{self.database_name(service)}"

    def http_port(self, service: str) -> int:
        """The port in the service's row, unless `CRM_PORT` says otherwise."""
        return self.port or service_of(service).port

    def outside_port(self, service: str) -> int | None:
        """The port for people from outside in the service's row, unless `CRM_GUESTS_PORT` or `CRM_CONSOLE_PORT` says
        otherwise; none where only `CRM_PORT` is given."""
        given = {"feedback": self.guests_port, "console": self.console_port}.get(service)
        return given or (None if self.port else service_of(service).outside_port)

    def api_url(self, service: str) -> str:
        """Where another process reaches the API of `service`."""
        return self.api_urls.get(service, f"http://127.0.0.1:{service_of(service).port}").rstrip("/")

    @property
    def guest_page_url(self) -> str:
        """Where guests reach their own page."""
        return self.guest_url or self.console_url or "http://127.0.0.1:8100"

    def worker_port(self, service: str) -> int:
        """Where a worker shows its health and metrics."""
        return self.port or service_of(service).worker_port


@lru_cache(maxsize=4)
def _keys(secret: str, previous: str | None) -> Keys:
    return Keys.from_secret(secret, previous)


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The settings of this process, whose clock they move.

    Raises `pydantic.ValidationError` naming the variable when one is missing or malformed.
    """
    found = Settings()
    clock.move(found.clock_offset)
    return found
