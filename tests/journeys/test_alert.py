"""An urgent alert from draft to inbox, and every way round the second person that somebody inside the house could try."""

import psycopg
import pytest
from sqlalchemy import make_url, text
from webauthn.helpers import bytes_to_base64url

from newsletter import database
from newsletter.delivery.planning import CountMoved, OtherAudience
from newsletter.journeys import alert, joining, mailing, publish, retracting, team
from newsletter.ledger.mailings import NeedsLock, State, WrongState
from newsletter.operators import factors, passkeys
from newsletter.operators.factors import WrongFactor
from newsletter.operators.night import Fault
from newsletter.operators.passkeys import Site
from newsletter.operators.roles import NotAllowed, Role
from newsletter.subscribers.consent import Basis
from tests import house
from tests.fakes.authenticator import Authenticator
from tests.operators.crew import Crew

HOST = "news.sarand.example"
SITE = Site(HOST, f"https://{HOST}", "Friends of Sarand")
RULES = {"one_person_up_to": 2, "alone_after": 15, "codes_up_to": 5, "base_url": SITE.origin}
TEXT = "# Lorries at Sarand\n\nFourteen lorries stand at the second gate.\n"


@pytest.fixture
def made(tmp_path, database_urls, sink):
    """A product in which two readers are few, and a code is enough for five."""
    made = house.build(tmp_path, database_urls, f"{sink.url}?connections=2", **RULES)
    yield made
    made.close()


@pytest.fixture
def pages(tmp_path, database_urls, sink, made):
    web = house.build(tmp_path, database_urls, f"{sink.url}?connections=2", web=True, **RULES)
    yield web
    web.close()


@pytest.fixture
def crew(made, pages):
    return Crew(made.parts.database, pages.parts.database)


@pytest.fixture
def author(crew):
    return crew.member(Role.SENDER)


@pytest.fixture
def approver(crew):
    return crew.member(Role.APPROVER, name="Noor Holm")


@pytest.fixture
def words(tmp_path):
    path = tmp_path / "alert.md"
    path.write_text(TEXT)
    return [str(path)]


def locked(made, tmp_path, words, author, count):
    """Return the number of an alert to `count` readers, locked by its author."""
    house.add_readers(made, tmp_path, house.addresses(count))
    number = alert.draft(made.parts, words, digest_key=house.DIGEST, by=author.id)
    alert.lock(made.parts, number, by=author.id)
    return number


def now(made):
    with made.parts.database.transaction() as session:
        return database.now(session)


def by_code(made, number, member):
    alert.approve_by_code(made.parts, number, by=member.id, code=member.code(now(made)))


def books(made, number):
    return mailing.status(made.parts, number)


def phone_of(crew, made, member):
    """Give an operator a passkey, and pin the team's."""
    phone = Authenticator(HOST, SITE.origin)
    with crew.worker.transaction() as session:
        options = passkeys.creation(SITE, handle=b"1" * 16, account="x", challenge=b"c" * 32, have=[])
        known = passkeys.created(SITE, phone.create(options), challenge=b"c" * 32)
        factors.add_passkey(session, member.id, known, label="phone", now=database.now(session))
    team.pin(made.parts, made.settings.pins)
    return phone


def signature(made, phone, number):
    fingerprint = bytes.fromhex(alert.standing(made.parts, number).locked.fingerprint)
    return phone.sign(bytes_to_base64url(fingerprint))


def test_from_draft_to_inbox_by_two(made, tmp_path, words, author, approver, sink):
    """Locked by one, approved by another with the code of her phone, released, in every inbox once."""
    number = locked(made, tmp_path, words, author, 4)
    assert alert.standing(made.parts, number).waits_for.fault is Fault.NOBODY
    with pytest.raises(alert.NotEnough) as refused:
        alert.release(made.parts, number, by=author.id)
    assert refused.value.fault is Fault.NOBODY
    assert made.deliver("urgent") == 0
    by_code(made, number, approver)
    found = alert.standing(made.parts, number)
    assert (found.state, found.approved_by, found.waits_for) == (State.APPROVED, (approver.id,), None)
    assert made.deliver("urgent") == 0
    assert alert.release(made.parts, number, by=author.id) is State.SENDING
    made.deliver("urgent")
    assert sorted(message.recipient for message in sink.messages) == house.addresses(4)
    assert books(made, number).state == "done"


def test_few_readers_need_one_person(made, tmp_path, words, sink):
    """The plain form stays one command where nobody else would add anything."""
    house.add_readers(made, tmp_path, house.addresses(2))
    number = alert.send(made.parts, words, digest_key=house.DIGEST)
    made.deliver("urgent")
    assert len(sink.messages) == 2
    assert books(made, number).state == "done"


def test_more_readers_wait_locked(made, tmp_path, words, sink):
    """`alerts send` to more than one person may send to ends locked, and nothing has gone."""
    house.add_readers(made, tmp_path, house.addresses(3))
    number = alert.send(made.parts, words, digest_key=house.DIGEST)
    assert alert.standing(made.parts, number).state is State.LOCKED
    made.sweep()
    made.deliver("urgent")
    assert sink.messages == []


def test_alone_waits_and_anyone_may_stop_it(made, tmp_path, words, author, sink):
    """One person at night: the alert stands for a quarter of an hour, where all can see and stop it."""
    number = locked(made, tmp_path, words, author, 3)
    assert alert.release(made.parts, number, by=author.id, alone=True) is State.APPROVED
    made.sweep()
    assert made.deliver("urgent") == 0
    waiting = alert.standing(made.parts, number)
    assert waiting.waits_for.fault is Fault.TOO_SOON
    assert (waiting.start_at - now(made)).total_seconds() == pytest.approx(900, abs=5)
    assert alert.stop(made.parts, number) == 0
    assert alert.standing(made.parts, number).state is State.CANCELLED


def test_an_edit_voids_lock_and_approval(made, tmp_path, words, author, approver, sink):
    """What was approved is what goes: a comma later, it is asked for again, and the approver sees the comma."""
    number = locked(made, tmp_path, words, author, 4)
    by_code(made, number, approver)
    (tmp_path / "alert.md").write_text(TEXT.replace("Fourteen", "Forty"))
    alert.edit(made.parts, number, words, by=author.id)
    assert alert.standing(made.parts, number).state is State.DRAFT
    with pytest.raises(WrongState):
        alert.release(made.parts, number, by=author.id)
    made_again = alert.lock(made.parts, number, by=author.id)
    assert made_again.number == 2
    found = alert.standing(made.parts, number)
    assert found.approved_by == ()
    [change] = found.changes
    assert "+Forty lorries stand at the second gate." in change.lines
    with pytest.raises(alert.NotEnough):
        alert.release(made.parts, number, by=author.id)
    made.deliver("urgent")
    assert sink.messages == []


def test_nobody_approves_their_own_and_not_everybody_approves(made, tmp_path, words, crew, author):
    """Both roles in one person are one person."""
    both = crew.member(Role.SENDER, Role.APPROVER, name="Omid Keller")
    number = locked(made, tmp_path, words, both, 4)
    with pytest.raises(alert.NotEnough) as refused:
        by_code(made, number, both)
    assert refused.value.fault is Fault.OWN
    with pytest.raises(NotAllowed):
        by_code(made, number, author)


def test_a_wrong_code_approves_nothing_and_a_right_one_once(made, tmp_path, words, author, approver):
    """A code read over a shoulder is used up by its owner."""
    number = locked(made, tmp_path, words, author, 4)
    code = approver.code(now(made))
    with pytest.raises(WrongFactor):
        alert.approve_by_code(made.parts, number, by=approver.id, code=f"{(int(code) + 1) % 1000000:06}")
    assert alert.standing(made.parts, number).state is State.LOCKED
    by_code(made, number, approver)
    (tmp_path / "alert.md").write_text(TEXT + "More.\n")
    alert.edit(made.parts, number, words, by=author.id)
    alert.lock(made.parts, number, by=author.id)
    with pytest.raises(WrongFactor):
        alert.approve_by_code(made.parts, number, by=approver.id, code=code)


def test_a_large_audience_takes_a_passkey(made, tmp_path, words, crew, author, approver, sink):
    """Above five readers here, ten thousand elsewhere, a code does not do; a signature over this very fingerprint does."""
    number = locked(made, tmp_path, words, author, 6)
    with pytest.raises(alert.NotEnough) as refused:
        by_code(made, number, approver)
    assert refused.value.fault is Fault.NEEDS_PASSKEY
    phone = phone_of(crew, made, approver)
    with pytest.raises(alert.NotEnough) as refused:
        alert.approve_by_passkey(
            made.parts, number, by=approver.id, assertion=phone.sign(bytes_to_base64url(bytes(32)))
        )
    assert refused.value.fault is Fault.BAD_SIGNATURE
    alert.approve_by_passkey(made.parts, number, by=approver.id, assertion=signature(made, phone, number))
    alert.release(made.parts, number, by=author.id)
    made.deliver("urgent")
    assert len(sink.messages) == 6


def test_an_audience_that_moved_is_locked_anew(made, tmp_path, words, author, approver):
    """Two readers more among four: somebody must look before it goes."""
    number = locked(made, tmp_path, words, author, 4)
    by_code(made, number, approver)
    house.add_readers(made, tmp_path, ["late1@example.org", "late2@example.org"])
    with pytest.raises(CountMoved):
        alert.may_release(made.parts, number)
    with pytest.raises(CountMoved):
        alert.release(made.parts, number, by=author.id)
    assert alert.standing(made.parts, number).state is State.APPROVED


def test_it_is_no_ordinary_mailing(made, tmp_path, words, author):
    """`mailings send` knows of no second person, so it sends no alert."""
    number = locked(made, tmp_path, words, author, 4)
    with pytest.raises((NeedsLock, WrongState)):
        publish.release(made.parts, number)
    fresh = alert.draft(made.parts, words, digest_key=house.DIGEST)
    with pytest.raises(NeedsLock):
        publish.release(made.parts, fresh)


# What follows is done by somebody who has the password of the pages or of a worker, and writes SQL.


def attacker(url):
    return psycopg.connect(make_url(url).set(drivername="postgresql").render_as_string(hide_password=False))


@pytest.fixture(params=["web", "worker"])
def intruder(request, database_urls):
    with attacker(getattr(database_urls, request.param)) as connection:
        yield connection


APPROVE = """
    INSERT INTO approval (mailing_id, lock_number, fingerprint, rule, operator_id, factor, assertion)
    SELECT id, 1, fingerprint, %s, %s, %s, %s FROM mailing WHERE id = %s
"""


def refused(intruder, statement, values=()):
    """The database itself says no."""
    with pytest.raises(psycopg.Error) as error:
        intruder.execute(statement, values)
    intruder.rollback()
    assert error.value.sqlstate in ("42501", "23000", "23514", "23503"), error.value


def test_own_approval_is_refused_by_the_database(made, tmp_path, words, author, intruder):
    """Neither the author's, nor somebody's without the role, nor nobody's."""
    number = locked(made, tmp_path, words, author, 4)
    for operator in (author.id, None, 4711):
        refused(intruder, APPROVE, ("two", operator, "totp", None, number))
    refused(intruder, APPROVE, ("mandate", author.id, "totp", None, number))


def test_rows_that_stand_are_not_rewritten(made, tmp_path, words, author, approver, intruder):
    """Nor locks, nor approvals; nor is the trigger that guards them taken away."""
    number = locked(made, tmp_path, words, author, 4)
    by_code(made, number, approver)
    for table in ("approval", "lock"):
        refused(intruder, f"UPDATE {table} SET at = now() WHERE mailing_id = %s", (number,))
        refused(intruder, f"DELETE FROM {table} WHERE mailing_id = %s", (number,))
        refused(intruder, f"TRUNCATE {table} CASCADE")
        refused(intruder, f"ALTER TABLE {table} DISABLE TRIGGER ALL")
        refused(intruder, f"DROP TRIGGER holds_true ON {table}")
        refused(intruder, f"CREATE TRIGGER mine BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION only_added()")
    refused(
        intruder,
        "CREATE OR REPLACE FUNCTION approval_is_true() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    )
    refused(intruder, "SET session_replication_role = replica")


def test_yesterday_s_row_is_not_written_today(made, tmp_path, words, author, crew, intruder):
    """Who writes that they sent alone an hour ago waits like everybody: the database sets the time."""
    number = locked(made, tmp_path, words, author, 4)
    statement = APPROVE.replace("assertion)", "assertion, at)").replace("%s FROM", "%s, now() - interval '1 day' FROM")
    intruder.execute(statement, ("alone", author.id, None, None, number))
    assert intruder.execute("SELECT now() - at < interval '1 minute' FROM approval").fetchone() == (True,)


def test_the_pages_role_moves_no_alert(made, tmp_path, words, author, database_urls):
    """The role of the pages can neither release nor change one, nor make one."""
    number = locked(made, tmp_path, words, author, 4)
    with attacker(database_urls.web) as web:
        for statement in (
            "UPDATE mailing SET state = 'sending' WHERE id = %s",
            "UPDATE mailing SET fingerprint = sha256('') WHERE id = %s",
            "UPDATE mailing SET digest_id = digest_id WHERE id = %s",
            "UPDATE variant SET head = '' WHERE mailing_id = %s",
            "INSERT INTO lock (mailing_id, number, fingerprint, manifest) VALUES (%s, 9, sha256('{}'), '{}')",
            "INSERT INTO variant (mailing_id, number, language, head, blocks) VALUES (%s, 9, 'en', '', '{}')",
            "INSERT INTO mandate (holder_id, terms, fingerprint, until) VALUES (%s, '{}', '', now())",
        ):
            refused(web, statement, (number,))
        refused(web, "UPDATE block SET data = ''")
        refused(web, "INSERT INTO mailing (kind, lane) VALUES ('alert', 'urgent')")


def forced(made, database_urls, number, *statements):
    """Do as somebody with a worker's password would: change what they like and set it going."""
    with attacker(database_urls.worker) as worker:
        for statement in statements:
            worker.execute(statement, {"alert": number})
    made.deliver("urgent")
    return books(made, number)


def audited(made):
    with made.parts.database.transaction() as session:
        return [
            row.content
            for row in session.execute(text("SELECT content FROM audit WHERE content LIKE '%alert.refused%'"))
        ]


def sending(made, number, author, approver):
    """Approve and release, without sending yet."""
    by_code(made, number, approver)
    alert.release(made.parts, number, by=author.id)


EDITED = {
    "template": "UPDATE block SET data = convert_to(replace(convert_from(data, 'UTF8'), 'Fourteen', 'No'), 'UTF8')",
    "subject": "UPDATE variant SET head = convert_to(replace(convert_from(head, 'UTF8'), 'Lorries', 'Nothing'), 'UTF8')",
    "another's text": """
        UPDATE delivery SET variant_id = (SELECT max(id) FROM variant WHERE mailing_id <> %(alert)s) WHERE mailing_id = %(alert)s
    """,
    "lane": "UPDATE shard SET lane = 'transactional' WHERE mailing_id = %(alert)s",
    "expiry": "UPDATE mailing SET expires_at = now() + interval '9 days' WHERE id = %(alert)s",
    "no expiry": "UPDATE mailing SET expires_at = NULL WHERE id = %(alert)s",
    "update": "UPDATE mailing SET updates = id WHERE id = %(alert)s",
    "count": "UPDATE mailing SET planned = planned + 2 WHERE id = %(alert)s",
    "fingerprint": "UPDATE mailing SET fingerprint = sha256('mine') WHERE id = %(alert)s",
}


@pytest.mark.parametrize("what", EDITED)
def test_what_was_changed_after_the_approval_does_not_go(
    made, tmp_path, words, author, approver, sink, database_urls, what
):
    """The worker works the fingerprint out from the bytes in its hands, halts, and writes down why."""
    number = locked(made, tmp_path, words, author, 4)
    sending(made, number, author, approver)
    status = forced(made, database_urls, number, EDITED[what])
    made.deliver("transactional")
    team_ = {author.address, approver.address}
    assert [message for message in sink.messages if message.recipient not in team_] == []
    assert status.state == "paused" or what == "lane"
    assert len(audited(made)) == 1


def test_an_edited_audience_is_found_before_a_row_is_planned(made, tmp_path, words, author, approver, database_urls):
    """Another digest, or another language of it, is another audience."""
    number = locked(made, tmp_path, words, author, 4)
    by_code(made, number, approver)
    with attacker(database_urls.worker) as worker:
        worker.execute("UPDATE digest SET languages = '{en,fa}'")
    with pytest.raises(OtherAudience):
        alert.release(made.parts, number, by=author.id)
    with attacker(database_urls.worker) as worker:
        worker.execute("UPDATE mailing SET start_at = now() WHERE id = %s", (number,))
    made.sweep()
    assert alert.standing(made.parts, number).state is State.DRAFT


def test_another_s_signature_cannot_be_written(
    made, tmp_path, words, crew, author, approver, sink, database_urls, pages
):
    """The pages' role may add an approval in another's name; for a large audience no worker believes it."""
    number = locked(made, tmp_path, words, author, 6)
    phone = phone_of(crew, made, approver)
    old = locked_again = alert.draft(made.parts, words, digest_key=house.DIGEST, by=author.id)
    alert.lock(made.parts, locked_again, by=author.id)
    replayed = signature(made, phone, old)
    thief = Authenticator(HOST, SITE.origin, credential=phone.credential)
    forged = signature(made, thief, number)
    with attacker(database_urls.web) as web:
        for factor, assertion in (("totp", None), ("passkey", None), ("passkey", replayed), ("passkey", forged)):
            web.execute(APPROVE, ("two", approver.id, factor, assertion, number))
    with pytest.raises(alert.NotEnough):
        alert.release(made.parts, number, by=author.id)
    approve_and_plan = ("UPDATE mailing SET state = 'approved', start_at = now() WHERE id = %(alert)s",)
    with attacker(database_urls.worker) as worker:
        for statement in approve_and_plan:
            worker.execute(statement, {"alert": number})
    made.sweep()
    made.deliver("urgent")
    assert sink.messages == []
    assert books(made, number).state == "paused"
    assert "bad-signature" in audited(made)[0]


def test_a_key_of_one_s_own_in_the_database_is_not_pinned(
    made, tmp_path, words, crew, author, approver, sink, database_urls
):
    """Whoever writes to the database may register a passkey for the approver; the file beside the keys knows better."""
    number = locked(made, tmp_path, words, author, 6)
    phone_of(crew, made, approver)
    mine = Authenticator(HOST, SITE.origin)
    with crew.worker.transaction() as session:
        options = passkeys.creation(SITE, handle=b"1" * 16, account="x", challenge=b"c" * 32, have=[])
        known = passkeys.created(SITE, mine.create(options), challenge=b"c" * 32)
        factors.add_passkey(session, approver.id, known, label="phone", now=database.now(session))
    with pytest.raises(alert.NotEnough) as refused:
        alert.approve_by_passkey(made.parts, number, by=approver.id, assertion=signature(made, mine, number))
    assert refused.value.fault is Fault.BAD_SIGNATURE


def test_a_digest_has_no_business_in_the_urgent_lane(made, tmp_path, sink, database_urls):
    """The lane ahead of everything is not to be had by calling a mailing something else."""
    issue = house.issue(made, tmp_path, addresses=house.addresses(2))
    number = publish.send(made.parts, issue.issue)
    forced(
        made,
        database_urls,
        number,
        "UPDATE mailing SET lane = 'urgent' WHERE id = %(alert)s",
        "UPDATE shard SET lane = 'urgent' WHERE mailing_id = %(alert)s",
    )
    assert sink.messages == []
    assert books(made, number).state == "paused"


def test_a_worker_goes_on_once_somebody_put_it_right(made, tmp_path, words, author, approver, sink, database_urls):
    """Halted is not lost: what was changed is changed back, and resume sends it."""
    number = locked(made, tmp_path, words, author, 4)
    sending(made, number, author, approver)
    forced(made, database_urls, number, EDITED["expiry"])
    assert sink.messages == []
    with attacker(database_urls.worker) as worker:
        worker.execute("UPDATE mailing SET expires_at = now() + interval '1 hour' WHERE id = %s", (number,))
    mailing.resume(made.parts, number)
    made.deliver("urgent")
    assert len(sink.messages) == 4


def test_locks_that_lie_are_not_stored(made, tmp_path, words, author, database_urls):
    """A worker's role may add a lock; the database checks that its fingerprint is its own."""
    number = locked(made, tmp_path, words, author, 4)
    with attacker(database_urls.worker) as worker:
        add = "INSERT INTO lock (mailing_id, number, fingerprint, manifest) VALUES (%s, 2, %s, %s)"
        refused(worker, add, (number, b"x" * 32, '{"mailing":1}'))


def test_those_who_are_awake_are_told_first(tmp_path, database_urls, sink, words):
    """Half of the readers can act now; the others find it at breakfast, and in the same order that it was taken back."""
    one_by_one = house.build(tmp_path, database_urls, f"{sink.url}?connections=1")
    hour = now(one_by_one).hour
    # POSIX turns the sign around: Etc/GMT-9 is nine hours ahead. Noon there, and three in the morning.
    awake, asleep = (_zone(wanted - hour) for wanted in (12, 3))
    people = tmp_path / "people.csv"
    rows = [f"reader{number}@example.org,{asleep if number % 2 else awake}" for number in range(6)]
    people.write_text("\n".join(("email,time_zone", *rows)) + "\n")
    permission = joining.Permission(Basis.IMPORTED, "a test")
    joining.import_subscribers(one_by_one.parts, str(people), digest_key=house.DIGEST, permission=permission)
    number = alert.send(one_by_one.parts, words, digest_key=house.DIGEST)
    one_by_one.deliver("urgent")
    order = [message.recipient for message in sink.messages]
    assert sorted(order[:3]) == [f"reader{number}@example.org" for number in (0, 2, 4)]
    retracting.retract(one_by_one.parts, number)
    one_by_one.deliver("urgent")
    assert [message.recipient for message in sink.messages[6:]] == order
    one_by_one.close()


def _zone(ahead):
    ahead = (ahead + 12) % 24 - 12
    return f"Etc/GMT{-ahead:+d}" if ahead else "UTC"
