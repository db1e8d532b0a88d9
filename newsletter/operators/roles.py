"""What each role may do, as data: the pages, the command line and the programs of others all ask here."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType

from newsletter.errors import Forbidden
from newsletter.models.operator import Role as Role


class May(StrEnum):
    """Something that not everybody may do. The same words are the scopes of tokens."""

    WRITE = "write"
    """Draft, edit, preview and test alerts and mailings."""
    SEND = "send"
    """Lock an alert, and release what no second person need sign."""
    APPROVE = "approve"
    """Sign another operator's locked alert."""
    STOP = "stop"
    """Pause and stop what goes out: whoever sees a mistake may end it."""
    PEOPLE = "people"
    """See, export and erase readers: the only one that ever shows an address."""
    TEAM = "team"
    """See who logs in, and sign for one who lost their phone."""
    DISABLE = "disable"
    """End another operator's sessions, or their access."""
    AUDIT = "audit"
    """Read who did what."""


MAY: Mapping[Role, frozenset[May]] = MappingProxyType(
    {
        Role.WRITER: frozenset({May.WRITE, May.STOP}),
        Role.SENDER: frozenset({May.WRITE, May.SEND, May.STOP, May.TEAM}),
        # A trustee with a phone: writes nothing, so that what they sign is another's.
        Role.APPROVER: frozenset({May.APPROVE, May.STOP, May.TEAM, May.DISABLE}),
        Role.DATA_OFFICER: frozenset({May.PEOPLE, May.STOP, May.TEAM}),
        Role.AUDITOR: frozenset({May.AUDIT, May.STOP}),
    }
)


class NotAllowed(Forbidden):
    """None of the operator's roles, or not the token's scopes, hold this."""

    def __init__(self, act: May) -> None:
        super().__init__("operator.not-allowed", act=act)


def of(roles: Iterable[Role]) -> frozenset[May]:
    """Return all that somebody with these roles may do."""
    return frozenset().union(*(MAY[role] for role in roles))


def require(allowed: frozenset[May], act: May) -> None:
    """Raise NotAllowed where an act is not among what is allowed."""
    if act not in allowed:
        raise NotAllowed(act)
