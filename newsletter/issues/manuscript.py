"""The text file an operator wrote: a few lines of facts, then markdown. Pure.

    ---
    subject: Camp Liberty: what you can do today
    language: en
    action: Write to your MP | https://example.org/act
    ---
    The text, in **markdown**.

Without facts, the first heading is the subject.
"""

import re
from dataclasses import dataclass

from newsletter.errors import Invalid

_FACTS = re.compile(r"\A---[ \t]*\n(.*?)^---[ \t]*\n", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"\A\s*#\s+(.+?)\s*#*\s*$\n?", re.MULTILINE)
_KNOWN = ("subject", "headline", "preheader", "language", "url", "action", "frame")


class BadManuscript(Invalid):
    """The file lacks a subject or a text, or says something nobody understands."""

    def __init__(self, problem: str, **facts: object) -> None:
        super().__init__(f"manuscript.{problem}", **facts)


@dataclass(frozen=True, slots=True)
class Manuscript:
    """A text with its facts. actions: (label, https URL), the first is the main one. frame: by which it was written; "" freely."""

    subject: str
    headline: str
    preheader: str
    language: str
    url: str
    actions: tuple[tuple[str, str], ...]
    markdown: str
    frame: str = ""


def read(text: str, *, language: str) -> Manuscript:
    """Return the manuscript of a file's text. Raises BadManuscript naming the line.

    language   used where the file names none
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    found = _FACTS.match(text)
    facts, actions = _facts(found.group(1)) if found else ({}, [])
    body = text[found.end() :] if found else text
    heading = _HEADING.match(body)
    if heading and "subject" not in facts:
        body = body[heading.end() :]
    title = heading.group(1) if heading else ""
    subject = facts.get("subject") or title
    if not subject:
        raise BadManuscript("no-subject")
    if not body.strip():
        raise BadManuscript("no-text")
    return Manuscript(
        subject=subject,
        headline=facts.get("headline") or subject,
        preheader=facts.get("preheader", ""),
        language=facts.get("language", language),
        url=facts.get("url", ""),
        actions=tuple(actions),
        markdown=body.strip() + "\n",
        frame=facts.get("frame", ""),
    )


def write(text: Manuscript) -> str:
    """Return the file of a manuscript; `read` of it gives the same.

    Facts are made one line each; an action that could not be read again, such as one that is not https, is left out.
    """
    facts = [(name, " ".join(str(getattr(text, name)).split())) for name in _KNOWN if name != "action"]
    facts += [("action", f"{' '.join(label.split())} | {url}") for label, url in text.actions if _may_act(label, url)]
    head = "".join(f"{name}: {value}\n" for name, value in facts if value)
    return f"---\n{head}---\n\n{text.markdown.strip()}\n"


def _may_act(label: str, url: str) -> bool:
    return bool(label.strip()) and url.startswith("https://") and not re.search(r"[\s|]", url)


def _facts(lines: str) -> tuple[dict[str, str], list[tuple[str, str]]]:
    facts: dict[str, str] = {}
    actions: list[tuple[str, str]] = []
    for number, line in enumerate(lines.splitlines(), start=2):
        if not line.strip():
            continue
        name, colon, value = line.partition(":")
        name, value = name.strip().lower(), value.strip()
        if not colon or name not in _KNOWN:
            raise BadManuscript("unknown-fact", line=number, known=", ".join(_KNOWN))
        if name == "action":
            actions.append(_action(value, number))
        else:
            facts[name] = value
    return facts, actions


def _action(value: str, number: int) -> tuple[str, str]:
    label, _, url = (part.strip() for part in value.rpartition("|"))
    if not label or not url.startswith("https://"):
        raise BadManuscript("bad-action", line=number)
    return label, url
