"""What somebody asked for on a page, for a worker to do. Owned by `campaigns`."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from newsletter.models.base import Base, Key, one_of


class Act(StrEnum):
    """What may be asked of a worker: all that composes, fixes or lets go, which the pages' role cannot."""

    DRAFT = "draft"
    EDIT = "edit"
    CHECK = "check"
    LOCK = "lock"
    SETTLE = "settle"
    RELEASE = "release"
    ALONE = "alone"
    RETRACT = "retract"
    EXTEND = "extend"
    RESUME = "resume"
    MANDATE = "mandate"
    SIGN = "sign"
    MANDATED = "mandated"
    WANT_LOCK = "want-lock"


class Errand(Base):
    """One thing asked for.

    operator_id   NULL where links are tried, for whoever reads them
    refused       the id of the sentence that says why it was not done, and its facts; NULL where it was done
    """

    __tablename__ = "errand"

    id: Mapped[Key]
    act: Mapped[str]
    operator_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("operator.id"))
    mailing_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("mailing.id"))
    facts: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    asked_at: Mapped[datetime] = mapped_column(server_default=func.now())
    begun_at: Mapped[datetime | None]
    done_at: Mapped[datetime | None]
    refused: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))

    __table_args__ = (
        CheckConstraint(one_of("act", Act), name="act_is_known"),
        CheckConstraint("operator_id IS NOT NULL OR act = 'check'", name="somebody_asks"),
        Index("errands_to_run", "id", postgresql_where="done_at IS NULL"),
    )
