"""A scanner's view of the pages: every route with real tokens in it, and what the database held before and after."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
import uvicorn
from sqlalchemy import make_url

from newsletter.addresses import EmailAddress
from newsletter.journeys import alert, joining, publish
from newsletter.operators import audit, enrolment, people
from newsletter.operators.roles import Role
from newsletter.subscribers.signup import Wish
from tests import house

ALERT = "# Lorries at Sarand\n\nFourteen lorries stand at the second gate.\n"


def routes(router, prefix=""):
    """Yield (path, methods) of every route of an application, whatever it was included by."""
    for one in router.routes:
        if hasattr(one, "methods"):
            yield prefix + one.path, frozenset(one.methods)
        else:
            yield from routes(one.original_router, prefix + one.include_context.prefix)


def dump(owner_url):
    """Return every row of every table, and where each sequence stands: a row that was written and taken back shows there."""
    url = make_url(owner_url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url) as connection:
        names = [
            name
            for (name,) in connection.execute(
                "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1"
            )
        ]
        held = {name: sorted(map(str, connection.execute(f'SELECT * FROM "{name}"').fetchall())) for name in names}
        held["sequences"] = connection.execute(
            "SELECT sequencename, last_value FROM pg_sequences ORDER BY 1"
        ).fetchall()
    return held


def files(home):
    """Return what lies in the product's folder, and how it reads: a spool, say."""
    return {str(path): path.read_bytes() for path in sorted(home.rglob("*")) if path.is_file()}


@dataclass(frozen=True)
class Ground:
    """Real links of each kind, into a product in which they all do something."""

    leave: str
    preferences: str
    old: str
    stop: str
    confirm: str
    fresh: str
    invitation: str
    issue: int
    alert: int


def ground(worker, tmp_path, now):
    """Fill a product: readers with an issue and an alert under way, and an operator who has not enrolled."""
    composed = house.issue(worker, tmp_path, addresses=house.addresses(60))
    publish.send(worker.parts, composed.issue)
    (tmp_path / "scanned.md").write_text(ALERT)
    number = alert.send(worker.parts, [str(tmp_path / "scanned.md")], digest_key=house.DIGEST)
    joining.ask(worker.parts, Wish("stranger@example.org", "en", {house.DIGEST: "weekly"}))
    joining.work(worker.parts)
    tokens = worker.parts.tokens
    with worker.parts.database.transaction() as session:
        added = people.add(
            session, EmailAddress.parse("new@sarand.example"), name="Nora", given=(Role.SENDER,), now=now
        )
        invited = enrolment.invite(session, added, enrolment.Calling.NEW, by=audit.SHELL, now=now).token
    return Ground(
        leave=tokens.leave(1, 1, composed.mailing),
        preferences=tokens.preferences(1, now=now),
        old=tokens._make(2, 1, 0, 0),
        stop=tokens.stop(number, now=now),
        confirm=house.yes_link(worker, 1),
        fresh=house.fresh_link(worker, 1),
        invitation=invited,
        issue=composed.mailing,
        alert=number,
    )


def cases(on):
    """Return, for every route there is, the paths by which a scanner meets it. A new route belongs here."""
    links = [on.leave, on.preferences, on.old, on.stop, on.confirm, on.fresh, on.invitation, "x" * 32]
    mailed = {
        path: [path.replace("{token}", link) for link in links]
        for path in (
            "/u/{token}",
            "/u/{token}/less",
            "/p/{token}",
            *(f"/p/{{token}}/{act}" for act in ("more", "pause", "resume", "link", "own", "sent", "export", "erase")),
            "/c/{token}",
            "/h/{token}",
            "/e/{token}",
        )
    }
    plain = [
        "/",
        "/privacy",
        "/help",
        "/style.css",
        "/join.js",
        "/exit.js",
        "/healthz",
        "/readyz",
        "/join",
        "/join/code",
        "/alerts/feed.xml",
        "/api/v1/openapi.json",
        "/api/v1/signups",
        "/api/v1/signups/code",
        "/console",
        "/console/login",
        "/console/second",
        "/console/passkey",
        "/console/prove",
        "/console/logout",
        "/console/passkey.js",
        "/console/account",
        "/console/account/language",
        "/console/account/sessions/end",
        "/console/account/passkeys",
        "/console/account/passkey",
        "/console/account/password",
        "/console/account/recovery",
        "/console/account/tokens",
        "/console/team",
        "/console/signups",
        "/console/signups/release",
        "/console/signups/undo",
        "/console/audit",
        "/console/alerts",
        "/console/alerts/new",
        "/console/mandates",
        "/console/mandates/new",
        "/api/v1/me",
        "/api/v1/audit/head",
        "/hooks/ses",
    ]
    numbered = {
        "/archive/{digest}": [f"/archive/{house.DIGEST}"],
        "/archive/{digest}/{mailing}/{number}": [f"/archive/{house.DIGEST}/{on.issue}/1"],
        "/pictures/{name}.jpg": ["/pictures/none.jpg"],
        "/console/account/sessions/{session}/end": ["/console/account/sessions/1/end"],
        "/console/account/passkeys/{passkey}/remove": ["/console/account/passkeys/1/remove"],
        "/console/account/tokens/{token}/end": ["/console/account/tokens/1/end"],
        "/console/team/{operator}/vouch": ["/console/team/1/vouch"],
        "/console/team/{operator}/disable": ["/console/team/1/disable"],
        "/console/team/{operator}/logout": ["/console/team/1/logout"],
        "/console/alerts/errands/{errand}": ["/console/alerts/errands/1"],
        "/console/mandates/{number}": ["/console/mandates/1"],
        "/console/mandates/{number}/sign": ["/console/mandates/1/sign"],
        "/console/mandates/{number}/end": ["/console/mandates/1/end"],
    }
    of_alert = {
        path: [path.format(number=on.alert, language="en", version=1)]
        for path in (
            "/alerts/{number}",
            "/alerts/{number}/{language}",
            "/alerts/{number}/cap.xml",
            "/api/v1/alerts/{number}/stop",
            "/console/alerts/{number}",
            "/console/alerts/{number}/preview/{version}",
            "/console/alerts/{number}/as/{version}",
            *(f"/console/alerts/{{number}}/{act}" for act in ALERT_ACTS),
        )
    }
    return {path: [path] for path in plain} | mailed | numbered | of_alert


ALERT_ACTS = (
    "edit",
    "lock",
    "want-lock",
    "release",
    "alone",
    "mandated",
    "retract",
    "extend",
    "approve",
    "pause",
    "resume",
    "stop",
)


def answers(on):
    """Return the paths that a person may look at, each of which shows them something: here a scanner could do harm."""
    return [
        "/",
        f"/u/{on.leave}",
        f"/p/{on.preferences}",
        f"/p/{on.old}",
        f"/p/{on.fresh}",
        f"/p/{on.fresh}/sent",
        f"/p/{on.fresh}/erase",
        f"/c/{on.confirm}",
        "/join",
        f"/h/{on.stop}",
        f"/e/{on.invitation}",
        f"/archive/{house.DIGEST}",
        f"/archive/{house.DIGEST}/{on.issue}/1",
        "/alerts/feed.xml",
        f"/alerts/{on.alert}",
        f"/alerts/{on.alert}/en",
        "/privacy",
        "/help",
        "/api/v1/openapi.json",
    ]


@contextmanager
def served(app, port=0) -> Iterator[str]:
    """Serve the pages on loopback, on a port that is held from the first; yield their address."""
    with socket.create_server(("127.0.0.1", port), backlog=2048) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_keep_alive=60))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive(), "the pages did not start"
                time.sleep(0.02)
            yield f"http://localhost:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(timeout=20)
