"""Run by Alembic: migrations inside the caller's connection and transaction."""

from alembic import context

from newsletter.models import (  # noqa: F401
    approval,
    article,
    audit,
    base,
    consent,
    delivery,
    digest,
    drill,
    errand,
    fresh,
    lock,
    mailbox,
    mailing,
    operator,
    picture,
    privacy,
    relay,
    segment,
    signup,
    subscriber,
    suppression,
    topic,
    turn,
)

context.configure(connection=context.config.attributes["connection"], target_metadata=base.Base.metadata)
with context.begin_transaction():
    context.run_migrations()
