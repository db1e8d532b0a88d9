"""Alerts in scripts that run from the right, and subjects in which both directions meet."""

import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from newsletter import languages
from newsletter.campaigns import alerts
from newsletter.composer import alert, headers, heads
from newsletter.composer.content import AlertContent
from newsletter.composer.inlining import Layout
from newsletter.composer.message import Gap, Kind, Slot
from newsletter.issues.manuscript import Manuscript
from tests.composer.samples import FRAME
from tests.composer.test_messages import delivered, part

AT = datetime(2026, 3, 1, 2, 14, tzinfo=UTC)
ARABIC = "تحرّكوا *الآن*، لا غدًا.\n\n## ما العمل\n\n- اتصلوا بـ *MP*\n"
PERSIAN = "*اکنون* بنویسید.\n"
RLM, LRM = "\u200f", "\u200e"


def composed(layout: Layout, language: str, subject: str, text: str, **more: object) -> str:
    content = AlertContent(subject, subject, text, AT, **more)  # type: ignore[arg-type]
    return part(delivered(alert.compose(content, replace(FRAME, language=language), layout)), "html")


@pytest.mark.parametrize(("language", "text"), [("ar", ARABIC), ("fa", PERSIAN)])
def test_an_alert_in_arabic_script_is_neither_spaced_nor_slanted(layout: Layout, language: str, text: str) -> None:
    """Spaced letters come apart, slanted ones lean backwards; an English alert has both."""
    page = composed(layout, language, "عاجل", text, translates=AT)
    assert "letter-spacing" not in page
    assert "italic" not in page
    assert "letter-spacing" in composed(layout, "en", "Urgent", "*Now*.\n")
    emphasised = [
        style for style, words in re.findall(r"<em([^>]*)>([^<]*)", page) if re.search("[\u0600-\u06ff]", words)
    ]
    assert emphasised
    assert all("font-style:normal" in style for style in emphasised)


@pytest.mark.parametrize(
    ("language", "subject", "mark"),
    [
        ("ar", "شاحنات في Sarand", ""),
        ("ar", "Sarand: شاحنات عند البوابة", RLM),
        ("fa", "۱۴ کامیون در Sarand", ""),
        ("fa", "«Camp Liberty» محاصره است", RLM),
        ("en", "Lorries at سرند", ""),
        ("en", "سرند: lorries at the gate", LRM),
        ("en", "14:10", ""),
    ],
)
def test_a_subject_is_ordered_as_its_language_is_read(layout: Layout, language: str, subject: str, mark: str) -> None:
    """An inbox orders a line by its first letter: "Sarand:" would stand at the wrong end, its colon in the middle."""
    content = AlertContent(subject, subject, "…\n", AT)
    read = delivered(alert.compose(content, replace(FRAME, language=language), layout))
    assert read["Subject"] == mark + subject


def test_a_name_that_comes_first_decides_nothing() -> None:
    """The same Persian subject to Anne and to Ali is read from the right."""
    name = Gap(Slot.NAME, Kind.HEADER)
    assert heads.directed((name, "، بنویسید"), "fa") == (RLM, name, "، بنویسید")
    assert heads.directed((name, ", write"), "en") == (name, ", write")


def test_a_mark_is_no_override() -> None:
    """Isolates and overrides stay out of every header; a mark is a letter without a shape."""
    for forbidden in "\u202a\u202e\u2066\u2069":
        with pytest.raises(headers.BadHeader):
            headers.unstructured("Subject", f"{forbidden}Sarand")
    assert headers.unstructured("Subject", f"{RLM}سرند").startswith("Subject: =?")


def test_a_quoted_subject_keeps_to_itself() -> None:
    """What takes an alert back quotes its subject in the middle of a sentence that runs the other way."""
    assert languages.quoted("Sarand: شاحنات", "ar") == f"{RLM}Sarand: شاحنات{RLM}"
    assert languages.quoted("شاحنات: Sarand", "ar") == f"{RLM}شاحنات: Sarand{RLM}"
    assert languages.quoted("شاحنات", "ar") == "شاحنات"
    text = Manuscript("Sarand: شاحنات", "x", "", "ar", "", (), "x\n")
    assert f"«{RLM}Sarand: شاحنات{RLM}»" in alerts.retraction(text).markdown
