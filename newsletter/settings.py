"""What an operator sets, from the environment: frozen, validated, secrets also as files, nothing secret in repr.

Every name is `NEWSLETTER_` and the field in capitals; each may instead be `NAME_FILE`, a file that holds the value.
Only `assembly` and the doors import this module.
"""

import os
import re
import shlex
from collections.abc import Mapping
from datetime import time, tzinfo
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from newsletter.addresses import BadAddress, EmailAddress
from newsletter.errors import Invalid

Network = IPv4Network | IPv6Network
PREFIX = "NEWSLETTER_"


class BadSettings(Invalid):
    """A setting cannot be used; `details` says which and why, without its value."""

    def __init__(self, details: str) -> None:
        super().__init__("settings.invalid", details=details)


def _data_home() -> Path:
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "newsletter"


def _keys_home() -> Path:
    # Outside the data home: a backup of the data must never hold the keys that open it.
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "newsletter" / "keys.json"


class Settings(BaseSettings):
    """The settings of one process. Read them with `read`, which words what is wrong."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="ignore", hide_input_in_errors=True, validate_default=True
    )

    database_url: SecretStr | None = Field(default=None, description="PostgreSQL, as the worker's or web's role")
    migrate_url: SecretStr | None = Field(default=None, description="PostgreSQL, as the owner: migrations only")
    redis_url: SecretStr | None = Field(default=None, description="Redis or Valkey: the broker")
    relay_url: SecretStr | None = Field(default=None, description="where mail is handed over")
    relay_url_urgent: SecretStr | None = None
    relay_url_transactional: SecretStr | None = None
    base_url: str = "http://127.0.0.1:8080"
    sender: str = ""
    postal_address: str = ""
    discreet_name: str = Field(
        default="",
        description="the name in From for readers who asked for discreet mail; a word of their language unless set",
    )
    mirror_url: str | None = Field(
        default=None, description="the second host of the pages, for readers to whom the first is blocked"
    )
    exit_url: str = Field(
        default="https://www.wikipedia.org/",
        description="where “leave this page now” leads: a site that anyone may look at",
    )
    sensitive_cause: str = Field(
        default="", description="what being on the list says of somebody, where that is sensitive: consent names it"
    )
    bounce_domain: str | None = None
    lmtp: str = Field(default="127.0.0.1:8024", description="where intake listens for what comes back")
    lmtp_peers: Annotated[tuple[Network, ...], NoDecode] = Field(
        default=(), description="who may deliver to intake besides this machine"
    )
    ses_topic: str | None = Field(default=None, description="the SNS topic on which Amazon SES tells what came back")
    dkim_key: SecretStr | None = Field(
        default=None, description="selectors and PEM keys, where the relay does not sign"
    )
    relay_log: Path | None = Field(default=None, description="the relay's log, looked in for messages in doubt")
    tranche_pause: float = Field(
        default=15, ge=0, le=1440, description="minutes between the end of a large mailing's first 200 and the rest"
    )
    one_person_up_to: int = Field(
        default=1_000, ge=0, description="readers of an alert that one person may send by themselves"
    )
    alone_after: int = Field(
        default=15, ge=0, le=1440, description="minutes in which all may stop what one sends alone; 0: nobody may"
    )
    codes_up_to: int = Field(
        default=10_000, ge=0, description="readers of an alert that a code may approve; above, a passkey"
    )
    approvers: Path | None = Field(
        default=None, description="the team's pinned public keys; approvers.json beside the keys where unset"
    )
    hook: SecretStr | None = Field(
        default=None, description="a command or an address that is told of alerts: it wakes people"
    )
    drill_at: time | None = Field(
        default=None, description="from when each morning's drill of the urgent lane is due, as 06:10; never"
    )
    time_zone: str = Field(
        default="",
        description="the zone in which the team's pages and mails write hours, as Europe/London; this machine's where unset",
    )
    canaries: Annotated[tuple[EmailAddress, ...], NoDecode] = Field(
        default=(), description="two addresses of your own that live in the list, to notice when it is used by others"
    )
    export_alone_up_to: int = Field(
        default=500, ge=0, description="people whom one data officer may take out alone, within 30 days"
    )
    erasures: Path | None = Field(
        default=None, description="the file that knows who was erased; in NEWSLETTER_HOME where unset"
    )
    home: Path = Field(default_factory=_data_home)
    keys: Path = Field(default_factory=_keys_home)
    templates: Path | None = None
    fetch_allow: Annotated[tuple[Network, ...], NoDecode] = ()
    trusted_proxies: Annotated[tuple[Network, ...], NoDecode] = ()

    @field_validator("fetch_allow", "trusted_proxies", "lmtp_peers", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(ip_network(part) for part in value.replace(",", " ").split())
        return value

    @field_validator("canaries", mode="before")
    @classmethod
    def _addresses(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            return tuple(EmailAddress.parse(part) for part in value.replace(",", " ").split())
        except BadAddress:
            raise ValueError("names something that is no address") from None

    @field_validator("database_url", "migrate_url", mode="after")
    @classmethod
    def _postgresql(cls, value: SecretStr | None) -> SecretStr | None:
        """Hosts hand out postgres:// and postgresql://; both mean the one driver there is here."""
        text = reveal(value)
        if not text:
            return None
        scheme, mark, rest = text.partition("://")
        if scheme not in ("postgres", "postgresql", "postgresql+psycopg") or not mark or not rest:
            raise ValueError("is no address of PostgreSQL: postgresql://user:password@host:port/name")
        _check_port(text)
        return SecretStr(f"postgresql+psycopg://{rest}")

    @field_validator("redis_url", mode="after")
    @classmethod
    def _broker(cls, value: SecretStr | None) -> SecretStr | None:
        text = reveal(value)
        if not text:
            return None
        scheme, mark, rest = text.partition("://")
        if scheme not in ("redis", "rediss") or not mark or not rest:
            raise ValueError("is no address of Redis: redis://:password@host:port/0")
        _check_port(text)
        return value

    @field_validator("base_url")
    @classmethod
    def _no_trailing_slash(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            raise ValueError("begins with neither http:// nor https://")
        return value.rstrip("/")

    @field_validator("mirror_url", "exit_url")
    @classmethod
    def _a_page(cls, value: str | None) -> str | None:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("begins with neither http:// nor https://")
        return value

    @field_validator("mirror_url")
    @classmethod
    def _like_base(cls, value: str | None) -> str | None:
        return value.rstrip("/") if value else None

    @field_validator("sensitive_cause")
    @classmethod
    def _on_one_line(cls, value: str) -> str:
        return " ".join(value.split())

    @field_validator("ses_topic")
    @classmethod
    def _topic(cls, value: str | None) -> str | None:
        if value and not re.fullmatch(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]{1,256}", value):
            raise ValueError("is no topic: arn:aws:sns:REGION:ACCOUNT:NAME")
        return value or None

    @field_validator("hook")
    @classmethod
    def _called(cls, value: SecretStr | None) -> SecretStr | None:
        text = (reveal(value) or "").strip()
        try:
            words = shlex.split(text)
        except ValueError:
            raise ValueError("is no command: a quotation mark in it is not closed") from None
        if words and "://" in words[0] and not text.startswith(("http://", "https://")):
            raise ValueError("is neither a command nor an address that begins with http:// or https://")
        return SecretStr(text) if words else None

    @field_validator("drill_at", mode="before")
    @classmethod
    def _or_never(cls, value: object) -> object:
        return None if isinstance(value, str) and value.strip().lower() in ("", "never") else value

    @field_validator("drill_at")
    @classmethod
    def _here(cls, value: time | None) -> time | None:
        if value and value.tzinfo:
            raise ValueError("is an hour of our own zone, such as 06:10")
        return value

    @field_validator("time_zone")
    @classmethod
    def _a_zone(cls, value: str) -> str:
        name = value.strip()
        try:
            return ZoneInfo(name).key if name else ""
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("is no time zone such as Europe/London") from None

    @field_validator("bounce_domain")
    @classmethod
    def _small(cls, value: str | None) -> str | None:
        return value.strip().lower() if value and value.strip() else None

    @field_validator("relay_log", "templates", "approvers", "erasures", mode="before")
    @classmethod
    def _empty_is_unset(cls, value: object) -> object:
        return value or None

    @field_validator("home", "keys", "templates", "relay_log", "approvers", "erasures")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return value.expanduser().absolute() if value else None

    @field_validator("templates")
    @classmethod
    def _a_folder(cls, value: Path | None) -> Path | None:
        # Without it the bundled ones would be used, and nobody would notice before the readers do.
        if value and not value.is_dir():
            raise ValueError("is no folder that can be read")
        return value

    @model_validator(mode="after")
    def _keys_lie_outside_home(self) -> "Settings":
        if self.keys.is_relative_to(self.home):
            raise ValueError("NEWSLETTER_KEYS lies inside NEWSLETTER_HOME, so a backup of the data would hold its keys")
        return self

    @model_validator(mode="after")
    def _intake_listens_to_those_it_knows(self) -> "Settings":
        host, _ = self.intake
        try:
            near = host == "localhost" or ip_address(host).is_loopback
        except ValueError:
            near = False
        if not near and not self.lmtp_peers:
            raise ValueError(
                "NEWSLETTER_LMTP listens beyond this machine, where anyone could deliver: name in NEWSLETTER_LMTP_PEERS who may"
            )
        return self

    @cached_property
    def intake(self) -> tuple[str, int]:
        """Return where intake listens: host and port."""
        host, _, port = self.lmtp.rpartition(":")
        if not host or not port.isdigit() or int(port) > 65535:
            raise ValueError("NEWSLETTER_LMTP is no address such as 127.0.0.1:8024")
        return host.strip("[]"), int(port)

    @property
    def pins(self) -> Path:
        """Return where the team's public keys are pinned."""
        return self.approvers or self.keys.parent / "approvers.json"

    @property
    def zone(self) -> tzinfo | None:
        """Return the zone whose hours the team is told; None: this machine's."""
        return ZoneInfo(self.time_zone) if self.time_zone else None

    @cached_property
    def relays(self) -> Mapping[str, str]:
        """Return the relay URLs by lane; a lane without one of its own uses the common one."""
        common = reveal(self.relay_url) or "smtp://127.0.0.1:25"
        return {
            "urgent": reveal(self.relay_url_urgent) or common,
            "transactional": reveal(self.relay_url_transactional) or common,
            "bulk": common,
        }


def _check_port(url: str) -> None:
    try:
        urlsplit(url).port  # noqa: B018  (reading it is the check)
    except ValueError:
        raise ValueError("names a port that is no number") from None


def reveal(secret: SecretStr | None) -> str | None:
    """Return the text of a secret setting, or None when it is not set."""
    return secret.get_secret_value() if secret else None


def read(**overrides: Any) -> Settings:
    """Return the settings from the environment; `overrides` win. Raises BadSettings with every fault in one sentence each."""
    try:
        return Settings(**(_from_files() | overrides))
    except ValidationError as error:
        faults = [
            f"{PREFIX}{'_'.join(map(str, e['loc'])).upper()}: {e['msg'].removeprefix('Value error, ')}".rstrip("_")
            for e in error.errors()
        ]
        raise BadSettings("; ".join(fault.removeprefix(f"{PREFIX}: ") for fault in faults)) from None


def _from_files() -> dict[str, str]:
    """Return the values of every NEWSLETTER_NAME_FILE; both forms of one name at once is a contradiction."""
    values = {}
    for name in Settings.model_fields:
        variable = f"{PREFIX}{name.upper()}"
        path = os.environ.get(f"{variable}_FILE")
        if not path:
            continue
        if os.environ.get(variable):
            raise BadSettings(f"{variable} and {variable}_FILE are both set; keep one")
        try:
            values[name] = Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise BadSettings(f"{variable}_FILE cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise BadSettings(f"{variable}_FILE cannot be read: it is not text in UTF-8") from None
    return values
