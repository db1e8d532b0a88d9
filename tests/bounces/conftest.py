"""Keys and the router over them, for tests of what takes mail in."""

import pytest

from newsletter.bounces.routing import Router
from newsletter.tokens import Tokens
from newsletter.vault import Keyring

DOMAIN = "bounce.sarand.example"


@pytest.fixture
def tokens(keyring: Keyring) -> Tokens:
    return Tokens(keyring.token.live, keyring.token.keys)


@pytest.fixture
def router(tokens: Tokens) -> Router:
    return Router(tokens, domain=DOMAIN, sender="news@sarand.example")
