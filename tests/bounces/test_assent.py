"""A yes is a few words or nothing at all; a no is heard wherever it stands; everything else is read by a person."""

import time

import pytest

from newsletter.bounces import assent, processing
from newsletter.bounces.assent import Said, of, says_more
from newsletter.reports import parse
from newsletter.reports.parse import Letter
from tests.fakes import answers

SENT = b"Message-ID: <abc@sarand.example>\r\nSubject: Please confirm: The Weekly\r\n\r\n"
WRITE = {"gmail": answers.gmail, "outlook": answers.outlook, "apple": answers.apple}
QUOTE = "> Unsubscribe\n> The Weekly\n"

YES = [
    "Yes",
    "yes.",
    "YES!",
    "Yes please, thanks",
    "OK",
    "Confirm",
    "I confirm.",
    "Hello,\n\nYes please\n\nAnn Brown",
    "بله",
    "آره",
    "لطفاً تأیید می‌کنم",
    "نعم",
    "نعم، من فضلكم",
    "Ja, bitte",
    "Oui",
]
NO = [
    "No",
    "no thanks",
    "Unsubscribe",
    "Stop",
    "No. I never asked for this. Do not write to me again.",
    "No, thank you very much, and take care",
    "This was not me",
    "Please don't write to me again!",
    "Hello,\nI did not sign up.\nAnn",
    "نه",
    "خیر، من نبودم",
    "لغو اشتراک",
    "لا",
    "لم أطلب هذا",
    "Nein danke",
    "Je n'ai rien demandé",
]
UNCLEAR = [
    "Who are you?",
    "Yes, but who are you?",
    "Yes, if you never give my name to anybody",
    "Thank you for your message. Your request has been received, ticket 4711.",
    "No problem",
    "Thanks!",
    "I am away until Monday",
    "شما که هستید؟",
    "من أنتم؟",
]


def letter(text, subject="Re: Please confirm: The Weekly"):
    return Letter("ann@example.org", subject, text)


def read(program, text):
    found = parse.parse(WRITE[program](SENT, "Ann <ann@example.org>", text))
    assert isinstance(found, Letter)
    return found


@pytest.mark.parametrize("program", WRITE)
@pytest.mark.parametrize(
    ("said", "text"),
    [
        *((Said.YES, one) for one in ["", *YES]),
        *((Said.NO, one) for one in NO),
        *((Said.UNCLEAR, one) for one in UNCLEAR),
    ],
)
def test_an_answer_is_what_its_writer_wrote(program, said, text):
    """A yes proves a permission for years: somebody who wrote "no" must never be held to have agreed."""
    assert of(read(program, text)) is said


@pytest.mark.parametrize(
    "text",
    [
        f"{QUOTE}\nNo",
        f"On Thu, Nov 26, 2026 at 9:14 AM Friends <news@sarand.example> wrote:\n{QUOTE}\nNo, I did not ask for this.\n",
        "Sent from my iPhone\n\nNo thanks",
        f"Ann\n\n{QUOTE}unsubscribe",
        "<html><body><blockquote>The Weekly</blockquote><p>No</p></body></html>",
        "Yes\nNo",
    ],
)
def test_a_no_is_heard_wherever_it_stands(text):
    """Many write beneath what they answer: read from above alone, their no would be an empty answer, and so a yes."""
    assert of(letter(text)) is Said.NO


@pytest.mark.parametrize("text", [f"{QUOTE}\nWho are you?", "Sent from my iPhone\n\nWho are you?"])
def test_what_stands_beneath_is_read_before_an_answer_is_called_empty(text):
    """An empty answer is a yes; one that only begins with a quote is not empty."""
    assert of(letter(text)) is Said.UNCLEAR
    assert of(letter(text.replace("Who are you?", "Yes"))) is Said.YES


@pytest.mark.parametrize(
    ("subject", "said"),
    [
        ("unsubscribe", Said.NO),
        ("Re: No", Said.NO),
        ("Yes", Said.YES),
        ("", Said.YES),
        ("AW: Please confirm: The Weekly", Said.YES),
        ("پاسخ: لطفاً تأیید کنید", Said.YES),
        ("Ticket 4711 was opened", Said.UNCLEAR),
        ("We are here: ticket 4711", Said.UNCLEAR),
    ],
)
def test_an_empty_answer_is_a_yes_under_the_subject_that_it_answers(subject, said):
    """Many telephones send what is quoted alone; a ticket system that says nothing but its number has agreed to nothing."""
    assert of(letter(QUOTE, subject)) is said


def test_what_nobody_can_read_is_no_empty_answer():
    """A sealed mail, or a photographed "no", looks empty to a machine."""
    sealed = (
        b"From: ann@example.org\r\nSubject: Re: Please confirm\r\nMIME-Version: 1.0\r\n"
        b"Content-Type: application/pkcs7-mime; name=smime.p7m\r\nContent-Transfer-Encoding: base64\r\n\r\nTm8=\r\n"
    )
    found = parse.parse(sealed)
    assert isinstance(found, Letter)
    assert of(found, whole=processing.is_whole(sealed)) is Said.UNCLEAR
    assert processing.is_whole(answers.gmail(SENT, "ann@example.org", "Yes"))


def test_only_a_no_that_says_more_is_left_to_a_person():
    """Somebody who writes why they are angry deserves a reader; a plain no needs none."""
    assert not says_more(letter("No thanks"))
    assert says_more(letter("No. I never asked for this."))


def test_every_phrase_of_the_tables_is_found():
    """A phrase that the comparing itself cannot find would be there for nothing; one in both tables would be a coin thrown."""
    for said, table in ((Said.YES, assent.YES), (Said.NO, assent.NO)):
        for written in table.values():
            for phrase in written.replace("،", ",").split(","):
                assert of(letter(phrase)) is said, phrase


@pytest.mark.parametrize("piece", [">", "\n", "<br>", "</blockquote>", "re:", "no ", "On 1 ", "please "])
def test_no_letter_takes_long(piece):
    """Anyone can write to that address: a letter made for it must not hold up the mail of everybody else."""
    began = time.perf_counter()
    for start in ("", "<html>", "> "):
        of(letter(start + piece * (65_536 // len(piece)), piece * (500 // len(piece))))
    assert time.perf_counter() - began < 2
