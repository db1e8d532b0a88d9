"""Whether an answer to the question is a yes: pure, in the words that people use.

A yes becomes the proof of a permission, so it is one of a few words, or nothing at all above what is quoted. "No" and the wish to
leave are a no wherever they stand; all else is a letter for a person, and nobody is subscribed by it.
"""

import re
from enum import StrEnum

from newsletter.bounces import parting
from newsletter.reports.parse import Letter

YES = {
    "en": (
        "yes, yes yes, yep, yeah, y, ok, okay, yes ok, sure, confirm, confirmed, i confirm, yes i confirm, i agree, agreed,"
        " yes i agree, yes i do, yes i did, yes it was me, it was me, yes that was me, that was me, accept, i accept, subscribe,"
        " subscribe me, sign me up, yes send it to me, send it to me"
    ),
    "fa": (
        "بله، بلی، آره، آری، بله بله، تایید، تأیید، تایید می‌کنم، تأیید می‌کنم، بله تایید می‌کنم، بله تأیید می‌کنم، موافقم، بله موافقم،"
        " موافق هستم، باشه، باشد، قبول، قبول دارم، می‌خواهم، بله می‌خواهم، من بودم، بله من بودم،"
        " برایم بفرستید، بله برایم بفرستید، اوکی"
    ),
    "ar": (
        "نعم، أجل، نعم نعم، موافق، موافقة، أوافق، نعم أوافق، أؤكد، نعم أؤكد، تأكيد، حسنا، حسناً، طيب، أقبل،"
        " أريد، نعم أريد، أنا من طلب، نعم أنا من طلب، أرسلوها، نعم أرسلوها، أوكي"
    ),
    "de": "ja, ja bitte, jawohl, ich bestätige, bestätigt, einverstanden, ich stimme zu, ja das war ich, das war ich",
    "fr": "oui, d'accord, je confirme, oui je confirme, j'accepte, c'est moi, oui c'est moi, c'était moi",
}
"""What people write, by language, between commas. Only the whole line counts: "yes, but who are you?" is a letter."""

NO = {
    "en": (
        "no, no no, nope, never, not me, no not me, it was not me, it wasn't me, this was not me, this wasn't me, that was not me,"
        " that wasn't me, i did not ask for this, i didn't ask for this, i never asked for this, i did not sign up,"
        " i didn't sign up, i never signed up, i did not subscribe, i didn't subscribe, i never subscribed, i do not want this,"
        " i don't want this, i do not want it, i don't want it, do not subscribe me, don't subscribe me,"
        " leave me alone, go away, not interested, i am not interested, i'm not interested, wrong address,"
        " wrong person, spam, this is spam"
    ),
    "fa": (
        "نه، خیر، نخیر، هرگز، من نبودم، نه من نبودم، کار من نبود، من نخواسته‌ام، من درخواست نکرده‌ام، درخواست نکرده‌ام،"
        " من درخواست نکردم، من ثبت نام نکرده‌ام، من ثبت نام نکردم، من عضو نشده‌ام، عضو نمی‌شوم،"
        " مزاحم نشوید، اشتباه است، نشانی اشتباه است، موافق نیستم، هرزنامه"
    ),
    "ar": (
        "لا، كلا، أبدا، أبداً، لست أنا، لا لست أنا، لم أكن أنا، لم أطلب هذا، لم أطلب ذلك، أنا لم أطلب هذا، لم أشترك، لم أسجل،"
        " لا أريد، لا أريد هذا، لا أريد ذلك، لا أوافق، غير موافق، اتركوني،"
        " عنوان خاطئ، العنوان خطأ، بريد مزعج"
    ),
    "de": (
        "nein, nein danke, niemals, ich nicht, das war ich nicht, ich war das nicht, ich habe das nicht angefordert,"
        " ich habe mich nicht angemeldet, kein interesse, falsche adresse"
    ),
    "fr": (
        "non, non merci, jamais, pas moi, ce n'est pas moi, ce n'était pas moi, je n'ai rien demandé, je n'ai pas demandé cela,"
        " je ne me suis pas inscrit, je ne me suis pas inscrite, laissez-moi tranquille, pas intéressé,"
        " pas intéressée, mauvaise adresse"
    ),
}
"""What people write who never asked, beside the wish to leave (`parting.WISHES`). It counts in any line, and before more words."""


class Said(StrEnum):
    """What an answer says. UNCLEAR: neither, so a person reads it."""

    YES = "yes"
    NO = "no"
    UNCLEAR = "unclear"


def of(letter: Letter, *, whole: bool = True) -> Said:
    """Return what an answer to the question says.

    whole   whether all that it holds is the text that was read: a picture or a sealed part may say anything
    """
    lines = parting.written(letter.text)
    subject = parting.subject_of(letter)
    if _is_no(subject) or any(map(_is_no, lines)):
        return Said.NO
    said = next((line for line in lines if not parting.is_polite(line)), "")
    if _begins_with_no(said):
        return Said.NO
    # Many telephones send what is quoted alone; but under a subject of its own it is no answer.
    empty = not lines and whole and (not subject.strip() or subject != letter.subject or _is_yes(subject))
    return Said.YES if empty or _is_yes(said) else Said.UNCLEAR


def is_clear(letter: Letter) -> bool:
    """Whether a yes stands there in words: after a no nothing less takes that back."""
    said = next((line for line in parting.written(letter.text) if not parting.is_polite(line)), "")
    return _is_yes(said)


def says_more(letter: Letter) -> bool:
    """Whether there is something for a person to read beside a no."""
    return not all(_is_no(line) or parting.is_polite(line) for line in parting.written(letter.text))


def _is_yes(line: str) -> bool:
    return parting.is_one_of(line, _YES)


def _is_no(line: str) -> bool:
    return parting.is_wish(line) or parting.is_one_of(line, _NO)


def _begins_with_no(line: str) -> bool:
    """ "No. I never asked for this": what stands before the first stop is a no by itself."""
    return _is_no(_STOP.split(line, maxsplit=1)[0])


_STOP = re.compile(r"[.,;:!?…،؛؟–—]|\s-\s")
_YES = frozenset[str]().union(*map(parting.phrases, YES.values()))
_NO = frozenset[str]().union(*map(parting.phrases, NO.values()))
