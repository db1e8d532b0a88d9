"""Sign-ups are taken back: whoever said no since has said it, and nothing is kept of the others."""

from newsletter.issues import digests
from newsletter.journeys import holding, joining, leaving
from newsletter.journeys.holding import Asked
from newsletter.subscribers.subscriptions import Rhythm
from tests import house
from tests.journeys.test_waves import answer, ask, form, forms, readers


def test_who_left_what_an_undone_sign_up_brought_has_left_it(newsletter, database_urls, tmp_path) -> None:
    """She joined in the very hour of an attack, and left; that the attack is taken back must not let a list bring her in."""
    forms(newsletter, [("ann@example.org", "203.0.113.9"), ("bob@example.org", "203.0.113.10")])
    joining.work(newsletter.parts)
    assert answer(newsletter) == 2
    joining.work(newsletter.parts)
    [(ann,)] = ask(newsletter, "SELECT min(id) FROM subscriber")
    with newsletter.parts.database.transaction() as session:
        leaving.end(session, ann, None)
    assert holding.undo(newsletter.parts, Asked(net="203.0.113.0/24", held=False)) == 2
    joining.work(newsletter.parts)
    assert ask(newsletter, "SELECT id FROM subscriber") == [(ann,)], "whoever said nothing since is forgotten"
    (tmp_path / "list.csv").write_text("email\nann@example.org\n")
    assert house.bring(newsletter, tmp_path / "list.csv").rejected == 1
    assert readers(newsletter) == 0


def test_who_was_made_by_two_sign_ups_is_forgotten_with_the_second(newsletter, database_urls) -> None:
    """That the first was taken back is no word of hers: it keeps nothing of her."""
    with newsletter.parts.database.transaction() as session:
        digests.add(session, "daily", name="Daily", languages=("en",), rhythm=Rhythm.DAILY)
    for client, wanted in (("203.0.113.9", "weekly"), ("198.51.100.9", "daily")):
        form(newsletter, "ann@example.org", client, digest=wanted)
        joining.work(newsletter.parts)
        assert answer(newsletter) == 1
        joining.work(newsletter.parts)
    assert holding.undo(newsletter.parts, Asked(net="203.0.113.0/24", held=False)) == 1
    joining.work(newsletter.parts)
    assert readers(newsletter) == 1
    assert holding.undo(newsletter.parts, Asked(net="198.51.100.0/24", held=False)) == 1
    joining.work(newsletter.parts)
    assert ask(newsletter, "SELECT count(*) FROM subscriber") == [(0,)]
