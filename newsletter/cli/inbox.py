"""A local inbox for the demo: a real SMTP server on loopback that keeps what it is given, and a page to read it."""

import asyncio
import email
import email.policy
import html
import threading
from dataclasses import dataclass, field
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session


@dataclass
class Inbox:
    """What came in, in order. Use as a context manager."""

    received: list[tuple[str, bytes]] = field(default_factory=list)

    def __enter__(self) -> "Inbox":
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def _listen(self) -> asyncio.Server:
        def session() -> SMTP:
            return SMTP(self, enable_SMTPUTF8=True, data_size_limit=2**25, hostname="inbox.example")

        return await asyncio.get_running_loop().create_server(session, "127.0.0.1", 0)

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)

    @property
    def url(self) -> str:
        """The inbox as a relay."""
        return f"smtp://127.0.0.1:{self.port}?connections=4"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 (aiosmtpd's name)
        """Keep a message; called by aiosmtpd."""
        content = envelope.content
        assert isinstance(content, bytes)
        self.received.extend((recipient, content) for recipient in envelope.rcpt_tos)
        return "250 kept"

    def parsed(self, place: int) -> EmailMessage:
        """Return a message as a mail program reads it."""
        found = email.message_from_bytes(self.received[place][1], policy=email.policy.default)
        assert isinstance(found, EmailMessage)
        return found


_PAGE = """<!doctype html><meta charset=utf-8><title>Inbox of the demo</title>
<style>:root{{color-scheme:light dark}}body{{font:17px/1.5 Georgia,serif;max-width:60rem;margin:2rem auto;padding:0 1rem}}
td{{padding:.4rem 1rem .4rem 0;border-bottom:1px solid #8884}}</style>
<h1>Inbox of the demo</h1><p>{summary}</p><table>{rows}</table>"""


class InboxPage:
    """Shows an inbox on a port of its own, on loopback, until closed."""

    def __init__(self, inbox: Inbox, summary: str) -> None:
        page = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = page.answer(self.path)
                self.send_response(200 if body else 404)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
                self.end_headers()
                self.wfile.write((body or "There is no such page.").encode())

            def log_message(self, *_: Any) -> None:
                pass

        self._inbox, self._summary = inbox, summary
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def answer(self, path: str) -> str | None:
        """Return the page of a path: the list, or one message's HTML part."""
        if path == "/":
            newest = range(len(self._inbox.received) - 1, max(-1, len(self._inbox.received) - 201), -1)
            return _PAGE.format(summary=html.escape(self._summary), rows="".join(map(self._row, newest)))
        number = path.removeprefix("/")
        if not number.isdigit() or int(number) >= len(self._inbox.received):
            return None
        part = self._inbox.parsed(int(number)).get_body(("html",))
        return str(part.get_content()) if part else None

    def _row(self, place: int) -> str:
        found = self._inbox.parsed(place)
        subject, to = html.escape(str(found["subject"])), html.escape(str(found["to"]))
        return f'<tr><td><a href="/{place}" dir="auto">{subject}</a></td><td>{to}</td></tr>'

    def close(self) -> None:
        """Stop showing it."""
        self._server.shutdown()
