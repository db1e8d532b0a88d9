"""Somebody joins: from a form through the pages' role, a mail over real SMTP, and their own yes."""

import email
import email.policy
import json
import re
import time
from datetime import timedelta

import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from newsletter import database, mailboxes
from newsletter.addresses import EmailAddress
from newsletter.bounces.routing import Arrived
from newsletter.issues import digests
from newsletter.journeys import confirming, inbound, joining, leaving, publish, returns
from newsletter.journeys.returns import Done
from newsletter.subscribers import signup, suppression
from newsletter.subscribers.signup import Wish
from newsletter.subscribers.subscriptions import Rhythm
from newsletter.subscribers.suppression import Reason
from newsletter.web import create
from tests import house
from tests.fakes.returns import letter

ANN = "ann@example.org"


@pytest.fixture
def browser(newsletter, tmp_path, database_urls, sink):
    made = house.build(tmp_path, database_urls, sink.url, web=True)
    with TestClient(create(made), raise_server_exceptions=False) as client, house.judging(newsletter):
        yield client
    made.close()


@pytest.fixture
def desk(newsletter, sink):
    """Let the workers do what is due, and return what was handed over since."""

    def work() -> list:
        before = len(sink.messages)
        joining.work(newsletter.parts)
        newsletter.deliver("transactional", seconds=5)
        return [email.message_from_bytes(one.content, policy=email.policy.default) for one in sink.messages[before:]]

    return work


def ask(newsletter, sql, **facts):
    with newsletter.parts.database.transaction() as session:
        return session.execute(text(sql), facts).all()


def words(mail) -> str:
    return mail.get_body(("plain",)).get_content()


def link(mail) -> str:
    return re.search(r"http://127\.0\.0\.1:8080(/c/\S+)", words(mail))[1]


def press(browser, mail) -> None:
    """Open the page behind the mail's link, and press its button as a browser does."""
    version = re.search(r'name="wording" value="(\w+)"', browser.get(link(mail)).text)[1]
    browser.post(link(mail).partition("?")[0], data={"wording": version})


def figures(mail) -> str:
    return re.search(r"\b\d{3}-\d{3}\b", words(mail))[0]


def pending(answer) -> str:
    return re.search(r'name="pending" value="([^"]+)"', answer.text)[1]


def readers(newsletter) -> list:
    return ask(newsletter, "SELECT rhythm, granted_by FROM subscription WHERE ended_at IS NULL")


def test_a_turn_gives_way_to_a_list_that_names_the_same_person(newsletter):
    """A list of a million takes a minute, and PostgreSQL breaks one of two that wait for each other: it must not be the list."""
    parts = newsletter.parts
    joining.ask(parts, Wish("ann@example.org", "en", {"weekly": "weekly"}))
    with parts.database.transaction() as importing:
        mailboxes.find_or_make_all(importing, [EmailAddress.parse("ann@example.org")])
        began = time.monotonic()
        joining.work(parts)
        assert time.monotonic() - began < 5
    assert joining.any_due(parts), "it waits for its next turn"
    assert joining.work(parts) == 1


def test_somebody_joins_by_the_button(newsletter, browser, desk) -> None:
    """The main road in: nothing begins before the owner of the address has said yes, then they are welcomed."""
    shown = browser.post("/join", data={"email": ANN, "digest": "weekly", "name": "Ann"})
    assert shown.status_code == 200
    [question] = desk()
    assert question["to"] == ANN
    assert "List-Unsubscribe" not in question
    assert readers(newsletter) == []

    assert "Yes, send it to me" in browser.get(link(question)).text
    assert readers(newsletter) == []
    assert "You are on the list" in browser.post(link(question).partition("?")[0]).text
    [welcome] = desk()
    assert welcome["subject"] == "Welcome: The Weekly"
    assert "/p/" in words(welcome)
    [(rhythm, _)] = readers(newsletter)
    assert rhythm == "weekly"
    assert desk() == []


def test_the_proof_of_a_yes_is_kept(newsletter, browser, desk) -> None:
    """A regulator asks when, where and to what somebody said yes; the answer must not be in clear anywhere."""
    browser.post(
        "/join", data={"email": ANN, "digest": "weekly"}, headers={"referer": "https://sarand.example/camp?name=ann"}
    )
    press(browser, desk()[0])
    desk()
    [(event, sealed)] = ask(newsletter, "SELECT event_id, details_sealed FROM consent_detail")
    told = newsletter.parts.database.vault.unseal("consent_detail", "details", event, bytes(sealed))
    assert "may send me this by e-mail" in told
    assert '"page": "https://sarand.example/camp"' in told
    assert '"confirmed_by": "link"' in told
    assert re.search('"wording_version": "[0-9a-f]{12}"', told)
    assert ANN not in told


def test_a_sensitive_cause_is_agreed_to_by_its_name(newsletter, tmp_path, database_urls, sink, desk) -> None:
    """Where a list says who believes what, a plain yes is not enough (GDPR Art. 9), and what was read is what is kept."""
    cause = "freedom of belief in Sarand"
    made = house.build(tmp_path, database_urls, sink.url, web=True, sensitive_cause=cause)
    versions = set()
    with TestClient(create(made)) as client:
        for language, place in (("en", "explicit consent"), ("fa", "رضایت صریح"), ("ar", "موافقتي الصريحة")):
            shown = client.get(f"/join?language={language}").text
            assert place in shown
            assert cause in shown
            client.post("/join", data={"email": f"{language}@example.org", "digest": "weekly", "language": language})
            press(client, desk()[0])
            desk()
    made.close()
    for event, sealed in ask(newsletter, "SELECT event_id, details_sealed FROM consent_detail"):
        told = json.loads(newsletter.parts.database.vault.unseal("consent_detail", "details", event, bytes(sealed)))
        assert cause in told["wording"]
        versions.add(told["wording_version"])
    assert len(versions) == 3


def test_the_figures_count_with_their_own_form_alone(newsletter, browser, desk) -> None:
    """Who reads a screen over somebody's shoulder must not be able to use the figures from a form of their own."""
    first = browser.post("/join", data={"email": ANN, "digest": "weekly"})
    [question] = desk()
    other = browser.post("/join", data={"email": "mallory@example.org", "digest": "weekly"})
    desk()
    wrong = browser.post("/join/code", data={"pending": pending(other), "code": figures(question)})
    assert wrong.status_code == 422
    assert readers(newsletter) == []
    right = browser.post("/join/code", data={"pending": pending(first), "code": figures(question).replace("-", " ")})
    assert "You are on the list" in right.text
    desk()
    assert len(readers(newsletter)) == 1


def test_the_figures_cannot_be_guessed(newsletter, browser, desk) -> None:
    """Six figures are a million: five tries, then the mail's button alone."""
    form = pending(browser.post("/join", data={"email": ANN, "digest": "weekly"}))
    [question] = desk()
    for left in (4, 3, 2, 1):
        assert f"Tries left: {left}." in browser.post("/join/code", data={"pending": form, "code": "000000"}).text
    browser.post("/join/code", data={"pending": form, "code": "000000"})
    assert browser.post("/join/code", data={"pending": form, "code": figures(question)}).status_code == 422
    desk()
    assert readers(newsletter) == []


def test_the_figures_are_good_for_an_hour(newsletter, browser, desk) -> None:
    """A screen left open in a library says nothing the next day."""
    form = pending(browser.post("/join", data={"email": ANN, "digest": "weekly"}))
    [question] = desk()
    ask_later = ask(newsletter, "SELECT now()")[0][0] + timedelta(minutes=61)
    with pytest.raises(confirming.NoTryLeft):
        confirming.try_code(newsletter.parts, form, figures(question), now=ask_later)


def test_nobody_is_asked_twice_at_once(newsletter, browser, desk) -> None:
    """Pressing the button ten times, or somebody else's malice, brings one mail."""
    for _ in range(10):
        assert browser.post("/join", data={"email": ANN, "digest": "weekly"}).status_code == 200
    assert len(desk()) == 1


@pytest.fixture
def news(newsletter):
    with newsletter.parts.database.transaction() as session:
        digests.add(session, "news", name="The News", languages=("en",), rhythm=Rhythm.EACH)


@pytest.mark.usefixtures("news")
def test_one_yes_confirms_all_that_its_mail_named(newsletter, browser, desk) -> None:
    """Whoever asked for two digests on two pages presses once, and expects both: the mail names both."""
    browser.post("/join", data={"email": ANN, "digest": "weekly"})
    browser.post("/join", data={"email": ANN, "digest": "news"})
    [question] = desk()
    assert question["subject"] == "Please confirm: The Weekly, The News"
    browser.post(link(question))
    [welcome] = desk()
    assert sorted(rhythm for rhythm, _ in readers(newsletter)) == ["each", "weekly"]
    assert welcome["subject"] == "Welcome: The Weekly, The News"


@pytest.mark.usefixtures("news")
def test_a_yes_is_none_to_what_its_mail_did_not_name(newsletter, browser, desk) -> None:
    """Anybody can type an address in while its owner reads the mail: what they never read of they have not agreed to."""
    browser.post("/join", data={"email": ANN, "digest": "weekly"})
    [question] = desk()
    browser.post("/join", data={"email": ANN, "digest": "news"})
    assert desk() == []
    browser.post(link(question))
    mails = {mail["subject"]: mail for mail in desk()}
    assert sorted(mails) == ["Please confirm: The News", "Welcome: The Weekly"]
    assert [rhythm for rhythm, _ in readers(newsletter)] == ["weekly"]
    browser.post(link(mails["Please confirm: The News"]))
    assert [mail["subject"] for mail in desk()] == ["Welcome: The News"]
    assert sorted(rhythm for rhythm, _ in readers(newsletter)) == ["each", "weekly"]


@pytest.mark.usefixtures("news")
def test_who_does_not_answer_gets_a_second_mail_that_names_both(newsletter, browser, desk, database_urls) -> None:
    """A person who waits for the mail about the second form must not wait for ever; nor be mailed a third time."""
    browser.post("/join", data={"email": ANN, "digest": "weekly"})
    [first] = desk()
    browser.post("/join", data={"email": ANN, "digest": "news"})
    assert desk() == []
    assert not joining.any_due(newsletter.parts)
    for column in ("asked_at", "came_at", "again_at"):
        house.by_owner(database_urls, f"UPDATE signup SET {column} = {column} - interval '16 minutes'")
    assert joining.any_due(newsletter.parts)
    [second] = desk()
    assert second["subject"] == "Please confirm: The News, The Weekly"
    browser.post(link(first))
    desk()
    assert [rhythm for rhythm, _ in readers(newsletter)] == ["weekly"]
    browser.post(link(second))
    desk()
    assert sorted(rhythm for rhythm, _ in readers(newsletter)) == ["each", "weekly"]
    assert ask(newsletter, "SELECT DISTINCT state FROM signup") == [("settled",)]
    assert not joining.any_due(newsletter.parts)


def test_four_kinds_of_address_get_one_answer(newsletter, browser, tmp_path, desk) -> None:
    """A page that answers a member otherwise than a stranger is a list of members."""
    house.add_readers(newsletter, tmp_path, ["member@example.org", "gone@example.org"])
    with newsletter.parts.database.transaction() as session:
        [box] = session.execute(text("SELECT mailbox_id FROM subscriber ORDER BY id OFFSET 1")).scalars()
        suppression.add(session, box, reason=Reason.COMPLAINT, now=session.execute(text("SELECT now()")).scalar_one())
    answers = set()
    for address in ("member@example.org", "gone@example.org", "stranger@example.org", "Stranger@example.org"):
        shown = browser.post("/join", data={"email": address, "digest": "weekly"})
        answers.add((shown.status_code, re.sub(r'value="[^"]+"', "", shown.text)))
    assert len(answers) == 1


def test_who_had_left_comes_back_by_their_own_yes(newsletter, browser, desk, tmp_path) -> None:
    """An import never brings back whoever left; they themselves can, and the next issue is theirs."""
    house.add_readers(newsletter, tmp_path, [ANN])
    [(reader, digest, box)] = ask(
        newsletter,
        "SELECT s.subscriber_id, s.digest_id, p.mailbox_id FROM subscription s JOIN subscriber p ON p.id = s.subscriber_id",
    )
    leaving.leave(newsletter.parts, newsletter.parts.tokens.leave(reader, digest, 1))
    with newsletter.parts.database.transaction() as session:
        suppression.add(session, box, reason=Reason.NEVER_AGAIN, now=session.execute(text("SELECT now()")).scalar_one())
    browser.post("/join", data={"email": ANN, "digest": "weekly"})
    [question] = desk()
    assert ask(newsletter, "SELECT 1 FROM suppression WHERE lifted_at IS NULL") != []
    browser.post(link(question))
    desk()
    assert len(readers(newsletter)) == 1
    assert ask(newsletter, "SELECT 1 FROM suppression WHERE lifted_at IS NULL") == []


def test_what_nobody_answered_is_forgotten(newsletter, browser, desk, database_urls) -> None:
    """An address somebody typed in is that of a third person, perhaps: after a month nothing of it is left."""
    browser.post("/join", data={"email": ANN, "digest": "weekly"})
    desk()
    house.by_owner(database_urls, "UPDATE signup SET came_at = now() - interval '32 days'")
    assert joining.any_due(newsletter.parts)
    desk()
    assert ask(newsletter, "SELECT 1 FROM signup") == []
    assert ask(newsletter, "SELECT 1 FROM address_index") == []
    assert ask(newsletter, "SELECT 1 FROM mailbox WHERE address_sealed IS NOT NULL") == []


def test_a_program_that_fills_in_everything_is_told_the_same_and_mails_nobody(newsletter, browser, desk) -> None:
    """A robot must not learn that it was seen through."""
    shown = browser.post("/join", data={"email": ANN, "digest": "weekly", "website": "https://spam.example"})
    assert shown.status_code == 200
    assert desk() == []


def test_a_slip_of_the_pen_is_said_at_once(browser) -> None:
    """A person who forgot the @ would wait for a mail that never comes."""
    shown = browser.post("/join", data={"email": "ann.example.org", "digest": "weekly"})
    assert shown.status_code == 422
    assert "no @" in shown.text
    assert 'value="ann.example.org"' in shown.text


@pytest.mark.parametrize("language", ["fa", "ar"])
def test_who_reads_from_the_right_joins_in_their_language(browser, desk, language) -> None:
    """Page, mail and the page behind its button, in the language the form was in."""
    shown = browser.get(f"/join?language={language}").text
    assert f'lang="{language}" dir="rtl"' in shown
    answer = browser.post("/join", data={"email": ANN, "digest": "weekly", "language": language}).text
    assert f'lang="{language}" dir="rtl"' in answer
    [question] = desk()
    assert re.search("[\u0600-\u06ff]", question["subject"])
    assert f'lang="{language}"' in browser.get(link(question)).text


def test_programs_join_people_by_the_same_gate(newsletter, browser, desk) -> None:
    """A campaign's own form speaks JSON; it learns no more and brings no more than the page."""
    answer = browser.post("/api/v1/signups", json={"email": ANN, "digests": ["weekly"], "language": "en"})
    assert answer.status_code == 202
    [question] = desk()
    said = browser.post("/api/v1/signups/code", json={"pending": answer.json()["pending"], "code": figures(question)})
    assert said.json() == {"confirmed": True}
    desk()
    assert len(readers(newsletter)) == 1
    assert browser.post("/api/v1/signups", json={"email": "nobody", "digests": ["weekly"]}).status_code == 422


def test_a_name_that_no_mail_can_carry_keeps_nobody_out(newsletter, browser, desk) -> None:
    """The form says so at once; one that was stored before it did is left out, and its owner is welcomed."""
    refused = browser.post("/join", data={"email": ANN, "digest": "weekly", "name": "Ann\x00"})
    assert (refused.status_code, "control character" in refused.text) == (422, True)
    with newsletter.parts.database.transaction() as session:
        signup.add(session, "p", Wish(ANN, "en", {"weekly": "weekly"}, name="\u202eAnn"), now=database.now(session))
    browser.post(link(desk()[0]))
    [welcome] = desk()
    assert welcome["to"] == ANN


def test_a_new_reader_begins_with_the_next_issue(newsletter, browser, desk, tmp_path) -> None:
    """Whoever joins today must not be sent last year's articles."""
    house.add_readers(newsletter, tmp_path, ["old@example.org"])
    house.add_articles(newsletter, tmp_path, "The well runs dry")
    publish.send(newsletter.parts, publish.compose(newsletter.parts, "weekly").issue)
    browser.post("/join", data={"email": ANN, "digest": "weekly"})
    browser.post(link(desk()[0]))
    desk()
    had = dict(ask(newsletter, "SELECT s.id, s.had_to FROM subscription s ORDER BY id DESC LIMIT 1"))
    assert next(iter(had.values())) > 0


def test_an_answer_to_the_mail_is_a_yes(tmp_path, database_urls, sink) -> None:
    """Whose mail program shows no button, and who has lost the page, can answer; a vacation note is no answer."""
    made = house.build(tmp_path, database_urls, sink.url, bounce_domain="back.sarand.example")
    assert inbound.self_test(made.parts, lambda probe: returns.take(made.parts, Arrived("", probe, b"")) and None)
    wish = Wish(ANN, "en", {"weekly": "weekly"})
    joining.ask(made.parts, wish)
    joining.work(made.parts)
    made.deliver("transactional", seconds=5)
    [question] = [email.message_from_bytes(one.content, policy=email.policy.default) for one in sink.messages]
    assert "Or simply answer this mail with “yes”" in words(question)
    back = str(question["reply-to"])
    away = b"Auto-Submitted: auto-replied\r\n" + letter(ANN, back, "Away until Monday")
    assert returns.take(made.parts, Arrived(ANN, back, away)) is Done.NOTHING
    assert returns.take(made.parts, Arrived("", back, letter(ANN, back, "Re: Please confirm", "Yes"))) is Done.NOTHING
    assert (
        returns.take(made.parts, Arrived(ANN, back, letter(ANN, back, "Re: Please confirm", "Yes"))) is Done.CONFIRMED
    )
    joining.work(made.parts)
    assert len(readers(made)) == 1
    made.close()


def test_a_form_on_another_site_lands_on_our_page(newsletter, browser, desk) -> None:
    """A campaign's own site asks for the address; nothing of its visitors comes to us before they press."""
    html = joining.embedded(newsletter.parts, ["weekly"], language="fa", name="camp page")
    assert 'action="http://127.0.0.1:8080/join"' in html
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', html)) | {"email": ANN}
    shown = browser.post("/join", data=fields, headers={"origin": "https://camp.example"})
    assert (shown.status_code, 'lang="fa"' in shown.text) == (200, True)
    [question] = desk()
    browser.post(link(question))
    desk()
    [(event, sealed)] = ask(newsletter, "SELECT event_id, details_sealed FROM consent_detail")
    told = newsletter.parts.database.vault.unseal("consent_detail", "details", event, bytes(sealed))
    assert '"form": "camp page"' in told
    assert "https://camp.example" in told


@pytest.mark.parametrize("name", ["import", "preferences", " Import ", "im\u200bport"])
def test_no_form_is_named_like_what_came_by_none(newsletter, browser, desk, name) -> None:
    """A proof that says “import” says that an operator brought a list: no stranger's form may write that of anybody."""
    assert browser.post("/join", data={"email": ANN, "digest": "weekly", "form": name}).status_code == 200
    [question] = desk()
    browser.post(link(question))
    desk()
    [(event, sealed)] = ask(newsletter, "SELECT event_id, details_sealed FROM consent_detail")
    told = json.loads(newsletter.parts.database.vault.unseal("consent_detail", "details", event, bytes(sealed)))
    assert told["form"] in ("form-import", "form-preferences")
    assert f'value="{told["form"]}"' in joining.embedded(newsletter.parts, ["weekly"], language="en", name=name)


def test_a_program_that_fills_in_all_of_a_form_on_another_site_is_not_believed(newsletter, browser, desk) -> None:
    """It fills in whatever has a name, and a person does not see that field: nobody is written to for it."""
    html = joining.embedded(newsletter.parts, ["weekly"], language="en", name="camp page")
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', html)) | {"email": ANN}
    [lure] = re.findall(r'<div hidden><input name="(\w+)"', html)
    assert browser.post("/join", data=fields | {lure: "https://pills.example"}).status_code == 200
    assert desk() == []


def test_a_form_that_is_named_like_a_trap_is_a_form(newsletter, browser, desk) -> None:
    """An organisation may call its form what it likes: nobody who comes by it is taken for a program."""
    assert browser.post("/join", data={"email": ANN, "digest": "weekly", "form": "trap"}).status_code == 200
    assert len(desk()) == 1
