"""A notice of Amazon SES comes in by a page and is dealt with by a worker."""

import dataclasses
import json
from datetime import UTC, datetime

import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from newsletter.bounces.sns import Receiver
from newsletter.fetching import Unreachable
from newsletter.journeys import publish, returns
from newsletter.web import create
from tests import house
from tests.fakes.sns import TOPIC, Sns

DOMAIN = "bounce.sarand.example"


@pytest.fixture
def amazon():
    return Sns()


@pytest.fixture
def worker(newsletter, tmp_path, sink):
    """The product as a worker, after an issue to two readers."""
    composed = house.issue(newsletter, tmp_path, addresses=["ann@example.org", "ben@example.org"])
    publish.send(newsletter.parts, composed.issue)
    newsletter.sweep()
    newsletter.deliver("bulk")
    return newsletter


@pytest.fixture
def pages(worker, tmp_path, database_urls, amazon):
    """The pages as the web's role, believing our own Amazon."""
    made = house.build(tmp_path, database_urls, "smtp://127.0.0.1:9", web=True)
    for one in (made, worker):
        one.parts = dataclasses.replace(one.parts, notices=Receiver(TOPIC, amazon.fetch))
    with TestClient(create(made), raise_server_exceptions=False) as client:
        yield client


def ask(worker, sql):
    with worker.parts.database.transaction() as session:
        return [tuple(row) for row in session.execute(text(sql))]


def bounced(worker):
    """What SES says of the first reader's mail."""
    mailing, mailbox = ask(worker, "SELECT mailing_id, mailbox_id FROM delivery ORDER BY mailbox_id LIMIT 1")[0]
    source = f"{worker.parts.tokens.return_path(mailing, mailbox, now=datetime.now(UTC))}@{DOMAIN}"
    one = {"emailAddress": "ann@example.org", "status": "5.1.1", "diagnosticCode": "smtp; 550 5.1.1 user unknown"}
    said = {"bounceType": "Permanent", "bounceSubType": "General", "bouncedRecipients": [one]}
    return json.dumps({"notificationType": "Bounce", "mail": {"source": source}, "bounce": said})


def test_a_bounce_told_by_amazon_ends_the_address_once(pages, worker, amazon):
    """SNS repeats itself, and others repeat it: counted once, seen once, and sealed while it waits."""
    notice = amazon.notice(bounced(worker))
    for _ in range(3):
        assert pages.post("/hooks/ses", content=notice, headers={"content-type": "text/plain"}).status_code == 200
    assert ask(worker, "SELECT count(*) FROM suppression") == [(0,)]
    [(sealed,)] = ask(worker, "SELECT body_sealed FROM arrival")
    assert b"example.org" not in bytes(sealed)
    assert returns.work(worker.parts) == 1
    assert ask(worker, "SELECT reason, said_by FROM suppression") == [("dead", "report")]
    assert ask(worker, "SELECT fate, class FROM returned") == [("failed", "dead address")]
    assert pages.post("/hooks/ses", content=notice).status_code == 200
    assert returns.work(worker.parts) == 0
    assert ask(worker, "SELECT count(*), count(body_sealed) FROM arrival") == [(1, 0)]


def delivered(worker, mailing, at):
    """What SES says when the first reader's mail arrived."""
    [(mailbox,)] = ask(worker, "SELECT min(mailbox_id) FROM delivery")
    source = f"{worker.parts.tokens.return_path(mailing, mailbox, now=datetime.now(UTC))}@{DOMAIN}"
    told = {"timestamp": at.isoformat(timespec="milliseconds"), "recipients": ["ann@example.org"]}
    return json.dumps({"notificationType": "Delivery", "mail": {"source": source}, "delivery": told})


def test_mail_that_was_on_its_way_lifts_a_dead_address_when_it_arrives(pages, worker, amazon, tmp_path):
    """A server has lost its list of users for an hour: one mail comes back, and the next, in Amazon's queue, arrives."""
    house.add_articles(worker, tmp_path, "It rains")
    second = publish.compose(worker.parts, house.DIGEST)
    publish.send(worker.parts, second.issue)
    worker.sweep()
    worker.deliver("bulk")
    before = datetime.now(UTC)
    tell(pages, worker, amazon, bounced(worker), "1")
    assert ask(worker, "SELECT reason, lifted_at FROM suppression") == [("dead", None)]
    tell(pages, worker, amazon, delivered(worker, second.mailing, before), "2")
    assert ask(worker, "SELECT lifted_at FROM suppression") == [(None,)], "it arrived before the other came back"
    tell(pages, worker, amazon, delivered(worker, second.mailing, datetime.now(UTC)), "3")
    assert ask(worker, "SELECT lifted_why FROM suppression") == [("mail arrived later",)]


def tell(pages, worker, amazon, message, number):
    """Post a notice as Amazon does, and let a worker deal with it."""
    notice = amazon.notice(message, MessageId=f"22b80b92-fdea-4c2c-8f9d-bdfb0c7bf32{number}")
    assert pages.post("/hooks/ses", content=notice).status_code == 200
    assert returns.work(worker.parts) == 1


def test_a_bounce_whose_certificate_cannot_be_had_is_to_be_brought_again(pages, worker, amazon):
    """Amazon repeats what is answered with 5xx and nothing else: by any other answer the bounce would be lost."""

    def away(_url):
        raise Unreachable("sns.eu-west-1.amazonaws.com", "it does not answer")

    made = pages.app.state.newsletter
    made.parts = dataclasses.replace(made.parts, notices=Receiver(TOPIC, away))
    assert pages.post("/hooks/ses", content=amazon.notice(bounced(worker))).status_code == 503
    made.parts = dataclasses.replace(made.parts, notices=Receiver(TOPIC, amazon.fetch))
    assert pages.post("/hooks/ses", content=amazon.notice(bounced(worker))).status_code == 200


def test_a_stranger_behind_our_proxy_shuts_amazon_out_no_more_than_one_without(worker, tmp_path, database_urls, amazon):
    """Who posts is read from what our proxy wrote: one network's inventions are counted as one network's."""
    made = house.build(tmp_path, database_urls, "smtp://127.0.0.1:9", web=True, trusted_proxies="127.0.0.1")
    made.parts = dataclasses.replace(made.parts, notices=Receiver(TOPIC, amazon.fetch))
    invented = json.loads(amazon.notice()) | {"Signature": "A" * 342 + "=="}
    with TestClient(create(made), raise_server_exceptions=False, client=("127.0.0.1", 50_000)) as client:

        def post(body, peer):
            return client.post("/hooks/ses", content=body, headers={"x-forwarded-for": peer}).status_code

        host = f"https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-{'0' * 20}"
        answers = [
            post(json.dumps(invented | {"SigningCertURL": f"{host}{number:012x}.pem"}), f"8.8.8.{number}")
            for number in range(1, 9)
        ]
        assert answers == [403] * 5 + [503] * 3
        assert post(amazon.notice(bounced(worker)), "9.9.9.9") == 200


def test_what_is_not_believed_leaves_no_row(pages, worker, amazon):
    """The page is open to everyone."""
    good = json.loads(amazon.notice(bounced(worker)))
    for body in (json.dumps(good | {"Message": "{}"}), json.dumps(good | {"TopicArn": TOPIC + "x"}), "{}", ""):
        assert pages.post("/hooks/ses", content=body).status_code in (403, 422)
    assert pages.post("/hooks/ses", content=b"x" * 300_000).status_code == 413
    assert pages.post("/hooks/ses", content=iter([b"x" * 100_000] * 4)).status_code == 413
    assert pages.get("/hooks/ses").status_code == 405
    assert ask(worker, "SELECT count(*) FROM arrival") == [(0,)]


def test_the_subscription_is_confirmed_by_the_worker(pages, worker, amazon):
    """A page that fetches on demand is a tool for strangers; the worker asks, after everything was checked."""
    assert pages.post("/hooks/ses", content=amazon.question()).status_code == 200
    asked = len(amazon.fetched)
    assert returns.work(worker.parts) == 1
    assert [("ConfirmSubscription" in url) for url in amazon.fetched[asked:]] == [True]


def test_where_no_topic_is_set_there_is_no_page(worker, tmp_path, database_urls, amazon):
    """What is not used is not there."""
    made = house.build(tmp_path, database_urls, "smtp://127.0.0.1:9", web=True)
    with TestClient(create(made), raise_server_exceptions=False) as client:
        assert client.post("/hooks/ses", content=amazon.notice()).status_code == 404
