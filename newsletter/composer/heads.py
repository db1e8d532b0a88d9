"""The header fields of our kinds of mail (standards §§1–12), as pieces with gaps."""

from newsletter import languages
from newsletter.composer import headers
from newsletter.composer.content import Frame
from newsletter.composer.message import Gap, Head, Kind, Piece, Slot


def bulk(frame: Frame, subject: tuple[Piece, ...], *, threads: bool = False) -> Head:
    """Return the head of newsletter mail: one-click unsubscribe, list fields, and the marks that stop vacation replies.

    threads   may answer an earlier mail, which each reader has under an id of their own
    """
    help_url = frame.help_url or f"{frame.base_url}/help"
    archive = frame.list_archive_url or f"{frame.base_url}/archive/{frame.list_key}"
    feedback = headers.feedback_id(
        frame.feedback_campaign or frame.list_key,
        frame.list_key,
        frame.feedback_kind,
        frame.sender_address.rpartition("@")[2],
    )
    fields = (
        *_common(frame),
        *((Gap(Slot.THREAD, Kind.HEADER),) if threads else ()),
        *_unsubscribe(frame),
        # RFC 8058 §3.1
        "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n",
        headers.list_id("" if frame.style.discreet else frame.list_name, frame.list_key, frame.list_domain),
        headers.listed("List-Help", [help_url]),
        headers.listed("List-Archive", [archive]),
        feedback,
        "Auto-Submitted: auto-generated\r\nPrecedence: bulk\r\n",
    )
    return Head(fields=fields, subject=directed(subject, frame.language))


def directed(subject: tuple[Piece, ...], language: str) -> tuple[Piece, ...]:
    """Return a subject that is read in its language's direction: with a mark before it where its first letter has the other.

    An inbox orders the line by its first letter (UAX 9 P2). Isolates and overrides no header may carry (standards §7); a mark
    is neither. A reader's name may begin either way, so one that comes first has a mark where letters run from the right.
    """
    own = languages.direction(language)
    for piece in subject:
        leans = languages.leaning(piece) if isinstance(piece, str) else "ltr"
        if leans is not None:
            return subject if leans == own else (languages.mark(language), *subject)
    return subject


def service(frame: Frame, subject: tuple[Piece, ...]) -> Head:
    """Return the head of a mail that a person caused by their own act: no list, and no vacation reply either."""
    fields = (*_common(frame), *_reply_to(frame), "Auto-Submitted: auto-generated\r\n")
    return Head(fields=fields, subject=directed(subject, frame.language))


def _reply_to(frame: Frame) -> tuple[Piece, ...]:
    """Where an answer says yes, for the one reader whom the mail asks."""
    if not frame.reply_domain:
        return ()
    return (
        "Reply-To: <",
        Gap(Slot.REPLY, Kind.HEADER),
        f"@{headers.spelled('Reply-To', 'a@' + frame.reply_domain)[2:]}>\r\n",
    )


def _common(frame: Frame) -> tuple[Piece, ...]:
    return (
        headers.mailbox("From", frame.sender_name, frame.sender_address),
        *headers.addressed(),
        Gap(Slot.SUBJECT, Kind.HEADER),
    )


def _unsubscribe(frame: Frame) -> tuple[Piece, ...]:
    # https first (RFC 8058 §3.1); never encoded, never folded inside the brackets.
    opening = headers.listed("List-Unsubscribe", [f"{frame.base_url}/u/"]).removesuffix(">\r\n")
    mailto: tuple[Piece, ...] = ()
    if frame.unsubscribe_mailto:
        mailto = (f",\r\n <mailto:{frame.unsubscribe_mailto}?subject=", Gap(Slot.LEAVE, Kind.TOKEN), ">")
    return (opening, Gap(Slot.LEAVE, Kind.TOKEN), ">", *mailto, "\r\n")
