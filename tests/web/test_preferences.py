"""The page behind "change what you get": three choices, everything behind them, and what only a fresh link may do."""

import email
import email.policy
import re
from datetime import timedelta

import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from newsletter import database, languages
from newsletter.issues import digests
from newsletter.journeys import moving_in, proving
from newsletter.subscribers import people, suppression, topics
from newsletter.subscribers.consent import Basis
from newsletter.subscribers.subscriptions import Rhythm
from newsletter.subscribers.suppression import Reason
from newsletter.tokens import COUNTERSIGN
from newsletter.web import create
from tests import house

ANN = "ann@example.org"


@pytest.fixture
def worker(tmp_path, database_urls, sink):
    made = house.build(tmp_path, database_urls, sink.url)
    with made.parts.database.transaction() as session:
        digests.add(session, "news", name="The News", languages=("en", "fa"), rhythm=Rhythm.DAILY)
        topics.add(session, "camps", name="Camps")
        topics.add(session, "courts", name="Courts")
    path = tmp_path / "ann.csv"
    path.write_text(f"email,name,postcode\n{ANN},Ann Novak,N1 9GU\n", encoding="utf-8")
    permission = moving_in.Permission(Basis.IMPORTED, "a test")
    moving_in.import_subscribers(made.parts, str(path), digest_key="weekly", permission=permission)
    yield made
    made.close()


@pytest.fixture
def pages(worker, tmp_path, database_urls):
    made = house.build(tmp_path, database_urls, "smtp://127.0.0.1:9", web=True)
    with TestClient(create(made), raise_server_exceptions=False) as client:
        yield client
    made.close()


@pytest.fixture
def now(worker):
    with worker.parts.database.transaction() as session:
        return database.now(session)


@pytest.fixture
def link(worker, now):
    """Ann's link from a newsletter."""
    return f"/p/{worker.parts.tokens.preferences(1, now=now)}"


@pytest.fixture
def fresh(worker):
    return f"/p/{house.fresh_link(worker, 1)}"


def ask(worker, sql):
    with worker.parts.database.transaction() as session:
        return session.execute(text(sql)).all()


def taken(worker):
    sql = """SELECT d.key, s.rhythm FROM subscription s JOIN digest d ON d.id = s.digest_id
        WHERE s.ended_at IS NULL ORDER BY d.key"""
    return dict(map(tuple, ask(worker, sql)))


def test_three_choices_come_first(worker, pages, link) -> None:
    """Most people mean one of three things; each is one press, and holds from then on."""
    shown = pages.get(link).text
    assert shown.index("Emergencies only") < shown.index("<summary>More")
    pages.post(link, data={"action": "level", "level": "emergencies"})
    assert taken(worker) == {"weekly": "emergencies"}
    pages.post(link, data={"action": "level", "level": "everything"})
    assert taken(worker) == {"news": "each", "weekly": "each"}
    saved = pages.post(link, data={"action": "level", "level": "weekly"}).text
    assert taken(worker) == {"news": "weekly", "weekly": "weekly"}
    assert re.search(r'value="weekly" required checked', saved)


def test_what_is_taken_besides_rests_on_a_permission_of_its_own(worker, pages, link) -> None:
    """A digest that somebody adds by a signed link must show later that they did."""
    pages.post(link, data={"action": "level", "level": "everything"})
    [(basis, event, sealed)] = ask(
        worker,
        """SELECT e.basis, d.event_id, d.details_sealed FROM subscription s JOIN consent_event e ON e.id = s.granted_by
           JOIN consent_detail d ON d.event_id = e.id WHERE s.ended_at IS NULL""",
    )
    told = worker.parts.database.vault.unseal("consent_detail", "details", event, bytes(sealed))
    assert basis == "consent"
    assert '"confirmed_by": "signed link"' in told


def test_an_old_link_brings_nobody_back_who_left_everything(worker, pages, link, fresh) -> None:
    """A forwarded mail is pressed by anybody: who has left would be subscribed again, with a consent, and hear nothing of it."""
    pages.post(link, data={"action": "leave"})
    usual = {"language": "fa", "zone": "UTC"}
    more = f"{link}/more"
    for path, fields in (
        (link, {"action": "level", "level": "everything"}),
        (more, usual | {"rhythm-weekly": "weekly"}),
        (more, usual | {"topic": ["courts"]}),
    ):
        before = ask(worker, "SELECT count(*) FROM consent_event")
        assert "on its way" in pages.post(path, data=fields).text
        assert taken(worker) == {}
        assert ask(worker, "SELECT count(*) FROM consent_event") == before
    assert ask(worker, "SELECT count(*) FROM interest") == [(0,)]
    assert proving.work(worker.parts) == 1, "the owner of the address is mailed a link of their own"
    pages.post(fresh, data={"action": "level", "level": "weekly"})
    assert taken(worker)["weekly"] == "weekly"


def test_who_is_barred_comes_back_by_a_fresh_link(worker, pages, link, fresh) -> None:
    """The page says that it helps: it must not fail where the pages' role acts, nor leave them without a mail for ever."""
    pages.post(link, data={"action": "leave"})
    with worker.parts.database.transaction() as session:
        [(mailbox,)] = session.execute(text("SELECT mailbox_id FROM subscriber WHERE id = 1")).all()
        for reason in (Reason.LEFT, Reason.DEAD):
            suppression.add(session, mailbox, reason=reason, now=database.now(session))
    told = languages.say("web.preferences-barred", "en").partition(".")[0]
    assert told in pages.get(fresh).text
    pages.post(fresh, data={"action": "level", "level": "everything"})
    assert taken(worker)
    assert ask(worker, "SELECT 1 FROM suppression WHERE lifted_at IS NULL") == []
    assert told not in pages.get(fresh).text


def test_everything_else_stands_behind_more(worker, pages, link) -> None:
    """Digests, topics, language, zone and how the mail is to look, with one press."""
    fields = {
        "rhythm-weekly": "",
        "rhythm-news": "monthly",
        "topic": ["courts"],
        "language": "fa",
        "zone": "Asia/Tehran",
        "style": ["discreet", "text"],
    }
    saved = pages.post(f"{link}/more", data=fields)
    assert saved.status_code == 200
    assert 'lang="fa" dir="rtl"' in saved.text
    assert taken(worker) == {"news": "monthly"}
    [(language, zone, style)] = ask(worker, "SELECT language, time_zone, style FROM subscriber")
    assert (language, zone, style) == ("fa", "Asia/Tehran", "dt")
    assert ask(worker, "SELECT t.key FROM interest i JOIN topic t ON t.id = i.topic_id WHERE ended_at IS NULL") == [
        ("courts",)
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {"language": "xx"},
        {"zone": "Mars/Olympus"},
        {"rhythm-nothing": "weekly"},
        {"rhythm-news": "hourly"},
        {"topic": "no"},
    ],
)
def test_what_is_not_offered_is_refused_and_changes_nothing(worker, pages, link, wrong) -> None:
    """A form that somebody wrote by hand must not leave half of itself behind."""
    fields = {"rhythm-news": "monthly", "language": "en", "zone": "UTC"} | wrong
    assert pages.post(f"{link}/more", data=fields).status_code in (404, 422)
    assert taken(worker) == {"weekly": "weekly"}


def test_a_pause_ends_by_its_day_or_by_a_press(worker, pages, link, now) -> None:
    """A month at sea: no issue is waiting afterwards that nobody wanted."""
    until = (now + timedelta(days=20)).date().isoformat()
    assert "resume" not in pages.get(link).text
    pages.post(f"{link}/pause", data={"until": until})
    assert ask(worker, "SELECT paused_until::date::text FROM subscriber") == [(until,)]
    pages.post(f"{link}/resume")
    assert ask(worker, "SELECT paused_until FROM subscriber") == [(None,)]
    ask(worker, "UPDATE subscriber SET time_zone = 'Asia/Tehran' RETURNING id")
    assert {pages.post(f"{link}/pause", data={"until": day}).status_code for day in ("0001-01-01", "9999-12-31")} == {
        422
    }


def test_a_forwarded_link_shows_and_changes_nothing_of_the_person(worker, pages, link) -> None:
    """Mails are forwarded: whoever holds one must learn no name, and not be able to write one."""
    assert "Novak" not in pages.get(link).text
    assert "N1 9GU" not in pages.get(link).text
    assert pages.post(f"{link}/own", data={"name": "Mallory", "postcode": ""}).status_code == 403
    assert ask(worker, "SELECT count(*) FROM subscriber WHERE name_sealed IS NULL") == [(0,)]


MORE = {"rhythm-weekly": "weekly", "language": "en", "zone": "UTC"}
ASKED = "SELECT style, nameless, name_sealed IS NULL AS no_name FROM subscriber"


def test_a_forwarded_link_ends_no_protection_and_shows_none(worker, pages, link, fresh) -> None:
    """Whoever holds a mail of somebody at risk must not see that they hide, nor have the next mail come with our name on it."""
    pages.post(f"{fresh}/more", data=MORE | {"style": ["discreet"]})
    assert "checked" in pages.get(fresh).text.partition('value="discreet"')[2][:20]
    page = pages.get(link).text
    assert "checked" not in page.partition('value="discreet"')[2][:20]
    assert 'value="nameless"' not in page
    pages.post(f"{link}/more", data=MORE)
    assert [tuple(row) for row in ask(worker, ASKED)] == [("d", False, False)]
    pages.post(f"{link}/more", data=MORE | {"style": ["text"]})
    assert pages.post(f"{link}/more", data=MORE | {"style": ["nameless"]}).status_code == 403
    assert [tuple(row) for row in ask(worker, ASKED)] == [("dt", False, False)]
    pages.post(f"{fresh}/more", data=MORE | {"style": ["nameless"]})
    assert [tuple(row) for row in ask(worker, ASKED)] == [("", True, True)], "by a fresh link all of it ends or begins"


def own(worker):
    with worker.parts.database.transaction() as session:
        found = people.own(session, 1)
    return found.name, found.postcode


def test_a_fresh_link_does(worker, pages, fresh) -> None:
    """Whoever reads the mailbox on file is whom the record is of; pages that cannot open it keep what is left empty."""
    assert "Ann Novak" not in pages.get(fresh).text
    pages.post(f"{fresh}/own", data={"name": "Anna Nováková", "postcode": ""})
    assert own(worker) == ("Anna Nováková", "N1 9GU")
    pages.post(f"{fresh}/own", data={"name": "", "postcode": "E1 6AN", "forget": "1"})
    assert own(worker) == ("", "E1 6AN")


@pytest.mark.parametrize("sign", ["", "A" * COUNTERSIGN])
def test_a_fresh_link_that_nobody_mailed_is_one_of_a_newsletter(worker, pages, fresh, now, sign) -> None:
    """Whoever kept a token key makes them for everybody: without what stood in a mail they show and end nothing more."""
    forged = f"/p/{worker.parts.tokens.fresh(1, now=now)}{sign}"
    pages.post(f"{fresh}/more", data=MORE | {"style": ["discreet"]})
    assert "What you told us" not in pages.get(forged).text
    assert pages.get(f"{forged}/sent").status_code == 409
    assert pages.post(f"{forged}/own", data={"name": "Mallory", "postcode": "E1 6AN"}).status_code == 403
    assert own(worker) == ("Ann Novak", "N1 9GU")
    pages.post(f"{forged}/more", data=MORE)
    assert [row.style for row in ask(worker, ASKED)] == ["d"], "no style is ended"
    pages.post(fresh, data={"action": "leave"})
    assert "on its way" in pages.post(forged, data={"action": "level", "level": "everything"}).text
    assert taken(worker) == {}


def test_a_name_that_no_mail_can_carry_is_refused(pages, fresh, worker) -> None:
    """Pasted with an invisible character in it, it made every later mail to its owner refused, alerts too."""
    for name in ("Ann\x00", "Ann\r\nBcc: all", "\u202eAnn"):
        assert pages.post(f"{fresh}/own", data={"name": name}).status_code == 422
    assert own(worker) == ("Ann Novak", "N1 9GU")


def test_pages_with_all_keys_show_it(worker, fresh) -> None:
    """On one machine, where pages hold every key, a person sees what they told us."""
    with TestClient(create(worker), raise_server_exceptions=False) as client:
        assert "Ann Novak" in client.get(fresh).text


def test_a_fresh_link_is_mailed_to_the_address_on_file(worker, pages, link, sink) -> None:
    """Asked for on a page that anybody may hold, it reaches the owner alone; ten presses bring one mail."""
    for _ in range(10):
        assert "on its way" in pages.post(f"{link}/link").text
    worker.greet()
    worker.deliver("transactional", seconds=5)
    [mail] = [email.message_from_bytes(one.content, policy=email.policy.default) for one in sink.messages]
    assert mail["to"] == ANN
    path = re.search(r"http://127\.0\.0\.1:8080(/p/\S+)", mail.get_body(("plain",)).get_content())[1]
    assert "What you told us" in pages.get(path).text
    for _ in range(5):
        pages.post(f"{link}/link")
        worker.greet()
    worker.deliver("transactional", seconds=5)
    assert len(sink.messages) == 3


def test_a_preview_s_link_changes_nothing(worker, pages) -> None:
    """A mail that was forwarded as an example must not set anybody's wishes."""
    link = f"/p/{worker.parts.tokens.harmless()}"
    fields = {"rhythm-weekly": "monthly", "language": "fa", "zone": "UTC", "style": ["text"]}
    for path, form in (("/more", fields), ("/resume", {}), ("/link", {}), ("", {"action": "leave"})):
        assert pages.post(f"{link}{path}", data=form).status_code == 200
    assert taken(worker) == {"weekly": "weekly"}
    assert ask(worker, "SELECT language, style FROM subscriber") == [("en", "")]


def test_who_must_not_be_written_to_is_told(worker, pages, link, now) -> None:
    """Choosing more does not bring back whoever complained; the page says what does."""
    with worker.parts.database.transaction() as session:
        suppression.add(session, 1, reason=Reason.COMPLAINT, now=now)
    assert "Sign up once more" in pages.get(link).text


def test_a_fresh_link_is_as_discreet_as_any_mail(worker, pages, link, sink) -> None:
    """Whoever asked us to be discreet must not be given away by the answer to a button."""
    fields = {"rhythm-weekly": "weekly", "language": "en", "zone": "UTC", "style": ["discreet", "text"]}
    pages.post(f"{link}/more", data=fields)
    pages.post(f"{link}/link")
    worker.greet()
    worker.deliver("transactional", seconds=5)
    [mail] = [email.message_from_bytes(one.content, policy=email.policy.default) for one in sink.messages]
    assert "Sarand" not in mail["subject"] + mail["from"].addresses[0].display_name
    assert mail.get_content_type() == "text/plain"


def test_everything_is_left_by_a_fresh_link_too(worker, pages, fresh) -> None:
    """The page it leads to shows the button, so it must do what it says."""
    assert "Unsubscribe from everything" in pages.get(fresh).text
    answer = pages.post(fresh, data={"action": "leave"})
    assert answer.status_code == 200
    assert taken(worker) == {}


@pytest.mark.parametrize(
    ("language", "zone", "named"),
    [
        ("de", "Europe/Berlin", "Deutsch"),
        ("fa", "US/Eastern", None),
        ("pt-BR", "Etc/GMT+5", "português (Brasil)"),
        ("en-GB", "America/Sao_Paulo", None),
        ("qaa", "Asia/Tehran", ">qaa<"),
    ],
)
def test_what_a_reader_has_stays_where_they_change_something_else(worker, pages, link, language, zone, named):
    """A list brought them with a language that we lack: who ticks a topic must not find everything in another from then on."""
    ask(worker, f"UPDATE subscriber SET language = '{language}', time_zone = '{zone}' RETURNING id")
    page = pages.get(link).text
    assert not named or named in page
    sent = {
        name: re.search(r'<option(?: value="([^"]*)")?[^>]* selected>([^<]*)', choices)
        for name in ("language", "zone")
        for choices in re.findall(rf'<select id="{name}".*?</select>', page, re.S)
    }
    own = {name: found[1] or found[2] for name, found in sent.items()}
    assert own == {"language": language, "zone": zone}
    assert pages.post(link + "/more", data={"rhythm-weekly": "weekly", "topic": "camps", **own}).status_code == 200
    assert ask(worker, "SELECT language, time_zone FROM subscriber") == [(language, zone)]
    other = pages.post(link + "/more", data={"rhythm-weekly": "weekly", "language": "fr", "zone": zone})
    assert other.status_code == 422, "another that we lack is no choice"
