"""A link proves a wish by its key alone: nobody can forge one, read one, or use one for something else."""

import itertools
import re
import secrets
import timeit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter import languages
from newsletter.tokens import LENGTH, BadToken, Link, Purpose, Tokens

KEYS = {1: secrets.token_bytes(32)}
TOKENS = Tokens(1, KEYS)
NUMBERS = st.integers(0, 2**40 - 1)
DIGESTS = st.integers(0, 2**24 - 1)


@given(NUMBERS, DIGESTS, NUMBERS)
def test_a_leaving_link_names_reader_digest_and_mailing(subscriber: int, digest: int, mailing: int) -> None:
    """The wish must reach the right reader and the right digest, whatever their numbers."""
    link = TOKENS.read(TOKENS.leave(subscriber, digest, mailing), Purpose.LEAVE)
    assert link == Link(Purpose.LEAVE, subscriber, digest, mailing)


@given(NUMBERS)
def test_every_token_has_one_width_and_plain_letters(number: int) -> None:
    """Slots of one width keep stamping fast, and no mail client breaks or escapes such a link."""
    for token in (TOKENS.leave(number, 3, number), TOKENS.preferences(number), TOKENS.harmless()):
        assert re.fullmatch(r"[A-Za-z0-9_-]+", token)
        assert len(token) == LENGTH <= 60


def test_a_number_too_large_is_refused_and_not_cut() -> None:
    """A cut number would unsubscribe somebody else."""
    for numbers in ((2**40, 1, 1), (1, 2**24, 1), (1, 1, 2**40), (-1, 1, 1)):
        with pytest.raises(OverflowError):
            TOKENS.leave(*numbers)


def test_every_changed_letter_is_noticed() -> None:
    """A forged link must not unsubscribe anyone, however close it is to a real one."""
    token = TOKENS.leave(7, 3, 9)
    for place in range(LENGTH):
        for letter in "AaZz09_-" + chr(ord(token[place]) ^ 1):
            forged = token[:place] + letter + token[place + 1 :]
            if forged != token:
                with pytest.raises(BadToken):
                    TOKENS.read(forged)


@given(st.text(max_size=80))
def test_what_is_no_token_is_refused_in_words(text: str) -> None:
    """Scanners try all sorts of paths; each gets the same sentence, never a traceback."""
    for read in (TOKENS.read, TOKENS.read_return_path):
        with pytest.raises(BadToken):
            read(text)


@pytest.mark.parametrize("spelling", ["{} ", " {}", "{}\n", "{}=", "{}AAAA", "!{}", "{}%20"])
def test_a_token_has_one_spelling(spelling: str) -> None:
    """A decoder that skips foreign letters would let one link be counted as many."""
    with pytest.raises(BadToken):
        TOKENS.read(spelling.format(TOKENS.leave(7, 3, 9)))


def test_a_link_of_one_purpose_does_nothing_in_the_place_of_another() -> None:
    """A forwarded leaving link must not open anyone's preferences."""
    with pytest.raises(BadToken):
        TOKENS.read(TOKENS.leave(7, 3, 9), Purpose.PREFERENCES)
    with pytest.raises(BadToken):
        TOKENS.read(TOKENS.preferences(7), Purpose.LEAVE, Purpose.PREVIEW)
    with pytest.raises(BadToken):
        TOKENS.read(TOKENS.harmless(), Purpose.LEAVE)


def test_a_preview_link_names_nobody() -> None:
    """Whoever is shown a preview must not be able to unsubscribe the reader it was made for."""
    assert TOKENS.read(TOKENS.harmless()) == Link(Purpose.PREVIEW)


def test_neighbours_on_the_list_have_links_that_do_not_look_alike() -> None:
    """Nobody may count the list, or guess the next reader's link, from their own."""
    tokens = [TOKENS.leave(number, 3, 9)[3:] for number in range(100, 200)]
    alike = max(sum(a == b for a, b in zip(one, two, strict=True)) for one, two in itertools.pairwise(tokens))
    assert alike <= 8


def test_old_keys_still_read_and_other_keys_do_not() -> None:
    """A link in a mail of ten years ago must still let its reader leave; a stranger's key opens nothing."""
    old = TOKENS.leave(7, 3, 9)
    rotated = Tokens(2, {**KEYS, 2: secrets.token_bytes(32)})
    assert rotated.read(old) == Link(Purpose.LEAVE, 7, 3, 9)
    assert rotated.read(rotated.leave(7, 3, 9)) == Link(Purpose.LEAVE, 7, 3, 9)
    with pytest.raises(BadToken):
        TOKENS.read(rotated.leave(7, 3, 9))
    with pytest.raises(BadToken):
        Tokens(1, {1: secrets.token_bytes(32)}).read(old)


def test_a_return_path_survives_servers_that_fold_case() -> None:
    """A bounce is worth nothing when its address no longer says which delivery it was."""
    local = TOKENS.return_path(9, 7)
    assert local == local.lower()
    assert len(local) <= 60
    assert TOKENS.read_return_path(local.upper()) == (9, 7)
    with pytest.raises(BadToken):
        TOKENS.read_return_path(local[:-1] + ("0" if local[-1] != "0" else "1"))


def test_a_message_id_is_the_same_for_ever_and_tells_nothing() -> None:
    """A mail sent again after a crash must be recognised as the same one (standards §6), also after a key change."""
    name = TOKENS.message_id(9, 7, "", "news.example.org")
    assert name == Tokens(2, {**KEYS, 2: secrets.token_bytes(32)}).message_id(9, 7, "", "news.example.org")
    assert re.fullmatch(r"[A-Za-z0-9_-]{24}@news\.example\.org", name)
    others = {TOKENS.message_id(*what, "news.example.org") for what in ((9, 8, ""), (8, 7, ""), (9, 7, "again"))}
    assert len(others | {name}) == 4


def test_a_million_links_take_seconds() -> None:
    """Each message carries four of them; at 2,000 messages a second there is no time for more."""
    fastest = min(timeit.repeat(lambda: TOKENS.leave(123_456, 3, 77), number=2_000, repeat=10)) / 2_000
    assert fastest < 20e-6, "ten times what was measured"


def test_the_refusal_is_a_sentence() -> None:
    """A reader with a damaged link must learn what to do."""
    assert "newest mail" in languages.say(BadToken().message, "en", **BadToken().facts)
