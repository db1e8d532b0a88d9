"""Every way round the pinned keys: which of them counts for what, over what, and until when; and what a damaged file keeps back."""

from newsletter.campaigns.errands import Act
from newsletter.journeys import alert, errands, retracting
from newsletter.ledger.mailings import State
from newsletter.operators import factors
from newsletter.operators.night import Fault, Rule
from newsletter.operators.roles import Role
from tests.journeys import nights
from tests.journeys.test_alert import approver as approver
from tests.journeys.test_alert import author as author
from tests.journeys.test_alert import books, locked, phone_of, signature
from tests.journeys.test_alert import crew as crew
from tests.journeys.test_alert import made as made
from tests.journeys.test_alert import pages as pages
from tests.journeys.test_alert import words as words
from tests.journeys.test_forging import APPROVE, attacker, audited


def test_a_sender_s_key_approves_nothing(made, tmp_path, words, crew, author, sink, database_urls):
    """Whoever sends and has a worker's password makes themselves an approver in the database; their key was pinned for sending."""
    mallory = crew.member(Role.SENDER, name="Mallory Rao")
    phone = phone_of(crew, made, mallory)
    number = locked(made, tmp_path, words, author, 8)
    with attacker(database_urls.worker) as worker:
        worker.execute("INSERT INTO operator_role (operator_id, role) VALUES (%s, 'approver')", (mallory.id,))
        worker.execute(APPROVE, ("two", mallory.id, "passkey", signature(made, phone, number), number))
        worker.execute("UPDATE mailing SET state = 'approved', start_at = now() WHERE id = %s", (number,))
    assert alert.standing(made.parts, number).waits_for.fault is Fault.BAD_SIGNATURE
    made.sweep()
    made.deliver("urgent")
    assert sink.messages == []
    assert books(made, number).state == "paused"
    assert "bad-signature" in audited(made)[0]


def test_who_sends_alone_has_not_approved(made, pages, tmp_path, words, crew, author, sink, database_urls):
    """Whoever has the pages' password takes the signature out of an errand; as a second word it would go at once, unstopped."""
    both = crew.member(Role.SENDER, Role.APPROVER, name="Omid Keller")
    phone = phone_of(crew, made, both)
    number = locked(made, tmp_path, words, author, 8)
    mine = nights.signature(made, phone, number, Rule.ALONE)
    facts = {"factor": "passkey", "answer": mine, "seen": alert.standing(made.parts, number).locked.fingerprint}
    errand = errands.ask(pages.parts, Act.ALONE, by=both.id, mailing=number, **facts)
    with attacker(database_urls.web) as web:
        [answer] = web.execute("SELECT facts ->> 'answer' FROM errand WHERE id = %s", (errand,)).fetchone()
        web.execute(APPROVE, ("two", both.id, "passkey", answer, number))
        web.execute("INSERT INTO errand (act, operator_id, mailing_id) VALUES ('settle', %s, %s)", (both.id, number))
    errands.run(made.parts)
    made.sweep()
    made.deliver("urgent")
    assert sink.messages == []
    found = alert.standing(made.parts, number)
    assert (found.state, found.waits_for.fault) == (State.APPROVED, Fault.TOO_SOON)


def new_phone(crew, made, member):
    """They enrol anew after they lost theirs: the old passkeys are forgotten, and the team is pinned again."""
    with crew.worker.transaction() as session:
        for one in factors.passkeys_of(session, member.id):
            factors.remove_passkey(session, member.id, one.id)
    return phone_of(crew, made, member)


def test_a_new_phone_halts_nothing_and_keeps_nothing_from_being_taken_back(
    made, pages, tmp_path, words, crew, author, approver, sink
):
    """Approved in the evening, half gone; in the morning the approver has another phone, and there is a mistake in it."""
    number = locked(made, tmp_path, words, author, 8)
    nights.by_passkey(pages, made, number, approver, signature(made, phone_of(crew, made, approver), number))
    alert.release(made.parts, number, by=author.id)
    new_phone(crew, made, approver)
    made.deliver("urgent")
    assert (len(sink.messages), books(made, number).state) == (8, "done")
    back = retracting.retract(made.parts, number, by=author.id).retraction
    made.deliver("urgent")
    assert (len(sink.messages), books(made, back).state) == (16, "done")


def test_the_lost_phone_signs_nothing_more(made, pages, tmp_path, words, crew, author, approver, sink, database_urls):
    """Whoever found it has a worker's password as well: what they write is of now, by the database's clock."""
    number = locked(made, tmp_path, words, author, 8)
    lost = phone_of(crew, made, approver)
    new_phone(crew, made, approver)
    with attacker(database_urls.worker) as worker:
        statement = APPROVE.replace("assertion)", "assertion, at)").replace(
            "%s FROM", "%s, now() - interval '1 day' FROM"
        )
        worker.execute(statement, ("two", approver.id, "passkey", signature(made, lost, number), number))
        worker.execute("UPDATE mailing SET state = 'approved', start_at = now() WHERE id = %s", (number,))
    made.sweep()
    made.deliver("urgent")
    assert sink.messages == []
    assert "bad-signature" in audited(made)[0]
