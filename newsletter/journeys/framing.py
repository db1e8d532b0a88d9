"""Which frame an alert's words keep to: asked when it is locked, and of each frame that a mandate names."""

from newsletter.campaigns import frames
from newsletter.campaigns.frames import Frame
from newsletter.delivery.vouching import House
from newsletter.issues import manuscript


def get(house: House, name: str) -> Frame:
    """Return a frame by its name, an organisation's own first. Raises BadFrame, templating.NoTemplate."""
    return frames.read(name, house.frames(frames.named(name)))


def kept(house: House, words: str, *, language: str) -> str | None:
    """Return the id of the frame that words name and keep to; None where they name none. Raises NotKept, and as `get`."""
    name = manuscript.read(words, language=language).frame
    return frames.require(get(house, name), words) if name else None
