"""A link proves a wish by its key alone: nobody can forge one, read one, or use one for something else."""

import base64
import itertools
import re
import secrets
import timeit
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter import languages
from newsletter.tokens import (
    AHEAD,
    COUNTERSIGN,
    COUNTERSIGNED,
    LENGTH,
    LIFETIMES,
    REPLY_SIGN,
    RESTARTED,
    UNDATED,
    BadToken,
    Link,
    Purpose,
    Tokens,
    TooOld,
)

KEYS = {1: secrets.token_bytes(32)}
TOKENS = Tokens(1, KEYS)
NUMBERS = st.integers(0, 2**40 - 1)
DIGESTS = st.integers(0, 2**24 - 1)
HOUR = timedelta(hours=1)
NOW = datetime(2026, 11, 26, 12, 30, tzinfo=UTC)
THIS_HOUR = datetime(2026, 11, 26, 12, tzinfo=UTC)

Maker = Callable[[Tokens, datetime], str]
LINKS: dict[Purpose, Maker] = {
    Purpose.PREVIEW: lambda tokens, _now: tokens.harmless(),
    Purpose.LEAVE: lambda tokens, _now: tokens.leave(7, 3, 9),
    Purpose.PREFERENCES: lambda tokens, now: tokens.preferences(7, now=now),
    Purpose.RETURN: lambda tokens, now: in_letters(tokens.return_path(9, 7, now=now)),
    Purpose.PROBE: lambda tokens, now: in_letters(tokens.probe(5, now=now)),
    Purpose.STOP: lambda tokens, now: tokens.stop(9, now=now),
    Purpose.CONFIRM: lambda tokens, now: tokens.confirm(11, now=now),
    Purpose.FRESH: lambda tokens, now: tokens.fresh(7, now=now),
}
LOCALS: dict[Purpose, Maker] = {
    Purpose.RETURN: lambda tokens, now: tokens.return_path(9, 7, now=now),
    Purpose.PROBE: lambda tokens, now: tokens.probe(5, now=now),
    Purpose.CONFIRM: lambda tokens, now: tokens.confirm_local(11, now=now),
}
READERS: dict[Purpose, Callable[[str], object]] = {
    Purpose.RETURN: lambda local: TOKENS.read_return_path(local, now=NOW),
    Purpose.PROBE: lambda local: TOKENS.read_probe(local, now=NOW),
    Purpose.CONFIRM: lambda local: TOKENS.read_confirm_local(local, now=NOW),
}


def in_letters(local: str) -> str:
    """Spell a local part as a link: what somebody would try who holds one and wants the other."""
    return base64.urlsafe_b64encode(bytes.fromhex(local[2:])).decode()


@given(NUMBERS, DIGESTS, NUMBERS)
def test_a_leaving_link_names_reader_digest_and_mailing(subscriber: int, digest: int, mailing: int) -> None:
    """The wish must reach the right reader and the right digest, whatever their numbers."""
    link = TOKENS.read_leaving(TOKENS.leave(subscriber, digest, mailing))
    assert link == Link(Purpose.LEAVE, subscriber, digest, mailing)


@given(NUMBERS)
def test_every_token_has_one_width_and_plain_letters(number: int) -> None:
    """Slots of one width keep stamping fast, and no mail client breaks or escapes such a link."""
    for token in (TOKENS.leave(number, 3, number), TOKENS.preferences(number, now=NOW), TOKENS.harmless()):
        assert re.fullmatch(r"[A-Za-z0-9_-]+", token)
        assert len(token) == LENGTH <= 60


def test_a_number_too_large_is_refused_and_not_cut() -> None:
    """A cut number would unsubscribe somebody else."""
    for numbers in ((2**40, 1, 1), (1, 2**24, 1), (1, 1, 2**40), (-1, 1, 1)):
        with pytest.raises(OverflowError):
            TOKENS.leave(*numbers)


@pytest.mark.parametrize("purpose", Purpose, ids=str)
def test_every_flipped_bit_is_noticed(purpose: Purpose) -> None:
    """A forged link must do nothing, however close it is to a real one."""
    raw = base64.urlsafe_b64decode(LINKS[purpose](TOKENS, NOW))
    for bit in range(8 * len(raw)):
        forged = (int.from_bytes(raw) ^ 1 << bit).to_bytes(len(raw))
        spelled = base64.urlsafe_b64encode(forged).decode()
        with pytest.raises(BadToken):
            TOKENS.read(spelled, *Purpose, now=NOW)
        with pytest.raises(BadToken):
            TOKENS.read_leaving(spelled)
        for letter, read in zip("bpc", READERS.values(), strict=True):
            with pytest.raises(BadToken):
                read(f"{letter}-{forged.hex()}")


@pytest.mark.parametrize("purpose", Purpose, ids=str)
def test_every_changed_letter_is_noticed(purpose: Purpose) -> None:
    """What a mail program damages must not become another link, nor what somebody tries on purpose."""
    token = LINKS[purpose](TOKENS, NOW)
    for place in range(LENGTH):
        for letter in "AaZz09_-" + chr(ord(token[place]) ^ 1):
            forged = token[:place] + letter + token[place + 1 :]
            if forged != token:
                with pytest.raises(BadToken):
                    TOKENS.read(forged, *Purpose, now=NOW)


@given(st.text(max_size=80))
def test_what_is_no_token_is_refused_in_words(text: str) -> None:
    """Scanners try all sorts of paths; each gets the same sentence, never a traceback."""
    for read in (lambda it: TOKENS.read(it, *Purpose, now=NOW), TOKENS.read_leaving, *READERS.values()):
        with pytest.raises(BadToken):
            read(text)


@pytest.mark.parametrize("spelling", ["{} ", " {}", "{}\n", "{}=", "{}AAAA", "!{}", "{}%20"])
def test_a_token_has_one_spelling(spelling: str) -> None:
    """A decoder that skips foreign letters would let one link be counted as many."""
    with pytest.raises(BadToken):
        TOKENS.read_leaving(spelling.format(TOKENS.leave(7, 3, 9)))


@pytest.mark.parametrize("made", Purpose, ids=str)
@pytest.mark.parametrize("wanted", Purpose, ids=str)
def test_a_link_of_one_purpose_does_nothing_in_the_place_of_another(made: Purpose, wanted: Purpose) -> None:
    """A forwarded leaving link must not open anyone's preferences, and so on for each two of them."""
    token = LINKS[made](TOKENS, NOW)
    if made is wanted:
        assert TOKENS.read(token, wanted, now=NOW).purpose is made
        return
    for wanted_too in ((wanted,), tuple(one for one in Purpose if one is not made)):
        with pytest.raises(BadToken):
            TOKENS.read(token, *wanted_too, now=NOW)


@pytest.mark.parametrize("made", Purpose, ids=str)
@pytest.mark.parametrize("wanted", LOCALS, ids=str)
def test_an_address_of_one_purpose_does_nothing_in_the_place_of_another(made: Purpose, wanted: Purpose) -> None:
    """What stands in an envelope anyone on its way has read: it must confirm nothing and probe nothing."""
    raw = base64.urlsafe_b64decode(LINKS[made](TOKENS, NOW)).hex()
    letter = LOCALS[wanted](TOKENS, NOW)[:2]
    if made is wanted:
        assert READERS[wanted](letter + raw)
        return
    with pytest.raises(BadToken):
        READERS[wanted](letter + raw)
    for local in {LOCALS[one](TOKENS, NOW) for one in LOCALS if one is not wanted}:
        with pytest.raises(BadToken):
            READERS[wanted](local)


@pytest.mark.parametrize("purpose", LINKS)
def test_a_countersign_stands_behind_links_that_prove_something_and_no_other(purpose: Purpose) -> None:
    """A token has one spelling; what stands behind these two is the workers' to judge, and comes to them letter by letter."""
    token, sign = LINKS[purpose](TOKENS, NOW), "Aa0-_" + "x" * (COUNTERSIGN - 5)
    if purpose in COUNTERSIGNED:
        link = TOKENS.read(token + sign, purpose, now=NOW)
        assert (link.subscriber_id, link.countersign) == ({Purpose.FRESH: 7, Purpose.CONFIRM: 11}[purpose], sign)
        assert sign not in repr(link), "it must stand in no log"
    else:
        with pytest.raises(BadToken):
            TOKENS.read(token + sign, *Purpose, now=NOW)
    for more in (sign + "x", "=" * COUNTERSIGN, sign[1:] + "\n"):
        with pytest.raises(BadToken):
            TOKENS.read(token + more, *Purpose, now=NOW)


@pytest.mark.parametrize("purpose", LINKS)
@pytest.mark.parametrize("kept", range(1, COUNTERSIGN))
def test_what_is_left_of_a_countersign_is_none(purpose: Purpose, kept: int) -> None:
    """A mail program that breaks a link breaks it anywhere: its owner is asked once more, and it proves as little as no letter."""
    cut = LINKS[purpose](TOKENS, NOW) + "x" * kept
    if purpose in COUNTERSIGNED:
        assert TOKENS.read(cut, purpose, now=NOW) == TOKENS.read(LINKS[purpose](TOKENS, NOW), purpose, now=NOW)
        assert TOKENS.read(cut, purpose, now=NOW).countersign == ""
    else:
        with pytest.raises(BadToken):
            TOKENS.read(cut, *Purpose, now=NOW)


def test_leaving_alone_is_for_ever_and_does_nothing_else() -> None:
    """A link in a mail of years ago must work, and so must be worth nothing but leaving."""
    for purpose in Purpose:
        token = LINKS[purpose](TOKENS, NOW)
        if purpose in (Purpose.LEAVE, Purpose.PREVIEW):
            assert TOKENS.read_leaving(token).made_at is None
        else:
            assert TOKENS.read(token, purpose, now=NOW).made_at == THIS_HOUR
            with pytest.raises(BadToken):
                TOKENS.read_leaving(token)
    assert set(Purpose) - set(LIFETIMES) == {Purpose.LEAVE, Purpose.PREVIEW}


@pytest.mark.parametrize("purpose", LIFETIMES, ids=str)
def test_what_carries_its_hour_ends_when_its_time_is_over(purpose: Purpose) -> None:
    """A link found in an old mailbox must not open what its owner does not expect any more."""
    token, ends = LINKS[purpose](TOKENS, NOW), THIS_HOUR + LIFETIMES[purpose] + HOUR
    assert ends - NOW >= LIFETIMES[purpose], "nobody gets less than was promised"
    for when in (THIS_HOUR - AHEAD, NOW, ends - timedelta(seconds=1)):
        assert TOKENS.read(token, purpose, now=when).purpose is purpose
    for when in (THIS_HOUR - AHEAD - timedelta(seconds=1), ends, ends + timedelta(days=4000)):
        with pytest.raises(TooOld) as refused:
            TOKENS.read(token, purpose, now=when)
        assert refused.value.link.made_at == THIS_HOUR


@pytest.mark.parametrize("purpose", LOCALS, ids=str)
def test_an_address_ends_like_the_link_of_its_purpose(purpose: Purpose) -> None:
    """An answer to a confirmation of last year confirms nothing, whichever way it comes."""
    old = LOCALS[purpose](TOKENS, NOW - LIFETIMES[purpose] - HOUR)
    with pytest.raises(TooOld):
        READERS[purpose](old)


@pytest.mark.parametrize("purpose", LIFETIMES, ids=str)
def test_a_link_from_before_hours_is_as_its_purpose_says(purpose: Purpose) -> None:
    """Preferences of an old mail get a fresh link instead; what stops a mailing or names a bounce still does."""
    made = {Purpose.STOP: (0, 0, 9), Purpose.RETURN: (7, 0, 9)}.get(purpose, (7, 0, 0))
    old = TOKENS._make(purpose, *made)
    if purpose in UNDATED:
        assert TOKENS.read(old, purpose, now=NOW).made_at is None
    else:
        with pytest.raises(TooOld):
            TOKENS.read(old, purpose, now=NOW)
    assert frozenset({Purpose.RETURN, Purpose.STOP}) == UNDATED


def test_a_leaving_link_that_was_mailed_before_is_still_one() -> None:
    """The layout of what stands in thousands of mailboxes is never changed: this one the first version made."""
    tokens = Tokens(1, {1: bytes(range(32))})
    assert tokens.leave(7, 3, 9) == "AQE-EGHUeZE5ah5j5hFX7Eyb8vGpugcg"
    assert tokens.read_leaving("AQE-EGHUeZE5ah5j5hFX7Eyb8vGpugcg") == Link(Purpose.LEAVE, 7, 3, 9)


def test_a_preview_link_names_nobody() -> None:
    """Whoever is shown a preview must not be able to unsubscribe the reader it was made for."""
    assert TOKENS.read_leaving(TOKENS.harmless()) == Link(Purpose.PREVIEW)


def test_neighbours_on_the_list_have_links_that_do_not_look_alike() -> None:
    """Nobody may count the list, or guess the next reader's link, from their own."""
    tokens = [TOKENS.leave(number, 3, 9)[3:] for number in range(100, 200)]
    alike = max(sum(a == b for a, b in zip(one, two, strict=True)) for one, two in itertools.pairwise(tokens))
    assert alike <= 8


def test_old_keys_still_read_and_other_keys_do_not() -> None:
    """A link in a mail of ten years ago must still let its reader leave; a stranger's key opens nothing."""
    old = TOKENS.leave(7, 3, 9)
    rotated = Tokens(2, {**KEYS, 2: secrets.token_bytes(32)})
    assert rotated.read_leaving(old) == Link(Purpose.LEAVE, 7, 3, 9)
    assert rotated.read_leaving(rotated.leave(7, 3, 9)) == Link(Purpose.LEAVE, 7, 3, 9)
    with pytest.raises(BadToken):
        TOKENS.read_leaving(rotated.leave(7, 3, 9))
    with pytest.raises(BadToken):
        Tokens(1, {1: secrets.token_bytes(32)}).read_leaving(old)


def retired(at: datetime) -> tuple[Tokens, Tokens]:
    """Return what a thief makes links with who kept the old file, and what reads since another key writes."""
    return Tokens(1, KEYS), Tokens(2, {**KEYS, 2: secrets.token_bytes(32)}, {1: at})


@pytest.mark.parametrize("purpose", LIFETIMES, ids=str)
def test_a_key_that_was_retired_makes_nothing_that_is_dated_later(purpose: Purpose) -> None:
    """Whoever kept the old file writes the hour himself: without this a change of keys would end nothing."""
    old, read = retired(NOW)
    for made in (NOW - HOUR, NOW + RESTARTED - HOUR):
        assert read.read(LINKS[purpose](old, made), purpose, now=made + HOUR / 2).purpose is purpose, (
            "honest mail goes on"
        )
    for made in (NOW + RESTARTED + HOUR, NOW + timedelta(days=1000)):
        with pytest.raises(BadToken):
            read.read(LINKS[purpose](old, made), purpose, now=made + HOUR / 2)


@pytest.mark.parametrize("purpose", LIFETIMES, ids=str)
def test_what_a_retired_key_made_before_is_good_to_its_end_and_no_longer(purpose: Purpose) -> None:
    """A change of keys must cost no reader the link in their mail, and give a thief no more than its lifetime."""
    old, read = retired(NOW)
    token, last = LINKS[purpose](old, NOW), THIS_HOUR + LIFETIMES[purpose]
    assert read.read(token, purpose, now=last).purpose is purpose
    with pytest.raises(TooOld):
        read.read(token, purpose, now=last + HOUR)


@pytest.mark.parametrize("purpose", sorted(UNDATED), ids=str)
def test_what_a_retired_key_made_without_an_hour_ends_too(purpose: Purpose) -> None:
    """Such tokens lie in old mail; a thief makes them as well, and must not have found the way around."""
    old, read = retired(NOW)
    token = old._make(purpose, 7, 0, 9)
    last = NOW + RESTARTED + LIFETIMES[purpose]
    assert read.read(token, purpose, now=last - HOUR).made_at is None
    with pytest.raises(BadToken):
        read.read(token, purpose, now=last)


def test_leaving_outlives_every_key() -> None:
    """The one thing that must work for ever, from a mail of whatever year."""
    old, read = retired(NOW - timedelta(days=4000))
    assert read.read_leaving(LINKS[Purpose.LEAVE](old, NOW)).subscriber_id == 7


@pytest.mark.parametrize("purpose", LIFETIMES, ids=str)
def test_a_new_key_ends_no_link_before_its_time(purpose: Purpose) -> None:
    """Keys change while people hold links: those of both keys do what they are for, within their age and no longer."""
    rotated = Tokens(2, {**KEYS, 2: secrets.token_bytes(32)})
    later = THIS_HOUR + LIFETIMES[purpose] + HOUR
    for tokens in (TOKENS, rotated):
        token = LINKS[purpose](tokens, NOW)
        assert rotated.read(token, purpose, now=NOW).purpose is purpose
        with pytest.raises(TooOld):
            rotated.read(token, purpose, now=later)
    assert base64.urlsafe_b64decode(LINKS[purpose](rotated, NOW))[1] == 2, "only the live key writes"


def test_a_confirmation_by_mail_survives_servers_that_fold_case() -> None:
    """An answer is the last way in for those whose button does not work."""
    local = TOKENS.confirm_local(11, now=NOW)
    assert local == local.lower()
    assert len(local) + REPLY_SIGN <= 64, "RFC 5321 §4.5.3.1.1"
    assert TOKENS.read_confirm_local(local.upper(), now=NOW).signup_id == 11
    mailed = TOKENS.read_confirm_local(f"{local}abcdefgh2347".upper(), now=NOW)
    assert (mailed.signup_id, mailed.countersign) == (11, "abcdefgh2347")
    assert TOKENS.read(TOKENS.confirm(11, now=NOW), Purpose.CONFIRM, now=NOW).signup_id == 11


def test_a_return_path_survives_servers_that_fold_case() -> None:
    """A bounce is worth nothing when its address no longer says which delivery it was."""
    local = TOKENS.return_path(9, 7, now=NOW)
    assert local == local.lower()
    assert len(local) <= 60
    assert TOKENS.read_return_path(local.upper(), now=NOW) == (9, 7)
    with pytest.raises(BadToken):
        TOKENS.read_return_path(local[:-1] + ("0" if local[-1] != "0" else "1"), now=NOW)


def test_a_message_id_is_the_same_for_ever_and_tells_nothing() -> None:
    """A mail sent again after a crash must be recognised as the same one (standards §6), also after a key change."""
    name = TOKENS.message_id(9, 7, "", "news.example.org")
    assert name == Tokens(2, {**KEYS, 2: secrets.token_bytes(32)}).message_id(9, 7, "", "news.example.org")
    assert re.fullmatch(r"[A-Za-z0-9_-]{24}@news\.example\.org", name)
    others = {TOKENS.message_id(*what, "news.example.org") for what in ((9, 8, ""), (8, 7, ""), (9, 7, "again"))}
    assert len(others | {name}) == 4


def test_a_million_links_take_seconds() -> None:
    """Each message carries four of them; at 2,000 messages a second there is no time for more."""
    for make in (lambda: TOKENS.leave(123_456, 3, 77), lambda: TOKENS.preferences(123_456, now=NOW)):
        fastest = min(timeit.repeat(make, number=2_000, repeat=10)) / 2_000
        assert fastest < 20e-6, "ten times what was measured"


def test_the_refusal_is_a_sentence() -> None:
    """A reader with a damaged link must learn what to do."""
    for refusal in (BadToken(), TooOld(Link(Purpose.PREFERENCES, 7))):
        assert "newest mail" in languages.say(refusal.message, "en", **refusal.facts)
