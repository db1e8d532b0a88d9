"""What a mail server answers: a code, perhaps an enhanced code, and words (RFC 5321 §4.2, RFC 2034, RFC
3463).

Reads tolerantly: servers repeat codes on every line, forget the blank, end in a lone LF or send an empty
last line.
"""

import re
from dataclasses import dataclass

TEXT_LIMIT = 2000
"""Characters of a reply that are kept; RFC 5321 §4.5.3.1.5 allows 512 octets a line."""

_LINE = re.compile(r"\s*([2-5][0-9]{2})(?:[- \t]|$)(.*)", re.ASCII)
_ENHANCED = re.compile(r"#?([245]\.[0-9]{1,3}\.[0-9]{1,3})(?![.\w])[:,;]?\s*", re.ASCII)
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True)
class Reply:
    """One complete answer.

    code      200–599; 0 when the server gave none and `text` holds our own words
    enhanced  "5.1.1" and the like, None where the server sends none
    text      the words of all lines, joined with LF, without codes and control characters
    """

    code: int
    enhanced: str | None
    text: str

    @classmethod
    def parse(cls, raw: bytes | str) -> "Reply":
        """Return the reply in `raw`: one or many lines, with or without line ends.

        Code 0 when no line begins with one.
        """
        text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw
        code, words = 0, []
        for line in text.splitlines():
            match = _LINE.match(line)
            if match:
                code = code or int(match[1])
            words.append(match[2] if match and int(match[1]) == code else line)
        return cls.of(code, "\n".join(words))

    @classmethod
    def of(cls, code: int, words: str) -> "Reply":
        """Return the reply whose code was read already; `words` are its lines without basic codes, joined by LF."""
        if not words.isprintable():
            words = _CONTROLS.sub(" ", words.encode("utf-8", "replace").decode("utf-8"))
        match = _ENHANCED.match(words)
        if match is None:
            return cls(code, None, words[:TEXT_LIMIT].strip())
        if "\n" not in words:
            return cls(code, match[1], words[match.end() : match.end() + TEXT_LIMIT].strip())
        lines = [_ENHANCED.sub("", line, count=1) if _ENHANCED.match(line) else line for line in words.split("\n")]
        return cls(code, match[1], "\n".join(lines)[:TEXT_LIMIT].strip())

    @property
    def first_digit(self) -> int:
        """2 done, 3 go on, 4 later, 5 no; 0 for no answer (RFC 5321 §4.2.1)."""
        return self.code // 100

    def __str__(self) -> str:
        return " ".join(part for part in (str(self.code or ""), self.enhanced, self.text) if part)
