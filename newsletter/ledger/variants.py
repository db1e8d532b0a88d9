"""The compiled messages of a mailing: blocks stored once, variants that join them, and who gets which."""

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Session

from newsletter import database
from newsletter.composer.message import Block, Compiled, Head
from newsletter.models import mailing as models


@dataclass(frozen=True, slots=True)
class VariantView:
    """A stored variant: its number within the mailing counts from 1. style: "" of what those get who asked for none."""

    id: int
    number: int
    language: str
    articles: tuple[int, ...]
    held: str | None
    style: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Readers of one edition and style who have had the same articles and alerts (mailing ids, ascending)."""

    language: str
    had_to: int
    had_alerts: tuple[int, ...]
    style: str = ""


def store(
    session: database.Session,
    mailing_id: int,
    compiled: Compiled,
    *,
    number: int,
    language: str,
    style: str = "",
    articles: Sequence[int] = (),
    sealed: bool = False,
) -> int:
    """Store one variant of a mailing and return its id. Blocks that are already there are shared.

    sealed   its text names somebody: it stands under our seal, and is shared with no other
    """
    blocks = {} if sealed else _store_blocks(session, compiled.blocks)
    variant = models.Variant(
        mailing_id=mailing_id,
        number=number,
        language=language,
        style=style,
        head=compiled.head.dump(),
        blocks=[] if sealed else [blocks[block.digest] for block in compiled.blocks],
        articles=list(articles),
    )
    session.add(variant)
    session.flush()
    if sealed:
        body = json.dumps([b64encode(block.dump()).decode() for block in compiled.blocks])
        variant.body_sealed = session.vault.seal("variant", "body", variant.id, body)
        session.flush()
    return variant.id


def _store_blocks(session: Session, blocks: Iterable[Block]) -> dict[bytes, int]:
    data = {block.digest: block.dump() for block in blocks}
    rows = [{"digest": digest, "data": dumped} for digest, dumped in sorted(data.items())]
    session.execute(postgresql.insert(models.Block).on_conflict_do_nothing(), rows)
    found = session.execute(select(models.Block.digest, models.Block.id).where(models.Block.digest.in_(data)))
    return {bytes(digest): block_id for digest, block_id in found}


def languages(session: Session, mailing_ids: Iterable[int]) -> list[str]:
    """Return the languages in which mailings are composed, the first first."""
    variant = models.Variant
    query = select(variant.language).where(variant.mailing_id.in_(list(mailing_ids)))
    return list(dict.fromkeys(session.execute(query.order_by(variant.mailing_id, variant.number)).scalars()))


def assign(session: Session, mailing_id: int, groups: dict[Group, int | None]) -> None:
    """Write down which group gets which variant; None means that nothing is new for them."""
    rows = [
        {
            "mailing_id": mailing_id,
            "language": group.language,
            "style": group.style,
            "had_to": group.had_to,
            "had_alerts": list(group.had_alerts),
            "variant_id": variant_id,
        }
        for group, variant_id in groups.items()
    ]
    if rows:
        session.execute(insert(models.VariantGroup), rows)


def of(session: Session, mailing_id: int) -> list[VariantView]:
    """Return the variants of a mailing in order."""
    found = session.execute(
        select(models.Variant).where(models.Variant.mailing_id == mailing_id).order_by(models.Variant.number)
    ).scalars()
    return [VariantView(v.id, v.number, v.language, tuple(v.articles), v.held, v.style) for v in found]


def groups(session: Session, mailing_id: int) -> dict[Group, int | None]:
    """Return which group gets which variant."""
    found = session.execute(select(models.VariantGroup).where(models.VariantGroup.mailing_id == mailing_id)).scalars()
    return {Group(g.language, g.had_to, tuple(g.had_alerts), g.style): g.variant_id for g in found}


def styles(session: Session, mailing_id: int) -> dict[str, int]:
    """Return how many variants a mailing has of each style."""
    mine = models.Variant.mailing_id == mailing_id
    counted = select(models.Variant.style, func.count()).where(mine).group_by(models.Variant.style)
    return dict(session.execute(counted).all())


def styles_of(session: Session, variant_ids: Iterable[int]) -> dict[int, str]:
    """Return the styles of some variants."""
    wanted = select(models.Variant.id, models.Variant.style).where(models.Variant.id.in_(list(variant_ids)))
    return dict(session.execute(wanted).all())


def styles_of_groups(session: Session, mailing_id: int) -> set[str]:
    """Return the styles of the groups of an issue's readers."""
    mine = models.VariantGroup.mailing_id == mailing_id
    return set(session.execute(select(models.VariantGroup.style).where(mine).distinct()).scalars())


def load(session: database.Session, variant_id: int) -> Compiled:
    """Return the compiled message of a variant."""
    variant = session.get_one(models.Variant, variant_id)
    if variant.body_sealed is not None:
        body = json.loads(session.vault.unseal("variant", "body", variant.id, variant.body_sealed))
        return Compiled(head=Head.load(variant.head), blocks=tuple(Block.load(b64decode(block)) for block in body))
    found = session.execute(select(models.Block.id, models.Block.data).where(models.Block.id.in_(variant.blocks)))
    blocks = {block_id: Block.load(data) for block_id, data in found}
    return Compiled(head=Head.load(variant.head), blocks=tuple(blocks[block_id] for block_id in variant.blocks))


def clear(session: Session, mailing_id: int) -> None:
    """Forget the variants of a draft, so that it can be composed anew."""
    session.execute(delete(models.Variant).where(models.Variant.mailing_id == mailing_id))


def copy(session: Session, variant_id: int, *, to_mailing: int) -> int:
    """Give another mailing (a test) the same bytes; return the new variant's id."""
    found = session.get_one(models.Variant, variant_id)
    variant = models.Variant(
        mailing_id=to_mailing,
        number=1,
        language=found.language,
        style=found.style,
        head=found.head,
        blocks=found.blocks,
        articles=found.articles,
    )
    session.add(variant)
    session.flush()
    return variant.id


def carries(session: Session, mailing_id: int, articles: Sequence[int]) -> None:
    """Note which articles every variant of a mailing carries, for holds."""
    mine = models.Variant.mailing_id == mailing_id
    session.execute(update(models.Variant).where(mine).values(articles=list(articles)))


def carried(session: Session, mailing_id: int) -> list[int]:
    """Return the articles that the variants of a mailing carry."""
    articles = select(func.unnest(models.Variant.articles)).where(models.Variant.mailing_id == mailing_id)
    return list(session.execute(articles.distinct()).scalars())
