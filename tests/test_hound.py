"""The hound that looks for leaks must find what is hidden in every usual way, or a clean search says nothing."""

import pytest

from tests.fakes import hiding, hound

WORD = {
    "name": "Zébulon Quaife",
    "address": "zebulon.quaife@wombat-glade.example",
    # A soft break stands right before its blank.
    "another name": "Léopold Canarykfield",
}
BROKEN = [way for way in hiding.WAYS if "line" in way and "gzip" not in way]


@pytest.mark.parametrize("way", hiding.WAYS)
@pytest.mark.parametrize("kind", WORD)
def test_it_is_found_however_it_was_written(way, kind):
    """A dump writes bytes as hexadecimal, mail as base64, logs as JSON."""
    hidden = b"\x01" * 7 + b" " + hiding.hidden(way, WORD[kind]) + b"\n tail"
    assert hound.found(hidden, hound.scents(WORD)) == {kind}


@pytest.mark.parametrize("way", BROKEN)
@pytest.mark.parametrize("kind", WORD)
def test_a_broken_word_is_found_in_a_dump_as_well(way, kind):
    """COPY and JSON write the end of a line as two letters."""
    hidden = hiding.hidden(way, WORD[kind])
    assert WORD[kind].encode() not in hidden
    written = hidden.replace(b"\r", b"\\r").replace(b"\n", b"\\n")
    assert hound.found(b"1\t" + written + b"\t2\n", hound.scents(WORD)) == {kind}


@pytest.mark.parametrize("way", hiding.WAYS)
def test_what_it_is_shown_is_hidden(way):
    """A way that leaves the word as it is would show nothing of the hound."""
    word = WORD["name"]
    assert way == "plain" or word.encode() not in hiding.hidden(way, word)


def test_it_reads_a_file_to_its_end(tmp_path):
    """What stands behind the first megabytes, or across two parts of a file, is as much of a leak."""
    paths = [tmp_path / "long.log", tmp_path / "longer.log"]
    for path, before in zip(paths, (hound.PART - 5, 2 * hound.PART + 100), strict=True):
        # Most of it stands empty, as in a server's file: what is empty costs no search.
        path.write_bytes(b"\0" * (before - 9_000) + b"." * 9_000 + WORD["address"].encode() + b"." * 100)
    with hound.pack() as pack:
        assert hound.in_files([tmp_path], hound.scents(WORD), pack=pack) == {path: {"address"} for path in paths}


def test_it_does_not_bark_at_everything():
    """A hound that always barks is no proof either."""
    assert hound.found(b"nothing of anybody " * 50 + bytes(range(256)) * 4, hound.scents(WORD)) == set()
