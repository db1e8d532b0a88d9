"""A night of many alerts: each is looked at beside those of the day, and waits for none of them."""

from sqlalchemy import event

from newsletter.journeys import alert
from tests import house

EARLIER = 6


def test_those_of_the_day_cost_an_alert_a_few_questions_each(newsletter, tmp_path):
    """At the hundredth of a day one waited for 1.6 s before anything was on the wire: fifty questions for each before it."""
    house.add_readers(newsletter, tmp_path, house.addresses(2))
    words = tmp_path / "alert.md"
    words.write_text("# Soldiers at the gate\n\nPlease call.\n")
    asked = []
    event.listen(newsletter.parts.database.engine, "before_cursor_execute", lambda *_: asked.append(1))

    def cost():
        asked.clear()
        alert.send(newsletter.parts, [str(words)], digest_key=house.DIGEST)
        return len(asked)

    cost()  # the first makes what the others find
    costs = [cost() for _ in range(EARLIER + 1)]
    assert (costs[-1] - costs[0]) / EARLIER <= 12
