"""The compiled message as the ledger keeps it."""

from newsletter.composer import alert
from newsletter.composer.inlining import Layout
from newsletter.composer.message import Block, Compiled, Gap, Head, Kind, Slot
from newsletter.composer.stamping import Stamper
from tests.composer.samples import ALERT, FRAME, PERSON


def test_a_stored_message_stamps_the_same_bytes(layout: Layout) -> None:
    """What was approved is what is sent, by another process and perhaps days later."""
    compiled = alert.compose(ALERT, FRAME, layout)
    loaded = Compiled(
        head=Head.load(compiled.head.dump()), blocks=tuple(Block.load(block.dump()) for block in compiled.blocks)
    )
    assert loaded == compiled
    assert Stamper(loaded).stamp(PERSON) == Stamper(compiled).stamp(PERSON)


def test_equal_blocks_have_one_identity_and_others_another() -> None:
    """The ledger stores a block once, whoever composes it."""
    gap = Gap(Slot.NAME, Kind.HTML, "friend")
    one, same, other = (Block(html=("Dear ", gap), text=(text,)) for text in ("a", "a", "b"))
    assert one.digest == same.digest
    assert one.digest != other.digest


def test_two_layouts_make_the_same_message(layout: Layout) -> None:
    """Placeholders differ in every process; what is stored must not, or a fingerprint means nothing."""
    again = Layout(layout.templates)
    assert alert.compose(ALERT, FRAME, again) == alert.compose(ALERT, FRAME, layout)
