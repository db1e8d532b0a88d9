"""Whether a letter says that its writer wants to leave: pure, in the words that people use.

It is read as the writer wrote it: what they quote and what their mail program adds says nothing. Whose wish it is, and whether
that is believed, is for others to say: anyone can write in anybody's name. Nobody is told when they are taken off by it, so that
needs a whole sentence that says so and nothing that takes it back; whatever else sounds like it is marked for a person.
"""

import html
import re
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import product

from newsletter.reports.parse import Letter


def _each(*parts: str) -> str:
    """Return every phrase of one alternative of each part, between commas as these are."""
    return ", ".join(map(" ".join, product(*(part.split(", ") for part in parts))))


_I_WANT = "i want to, i would like to, i'd like to, i wish to"
_IT = _each("this, the, your", "list, mailing list, email list, newsletter, emails, mails")
_MAIL = "emails, mails, mail, these emails, your emails, your mails, your newsletter, this newsletter, any more emails"
_AT_LENGTH = (
    ("unsubscribe, unsubscribe me, remove me, remove my name, remove my address, remove my email address", "from", _IT),
    ("take me off, take my name off", _IT),
    (_I_WANT, "unsubscribe, cancel my subscription"),
    (_I_WANT, "unsubscribe from, be removed from, be taken off", _IT),
    ("stop, stop sending, stop sending me", _MAIL),
    ("i do not, i don't, i no longer", "want, want to get, want to receive, wish to receive", _MAIL),
    ("unsubscribe", "this address, this email address, my address, my email, my email address"),
    ("remove", "this email address, my email address"),
    ("unsubscribe me, remove me", "now, immediately"),
)
WISHES = {
    "en": (
        "unsubscribe, unsubscribe me, unsubscribe now, stop, stop it, stop this, stop emailing me, stop mailing me, remove,"
        " remove me, take me off, leave, i want to leave, cancel my subscription, cancel subscription, opt out, optout,"
        " opt me out, sign me off,"
        " no more emails, no more mail, no more mails, do not email me, don't email me, do not email me again,"
        " don't email me again, do not write to me, don't write to me, do not write to me again, don't write to me again,"
        " do not contact me, don't contact me, do not contact me again, don't contact me again, never email me again,"
        " never write to me again, never contact me again, do not send me any more emails, don't send me any more emails, "
        + ", ".join(_each(*parts) for parts in _AT_LENGTH)
    ),
    "fa": (
        "لغو، لغو اشتراک، لغو عضویت، اشتراکم را لغو کنید، اشتراک مرا لغو کنید، اشتراک من را لغو کنید، عضویت مرا لغو کنید، انصراف،"
        " حذف، حذفم کنید، مرا حذف کنید، من را حذف کنید، نامم را حذف کنید، نام مرا حذف کنید، مرا از فهرست حذف کنید،"
        " من را از لیست حذف کنید، توقف، نفرستید، دیگر نفرستید، دیگر ایمیل نفرستید، دیگر برایم نفرستید، نمی‌خواهم، دیگر نمی‌خواهم،"
        " به من ننویسید، دیگر به من ننویسید، برایم نفرستید، دیگر برایم ایمیل نفرستید، نامه‌های شما را نمی‌خواهم،"
        " دیگر برای من ایمیل نفرستید، دیگر به من ایمیل نفرستید، نام من را حذف کنید، نام من را از لیست حذف کنید،"
        " نام مرا از لیست حذف کنید، نام مرا از فهرست حذف کنید، نامم را از فهرست حذف کنید، مرا از لیست حذف کنید،"
        " عضویت من را لغو کنید، عضویتم را لغو کنید، اشتراکم را لغو نمایید، اشتراک مرا لغو نمایید، اشتراک بنده را لغو کنید،"
        " اشتراک بنده را لغو نمایید، می‌خواهم اشتراکم را لغو کنم"
    ),
    "ar": (
        "إلغاء، إلغاء الاشتراك، إلغاء اشتراكي، أريد إلغاء الاشتراك، أرغب في إلغاء الاشتراك، ألغوا اشتراكي، ألغ اشتراكي،"
        " احذفوني، احذفني، احذفوا اسمي، أزيلوني، أزيلوا اسمي، احذفوني من القائمة، أزيلوني من القائمة، توقف، توقفوا، أوقفوا الرسائل،"
        " أوقفوا الإرسال، لا ترسلوا، لا ترسلوا لي، لا ترسلوا لي رسائل، لا أريد رسائلكم،"
        " لا تكتبوا لي، لا تكتبوا إلي، لا تكتبوا لي مجددا، لا تراسلوني، لا تراسلوني مجددا، حذفي من القائمة، حذف اسمي من القائمة،"
        " احذفوا اسمي من القائمة، احذفوني من قائمتكم، أزيلوني من قائمتكم، لا أريد استلام رسائلكم، لا أريد تلقي رسائلكم"
    ),
    "de": (
        "abmelden, abmeldung, abbestellen, abbestellung, austragen, newsletter abbestellen, newsletter abmelden, mich abmelden,"
        " mich austragen, ich möchte mich abmelden, ich will mich abmelden, melden sie mich ab, tragen sie mich aus,"
        " stopp, kündigen, keine mails mehr, keine e-mails mehr, schreiben sie mir nicht, schreiben sie mir nicht mehr,"
        " ich möchte keine mails mehr, ich möchte keine e-mails mehr, ich möchte keine e-mails mehr erhalten,"
        " melden sie mich bitte ab, melden sie mich vom newsletter ab, tragen sie mich bitte aus, nehmen sie mich von der liste,"
        " nehmen sie mich aus dem verteiler, streichen sie mich aus dem verteiler, ich möchte den newsletter abbestellen"
    ),
    "fr": (
        "désabonner, désabonnement, désinscrire, désinscription, me désabonner, me désinscrire, je veux me désabonner,"
        " je souhaite me désabonner, je souhaite me désinscrire, désabonnez-moi, désinscrivez-moi, retirez-moi,"
        " retirez-moi de la liste, retirez-moi de votre liste, arrêtez, plus de mails, ne m'écrivez plus,"
        " de me désabonner, de me désinscrire, de me retirer de votre liste, veuillez me désabonner, veuillez me désinscrire,"
        " je ne souhaite plus recevoir vos mails, je ne souhaite plus recevoir vos messages, je ne veux plus recevoir vos mails"
    ),
}
"""What people write, by language, between commas. Only the whole sentence counts: "stop the war" is a letter."""

MORE = "delete me, delete my address, delete my email address, delete my data, " + _each(
    "unsubscribe, unsubscribe me, remove me, delete me",
    "from",
    "all emails, all mails, all lists, all your emails, all your lists, everything, your database, your list, your mailing list",
)
"""What is asked for by these is more than to leave the digest whose mail is answered: a person does it."""

DENIALS = (
    "not, no, never, none, nothing, nobody, neither, nor, cannot, cant, dont, didnt, wont, hardly, if, unless, until, except,"
    " instead, joke, joking, kidding, wait, said, says, nicht, nein, nie, niemals, kein, keine, keinen, wenn, falls, außer, scherz,"
    " warte, sagt, sagte, non, ne, pas, jamais, aucun, rien, si, sauf, attendez, blague, dit,"
    " نه، نیست، نیستم، هرگز، هیچ، هیچوقت، هیچگاه، مبادا، اگر، مگر، تا، وقتی، شوخی، صبر، گفت، گفتند، گوید،"
    " لا، لم، لن، ليس، ليست، لست، غير، أبدا، كلا، مطلقا، إلا، إذا، لو، حتى، عندما، أمزح، مزحة، مزاح، انتظروا، قال، قالت، يقول"
)
"""A no, a condition, a jest, somebody else's words: what begins with one of these greets nobody, and is nobody's name."""

JESTS = "joke, joking, kidding, scherz, blague, شوخی, أمزح, مزحة, مزاح"
UNLESS = "unless, except, only if, only when, außer, es sei denn, sauf, مگر, إلا"
LITTLE = "do, it, that, so, yet, now, really, after all, please, doch, noch, encore, لطفا"
"""What a no is made of that says nothing else: "Not yet!", "No, wait". "Not interested" gives a reason."""

POLITE = (
    "please, pls, plz, kindly, thanks, thank you, thx, hi, hello, dear all, regards, kind regards, best regards, best wishes,"
    " sincerely, bitte, danke, hallo, viele grüße, mit freundlichen grüßen, merci, bonjour, cordialement, s'il vous plaît, svp,"
    " لطفا، لطفاً، خواهشمندم، خواهش می‌کنم، ممنون، متشکرم، مرسی، با سلام، سلام، با احترام، با تشکر، با سپاس،"
    " من فضلك، من فضلكم، رجاء، رجاءً، الرجاء، يرجى، أرجو، أرجوكم، شكرا، شكراً، مرحبا، مع التحية، مع الشكر، تحياتي"
)
"""What may stand before or after."""

SHORT = (
    "stop, stop it, stop this, remove, leave, i want to leave, stopp, kündigen, arrêtez, لغو، انصراف، حذف، توقف، نفرستید،"
    " دیگر نفرستید، نمی‌خواهم، دیگر نمی‌خواهم، إلغاء، توقفوا، لا ترسلوا"
)
"""Wishes that say not of what. Beside a salutation, or more, they may be meant for somebody else: "Dear Minister, stop this"."""

GREETINGS = (
    "dear, hi, hello, hey, greetings, good day, good morning, good afternoon, good evening, to whom it may concern, guten tag,"
    " hallo, liebe, lieber, sehr geehrte, sehr geehrter, bonjour, bonsoir, cher, chère, chers, chères, سلام، با سلام، سلام علیکم،"
    " درود، با درود، وقت بخیر، وقت به خیر، روز بخیر، صبح بخیر، عصر بخیر، شب بخیر، دوست، دوستان، همکاران، جناب، سرکار،"
    " السلام عليكم، سلام عليكم، مرحبا، أهلا، أهلا وسهلا، تحية، تحية طيبة، صباح الخير، مساء الخير، عزيزي، عزيزتي، أعزائي،"
    " الأعزاء، الأصدقاء، أصدقاءنا، السادة، السيد، السيدة، حضرة"
)
"""How a letter begins."""

CALLED = (
    "all, everyone, everybody, there, again, team, friend, friends, folks, colleagues, sir, sirs, madam, editor, editors, the, of,"
    " at, or, and, to, you, your, my, damen, herren, freunde, und, tous, toutes, amis, amies, madame, monsieur, et, de,"
    " و، احترام، ادب، عزیز، گرامی، محترم، عزیزم، دوست، دوستان، همه، همگی، به، بر، شما، آقای، خانم، همکاران،"
    " ورحمة، الله، وبركاته، طيبة، وبعد، الكرام، المحترمون، المحترمين، الأعزاء، أصدقائي، الأصدقاء، جميعا، بكم، لكم، أيها"
)
"""Whom a greeting is for, word by word, beside names."""

_ANSWERED = re.compile(
    r"^(?:\s*(?:re|aw|antw|sv|vs|odp|ynt|rif|res|réf|ref|fwd?|wg|tr|پاسخ|رد|回复|答复)\s*(?:\[\d+\])?\s*[:：])+\s*",
    re.IGNORECASE,
)
# Where a mail program begins to repeat what is answered.
_QUOTED = re.compile(
    r"^[>|]"
    r"|^[-_ ]{2,}\s*(?:original message|originalnachricht|ursprüngliche nachricht|message d'origine|forwarded message|پیام اصلی"
    r"|الرسالة الأصلية)"
    r"|^_{10,}\s*$"
    r"|^\*?(?:from|von|de|فرستنده|از|من)\s?:\*?\s.*@"
    r"|^(?:on|am|le)\b.{6,300}(?:wrote|schrieb|écrit).{0,200}:\s*$"
    r"|^.{0,200}(?:نوشت|نوشته است|كتب|كتبت)\s?(?:.{0,200})?[:：]\s*$",
    re.IGNORECASE,
)
_ATTRIBUTION_BEGINS = re.compile(r"^(?:on|am|le|در|في)\s.*\d", re.IGNORECASE)
_SIGNATURE = re.compile(r"^--\s*$")
# What a program adds by itself: it stands in one line, and a person may write on beneath it.
_ADDED = re.compile(
    r"^(?:sent from|get outlook|von meinem|gesendet von|envoyé de|envoyé depuis|ارسال شده|فرستاده شده|أُرسلت من|أرسلت من"
    r"|مرسل من|تم الإرسال من)\b",
    re.IGNORECASE,
)
_MARKUP = re.compile(r"\s*<(?:!doctype|html|head|body|meta|div|p|span|table|style|br)\b", re.IGNORECASE)
_MARKUP_QUOTED = re.compile(
    r"<blockquote|<div[^>]{0,300}(?:gmail_quote|divRplyFwdMsg|appendonsend|yahoo_quoted|moz-cite-prefix|mail-editor-reference)"
    r"|<hr\b",
    re.IGNORECASE,
)
_BLOCK_ENDS = re.compile(r"</blockquote\s*>", re.IGNORECASE)
_LINE_ENDS = re.compile(r"<br\b[^<>]*>|</(?:p|div|tr|li|h\d|blockquote)>", re.IGNORECASE)
_UNSEEN = re.compile(r"<(style|script|head|title)\b.{0,5000}?</\1>|<!--.{0,5000}?-->", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[^<>]*>")
_SAME = str.maketrans({"ی": "ي", "ى": "ي", "ک": "ك", "ة": "ه", "ۀ": "ه", "ؤ": "و", "\u200c": " ", "’": "'"})
_LONGEST, _MOST = 200, 20_000
_STOPS, _CALLED_AT_MOST, _NAMES_AT_MOST = " .,:!،-–—", 6, 2
_PAUSE = re.compile(r"(?:[,،!:]|\s[-–—])\s+(?=\w)")
_BREAKS = re.compile(r"[,;:.!?…،؛؟–—]|\s-\s")
_SENTENCE = re.compile(r"(?<=[.!?…؟])\s+")
_ASKS, _SPEAKS_FOR_ANOTHER = re.compile(r"[?؟]"), re.compile('["“”„«»]')
_MEANS = r"(?:want|wanted|wish|wished|ask|asked|mean|meant|need|intend|intended)(?: you)? to"
# Whoever asks to be kept names what is not to be done: "never remove me". "I cannot unsubscribe by your link" asks for it.
_KEEPS = re.compile(
    rf"\b(?:(?:do not|don't|dont|never|not to)(?: (?:ever|please|yet|{_MEANS}|let (?:anybody|anyone|them)))*"
    rf"|(?:did not|didn't) {_MEANS})"
    r" (?:unsubscribe|remove me|take me off|cancel my|opt me out|do it)\b(?! (?:link|button|option|page))"
    r"|\b(?:melden|tragen) sie mich (?:\w+ )?nicht (?:ab|aus)\b"
    r"|\b(?:bitte|will|wollte|mochte|wunsche)\b(?:(?!kann|konnte|lass|geht)[^.!?]){0,40}"
    r"\bnicht (?:abmelden|austragen|abbestellen)\b"
    r"|\bne (?:(?:veux|voulais|souhaite|desire) pas )?(?:me |m')?(?:desabonn|desinscri|retir)\w+"
    r"|(?:لغو|حذف) (?:نكن\w*|نشود|نمي ?كنم)|نمي ?خواهم [^.!?؟]{0,30}(?:لغو|حذف) (?:شو|بشو|كنم)\w*|\bلا (?:تلغ|تحذف|تزيل)\w*"
)
# The footers of companies begin so, and none of them is about the wish above.
_DISCLAIMS = re.compile(
    r"(?:unless|except) (?:otherwise|expressly|explicitly|specifically|clearly|where|as|stated|indicated|noted|required)\b"
).match
# Forms that no list can hold: "don't", "n'arrêtez", and the Persian verb, which is denied by its first letter.
_DENYING = re.compile(r".+n't|n'.+|نمي.*|ن(?:كن|شو|فرست|خواه|بايد|دار).*").fullmatch


def wants_to_leave(letter: Letter, *, answered: str = "") -> bool:
    """Whether the subject, or the first sentence of their own that only greets nobody, is the wish to leave, and nothing denies it.

    answered   the subject of the mail that it answers: what a mail program repeats of it ("Re: Stop") was said by us
    """
    return _wants_to_leave(letter, written(letter.text), answered)


def _wants_to_leave(letter: Letter, lines: Sequence[str], answered: str = "") -> bool:
    if any(map(_takes_back, _pieces(lines))):
        return False
    sentences = _sentences(_own(letter.text))
    subject, (called, said) = subject_of(letter), _first_said(sentences)
    alone = not called and not _say_more(sentences)
    wishes = [said] if plain(subject) == plain(answered) else [said, subject]
    return any(_says_so(one) and (alone or not _may_mean_another(one)) for one in wishes)


def _says_so(sentence: str) -> bool:
    return is_wish(sentence) and not _ASKS.search(sentence)


def _may_mean_another(wish: str) -> bool:
    return is_one_of(wish, _SHORT) or bool(_SPEAKS_FOR_ANOTHER.search(wish))


def may_want_to_leave(letter: Letter) -> bool:
    """Whether any line, sentence or part of one is the wish to leave: too little to act on by itself, and a person is told."""
    lines = written(letter.text)
    said = {subject_of(letter), *lines, *_sentences(lines)}
    called = {_uncalled(one) for one in _pieces(said)}
    # A short one is none by itself: "Stop, in the name of love".
    clauses = {clause for one in said for clause in _BREAKS.split(one)}
    return (
        _wants_to_leave(letter, lines)
        or any(is_wish(one) or is_one_of(one, _MORE) for one in said | called)
        or any(is_wish(one) and not is_one_of(one, _SHORT) for one in clauses)
    )


def _pieces(lines: Iterable[str]) -> set[str]:
    return {one for line in lines for one in _split(line)}


def _split(line: str) -> list[str]:
    return list(filter(None, _SENTENCE.split(line)))


def _takes_back(piece: str) -> bool:
    """Whether this denies a wish that stands beside it. A reason denies none, whatever it says no to: "I never signed up"."""
    if is_wish(_uncalled(piece)):
        return False
    said = _compared(piece)
    words = said.split()
    says_only_no = any(map(_is_denial, words)) and all(_is_denial(one) or one in _LITTLE for one in words)
    begins = {" ".join(words[:most]) for most in (1, 2, 3)}
    if not _UNLESS.isdisjoint(begins) and not _DISCLAIMS(said):
        return True
    return says_only_no or not _JESTS.isdisjoint(words) or bool(_KEEPS.search(said))


def _has_denial(said: str) -> bool:
    return any(map(_is_denial, _compared(said).split()))


def _is_denial(word: str) -> bool:
    return word in _DENIALS or bool(_DENYING(word))


def _sentences(lines: Sequence[str]) -> list[str]:
    """Return what is said, sentence by sentence. The end of a line ends none: "Stop sending me mails⏎about growth".

    An empty line does, and a line that is whole: a greeting, thanks, or the names below a letter.
    """
    parts: list[list[str]] = [[]]
    for place, line in enumerate(lines):
        signs = place > 0 and not any(lines[place + 1 :]) and _are_names(line.rstrip(_STOPS).split())
        if not line or signs or is_salutation(line) or is_polite(line):
            parts += [[line], []]
        else:
            parts[-1].append(line)
    return [one for part in parts for one in _split(" ".join(part))]


def _first_said(sentences: Sequence[str]) -> tuple[bool, str]:
    """Return whether somebody is called, and the first sentence that says something, without that."""
    called = False
    for one in sentences:
        if is_wish(one):
            return called, one
        if is_salutation(one):
            called = called or not is_polite(one)
        elif not is_polite(one):
            said = _uncalled(one)
            return called or said != one, said
    return called, ""


def subject_of(letter: Letter) -> str:
    """Return a subject without what a mail program puts before it."""
    return _ANSWERED.sub("", letter.subject, count=1)


def says_more(letter: Letter) -> bool:
    """Whether there is something for a person to read beside the wish."""
    return _say_more(_sentences(_own(letter.text)))


def _say_more(sentences: Sequence[str]) -> bool:
    said = (one for one in sentences if not is_salutation(one) and not is_polite(one))
    return not all(is_wish(_uncalled(one)) for one in said)


def own_lines(text: str) -> list[str]:
    """Return the lines that the writer wrote, without blank ones, quoted ones and the signature, forty at most."""
    return list(filter(None, _own(text)))[:40]


def _own(text: str) -> list[str]:
    """Return the lines that the writer wrote, and the blank ones between them."""
    lines = [_seen(line) for line in _without_markup(text).split("\n")[:400]]
    for place, line in enumerate(lines):
        if (
            _SIGNATURE.search(line)
            or _ADDED.search(line)
            or _quotes(line, lines[place + 1] if place + 1 < len(lines) else "")
        ):
            return lines[:place]
    return lines


def written(text: str) -> list[str]:
    """Return every line that the writer can have written, also beneath a quote and behind what a telephone adds; no signature.

    For what must not be missed. `own_lines` ends sooner: what stands there is theirs for certain.
    """
    lines = [_seen(line) for line in _without_markup(text).split("\n")[:400]]
    begins = next(
        (place for place in range(len(lines)) if _quotes(lines[place], "".join(lines[place + 1 : place + 2]))), 400
    )
    above, rest = lines[:begins], lines[begins:]
    # Without marks nobody can tell where the quote ends: all that follows is taken for it.
    marked = next((place for place, line in enumerate(rest[:6]) if line.startswith((">", "|"))), len(rest))
    below = [line for line in rest[marked:] if not line.startswith((">", "|"))]
    return [*_unsigned(above), *_unsigned(below), *_unsigned(_beneath_markup(text))]


def _unsigned(lines: list[str]) -> list[str]:
    end = next((place for place, line in enumerate(lines) if _SIGNATURE.search(line)), len(lines))
    return [line for line in lines[:end] if line and not _ADDED.search(line)][:40]


def _beneath_markup(text: str) -> list[str]:
    pieces = _BLOCK_ENDS.split(text) if _MARKUP.match(text) else []
    return [_seen(line) for line in _shown(pieces[-1][:_MOST]).split("\n")] if len(pieces) > 1 else []


def _quotes(line: str, following: str) -> bool:
    """Whether here begins what is answered. Programs break "On … wrote:" over two lines."""
    line, following = line[:400], following[:400]
    broken = _ATTRIBUTION_BEGINS.search(line) and _QUOTED.search(f"{line} {following}")
    return bool(_QUOTED.search(line) or broken)


def _without_markup(text: str) -> str:
    if not _MARKUP.match(text):
        return text
    text = _UNSEEN.sub("", text[:_MOST])
    if quoted := _MARKUP_QUOTED.search(text):
        text = text[: quoted.start()]
    return _shown(text)


def _shown(markup: str) -> str:
    return html.unescape(_TAG.sub("", _LINE_ENDS.sub("\n", markup.replace("\n", " "))))


def _seen(line: str) -> str:
    """What of a line can be seen: marks of direction stand before Persian in every mail program."""
    return "".join(one for one in line if one == "\u200c" or unicodedata.category(one) != "Cf").strip()


def plain(line: str) -> str:
    """Return a line as it is compared: small letters without marks, points and blanks; one spelling of each Arabic letter."""
    return _compared(line[:_LONGEST])


def _compared(said: str) -> str:
    spread = unicodedata.normalize("NFKD", _seen(said[:_MOST]).casefold().translate(_SAME))
    kept = (" " if unicodedata.category(one)[0] in "PSZC" and one != "'" else one for one in spread)
    return " ".join("".join(one for one in kept if unicodedata.category(one) != "Mn").translate(_SAME).split())


def phrases(listed: str) -> frozenset[str]:
    """Return phrases between commas as they are compared."""
    return frozenset(map(plain, re.split("[,،]", listed)))


_POLITE = phrases(POLITE)
_SHORT, _DENIALS = phrases(SHORT), phrases(DENIALS)
_JESTS, _UNLESS, _LITTLE = phrases(JESTS), phrases(UNLESS), phrases(LITTLE)
_GREETINGS, _CALLED = phrases(GREETINGS), phrases(CALLED)
_WISHES = frozenset[str]().union(*map(phrases, WISHES.values()))
_MORE = phrases(MORE)
_WISHES |= {one.replace("email", "e mail") for one in _WISHES}


def is_wish(line: str) -> bool:
    """Whether a line is nothing but the wish to leave."""
    return is_one_of(line, _WISHES)


def is_polite(line: str) -> bool:
    """Whether a line is a greeting or thanks, and nothing else."""
    return plain(line) in _POLITE


def is_salutation(line: str) -> bool:
    """Whether a line only calls somebody: a greeting and whom it is for ("Dear Friends"), or names before a comma."""
    return _greets(line) or (line.endswith(",") and _are_names(line.rstrip(_STOPS).split()))


def _are_names(words: Sequence[str]) -> bool:
    """Whether these may be somebody's names: "Never," is none, nor is "Unsubscribe,"."""
    said = " ".join(words)
    return 0 < len(words) <= 3 and all(map(_is_name, words)) and not is_wish(said) and not _has_denial(said)


def _greets(line: str) -> bool:
    """Whether it begins with a greeting. Strange words in small letters may begin a sentence: "Hello please do not"."""
    words = line.rstrip(_STOPS).split()
    most = next((most for most in (5, 4, 3, 2, 1) if plain(" ".join(words[:most])) in _GREETINGS), 0)
    called = words[most:]
    whom = " ".join(called)
    if not most or len(called) > _CALLED_AT_MOST or _BREAKS.search(whom) or _has_denial(whom):
        return False
    strange = [word for word in called if plain(word) not in _CALLED and not _is_name(word)]
    # Persian and Arabic have no capitals: there a comma shows that it was no sentence.
    calls = len(strange) <= _NAMES_AT_MOST and line.endswith((",", "،", "!"))
    return not strange or (calls and not any(map(_has_case, strange)))


def _has_case(word: str) -> bool:
    return word[0].lower() != word[0].upper()


def _is_name(word: str) -> bool:
    return word[0].isupper() and not word.isupper()


def _uncalled(line: str) -> str:
    """Return what follows a salutation in its line ("Dear Ann, remove me", "Hi Ann - remove me"), else the line."""
    pause = _PAUSE.search(line)
    return line[pause.end() :].strip() if pause and is_salutation(line[: pause.end()].strip()) else line


def is_one_of(line: str, known: frozenset[str]) -> bool:
    """Whether a line is one of these phrases, with or without polite words before and after."""
    return len(line) <= _LONGEST and any(" ".join(rest) in known for rest in _impolite(plain(line).split()))


def _impolite(words: list[str]) -> list[list[str]]:
    """Return the words, and what is left of them without polite ones before and after."""
    found = [words]
    for _ in range(2):
        for rest in list(found):
            for most in (1, 2, 3):
                if " ".join(rest[:most]) in _POLITE:
                    found.append(rest[most:])
                if " ".join(rest[-most:]) in _POLITE:
                    found.append(rest[:-most])
    return found
