"""A picture in an alert, by a template of one's own: what it shows is locked with the words, as far as it is ours to serve."""

import hashlib
from pathlib import Path

from newsletter.issues import pictures
from newsletter.journeys import alert, drafting, picturing
from newsletter.ledger import locks
from tests import house
from tests.journeys import nights
from tests.journeys.test_alert import author as author
from tests.journeys.test_alert import crew as crew
from tests.journeys.test_alert import made as made
from tests.journeys.test_alert import pages as pages
from tests.journeys.test_alert import words as words

BODY = b"\xff\xd8 a map of the way to the gate"
NAME = hashlib.sha256(BODY).hexdigest()[:32]
URL = f"{nights.SITE.origin}/pictures/{NAME}.jpg"
ELSEWHERE = "https://sarand.example/logo.png"


def test_what_a_picture_of_ours_shows_is_locked_and_served_as_it_was(
    made, tmp_path, words, author, database_urls, sink
):
    """Whoever writes to the database could else have a map lead elsewhere, in mail that two people approved."""
    source = "https://example.org/map.jpg"
    with made.parts.database.transaction() as session:
        pictures.claim(session, source, now=nights.now(made))
        pictures.keep(session, source, BODY, width=9, height=9, now=nights.now(made))
    own = tmp_path / "own" / "email" / "alert"
    own.mkdir(parents=True)
    template = Path("templates/email/alert/body.html").read_text()
    drawn = "".join(f'<img src="{one}" alt="" width="9" height="9">' for one in (URL, ELSEWHERE))
    (own / "body.html").write_text(template + drawn)
    changed = house.build(tmp_path, database_urls, sink.url, **nights.RULES, templates=tmp_path / "own")
    house.add_readers(changed, tmp_path, house.addresses(2))
    number = drafting.draft(changed.parts, words, digest_key=house.DIGEST, by=author.id)
    alert.lock(changed.parts, number, by=author.id)
    with changed.parts.database.transaction() as session:
        found = locks.current(session, number).images
    assert found == ((URL, hashlib.sha256(BODY).hexdigest()), (ELSEWHERE, ""))
    assert picturing.shown(changed.parts, NAME) == BODY
    nights.ask(changed, "UPDATE picture SET body = :forged RETURNING 1", forged=b"\xff\xd8 another way")
    assert picturing.shown(changed.parts, NAME) is None
    changed.close()
