"""What a relay's log can say of a message in doubt, and what it cannot."""

import pytest
from sqlalchemy import text

from newsletter import assembly
from newsletter.delivery import relaylog
from newsletter.journeys import mailing as journey
from newsletter.journeys import publish
from newsletter.ledger import books
from tests import house

TAKEN = """\
Jun  1 08:00:00 mx postfix/smtpd[101]: 4bQk7y2Xz: client=localhost[127.0.0.1]
Jun  1 08:00:00 mx postfix/cleanup[102]: 4bQk7y2Xz: message-id=<{one}>
Jun  1 08:00:00 mx postfix/qmgr[99]: 4bQk7y2Xz: from=<news@sarand.example>, size=18211, nrcpt=1 (queue active)
"""
BROKEN_OFF = """\
2026-06-01T08:00:01+00:00 mx postfix/cleanup[102]: 4bQk7y2Y0: message-id=<{two}>
2026-06-01T08:00:01+00:00 mx postfix/smtpd[101]: lost connection after DATA (18000 bytes) from localhost[127.0.0.1]
"""


def test_only_what_reached_the_queue_was_taken(tmp_path):
    """Its Message-ID alone is in the log as soon as the header came; the rest may never have come."""
    log = tmp_path / "mail.log"
    log.write_text(TAKEN.format(one="a=@x") + BROKEN_OFF.format(two="b=@x"))
    assert relaylog.taken(log, {"a=@x", "b=@x", "c=@x"}) == {"a=@x"}


@pytest.fixture
def looking(tmp_path, database_urls, sink):
    """A product that may look into its relay's log."""
    built = house.build(tmp_path, database_urls, sink.url)
    chosen = built.settings.model_copy(update={"relay_log": tmp_path / "mail.log"})
    built.close()
    made = assembly.assemble(chosen)
    yield made
    made.close()


def test_a_digest_in_doubt_is_found_in_the_log(looking, sink, tmp_path):
    """One look into the log, and nobody is uncertain: accepted, not sent twice, still listed."""
    sink.hang_up = lambda recipient: recipient.startswith(("reader1@", "reader2@"))
    composed = house.issue(looking, tmp_path, addresses=house.addresses(4))
    publish.send(looking.parts, composed.issue)
    looking.deliver("bulk", seconds=10)
    looking.sweep()
    assert journey.status(looking.parts, composed.mailing).uncertain == 2, "there is no log yet: nothing is guessed"
    ids = [
        message.content.split(b"Message-ID: <")[1].split(b">")[0].decode()
        for name in ("reader1", "reader2")
        for message in sink.messages_for(f"{name}@example.org")
    ]
    (tmp_path / "mail.log").write_text(TAKEN.format(one=ids[0]) + BROKEN_OFF.format(two=ids[1]))
    looking.sweep()
    found = journey.status(looking.parts, composed.mailing)
    assert (found.accepted, found.uncertain) == (3, 1)
    assert sorted(doubt.state for doubt in journey.in_doubt(looking.parts, composed.mailing)) == [
        "accepted",
        "uncertain",
    ]
    with looking.parts.database.transaction() as session:
        assert books.faults(session, composed.mailing) == []
        assert session.execute(text("SELECT count(*) FROM delivery WHERE reason = 'relay log'")).scalar_one() == 1
