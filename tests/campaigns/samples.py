"""Messages of CAP to read: real ones from the shared data, and small ones made on the spot."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from newsletter.campaigns.cap import CapMessage, Kind, Reference, Scope, Status

FEEDS = Path(__file__).parents[2] / "../shared/data/feeds"
SENDER = "warnings.example"
START = datetime(2026, 6, 1, 2, 10, tzinfo=UTC)
INFO = """<info><language>en</language><category>Safety</category><event>Attack on a camp</event>
<urgency>Immediate</urgency><severity>Severe</severity><certainty>Observed</certainty></info>"""


def real(name: str) -> Path:
    """Return a file of the shared data; skip the test where there is none."""
    path = FEEDS / name
    if not path.exists():
        pytest.skip(f"the shared data is not here: {name}")
    return path


def xml(*, info: str = INFO, before: str = "", **changed: str | None) -> bytes:
    """Return an alert. changed: what an element says instead; None leaves it out."""
    usual: dict[str, str | None] = {
        "identifier": "A",
        "sender": SENDER,
        "sent": "2026-06-01T02:10:00-00:00",
        "status": "Actual",
        "msgType": "Alert",
        "scope": "Public",
        "references": None,
    }
    told = "".join(f"<{name}>{said}</{name}>" for name, said in (usual | changed).items() if said is not None)
    return f'{before}<alert xmlns="urn:oasis:names:tc:emergency:cap:1.2">{told}{info}</alert>'.encode()


def named(letter: str, minute: int) -> Reference:
    """Return the name of a message sent so many minutes after the start."""
    return Reference(START + timedelta(minutes=minute), SENDER, letter)


def said(letter: str, minute: int, kind: Kind = Kind.ALERT, *references: Reference, **more: object) -> CapMessage:
    """Return a message that says nothing but what it is."""
    plain: dict[str, object] = {"status": Status.ACTUAL, "scope": Scope.PUBLIC} | more
    return CapMessage(
        letter,
        SENDER,
        START + timedelta(minutes=minute),
        kind=kind,
        references=references,
        **plain,  # type: ignore[arg-type]
    )
