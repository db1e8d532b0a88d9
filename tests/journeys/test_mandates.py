"""A watch mandate: signed by two in the evening, used by one at night, and every way round it."""

import hashlib
import re
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError
from webauthn.helpers import bytes_to_base64url

from newsletter.campaigns.frames import NotKept
from newsletter.delivery.planning import CountMoved
from newsletter.journeys import alert, drafting, mailing, mandates
from newsletter.journeys.alert import NotEnough
from newsletter.journeys.mandates import BadMandate, Wish
from newsletter.ledger.mailings import State
from newsletter.operators import mandates as rows
from newsletter.operators import night, people
from newsletter.operators.factors import WrongFactor
from newsletter.operators.night import Fault, Rule
from newsletter.operators.roles import NotAllowed, Role
from tests import house
from tests.journeys import nights
from tests.journeys.nights import holder as holder
from tests.journeys.nights import signers as signers
from tests.journeys.test_forging import EDITED, attacker, forced, refused
from tests.operators.crew import Crew

SAID = {
    "who": "2,900 people",
    "place": "Sarand",
    "what has happened, in one sentence": "Fourteen lorries stand at the gate.",
    "how many": "2,900",
    "who told us": "the camp council",
    "what time": "02:10",
}


@pytest.fixture
def made(tmp_path, database_urls, sink):
    made = house.build(tmp_path, database_urls, f"{sink.url}?connections=2", **nights.RULES)
    yield made
    made.close()


@pytest.fixture
def crew(made, tmp_path, database_urls, begun, sink):
    web = house.build(tmp_path, database_urls, sink.url, web=True, **nights.RULES)
    yield Crew(made.parts.database, web.parts.database, before=begun.facts["enrolled"])
    web.close()


def words(made, frame="raid", **more):
    """Return a frame's text with its gaps filled."""
    return re.sub(
        r"\{\{ (.*?) \}\}",
        lambda gap: (SAID | more).get(gap[1], "words"),
        made.parts.house.frames(f"frames/{frame}.md"),
    )


def wish(made, holder, **more):
    usual = Wish(holder.id, house.DIGEST, "Sarand camp", nights.now(made) + timedelta(hours=6), ("raid",), 2, 5)
    return replace(usual, **more)


def sign(made, mandate, *signers):
    for one in signers:
        mandates.sign_by_code(made.parts, mandate, by=one.id, code=one.code(nights.now(made)))


@pytest.fixture
def mandate(made, holder, signers):
    """The number of a mandate that holds: two alerts by the frame “raid” to five readers."""
    found = mandates.add(made.parts, wish(made, holder))
    sign(made, found.id, *signers)
    return found.id


def locked(made, tmp_path, holder, count=4, written=None):
    return nights.locked(made, tmp_path, holder, count, words(made) if written is None else written)


def fresh(made, holder):
    """The time step in which the holder's code was used passes."""
    with made.parts.database.transaction() as session:
        session.execute(text("UPDATE operator SET totp_step = 0 WHERE id = :id"), {"id": holder.id})


def by_thumb(made, number, mandate, holder):
    fresh(made, holder)
    return mandates.release_by_code(
        made.parts, number, mandate=mandate, by=holder.id, code=holder.code(nights.now(made))
    )


def refuses(fault, made, number, mandate, holder):
    with pytest.raises(NotEnough) as found:
        by_thumb(made, number, mandate, holder)
    assert found.value.fault is fault
    assert alert.standing(made.parts, number).state is State.LOCKED


def test_one_thumb_at_night(made, tmp_path, holder, mandate, sink):
    """Two signed in the evening; at 02:10 one person fills four gaps, and it is in every inbox."""
    number = locked(made, tmp_path, holder)
    assert by_thumb(made, number, mandate, holder) is State.SENDING
    made.deliver("urgent")
    assert sorted(message.recipient for message in sink.messages) == house.addresses(4)
    assert mailing.status(made.parts, number).state == "done"
    [held] = mandates.listed(made.parts)
    found, holds = held.mandate, held.holds
    assert (found.used, holds) == (1, True)
    assert any('"alert.mandated"' in act and f'"mandate":{mandate}' in act for act in nights.acts(made))


def test_as_many_as_were_signed_and_no_more(made, tmp_path, holder, mandate):
    """Two alerts are two, whatever the night brings; the third waits for somebody."""
    for place in range(2):
        number = locked(made, tmp_path, holder, written=words(made, place=f"Gate {place}"))
        by_thumb(made, number, mandate, holder)
    third = locked(made, tmp_path, holder, written=words(made, place="Gate 3"))
    refuses(Fault.MANDATE_USED, made, third, mandate, holder)


def test_an_alert_that_is_locked_anew_counts_once(made, tmp_path, holder, signers):
    """A comma put right before it went is not a second alert."""
    found = mandates.add(made.parts, wish(made, holder, most_alerts=1, most_readers=5))
    sign(made, found.id, *signers)
    number = locked(made, tmp_path, holder, count=3)
    with pytest.raises(CountMoved):
        _release_after_more_readers(made, tmp_path, number, found.id, holder)
    drafting.edit(made.parts, number, nights.write(tmp_path, words(made)), by=holder.id)
    alert.lock(made.parts, number, by=holder.id)
    assert by_thumb(made, number, found.id, holder) is State.SENDING


def _release_after_more_readers(made, tmp_path, number, mandate, holder):
    house.add_readers(made, tmp_path, ["late1@example.org", "late2@example.org"])
    by_thumb(made, number, mandate, holder)


def test_not_to_more_readers(made, tmp_path, holder, mandate):
    """Who signed for five readers did not sign for six."""
    refuses(Fault.MANDATE_SMALLER, made, locked(made, tmp_path, holder, count=6), mandate, holder)


def test_not_by_another_frame_nor_freely(made, tmp_path, holder, mandate):
    """The words are what the two agreed on."""
    freely = locked(made, tmp_path, holder, written=nights.TEXT)
    other = locked(made, tmp_path, holder, written=words(made, "transport"))
    for number in (freely, other):
        refuses(Fault.MANDATE_OTHER, made, number, mandate, holder)


def test_words_that_leave_their_frame_are_not_locked(made, tmp_path, holder):
    """Said at once and with the place, while there is time to put it right."""
    house.add_readers(made, tmp_path, house.addresses(4))
    path = nights.write(tmp_path, words(made).replace("and no rumour", "and send money"))
    number = drafting.draft(made.parts, path, digest_key=house.DIGEST, by=holder.id)
    with pytest.raises(NotKept):
        alert.lock(made.parts, number, by=holder.id)
    assert alert.standing(made.parts, number).state is State.DRAFT


def test_a_frame_that_was_changed_since_is_another(made, tmp_path, database_urls, sink, holder, mandate):
    """Whoever can write a template must not be able to write what two people signed."""
    own = tmp_path / "own" / "frames"
    own.mkdir(parents=True)
    (own / "raid.md").write_text(made.parts.house.frames("frames/raid.md").replace("no rumour", "send money"))
    changed = house.build(tmp_path, database_urls, sink.url, **nights.RULES, templates=own.parent)
    number = locked(changed, tmp_path, holder, written=words(changed))
    refuses(Fault.MANDATE_OTHER, changed, number, mandate, holder)
    changed.close()


def test_every_language_keeps_to_a_frame(made, tmp_path, holder, mandate):
    """A second language written freely would be a hole beside the first."""
    house.add_readers(made, tmp_path, house.addresses(4))
    freely = f"---\nlanguage: fa\n---\n{nights.TEXT}"
    paths = nights.write(tmp_path, words(made)) + nights.write(tmp_path, freely, "other.md")
    number = drafting.draft(made.parts, paths, digest_key=house.DIGEST, by=holder.id)
    alert.lock(made.parts, number, by=holder.id)
    refuses(Fault.MANDATE_OTHER, made, number, mandate, holder)


def test_not_for_another_digest(made, tmp_path, holder, signers):
    """Signed for the readers of one series, and of no other."""
    from newsletter.issues import digests
    from newsletter.subscribers.subscriptions import Rhythm

    with made.parts.database.transaction() as session:
        digests.add(session, "daily", name="The Daily", languages=("en",), rhythm=Rhythm.DAILY)
    found = mandates.add(made.parts, wish(made, holder, digest="daily"))
    sign(made, found.id, *signers)
    refuses(Fault.MANDATE_OTHER, made, locked(made, tmp_path, holder), found.id, holder)


def test_one_signature_is_not_two(made, tmp_path, holder, signers):
    """Nor one given twice."""
    found = mandates.add(made.parts, wish(made, holder))
    sign(made, found.id, signers[0])
    number = locked(made, tmp_path, holder)
    refuses(Fault.MANDATE_UNSIGNED, made, number, found.id, holder)
    fresh(made, signers[0])
    sign(made, found.id, signers[0])
    assert mandates.listed(made.parts)[0].mandate.signers == (signers[0].id,)


def test_a_role_that_was_taken_takes_its_signature_along(made, tmp_path, holder, signers, mandate):
    """What was signed in the evening by one who may not sign any more is signed by one less; and who sends nothing uses none."""
    number = locked(made, tmp_path, holder)
    with made.parts.database.transaction() as session:
        people.set_roles(session, signers[0].id, [Role.AUDITOR], now=nights.now(made))
    refuses(Fault.MANDATE_UNSIGNED, made, number, mandate, holder)
    held = mandates.look(made.parts, mandate)
    assert (held.holds, held.signed, held.lost) == (False, 1, (signers[0].id,)), (
        "whoever looks in the evening must see it"
    )
    with made.parts.database.transaction() as session:
        people.set_roles(session, signers[0].id, [Role.APPROVER], now=nights.now(made))
        people.set_roles(session, holder.id, [Role.APPROVER], now=nights.now(made))
    with pytest.raises(NotAllowed):
        by_thumb(made, number, mandate, holder)
    held = mandates.look(made.parts, mandate)
    assert (held.holds, held.lost) == (False, (holder.id,))


def test_nobody_signs_their_own_and_not_everybody_signs(made, crew, holder):
    """Both roles in one person are one person."""
    both = crew.member(Role.SENDER, Role.APPROVER, name="Lale Aksoy")
    found = mandates.add(made.parts, wish(made, both))
    with pytest.raises(NotEnough) as own:
        sign(made, found.id, both)
    assert own.value.fault is Fault.OWN
    with pytest.raises(NotAllowed):
        sign(made, found.id, holder)


def test_not_by_another_s_thumb_nor_a_wrong_code(made, tmp_path, crew, holder, mandate):
    """A mandate is one person's."""
    number, other = locked(made, tmp_path, holder), crew.member(Role.SENDER, name="Lale Aksoy")
    refuses(Fault.MANDATE_OTHER, made, number, mandate, other)
    code = f"{(int(holder.code(nights.now(made))) + 1) % 1000000:06}"
    with pytest.raises(WrongFactor):
        mandates.release_by_code(made.parts, number, mandate=mandate, by=holder.id, code=code)


def test_what_has_ended_lets_nothing_go(made, tmp_path, holder, mandate):
    """Anyone of the team ends it, without a code; what went by it before goes on."""
    first = locked(made, tmp_path, holder, written=words(made, place="Gate 1"))
    by_thumb(made, first, mandate, holder)
    assert mandates.end(made.parts, mandate, by=holder.id).ended_at is not None
    mandates.end(made.parts, mandate)
    number = locked(made, tmp_path, holder)
    refuses(Fault.MANDATE_OVER, made, number, mandate, holder)
    made.deliver("urgent")
    assert mailing.status(made.parts, first).accepted == 4


def test_after_its_hour_it_is_over(made, tmp_path, holder, signers, database_urls):
    """At 08:00 the others are awake again."""
    number = locked(made, tmp_path, holder)
    found = mandates.add(made.parts, wish(made, holder, until=nights.now(made) + timedelta(seconds=6)))
    sign(made, found.id, *signers)
    with made.parts.database.transaction() as session:
        session.execute(
            text("SELECT pg_sleep(greatest(0, extract(epoch FROM :until - clock_timestamp()) + 0.1))"),
            {"until": found.terms.until},
        )
    refuses(Fault.MANDATE_OVER, made, number, found.id, holder)
    with attacker(database_urls.worker) as worker:
        refused(worker, BY_MANDATE, (holder.id, "totp", None, found.id, number))


def test_a_large_audience_takes_passkeys_in_the_evening_and_at_night(made, tmp_path, crew, holder, signers, sink):
    """Three signatures over two texts, each checked by the worker with the keys of its own file."""
    phones = {one.id: nights.phone_of(crew, made, one) for one in (holder, *signers)}
    found = mandates.add(made.parts, wish(made, holder, most_readers=50))
    with pytest.raises(BadMandate) as weak:
        sign(made, found.id, signers[0])
    assert weak.value.message == "mandate.needs-passkey"
    for one in signers:
        assertion = phones[one.id].sign(bytes_to_base64url(night.challenge(night.SIGNING, found.fingerprint)))
        mandates.sign_by_passkey(made.parts, found.id, by=one.id, assertion=assertion)
    number = locked(made, tmp_path, holder, count=8)
    refuses(Fault.NEEDS_PASSKEY, made, number, found.id, holder)
    theirs = nights.signature(made, phones[signers[0].id], number, Rule.MANDATE, mandate=found.fingerprint)
    with pytest.raises(NotEnough):
        mandates.release_by_passkey(made.parts, number, mandate=found.id, by=holder.id, assertion=theirs)
    mine = nights.signature(made, phones[holder.id], number, Rule.MANDATE, mandate=found.fingerprint)
    mandates.release_by_passkey(made.parts, number, mandate=found.id, by=holder.id, assertion=mine)
    made.deliver("urgent")
    assert len(sink.messages) == 8


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"until": timedelta(hours=25)}, "not-tonight"),
        ({"until": timedelta(seconds=-1)}, "not-tonight"),
        ({"frames": ()}, "too-little"),
        ({"cause": " "}, "too-little"),
        ({"most_alerts": 0}, "too-little"),
    ],
)
def test_a_mandate_is_for_one_night_and_says_for_what(made, holder, more, why):
    """A standing permission is what this is not."""
    if "until" in more:
        more = {"until": nights.now(made) + more["until"]}
    with pytest.raises(BadMandate) as found:
        mandates.add(made.parts, wish(made, holder, **more))
    assert found.value.message == f"mandate.{why}"


def test_who_may_not_send_holds_none(made, signers):
    """An approver writes nothing, so that what they sign is another's; a mandate does not change that."""
    with pytest.raises(NotAllowed):
        mandates.add(made.parts, wish(made, signers[0]))


# What follows is done by somebody who has the password of a worker or of the pages, and writes SQL.

BY_MANDATE = """
    INSERT INTO approval (mailing_id, lock_number, fingerprint, rule, operator_id, factor, assertion, mandate_id)
    SELECT id, 1, fingerprint, 'mandate', %s, %s, %s, %s FROM mailing WHERE id = %s
"""
SEND = "UPDATE mailing SET state = 'approved', start_at = now() WHERE id = %(alert)s"


@pytest.fixture(params=["web", "worker"])
def intruder(request, database_urls):
    with attacker(getattr(database_urls, request.param)) as connection:
        yield connection


def test_the_database_refuses_a_word_by_a_mandate_that_does_not_hold(made, tmp_path, crew, holder, signers, intruder):
    """Of another holder, of nobody, unsigned, ended: the row is not even written."""
    number, other = locked(made, tmp_path, holder), crew.member(Role.SENDER, name="Lale Aksoy")
    unsigned = mandates.add(made.parts, wish(made, holder)).id
    ended = mandates.add(made.parts, wish(made, holder)).id
    good = mandates.add(made.parts, wish(made, holder)).id
    for one in (ended, good):
        for signer in signers:
            fresh(made, signer)
            sign(made, one, signer)
    mandates.end(made.parts, ended)
    for operator, mandate in (
        (other.id, good),
        (signers[0].id, good),
        (holder.id, unsigned),
        (holder.id, ended),
        (holder.id, 4711),
    ):
        refused(intruder, BY_MANDATE, (operator, "totp", None, mandate, number))
    refused(intruder, BY_MANDATE, (holder.id, None, None, good, number))


def test_signatures_that_cannot_be_are_refused(made, crew, holder, signers, intruder):
    """The holder's own, of somebody without the role, of nobody; and none is changed, nor is a mandate."""
    found = mandates.add(made.parts, wish(made, holder)).id
    sign(made, found, signers[0])
    add = "INSERT INTO mandate_signature (mandate_id, signer_id, factor) VALUES (%s, %s, 'totp')"
    for signer in (holder.id, crew.member(Role.AUDITOR, name="Lale Aksoy").id, 4711):
        refused(intruder, add, (found, signer))
    for statement in (
        "UPDATE mandate_signature SET assertion = '{}'",
        "DELETE FROM mandate_signature",
        "UPDATE mandate SET until = until + interval '1 day'",
        "UPDATE mandate SET terms = '{}'",
        "DELETE FROM mandate",
        "ALTER TABLE mandate DISABLE TRIGGER ALL",
    ):
        refused(intruder, statement)
    mandates.end(made.parts, found)
    refused(intruder, "UPDATE mandate SET ended_at = NULL")
    refused(intruder, "UPDATE mandate SET ended_at = now() + interval '1 day'")
    refused(intruder, add, (found, signers[1].id))


def test_a_mandate_that_lies_is_not_stored(made, holder, database_urls):
    """What is signed is what the row says, or there is no row."""
    terms = mandates.add(made.parts, wish(made, holder)).terms
    add = "INSERT INTO mandate (holder_id, terms, fingerprint, until) VALUES (%s, %s, %s, %s)"
    with attacker(database_urls.worker) as worker:
        for holder_id, written, until in (
            (holder.id, replace(terms, holder=4711).text, terms.until),
            (holder.id, replace(terms, nonce="x").text, terms.until + timedelta(hours=1)),
        ):
            refused(worker, add, (holder_id, written, hashlib.sha256(written.encode()).digest(), until))
        refused(worker, add, (holder.id, replace(terms, nonce="y").text, b"x" * 32, terms.until))


def test_forged_signatures_let_no_large_alert_go(made, tmp_path, crew, holder, signers, sink, database_urls):
    """A worker's password writes mandate, signatures and word; the worker that sends has the keys, and halts."""
    phones = {one.id: nights.phone_of(crew, made, one) for one in (holder, *signers)}
    found = mandates.add(made.parts, wish(made, holder, most_readers=50))
    old = mandates.add(made.parts, wish(made, holder, most_readers=50))
    number = locked(made, tmp_path, holder, count=8)
    mine = nights.signature(made, phones[holder.id], number, Rule.MANDATE, mandate=found.fingerprint)
    replayed = phones[signers[1].id].sign(bytes_to_base64url(night.challenge(night.SIGNING, old.fingerprint)))
    with attacker(database_urls.worker) as worker:
        sign_ = "INSERT INTO mandate_signature (mandate_id, signer_id, factor, assertion) VALUES (%s, %s, %s, %s)"
        worker.execute(sign_, (found.id, signers[0].id, "totp", None))
        worker.execute(sign_, (found.id, signers[1].id, "passkey", replayed))
        worker.execute(BY_MANDATE, (holder.id, "passkey", mine, found.id, number))
        worker.execute(SEND, {"alert": number})
    made.sweep()
    made.deliver("urgent")
    assert sink.messages == []
    assert mailing.status(made.parts, number).state == "paused"
    assert any('"why":"mandate-unsigned"' in act for act in nights.acts(made))


def test_what_was_changed_after_the_thumb_does_not_go(made, tmp_path, holder, mandate, sink, database_urls):
    """A mandate's word is over a fingerprint, as every other."""
    number = locked(made, tmp_path, holder)
    by_thumb(made, number, mandate, holder)
    assert forced(made, database_urls, number, EDITED["template"]).state == "paused"
    assert sink.messages == []


def test_four_at_once_are_two(made, tmp_path, holder, mandate, sink, database_urls):
    """Written past the program and all at once: the worker counts by the order of the rows."""
    numbers = [locked(made, tmp_path, holder, written=words(made, place=f"Gate {place}")) for place in range(4)]
    with attacker(database_urls.worker) as worker:
        for number in numbers:
            worker.execute(BY_MANDATE, (holder.id, "totp", None, mandate, number))
            worker.execute(SEND, {"alert": number})
    made.sweep()
    for _ in range(4):
        made.deliver("urgent")
    assert [mailing.status(made.parts, number).state for number in numbers] == ["done", "done", "paused", "paused"]
    assert len(sink.messages) == 8


def test_the_number_of_no_mandate_is_said(made, tmp_path, holder):
    """A slip of the thumb."""
    with pytest.raises(rows.UnknownMandate):
        by_thumb(made, locked(made, tmp_path, holder), 4711, holder)


def test_the_pages_role_ends_a_mandate_and_does_nothing_else_with_it(
    made, tmp_path, database_urls, sink, holder, signers
):
    """Ending one takes no proof, so the pages may; what takes one is done by a worker, who looks at the proof."""
    web = house.build(tmp_path, database_urls, sink.url, web=True, **nights.RULES)
    found = mandates.add(made.parts, wish(made, holder))
    for forbidden in (lambda: sign(web, found.id, signers[0]), lambda: mandates.add(web.parts, wish(made, holder))):
        with pytest.raises(ProgrammingError):
            forbidden()
    fresh(made, signers[0])
    sign(made, found.id, *signers)
    [held] = mandates.listed(web.parts)
    signed, holds = held.mandate, held.holds
    assert (signed.signers, holds) == (tuple(one.id for one in signers), True)
    assert mandates.end(web.parts, found.id, by=signers[0].id).ended_at is not None
    web.close()
