"""Who is told of an alert, and how anyone stops it: from a mail, by one button, as the pages' role."""

import re
import time
from datetime import UTC, datetime
from email import message_from_bytes, policy

import psycopg
import pytest
from starlette.testclient import TestClient

from newsletter import database
from newsletter.journeys import alert, drafting, entering, mailing, team
from newsletter.ledger import mailings
from newsletter.ledger.mailings import State, WrongState
from newsletter.operators.roles import Role
from newsletter.operators.sessions import Factor
from newsletter.templating import BrokenTemplate
from newsletter.web import create
from tests import house
from tests.delivery.test_carrying import STOP_SECONDS, delivering, wait_for
from tests.journeys import nights
from tests.journeys.nights import approver as approver
from tests.journeys.nights import author as author
from tests.journeys.nights import crew as crew
from tests.journeys.nights import made as made
from tests.journeys.nights import pages as pages


@pytest.fixture
def client(pages):
    with TestClient(create(pages), base_url=nights.SITE.origin, raise_server_exceptions=False) as client:
        yield client


def mails(made, sink):
    """Deliver what the team is told; return each mail by its recipient."""
    sink.messages.clear()
    made.deliver("transactional")
    return {one.recipient: message_from_bytes(one.content, policy=policy.default) for one in sink.messages}


def plain(mail):
    return mail.get_body(("plain",)).get_content()


def link(mail):
    [token] = set(re.findall(r"/h/([\w-]{32})", plain(mail)))
    return f"/h/{token}"


def by_two(made, number, author, approver):
    alert.approve_by_code(made.parts, number, by=approver.id, code=approver.code(nights.now(made)))
    alert.release(made.parts, number, by=author.id)


def test_approvers_are_asked_and_their_author_is_not(made, tmp_path, crew, author, approver, sink):
    """At 02:10 the one who may approve learns of it without being called by hand; its code and words are in the mail."""
    both = crew.member(Role.SENDER, Role.APPROVER, name="Omid Keller")
    number = nights.locked(made, tmp_path, both, 3)
    found = mails(made, sink)
    assert set(found) == {approver.address}
    mail = found[approver.address]
    assert mail["subject"] == f"Alert {number} waits for your approval"
    for words in (
        "Omid Keller has locked an alert to 3 readers",
        "Fourteen lorries stand",
        "Write <now>",
        "{{ name }}",
    ):
        assert words in " ".join(plain(mail).split())
    assert alert.standing(made.parts, number).locked.code in plain(mail)
    assert f"{nights.SITE.origin}/console/alerts/{number}" in plain(mail)
    assert nights.ask(made, "SELECT 1 FROM mailing WHERE kind = 'notice' AND subject LIKE '%Lorries%'") == []


def test_nobody_is_asked_where_nobody_need_agree(made, tmp_path, author, approver, sink):
    """Two readers are few: one person sends, and the team learns of it by the release alone."""
    number = nights.locked(made, tmp_path, author, 2)
    assert mails(made, sink) == {}
    alert.release(made.parts, number, by=author.id)
    assert set(mails(made, sink)) == {author.address, approver.address}
    assert [event for event, _ in nights.calls(made)] == ["released"]


def test_where_there_is_no_team_nothing_is_mailed(made, tmp_path, sink):
    """One machine, one person: the hook's rows are written, and no mail to nobody."""
    house.add_readers(made, tmp_path, house.addresses(2))
    alert.send(made.parts, nights.write(tmp_path, nights.TEXT), digest_key=house.DIGEST)
    assert mails(made, sink) == {}
    assert nights.ask(made, "SELECT 1 FROM mailing WHERE kind = 'notice'") == []


def send_alone(made, number, member):
    with made.parts.database.transaction() as session:
        code = member.code(database.now(session))
    alert.send_alone(made.parts, number, by=member.id, factor=Factor.TOTP, answer=code)


def test_everyone_learns_of_a_release_and_can_stop_what_one_sends_alone(made, tmp_path, author, approver, sink, client):
    """The quarter of an hour is worth something only where everyone knows of it and holds the button."""
    number = nights.locked(made, tmp_path, author, 3)
    send_alone(made, number, author)
    sink.messages.clear()
    made.deliver("transactional")
    told = [message_from_bytes(one.content, policy=policy.default) for one in sink.messages]
    released = [mail for mail in told if "will go out" in mail["subject"]]
    assert sorted(mail["to"] for mail in released) == sorted([author.address, approver.address])
    starts = alert.standing(made.parts, number).start_at
    assert f"{starts:%H:%M}" in plain(released[0])
    assert "Mina Moradi sends this alert alone" in plain(released[0])
    assert client.post(link(released[0])).status_code == 200
    assert alert.standing(made.parts, number).state is State.CANCELLED
    made.sweep()
    sink.messages.clear()
    assert made.deliver("urgent") == 0
    assert any('"by":"link"' in act and '"alert.stopped"' in act for act in nights.acts(made))


def test_whoever_disables_the_others_sends_nothing_past_them(made, pages, crew, tmp_path, sink, client):
    """One account that signs and sends ends every other access, and sends alone: the others can stop it all the same."""
    hostile, noor = crew.member(Role.SENDER, Role.APPROVER), crew.member(Role.APPROVER, name="Noor Holm")
    token, _ = crew.session(hostile)
    team.disable(pages.parts, entering.acting(pages.parts, token), noor.id)
    number = nights.locked(made, tmp_path, hostile, 4)
    send_alone(made, number, hostile)
    mail = mails(made, sink)[noor.address]
    assert f"Alert {number} will go out" in mail["subject"]
    assert client.post(link(mail)).status_code == 200
    assert alert.standing(made.parts, number).state is State.CANCELLED
    made.sweep()
    assert mails(made, sink)[noor.address]["subject"] == f"Alert {number} is given up"


def test_a_long_alert_in_three_languages_is_told_all_the_same(made, tmp_path, author, approver, sink):
    """The team's mail must not be the reason for which an alert cannot be locked."""
    house.add_readers(made, tmp_path, house.addresses(3))
    paths = []
    for language in ("en", "fa", "ar"):
        words = f"---\nsubject: Long\nlanguage: {language}\n---\n" + "\n\n".join(["لوری‌ها ایستاده‌اند " * 20] * 35)
        paths += nights.write(tmp_path, words, f"{language}.md")
    number = drafting.draft(made.parts, paths, digest_key=house.DIGEST, by=author.id)
    alert.lock(made.parts, number, by=author.id)
    assert "The text goes on" in plain(mails(made, sink)[approver.address])


def test_a_broken_template_of_the_team_s_keeps_no_approved_alert(made, tmp_path, database_urls, author, approver, sink):
    """Two have agreed: it goes. What one sends alone does not, since its safety is that the others know."""
    own = tmp_path / "own" / "email" / "team"
    own.mkdir(parents=True)
    (own / "body.html").write_text("{{ nothing.like.it }}")
    broken = house.build(tmp_path, database_urls, sink.url, **nights.RULES, templates=tmp_path / "own")
    number = nights.locked(broken, tmp_path, author, 3)
    with pytest.raises(BrokenTemplate):
        send_alone(broken, number, author)
    assert alert.standing(broken.parts, number).state is State.LOCKED
    by_two(broken, number, author, approver)
    broken.deliver("urgent")
    assert mailing.status(broken.parts, number).state == "done"
    assert nights.ask(broken, "SELECT 1 FROM mailing WHERE kind = 'notice'") == []
    broken.close()


def test_looking_at_the_link_stops_nothing(made, tmp_path, author, approver, sink, client):
    """Mail scanners open every link of a mail, and an alert must survive that."""
    number = nights.locked(made, tmp_path, author, 3)
    by_two(made, number, author, approver)
    url = link(mails(made, sink)[author.address])
    before = nights.ask(made, "SELECT * FROM mailing"), nights.acts(made), nights.calls(made)
    shown = client.get(url)
    assert shown.status_code == 200
    assert f"Stop alert {number}?" in shown.text
    assert alert.standing(made.parts, number).locked.code in shown.text
    assert client.head(url).status_code == 200
    assert shown.headers["cache-control"] == "no-store"
    assert (nights.ask(made, "SELECT * FROM mailing"), nights.acts(made), nights.calls(made)) == before


def test_a_stop_by_the_pages_role_ends_an_alert_in_flight_within_half_a_second(
    made, tmp_path, author, approver, sink, client, pages, crew
):
    """Stop needs one person, no second factor, and no worker: after the answer nothing new is handed over."""
    # However slow this machine is with the page, the relay is slower with the rest.
    sink.delay_seconds = lambda: 0.02 if len(sink.messages) <= 20 else 0.1
    number = nights.locked(made, tmp_path, author, 300)
    phone = nights.phone_of(crew, made, approver)
    nights.by_passkey(pages, made, number, approver, nights.signature(made, phone, number))
    alert.release(made.parts, number, by=author.id)
    url = f"/h/{made.parts.tokens.stop(number, now=datetime.now(UTC))}"
    with delivering(made, "urgent"):
        wait_for(lambda: len(sink.messages) > 20)
        assert "is stopped" in client.post(url).text
        stopped = time.monotonic()
        time.sleep(1.2)
    assert max(message.at for message in sink.messages) - stopped < STOP_SECONDS
    made.sweep()
    found = mailing.status(made.parts, number)
    assert found.state == "stopped"
    assert found.accepted == len(sink.messages) < 300
    assert (found.accepted + found.cancelled, found.due) == (300, 0)


def test_pressing_twice_is_pressing_once(made, tmp_path, author, approver, client):
    """Two of the team press at once; the second learns that it is done, not that something failed."""
    number = nights.locked(made, tmp_path, author, 3)
    by_two(made, number, author, approver)
    url = f"/h/{made.parts.tokens.stop(number, now=datetime.now(UTC))}"
    for _ in range(2):
        answer = client.post(url)
        assert answer.status_code == 200
        assert "is stopped" in answer.text
    assert [event for event, _ in nights.calls(made)].count("stopped") == 1


def test_what_has_gone_cannot_be_stopped_and_the_page_says_so(made, tmp_path, author, approver, client):
    """Whoever comes too late must know at once that something else is needed."""
    number = nights.locked(made, tmp_path, author, 3)
    by_two(made, number, author, approver)
    made.deliver("urgent")
    url = f"/h/{made.parts.tokens.stop(number, now=datetime.now(UTC))}"
    assert "has gone out" in client.get(url).text
    assert "has gone out" in client.post(url).text
    assert mailing.status(made.parts, number).state == "done"


def test_no_other_link_stops_anything(made, tmp_path, author, approver, client):
    """A reader's link to leave names the same mailing, and is in everybody's inbox."""
    number = nights.locked(made, tmp_path, author, 3)
    by_two(made, number, author, approver)
    good = made.parts.tokens.stop(number, now=datetime.now(UTC))
    others = (
        made.parts.tokens.leave(1, 1, number),
        made.parts.tokens.harmless(),
        good[:-1] + ("A" if good[-1] != "A" else "B"),
        made.parts.tokens.stop(4711, now=datetime.now(UTC)),
    )
    for token in others:
        assert client.get(f"/h/{token}").status_code == 404
        assert client.post(f"/h/{token}").status_code == 404
    assert client.post(f"/u/{good}").status_code == 404
    assert mailing.status(made.parts, number).state == "sending"


def test_the_pages_role_stops_and_moves_nothing_else(made, tmp_path, author, approver, pages, sink):
    """The function knows stop and pause, of what is newsletter mail; the day's head of the audit it cannot silence."""
    number = nights.locked(made, tmp_path, author, 3)
    [notice] = nights.ask(made, "SELECT id FROM mailing WHERE kind = 'notice'")
    digest = house.issue(made, tmp_path, addresses=["ann@example.org"]).mailing
    with pages.parts.database.transaction() as session:
        for refused in (mailings.stop, mailings.pause):
            for mailing_id in (notice.id, digest):
                with pytest.raises(WrongState):
                    refused(session, mailing_id)
        with pytest.raises(WrongState):
            mailings.pause(session, number)
    by_two(made, number, author, approver)
    with pages.parts.database.transaction() as session:
        assert mailings.pause(session, number) is State.PAUSED
        with pytest.raises(WrongState):
            mailings.pause(session, number)
        assert mailings.stop(session, number) is State.STOPPED
        with pytest.raises(WrongState):
            mailings.stop(session, number)


def test_the_pages_role_reads_and_changes_no_call(made, tmp_path, author, database_urls):
    """It may say that something was stopped; what others were told, and when they are told again, is not its business."""
    from tests.journeys.test_forging import attacker

    nights.locked(made, tmp_path, author, 3)
    with attacker(database_urls.web) as connection:
        for statement in (
            "SELECT * FROM hook_call",
            "UPDATE hook_call SET due_at = NULL",
            "DELETE FROM hook_call",
            "INSERT INTO hook_call (event, facts, due_at) VALUES ('x', '{}', NULL)",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
            connection.rollback()


def test_the_link_leads_on_to_where_it_is_taken_back(made, tmp_path, author, approver, sink, client):
    """Too late to be stopped is not too late: anyone of the team tells its readers that it was wrong, and must know where."""
    number = nights.locked(made, tmp_path, author, 2)
    alert.release(made.parts, number, by=author.id)
    url = link(mails(made, sink)[author.address])
    back = f'href="/console/alerts/{number}?retract=1"'
    assert back not in client.get(url).text
    made.deliver("urgent")
    for language, words in (("en", "Anyone of the team"), ("fa", "هر عضو گروه"), ("ar", "لكل عضو في الفريق")):
        shown = client.get(url, headers={"accept-language": language}).text
        assert back in shown
        assert words in shown
    second = nights.locked(made, tmp_path, author, 2)
    alert.release(made.parts, second, by=author.id)
    stop = link(mails(made, sink)[author.address])
    sink.refuse = lambda to: "450 4.7.1 later" if to == "reader1@example.org" else None
    made.deliver("urgent")
    assert f'href="/console/alerts/{second}?retract=1"' in client.post(stop).text
    sink.refuse = lambda _to: None
    given_up = nights.locked(made, tmp_path, author, 3)
    send_alone(made, given_up, author)
    [released] = [one for one in told(made, sink, author) if "will go out" in one["subject"]]
    assert "retract=1" not in client.post(link(released)).text


def test_what_a_press_has_stopped_is_said(made, pages, tmp_path, author, database_urls, client):
    """The alert has gone, a language of it goes still: "nothing is left" would be said of what was stopped this moment."""
    first, further = (nights.locked(made, tmp_path, author, 2) for _ in range(2))
    alert.release(made.parts, first, by=author.id)
    made.deliver("urgent")
    alert.release(made.parts, further, by=author.id)
    house.by_owner(database_urls, "UPDATE mailing SET translates = %s WHERE id = %s", first, further)
    path = f"/h/{made.parts.tokens.stop(first, now=nights.now(made))}"
    said = client.post(path).text
    assert f"Alert {further} is stopped" in said
    assert "Nothing is left" not in said
    assert alert.standing(made.parts, further).state is State.STOPPED
    assert "Nothing is left" in client.get(path).text, "that is true from now on"


def told(made, sink, member):
    """Return all that somebody is mailed."""
    sink.messages.clear()
    made.deliver("transactional")
    read = [message_from_bytes(one.content, policy=policy.default) for one in sink.messages]
    return [mail for mail in read if mail["to"] == member.address]
