"""What the team was told of an alert's stops and pauses: their mails are found by the numbers that stand in them."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from newsletter.models.mailing import Kind, Mailing

ABOUT = "halt_of"
"""In the content of a mail to the team: of which alert it says that it was stopped, paused or resumed."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the team was told once.

    upto      of what came to pass by then
    what      a name for it
    mailing   of the alert itself, or of a language of it
    """

    upto: int
    what: str
    mailing: int

    def about(self, alert: int) -> dict[str, int | str]:
        """Return what stands in such a mail about an alert."""
        return {ABOUT: alert, "upto": self.upto, "what": self.what, "mailing": self.mailing}


def told(session: Session, alert: int) -> list[Told]:
    """Return what the team was told of an alert's halts, the last first."""
    mine = Mailing.kind == Kind.NOTICE, Mailing.id > alert, Mailing.content.contains({ABOUT: alert})
    found = session.execute(select(Mailing.content).where(*mine).order_by(Mailing.id.desc())).scalars()
    return [Told(int(one["upto"]), str(one["what"]), int(one["mailing"])) for one in found]
