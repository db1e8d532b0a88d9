"""What stories of alerts share: a text, and the product as the pages run it."""

import pytest

from tests import house
from tests.journeys.alerting import TEXT
from tests.journeys.nights import begun as begun


@pytest.fixture
def words(tmp_path):
    path = tmp_path / "alert.md"
    path.write_text(TEXT)
    return [str(path)]


@pytest.fixture
def pages(tmp_path, database_urls, sink, newsletter):
    web = house.build(tmp_path, database_urls, sink.url, web=True)
    yield web
    web.close()
