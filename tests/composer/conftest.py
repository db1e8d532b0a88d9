"""One layout for the tests of a process: its templates are read once, as a worker's are."""

import pytest

from newsletter.composer.inlining import Layout
from newsletter.templating import Templates


@pytest.fixture(scope="session")
def layout() -> Layout:
    """The bundled templates."""
    return Layout(Templates())
