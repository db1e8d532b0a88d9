"""What alerts would do about a message, remembered instead of done."""

from newsletter.ledger import mailings
from newsletter.ledger.mailings import Draft, Kind, Lane


class Alerts:
    """Makes an empty mailing for each draft and remembers every call: ("draft" | "update" | "cancel", mailing, identifier)."""

    def __init__(self, *, fails_on=None):
        self.did = []
        self._fails_on = fails_on

    def hold(self, session, mailing_ids):
        """Nobody else moves anything here."""

    def draft(self, session, message, *, now):
        new = Draft(kind=Kind.ALERT, lane=Lane.URGENT, digest_id=None, subject=message.identifier)
        mailing_id = mailings.draft(session, new, now=now)
        self._note("draft", mailing_id, message)
        return mailing_id

    def update(self, session, mailing_id, message, *, now):
        self._note("update", mailing_id, message)
        return mailing_id

    def cancel(self, session, mailing_id, message, *, now):
        self._note("cancel", mailing_id, message)

    def _note(self, what, mailing_id, message):
        if what == self._fails_on:
            raise RuntimeError(what)
        self.did.append((what, mailing_id, message.identifier))
