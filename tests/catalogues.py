"""The catalogues as translators have them: reading, writing, carrying changed English along, and what is wrong with one.

`python -m tests.catalogues` (`make words`) brings every language up to the English of the templates: new sentences stand there
empty, changed ones are marked fuzzy with what they were, those that are gone go.
"""

import gettext
import string
import sys
from collections import Counter
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import babel
from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import PoFileError, read_po, write_po
from babel.plural import to_gettext

import newsletter

LOCALES = Path(newsletter.__file__).parent / "locales"
# Facts that are the number by which a plural form is chosen.
NUMBERS = frozenset({"count", "minutes", "hours", "days", "left", "most", "shortest", "longest"})
# As translators' tools write the rules of Unicode's CLDR; the test compares them number by number. Babel's own table for
# gettext is not theirs: it has one form for Persian, and the last two of Arabic in the other order.
PLURALS = {
    "en": "nplurals=2; plural=(n != 1);",
    "fa": "nplurals=2; plural=(n > 1);",
    "ar": "nplurals=6; plural=(n==0 ? 0 : n==1 ? 1 : n==2 ? 2 : n%100>=3 && n%100<=10 ? 3 : n%100>=11 ? 4 : 5);",
}
HEAD = """{title}
msgid ""
msgstr ""
"Project-Id-Version: newsletter\\n"
"Language: {language}\\n"
"MIME-Version: 1.0\\n"
"Content-Type: text/plain; charset=UTF-8\\n"
"Content-Transfer-Encoding: 8bit\\n"
"Plural-Forms: {plurals}\\n"

"""


def domains() -> list[str]:
    """Return the names of the files of each language."""
    return sorted(path.stem for path in LOCALES.glob("*.pot"))


def tongues() -> list[str]:
    """Return the languages beside English."""
    return sorted(path.parent.name for path in LOCALES.glob("*/LC_MESSAGES"))


def place(language: str, domain: str) -> Path:
    """Return where a file of a language stands; English is the template."""
    return LOCALES / f"{domain}.pot" if language == "en" else LOCALES / language / "LC_MESSAGES" / f"{domain}.po"


def read(path: Path) -> Catalog:
    """Return what a file says; nothing where there is none."""
    return parse(path.read_text(encoding="utf-8") if path.exists() else "")


def parse(text: str) -> Catalog:
    """Return what the text of a file says. Raises PoFileError where it is none."""
    return read_po(BytesIO(text.encode()), abort_invalid=True)


def entries(catalogue: Catalog) -> dict[str, Message]:
    """Return the sentences by their message id."""
    return {str(one.context): one for one in catalogue if one.id}


def forms(message: Message) -> tuple[str, ...]:
    """Return how a sentence is said: once, or once for each form of the number in it."""
    return message.string if isinstance(message.string, tuple) else (message.string,)


def english(message: Message) -> tuple[str, ...]:
    """Return what a sentence is in English: one, or those beside one and beside other numbers."""
    return (message.id,) if isinstance(message.id, str) else tuple(message.id)


def carried(template: Catalog, known: Catalog) -> Catalog:
    """Return a language's file as the template now wants it."""
    old, found = entries(known), Catalog()
    for name, wanted in entries(template).items():
        said = old.get(name)
        if said is None:
            found.add(wanted.id, context=name, flags=wanted.flags, auto_comments=wanted.auto_comments)
            continue
        changed = english(said) != english(wanted)
        found.add(
            wanted.id,
            said.string if isinstance(said.string, tuple) == isinstance(wanted.id, tuple) else None,
            context=name,
            flags=wanted.flags | ({"fuzzy"} if changed or said.fuzzy else set()),
            auto_comments=wanted.auto_comments,
            user_comments=said.user_comments,
            previous_id=english(said) if changed else said.previous_id,
        )
    return found


def write(path: Path, catalogue: Catalog, language: str) -> None:
    """Write a file: no dates, no wrapped lines, so that a change of a sentence is one line of a diff."""
    locale = babel.Locale.parse(language)
    title = f"# {path.stem}: the English sentences." if language == "en" else f"# {path.stem} in {locale.english_name}."
    plurals = PLURALS.get(language) or to_gettext(locale.plural_form)
    catalogue.mime_headers = [("Plural-Forms", plurals)]
    for one in catalogue:
        # Babel takes "2 % of" for a fact.
        one.flags.discard("python-format")
    body = BytesIO()
    write_po(body, catalogue, width=0, omit_header=True, include_previous=True, ignore_obsolete=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    head = HEAD.format(title=title, language=language, plurals=plurals)
    path.write_text(head + body.getvalue().decode().strip("\n") + "\n", encoding="utf-8")


def facts(sentence: str) -> set[str]:
    """Return what a sentence fills in, with how it is written: "count", "waiting:,". Raises ValueError where braces do not pair."""
    parts = string.Formatter().parse(sentence)
    return {f"{name}:{form}" if form else name for _, name, form, _ in parts if name is not None}


def faults(template: Catalog, catalogue: Catalog, where: str, *, complete: bool) -> Iterator[str]:
    """Say what is wrong with a language's file, each by language, file and id.

    where      the language and the file: "fa, web.po"
    complete   whether every sentence of the template must be there
    """
    known, wanted = entries(catalogue), entries(template)
    if complete:
        yield from (f"{where}: {name} is not translated." for name in wanted if not any(_said(known.get(name))))
    yield from (f"{where}: {name} is obsolete: no template has it." for name in sorted(known.keys() - wanted.keys()))
    yield from (f"{where}: {one.context} is obsolete." for one in catalogue.obsolete.values())
    for name in sorted(known.keys() & wanted.keys()):
        yield from (f"{where}: {name} {fault}" for fault in _wrong(wanted[name], known[name], catalogue))


def judged(template: Catalog, text: str, where: str, *, complete: bool) -> list[str]:
    """Return what is wrong with the text of a language's file, also where it is none."""
    try:
        return list(faults(template, parse(text), where, complete=complete))
    except PoFileError as broken:
        return [f"{where}: line {broken.lineno} cannot be read: {broken}."]


def _said(message: Message | None) -> tuple[str, ...]:
    return forms(message) if message else ()


def _wrong(wanted: Message, said: Message, catalogue: Catalog) -> Iterator[str]:
    number = catalogue.num_plurals
    if said.fuzzy:
        yield "is fuzzy: somebody must read it again."
    if english(wanted) != english(said):
        yield "was translated from other English; run “make words”."
    elif isinstance(wanted.id, tuple) and len(forms(said)) != number:
        yield f"has {len(forms(said))} plural forms; the language has {number}."
    elif any(forms(said)) and not all(forms(said)):
        yield f"lacks the plural forms {[at for at, form in enumerate(forms(said)) if not form]}."
    elif any(forms(said)):
        yield from _strange(wanted, forms(said), spoken_by_a_word(catalogue))


def spoken_by_a_word(catalogue: Catalog) -> set[int]:
    """Return the plural forms that stand for one number alone, which may be a word: Arabic's none, one and two."""
    form = gettext.c2py(catalogue.plural_expr)
    found = Counter(form(number) for number in range(1_000))
    return {at for at, numbers in found.items() if numbers == 1}


def _strange(wanted: Message, said: tuple[str, ...], words: set[int]) -> Iterator[str]:
    """Say which facts of the sentence a translation loses or invents."""
    try:
        meant, found = facts(english(wanted)[-1]), [facts(one) for one in said]
    except ValueError as broken:
        yield f"has braces that do not pair: {broken}."
        return
    for at, one in enumerate(found):
        free = NUMBERS if isinstance(wanted.id, tuple) and at in words else set()
        if not meant - free <= one <= meant:
            yield f"fills in {sorted(one)} where English has {sorted(meant)}."


def main() -> None:
    """Bring every language up to the English of the templates."""
    for language in tongues():
        for domain in domains():
            known, path = read(place(language, domain)), place(language, domain)
            found = carried(read(place("en", domain)), known)
            if path.exists() or entries(known):
                write(path, found, language)
                open_ = sum(one.fuzzy or not any(forms(one)) for one in entries(found).values())
                print(
                    f"{language} {domain}: {len(entries(found))} sentences, {open_} to be translated", file=sys.stderr
                )


if __name__ == "__main__":
    main()
