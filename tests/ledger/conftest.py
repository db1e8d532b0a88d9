"""A house with a sink as its relay."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from newsletter.assembly import Newsletter
from tests import house
from tests.fakes import smtp
from tests.servers import Urls


@pytest.fixture
def sink() -> Iterator[smtp.Sink]:
    """A relay that takes everything and remembers it."""
    with smtp.running(smtp.Sink()) as running:
        yield running


@pytest.fixture
def newsletter(tmp_path: Path, database_urls: Urls, sink: smtp.Sink) -> Iterator[Newsletter]:
    """A product that sends to the sink."""
    made = house.build(tmp_path, database_urls, f"{sink.url}?connections=4")
    yield made
    made.close()
