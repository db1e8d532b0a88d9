"""Pictures from outside: what goes on to readers is what is seen, and nothing else of the file."""

import io
import struct
import zlib

import pytest
from PIL import Image

from newsletter.issues import shrinking
from newsletter.issues.shrinking import NoPicture


def photo(width=1600, height=900, format="JPEG", mode="RGB", **options):
    """Return a noisy picture, as large as photographs are."""
    picture = Image.effect_noise((width // 4, height // 4), 90).resize((width, height)).convert(mode)
    out = io.BytesIO()
    picture.save(out, format, **options)
    return out.getvalue()


def look(body):
    return Image.open(io.BytesIO(body))


def test_a_photograph_becomes_small_enough_for_a_poor_connection():
    """A digest with three pictures must stay under 300 kB (standards §9)."""
    shrunk = shrinking.shrink(photo(3000, 2000))
    assert len(shrunk.body) <= 60_000
    assert look(shrunk.body).size == (shrunk.width, shrunk.height)
    assert shrunk.width <= 1120


def test_no_place_and_no_camera_goes_with_a_picture():
    """A photograph of a demonstration names the house it was taken from."""
    exif = Image.Exif()
    exif[0x010F] = "Camera of Jane"
    exif.get_ifd(0x8825)[2] = (51.0, 30.0, 0.0)
    told = photo(exif=exif.tobytes(), comment=b"taken by Jane", icc_profile=b"profile of Jane")
    assert b"Jane" in told
    shrunk = shrinking.shrink(told)
    assert b"Jane" not in shrunk.body
    assert look(shrunk.body).getexif() == {}
    assert b"Exif" not in shrunk.body


def test_a_picture_taken_sideways_stands_upright():
    """Its orientation is metadata, and goes with the rest; so it is turned first."""
    exif = Image.Exif()
    exif[0x0112] = 6
    shrunk = shrinking.shrink(photo(800, 400, exif=exif.tobytes()))
    assert shrunk.height > shrunk.width


def test_what_can_be_seen_through_is_drawn_on_white():
    """A logo on black in dark mode cannot be read."""
    glass = Image.new("RGBA", (300, 200), (0, 0, 0, 0))
    out = io.BytesIO()
    glass.save(out, "PNG")
    assert look(shrinking.shrink(out.getvalue()).body).getpixel((10, 10)) == (255, 255, 255)


def bomb():
    """Return a PNG of a few bytes that says it is 20,000 × 20,000 pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 20_000, 20_000, 8, 6, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 100_000)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>not found</html>",
        photo()[:3000],
        photo(40, 40),
        photo(1, 1, "GIF"),
        bomb(),
        photo(300, 300, "BMP"),
        b"<svg xmlns='http://www.w3.org/2000/svg' width='500' height='500'/>",
    ],
    ids=["nothing", "a page", "half a photograph", "an icon", "a tracking pixel", "a bomb", "another format", "svg"],
)
def test_what_is_no_picture_is_refused_in_no_time(body):
    """A feed is written by strangers; whatever it points to must cost us nothing."""
    with pytest.raises(NoPicture):
        shrinking.shrink(body)
