"""Everything personal is somebody's to hand out and to erase: what nobody claims is what an erasure leaves."""

import importlib
import pkgutil

from newsletter import models
from newsletter.journeys import privacy
from newsletter.models.base import Base

NOUN = {
    "mailboxes": "newsletter.mailboxes",
    "subscribers": "newsletter.subscribers.personal",
    "bounces": "newsletter.bounces.personal",
    "operators": "newsletter.operators.personal",
    "ledger": "newsletter.ledger.personal",
}


def marked() -> dict[str, str]:
    """Return every column that is marked as personal, with the noun its mark names."""
    for module in pkgutil.iter_modules(models.__path__):
        importlib.import_module(f"newsletter.models.{module.name}")
    return {
        f"{table.name}.{column.name}": column.info["personal"]
        for table in Base.metadata.tables.values()
        for column in table.columns
        if "personal" in column.info
    }


def test_each_personal_column_is_claimed_by_exactly_one_noun() -> None:
    """A new column with a person in it must not be built before somebody has said how it is erased."""
    claims = {column: noun.__name__ for noun in privacy.NOUNS for column in noun.CLAIMS}
    assert sum(len(noun.CLAIMS) for noun in privacy.NOUNS) == len(claims)
    assert claims == {column: NOUN[noun] for column, noun in marked().items()}


def test_what_is_sealed_is_marked() -> None:
    """What is worth sealing is worth erasing: a column that holds a seal and no mark was forgotten."""
    marked()
    # Of no reader: an operator's words on where permissions can be shown, to which of the team a drill may go, mails to them.
    ours = {"import_run.evidence_sealed", "drill.terms_sealed", "variant.body_sealed"}
    sealed = {
        f"{table.name}.{column.name}"
        for table in Base.metadata.tables.values()
        for column in table.columns
        if column.name.endswith("_sealed")
    }
    assert sealed - set(marked()) == ours


def pointing() -> set[str]:
    """Return every table that points to a reader or a mailbox: by a foreign key, or by name where a row outlives them."""
    marked()
    people = {"subscriber", "mailbox"}
    return people | {
        table.name
        for table in Base.metadata.tables.values()
        for column in table.columns
        if column.name in {f"{one}_id" for one in people}
        or people & {key.target_fullname.partition(".")[0] for key in column.foreign_keys}
    }


def test_each_table_that_points_to_a_person_is_handed_out_by_exactly_one_noun() -> None:
    """What is held of somebody is more than what is sealed: that a list named them is a fact of them, and answers a regulator."""
    handed = [table for noun in privacy.NOUNS for table in noun.ROWS]
    assert sorted(handed) == sorted(pointing())
