"""A word is for what was before somebody's eyes: what is locked anew in that very moment does not go by it."""

from dataclasses import replace

import pytest

from newsletter.journeys import alert, drafting, mandates
from newsletter.ledger.mailings import State
from newsletter.operators.night import Rule
from tests.journeys import nights
from tests.journeys.test_mandates import crew as crew
from tests.journeys.test_mandates import holder as holder
from tests.journeys.test_mandates import locked
from tests.journeys.test_mandates import made as made
from tests.journeys.test_mandates import mandate as mandate
from tests.journeys.test_mandates import signers as signers


class Meanwhile:
    """A letterhead that is asked for as an alert is released, and lets something happen at that moment."""

    def __init__(self, letterhead, happens):
        self._letterhead, self._happens = letterhead, happens

    def __getattr__(self, name):
        return getattr(self._letterhead, name)

    def require(self):
        self._happens()


@pytest.mark.parametrize("factor", ["code", "passkey"])
def test_what_is_locked_anew_under_a_thumb_does_not_go(made, tmp_path, crew, holder, mandate, sink, factor):
    """The thumb was for the words on the screen: to so few readers others would go by one person's word, and by nobody's look."""
    phone = nights.phone_of(crew, made, holder)
    number = locked(made, tmp_path, holder, count=2)
    by = mandates.paper(made.parts, mandate).mandate.fingerprint
    seen, thumb = alert.standing(made.parts, number).locked.fingerprint, None
    if factor == "passkey":
        thumb = nights.signature(made, phone, number, Rule.MANDATE, mandate=by)

    def lock_anew():
        drafting.edit(made.parts, number, nights.write(tmp_path, "# Nothing\n\nGo to bed.\n"), by=holder.id)
        alert.lock(made.parts, number, by=holder.id)

    parts = replace(made.parts, letterhead=Meanwhile(made.parts.letterhead, lock_anew))
    shown = {"mandate": mandate, "by": holder.id, "seen": seen}
    if factor == "passkey":
        release, answer = mandates.release_by_passkey, {"assertion": thumb}
    else:
        release, answer = mandates.release_by_code, {"code": holder.code(nights.now(made))}
    with pytest.raises(drafting.ChangedMeanwhile):
        release(parts, number, **shown, **answer)
    assert alert.standing(made.parts, number).state is State.LOCKED
    assert mandates.listed(made.parts)[0].mandate.used == 0
