"""The beat: few ticks, each harmless when it comes twice. What is due when stands in rows."""

from newsletter.jobs import OPERATORS, SWEEP

BEAT = {
    "sweep": {"task": SWEEP.name, "schedule": 5.0, "options": {"queue": SWEEP.queue, "expires": 30}},
    "operators": {"task": OPERATORS.name, "schedule": 60.0, "options": {"queue": OPERATORS.queue, "expires": 300}},
}
