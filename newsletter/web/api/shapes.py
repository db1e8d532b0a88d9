"""What the API takes and what it answers, exactly: these are the schemas of its description."""

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from newsletter.ledger.mailings import State
from newsletter.operators.roles import May

LONGEST_ADDRESS = 400
# No control characters, line ends or marks that turn text around (standards §7).
PLAIN = r"^[^\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]*$"
KEY = "^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$"

VERSION = "^([0-9a-f]{12})?$"

Number = Annotated[int, Field(ge=1, le=2**63 - 1)]


class Scope(StrEnum):
    """What a program's token may do here."""

    AUDIT = May.AUDIT
    STOP = May.STOP


class _Asked(BaseModel):
    # A field that we do not know is a misspelt one of ours: better refused than passed over.
    model_config = ConfigDict(extra="forbid")


class Refusal(BaseModel):
    """Why something was refused: an id for programs, and a sentence for people."""

    error: str = Field(pattern="^[a-z0-9.-]+$", examples=["operator.not-allowed"])
    sentence: str = Field(min_length=1, examples=["None of your roles allows this (stop)."])


class SignupIn(_Asked):
    """What a program sends for somebody who filled in its form."""

    email: str = Field(
        min_length=3,
        max_length=LONGEST_ADDRESS,
        description="The address as it was written. What can be no address of anybody is refused with 422.",
        json_schema_extra={"format": "idn-email"},
        examples=["ann@example.org"],
    )
    digests: list[Annotated[str, Field(pattern=KEY)]] = Field(
        default_factory=list,
        max_length=50,
        description="The keys of digests. None: the only one there is.",
    )
    language: str = Field(
        default="",
        max_length=40,
        description="The language to answer them in; one that we do not speak is followed by Accept-Language, then English.",
        examples=["fa"],
    )
    name: str = Field(default="", max_length=100, pattern=PLAIN, examples=["Ann"])
    form: str = Field(
        default="api", max_length=40, pattern=PLAIN, description="What you call the form: sign-ups are counted by it."
    )
    wording_version: str = Field(
        default="",
        pattern=VERSION,
        description="The version of the words by which people agree on your form, as `newsletter digests form` prints both. "
        "Without it, or where it is none of ours, the proof of consent says that your form showed none that we know of.",
        examples=["3f0c2a9b71de"],
    )


class Pending(BaseModel):
    """What the figures of the mail are sent back with. The same for every address."""

    pending: str = Field(pattern="^[A-Za-z0-9_-]{22}$")


class CodeIn(_Asked):
    """The figures that came by mail, and the form they are for."""

    pending: str = Field(max_length=100, description="As `POST /api/v1/signups` answered.")
    code: str = Field(max_length=40, description="Six figures; blanks and hyphens among them do not matter.")
    wording_version: str = Field(
        default="",
        pattern=VERSION,
        description="The version of the words by which people agree, where they stand beside the figures too.",
        examples=["3f0c2a9b71de"],
    )


class Confirmed(BaseModel):
    """They are in, as soon as a worker has seen to it."""

    confirmed: Literal[True]


class Caller(BaseModel):
    """Whom a token acts as, by number, and what it may do."""

    operator: Number
    token: Number
    may: list[Scope]


class Head(BaseModel):
    """The last row of the audit: its number and its digest, which holds for all rows before it."""

    number: int = Field(ge=0)
    head: str = Field(pattern="^[0-9]+:[0-9a-f]{64}$")


class Stopped(BaseModel):
    """An alert, and what it is now."""

    mailing: Number
    state: State


def refuses(*statuses: int, **more: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    """Return the answers of an operation that are refusals, by status. more: `s401={…}` adds to one."""
    return {status: {"model": Refusal, "description": WHY[status]} | more.get(f"s{status}", {}) for status in statuses}


WHY = {
    401: "No token, or one that was not made here, has ended, or whose operator may no longer log in.",
    403: "The token has not this scope, or its operator has not this right any more.",
    404: "There is no such thing.",
    408: "The body did not come within a minute.",
    409: "It is not in a state in which this can be done.",
    413: "The body is larger than 64 KiB.",
    415: "The body is not `application/json`.",
    422: "The request does not fit this description, or what it says cannot be: the error's id tells.",
    500: "A fault of ours. It is logged here.",
    503: "The database is away. Try again in a moment.",
}
