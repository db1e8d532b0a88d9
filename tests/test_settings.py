"""What an operator sets: wrong values are named before anything is done, and no secret is ever shown."""

import os
from datetime import time

import pytest

from newsletter import settings
from newsletter.settings import BadSettings, Settings


@pytest.fixture(autouse=True)
def environment(tmp_path):
    """An environment without any setting of ours, put back at the end."""
    before = dict(os.environ)
    ours = {f"NEWSLETTER_{field.upper()}{ending}" for field in Settings.model_fields for ending in ("", "_FILE")}
    for name in ours & before.keys():
        del os.environ[name]
    os.environ["HOME"] = str(tmp_path)
    yield os.environ
    os.environ.clear()
    os.environ.update(before)


def test_every_setting_may_come_from_a_file(environment, tmp_path):
    """Secrets are mounted as files; a name that cannot is one that ends in a list of processes."""
    good = {
        "redis_url": "redis://:secret@127.0.0.1:6379/0",
        "relay_url": "smtp://user:secret@127.0.0.1:25",
        "sender": "Friends of Sarand <news@sarand.example>",
        "postal_address": "7 Lantern Yard\nLondon",
    }
    for name, value in good.items():
        (tmp_path / name).write_text(f"{value}\n", encoding="utf-8")
        environment[f"NEWSLETTER_{name.upper()}_FILE"] = str(tmp_path / name)
    read = settings.read()
    assert {name: settings.reveal(getattr(read, name)) for name in ("redis_url", "relay_url")} == {
        name: good[name] for name in ("redis_url", "relay_url")
    }
    assert (read.sender, read.postal_address) == (good["sender"], good["postal_address"])
    assert "secret" not in repr(read)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REDIS_URL", "rubbish"),
        ("REDIS_URL", "http://:secret@127.0.0.1/0"),
        ("REDIS_URL", "redis://:secret@127.0.0.1:six/0"),
        ("DATABASE_URL", "mysql://a:secret@127.0.0.1/x"),
        ("BASE_URL", "ftp://sarand.example"),
        ("TEMPLATES", "/nowhere/at/all"),
        ("FETCH_ALLOW", "127.0.0.0/99"),
        ("TRANCHE_PAUSE", "soon"),
    ],
)
def test_a_value_that_cannot_be_is_named_without_being_shown(environment, name, value):
    """Whoever mistypes an address learns which setting it is; whoever reads the log learns no password."""
    environment[f"NEWSLETTER_{name}"] = value
    with pytest.raises(BadSettings) as refused:
        settings.read()
    assert f"NEWSLETTER_{name}" in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_file_that_cannot_be_read_is_named(environment, tmp_path):
    """A secret that is missing, a folder, or no text must not become an empty password, nor a traceback."""
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "nowhere", tmp_path, tmp_path / "bytes"):
        environment["NEWSLETTER_REDIS_URL_FILE"] = str(path)
        with pytest.raises(BadSettings, match="NEWSLETTER_REDIS_URL_FILE"):
            settings.read()


def test_an_empty_file_is_a_setting_that_is_not_set(environment, tmp_path):
    """Compose mounts every secret; a lane without a relay of its own has an empty file and uses the common one."""
    (tmp_path / "empty").write_text("\n")
    for name in ("RELAY_URL_URGENT", "DKIM_KEY", "REDIS_URL", "DATABASE_URL", "TEMPLATES"):
        environment[f"NEWSLETTER_{name}_FILE"] = str(tmp_path / "empty")
    environment["NEWSLETTER_RELAY_URL"] = "smtp://127.0.0.1:2525"
    read = settings.read()
    assert read.relays["urgent"] == "smtp://127.0.0.1:2525"
    unset = (settings.reveal(read.dkim_key), settings.reveal(read.redis_url), settings.reveal(read.database_url))
    assert not any(unset)
    assert read.templates is None


def test_both_forms_of_one_name_are_a_contradiction(environment, tmp_path):
    """Nobody could tell which of the two is used."""
    (tmp_path / "sender").write_text("a@sarand.example")
    environment["NEWSLETTER_SENDER"] = "b@sarand.example"
    environment["NEWSLETTER_SENDER_FILE"] = str(tmp_path / "sender")
    with pytest.raises(BadSettings, match="both set"):
        settings.read()


def test_keys_never_lie_inside_the_data(environment, tmp_path):
    """A backup of the data would hold what opens it."""
    environment["NEWSLETTER_HOME"] = str(tmp_path / "home")
    environment["NEWSLETTER_KEYS"] = str(tmp_path / "home" / "keys.json")
    with pytest.raises(BadSettings, match="NEWSLETTER_KEYS"):
        settings.read()


@pytest.mark.parametrize("said", ["", "never", "Never "])
def test_the_drill_can_be_left_out(environment, said):
    """Whoever sets the hour by a default has a word to take it back by."""
    environment["NEWSLETTER_DRILL_AT"] = said
    assert settings.read().drill_at is None
    environment["NEWSLETTER_DRILL_AT"] = "05:30"
    assert settings.read().drill_at == time(5, 30)
