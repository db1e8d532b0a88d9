"""A writer asks for a lock: those who may give it are mailed once, however often a tired thumb presses."""

import threading

import pytest

from newsletter.journeys import alert, drafting, wanting
from newsletter.journeys.drafting import Revision
from newsletter.journeys.wanting import AskedLately
from newsletter.operators.roles import Role
from tests import house
from tests.journeys import nights
from tests.journeys.test_forging import attacker
from tests.journeys.test_mandates_used import wait_for_locks
from tests.journeys.test_telling import author as author
from tests.journeys.test_telling import crew as crew
from tests.journeys.test_telling import made as made


@pytest.fixture
def writer(crew):
    return crew.member(Role.WRITER, name="Zed Oran")


@pytest.fixture
def number(made, tmp_path, writer):
    house.add_readers(made, tmp_path, house.addresses(4))
    return drafting.draft(made.parts, nights.write(tmp_path, nights.TEXT), digest_key=house.DIGEST, by=writer.id)


def asked(made):
    return len([event for event, _ in nights.calls(made) if event == "lock-wanted"])


def test_other_words_are_no_reason_to_mail_all_again(made, number, writer, author):
    """The mail leads to the page, which shows the words there are by then."""
    wanting.ask_for_lock(made.parts, number, by=writer.id)
    drafting.edit_words(made.parts, number, Revision((nights.TEXT + "More.\n",)), by=writer.id)
    with pytest.raises(AskedLately):
        wanting.ask_for_lock(made.parts, number, by=writer.id)
    assert asked(made) == 1


def test_what_was_locked_and_is_a_draft_again_may_be_asked_for_at_once(made, number, writer, author):
    """They did what they were asked for, and nobody told them that it is not locked any more."""
    wanting.ask_for_lock(made.parts, number, by=writer.id)
    alert.lock(made.parts, number, by=author.id)
    drafting.edit_words(made.parts, number, Revision((nights.TEXT + "More.\n",)), by=writer.id)
    wanting.ask_for_lock(made.parts, number, by=writer.id)
    assert asked(made) == 2


def test_two_presses_at_once_are_one(made, number, writer, author, database_urls):
    """Two writers, or one thumb twice: whoever comes second hears that it was done."""
    refusals = []

    def press():
        try:
            wanting.ask_for_lock(made.parts, number, by=writer.id)
        except AskedLately as refused:
            refusals.append(refused.message)

    threads = [threading.Thread(target=press) for _ in range(2)]
    with attacker(database_urls.worker) as held:
        held.execute("SELECT FROM mailing WHERE id = %s FOR UPDATE", (number,))
        for thread in threads:
            thread.start()
        wait_for_locks(made, 2)
        held.rollback()
    for thread in threads:
        thread.join(timeout=60)
    assert refusals == ["alert.asked-lately"]
    assert asked(made) == 1
