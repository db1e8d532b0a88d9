"""What we say holds on the other side of a real Postfix: signatures, return paths, and what its log tells of doubts."""

import json
import re
import time
from datetime import UTC, datetime

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from pydantic import SecretStr
from sqlalchemy import text

from newsletter.composer import signing
from newsletter.delivery.relaylog import RelayLog
from newsletter.journeys import publish
from tests import house
from tests.fakes import smtp
from tests.judges import postfix

READERS = ["ann+news@example.org", "bo@example.net", "jo@example.com"]


def pem(key):
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


@pytest.fixture
def delivered(tmp_path, database_urls):
    """A signed digest for three that has gone through Postfix: (product, sink behind it, keys, the relay's log, mailing)."""
    secrets = f"s1\n{pem(rsa.generate_private_key(65537, 2048))}\ns2\n{pem(ed25519.Ed25519PrivateKey.generate())}"
    sink = smtp.Sink(extensions=("SIZE 33554432", "8BITMIME", "SMTPUTF8", "DSN"))
    with smtp.running(sink), postfix.relaying(sink.port) as relay:
        made = house.build(
            tmp_path,
            database_urls,
            relay.url,
            bounce_domain="bounces.sarand.example",
            dkim_key=SecretStr(secrets),
            relay_log=relay.log,
        )
        composed = house.issue(made, tmp_path, addresses=READERS)
        publish.send(made.parts, composed.issue)
        made.deliver("bulk", seconds=10)
        deadline = time.monotonic() + 20
        while len(sink.messages) < len(READERS):
            assert time.monotonic() < deadline, "Postfix has not handed everything on"
            time.sleep(0.05)
        yield made, sink, signing.keys(secrets), relay.log, composed.mailing
        made.close()


@pytest.mark.proof
@pytest.mark.short
def test_two_verifiers_find_what_came_through_postfix_well_signed(delivered, judges, tmp_path):
    """A relay adds lines, unfolds and folds: only what is good after that is good for a reader (standards §13)."""
    _, sink, keys, _, _ = delivered
    records = {f"{key.selector}._domainkey.sarand.example": key.record for key in keys}

    def ask(name, timeout=5):
        return records[name.decode()[:-1]].encode()

    paths = []
    for number, message in enumerate(sink.messages):
        assert b"by relay.test (Postfix)" in message.content
        looking = dkim.DKIM(message.content)
        assert [looking.verify(idx=place, dnsfunc=ask) for place in range(2)] == [True, True]
        paths.append(tmp_path / f"{number}.eml")
        paths[-1].write_bytes(message.content)
    (tmp_path / "in.json").write_text(json.dumps({"paths": [str(path) for path in paths], "zone": records}))
    for found in judges.ask("dkim.mjs", str(tmp_path / "in.json")):
        assert sorted(found) == [["s1", "pass", "sarand.example"], ["s2", "pass", "sarand.example"]]


@pytest.mark.proof
@pytest.mark.short
def test_a_delivery_is_named_on_the_far_side_of_postfix(delivered):
    """The server that bounces a week later has the return path, ENVID and ORCPT that we gave."""
    made, sink, _, _, mailing = delivered
    with made.parts.database.transaction() as session:
        mailboxes = set(session.execute(text("SELECT mailbox_id FROM delivery")).scalars())
    named = {
        made.parts.tokens.read_return_path(message.sender.partition("@")[0], now=datetime.now(UTC))
        for message in sink.messages
    }
    assert named == {(mailing, mailbox) for mailbox in mailboxes}
    mails = [said for said in sink.said if said.startswith("MAIL")]
    assert all(f"ENVID={said[said.index('<') + 1 : said.index('@')]}" in said for said in mails)
    assert any("ORCPT=rfc822;ann+2Bnews@example.org" in said for said in sink.said)


@pytest.mark.proof
@pytest.mark.short
def test_what_is_in_doubt_is_found_in_the_log_that_postfix_writes(delivered):
    """The lines we read in it are its own, not our memory of them: a doubt is settled and nobody has it twice."""
    made, sink, _, log, _ = delivered
    named = (re.search(rb"(?i)\r\nmessage-id: <([^>]+)>", message.content) for message in sink.messages)
    wanted = {found[1].decode() for found in named}
    assert RelayLog(log).taken(wanted | {"never@sarand.example"}) == wanted
    with made.parts.database.transaction() as session:
        session.execute(text("UPDATE delivery SET state = 'uncertain', uncertain_at = now(), code = NULL"))
    made.sweep()
    with made.parts.database.transaction() as session:
        assert session.execute(text("SELECT DISTINCT state, reason FROM delivery")).all() == [("accepted", "relay log")]
