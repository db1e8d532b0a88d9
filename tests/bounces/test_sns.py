"""Only what Amazon has signed, of our own topic, and lately, is believed."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from newsletter.bounces import sns
from newsletter.bounces.sns import BadNotice, NotBelieved, Notice, NotNow, Receiver
from newsletter.fetching import Fetched, NotPublic, TooSlow, Unreachable
from tests.fakes.sns import CERTIFICATE, HOST, TOPIC, Sns

# Signed then as well: a whole run may last longer than a notice may lie ahead.
NOW = datetime.now(UTC)


@pytest.fixture
def amazon():
    return Sns(now=NOW)


@pytest.fixture
def receiver(amazon):
    return Receiver(TOPIC, amazon.fetch)


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("more", [{}, {"Subject": "Amazon SES Email Event Notification"}])
def test_a_signed_notice_is_believed(receiver, amazon, version, more):
    """Both versions are in use; the certificate is fetched once and kept."""
    for _ in range(3):
        found = receiver.believe(amazon.notice('{"a": 1}', version=version, **more), now=NOW)
    assert found == Notice("Notification", "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324", '{"a": 1}')
    assert len(amazon.fetched) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"Message": "other"},
        {"MessageId": "other"},
        {"Timestamp": (NOW - timedelta(minutes=1)).isoformat()},
        {"Subject": "added"},
        {"Signature": ""},
        {"Signature": "!"},
        {"Signature": "AAAA"},
        {"SignatureVersion": "1"},
        {"SignatureVersion": "3"},
        {"TopicArn": TOPIC.replace("returns", "mine")},
        {"Timestamp": (NOW - timedelta(hours=3)).isoformat()},
        {"Timestamp": (NOW + timedelta(hours=1)).isoformat()},
    ],
    ids=lambda change: " ".join(change),
)
def test_one_changed_field_is_not_believed(receiver, amazon, change):
    """Whoever can post to the page must not be able to end a single address."""
    with pytest.raises(NotBelieved):
        receiver.believe(json.dumps(json.loads(amazon.notice()) | change).encode(), now=NOW)


@pytest.mark.parametrize("hours", [-3, 1])
def test_a_signed_notice_is_believed_only_while_it_is_young(receiver, amazon, hours):
    """A notice recorded last year and posted again is as true as ever, and must do nothing."""
    with pytest.raises(NotBelieved, match="too old"):
        receiver.believe(amazon.notice(Timestamp=(NOW + timedelta(hours=hours)).isoformat()), now=NOW)


@pytest.mark.parametrize(
    "url",
    [
        f"http://{HOST}/SimpleNotificationService-{'0' * 32}.pem",
        f"https://{HOST}.evil.example/SimpleNotificationService-{'0' * 32}.pem",
        f"https://evil.example/{HOST}/SimpleNotificationService-{'0' * 32}.pem",
        f"https://{HOST}@evil.example/SimpleNotificationService-{'0' * 32}.pem",
        f"https://{HOST}:8443/SimpleNotificationService-{'0' * 32}.pem",
        f"https://sns.us-east-1.amazonaws.com/SimpleNotificationService-{'0' * 32}.pem",
        f"https://{HOST}/?x=SimpleNotificationService-{'0' * 32}.pem",
        f"https://{HOST}/SimpleNotificationService-{'0' * 32}.pem?x=1",
        f"https://{HOST}/key.pem",
        "https://[",
        "",
    ],
)
def test_a_certificate_comes_from_our_region_of_amazon_or_not_at_all(receiver, amazon, url):
    """A signature proves only who owns the certificate."""
    with pytest.raises(NotBelieved, match="certificate from elsewhere"):
        receiver.believe(json.dumps(json.loads(amazon.notice()) | {"SigningCertURL": url}).encode(), now=NOW)
    assert amazon.fetched == []


def test_a_certificate_out_of_date_signs_nothing():
    """Its key may be anybody's by now."""
    old = Sns(valid_for=timedelta(days=-1), now=NOW)
    with pytest.raises(NotBelieved, match="out of date"):
        Receiver(TOPIC, old.fetch).believe(old.notice(), now=NOW)


def forged(amazon, number):
    """A notice that names a certificate of its own, and might be signed by it."""
    url = f"https://{HOST}/SimpleNotificationService-{number:032x}.pem"
    return json.dumps(json.loads(amazon.notice()) | {"SigningCertURL": url, "Signature": "A" * 342 + "=="}).encode()


@pytest.mark.parametrize(("network", "most"), [("", sns.FETCHES_A_MINUTE), ("192.0.2.0/24", sns.FETCHES_OF_ONE)])
def test_a_stranger_cannot_make_us_fetch_for_ever(receiver, amazon, network, most):
    """Each invented name of a certificate would be a request from us to Amazon."""
    for number in range(1, most + 20):
        with pytest.raises((NotBelieved, NotNow)):
            receiver.believe(forged(amazon, number), now=NOW, network=network)
    assert len(amazon.fetched) == most


def test_what_cannot_be_a_signature_makes_us_fetch_nothing(receiver, amazon):
    """A request to Amazon is not to be had for four letters."""
    short = json.dumps(json.loads(amazon.notice()) | {"Signature": "AAAA"}).encode()
    with pytest.raises(NotBelieved, match="bad signature"):
        receiver.believe(short, now=NOW)
    assert amazon.fetched == []


def test_strangers_do_not_shut_amazon_out(receiver, amazon):
    """Whoever knows our topic invents names of certificates; a true bounce must be heard all the same."""
    for number in range(1, 51):
        with pytest.raises((NotBelieved, NotNow)):
            receiver.believe(forged(amazon, number), now=NOW, network="192.0.2.0/24")
    assert receiver.believe(amazon.notice(), now=NOW, network="198.51.100.0/24")


def test_no_name_displaces_a_certificate_that_has_proved_a_notice(receiver, amazon):
    """Old certificates of Amazon's have names that everybody knows: naming them must not make us forget ours."""
    receiver.believe(amazon.notice(), now=NOW)
    for number in range(1, sns.CERTIFICATES + 20):
        with pytest.raises(NotBelieved, match="bad signature"):
            receiver.believe(forged(amazon, number), now=NOW)
    asked = len(amazon.fetched)
    receiver.believe(amazon.notice(), now=NOW)
    assert len(amazon.fetched) == asked


@pytest.mark.parametrize(
    "answer",
    [
        Unreachable(HOST, "it does not answer"),
        TooSlow(HOST, 10.0),
        NotPublic(HOST),
        Fetched(CERTIFICATE, b"<html>please log in</html>", "text/html"),
    ],
    ids=["unreachable", "slow", "no name server", "a wall"],
)
def test_a_certificate_that_cannot_be_had_is_asked_for_again_later(amazon, answer):
    """The notice is no worse for it: Amazon is to bring it again, and until then one question is enough."""
    asked = []

    def fetch(url):
        asked.append(url)
        if isinstance(answer, Exception):
            raise answer
        return answer

    receiver = Receiver(TOPIC, fetch)
    for _ in range(3):
        with pytest.raises(NotNow):
            receiver.believe(amazon.notice(), now=NOW)
    assert len(asked) == 1


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b"\xff", b"[" * 100_000, b'{"Type": "Notification"}', b'{"": "", "Type": "x"}', b" " * 300_000],
)
def test_what_is_no_notice_is_said_to_be_none(receiver, body):
    """Scanners post everything everywhere."""
    with pytest.raises(BadNotice):
        receiver.believe(body, now=NOW)


def test_a_subscription_is_confirmed_for_our_topic_and_by_that_address_alone(receiver, amazon):
    """The answer to Amazon's question is a request from inside our network: it may go to one address only."""
    question = receiver.believe(amazon.question(), now=NOW)
    assert question.kind == "SubscriptionConfirmation"
    assert receiver.confirm(question.confirm) is True
    assert amazon.fetched[-1] == question.confirm
    asked = len(amazon.fetched)
    for url in (
        question.confirm.replace("https", "http"),
        question.confirm.replace(HOST, "127.0.0.1"),
        question.confirm.replace("returns", "mine"),
        question.confirm.replace("ConfirmSubscription", "DeleteTopic"),
        question.confirm.replace("/?", "/x?"),
        "",
    ):
        assert receiver.confirm(url) is False, url
    assert len(amazon.fetched) == asked
