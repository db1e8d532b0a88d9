"""Styles: which version serves a reader at risk, and that it never shows more than they asked for."""

from hypothesis import given
from hypothesis import strategies as st

from newsletter.composer import styles
from newsletter.composer.styles import Style

codes = st.sampled_from(styles.EVERY)


@given(codes)
def test_a_style_is_read_back_as_it_was_stored(code: str) -> None:
    """What a reader chose is what the database says of them."""
    assert Style.parse(code).code == code


@given(codes, st.sets(codes), st.sampled_from(["", "f"]))
def test_no_version_does_less_than_was_asked_for(wanted: str, made: set[str], moot: str) -> None:
    """Somebody who asked for discretion must never get a mail that names us because theirs was not made."""
    found = styles.nearest(wanted, made, moot=moot)
    needed = set(wanted) - set(moot)
    if found is None:
        assert not any(needed <= set(one) for one in made)
    else:
        assert found in made
        assert needed <= set(found)


@given(st.lists(codes), codes, st.sampled_from(["", "f"]))
def test_where_anyone_has_a_style_all_later_ones_are_served(found: list[str], later: str, moot: str) -> None:
    """Whoever chooses a style between the lock and the release gets the alert all the same."""
    made = styles.to_compose(found, moot=moot)
    assert made[0] == ""
    assert len(set(made)) == len(made)
    if any(set(one) - set(moot) for one in found):
        assert styles.nearest(later, made, moot=moot) is not None
    for one in found:
        assert set(styles.nearest(one, made, moot=moot) or "") == set(one) - set(moot)


def test_nobody_s_style_is_not_composed() -> None:
    """Sixteen versions for nobody would cost every alert seconds."""
    assert styles.to_compose([]) == ("",)
    assert styles.to_compose(["f"], moot="f") == ("",)
    assert styles.to_compose(["d", "dt", "d"]) == ("", "d", "dfmt", "dt")


def test_the_nearest_is_the_one_with_the_least_besides() -> None:
    """Who asked for a discreet mail with pictures is not given plain text while there is a discreet one."""
    assert styles.nearest("d", ["", "dfmt", "dt"]) == "dt"
    assert styles.nearest("t", ["", "d"]) is None
    assert styles.nearest("", ["dt", ""]) == ""
