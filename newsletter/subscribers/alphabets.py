"""In which encoding a list was saved. Pure, but for reading the stream.

UTF-8 proves itself; UTF-16 says so in its first two bytes. What is neither came from a spreadsheet on Windows: 1252 in Europe, 1256
where Arabic or Persian is written.
"""

import codecs
from typing import BinaryIO

UTF_8, UTF_16, WESTERN, ARABIC = "utf-8-sig", "utf-16", "cp1252", "cp1256"
NAMES = {
    "utf-8": UTF_8,
    "utf8": UTF_8,
    "utf-8-sig": UTF_8,
    "utf-16": UTF_16,
    "windows-1252": WESTERN,
    "cp1252": WESTERN,
    "windows-1256": ARABIC,
    "cp1256": ARABIC,
}
"""What may be asked for by name."""
_CHUNK = 1 << 20
_RUN = 3


def guess(stream: BinaryIO) -> str:
    """Return the encoding of a stream, read to its end in pieces; the caller goes back to where it began."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    first, good, strange = True, 0, bytearray()
    while chunk := stream.read(_CHUNK):
        if first and chunk.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return UTF_16
        if first and chunk.startswith(codecs.BOM_UTF8):
            return UTF_8
        first = False
        if not strange:
            try:
                text = decoder.decode(chunk)
            except UnicodeDecodeError:
                pass
            else:
                good += 0 if text.isascii() else _letters(text)
                continue
        strange += chunk
        if len(strange) > _CHUNK:
            break
    return _judge(bytes(strange), good) if strange else UTF_8


def _letters(text: str) -> int:
    return sum(not letter.isascii() for letter in text)


def _judge(data: bytes, good: int) -> str:
    """A file with more sound letters of UTF-8 than broken ones is UTF-8, and damaged: its rows are refused one by one."""
    read = data.decode("utf-8", "surrogateescape")
    broken = sum("\ud800" <= letter <= "\udfff" for letter in read)
    if good + _letters(read) - broken > broken:
        return UTF_8
    return ARABIC if _arabic(data) else WESTERN


def _arabic(data: bytes) -> bool:
    """Whether most letters that are not ASCII stand in words of at least three of them, as no western language writes.

    A dash, a euro and a quotation mark are none, however many stand together; nor do they end a word that a mark joins.
    """
    together = alone = run = 0
    for byte in data + b"\0":
        if byte in _LETTERS:
            run += 1
        elif byte < 0x80:
            if run >= _RUN:
                together += run
            else:
                alone += run
            run = 0
    return together > alone


def _is_letter(byte: int) -> bool:
    return any(bytes([byte]).decode(name, "replace").isalpha() for name in (WESTERN, ARABIC))


_LETTERS = frozenset(byte for byte in range(0x80, 0x100) if _is_letter(byte))
"""Bytes that are letters in one of the two."""
