"""The beat: few ticks, each harmless when it comes twice. What is due when stands in rows."""

from newsletter.jobs import OPERATORS, PRIVACY, SWEEP

BEAT = {
    "sweep": {"task": SWEEP.name, "schedule": 5.0, "options": {"queue": SWEEP.queue, "expires": 30}},
    "operators": {"task": OPERATORS.name, "schedule": 60.0, "options": {"queue": OPERATORS.queue, "expires": 300}},
    "privacy": {"task": PRIVACY.name, "schedule": 60.0, "options": {"queue": PRIVACY.queue, "expires": 300}},
}
