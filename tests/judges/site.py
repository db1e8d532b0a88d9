"""The pages of readers in three languages, with something behind every link of theirs; and the ways that lead to each."""

import csv
import email
import email.policy
import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy import text

from newsletter import database, languages
from newsletter.assembly import Newsletter
from newsletter.issues import digests
from newsletter.journeys import alert, joining, moving_in, privacy, publish
from newsletter.subscribers import topics
from newsletter.subscribers.consent import Basis
from newsletter.subscribers.signup import Wish
from newsletter.subscribers.subscriptions import Rhythm
from newsletter.web import create
from tests import house
from tests.fakes import smtp
from tests.fakes.ports import free_port
from tests.judges import browsing
from tests.web import scanning

EXIT = "https://elsewhere.example/"
LOCALES = {"en": "en-GB", "fa": "fa-IR", "ar": "ar-IQ"}
DIGESTS = {
    "en": ("weekly", "The Weekly", "The well runs dry"),
    "fa": ("hafte", "هفته‌نامهٔ سرند", "چاه خشک می‌شود"),
    "ar": ("usbui", "أسبوعية سرند", "البئر تجف"),
}
ALERTS = {
    "en": ("Lorries at Sarand", "**Fourteen** lorries stand at the second gate.", "Write to your MP"),
    "fa": ("کامیون‌ها در سرند", "**چهارده** کامیون جلوی دروازهٔ دوم ایستاده است.", "به نمایندهٔ خود بنویسید"),
    "ar": ("شاحنات في سرند", "**أربع عشرة** شاحنة تقف عند البوابة الثانية.", "اكتبوا إلى نائبكم"),
}
# One reader for each thing that is done for good.
ROLES = ("looks", "leaves", "lessens", "erases", "left by an old link")


@dataclass
class Site:
    """A product whose pages are served at `base`."""

    worker: Newsletter
    base: str
    sink: smtp.Sink
    readers: dict[str, dict[str, int]] = field(default_factory=dict)
    issues: dict[str, int] = field(default_factory=dict)
    signups: dict[str, list[int]] = field(default_factory=dict)
    fresh: dict[int, str] = field(default_factory=dict)
    gone: int = 0
    going: int = 0
    devices: int = 0

    def device(self, browser, language, **more):
        """Return the one page of a new device, which comes from a network of its own and asks for a language."""
        self.devices += 1
        headers = {"X-Forwarded-For": f"198.18.{self.devices}.7"}
        context = browser.new_context(
            **{"viewport": browsing.PHONE, "locale": LOCALES[language], "extra_http_headers": headers, **more}
        )
        context.set_default_timeout(browsing.PATIENCE_MS)
        return context.new_page()

    def now(self) -> datetime:
        """Return the database's time."""
        return self.ask(lambda session: database.now(session))

    def ask(self, question):
        """Answer a question about the database."""
        with self.worker.parts.database.transaction() as session:
            return question(session)

    def count(self, sql: str, **values: object) -> int:
        """Return the one number that a statement finds."""
        return self.ask(lambda session: session.execute(text(sql), values).scalar_one())

    def leaving(self, language: str, role: str) -> str:
        """Return the path of the link by which a reader leaves."""
        digest = self.count("SELECT id FROM digest WHERE key = :key", key=DIGESTS[language][0])
        return f"/u/{self.worker.parts.tokens.leave(self.readers[language][role], digest, self.issues[language])}"

    def own(self, reader: int) -> str:
        """Return what stands in the fresh link of a reader, the same each time: no reader is mailed more than three a day."""
        if reader not in self.fresh:
            self.fresh[reader] = house.fresh_link(self.worker, reader)
        return self.fresh[reader]

    def work(self) -> None:
        """Do what pages asked for, and let the mail go."""
        joining.work(self.worker.parts)
        self.worker.greet()
        privacy.work(self.worker.parts)
        browsing.apart(self.worker.deliver, "transactional", seconds=5)

    def mailed(self, address: str) -> str:
        """Return the text of the newest mail to an address."""
        last = self.sink.messages_for(address)[-1]
        read = email.message_from_bytes(last.content, policy=email.policy.default)
        return read.get_body(("plain",)).get_content()

    def link(self, address: str) -> str:
        """Return the link to the page of preferences in the newest mail to an address."""
        return re.search(rf"{self.base}/p/\S+", self.mailed(address))[0]


@contextmanager
def standing(folder, urls, sink):
    """Yield a site with readers, issues, and an alert that has gone out and one that is going."""
    port = free_port()
    more = {"base_url": f"http://localhost:{port}", "exit_url": EXIT, "trusted_proxies": "127.0.0.1/32"}
    worker = house.build(folder, urls, sink.url, **more)
    web = house.build(folder, urls, sink.url, web=True, **more)
    site = Site(worker, more["base_url"], sink)
    try:
        _fill(site, folder)
        with scanning.served(create(web), port), house.judging(worker):
            yield site
    finally:
        browsing.apart(worker.close)


def _fill(site, folder):
    with site.worker.parts.database.transaction() as session:
        for language, (key, name, _) in DIGESTS.items():
            digests.add(session, key, name=name, languages=(language,), rhythm=Rhythm.WEEKLY)
        topics.add(session, "camps", name="Camps")
        topics.add(session, "courts", name="Courts")
    for language, (key, _, title) in DIGESTS.items():
        _add_readers(site, folder, language, key)
        house.add_articles(site.worker, folder, title, language=language)
        composed = publish.compose(site.worker.parts, key)
        publish.send(site.worker.parts, composed.issue)
        site.issues[language] = composed.mailing
    # What a reader's page tells of what was sent to them.
    browsing.apart(site.worker.deliver, "bulk", seconds=10)
    site.gone, site.going = (_alert(site, folder, after) for after in ("", "!"))
    for language, (key, _, _) in DIGESTS.items():
        for one in ("looks", "confirms"):
            joining.ask(site.worker.parts, Wish(f"{one}.{language}@example.org", language, {key: "weekly"}))
        joining.work(site.worker.parts)
        newest = site.ask(lambda s: list(s.execute(text("SELECT id FROM signup ORDER BY id DESC LIMIT 2")).scalars()))
        site.signups[language] = newest


def _add_readers(site, folder, language, key):
    path = folder / "readers.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("email", "name", "language"))
        writer.writerows((f"{role.replace(' ', '.')}.{language}@example.org", "Nora", language) for role in ROLES)
    permission = moving_in.Permission(Basis.IMPORTED, "a test")
    moving_in.import_subscribers(site.worker.parts, str(path), digest_key=key, permission=permission)
    newest = text("SELECT id FROM subscriber ORDER BY id DESC LIMIT :count")
    found = site.ask(lambda session: list(session.execute(newest, {"count": len(ROLES)}).scalars()))
    site.readers[language] = dict(zip(ROLES, sorted(found), strict=True))


def _alert(site, folder, after):
    paths = []
    for language, (subject, body, action) in ALERTS.items():
        path = folder / f"{language}.md"
        head = f"---\nsubject: {subject}{after}\nlanguage: {language}\naction: {action} | https://sarand.example/act\n---\n"
        path.write_text(head + body + "\n", encoding="utf-8")
        paths.append(str(path))
    number = alert.send(site.worker.parts, paths, digest_key=DIGESTS["en"][0])
    if not after:
        browsing.apart(site.worker.deliver, "urgent")
    return number


@dataclass(frozen=True)
class Go:
    """Open a page."""

    path: str


@dataclass(frozen=True)
class Open:
    """Open what is folded up."""


@dataclass(frozen=True)
class Type:
    """Type into a field."""

    field: str
    words: str


@dataclass(frozen=True)
class Press:
    """Press a button that leads to a page."""

    selector: str


def looking(site, language):
    """Return, for every page on which nothing is done for good, the steps that lead there."""
    tokens, now, old = site.worker.parts.tokens, site.now(), datetime(2024, 1, 1, tzinfo=UTC)
    reader, key = site.readers[language]["looks"], DIGESTS[language][0]
    join = f"/join?language={language}&digest={key}"
    choose, own = tokens.preferences(reader, now=now), site.own(reader)
    asked = house.yes_link(site.worker, site.signups[language][0])
    look = (Go(join), Type("#email", f"new.{language}@example.org"), Press("main form button"))
    return {
        "front": (Go("/"),),
        "archive": (Go(f"/archive/{key}"),),
        "issue": (Go(f"/archive/{key}/{site.issues[language]}/1"),),
        "alert": (Go(f"/alerts/{site.gone}/{language}"),),
        "privacy": (Go("/privacy"),),
        "help": (Go("/help"),),
        "join": (Go(join),),
        "join refused": (Go(join), Type("#email", "ann@localhost"), Press("main form button")),
        "look": look,
        "look opened": (*look, Open()),
        "look refused": (*look, Open(), Type("#code", "123456"), Press("main details button")),
        "confirm": (Go(f"/c/{asked}?language={language}"),),
        "confirm too old": (Go(f"/c/{tokens.confirm(1, now=old)}?language={language}"),),
        "preferences": (Go(f"/p/{choose}"),),
        "preferences opened": (Go(f"/p/{choose}"), Open()),
        "preferences saved": (Go(f"/p/{choose}"), Press("button[value=level]"), Open()),
        "link mailed": (Go(f"/p/{choose}"), Press("form[action*='/link'] button")),
        "own": (Go(f"/p/{own}"),),
        "sent": (Go(f"/p/{own}/sent"),),
        "leave": (Go(site.leaving(language, "looks")),),
        "erase": (Go(f"/p/{own}/erase"),),
        "old": (Go(f"/p/{tokens.preferences(reader, now=old)}"),),
        "stop": (Go(f"/h/{tokens.stop(site.going, now=now)}"),),
        "stop too late": (Go(f"/h/{tokens.stop(site.gone, now=now)}"),),
        "not found": (Go("/nowhere"),),
        "bad link": (Go("/u/nothing"),),
        "not allowed": (Go("/join/code"),),
    }


def doing(site, language):
    """Return, for every page that says what has been done, the steps that do it: once in a site's life."""
    tokens, now, old = site.worker.parts.tokens, site.now(), datetime(2024, 1, 1, tzinfo=UTC)
    reader, leave = site.readers[language], site.leaving(language, "leaves")
    confirm = house.yes_link(site.worker, site.signups[language][1])
    return {
        "joined": (Go(f"/c/{confirm}?language={language}"), Press("main form button")),
        "paused": (
            Go(f"/p/{tokens.preferences(reader['lessens'], now=now)}"),
            *(Open(), Press("form[action*='/pause'] button"), Open()),
        ),
        "less": (Go(site.leaving(language, "lessens")), Press("button[value=emergencies]")),
        "left": (Go(leave), Press("main form button")),
        "left already": (Go(leave),),
        "left by an old link": (
            Go(f"/p/{tokens.preferences(reader['left by an old link'], now=old)}"),
            Press("button[value=leave]"),
        ),
        "erased": (
            # A link that was mailed: a worker erases for nobody else.
            Go(f"/p/{house.fresh_link(site.worker, reader['erases'])}/erase"),
            Press("form[action*='/erase'] button"),
        ),
    }


def walk(page, site, steps):
    """Take steps; return the last page's answer."""
    answer = None
    for step in steps:
        match step:
            case Go(path):
                answer = page.goto(site.base + path)
            case Open():
                page.locator("main summary").first.click()
            case Type(name, words):
                page.fill(name, words)
            case Press(selector):
                with page.expect_navigation() as led:
                    page.locator(selector).first.click()
                answer = led.value
    return answer


def say(message, language, **facts):
    """Return a sentence as the pages say it."""
    return languages.say(f"web.{message}", language, **facts)
