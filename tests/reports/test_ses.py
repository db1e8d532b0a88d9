"""What Amazon SES says is read as any other report is; what nobody understands is nothing."""

import json

import pytest

from newsletter.relay.verdict import Class
from newsletter.reports import ses, verdict
from newsletter.reports.verdict import Fate

MAIL = {
    "source": "b-00@bounce.sarand.example",
    "destination": ["ann@example.org"],
    "headers": [{"name": "Message-ID", "value": "<one@sarand.example>"}],
}


def bounce(kind: str, sub: str = "General", status: str = "5.1.1", words: str = "smtp; 550 5.1.1 user unknown") -> str:
    one = {"emailAddress": "ann@example.org", "action": "failed", "status": status, "diagnosticCode": words}
    said = {"bounceType": kind, "bounceSubType": sub, "bouncedRecipients": [one]}
    return json.dumps({"notificationType": "Bounce", "mail": MAIL, "bounce": said})


@pytest.mark.parametrize(
    ("text", "fate", "cls"),
    [
        (bounce("Permanent"), Fate.FAILED, Class.DEAD),
        (bounce("Permanent", "NoEmail", "", ""), Fate.FAILED, Class.DEAD),
        (bounce("Permanent", "General", "5.7.1", "smtp; 550 5.7.1 blocked by policy"), Fate.FAILED, Class.POLICY),
        (bounce("Transient"), Fate.FAILED, Class.TRANSIENT),
        (bounce("Transient", "MailboxFull", "5.2.2", "smtp; 552 5.2.2 mailbox full"), Fate.FAILED, Class.QUOTA),
        (bounce("Undetermined"), Fate.FAILED, Class.TRANSIENT),
        (json.dumps({"eventType": "Complaint", "mail": MAIL, "complaint": {}}), Fate.COMPLAINT, None),
        (
            json.dumps({"eventType": "Complaint", "mail": MAIL, "complaint": {"complaintFeedbackType": "not-spam"}}),
            Fate.NOTHING,
            None,
        ),
        (
            json.dumps({"eventType": "Delivery", "mail": MAIL, "delivery": {"recipients": ["a@b.example"]}}),
            Fate.DELIVERED,
            None,
        ),
    ],
)
def test_what_a_notice_means(text, fate, cls):
    """Only what SES calls permanent may end an address: the rest it tried for hours, and may work tomorrow."""
    report = ses.parse(text)
    assert report is not None
    assert (report.sent.sender, report.sent.message_id) == ("b-00@bounce.sarand.example", "one@sarand.example")
    found = verdict.of(report)
    assert (found.fate, found.cls) == (fate, cls)


@pytest.mark.parametrize("status", ["5.1.1 (bad destination mailbox address)", " 5.1.1", "5.1.1 "])
def test_a_status_with_a_comment_is_its_code(status):
    """RFC 3464 lets words stand behind the code: mail to nobody went on for ever, and the words into the books."""
    found = verdict.of(ses.parse(bounce("Permanent", status=status, words="")))
    assert (found.cls, found.enhanced) == (Class.DEAD, "5.1.1")


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "null", '{"notificationType": []}', '{"notificationType": "Open", "mail": 1}', "[" * 100_000],
)
def test_what_is_no_report_is_none(text):
    """A notice of a kind we never asked for must not end in an error that SNS repeats for hours."""
    assert ses.parse(text) is None


def test_wrong_shapes_do_no_harm():
    """The signature says who wrote it, not that it was written well."""
    odd = {
        "notificationType": "Bounce",
        "mail": {"headers": [1, {"name": 2}]},
        "bounce": {"bouncedRecipients": [3, {}]},
    }
    assert verdict.of(ses.parse(json.dumps(odd))).cls in (Class.TRANSIENT, None)
