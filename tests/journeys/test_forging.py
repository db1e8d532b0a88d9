"""Every way round the second person that somebody could try who has the password of the pages or of a worker, and writes SQL."""

import re
from datetime import timedelta

import psycopg
import pytest
from sqlalchemy import make_url, text

from newsletter import database
from newsletter.campaigns.errands import Act
from newsletter.delivery.planning import OtherAudience
from newsletter.journeys import alert, drafting, errands, mailing, mandates, publish
from newsletter.ledger.mailings import State
from newsletter.operators import factors, passkeys, people
from newsletter.operators.night import Fault
from newsletter.operators.roles import Role
from tests import house
from tests.fakes.authenticator import Authenticator
from tests.journeys import nights
from tests.journeys.test_alert import (
    HOST,
    SITE,
    TEXT,
    books,
    by_code,
    locked,
    now,
    phone_of,
    signature,
)
from tests.journeys.test_alert import approver as approver
from tests.journeys.test_alert import author as author
from tests.journeys.test_alert import crew as crew
from tests.journeys.test_alert import made as made
from tests.journeys.test_alert import pages as pages
from tests.journeys.test_alert import words as words


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
    values = ("alone", author.id, None, None, number)
    if intruder.info.user == "newsletter_web":
        refused(intruder, statement, values)
    else:
        intruder.execute(statement, values)
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


MORE = """
    WITH s AS (
        INSERT INTO shard (mailing_id, lane, provider, size, not_before)
        VALUES (%(alert)s, 'urgent', 'other', 9, now() - interval '1 hour') RETURNING id
    )
    INSERT INTO delivery (month, mailing_id, variant_id, mailbox_id, subscriber_id, occasion, shard_id, position)
    SELECT date_trunc('month', m.created_at)::date, m.id, (SELECT min(id) FROM variant WHERE mailing_id = m.id),
        u.mailbox_id, u.id, 'more', s.id, row_number() OVER () - 1
    FROM mailing m, s, subscriber u WHERE m.id = %(alert)s
"""
STRANGER = """
    INSERT INTO delivery (month, mailing_id, variant_id, mailbox_id, occasion, shard_id, position)
    SELECT month, mailing_id, variant_id, mailbox_id, 'more', shard_id, 7 FROM delivery WHERE mailing_id = %(alert)s LIMIT 1
"""


EDITED = {
    "template": "UPDATE block SET data = convert_to(replace(convert_from(data, 'UTF8'), 'Fourteen', 'No'), 'UTF8')",
    "subject": "UPDATE variant SET head = convert_to(replace(convert_from(head, 'UTF8'), 'Lorries', 'Nothing'), 'UTF8')",
    "no message": "UPDATE variant SET head = 'x' WHERE mailing_id = %(alert)s",
    "another's text": """
        UPDATE variant v SET head = o.head, blocks = o.blocks FROM variant o
        WHERE v.mailing_id = %(alert)s AND o.id = (SELECT max(id) FROM variant WHERE mailing_id <> %(alert)s)
    """,
    "expiry": "UPDATE mailing SET expires_at = now() + interval '9 days' WHERE id = %(alert)s",
    "no expiry": "UPDATE mailing SET expires_at = NULL WHERE id = %(alert)s",
    "update": "UPDATE mailing SET updates = id WHERE id = %(alert)s",
    "count": "UPDATE mailing SET planned = planned + 2 WHERE id = %(alert)s",
    "fingerprint": "UPDATE mailing SET fingerprint = sha256('mine') WHERE id = %(alert)s",
    "more rows": MORE,
    "a row more in a shard": STRANGER,
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
    assert status.state == "paused"
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
    old = locked_again = drafting.draft(made.parts, words, digest_key=house.DIGEST, by=author.id)
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
    made, pages, tmp_path, words, crew, author, approver, sink, database_urls
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
        nights.by_passkey(pages, made, number, approver, signature(made, mine, number))
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
        MORE,
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


def test_the_pages_role_sends_to_nobody_in_another_s_name(
    made, pages, tmp_path, words, author, approver, sink, database_urls
):
    """Errands, words and the clock: with all that the pages may write, no alert leaves but to those whom one person may tell."""
    number = locked(made, tmp_path, words, author, 6)
    with attacker(database_urls.web) as web:
        for rule in ("few", "alone"):
            refused(web, APPROVE, (rule, author.id, "totp", None, number))
            refused(web, APPROVE, (rule, None, None, None, number))
        web.execute(APPROVE, ("two", approver.id, "totp", None, number))
    for act, facts in (
        (Act.SETTLE, {}),
        (Act.RELEASE, {}),
        (Act.ALONE, {"factor": "totp", "answer": "000000", "seen": ""}),
        (Act.ALONE, {"factor": "passkey", "answer": "{}", "seen": _print(made, number)}),
        (Act.ALONE, {}),
    ):
        errand = errands.ask(pages.parts, act, by=author.id, mailing=number, **facts)
        errands.run(made.parts)
        assert errands.wait(made.parts, errand, by=author.id, seconds=0).refused
    made.sweep()
    made.deliver("urgent")
    assert sink.messages == []
    assert alert.standing(made.parts, number).state is State.LOCKED


def _print(made, number):
    return alert.standing(made.parts, number).locked.fingerprint


@pytest.mark.parametrize("since", ["now()", "now() - interval '30 days'", "now() + interval '1 day'"])
def test_the_pages_role_silences_nobody(made, tmp_path, words, author, approver, sink, database_urls, since):
    """Neither the mail that tells the team is cancelled from the pages, nor is anybody left out of it: not as disabled, whenever,
    and not as somebody who never enrolled. Else one person sends alone, and nobody else could stop it.
    """
    number = locked(made, tmp_path, words, author, 4)
    with attacker(database_urls.web) as web:
        silence = "UPDATE delivery d SET state = 'cancelled', reason = 'unsubscribed' FROM mailing m WHERE m.id = d.mailing_id"
        refused(web, f"{silence} AND m.kind = 'notice'")
        refused(web, "UPDATE operator SET enrolled_at = NULL WHERE id = %s", (approver.id,))
        refused(web, "INSERT INTO disabling (operator_id, at) VALUES (%s, now())", (approver.id,))
        web.execute(f"UPDATE operator SET disabled_at = {since} WHERE id = %s", (approver.id,))
        web.commit()
        refused(web, "UPDATE operator SET disabled_at = NULL WHERE id = %s", (approver.id,))
        refused(web, "UPDATE operator SET disabled_at = now() - interval '2 days' WHERE id = %s", (approver.id,))
    nights.alone(made, number, author)
    made.deliver("transactional")
    [told] = [one for one in sink.messages_for(approver.address) if b"will go out" in one.content]
    assert b"/h/" in told.content


def test_who_wrote_a_word_of_it_approves_none_of_it(made, tmp_path, words, crew, author):
    """One edits, another presses Lock, and the first approves what is their own: two names, one person."""
    both = crew.member(Role.SENDER, Role.APPROVER, name="Omid Keller")
    house.add_readers(made, tmp_path, house.addresses(4))
    number = drafting.draft(made.parts, words, digest_key=house.DIGEST, by=author.id)
    (tmp_path / "alert.md").write_text(TEXT + "Send money to me.\n")
    drafting.edit(made.parts, number, words, by=both.id)
    alert.lock(made.parts, number, by=author.id)
    with pytest.raises(alert.NotEnough) as refused_:
        by_code(made, number, both)
    assert refused_.value.fault is Fault.OWN


def test_who_was_disabled_meanwhile_has_no_word(made, tmp_path, words, crew, author, approver):
    """Their phone was stolen, and so was what it said an hour ago."""
    number = locked(made, tmp_path, words, author, 4)
    by_code(made, number, approver)
    with crew.worker.transaction() as session:
        people.disable(session, approver.id, by="shell", now=database.now(session))
    with pytest.raises(alert.NotEnough):
        alert.release(made.parts, number, by=author.id)


def test_an_errand_of_yesterday_is_not_run_today(made, pages, tmp_path, words, author, database_urls):
    """The desk was down all night: nobody means in the morning what they pressed in the evening."""
    number = locked(made, tmp_path, words, author, 2)
    errand = errands.ask(pages.parts, Act.RELEASE, by=author.id, mailing=number)
    with attacker(database_urls.owner) as owner:
        owner.execute("UPDATE errand SET asked_at = asked_at - interval '3 minutes'")
    errands.run(made.parts)
    assert errands.wait(made.parts, errand, by=author.id, seconds=0).refused[0] == "errand.too-old"
    assert alert.standing(made.parts, number).state is State.LOCKED


def test_a_damaged_errand_keeps_no_other_waiting(made, pages, tmp_path, words, author):
    """What the pages' role may write may be anything."""
    number = locked(made, tmp_path, words, author, 2)
    bad = errands.ask(pages.parts, Act.EDIT, by=author.id, mailing=number, words=7)
    seen = alert.standing(made.parts, number).locked.fingerprint
    good = errands.ask(pages.parts, Act.RELEASE, by=author.id, mailing=number, seen=seen)
    assert errands.run(made.parts) >= 2
    assert errands.wait(made.parts, bad, by=author.id, seconds=0).refused[0] == "errand.failed"
    assert errands.wait(made.parts, good, by=author.id, seconds=0).refused is None


def test_the_pages_role_has_no_part_in_a_mandate(made, pages, tmp_path, crew, author, approver, sink, database_urls):
    """It writes who asked for what, and neither a signature nor a word by a mandate: a desk's worker looks at each code."""
    other, sender = crew.member(Role.APPROVER, name="Omid Keller"), crew.member(Role.SENDER, name="Lale Aksoy")
    wish = mandates.Wish(author.id, house.DIGEST, "Sarand camp", now(made) + timedelta(hours=6), ("raid",), 2, 5)
    unsigned = mandates.add(made.parts, wish)
    signed = mandates.add(made.parts, wish)
    for one in (approver, other):
        mandates.sign_by_code(made.parts, signed.id, by=one.id, code=one.code(now(made)))
    words = re.sub(r"\{\{.*?\}\}", "Sarand", made.parts.house.frames("frames/raid.md"))
    (tmp_path / "alert.md").write_text(words)
    number = locked(made, tmp_path, [str(tmp_path / "alert.md")], author, 4)
    with attacker(database_urls.web) as web:
        sign = "INSERT INTO mandate_signature (mandate_id, signer_id, factor) VALUES (%s, %s, 'totp')"
        refused(web, sign, (unsigned.id, approver.id))
        by_mandate = APPROVE.replace("assertion)", "assertion, mandate_id)").replace("%s FROM", "%s, %s FROM")
        refused(web, by_mandate, ("mandate", author.id, "totp", None, signed.id, number))
    for act, by, facts, why in (
        (Act.SIGN, approver, {"factor": "totp", "answer": "000000"}, "operator.wrong-factor"),
        (Act.SIGN, approver, {"factor": "passkey", "answer": "{}"}, "night.bad-signature"),
        (Act.SIGN, approver, {"factor": "recovery", "answer": approver.recovery[0]}, "operator.wrong-factor"),
        (Act.SIGN, author, {"factor": "totp", "answer": _next(made, author)}, "operator.not-allowed"),
        (Act.MANDATED, author, {"answer": _next(made, author)}, "night.mandate-unsigned"),
        (Act.MANDATED, author, {"mandate": signed.id, "answer": "000000"}, "operator.wrong-factor"),
        (Act.MANDATED, author, {"mandate": signed.id, "factor": "passkey", "answer": "{}"}, "night.bad-signature"),
        (Act.MANDATED, approver, {"mandate": signed.id, "answer": _next(made, approver)}, "operator.not-allowed"),
        (Act.MANDATED, sender, {"mandate": signed.id, "answer": _next(made, sender)}, "night.mandate-other"),
        (
            Act.MANDATED,
            author,
            {"mandate": signed.id, "seen": "x", "answer": _next(made, author)},
            "alert.changed-meanwhile",
        ),
        (Act.SETTLE, author, {}, "night.nobody"),
        (Act.RELEASE, author, {}, "night.nobody"),
    ):
        said = {"mandate": unsigned.id, "factor": "totp", "seen": _print(made, number)} | facts
        errand = errands.ask(pages.parts, act, by=by.id, mailing=number, **said)
        errands.run(made.parts)
        found = errands.wait(made.parts, errand, by=by.id, seconds=0).refused
        assert (found or [None])[0] == why, (act, facts)
    assert [one.mandate.signers for one in mandates.papers(made.parts)] == [(approver.id, other.id), ()]
    made.sweep()
    made.deliver("urgent")
    assert sink.messages == []
    assert alert.standing(made.parts, number).state is State.LOCKED


def _next(made, member):
    return member.code(now(made) + timedelta(seconds=30))


def test_a_mandate_that_the_pages_asked_for_is_another_s_to_sign(made, pages, crew, author, approver):
    """In a sender's name anybody with the pages' password can ask for one; it allows nothing until two sign what they read."""
    facts = {"holder": author.id, "digest": house.DIGEST, "cause": "x", "until": "", "frames": ["raid"]}
    facts |= {"most_alerts": 1, "most_readers": 5, "until": (now(made) + timedelta(hours=6)).isoformat()}
    auditor = crew.member(Role.AUDITOR, name="Lale Aksoy")
    for by, more, why in (
        (author, {"until": (now(made) + timedelta(days=2)).isoformat()}, "mandate.not-tonight"),
        (author, {"holder": approver.id}, "operator.not-allowed"),
        (author, {"frames": ["../keys"]}, "frame.bad-name"),
        (author, {"frames": []}, "mandate.too-little"),
        (auditor, {}, "operator.not-allowed"),
        (author, {"until": "soon"}, "errand.failed"),
        (author, {}, None),
    ):
        errand = errands.ask(pages.parts, Act.MANDATE, by=by.id, **(facts | more))
        errands.run(made.parts)
        found = errands.wait(made.parts, errand, by=by.id, seconds=0).refused
        assert (found and found[0]) == why
    [held] = mandates.listed(made.parts)
    mandate, holds = held.mandate, held.holds
    assert (mandate.signers, holds) == ((), False)
