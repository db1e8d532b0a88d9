"""The order of messages: whatever order they come in, the same words stand at the end."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter import languages
from newsletter.campaigns import cap, ordering
from newsletter.campaigns.cap import Kind, Scope, Status
from newsletter.campaigns.ordering import Apply, Hold, Ignore, Move, Noted, Standing, State, Step, Why
from tests.campaigns.samples import named, real, said

A, B, U, V, C = named("A", 0), named("B", 1), named("U", 2), named("V", 3), named("C", 4)
ALERT = said("A", 0)
OTHER = said("B", 1)
UPDATE = said("U", 2, Kind.UPDATE, A)
SECOND = said("V", 3, Kind.UPDATE, A, U)
CANCEL = said("C", 4, Kind.CANCEL, V)


class World:
    """What the storage and the alerts would hold: messages taken in, and what was done about them."""

    def __init__(self, *messages: cap.CapMessage) -> None:
        self.known: list[Noted] = []
        self.held: list[cap.CapMessage] = []
        self.steps: list[Step] = []
        for message in messages:
            self.take(message)

    def take(self, message: cap.CapMessage) -> ordering.Decision:
        decision = ordering.decide(self.known, message)
        if decision != Ignore(Why.DUPLICATE):
            self._settle(message, decision)
            while found := ordering.follow(self.known, self.held):
                self.held.remove(found[0])
                self._settle(*found)
        return decision

    def _settle(self, message: cap.CapMessage, decision: ordering.Decision) -> None:
        self.known = [one for one in self.known if one.name.key != message.name.key]
        self.known.append(ordering.noted(message, decision))
        self.held = [one for one in self.held if one.name.key != message.name.key]
        if isinstance(decision, Hold):
            self.held.append(message)
        if isinstance(decision, Apply):
            self.steps += decision.steps

    @property
    def picture(self) -> object:
        """What anybody would be told: which words stand, which alerts are over, what waits."""
        standings = ordering.standings(self.known)
        live = {alert: one.words for alert, one in standings.items() if not one.cancelled_by}
        over = {alert for alert, one in standings.items() if one.cancelled_by}
        return live, over, {one.name for one in self.held}

    @property
    def done(self) -> object:
        """What the acts have made of the alerts: the same, seen from outside."""
        live: dict[cap.Reference, cap.Reference] = {}
        for step in self.steps:
            assert (step.move is Move.NEW) == (step.of not in live), "an alert is begun once, and before all else"
            if step.move is Move.CANCEL:
                live[step.of] = step.by
            else:
                assert live.get(step.of, step.by) <= step.by, "older words never replace newer ones"
                live[step.of] = step.by
        return live


def test_a_chain_in_its_order():
    """The plain case: an alert, two updates, the end."""
    world = World(ALERT, UPDATE, SECOND, CANCEL)
    assert world.steps == [
        Step(Move.NEW, A, A),
        Step(Move.UPDATE, A, U),
        Step(Move.UPDATE, A, V),
        Step(Move.CANCEL, A, C),
    ]
    assert world.picture == ({}, {A}, set())


def test_what_came_too_early_is_held_and_follows_in_order():
    """The alert was delayed on its way; its updates must neither be lost nor go out before it."""
    world = World()
    assert world.take(CANCEL) == Hold(Why.UNKNOWN)
    assert world.take(SECOND) == Hold(Why.UNKNOWN)
    assert world.take(UPDATE) == Hold(Why.UNKNOWN)
    assert world.steps == []
    world.take(ALERT)
    assert [(step.move, step.by) for step in world.steps] == [
        (Move.NEW, A),
        (Move.UPDATE, U),
        (Move.UPDATE, V),
        (Move.CANCEL, C),
    ]


def test_an_update_that_was_overtaken_changes_nothing():
    """Its words are older than what readers have; but what names it still finds the alert."""
    world = World(ALERT, SECOND)
    assert world.take(UPDATE) == Ignore(Why.SUPERSEDED)
    assert world.take(said("W", 5, Kind.UPDATE, U)) == Apply((Step(Move.UPDATE, A, named("W", 5)),))


def test_a_cancelled_alert_stays_cancelled():
    """Nothing brings back what an authority has withdrawn, not even what it sent afterwards."""
    world = World(ALERT, said("C", 4, Kind.CANCEL, A))
    assert world.take(said("W", 5, Kind.UPDATE, A)) == Ignore(Why.CANCELLED)
    assert world.take(said("D", 6, Kind.CANCEL, A)) == Ignore(Why.CANCELLED)


def test_one_cancel_may_end_two_alerts():
    """A storm is over in both counties."""
    world = World(ALERT, OTHER)
    both = world.take(said("C", 4, Kind.CANCEL, A, B))
    assert both == Apply((Step(Move.CANCEL, A, C), Step(Move.CANCEL, B, C)))


def test_an_alert_that_comes_after_its_cancel_is_never_begun():
    """The second of two alerts was stuck on its way while both were cancelled."""
    world = World(ALERT, said("C", 4, Kind.CANCEL, A, B))
    assert world.take(OTHER) == Ignore(Why.CANCELLED)
    assert world.picture == ({}, {A, B}, set())


def test_the_same_message_twice_counts_once():
    """A feed shows its messages for days, and is read every minute."""
    world = World(ALERT)
    assert world.take(ALERT) == Ignore(Why.DUPLICATE)
    assert world.take(replace(ALERT, sent=U.sent)) == Ignore(Why.DUPLICATE)
    assert isinstance(world.take(replace(ALERT, sender="others.example")), Apply), "an identifier is its sender's own"


def test_a_reference_is_the_whole_name():
    """Identifiers are used again after years by some; the moment is part of the name."""
    world = World(ALERT)
    assert world.take(said("U", 2, Kind.UPDATE, named("A", 1))) == Hold(Why.UNKNOWN)


@pytest.mark.parametrize("status", [one for one in Status if one is not Status.ACTUAL])
def test_an_exercise_is_never_real(status):
    """On the first Wednesday of a month sirens are tried; nobody must be woken by us."""
    world = World()
    assert world.take(replace(ALERT, status=status)) == Ignore(Why.NOT_ACTUAL)
    assert world.take(UPDATE) == Hold(Why.UNKNOWN)
    world = World(ALERT)
    assert world.take(replace(CANCEL, status=status, references=(A,))) == Ignore(Why.NOT_ACTUAL)


@pytest.mark.parametrize("scope", [Scope.RESTRICTED, Scope.PRIVATE])
def test_what_is_not_for_the_public_is_not_published(scope):
    """A message for the police may name where people hide."""
    assert ordering.decide([], replace(ALERT, scope=scope)) == Ignore(Why.NOT_PUBLIC)


@pytest.mark.parametrize("kind", [Kind.ACK, Kind.ERROR])
def test_receipts_say_nothing_to_readers(kind):
    """They are for machines."""
    assert World(ALERT).take(said("R", 2, kind, A)) == Ignore(Why.NO_NEWS)


def test_an_update_older_than_what_it_updates_is_ignored():
    """A clock is wrong or somebody lies; either way nobody knows which words are the newer."""
    assert World(ALERT).take(said("U", -5, Kind.UPDATE, A)) == Ignore(Why.OLDER)


def test_an_alert_is_new_whatever_it_names():
    """Some put the message before last into a new alert's references; it is no reason to miss the new one."""
    assert ordering.decide([], said("A", 0, Kind.ALERT, named("Z", 9))) == Apply((Step(Move.NEW, A, A),))
    windemere = cap.read(real("cap-windemere.xml").read_bytes())
    assert isinstance(ordering.decide([], windemere), Apply)


def test_a_cancel_that_names_nothing_waits_for_its_better_copy():
    """As sent in England in 2020: the same identifier came once without and once with its reference."""
    alert, bare, full = (
        cap.read(real(f"cap-{name}.xml").read_bytes())
        for name in ("wainfleet", "wainfleet_cancel", "wainfleet_cancel_minimal")
    )
    world = World(alert)
    assert world.take(bare) == Hold(Why.NAMES_NONE)
    assert world.take(full) == Apply((Step(Move.CANCEL, alert.name, full.name),))
    assert world.take(bare) == Ignore(Why.DUPLICATE)
    for order in ([full, bare, alert], [bare, full, alert], [bare, alert, full], [full, alert, bare]):
        assert World(*order).picture == world.picture


def test_the_real_update_waits_for_its_warning():
    """It says that a tsunami is not coming; without the warning nobody wants to read that."""
    update = cap.read(real("cap-update.xml").read_bytes())
    world = World()
    assert world.take(update) == Hold(Why.UNKNOWN)
    first = update.references[0]
    world.take(replace(update, identifier=first.identifier, sent=first.sent, kind=Kind.ALERT, references=()))
    assert world.picture == ({first: update.name}, set(), set())


def test_every_reason_has_its_sentence():
    """What is held is shown, with why."""
    assert [why for why in Why if languages.say(f"cap.why-{why}").startswith("cap.")] == []
    assert [state for state in State if languages.say(f"cap.state-{state}").startswith("cap.")] == []


@st.composite
def stories(draw):
    """Some alerts and what followed, each message naming some of those before it; and an order of arrival."""
    kinds = draw(st.lists(st.sampled_from([Kind.ALERT, Kind.UPDATE, Kind.UPDATE, Kind.CANCEL]), min_size=1, max_size=7))
    messages: list[cap.CapMessage] = []
    for minute, kind in enumerate(kinds):
        lost = [named("LOST", -1)]
        names = draw(st.lists(st.sampled_from([one.name for one in messages] + lost), max_size=3, unique=True))
        messages.append(said(f"M{minute}", minute, kind, *(names if kind is not Kind.ALERT else ())))
    return messages, draw(st.permutations(messages))


@given(stories())
def test_any_order_of_arrival_ends_the_same(story):
    """Mail, feeds and relays keep no order; two offices that heard the same must say the same."""
    sent, arrived = story
    first, second = World(*sent), World(*arrived)
    assert second.picture == first.picture
    for world in (first, second):
        live, over, _ = world.picture
        done = world.done
        assert {alert: words for alert, words in done.items() if alert not in over} == live


@given(st.permutations([ALERT, UPDATE, SECOND, CANCEL]))
def test_any_order_of_a_chain_ends_it(order):
    """The chain of the handbook, in each of its 24 orders: never anything live at the end."""
    world = World(*order)
    assert ordering.standings(world.known)[A] == Standing(V, C)
    assert world.steps[0] == Step(Move.NEW, A, A)
    assert world.steps[-1] == Step(Move.CANCEL, A, C)


def test_a_thousand_messages_are_weighed_in_time():
    """A year of an authority's messages must not make the next one late."""
    import time

    known = [ordering.noted(ALERT, Apply(()))]
    known += [ordering.noted(said(f"U{n}", n, Kind.UPDATE, A), Apply(())) for n in range(1, 3000)]
    began = time.monotonic()
    assert isinstance(ordering.decide(known, said("X", 4000, Kind.UPDATE, named("U2999", 2999))), Apply)
    assert time.monotonic() - began < 2
