"""Where the parts meet: wrong keys, empty databases and missing servers are named before anything is done."""

import pytest

from newsletter import assembly, settings
from newsletter.assembly import BadSender, NoServers
from newsletter.database import NotMigrated
from newsletter.vault import Keyring, WrongKeys
from tests import house


def chosen(tmp_path, **more):
    keys = tmp_path / "keys" / "keys.json"
    if not keys.exists():
        Keyring.create(keys)
    return settings.read(home=tmp_path / "home", keys=keys, redis_url=None, **more)


def test_another_key_file_is_refused_at_once(tmp_path, database_urls):
    """What a wrong key seals can never be opened beside what the right one sealed: better to do nothing."""
    house.build(tmp_path, database_urls, "smtp://127.0.0.1:9").close()
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(WrongKeys):
        assembly.assemble(chosen(other, database_url=database_urls.worker))


def test_an_empty_database_is_named_with_what_to_do(tmp_path, empty_database_urls):
    """A traceback about a missing relation helps nobody at two in the morning."""
    with pytest.raises(NotMigrated):
        assembly.assemble(chosen(tmp_path, database_url=empty_database_urls.worker))


def test_no_servers_is_named_with_what_to_do(tmp_path):
    """The first thing a new operator meets."""
    with pytest.raises(NoServers):
        assembly.assemble(chosen(tmp_path, database_url=None))


def test_a_sender_that_is_no_address_is_refused(tmp_path):
    """It would stand in the From of every mail."""
    for sender in ("The Campaign", "X <news@sarand.example>\nBcc: all@sarand.example", "\u202eX <news@sarand.example>"):
        with pytest.raises(BadSender):
            assembly.letterhead(chosen(tmp_path, sender=sender))
