"""What a refusal means."""

import json
from pathlib import Path

import pytest

from newsletter.relay.outcome import Deferred, Stage
from newsletter.relay.reply import Reply
from newsletter.relay.verdict import Class, Limit, judge, of

REAL = Path(__file__).parents[2] / "../shared/data/bounces/dev-smtp-replies.json"
_STAGES = {
    "RCPT": Stage.RCPT,
    "DATA": Stage.BODY,
    "MAIL": Stage.MAIL,
    "EHLO": Stage.EHLO,
    "HELO": Stage.EHLO,
    "CONN": Stage.CONNECT,
}


@pytest.mark.parametrize(
    ("stage", "code", "enhanced", "words", "cls"),
    [
        (Stage.RCPT, 550, "5.1.1", "User unknown", Class.DEAD),
        (Stage.RCPT, 550, None, "No such user here", Class.DEAD),
        (Stage.RCPT, 550, "5.7.1", "No such user!", Class.DEAD),
        (Stage.RCPT, 450, "4.7.1", "No such user!", Class.TRANSIENT),
        (Stage.BODY, 550, "5.7.1", "No such user!", Class.POLICY),
        (Stage.RCPT, 550, "5.7.1", "User unknown", Class.POLICY),
        (Stage.RCPT, 550, "5.7.1", "No such user, and your IP is blocked", Class.POLICY),
        (Stage.RCPT, 450, "4.2.0", "Greylisted, please try again", Class.TRANSIENT),
        (Stage.RCPT, 552, "5.2.2", "Mailbox is full", Class.QUOTA),
        (Stage.RCPT, 550, "5.7.1", "Blocked: your IP is on our blocklist", Class.POLICY),
        (Stage.RCPT, 550, None, "", Class.POLICY),
        (Stage.RCPT, 451, "4.3.0", "Mail server temporarily rejected message", Class.TRANSIENT),
        (Stage.RCPT, 451, "4.7.1", "Mail server rejected your message", Class.POLICY),
        (Stage.RCPT, 450, None, "Requested mail action not taken: Mail send limit exceeded", Class.RATE),
        (Stage.RCPT, 550, None, "El buzón del destinatario está lleno", Class.QUOTA),
        (Stage.BODY, 550, None, "The recipient's mailbox has reached its maximum number of messages", Class.QUOTA),
        (Stage.MAIL, 454, "4.7.0", "Throttling failure: Maximum sending rate exceeded", Class.RATE),
        (Stage.MAIL, 454, None, "Daily message quota exceeded", Class.RATE),
        (Stage.AUTH, 535, "5.7.8", "Bad credentials", Class.SENDER),
        (Stage.BODY, 552, "5.3.4", "Message too big", Class.CONTENT),
        (Stage.BODY, 550, None, "User unknown", Class.POLICY),
        (Stage.CONNECT, 554, None, "No such user", Class.POLICY),
    ],
)
def test_meanings(stage, code, enhanced, words, cls):
    """The words and the stage say what the code alone cannot."""
    assert judge(stage, code, enhanced, words).cls is cls


@pytest.mark.parametrize(
    ("stage", "code", "enhanced", "words", "limit"),
    [
        (Stage.MAIL, 450, "4.7.1", "Error: too much mail from 192.0.2.1", Limit.ACCOUNT_RATE),
        (Stage.MAIL, 421, "4.7.28", "unusual rate of mail, slow down", Limit.ACCOUNT_RATE),
        (Stage.CONNECT, 421, None, "Too many connections from your IP", Limit.ACCOUNT_RATE),
        (Stage.MAIL, 552, "5.2.2", "Quota exceeded", Limit.ACCOUNT_RATE),
        (Stage.RCPT, 450, "4.7.1", "Error: too many recipients from 192.0.2.1", Limit.ACCOUNT_RATE),
        (Stage.BODY, 452, "4.3.1", "Sending limit exceeded for this account", Limit.ACCOUNT_RATE),
        (Stage.RCPT, 451, "4.7.1", "Hourly sending limit exceeded for user", Limit.ACCOUNT_HOUR),
        (Stage.RCPT, 451, None, "hourly quota exceeded", Limit.ACCOUNT_HOUR),
        (Stage.BODY, 452, None, "You have reached 500 messages per hour, limit exceeded", Limit.ACCOUNT_HOUR),
        (Stage.RCPT, 550, "5.4.5", "Daily user sending limit exceeded.", Limit.ACCOUNT_DAY),
        (Stage.BODY, 554, "5.7.1", "Your account has reached its monthly quota", Limit.ACCOUNT_DAY),
        (Stage.RCPT, 454, "4.7.0", "Throttling failure: Daily message quota exceeded", Limit.ACCOUNT_DAY),
        (Stage.RCPT, 454, "4.7.0", "Throttling failure: Maximum sending rate exceeded", Limit.ACCOUNT_RATE),
        (Stage.RCPT, 421, "4.7.28", "Our system has detected an unusual rate of mail from your IP", Limit.PROVIDER),
        (Stage.RCPT, 450, "4.2.1", "The user you are trying to contact is receiving mail too quickly", Limit.PROVIDER),
        (Stage.RCPT, 550, "5.7.1", "Error: too many messages, rate limit exceeded", Limit.PROVIDER),
        (Stage.RCPT, 452, "4.2.2", "Mailbox full", None),
        (Stage.MAIL, 452, "4.3.1", "Insufficient system storage", None),
    ],
)
def test_whose_limit_it_was(stage, code, enhanced, words, limit):
    """A relay that has had enough of us must not be heard as Gmail; and before a reader is named it can only be of us."""
    assert judge(stage, code, enhanced, words).limit is limit


# What servers of many families say, by their makers' and providers' own pages; none of it is in the shared sample.
SAID = [
    (
        Stage.RCPT,
        550,
        "5.1.1",
        "The email account that you tried to reach does not exist.",
        Class.DEAD,
    ),
    (Stage.RCPT, 550, None, "Sorry, no mailbox here by that name. (#5.1.1)", Class.DEAD),
    (Stage.RCPT, 550, None, "Unrouteable address", Class.DEAD),
    (Stage.RCPT, 550, None, "No Such User Here", Class.DEAD),
    (
        Stage.RCPT,
        550,
        "5.1.1",
        "Message was not accepted -- invalid mailbox.  Local mailbox x@mail.example is unavailable: user not found",
        Class.DEAD,
    ),
    (Stage.RCPT, 550, None, "Requested action not taken: mailbox unavailable", Class.DEAD),
    (Stage.RCPT, 550, None, "x@example.org... No such user", Class.DEAD),
    (Stage.RCPT, 550, None, "x@example.org User not listed in Domino Directory", Class.DEAD),
    (Stage.RCPT, 550, "5.1.1", "Recipient address rejected: User unknown in local recipient table", Class.DEAD),
    (Stage.RCPT, 550, None, "Invalid Recipient - https://community.mimecast.example/docs/DOC-1369#550", Class.DEAD),
    (Stage.RCPT, 550, None, "No such user - psmtp", Class.DEAD),
    (Stage.RCPT, 554, "5.1.1", "Addressee unknown", Class.DEAD),
    (Stage.RCPT, 550, None, "Recipient verification failed", Class.DEAD),
    (Stage.RCPT, 550, None, "is not a known user on this system", Class.DEAD),
    (Stage.RCPT, 550, None, "Mailbox not found", Class.DEAD),
    (Stage.RCPT, 550, "5.1.1", "unknown or illegal alias: x@example.org", Class.DEAD),
    (Stage.RCPT, 550, None, "This account has been closed", Class.DEAD),
    (Stage.RCPT, 550, None, "The account has been terminated", Class.DEAD),
    (Stage.RCPT, 550, None, "Account deleted", Class.DEAD),
    (Stage.RCPT, 550, "5.1.1", "Empfaenger unbekannt", Class.DEAD),
    (Stage.RCPT, 550, "5.1.1", "Utente sconosciuto", Class.DEAD),
    (Stage.RCPT, 550, None, "Destinataire inconnu", Class.DEAD),
    (Stage.RCPT, 550, None, "Usuario desconocido", Class.DEAD),
    (Stage.RCPT, 551, None, "User not local; please try <forward-path>", Class.DEAD),
    (Stage.RCPT, 550, "5.1.10", "Recipient not found", Class.DEAD),
    (
        Stage.RCPT,
        550,
        "5.4.1",
        "Recipient address rejected: Access denied. [AM5EUR03FT012.eop-EUR03.prod.protection.outlook.com]",
        Class.DEAD,
    ),
    (Stage.RCPT, 553, None, "sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)", Class.POLICY),
    (Stage.RCPT, 550, None, "relay not permitted", Class.POLICY),
    (Stage.RCPT, 550, "5.7.1", "Unable to relay for x@example.org", Class.POLICY),
    (Stage.RCPT, 550, "5.7.54", "SMTP; Unable to relay recipient in non-accepted domain", Class.POLICY),
    (
        Stage.RCPT,
        450,
        "4.2.0",
        "<x@example.org>: Recipient address rejected: Greylisted, see http://postgrey.example/help",
        Class.TRANSIENT,
    ),
    (Stage.RCPT, 451, "4.7.1", "Greylisting in action, please come back in 00:04:59", Class.TRANSIENT),
    (Stage.RCPT, 451, None, "Temporary local problem - please try later", Class.TRANSIENT),
    (
        Stage.RCPT,
        450,
        "4.1.1",
        "<x@example.org>: Recipient address rejected: unverified address: connect to mx timed out",
        Class.TRANSIENT,
    ),
    (Stage.RCPT, 450, "4.1.8", "<a@b>: Sender address rejected: Domain not found", Class.POLICY),
    (Stage.RCPT, 452, "4.2.2", "The email account that you tried to reach is over quota", Class.QUOTA),
    (
        Stage.RCPT,
        552,
        "5.2.2",
        "This message is larger than the current system limit or the recipient's mailbox is full.",
        Class.QUOTA,
    ),
    (Stage.RCPT, 452, "4.2.2", "Mailbox full", Class.QUOTA),
    (Stage.RCPT, 552, None, "Requested mail action aborted: exceeded storage allocation", Class.QUOTA),
    (Stage.BODY, 552, "5.3.4", "Message size exceeds fixed limit", Class.CONTENT),
    (Stage.BODY, 552, "5.2.3", "Message exceeds maximum fixed size", Class.CONTENT),
    (
        Stage.RCPT,
        550,
        "5.2.1",
        "The user you are trying to contact is receiving mail at a rate that prevents additional messages from being delivered.",
        Class.RATE,
    ),
    (
        Stage.RCPT,
        450,
        "4.2.1",
        "The user you are trying to contact is receiving mail too quickly. Please resend your message at a later time.",
        Class.RATE,
    ),
    (
        Stage.RCPT,
        421,
        "4.7.28",
        "Our system has detected an unusual rate of unsolicited mail originating from your IP address.",
        Class.RATE,
    ),
    (
        Stage.BODY,
        550,
        "5.7.1",
        "Our system has detected that this message is likely unsolicited mail.  This message has been blocked.",
        Class.POLICY,
    ),
    (
        Stage.BODY,
        550,
        "5.7.26",
        "This mail has been blocked because the sender is unauthenticated.",
        Class.POLICY,
    ),
    (
        Stage.MAIL,
        550,
        "5.7.515",
        "Access denied, sending domain example.org doesn't meet the required authentication level.",
        Class.POLICY,
    ),
    (
        Stage.MAIL,
        421,
        "4.7.0",
        "[TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user complaints - 4.16.55.1",
        Class.POLICY,
    ),
    (
        Stage.MAIL,
        553,
        "5.7.1",
        "[BL21] Connections will not be accepted from 192.0.2.1, because the ip is in Spamhaus's list",
        Class.POLICY,
    ),
    (Stage.BODY, 554, "5.7.9", "Message not accepted for policy reasons.", Class.POLICY),
    (
        Stage.RCPT,
        554,
        None,
        "30 Sorry, your message to x@yahoo.example cannot be delivered. This mailbox is disabled (554.30).",
        Class.TRANSIENT,
    ),
    (
        Stage.BODY,
        554,
        None,
        "delivery error: dd This user doesn't have a yahoo.example account (x@yahoo.example) [0]",
        Class.DEAD,
    ),
    (Stage.CONNECT, 554, None, "mx.example.org - Bad DNS PTR resource record", Class.POLICY),
    (Stage.CONNECT, 421, None, "Too many connections from your IP", Class.RATE),
    (Stage.CONNECT, 421, "4.3.2", "Service not available, closing transmission channel", Class.TRANSIENT),
    (Stage.MAIL, 454, "4.7.0", "Throttling failure: Daily message quota exceeded.", Class.RATE),
    (Stage.MAIL, 454, None, "Throttling failure: Maximum sending rate exceeded.", Class.RATE),
    (Stage.BODY, 554, None, "Message rejected: Email address is not verified.", Class.SENDER),
    (Stage.MAIL, 530, "5.7.0", "Authentication required", Class.SENDER),
    (Stage.MAIL, 530, "5.7.0", "Must issue a STARTTLS command first", Class.SENDER),
    (Stage.MAIL, 501, "5.1.7", "Invalid sender address", Class.SENDER),
    (Stage.MAIL, 550, None, "Sender address rejected: not owned by user", Class.SENDER),
    (Stage.BODY, 550, "5.6.0", "Lone CR or LF in headers", Class.CONTENT),
    (Stage.BODY, 554, "5.6.1", "Body type not supported by Remote Host", Class.CONTENT),
    (Stage.BODY, 550, None, "Virus detected", Class.CONTENT),
    (Stage.BODY, 554, "5.7.1", "Message cannot be accepted, spam rejection", Class.POLICY),
    (Stage.RCPT, 503, "5.5.1", "Bad sequence of commands", Class.PROTOCOL),
    (Stage.RCPT, 501, "5.5.4", "Syntax error in parameters", Class.PROTOCOL),
    (Stage.RCPT, 550, None, "Administrative prohibition", Class.POLICY),
    (Stage.RCPT, 550, "5.7.1", "Recipient not authorized, your IP has been found on a block list", Class.POLICY),
    (Stage.RCPT, 550, "5.7.133", "RESOLVER.RST.SenderNotAuthenticatedForGroup; authentication required", Class.POLICY),
    (Stage.RCPT, 550, "5.1.8", "Access denied, bad outbound sender", Class.POLICY),
    (Stage.RCPT, 550, "5.4.310", "DNS domain example.org does not exist [Message=InfoDomainNonexistent]", Class.DEAD),
    (
        Stage.RCPT,
        550,
        "5.1.2",
        "Host or domain name not found. Name service error for name=example.org type=MX: Host not found",
        Class.DEAD,
    ),
    (Stage.RCPT, 550, None, "Mailfrom domain does not exist", Class.POLICY),
    (Stage.RCPT, 550, None, "Unable to verify the return address: mailbox not found", Class.POLICY),
    (Stage.RCPT, 550, None, "Callout to verify bounce address failed: user does not exist", Class.POLICY),
    (Stage.RCPT, 550, None, "EHLO domain does not exist", Class.POLICY),
    (Stage.RCPT, 550, None, "Client host unknown", Class.POLICY),
    (Stage.RCPT, 550, None, "Directory harvest attack: user unknown", Class.POLICY),
    (Stage.RCPT, 550, None, "SMTP AUTH user unknown", Class.POLICY),
    (Stage.RCPT, 550, None, "The group may not exist, or you may not have permission to post to it", Class.POLICY),
    (Stage.RCPT, 556, "5.1.10", "Recipient address has null MX", Class.DEAD),
    (Stage.RCPT, 450, "4.4.1", "connect to mx.example.org[192.0.2.1]:25: Connection timed out", Class.TRANSIENT),
    (Stage.BODY, 451, "4.3.0", "Queue file write error", Class.TRANSIENT),
    (
        Stage.RCPT,
        550,
        "5.7.1",
        "Service unavailable; client [192.0.2.1] blocked using zen.spamhaus.example",
        Class.POLICY,
    ),
    (Stage.RCPT, 550, None, "Mailbox does not exist", Class.DEAD),
    (Stage.RCPT, 550, None, "x@example.org is not accepting mail", Class.TRANSIENT),
    (Stage.RCPT, 550, "5.2.1", "Mailbox disabled", Class.TRANSIENT),
    (Stage.RCPT, 553, "5.1.3", "Bad recipient address syntax", Class.DEAD),
]


@pytest.mark.parametrize(("stage", "code", "enhanced", "words", "cls"), SAID)
def test_what_servers_of_many_families_say(stage, code, enhanced, words, cls):
    """A reader is lost when "blocked" is read as "dead", and a sender's name when "dead" is read as "later"."""
    assert judge(stage, code, enhanced, words).cls is cls


@pytest.mark.parametrize(
    ("stage", "code", "enhanced", "words", "cls"),
    [
        (Stage.BODY, 554, None, "Message rejected: Sending suspended for this account. See your inbox.", Class.SENDER),
        (Stage.BODY, 554, None, "Message rejected: Sending paused for this account.", Class.SENDER),
        (Stage.BODY, 550, None, "Account locked. Sending disabled due to unusual activity", Class.SENDER),
        (Stage.BODY, 554, None, "User `x' is not authorized to perform `ses:SendRawEmail'", Class.SENDER),
        (Stage.RCPT, 554, "5.7.1", "Your account has been suspended", Class.SENDER),
        (Stage.RCPT, 550, "5.7.1", "Your subscription has expired, please renew", Class.SENDER),
        (Stage.RCPT, 550, "5.7.1", "Relaying denied: this account is suspended", Class.SENDER),
        (Stage.RCPT, 550, "5.7.1", "Client host rejected: account suspended", Class.SENDER),
        (Stage.RCPT, 550, None, "Outgoing mail from ada@example.org has been suspended.", Class.SENDER),
        (Stage.RCPT, 550, "5.1.1", "Your account is disabled", Class.SENDER),
        (Stage.MAIL, 550, None, "Account suspended", Class.SENDER),
        (Stage.MAIL, 450, None, "Account inactive", Class.TRANSIENT),
        (Stage.GREETING, 554, None, "Account suspended", Class.POLICY),
        (Stage.GREETING, 554, None, "Your account has been disabled", Class.POLICY),
        (Stage.RCPT, 550, None, "Account suspended", Class.TRANSIENT),
        (Stage.RCPT, 550, None, "smtp; 550 The account is disabled", Class.TRANSIENT),
        (Stage.RCPT, 550, "5.2.1", "The account that you tried to reach is disabled.", Class.TRANSIENT),
        (Stage.RCPT, 550, None, "Sending to this mailbox has been disabled", Class.TRANSIENT),
        (Stage.RCPT, 550, None, "Your message was rejected: recipient's account is locked", Class.TRANSIENT),
        (Stage.BODY, 554, None, "Your message cannot be delivered. This account has been disabled.", Class.TRANSIENT),
        (Stage.RCPT, 450, "4.7.0", "delivery temporarily suspended", Class.TRANSIENT),
    ],
)
def test_an_account_that_stands_still_is_ours_or_the_reader_s(stage, code, enhanced, words, cls):
    """A relay that suspends us was heard as five thousand mailboxes asleep; and a mailbox asleep must stop no mailing."""
    assert judge(stage, code, enhanced, words).cls is cls


@pytest.mark.parametrize(
    ("words", "minutes"),
    [
        ("Greylisted, try again in 300 seconds", 5),
        ("please retry in 5 minutes", 5),
        ("Try again after 2 hours", 120),
        ("Greylisting in action, please come back in 00:05:00", 5),
        ("Greylisted for 5 minutes", 5),
        ("come back later", None),
        ("try again later (id 12:34)", None),
        ("user 12 unknown", None),
    ],
)
def test_a_server_that_says_how_long_to_wait_is_heard(words, minutes):
    """Whoever comes back too early starts the wait anew."""
    wait = judge(Stage.RCPT, 451, None, words).wait
    assert (wait and wait.total_seconds() / 60) == minutes


def test_a_conversation_in_a_report_is_read_by_its_own_reply():
    """Reports repeat whole conversations: what was said to another command is not about the reader."""
    told = "450 busy - please try later 551 not our user 503 need RCPT command [data] 551 not our user"
    assert judge(Stage.BODY, 551, "5.1.6", told).cls is Class.DEAD
    assert judge(Stage.BODY, 550, None, "550 User unknown").cls is Class.POLICY, "taken at RCPT: a filter's excuse"


PROBED = "<x@example.org>: Recipient address rejected: undeliverable address: "
OTHER = "host mx.example.org[192.0.2.1] "


@pytest.mark.parametrize(
    ("words", "cls"),
    [
        (OTHER + "said: 554 5.7.1 [192.0.2.7] blocked using zen.spamhaus.org (in reply to RCPT TO command)", Class.POLICY),
        (OTHER + "said: 550 5.7.606 Access denied, banned sending IP [192.0.2.7]", Class.POLICY),
        (OTHER + "refused to talk to me: 554 5.7.1 blocked, bad reputation", Class.POLICY),
        (OTHER + "said: 552 5.2.2 mailbox full (in reply to RCPT TO command)", Class.QUOTA),
        ("mail for example.org loops back to myself", Class.TRANSIENT),
        ("connect to mx.example.org[192.0.2.1]:25: Connection timed out", Class.TRANSIENT),
        (OTHER + "said: 550 No such user here (in reply to RCPT TO command)", Class.DEAD),
        (OTHER + "said: 550 5.1.1 <x@example.org>: User unknown (in reply to RCPT TO command)", Class.DEAD),
        ('unknown user: "x"', Class.DEAD),
    ],
)  # fmt: skip
def test_a_server_that_asked_the_next_one_first_is_read_by_what_that_one_said(words, cls):
    """It puts "5.1.1, undeliverable address" before whatever it heard: a block of ours would have suppressed its reader at once."""
    assert judge(Stage.RCPT, 550, "5.1.1", PROBED + words).cls is cls


def test_what_the_next_server_said_for_good_is_for_now_where_the_one_before_us_says_so():
    """Postfix answers 450 until it has asked the next server again: nobody is dead for now."""
    words = PROBED + OTHER + "said: 550 5.1.1 <x@example.org>: User unknown (in reply to RCPT TO command)"
    assert judge(Stage.RCPT, 450, "4.1.1", words).cls is Class.TRANSIENT


def test_an_outcome_is_judged_by_its_reply():
    """What delivery hands over."""
    assert of(Deferred(Reply(451, "4.7.1", "Greylisting in action"), Stage.RCPT)).cls is Class.TRANSIENT


NOT_THE_READER = ("mailboxfull", "toomanyconn", "speeding", "exceedlimit", "norelaying", "authfailure", "rejected", "blocked",
    "policyviolation", "spamdetected", "requireptr", "badreputation", "ratelimited", "securityerror")  # fmt: skip


@pytest.mark.parametrize("unknown", [None, Stage.RCPT], ids=["stage not told", "stage taken for RCPT"])
def test_the_dead_are_found_among_real_replies_and_nobody_else(unknown):
    """On 263 real replies: precision ≥ 0.97, recall ≥ 0.92, and no policy, rate, quota or sender reply read as dead."""
    if not REAL.exists():
        pytest.skip(f"the shared data is not here: {REAL.name}")
    hit = wrong = missed = 0
    for reply in json.loads(REAL.read_text()):
        code = int(reply["reply"] or (reply["status"] or "5")[0] + "50")
        stage = _STAGES.get(reply["cmd"], unknown)
        dead = judge(stage, code, reply["status"] or None, reply["diag"]).cls is Class.DEAD
        hit += dead and reply["hard"]
        wrong += dead and not reply["hard"]
        missed += not dead and reply["hard"]
        assert not (dead and reply["reason"] in NOT_THE_READER), reply["diag"]
    assert hit / (hit + wrong) >= 0.97
    assert hit / (hit + missed) >= 0.92
