"""A picture of somebody else's becomes one of ours: upright, in sRGB, on white, without a word about where it was taken.

Pure: bytes in, bytes out. What comes in is hostile until it is decoded, so the declared size is checked before that, and
only four decoders are ever tried. The one module that imports Pillow, which nothing that sends may load.
"""

import io
from dataclasses import dataclass
from typing import Any

from PIL import ExifTags, Image, ImageCms

from newsletter.errors import Invalid, NewsletterError

FORMATS = ("JPEG", "PNG", "GIF", "WEBP")
LARGEST_BYTES = 60_000
"""Three leads of a digest stay below 300 kB with everything around them (standards §9)."""
LARGEST_PIXELS = 25_000_000
WIDEST, TALLEST = 1120, 2240
"""Twice what is shown: screens of phones have two or three dots where the style sheet counts one."""
NARROWEST, LOWEST = 120, 40
_QUALITIES = (85, 75, 65, 55)
_SMALLER = 0.8
# EXIF 2.32 §4.6.4: what has to be done to see the picture as it was taken.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Modes as they are decoded, and those a colour profile speaks of.
_COLOURS = {"1": "L", "LA": "L", "L": "L", "CMYK": "CMYK"}


class NoPicture(Invalid):
    """The document is no picture that we show. why: for the person who reads it."""

    def __init__(self, why: str) -> None:
        super().__init__("pictures.unfit", why=why)


@dataclass(frozen=True, slots=True)
class Shrunk:
    """A JPEG as it is served: at most 60 kB, and its size in pixels."""

    body: bytes
    width: int
    height: int


def shrink(body: bytes) -> Shrunk:
    """Return a picture made small, without metadata; of an animated one the first frame.

    Raises NoPicture.
    """
    page = _decoded(body)
    if page.width < NARROWEST or page.height < LOWEST:
        raise NoPicture(f"only {page.width} × {page.height} pixels: an icon, a line or a tracking pixel")
    page = _scaled(page, min(1.0, WIDEST / page.width, TALLEST / page.height))
    # The best that is small enough: first less quality, then less size.
    while True:
        for quality in _QUALITIES:
            body = _saved(page, "JPEG", quality=quality, optimize=True, progressive=True)
            if len(body) <= LARGEST_BYTES:
                return Shrunk(body, page.width, page.height)
        page = _scaled(page, _SMALLER)


def _decoded(body: bytes) -> Image.Image:
    """Return the picture upright on white."""
    try:
        with Image.open(io.BytesIO(body), formats=FORMATS) as picture:
            if picture.width * picture.height > LARGEST_PIXELS:
                raise NoPicture(f"{picture.width} × {picture.height} pixels")
            # A JPEG can be decoded at a half or a quarter of its size, and need not be large in memory first.
            picture.draft(None, (2 * WIDEST, 2 * WIDEST))
            smaller = _reduced(picture)
        return _on_white(_upright(smaller))
    except NewsletterError:
        raise
    except Exception:
        # Decoders of damaged files raise whatever their parsers do (struct.error, IndexError, SyntaxError …).
        raise NoPicture("damaged, or none of JPEG, PNG, GIF and WebP") from None


def _reduced(picture: Image.Image) -> Image.Image:
    """Decode, and give back most of the memory at once where there are far more pixels than are kept."""
    times = picture.width // (2 * WIDEST)
    picture.load()
    return picture.reduce(times) if times > 1 and picture.mode in ("L", "RGB", "RGBA") else picture


def _upright(picture: Image.Image) -> Image.Image:
    turn = _UPRIGHT.get(picture.getexif().get(ExifTags.Base.Orientation, 1))
    return picture if turn is None else picture.transpose(turn)


def _on_white(picture: Image.Image) -> Image.Image:
    """Return a new image, which has nothing of the old one's metadata: EXIF, comments, profile and text stay behind."""
    page = Image.new("RGB", picture.size, "white")
    alpha = picture.convert("RGBA").getchannel("A") if picture.has_transparency_data else None
    page.paste(_in_srgb(picture), (0, 0), alpha)
    return page


def _in_srgb(picture: Image.Image) -> Image.Image:
    profile = picture.info.get("icc_profile")
    if picture.mode.startswith("I"):
        # 16 bits of grey: Pillow's own conversion would cut everything above 255 off as white.
        return picture.point(lambda value: value * (1 / 256)).convert("L").convert("RGB")
    plain = picture.convert(_COLOURS.get(picture.mode, "RGB"))
    if not profile:
        return plain.convert("RGB")
    try:
        found = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        turned = ImageCms.profileToProfile(plain, found, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):
        # A profile that is damaged, or of other colours than the picture: browsers ignore it too.
        return plain.convert("RGB")
    assert turned is not None  # it is, for in-place work only
    return turned


def _scaled(page: Image.Image, by: float) -> Image.Image:
    if by == 1.0:
        return page
    size = (max(1, round(page.width * by)), max(1, round(page.height * by)))
    return page.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def _saved(page: Image.Image, kind: str, **how: Any) -> bytes:
    stream = io.BytesIO()
    page.save(stream, kind, **how)
    return stream.getvalue()
