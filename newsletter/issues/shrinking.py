"""A picture that came from outside, made fit to be served by us: pure.

Nothing of the file survives but what is seen: it is decoded, turned upright, drawn on white and written anew, so that no
place, no camera and no profile goes with it.
"""

import io
from dataclasses import dataclass

from PIL import Image, ImageOps, UnidentifiedImageError

from newsletter.errors import Invalid

LARGEST_BYTES = 60_000
WIDTH = 1120
"""Pixels: twice the width a digest shows, for dense screens."""
SMALLEST = 120
MOST_PIXELS = 25_000_000
_FORMATS = ("JPEG", "PNG", "GIF", "WEBP")
_QUALITIES = (82, 72, 60, 48)


class NoPicture(Invalid):
    """The document is no picture that we show."""

    def __init__(self, why: str) -> None:
        super().__init__("pictures.unfit", why=why)


@dataclass(frozen=True, slots=True)
class Shrunk:
    """A JPEG of at most 60 kB, and its size in pixels."""

    body: bytes
    width: int
    height: int


def shrink(body: bytes) -> Shrunk:
    """Return a picture without metadata, upright, at most 1120 pixels wide and 60 kB. Raises NoPicture.

    The declared size is looked at before anything is decoded: a small file may unfold to gigabytes.
    """
    try:
        with Image.open(io.BytesIO(body), formats=_FORMATS) as opened:
            _check(opened)
            picture = _upright(opened)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise NoPicture(type(error).__name__) from None
    while True:
        for quality in _QUALITIES:
            written = _written(picture, quality)
            if len(written) <= LARGEST_BYTES:
                return Shrunk(written, picture.width, picture.height)
        picture = picture.resize((picture.width * 3 // 4, max(1, picture.height * 3 // 4)), Image.Resampling.LANCZOS)


def _check(opened: Image.Image) -> None:
    if opened.width * opened.height > MOST_PIXELS:
        raise NoPicture(f"{opened.width} × {opened.height} pixels")
    if min(opened.width, opened.height) < SMALLEST:
        raise NoPicture(f"only {opened.width} × {opened.height} pixels: an icon or a tracking pixel")


def _upright(opened: Image.Image) -> Image.Image:
    """Return the first frame, turned as its camera meant it, on white, no wider than it must be."""
    turned = ImageOps.exif_transpose(opened).convert("RGBA")
    flat = Image.new("RGB", turned.size, "white")
    flat.paste(turned, mask=turned.getchannel("A"))
    if flat.width > WIDTH:
        flat = flat.resize((WIDTH, max(1, flat.height * WIDTH // flat.width)), Image.Resampling.LANCZOS)
    return flat


def _written(picture: Image.Image, quality: int) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality, optimize=True, progressive=True)
    return out.getvalue()
