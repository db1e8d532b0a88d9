"""A backup is restored: whoever left since it was made stays away, by the commands of docs/operating.md as they stand there."""

import re
import shutil
import subprocess
import textwrap
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from newsletter.journeys import leaving, spooling
from tests import house

MANUAL = Path(__file__).parents[2] / "docs" / "operating.md"
TAKE = "SELECT subscriber_id FROM subscription WHERE ended_at IS NULL ORDER BY 1"


def commands():
    """Return the commands that keep who left, and those that put them into the spool."""
    [chapter] = re.findall(r"\n## Backups\n(.*?)\n## ", MANUAL.read_text(encoding="utf-8"), re.DOTALL)
    chapter = chapter.partition("**Who left since")[2]
    blocks = re.findall(r"(?:^    .*\n|^\n(?=    ))+", chapter, re.MULTILINE)
    keep, replay = (textwrap.dedent(block) for block in blocks[:2])
    return keep, replay


@pytest.fixture
def shell(newsletter, database_urls, tmp_path):
    """Run commands as an operator does, against the database and the folder of this test."""
    if not shutil.which("psql"):
        pytest.skip("psql is not on this machine (Debian: apt install postgresql-client)")
    given = {
        "PATH": "/usr/bin:/bin",
        "url": database_urls.owner.replace("+psycopg", ""),
        "NEWSLETTER_HOME": str(newsletter.settings.home),
    }

    def run(script):
        ran = subprocess.run(
            ["bash", "-euc", script], cwd=tmp_path, env=given, capture_output=True, text=True, timeout=120
        )
        assert ran.returncode == 0, ran.stderr

    return run


@pytest.fixture
def backup(newsletter, database_urls):
    """Return who makes a copy of the database, and who puts it in its place."""
    url = make_url(database_urls.admin)
    name, copy = str(url.database), f"{url.database}_copy"
    server = create_engine(url.set(database="postgres"), isolation_level="AUTOCOMMIT")

    def put(source, into):
        newsletter.parts.database.close()
        with server.connect() as admin:
            admin.execute(text(f'DROP DATABASE IF EXISTS "{into}" WITH (FORCE)'))
            admin.execute(text(f'CREATE DATABASE "{into}" TEMPLATE "{source}" OWNER newsletter_owner'))

    yield partial(put, name, copy), partial(put, copy, name)
    with server.connect() as admin:
        admin.execute(text(f'DROP DATABASE IF EXISTS "{copy}" WITH (FORCE)'))
    server.dispose()


def take(made):
    with made.parts.database.transaction() as session:
        return list(session.execute(text(TAKE)).scalars())


def leave(made, reader, digest):
    with made.parts.database.transaction() as session:
        leaving.end(session, reader, digest)


def test_who_left_since_the_backup_stays_away(newsletter, tmp_path, shell, backup):
    """They were told "done"; a restore that subscribes them again makes a lie of it, and a complaint of the next mail."""
    keep, replay = commands()
    house.add_readers(newsletter, tmp_path, house.addresses(5))
    leave(newsletter, 1, 1)
    made, restored = backup
    made()
    leave(newsletter, 2, 1)
    leave(newsletter, 3, None)
    with newsletter.parts.database.transaction() as session:
        complained = (
            "INSERT INTO suppression (mailbox_id, reason) SELECT mailbox_id, 'complaint' FROM subscriber WHERE id = 4"
        )
        session.execute(text(complained))
    # Somebody else is given her number after the restore: it must not be they who leave.
    house.add_readers(newsletter, tmp_path, ["new@example.org"])
    leave(newsletter, 6, None)
    shell(keep)
    assert "example.org" not in (tmp_path / "left.jsonl").read_text()
    restored()
    assert take(newsletter) == [2, 3, 4, 5]
    house.add_readers(newsletter, tmp_path, ["other@example.org"])
    shell(replay)
    newsletter.sweep()
    assert take(newsletter) == [5, 6]
    assert spooling.waiting(newsletter.settings.home) == 0
