"""Two ways into one database: as the worker, who adds operators, and as the pages, who log them in."""

from collections.abc import Iterator

import pytest

from newsletter.database import Database
from newsletter.vault import Keyring, Vault
from tests.operators.crew import Crew
from tests.servers import Urls


@pytest.fixture
def web(database_urls: Urls, keyring: Keyring) -> Iterator[Database]:
    """The database as the pages open it."""
    opened = Database(database_urls.web, Vault(keyring))
    yield opened
    opened.close()


@pytest.fixture
def crew(database: Database, web: Database) -> Crew:
    """Whoever a test needs to log in."""
    return Crew(database, web)
