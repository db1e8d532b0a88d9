"""Where the parts meet: wrong keys, empty databases and missing servers are named before anything is done."""

from datetime import time as clock
from datetime import timedelta
from ipaddress import ip_network

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from newsletter import assembly, settings
from newsletter.assembly import BadSender, NoServers
from newsletter.database import NotMigrated
from newsletter.journeys import consenting
from newsletter.ledger.mailings import Lane
from newsletter.operators import pins
from newsletter.operators.passkeys import Site
from newsletter.settings import Settings
from newsletter.vault import Keyring, WrongKeys
from tests import house
from tests.test_settings import environment as environment


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
    with pytest.raises(BadSender):
        assembly.letterhead(
            chosen(tmp_path, sender="X <news@sarand.example>", discreet_name="News\nBcc: all@sarand.example")
        )


def pem():
    """A key as its owner writes it."""
    key = ed25519.Ed25519PrivateKey.generate()
    spelled = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return "s7\n" + key.private_bytes(*spelled).decode()


def signed(made):
    return assembly.signer(made.settings).sign(b"From: a\r\n\r\nb\r\n")


def hosts(made, lane):
    return [relay.host for relay in made.parts.relays[lane]]


TOPIC = "arn:aws:sns:eu-west-1:123456789012:returns"
# For each setting: what stands in the environment, what is asked of the assembled product, and what it says then.
REACH = {
    "database_url": (None, lambda made: made.parts.database.engine.url.drivername, "postgresql+psycopg"),
    "migrate_url": (
        "postgresql://owner:x@127.0.0.1:9/n",
        lambda m: m.urls.owner,
        "postgresql+psycopg://owner:x@127.0.0.1:9/n",
    ),
    "redis_url": ("redis://127.0.0.1:9/3", lambda made: made.urls.redis, "redis://127.0.0.1:9/3"),
    "relay_url": ("smtp://far.example:25", lambda made: hosts(made, Lane.BULK), ["far.example"]),
    "relay_url_urgent": ("smtp://fast.example:25", lambda made: hosts(made, Lane.URGENT), ["fast.example"]),
    "relay_url_transactional": ("smtp://sure.example", lambda made: hosts(made, Lane.TRANSACTIONAL), ["sure.example"]),
    "base_url": ("https://news.example/", lambda made: made.parts.letterhead.base_url, "https://news.example"),
    "sender": ("X <x@sarand.example>", lambda made: made.parts.letterhead.sender_address, "x@sarand.example"),
    "postal_address": ("1 Mole End", lambda made: made.parts.letterhead.postal_address, "1 Mole End"),
    "discreet_name": (" Reading ", lambda made: made.parts.letterhead.discreet_name, "Reading"),
    "mirror_url": ("https://two.example/", lambda made: made.parts.letterhead.mirror_url, "https://two.example"),
    "exit_url": ("https://weather.example/", lambda made: made.settings.exit_url, "https://weather.example/"),
    "bounce_domain": (" Back.Example", lambda made: made.parts.router.domain, "back.example"),
    "lmtp": ("127.0.0.1:2424", lambda made: made.settings.intake, ("127.0.0.1", 2424)),
    "lmtp_peers": ("192.0.2.7/32", lambda made: made.settings.lmtp_peers, (ip_network("192.0.2.7/32"),)),
    "ses_topic": (TOPIC, lambda made: made.parts.notices is not None, True),
    "dkim_key": (pem(), lambda made: signed(made)[:15], b"DKIM-Signature:"),
    "relay_log": ("/var/log/mail.log", lambda made: str(made.settings.relay_log), "/var/log/mail.log"),
    "tranche_pause": ("7", lambda made: made.parts.tranche_pause, timedelta(minutes=7)),
    "sensitive_cause": (
        "the camps of  Sarand",
        lambda made: "about the camps of Sarand." in consenting.wording(made.parts, "en"),
        True,
    ),
    "drill_at": ("06:10", lambda made: made.parts.drill_at, clock(6, 10)),
    "time_zone": ("Asia/Tehran", lambda made: str(made.parts.zone), "Asia/Tehran"),
    "one_person_up_to": ("12", lambda made: made.parts.house.rules.few, 12),
    "alone_after": ("9", lambda made: made.parts.house.rules.alone, timedelta(minutes=9)),
    "codes_up_to": ("34", lambda made: made.parts.house.rules.codes_to, 34),
    "approvers": ("{tmp}/pins.json", lambda made: made.parts.house.pins().site.host, "pages.example"),
    "hook": ("ring the bell", lambda made: made.parts.hook, "ring the bell"),
    "canaries": (
        "lamp@sarand.example",
        lambda made: [one.wire for one in made.parts.canaries],
        ["lamp@sarand.example"],
    ),
    "export_alone_up_to": ("9", lambda made: made.parts.export_alone, 9),
    "erasures": ("{tmp}/gone.jsonl", lambda made: made.parts.journal.name, "gone.jsonl"),
    "home": ("{tmp}/elsewhere", lambda made: made.parts.home.name, "elsewhere"),
    "keys": ("{tmp}/keys/keys.json", lambda made: made.parts.tokens.harmless() != "", True),
    "templates": ("{tmp}/own", lambda made: made.parts.house.frames("frames/mine.md"), "Ours\n"),
    "fetch_allow": ("10.1.0.0/16", lambda made: made.parts.fetch_allow, (ip_network("10.1.0.0/16"),)),
    "trusted_proxies": ("10.2.0.0/16", lambda made: made.settings.trusted_proxies, (ip_network("10.2.0.0/16"),)),
}


def test_no_setting_is_forgotten_below():
    """A new one is added to the table, or nobody shows that it does anything."""
    assert set(REACH) == set(Settings.model_fields)


@pytest.mark.parametrize("name", REACH)
def test_each_setting_reaches_what_it_sets(name, tmp_path, database_urls, environment):
    """A setting that is read and passed to nobody looks to an operator as if it were obeyed."""
    pins.write(tmp_path / "pins.json", Site("pages.example", "https://pages.example", "pages.example"), [])
    (tmp_path / "own" / "frames").mkdir(parents=True)
    (tmp_path / "own" / "frames" / "mine.md").write_text("Ours\n")
    Keyring.create(tmp_path / "keys" / "keys.json")
    usual = {
        "NEWSLETTER_DATABASE_URL": database_urls.worker,
        "NEWSLETTER_KEYS": str(tmp_path / "keys" / "keys.json"),
        "NEWSLETTER_HOME": str(tmp_path / "home"),
        "NEWSLETTER_SENDER": "Friends of Sarand <news@sarand.example>",
        # A relay on this machine is given no pause between the tranches.
        "NEWSLETTER_RELAY_URL": "smtp://relay.example:25",
    }
    value, asked, expected = REACH[name]
    if value is not None:
        usual[f"NEWSLETTER_{name.upper()}"] = value.replace("{tmp}", str(tmp_path))
    environment.update(usual)
    made = assembly.assemble()
    try:
        assert asked(made) == expected
    finally:
        made.close()


def test_a_relay_on_this_machine_is_given_no_pause(tmp_path, database_urls):
    """It is a queue of our own: waiting a quarter of an hour would try nobody's patience but the operator's."""
    made = house.build(tmp_path, database_urls, "smtp://127.0.0.1:9", tranche_pause=7)
    made.close()
    assert made.parts.tranche_pause == timedelta(0)
