"""Sign-ups are taken back: whoever said no since has said it, and nothing is kept of the others."""

from newsletter import database
from newsletter.addresses import EmailAddress
from newsletter.issues import digests
from newsletter.journeys import holding, joining, leaving, moving_in, privacy
from newsletter.journeys.holding import Asked
from newsletter.subscribers import undoing
from newsletter.subscribers.consent import Basis
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
    daily(newsletter)
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


ANN = "email\nann@example.org\n"
ONE, OTHER = "203.0.113.9", "198.51.100.9"


def join(made, client, *, digest="weekly"):
    """Ann signs up, and says yes."""
    form(made, "ann@example.org", client, digest=digest)
    joining.work(made.parts)
    assert answer(made) == 1
    joining.work(made.parts)


def take_back(made, client):
    """An operator takes back what came from a network."""
    assert holding.undo(made.parts, Asked(net=client, held=False)) == 1
    joining.work(made.parts)


def bring(made, folder, **more):
    """A list names her, with evidence."""
    (folder / "list.csv").write_text(ANN)
    return house.bring(made, folder / "list.csv", **more)


def rests(made):
    """Return by which list she takes each digest; None: by her own word."""
    return ask(
        made,
        "SELECT d.key, e.import_id FROM subscription l JOIN consent_event e ON e.id = l.granted_by"
        " JOIN digest d ON d.id = l.digest_id WHERE l.ended_at IS NULL ORDER BY d.key",
    )


def told(made):
    """Return what a regulator hears of her permissions for the weekly: what, and whose act it was."""
    ann = EmailAddress.parse("ann@example.org")
    entries = privacy.report(made.parts, reference=None, address=ann, by=None).entries
    return [(one["what"], one.get("by")) for one in entries if one.get("purpose") == "digest weekly"]


def daily(made):
    with made.parts.database.transaction() as session:
        digests.add(session, "daily", name="Daily", languages=("en",), rhythm=Rhythm.DAILY)


def test_what_an_operator_took_back_is_no_word_of_hers(newsletter, database_urls, tmp_path) -> None:
    """The honest list that comes next brings her in; and a regulator is not told that she had withdrawn."""
    daily(newsletter)
    join(newsletter, ONE)
    join(newsletter, OTHER, digest="daily")
    take_back(newsletter, ONE)
    assert rests(newsletter) == [("daily", None)]
    assert told(newsletter) == [("permission given", None), ("permission withdrawn", "an operator")]
    assert bring(newsletter, tmp_path).rejected == 0
    assert rests(newsletter) == [("daily", None), ("weekly", 1)]
    with newsletter.parts.database.transaction() as session:
        leaving.end(session, ask(newsletter, "SELECT id FROM subscriber")[0][0], None)
    assert told(newsletter)[-1] == ("permission withdrawn", "the person")
    assert bring(newsletter, tmp_path).rejected == 1, "her own no keeps her out"


def test_a_no_before_a_yes_that_is_taken_back_is_her_last_word(newsletter, database_urls, tmp_path) -> None:
    """Without the yes that was taken back, her no is the last she said."""
    join(newsletter, ONE)
    with newsletter.parts.database.transaction() as session:
        leaving.end(session, ask(newsletter, "SELECT id FROM subscriber")[0][0], None)
    join(newsletter, OTHER)
    assert rests(newsletter) == [("weekly", None)]
    assert holding.undo(newsletter.parts, Asked(minutes=60, held=False)) == 2
    joining.work(newsletter.parts)
    assert rests(newsletter) == []
    assert bring(newsletter, tmp_path).rejected == 1


def test_whom_a_list_shows_as_well_outlives_her_sign_up(newsletter, database_urls, tmp_path) -> None:
    """The sign-up was one of an attack's, the paper form is hers; and what rests on the form goes with it."""
    join(newsletter, ONE)
    assert bring(newsletter, tmp_path).also == 1
    take_back(newsletter, ONE)
    assert rests(newsletter) == [("weekly", 1)]
    assert ask(newsletter, "SELECT count(*) FROM subscription WHERE ended_at IS NOT NULL") == [(0,)]
    with newsletter.parts.database.transaction() as session:
        undone, _ = undoing.undo(session, 1, suppressions_too=False, now=database.now(session))
    assert (undone.handed, undone.ended) == (0, 1), "and not on what was taken back"
    assert bring(newsletter, tmp_path).rejected == 0


def test_whom_a_list_without_evidence_names_can_be_asked_when_her_sign_up_is_taken_back(
    newsletter, database_urls, tmp_path
) -> None:
    """She is neither forgotten, since the list is there, nor mailed, since it shows nothing."""
    join(newsletter, ONE)
    (tmp_path / "list.csv").write_text("Email Address,MEMBER_RATING,LEID,OPTIN_TIME\nann@example.org,4,1,\n")
    permission = moving_in.Permission(Basis.IMPORTED, "")
    moving_in.import_subscribers(
        newsletter.parts, str(tmp_path / "list.csv"), digest_key="weekly", permission=permission
    )
    assert moving_in.ask(newsletter.parts, 1, dry_run=True) == 0
    take_back(newsletter, ONE)
    assert rests(newsletter) == []
    assert moving_in.ask(newsletter.parts, 1, dry_run=True) == 1


def test_who_signed_up_twice_stays_by_the_sign_up_that_is_left(newsletter, database_urls) -> None:
    """One of the two forms was sent by somebody else, the other by her."""
    join(newsletter, ONE)
    join(newsletter, OTHER)
    take_back(newsletter, ONE)
    assert rests(newsletter) == [("weekly", None)]
    take_back(newsletter, OTHER)
    assert rests(newsletter) == []
    assert ask(newsletter, "SELECT count(*) FROM subscriber") == [(0,)]


def test_nothing_is_taken_back_while_a_list_comes_in(newsletter, database_urls, tmp_path) -> None:
    """It may be writing down at this moment that she stands on it: she would be forgotten, and named by nobody."""
    join(newsletter, ONE)
    bring(newsletter, tmp_path, before_commit=lambda *_: take_back(newsletter, ONE))
    assert rests(newsletter) == [("weekly", None)]
    joining.work(newsletter.parts)
    assert rests(newsletter) == [("weekly", 1)]


def test_more_mailboxes_than_a_statement_has_parameters_are_asked_about_at_once(newsletter) -> None:
    """With a parameter for each, half the time in which the undoing of a long list holds its readers went into reading them."""
    with newsletter.parts.database.transaction() as session:
        assert holding.forget_boxes(session, range(1, 70_001)) == 70_000
