"""Every sentence is there, in every language in which its readers may meet it; `make check` runs this.

COMPLETE names the domains that must be whole in every language: one is added to it when its translations have come.
"""

import gettext
import re
import subprocess
import sys
from collections.abc import Set
from functools import cache

import babel
import pytest

from newsletter import languages
from tests import catalogues, reaching, sayings
from tests.catalogues import Catalog

TEAM = (
    *("alerts", "cap", "composer", "console", "fetching", "issues", "journeys"),
    *("operators", "relay", "subscribers", "team", "vault"),
)
COMPLETE = (*sorted(languages.READERS), *TEAM)

# The walk leads there, and no page says it.
NEVER = {
    "database.unreachable": "the page says web.away: where our database stands is nobody's business out there",
    "database.disk-full": "the page says web.away",
    "database.not-migrated": "the page says web.away",
    "notice.not-now": "a program posts there, and is answered by a status",
    "operator.nobody-named": "of the command line: whoever acts on a page has logged in",
}

# All of the pages, and what a worker does because a page asked for it and shows them afterwards.
DOORS = [
    *reaching.everything("newsletter.web"),
    ("newsletter.journeys.errands", "run"),
    ("newsletter.journeys.errands", "try_links"),
]
FILES = [(language, domain) for language in catalogues.tongues() for domain in catalogues.domains()]
TEMPLATES = sayings.readers_templates()


@cache
def known() -> frozenset[str]:
    """Return every message id."""
    return frozenset(name for domain in catalogues.domains() for name in catalogues.entries(template(domain)))


@cache
def template(domain: str) -> Catalog:
    return catalogues.read(catalogues.place("en", domain))


def unworded(said: dict[str, str], ids: Set[str]) -> list[str]:
    """Return what is said without being worded, each with language, file and id."""
    return [
        f"en: {where} says {one.replace(chr(92), '').replace(sayings.ANY, '…')}, and no template words it."
        for one, where in said.items()
        if not sayings.meant(one, ids)
    ]


def test_whatever_is_said_is_worded() -> None:
    """An id on a page is a sentence that nobody wrote."""
    said = sayings.in_code() | sayings.in_templates()
    assert len(said) > 500, "the search still finds what code says"
    assert unworded(said, known()) == []


@pytest.mark.parametrize(("language", "domain"), FILES)
def test_a_file_is_whole_and_true(language: str, domain: str) -> None:
    """A half-translated page says to half of its readers that they do not matter."""
    where = catalogues.place(language, domain)
    text = where.read_text(encoding="utf-8") if where.exists() else ""
    found = catalogues.judged(template(domain), text, f"{language}, {where.name}", complete=domain in COMPLETE)
    assert not found, "\n".join(found)


def test_whatever_a_page_can_say_is_there_in_every_language() -> None:
    """Whoever approves an alert at night is refused in their own language, whichever part of the house refuses."""
    said = reaching.said(reaching.reached(DOORS))
    ids = {name for one in said for name in sayings.meant(one, known())}
    assert len(ids) > 400, "the walk still finds what pages say"
    assert not ids & {"keys.live", "embedded.no-redis"}, "and not all there is"
    whole = {name for domain in COMPLETE for name in catalogues.entries(template(domain))}
    assert ids - whole == set(NEVER)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(sayings.ROOT)))
def test_a_reader_s_template_holds_no_words_of_its_own(path) -> None:
    """Nobody can translate what stands in no catalogue."""
    words = sayings.literal(path.read_text(encoding="utf-8"), html=path.suffix == ".html")
    assert words == [], f"{path.relative_to(sayings.ROOT)} says {words} outside of t(…)"


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(sayings.ROOT)))
def test_what_a_reader_s_template_says_is_a_reader_s_sentence(path) -> None:
    """A sentence of the team's domains may be there in English alone."""
    before = sayings.PREFIX[path.relative_to(sayings.ROOT).parts[1]]
    for one in sayings.of_template(path.read_text(encoding="utf-8"), before):
        assert any(languages.for_readers(name) for name in sayings.meant(one, known())), one


def test_an_id_stands_in_one_place() -> None:
    """Of two sentences by one name, chance would choose."""
    ids = [name for domain in catalogues.domains() for name in written("en", domain)]
    assert sorted({name for name in ids if ids.count(name) > 1}) == []


@pytest.mark.parametrize(("language", "domain"), FILES)
def test_a_translation_stands_there_once(language: str, domain: str) -> None:
    """Two branches may each have added it; translators' tools open no such file."""
    ids = written(language, domain)
    assert sorted({name for name in ids if ids.count(name) > 1}) == []


def written(language: str, domain: str) -> list[str]:
    """Return the ids of a file as they are written: reading it would make one of two."""
    path = catalogues.place(language, domain)
    return (
        re.findall(r'^msgctxt "(.*)"$', path.read_text(encoding="utf-8"), flags=re.MULTILINE) if path.exists() else []
    )


@pytest.mark.parametrize("domain", catalogues.domains())
def test_english_fills_in_the_same_facts_beside_one_and_beside_others(domain: str) -> None:
    """The template is itself a translation of nothing: its braces are judged here."""
    for name, message in catalogues.entries(template(domain)).items():
        facts = [catalogues.facts(one) for one in catalogues.english(message)]
        assert facts[0] | catalogues.NUMBERS >= facts[-1] >= facts[0], name
        assert not message.fuzzy, name
        assert message.string in ("", ("", "")), f"{name}: English stands in msgid"


@pytest.mark.parametrize("domain", sorted(languages.READERS))
def test_what_counts_has_plural_forms(domain: str) -> None:
    """A count in a sentence without forms is wrong for most numbers, in Arabic."""
    for name, message in catalogues.entries(template(domain)).items():
        if "{count}" in catalogues.english(message)[-1]:
            assert isinstance(message.id, tuple), name


@pytest.mark.parametrize("language", ["en", *catalogues.tongues()])
def test_plural_forms_are_those_of_unicode(language: str) -> None:
    """The rule stands at the head of every file; whoever keeps them for the world judges it."""
    rule = babel.Locale.parse(language).plural_form
    order = [form for form in ("zero", "one", "two", "few", "many", "other") if form in {*rule.tags, "other"}]
    for domain in catalogues.domains():
        path = catalogues.place(language, domain)
        if path.exists():
            head = catalogues.read(path)
            form = gettext.c2py(head.plural_expr)
            assert head.num_plurals == len(order), path
            assert all(order[form(count)] == rule(count) for count in range(1_300)), path


# ── The check can fail: each fault planted, and said with language, file and id ──

POT = """
msgctxt "web.save"
msgid "Save"
msgstr ""

msgctxt "web.hello"
msgid "Hello {name}"
msgstr ""

msgctxt "mail.more"
msgid "{count} letter"
msgid_plural "{count} letters"
msgstr[0] ""
msgstr[1] ""
"""
HEAD = f'msgid ""\nmsgstr ""\n"Plural-Forms: {catalogues.PLURALS["ar"]}\\n"\n'
FORMS = ("ولا رسالة", "رسالة", "رسالتان", "{count} رسائل", "{count} رسالة", "{count} رسالة")
GOOD = (
    HEAD
    + """
msgctxt "web.save"
msgid "Save"
msgstr "حفظ"

msgctxt "web.hello"
msgid "Hello {name}"
msgstr "مرحبًا {name}"

msgctxt "mail.more"
msgid "{count} letter"
msgid_plural "{count} letters"
"""
    + "".join(f'msgstr[{at}] "{form}"\n' for at, form in enumerate(FORMS))
)
PLANTED = {
    "missing": ('msgstr "حفظ"', 'msgstr ""', "web.save is not translated."),
    "fuzzy": ('msgctxt "web.save"', '#, fuzzy\nmsgctxt "web.save"', "web.save is fuzzy"),
    "other English": ('msgid "Save"', 'msgid "Keep"', "web.save was translated from other English"),
    "another fact": ("مرحبًا {name}", "مرحبًا {nome}", "web.hello fills in ['nome'] where English has ['name']"),
    "no fact": ("مرحبًا {name}", "مرحبًا", "web.hello fills in [] where English has ['name']"),
    "broken braces": ("مرحبًا {name}", "مرحبًا {name", "web.hello has braces that do not pair"),
    "no number": ('msgstr[4] "{count} رسالة"', 'msgstr[4] "رسالة"', "mail.more fills in []"),
    "empty form": ('msgstr[3] "{count} رسائل"', 'msgstr[3] ""', "mail.more lacks the plural forms [3]."),
    "no such form": ("", 'msgstr[6] "رسائل"\n', "line "),
    "obsolete id": ('msgctxt "web.save"', 'msgctxt "web.saved"', "web.saved is obsolete"),
    "obsolete entry": ("", '\n#~ msgctxt "web.old"\n#~ msgid "Old"\n#~ msgstr "قديم"\n', "web.old is obsolete."),
}


def faults(text: str) -> list[str]:
    return catalogues.judged(catalogues.parse(POT), text, "ar, web.po", complete=True)


def test_a_good_file_has_no_faults() -> None:
    """Otherwise what follows would prove nothing."""
    assert faults(GOOD) == []


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_named(fault: str) -> None:
    """A check that cannot fail is none."""
    what, instead, sentence = PLANTED[fault]
    assert what in GOOD
    found = faults(GOOD.replace(what, instead, 1) if what else GOOD + instead)
    assert any(one.startswith(f"ar, web.po: {sentence}") for one in found), found


def test_forms_too_few_are_named() -> None:
    """Whoever translates by copying from English has two."""
    short = re.sub(r"msgstr\[[2-5]\].*\n", "", GOOD)
    assert faults(short) == ["ar, web.po: mail.more lacks the plural forms [2, 3, 4, 5]."]


def test_a_domain_that_is_not_complete_may_lack_sentences_and_nothing_else() -> None:
    """Translations come bit by bit; those that are there are right."""
    lacking = GOOD.replace('msgstr "حفظ"', 'msgstr ""').replace("{name}", "{nome}")
    found = catalogues.judged(catalogues.parse(POT), lacking, "ar, web.po", complete=False)
    assert len(found) == 1, found
    assert "web.hello" in found[0]


def test_an_id_nobody_worded_is_found_in_code_and_templates() -> None:
    """The planted ones are of every shape in which ids stand."""
    code = """
languages.say("web.none-a")
languages.say("web.none-b" if late else "web.save", language)
languages.counted(f"none.{what}-x", language, 3)
class Refused(Conflict):
    def __init__(self): super().__init__("none.c", at=1)
SENTENCE = ("none.d", {"count": 3})
"""
    page = '{{ t("none-e") }}{{ counted("none-f", 3) }}{{ t("none-" ~ what) }}{{ say("none.g", language) }}'
    said = dict.fromkeys([*sayings.of_code(code), *sayings.of_template(page, r"web\.")], "here")
    found = unworded(said, {"web.save"})
    assert len(found) == 9, found
    assert [one for one in found if "none" not in one] == []
    worded = {
        "web.none-a",
        "web.none-b",
        "none.z-x",
        "none.c",
        "none.d",
        "web.none-e",
        "web.none-f",
        "none.g",
        "web.save",
    }
    assert unworded(said, worded) == []


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("<p>{{ t('x') }} Read on</p>", ["Read", "on"]),
        ("<p>{% if x %}خبر{% endif %}</p>", ["خبر"]),
        ('<img alt="A cat" src="/cat.png">', ["cat"]),
        ('<p aria-label="{{ t("x") }} here">·</p>', ["here"]),
        ('<a href="/help">{{ t("x") }}</a>&nbsp;<style>p { color: red }</style><input name="email" value="yes">', []),
        ("{# Said to nobody. #}<p>{{ t('x') }}</p>", []),
    ],
)
def test_words_in_a_page_are_found(source: str, words: list[str]) -> None:
    """In text and in what is read aloud; not in addresses, names of fields or comments."""
    assert sayings.literal(source, html=True) == words


def test_words_in_a_plain_text_are_found() -> None:
    """Where there are no tags, whatever is no address is read."""
    assert sayings.literal("{{ t('x') }}: {{ base }}/p/{{ token }}?language={{ y }}\nBye", html=False) == ["Bye"]


def test_changed_english_asks_for_a_new_look_and_keeps_the_old_words() -> None:
    """A translator sees what it was, what it is, and what they had written."""
    found = catalogues.carried(catalogues.parse(POT.replace("Save", "Keep it")), catalogues.parse(GOOD))
    changed = catalogues.entries(found)["web.save"]
    assert (changed.fuzzy, changed.string, changed.previous_id) == (True, "حفظ", ["Save"])
    assert not catalogues.entries(found)["web.hello"].fuzzy


_LEARNT = """
import sys
from newsletter import languages
languages.learn()
read = []
sys.addaudithook(lambda event, about: event == "open" and ".po" in str(about[0]) and read.append(about[0]))
for language in languages.spoken():
    languages.say("mail.friend", language)
print(read)
"""


def test_who_has_learnt_the_languages_reads_nothing_when_they_are_spoken() -> None:
    """The pages do before they answer anybody: the first of a crowd waited for 0.4 s of reading, and all others behind them."""
    found = subprocess.run([sys.executable, "-c", _LEARNT], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
