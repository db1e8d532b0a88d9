"""How patient a session is and how long it lasts, as a value, so that tests need not wait ten minutes."""

from dataclasses import dataclass

from newsletter.relay.target import Relay


@dataclass(frozen=True, slots=True)
class Manners:
    """Seconds to wait for each answer, and the length of a session.

    The defaults are the minimums of RFC 5321 §4.5.3.2; `connect` is ours, because a dead host should be noticed
    before the task that sends has run out of time.

    idle               a session unused for longer is asked NOOP before the next message
    look               how often the one timer of a session looks at the clock
    next_address       an address of the relay that has not answered for so long has the next one tried beside it (RFC 8305)
    knock              so long whoever asks whether a relay is back waits for a word, before another session is tried beside
    prompt             so long a greeting is waited for where another session has had its own
    keepalive          a peer that says nothing is asked so often by the kernel whether its machine still lives
    vanished           a machine that confirms nothing for so long is gone; slow answers are no matter of it (§4.5.3.2.5: 3 minutes)
    reconnects         new sessions one worker may open after one died
    messages, seconds  the session is ended politely after so many; None is unlimited
    """

    connect: float = 30
    greeting: float = 300
    command: float = 300
    data: float = 120
    final_dot: float = 600
    goodbye: float = 5
    idle: float = 1
    look: float = 5
    next_address: float = 0.25
    knock: float = 20
    prompt: float = 30
    keepalive: float = 30
    vanished: float = 180
    reconnects: int = 2
    messages: int | None = 100
    seconds: float | None = 300

    @classmethod
    def towards(cls, relay: Relay) -> "Manners":
        """Return the manners a relay expects: short sessions abroad, endless ones on this machine."""
        return cls(messages=None, seconds=None) if relay.near else cls()
