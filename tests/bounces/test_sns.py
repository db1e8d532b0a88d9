"""Only what Amazon has signed, of our own topic, and lately, is believed."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from newsletter.bounces import sns
from newsletter.bounces.sns import BadNotice, NotBelieved, Notice, Receiver
from tests.fakes.sns import HOST, TOPIC, Sns

NOW = datetime.now(UTC)


@pytest.fixture
def amazon():
    return Sns()


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
    old = Sns(valid_for=timedelta(days=-1))
    with pytest.raises(NotBelieved, match="out of date"):
        Receiver(TOPIC, old.fetch).believe(old.notice(), now=NOW)


def test_a_stranger_cannot_make_us_fetch_for_ever(receiver, amazon):
    """Each invented name of a certificate would be a request from us to Amazon."""
    for number in range(20):
        url = f"https://{HOST}/SimpleNotificationService-{number:032x}.pem"
        body = json.dumps(json.loads(amazon.notice()) | {"SigningCertURL": url, "Signature": "AAAA"}).encode()
        with pytest.raises(NotBelieved):
            receiver.believe(body, now=NOW)
    assert len(amazon.fetched) == sns.FETCHES_A_MINUTE


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
