"""The named series."""

import pytest

from newsletter.issues import cutting, digests
from newsletter.issues.cutting import NeverCut
from newsletter.issues.digests import BadDigestKey, BadDigestLanguage, BadDigestName, DigestExists, UnknownDigest
from newsletter.subscribers.subscriptions import ISSUED, Rhythm


def add(session, key="weekly", **more):
    facts = {"name": "The Weekly", "languages": ("en", "fa"), "rhythm": Rhythm.WEEKLY} | more
    return digests.add(session, key, **facts)


def test_adding_the_same_digest_again_changes_nothing(session):
    """Set-up scripts run twice."""
    assert add(session) == add(session)


def test_another_digest_of_the_same_key_is_refused(session):
    """The key stands in List-Id for ever: two meanings would mix two readerships."""
    add(session)
    with pytest.raises(DigestExists):
        add(session, name="The Monthly")


@pytest.mark.parametrize("key", ["", "Weekly", "-a", "a_b", "a" * 41, "ünder", "a.b", "weekly\n"])
def test_a_key_that_cannot_stand_in_an_address_is_refused(session, key):
    """RFC 2919 wants a name that is stable and plain."""
    with pytest.raises(BadDigestKey):
        add(session, key)


@pytest.mark.parametrize("name", ["", "  ", "a\nBcc: b", "\u202eevil", "x" * 101])
def test_a_name_that_cannot_stand_in_a_header_is_refused(session, name):
    """It is part of every subject and List-Id (standards §7): better refused here than on the night of the issue."""
    with pytest.raises(BadDigestName):
        add(session, name=name)


def test_languages_are_tags(session):
    """A language that is none would choose no reader and no words."""
    with pytest.raises(BadDigestLanguage):
        add(session, languages=("en", "English please"))
    assert add(session, languages=("en_GB",)).languages == ("en-GB",)


def test_an_unknown_digest_is_named(session):
    """A mistyped key gets a sentence."""
    with pytest.raises(UnknownDigest):
        digests.by_key(session, "weekyl")


def test_emergencies_is_nobody_s_series(session):
    """It is a reader's choice: a digest of that rhythm would be one of which no issue is ever cut."""
    with pytest.raises(NeverCut):
        add(session, rhythm=Rhythm.EMERGENCIES)
    assert [cutting.cuttable(one) for one in ISSUED] == ["each", "daily", "weekly", "monthly"]
    with pytest.raises(NeverCut):
        cutting.cuttable("emergencies")
