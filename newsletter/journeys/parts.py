"""What every story needs: the database, the keys' tokens, the templates, who we are, and the broker."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import time, timedelta, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any

from newsletter import languages
from newsletter.addresses import EmailAddress
from newsletter.bounces.routing import Router
from newsletter.composer.content import Frame
from newsletter.composer.styles import PLAIN, Style
from newsletter.database import Database
from newsletter.delivery.planning import PORTIONS, Portions
from newsletter.delivery.vouching import House
from newsletter.errors import Conflict
from newsletter.issues.digests import DigestView
from newsletter.jobs import Nudger
from newsletter.ledger.mailings import Lane
from newsletter.relay.target import Relay
from newsletter.tokens import Tokens

if TYPE_CHECKING:
    from newsletter.bounces.sns import Receiver
    from newsletter.composer.inlining import Layout
    from newsletter.fetching import Network


class NoSender(Conflict):
    """No sender or no postal address is set, and bulk mail without them may not leave (CAN-SPAM, GDPR)."""

    def __init__(self, variable: str) -> None:
        super().__init__("sender.missing", variable=variable)


@dataclass(frozen=True, slots=True)
class Letterhead:
    """Who sends: what stands in From and in every footer. sender_address in wire form.

    discreet_name   in From where a reader asked for a discreet style; "" is a word of their language
    mirror_url      the second host of the pages, for readers whose line the first is not open to; "" where there is none
    sensitive_cause what being on the list says of somebody, where that is sensitive: consent names it (GDPR Art. 9)
    """

    sender_name: str
    sender_address: str
    postal_address: str
    base_url: str
    discreet_name: str = ""
    mirror_url: str = ""
    sensitive_cause: str = ""

    @property
    def domain(self) -> str:
        """The sending domain: of From, Message-ID and List-Id."""
        return self.sender_address.rpartition("@")[2]

    def require(self) -> None:
        """Raise NoSender where mail could not lawfully be released."""
        if not self.sender_address:
            raise NoSender("NEWSLETTER_SENDER")
        if not self.postal_address:
            raise NoSender("NEWSLETTER_POSTAL_ADDRESS")

    def base(self, style: Style) -> str:
        """Return where the pages are for readers of a style."""
        return self.mirror_url if style.mirror and self.mirror_url else self.base_url

    def links(self, text: str, style: Style) -> str:
        """Return a text whose links to our own pages lead where readers of a style can follow them."""
        return text.replace(f"{self.base_url}/", f"{self.base(style)}/") if style.mirror else text

    def frame(
        self,
        digest: DigestView,
        *,
        language: str,
        kind: str,
        archive_path: str = "",
        mailto: str | None = None,
        style: Style = PLAIN,
    ) -> Frame:
        """Return what stands around a message to the readers of a digest. mailto: where wishes to leave by mail are read."""
        base = self.base(style)
        frame = self._frame(
            language=language,
            list_key=digest.key,
            list_name=digest.name,
            why="mail.why-subscribed",
            archive_url=f"{base}{archive_path}" if archive_path else "",
            feedback_kind=kind,
            unsubscribe_mailto=mailto,
            style=style,
        )
        return (
            self._discreet(replace(frame, base_url=base), digest) if style.discreet else replace(frame, base_url=base)
        )

    def _discreet(self, frame: Frame, digest: DigestView) -> Frame:
        """Before the footer there is no name of ours: the key of a digest, too, may be that of the cause."""
        name = self.discreet_name or languages.say("mail.discreet-name", frame.language)
        return replace(frame, sender_name=name, list_key=f"list-{digest.id}", list_archive_url=f"{frame.base_url}/")

    def notice_frame(self, lists: str, *, language: str, reply_domain: str = "", style: Style = PLAIN) -> Frame:
        """Return what stands around a mail that somebody caused by their own act. reply_domain: where answers are read."""
        frame = self._frame(
            language=language,
            list_key="",
            list_name=lists,
            why="",
            archive_url="",
            feedback_kind="notice",
            reply_domain=reply_domain,
            style=style,
        )
        name = self.discreet_name or languages.say("mail.discreet-name", language)
        return replace(frame, base_url=self.base(style), sender_name=name if style.discreet else frame.sender_name)

    def team_frame(self, *, language: str = "en") -> Frame:
        """Return what stands around a message to operators: no list, nothing in the archive."""
        return self._frame(
            language=language,
            list_key="",
            list_name=self.sender_name,
            why="mail.why-team",
            archive_url="",
            feedback_kind="notice",
        )

    def drill_frame(self, *, language: str) -> Frame:
        """Return what stands around a drill: as around an alert, but to the team, and its links to leave do nothing."""
        return self._frame(
            language=language,
            list_key="drill",
            list_name=self.sender_name,
            why="mail.why-team",
            archive_url="",
            list_archive_url=f"{self.base_url}/archive",
            feedback_kind="drill",
        )

    def _frame(self, **more: Any) -> Frame:
        """What stands around every message of ours."""
        return Frame(
            sender_name=self.sender_name,
            sender_address=self.sender_address,
            organisation=self.sender_name,
            postal_address=self.postal_address,
            base_url=self.base_url,
            list_domain=self.domain,
            **more,
        )


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts that meet in `assembly`, as stories use them.

    composing  makes the layout on first use: a process that only sends never loads templates, premailer and lxml
    relays         those of each lane, for what can be promised
    tranche_pause  how long a large mailing waits after its first tranche
    portions       in how many passes a large alert is planned
    house          by what alerts are judged: whose mail this is, the rules of the night, the keys that are trusted
    router         knows the addresses to which mail comes back; None where none is taken in
    notices        believes Amazon's notices; None where there are none
    hook           the command or address that is told of alerts
    drill_at       from when each morning's drill is due, in that zone; None: only when somebody asks
    zone           of the hours that the team is told and asks for; None: this machine's
    erasures       the file that knows who was erased, whatever a restored backup says; None: beside the other data in `home`
    canaries       addresses of our own that live in the list, so that we hear when somebody uses it
    export_alone   how many people a data officer may take out alone
    """

    database: Database
    tokens: Tokens
    composing: "Callable[[], Layout]"
    letterhead: Letterhead
    nudger: Nudger
    home: Path
    fetch_allow: "tuple[Network, ...]"
    relays: Mapping[Lane, tuple[Relay, ...]]
    tranche_pause: timedelta
    house: House
    router: Router | None = None
    notices: "Receiver | None" = None
    hook: str | None = field(default=None, repr=False)
    portions: Portions = PORTIONS
    drill_at: time | None = None
    zone: tzinfo | None = None
    erasures: Path | None = None
    canaries: tuple[EmailAddress, ...] = ()
    export_alone: int = 500

    @property
    def journal(self) -> Path:
        """Where erasures are written down."""
        return self.erasures or self.home / "erasures.jsonl"

    @property
    def layout(self) -> "Layout":
        """The templates of e-mail."""
        return self.composing()
