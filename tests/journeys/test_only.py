"""An alert to the readers of some languages: nobody else gets it, and whoever gives their word for it sees whom it is for."""

import pytest
from sqlalchemy import text

from newsletter.cli import reading
from newsletter.delivery.planning import OtherAudience
from newsletter.journeys import alert, drafting, retracting, translating
from newsletter.ledger import locks
from newsletter.ledger.mailings import State
from newsletter.ledger.translating import Waiting
from tests import house
from tests.journeys.alerting import status
from tests.journeys.test_translating import SUBJECTS, inbox, late, of, sent
from tests.journeys.test_translating import files as files
from tests.journeys.test_translating import readers as readers


def locked_as(made, number):
    with made.parts.database.transaction() as session:
        return locks.current(session, number)


def test_it_goes_to_those_readers_in_the_best_version_they_have(newsletter, sink, files, readers):
    """What happens in Arabic and Persian alone wakes no reader of English, who could not act on it."""
    wish = drafting.Wish(drafting.read_files([files["fa"]]), house.DIGEST, only=("fa", "ar"))
    assert drafting.rehearse(newsletter.parts, wish) == 10
    number = sent(newsletter, [files["fa"]], only=["fa", "ar"])
    assert inbox(sink) == of(readers, {"en": [], "fa": [SUBJECTS["fa"]], "ar": [SUBJECTS["fa"]]})
    found = status(newsletter, number)
    assert (found.state, found.audience, found.planned) == ("done", 10, 10)
    locked = locked_as(newsletter, number)
    assert (locked.count, locked.audience["only"]) == (10, ["ar", "fa"])


def test_whoever_gives_their_word_reads_whom_it_is_for(newsletter, files, readers, capsys):
    """An alert to five is another than one to fifteen; the page and the command line say why."""
    number = drafting.draft(newsletter.parts, [files["fa"]], digest_key=house.DIGEST, only=["fa"])
    alert.lock(newsletter.parts, number)
    reading.read(newsletter, number)
    said = capsys.readouterr().err
    assert "to 5 readers" in said
    assert "Only to those who read: fa." in said
    assert translating.languages(newsletter.parts, number).only == ("fa",)


def test_whom_it_is_for_is_not_changed_behind_a_lock(newsletter, sink, files, readers):
    """Neither by somebody with a worker's password, nor by whoever edits the words and means nothing by it."""
    number = drafting.draft(newsletter.parts, [files["fa"]], digest_key=house.DIGEST, only=["fa"])
    drafting.edit(newsletter.parts, number, [files["fa"]])
    alert.lock(newsletter.parts, number)
    with newsletter.parts.database.transaction() as session:
        session.execute(text("UPDATE mailing SET content = content - 'only' WHERE id = :id"), {"id": number})
    with pytest.raises(OtherAudience):
        alert.release(newsletter.parts, number)
    assert alert.standing(newsletter.parts, number).state is State.LOCKED
    newsletter.deliver("urgent")
    assert sink.messages == []


def test_a_language_that_comes_later_keeps_to_the_same_readers(newsletter, sink, files, readers):
    """Readers of English were not meant, and are not meant half an hour later; a retraction goes to whoever has it."""
    number = sent(newsletter, [files["fa"]], only=["fa", "ar"], later=["ar"])
    assert translating.offered(newsletter.parts, number) == [Waiting("ar", 5, 0)]
    with pytest.raises(drafting.NotWritten):
        translating.draft(newsletter.parts, [files["en"]], of=number)
    later = late(newsletter, [files["ar"]], number)
    assert locked_as(newsletter, later).audience["only"] == ["ar", "fa"]
    assert inbox(sink) == of(readers, {"en": [], "fa": [SUBJECTS["fa"]], "ar": [SUBJECTS["ar"]]})
    retracting.retract(newsletter.parts, number)
    newsletter.sweep()
    newsletter.deliver("urgent")
    assert [len(inbox(sink).get(one, ())) for each in readers.values() for one in each] == [0] * 5 + [2] * 10


def test_what_cannot_be_meant_is_refused_in_a_sentence(newsletter, files, readers):
    """A language that nobody is known to read; a language to come of which nobody waits; an update that forgets some."""
    begin = {"digest_key": house.DIGEST}
    with pytest.raises(drafting.NobodyReads):
        drafting.draft(newsletter.parts, [files["fa"]], only=["ku"], **begin)
    with pytest.raises(drafting.NotWritten):
        drafting.draft(newsletter.parts, [files["fa"]], only=["fa"], later=["en"], **begin)
    number = sent(newsletter, [files["fa"]], only=["fa", "ar"])
    with pytest.raises(drafting.FewerReaders):
        drafting.draft(newsletter.parts, [files["fa"]], only=["fa"], updates=number, **begin)
    drafting.draft(newsletter.parts, [files["fa"]], updates=number, **begin)
