"""Turns at what one worker does at a time. Owned by `newsletter.turns`."""

from sqlalchemy import SmallInteger
from sqlalchemy.orm import Mapped, mapped_column

from newsletter.models.base import Base


class Turn(Base):
    """A row that says nothing: whoever has it locked is at it."""

    __tablename__ = "turn"

    what: Mapped[str] = mapped_column(primary_key=True)
    place: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
