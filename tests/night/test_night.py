"""The night's page is true, and says so when it is not: a judge that never convicts proves nothing."""

import os
from datetime import UTC, datetime

import pytest

from tests.night import ground, page, story

SEED = int(os.environ.get("SEED") or 20261125)


@pytest.mark.proof
@pytest.mark.short
@pytest.mark.timeout(400)
def test_a_night_is_told_as_the_mail_server_saw_it(tmp_path, database_urls, redis_url):
    """A director reads one page the morning after; each figure of it is the mail server's own, and the books say the same."""
    with ground.open_(tmp_path / "night", database_urls, redis_url, ground.SHORT, seed=SEED) as made:
        night = story.tell(made)
        record = made.relay.record()
        written = page.write(night, record)
        assert written.faults == [], written.text
        assert len(written.text.splitlines()) <= 40
        said = " ".join(written.text.split())
        assert "Lost: 0." in said
        assert "Twice otherwise: 0." in said
        assert max(map(len, written.text.splitlines())) <= page.WIDTH
        assert "the books agree" in written.text
        # Whether it was in time is this machine's load as well: what is late here is repeated on an idle one before it is believed.
        assert written.late == [], written.text
        assert page.write(night, [one | {"at": float(one["at"]) + 60} for one in record]).late, (
            "the page hides what is late"
        )
        assert "first mail" in said, "the drill's lamp"
        corrected = next(one for one in record if one["to"] == "fa1@example.org" and _what(night, one) == "correction")
        for tampered in (
            [one for one in record if one is not corrected],
            [*record, corrected],
            [one for one in record if not (one["to"] == "en1@example.org" and _what(night, one) == "digest")],
            [*record, corrected | {"to": "en1@example.org"}],
            [*record, corrected | {"subject": "Soldiers everywhere"}],
        ):
            assert page.write(night, tampered).faults, "the page hides what differs"


def _what(night, message):
    number, _ = night.ground.made.parts.tokens.read_return_path(
        message["sender"].partition("@")[0], now=datetime.now(UTC)
    )
    return next((what for what, mailing in night.mailings.items() if mailing == number), "")
