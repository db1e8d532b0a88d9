"""Whatever a button of the team's pages may be refused by is said so that it helps somebody with a phone, in every language."""

import ast
import re
from functools import cache

import pytest

from newsletter import languages
from newsletter.ledger.mailings import State
from tests import catalogues, reaching, sayings

# A command and its options, a setting, a path of the machine; and facts that are one of these.
SHELL = re.compile(
    r"newsletter [a-z]|NEWSLETTER_|(?<!\w)--[a-z]|(?<![\w:/<])[~.]?/[\w.-]+/|\{(?:path|folder|home|variable|command)\}"
)
# A worker's refusals, why it halts, and what the lamp says stand on pages as well, whoever pressed a button.
SHOWN = (r"vouch\.[\w-]+", r"halted\.[\w -]+", r"drill\.(?!no-team)[\w-]+")
# What no page says by this sentence. Where the machine is at fault, `web.refusals` says that we are away; without its own keys no
# part starts; and passkeys are pinned at the command line.
AWAY = frozenset(
    {"database.unreachable", "database.not-migrated", "database.disk-full", "leaving.not-kept", "night.no-site"}
    | {f"vault.{one}" for one in ("keys-exist", "keys-exposed", "keys-missing", "keys-unreadable", "wrong-keys")}
)
ROOTS = [
    *reaching.posts("newsletter.web.console"),
    ("newsletter.web.console.gate", "own_form"),
    ("newsletter.journeys.errands", "run"),
    ("newsletter.journeys.errands", "try_links"),
]


def patterns():
    """Return the patterns of what pages say, each with who says it."""
    return in_templates() | reaching.refusals(reaching.reached(ROOTS)) | dict.fromkeys(SHOWN, "a worker")


def in_templates():
    pages = sorted((reaching.ROOT / "templates" / "web" / "console").glob("*.html"))
    return {one: page.name for page in pages for one in sayings.of_template(page.read_text(encoding="utf-8"), r"web\.")}


def met():
    """Return the ids of what stands on pages or a button may end in, each with who says it."""
    ids = [name for domain in catalogues.domains() for name in english(domain) if name not in AWAY]
    return {name: who for one, who in patterns().items() for name in ids if re.fullmatch(one, name)}


def english(domain):
    return catalogues.entries(catalogues.read(catalogues.place("en", domain)))


@cache
def spoken(language):
    """Return all that is said in a language, by its ids: read once, for a thousand questions."""
    every = {}
    for domain in reversed(catalogues.domains()):
        every |= catalogues.entries(catalogues.read(catalogues.place(language, domain)))
    return every


def sentences(message, language):
    """Return a sentence of the catalogues in each of its forms."""
    found = spoken(language).get(message)
    if found is None:
        return ()
    return catalogues.english(found) if language == "en" else catalogues.forms(found)


MET = met()


def test_the_search_finds_what_buttons_lead_to():
    """Were it to lose its way, every sentence below would be fine."""
    assert len(MET) > 100
    for known in ("night.few-repeated", "night.limited", "mandate.unknown", "alert.not-retracted", "frame.gap-open"):
        assert known in MET
    for known in ("operator.wrong-factor", "errand.failed", "alert.bad-button", "operator.foreign-form"):
        assert known in MET
    for elsewhere in ("import.no-evidence", "keys.live", "embedded.no-redis"):
        assert elsewhere not in MET


@pytest.mark.parametrize("message", sorted(MET))
def test_a_refusal_on_a_phone_names_no_command_and_no_path(message):
    """Whoever stands at a border with a phone has no shell: a sentence of its own in console.pot says what to do there."""
    for language in languages.spoken():
        said = sentences(languages.paged(message), language)
        assert said or language != "en", f"{message} has no sentence"
        for one in said:
            assert not SHELL.search(one), f"{language}: {message} ({MET[message]}) says “{one}”"


def test_a_page_calls_an_alert_an_alert():
    """“Mailing 3 is locked; only a draft can be sent or scheduled” is said of no alert to whoever taps twice."""
    moves = {f"mailing.not-{state}" for state in State}
    assert moves <= MET.keys()
    for message in MET:
        if message.startswith("mailing."):
            for one in sentences(languages.paged(message), "en"):
                assert not re.search(r"(?<!\{)\bmailing\b|\{state\}", one, re.IGNORECASE), (
                    f"{message} ({MET[message]}): “{one}”"
                )


def test_a_new_refusal_that_names_a_command_is_found():
    """The search follows a function that is called, to the error it raises, to its sentence."""
    [place] = [one for one in reaching.reached(ROOTS) if one[1] == "NoLonger"]
    assert place[0] == "newsletter.journeys.expiring"
    assert list(reaching.refusals([place])) == [re.escape("alert.no-longer")]
    for planted in (
        "See “newsletter alerts list”.",
        "Set NEWSLETTER_SENDER.",
        "Use --updates 7.",
        "It lies in {path}.",
    ):
        assert SHELL.search(planted), planted
    for fine in ("Begin with https://example.org/x.", "“fa” or “ar”", "2 % of them", "and/or", "</b>"):
        assert not SHELL.search(fine), fine


def test_what_is_passed_on_as_a_table_is_followed():
    """The desk's acts stand in one: a button leads to each."""
    assert isinstance(reaching.own("newsletter.journeys.errands")["_DO"], ast.AnnAssign)
    assert ("newsletter.journeys.retracting", "retract") in reaching.reached(ROOTS)
