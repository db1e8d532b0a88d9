"""Each reader of an alert gets the best version there is: in their own language where it was written, whatever the digest lists."""

import pytest

from newsletter.journeys import translating
from newsletter.ledger.translating import Waiting
from tests.journeys.alerting import status
from tests.journeys.test_translating import SUBJECTS, inbox, late, of, sent
from tests.journeys.test_translating import files as files
from tests.journeys.test_translating import readers as readers
from tests.web.test_publicity import speak


def test_a_version_in_a_language_that_the_digest_does_not_list_reaches_its_readers(newsletter, sink, files, readers):
    """An Arabic text was written for those who read Arabic; nobody must learn of it from an inbox full of English."""
    speak(newsletter, "{en,fa}")
    number = sent(newsletter, [files["en"], files["ar"]])
    en, fa, ar = (SUBJECTS[one] for one in ("en", "fa", "ar"))
    assert inbox(sink) == of(readers, {"en": [en], "fa": [en], "ar": [ar]})
    assert status(newsletter, number).planned == 15
    assert translating.offered(newsletter.parts, number) == [Waiting("fa", 0, 5)]
    late(newsletter, [files["fa"]], number, also_had=True)
    assert inbox(sink) == of(readers, {"en": [en], "fa": [en, fa], "ar": [ar]})


@pytest.mark.parametrize(("written", "first"), [(["ar", "en"], "en"), (["ar"], "ar")])
def test_who_reads_none_of_the_versions_gets_the_digest_s_first_or_else_the_first(
    newsletter, sink, files, readers, written, first
):
    """In whichever order the files were named."""
    speak(newsletter, "{en,fa}")
    sent(newsletter, [files[one] for one in written])
    assert inbox(sink) == of(readers, {"en": [SUBJECTS[first]], "fa": [SUBJECTS[first]], "ar": [SUBJECTS["ar"]]})
