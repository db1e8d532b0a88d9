"""What a mail asks of one person is drawn from its occasion: the same again tomorrow, and worth nothing in another's place."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from newsletter.delivery import asking
from newsletter.keyring import Keyring
from newsletter.tokens import COUNTERSIGN, LENGTH, REPLY_SIGN, Purpose, Tokens
from newsletter.vault import Vault

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def keys():
    return Keyring.make()


@pytest.fixture(scope="module")
def tokens(keys):
    return Tokens(keys.token.live, keys.token.keys)


def link(tokens, keys, occasion, *, mailbox_id=3):
    return asking.asked(tokens, Vault(keys), occasion, mailbox_id=mailbox_id, now=NOW).action


def test_a_link_that_is_tried_again_says_the_same_whatever_became_of_the_keys(keys, tokens):
    """Two copies of one mail of which one link works would be a link that does not work."""
    occasion = asking.to_prove(7, NOW, keys.seal.live)
    first = link(tokens, keys, occasion)
    changed = keys.with_key("seal").with_live("seal", 2, now=NOW)
    assert changed.seal.live != keys.seal.live
    assert link(tokens, changed, occasion) == first
    assert link(tokens, changed.without("seal", 1), occasion) == first[:LENGTH], "without its key there is none"


def test_a_countersign_is_of_one_reader_one_mailbox_one_moment_and_one_key(keys, tokens):
    """Whoever holds one of their own must not make another's of it, nor last month's."""
    both = keys.with_key("seal")
    made = {
        asking.countersign(Vault(both), asking.to_prove(subscriber, at, key_id), mailbox_id)
        for subscriber in (7, 8)
        for at in (NOW, NOW + timedelta(seconds=1))
        for key_id in (1, 2)
        for mailbox_id in (3, 4)
    }
    assert len(made) == 16
    assert {len(one) for one in made} == {COUNTERSIGN}


def test_the_pages_part_of_the_keys_makes_a_token_and_no_countersign(keys, tokens):
    """They are the door that is forced first, and hold every key but those that open the list (docs/adr/0028)."""
    made = link(tokens, keys.for_pages(), asking.to_prove(7, NOW, 1))
    assert len(made) == LENGTH
    assert tokens.read(made, Purpose.FRESH, now=NOW).countersign == ""


def test_a_mail_that_was_planned_before_has_its_link(keys, tokens):
    """What was due when the product was upgraded must go out: its page then says to ask for another."""
    assert tokens.read(link(tokens, keys, f"fresh:7:{int(NOW.timestamp())}"), Purpose.FRESH, now=NOW).subscriber_id == 7


def test_a_question_is_signed_for_one_sign_up_and_one_mailbox_by_three_things_of_their_own(keys):
    """Whoever reads one of them over a shoulder, or in a Reply-To, must have none of the others."""
    vault = Vault(keys)
    made = [asking.signs(vault, number, mailbox)[0] for number in (1, 2) for mailbox in (3, 4)]
    assert len({one.link for one in made} | {one.code for one in made} | {one.reply for one in made}) == 12
    assert len({asking.signs(vault, number, 3)[0].code for number in range(1000)}) > 990
    for one in made:
        assert (len(one.link), len(one.reply)) == (COUNTERSIGN, REPLY_SIGN)
        assert re.fullmatch("[0-9]{6}", one.code)


def test_a_question_s_yes_outlives_a_change_of_keys_and_not_the_key(keys):
    """Mail is answered days later; a key that was taken out is nobody's proof any more."""
    [before] = asking.signs(Vault(keys), 1, 3)
    changed = keys.with_key("seal").with_live("seal", 2, now=NOW)
    live, *older = asking.signs(Vault(changed), 1, 3)
    assert older == [before]
    assert live != before
    assert asking.signs(Vault(changed.without("seal", 1)), 1, 3) == [live]


def test_the_pages_part_of_the_keys_signs_no_question(keys):
    """Whoever forces that door must not say yes in anybody's name (docs/adr/0032)."""
    assert asking.signs(Vault(keys.for_pages()), 1, 3) == []
