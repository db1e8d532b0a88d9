"""Four parsers that nobody here wrote read what our serialiser writes: postal-mime, mailparser, Perl's Encode, Python's email."""

import email
import email.policy
import json
import random
import re
import shutil
import subprocess
import unicodedata

import pytest

from newsletter.composer import headers
from newsletter.composer.stamping import Stamper
from tests.composer import samples
from tests.composer.conftest import layout as layout
from tests.composer.test_messages import FRAME, KINDS, PERSIAN, PERSON, made

MESSAGES = 5000
ALPHABETS = (
    "abcdefghijklmnopqrstuvwxyz ABCDEF 0123456789",
    "áéíóúñçøåßžčřŁ œ’–… ÄÖÜ",
    "абвгдежзийклмнопрстуфхцчшщъыьэюя ЁЖЩ",
    "ابتثجحخدذرزسشصضطظعغفقكلمنهوي ،؟",
    "پچژگکی‌آزادی خبرنامه",  # with a zero-width non-joiner, as Persian is written
    "אבגדהוזחטיכלמנסעפצקרשת ",
    "新聞通訊号外緊急のお知らせ ソウル뉴스",
    "हिन्दी समाचार पत्र ",
    "👩‍👩‍👧‍👦🏳️‍🌈✊🏿🕊️ ",
    "()<>@,;:\\\".[]=?_ '&/%+-",
)
TRAPS = (
    "=?utf-8?q?x?=",
    "=?",
    "?=",
    "=?utf-8?b?eA==?= y",
    '"',
    "\\",
    "a, b",
    "<b>",
    "(c)",
    "x=3D",
    "_ _",
    "Re: =?iso-8859-1?q?=E9?=",
)


def words(chance: random.Random) -> str:
    """Return a line of text in one script or several, of 1 to 200 characters, sometimes one long word or a trap."""
    alphabet = "".join(chance.sample(ALPHABETS, chance.choice((1, 1, 1, 2, 3))))
    text = "".join(chance.choice(alphabet) for _ in range(chance.randint(1, chance.choice((5, 30, 80, 200)))))
    if chance.random() < 0.2:
        text += " " + chance.choice(TRAPS)
    if chance.random() < 0.1:
        text = text.replace(" ", "")
    return " ".join(text.split(" ")).strip(" ") or "x"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Return what was meant, and the files that say it in our serialiser's words."""
    chance = random.Random(2047)
    folder = tmp_path_factory.mktemp("messages")
    meant = [(words(chance), words(chance)) for _ in range(MESSAGES)]
    for number, (subject, name) in enumerate(meant):
        head = headers.mailbox("From", name, "news@example.org") + headers.unstructured("Subject", subject)
        text = (
            f"{head}To: <ann@example.net>\r\nMessage-ID: <{number}@example.org>\r\nMIME-Version: 1.0\r\n\r\nHello.\r\n"
        )
        (folder / f"{number}.eml").write_bytes(text.encode("ascii"))
    return meant, [str(folder / f"{number}.eml") for number in range(MESSAGES)], folder


def same(text: str) -> str:
    """Return a text with runs of blanks as one: folding may not be undone to the blank."""
    return re.sub(r"[ \t]+", " ", text).strip()


def wrong(meant, read) -> list[tuple[str, str]]:
    return [(wanted, got) for wanted, got in zip(meant, read, strict=True) if same(wanted) != same(got)]


@pytest.mark.proof
@pytest.mark.short
def test_node_s_parsers_read_every_subject_and_name(written, judges):
    """A campaign writes in Persian, Arabic and emoji; one wrong letter in a sender's name is a reason for distrust."""
    meant, paths, folder = written
    (folder / "paths.json").write_text(json.dumps(paths))
    read = judges.ask("parse.mjs", str(folder / "paths.json"))
    for parser in ("postal", "mailparser"):
        assert wrong([subject for subject, _ in meant], [one[parser]["subject"] for one in read]) == []
        assert wrong([name for _, name in meant], [one[parser]["from"]["name"] for one in read]) == []
        assert {one[parser]["from"]["address"] for one in read} == {"news@example.org"}


@pytest.mark.proof
@pytest.mark.short
def test_perl_reads_every_subject_and_name(written):
    """Perl's decoder is old, strict, and in half of the world's mail filters."""
    if not shutil.which("perl"):
        pytest.skip("perl is not on this machine")
    meant, paths, _folder = written
    script = str(samples.__file__).replace("composer/samples.py", "judges/parse.pl")
    ran = subprocess.run(["perl", script], input="\n".join(paths), capture_output=True, text=True, check=True)
    read = [json.loads(line) for line in ran.stdout.splitlines()]
    assert wrong([subject for subject, _ in meant], [one["subject"] for one in read]) == []
    names = [_display_name(one["from"]) for one in read]
    assert wrong([name for _, name in meant], names) == []


def _display_name(field: str) -> str:
    """Return the display name of a decoded From: what Encode leaves is a quoted string, or the words themselves."""
    name = field.rpartition("<")[0].strip()
    quoted = len(name) > 1 and name[0] == name[-1] == '"'
    return re.sub(r"\\(.)", r"\1", name[1:-1]) if quoted else name


@pytest.mark.proof
@pytest.mark.short
def test_python_reads_every_subject_and_the_lines_keep_their_limits(written):
    """RFC 2047: words of at most 75 octets, whole code points, never empty, and lines of 76 that hold one."""
    meant, paths, _folder = written
    read = []
    for path in paths:
        with open(path, "rb") as file:
            raw = file.read()
        head = raw.partition(b"\r\n\r\n")[0].decode("ascii")
        assert "?==?" not in head
        for line in head.split("\r\n"):
            assert len(line) <= 998
            found = re.findall(r"=\?utf-8\?[qb]\?([^?]*)\?=", line)
            assert all(found), "an empty word"
            assert not found or len(line) <= 76 or "Subject: =?" not in line
        for whole, kind, word in re.findall(r"(=\?utf-8\?([qb])\?([^?]+)\?=)", head):
            assert len(whole) <= 75
            _whole_code_points(kind, word)
        read.append(str(email.message_from_bytes(raw, policy=email.policy.default)["Subject"]))
    assert wrong([subject for subject, _ in meant], read) == []


def _whole_code_points(kind: str, word: str) -> None:
    import base64
    import quopri

    plain = base64.b64decode(word) if kind == "b" else quopri.decodestring(word.replace("_", " "))
    unicodedata.normalize("NFC", plain.decode("utf-8"))


@pytest.mark.proof
@pytest.mark.short
def test_whole_mails_are_read_alike_by_both(judges, layout, tmp_path):
    """What stands in the source must stand in the inbox: both parts, the unsubscribe link whole, one recipient."""
    paths, kinds = [], []
    for frame in (FRAME, PERSIAN):
        for kind in KINDS:
            path = tmp_path / f"{frame.language}-{kind}.eml"
            path.write_bytes(Stamper(made(kind, layout, frame)).stamp(PERSON))
            paths.append(str(path))
            kinds.append(kind)
    (tmp_path / "paths.json").write_text(json.dumps(paths))
    for kind, path, one in zip(kinds, paths, judges.ask("parse.mjs", str(tmp_path / "paths.json")), strict=True):
        with open(path, "rb") as file:
            ours = email.message_from_binary_file(file, policy=email.policy.default)
        for read in one.values():
            assert same(read["subject"]) == same(str(ours["Subject"]))
            assert [to["address"] for to in read["to"]] == [PERSON.address]
            assert read["id"] == f"<{PERSON.message_id}>"
            if kind not in ("confirm", "welcome", "prove", "listed", "team"):
                assert f"/u/{PERSON.leave_token}>" in read["leave"].replace(" ", "")
            for part in ("text", "html"):
                wanted = ours.get_body(("plain",) if part == "text" else ("html",)).get_content()
                assert read[part].replace("\r\n", "\n").strip() == wanted.replace("\r\n", "\n").strip()
