"""newsletter intake: takes in what comes back, until it is told to end."""

import logging
import signal
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import structlog
import typer

from newsletter import logs
from newsletter.assembly import Newsletter
from newsletter.bounces import intake as server
from newsletter.bounces import maildir as folder
from newsletter.bounces import probing
from newsletter.cli.door import AsJson, newsletter, screen, show
from newsletter.database import FAILURES
from newsletter.journeys import inbound, returns

log = structlog.get_logger()

EVERY_SECONDS = 3600.0
LOOK_SECONDS = 1.0

Folder = Annotated[Path | None, typer.Option(help="Take mail from this folder instead of listening.")]


def intake(maildir: Folder = None, as_json: AsJson = False) -> None:
    """Take in what comes back: unsubscribe mail, bounces, complaints, replies. Listens for LMTP until told to end."""
    logs.configure("INFO")
    logging.getLogger("mail.log").setLevel(logging.WARNING)  # aiosmtpd writes a line for each command
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with newsletter() as made:
        inbound.router(made.parts)
        if maildir is None:
            _listen(made, ended, as_json=as_json)
        else:
            folder.check(maildir)
            _watch(made, maildir, ended, as_json=as_json)


def _listen(made: Newsletter, ended: threading.Event, *, as_json: bool) -> None:
    host, port = made.settings.intake
    known = inbound.router(made.parts)
    answering = server.Intake(known, partial(returns.take, made.parts), peers=made.settings.lmtp_peers)

    def ready(actual: int) -> None:
        # Where it listens everywhere, this machine is the nearest.
        test = partial(probing.deliver, "127.0.0.1" if host in ("0.0.0.0", "::") else host, actual)  # noqa: S104
        _announce(made, {"lmtp": f"{host}:{actual}"}, test, as_json=as_json)
        threading.Thread(target=_hourly, args=(made, test, ended), daemon=True).start()

    server.serve(answering, (host, port), ready=ready, ended=ended)


def _watch(made: Newsletter, path: Path, ended: threading.Event, *, as_json: bool) -> None:
    box = folder.Folder(path, inbound.router(made.parts), partial(returns.take, made.parts))

    def test(recipient: str) -> None:
        name = f"{recipient.partition('@')[0]}.self-test"
        (path / "tmp").mkdir(exist_ok=True)
        (path / "tmp" / name).write_bytes(probing.message(recipient))
        (path / "tmp" / name).rename(path / "new" / name)
        box.work()

    _announce(made, {"maildir": str(path)}, test, as_json=as_json)
    threading.Thread(target=_hourly, args=(made, test, ended), daemon=True).start()
    while not ended.wait(LOOK_SECONDS):
        box.work()


def _announce(made: Newsletter, where: dict[str, Any], test: Callable[[str], None], *, as_json: bool) -> None:
    passed = _test(made, test)
    document = {**where, "domain": inbound.router(made.parts).domain, "self_test": passed}
    words = f"Taking in mail for {document['domain']}. Self-test: {'passed' if passed else 'failed'}."
    show(document, as_json=as_json, words=lambda: screen.print(words, soft_wrap=True))


def _test(made: Newsletter, deliver: Callable[[str], None]) -> bool:
    """Run the self-test; what goes wrong in it is an answer too."""
    try:
        return inbound.self_test(made.parts, deliver)
    except (OSError, *FAILURES) as error:  # smtplib's errors are OSErrors
        log.error("self-test failed", why=type(error).__name__)
        return False


def _hourly(
    made: Newsletter, test: Callable[[str], None], ended: threading.Event, *, every_seconds: float = EVERY_SECONDS
) -> None:
    """Test and tidy until told to end, whatever the database does meanwhile: nobody starts this again."""
    while not ended.wait(every_seconds):
        log.info("self-test", passed=_test(made, test))
        try:
            returns.tidy(made.parts)
        except FAILURES as error:
            log.warning("nothing tidied", why=type(error).__name__)
