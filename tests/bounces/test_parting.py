"""A wish to leave is read as its writer wrote it, and nothing else is taken for one."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.bounces import parting
from newsletter.bounces.parting import may_want_to_leave, own_lines, says_more, wants_to_leave
from newsletter.reports import parse
from newsletter.reports.parse import Letter
from tests.fakes import answers

SENT = b"Message-ID: <abc@sarand.example>\r\nSubject: The well runs dry\r\n\r\n"
WRITE = {"gmail": answers.gmail, "outlook": answers.outlook, "apple": answers.apple}


def letter(text="", subject="Re: The well runs dry"):
    return Letter("ann@example.org", subject, text)


def read(program, text, **more):
    found = parse.parse(WRITE[program](SENT, "Ann <ann@example.org>", text, **more))
    assert isinstance(found, Letter)
    return found


WANTED = [
    "unsubscribe",
    "Unsubscribe.",
    "UNSUBSCRIBE!!!",
    "Please unsubscribe me",
    "please remove me from your list, thanks",
    "Stop",
    "Take me off this list please",
    "  Remove me  ",
    "لغو اشتراک",
    "لطفاً لغو اشتراک",
    "لغو اشتراك",
    "مرا حذف کنید.",
    "دیگر نمی\u200cخواهم",
    "\u200fلغو",
    "إلغاء الاشتراك",
    "الغاء الاشتراك",
    "ألغوا اشتراكي من فضلكم",
    "لا ترسلوا لي",
    "Abmelden",
    "Bitte tragen Sie mich aus, danke",
    "Désabonnement",
    "DESABONNEZ-MOI SVP",
    "Me désinscrire s'il vous plaît",
    "Please unsubscribe me from your mailing list",
    "Unsubscribe me from your newsletter.",
    "I'd like to unsubscribe",
    "I wish to be removed from your e-mail list",
    "Please take me off your email list",
    "Remove my name from your list, please",
    "Stop sending me these emails!",
    "I no longer wish to receive your emails.",
    "Unsubscribe me now",
    "Bitte melden Sie mich vom Newsletter ab.",
    "Ich möchte keine E-Mails mehr erhalten",
    "Merci de me désabonner",
    "لطفا دیگر برای من ایمیل نفرستید",
    "لطفا نام من را از لیست حذف کنید",
    "يرجى إلغاء الاشتراك",
    "الرجاء حذفي من القائمة",
]
NOT_WANTED = [
    "Stop the war",
    "Stop them!",
    "Unsubscribe does not work for me",
    "How do I unsubscribe?",
    "Please do not remove me",
    "Leave Sarand alone",
    "Remove my name from the list of signatories",
    "Stop sending me to prison",
    "I do not want your emails to stop",
    "Please call me",
    "thanks",
    "please",
    "",
    "توقف جنگ",
    "لغو حکم اعدام",
    "أوقفوا الحرب",
    "Stoppt den Krieg",
    "Arrêtez la guerre",
    "unsubscribe " * 40,
]


@pytest.mark.parametrize("program", WRITE)
@pytest.mark.parametrize("text", WANTED)
def test_a_wish_is_heard_in_the_words_people_use(program, text):
    """Whoever answers "stop" has said it: they must not be told to find a link, and not be asked why."""
    found = read(program, text)
    assert wants_to_leave(found)
    assert not says_more(found)


@pytest.mark.parametrize("program", WRITE)
@pytest.mark.parametrize("text", NOT_WANTED)
def test_what_only_sounds_like_it_is_a_letter(program, text):
    """Someone who writes "stop the war" must not lose the newsletter; what is quoted says nothing of its reader."""
    assert not wants_to_leave(read(program, text))


GREETED = [
    "Hello,\n\nplease unsubscribe me.",
    "Dear Friends,\nPlease remove me from your list.\n\nThank you",
    "Dear Friends of Sarand\n\nplease take me off your mailing list",
    "Hi Anna\nUnsubscribe",
    "Hi Anna, please unsubscribe me.",
    "Good morning, Anna Miller!\n\nI want to unsubscribe",
    "Anna,\nplease remove me from the list",
    "To whom it may concern:\n\nUnsubscribe me.",
    "Sehr geehrte Damen und Herren,\n\nbitte tragen Sie mich aus",
    "سلام\nلطفا مرا حذف کنید",
    "با سلام و احترام\n\nلطفاً اشتراک مرا لغو کنید",
    "دوستان گرامی،\nلطفا مرا حذف کنید",
    "سلام آنا،\nمرا حذف کنید",
    "السلام عليكم ورحمة الله وبركاته\nأرجو إلغاء الاشتراك",
    "مرحبا\n\nألغوا اشتراكي من فضلكم",
    "السادة الكرام،\nاحذفوني من القائمة",
    "Hello\nStop",
    "Dear all - please take me off your list",
    "Anna, please remove me",
    "Good evening Ms Khan: cancel my subscription",
    "Hi Anna! Please unsubscribe me. Regards",
    "Maryam, please take me off\nyour mailing list.",
    "Please\nunsubscribe me",
    "Bonjour Madame - désabonnez-moi",
    "سلام - لطفا مرا حذف کنید",
    "دوستان گرامی: لطفا نام مرا حذف کنید",
    "سلام مریم جان، لطفا اشتراک من را لغو کنید",
    "لطفا مرا از فهرست\nحذف کنید",
    "أعزائي الأصدقاء: ألغوا اشتراكي",
    "مرحبا - احذفوني من فضلكم",
    "صباح الخير يا مريم، ألغوا اشتراكي",
]


@pytest.mark.parametrize("program", WRITE)
@pytest.mark.parametrize("text", GREETED)
def test_who_greets_before_they_ask_has_asked(program, text):
    """The politest letters left nobody, and the operator was told of none of them."""
    found = read(program, text)
    assert wants_to_leave(found)
    assert not says_more(found)


SIGNED = [
    "Please unsubscribe me.\nNever write to me again!",
    "Don't contact me again\n\nAnn",
    "مرا حذف کنید.\nدیگر به من ننویسید.",
    "ألغوا اشتراكي.\nلا تراسلوني مجددا.",
    "Unsubscribe\nAnn Miller",
    "Please remove me from your list\nKind regards\nann",
    "Unsubscribe me.\n\nI am moving to a house without a letterbox.",
    "Please unsubscribe me. I never signed up for this.",
    "Please remove me from your list.\nI don't have time to read it, and I am not interested.",
    "Unsubscribe me.\nNot interested any more.",
    "Unsubscribe me.\nI cannot unsubscribe by your link, it does not work!",
    "Unsubscribe me. If you don't, I will tell the regulator.",
    "Please remove me from your list. I don't see the unsubscribe button.",
    "Unsubscribe me.\nI do not have an unsubscribe link.",
    "Bitte melden Sie mich ab. Ich kann mich nicht abmelden.",
    "اشتراکم را لغو کنید.\nاشتراکم لغو نشد.",
    "Unsubscribe\n\nThis message is confidential. If you are not the intended recipient you must not copy it.",
    "Unsubscribe\n\nAnn Miller\n\nUnless otherwise stated, this e-mail is confidential.",
    "Please unsubscribe me.\n\nExcept where stated, opinions are those of their author.",
    "Melden Sie mich ab.\nIch habe mich nie angemeldet.",
    "Désabonnez-moi.\nJe ne me suis jamais inscrit.",
    "لطفا مرا حذف کنید.\nمن هرگز عضو نشده‌ام و وقت ندارم.",
    "ألغوا اشتراكي.\nلم أسجل أبدا، وليس لدي وقت.",
    "لطفا مرا حذف کنید\nبا تشکر\nمریم",
    "ألغوا اشتراكي\nمع التحية\nمريم",
]


@pytest.mark.parametrize("program", WRITE)
@pytest.mark.parametrize("text", SIGNED)
def test_who_signs_the_wish_or_gives_a_reason_has_asked(program, text):
    """A name below it, or a second sentence, makes it no less a whole one; nor does a no that is the same wish again."""
    assert wants_to_leave(read(program, text))


DENIED = [
    "Never,\nremove me",
    "Please Do Not,\nunsubscribe me",
    "Hardly,\nunsubscribe me",
    "If Ever,\nremove me",
    "No thanks,\nremove me",
    "Do not\nunsubscribe me",
    "Unsubscribe me. Not!",
    "Please unsubscribe me.\n\nJust kidding, I love you.",
    "Remove me from your list.\nUnless you write of Ana again.",
    "Cancel my subscription\nnot yet!",
    "Unsubscribe? Never.",
    "Unsubscribe?",
    "He told me:\nunsubscribe me",
    "Unsubscribe me.\nI beg you, never do it!",
    "Unsubscribe me.\nPlease don't take me off.",
    "Unsubscribe me\nNot really",
    "Unsubscribe me. I do not want to unsubscribe from the truth!",
    "Melden Sie mich ab.\nMelden Sie mich bitte nicht ab!",
    "Bitte melden Sie mich ab.\nNein, doch nicht!",
    "Ne me\ndésabonnez-moi",
    "سلام من هرگز،\nمرا حذف کنید",
    "سلام اگر باز بنویسید،\nمرا حذف کنید",
    "سلام او گفت،\nمرا حذف کنید",
    "مرا حذف کنید\nنه، شوخی کردم",
    "مرا حذف کنید.\nمرا حذف نکنید!",
    "مرا حذف کنید؟",
    "مرحبا لا،\nألغوا اشتراكي",
    "مرحبا إذا كتبتم عنه،\nاحذفوني",
    "قال لي:\nألغوا اشتراكي",
    "ألغوا اشتراكي\nأمزح",
    "ألغوا اشتراكي؟",
]
GOES_ON = [
    "Dear Prime Minister,\nStop sending me emails\nabout growth while Ana is in jail",
    "Dear Minister,\nRemove me from the list\nof those who believe you",
    "Please take me off your list\nYour Minister lies to us all.",
    "Unsubscribe,\nsays the Minister",
    "Stop this!\nFree Ana now.",
    "Stop it\nand release her",
    '"Unsubscribe me." That is what my uncle writes.',
    "Take me off your list - yours, and that of every liar",
    "لا ترسلوا لي رسائل\nكاذبة",
    "أوقفوا الرسائل\nعن النمو وآنا في السجن",
    "توقف!\nآنا را آزاد کنید.",
]


@pytest.mark.parametrize("program", WRITE)
@pytest.mark.parametrize("text", DENIED + GOES_ON)
def test_a_wish_that_is_denied_or_goes_on_is_acted_on_by_a_person_alone(program, text):
    """Nobody is told that they were taken off: a campaigner who wrote “stop … about growth” would hear of no alert any more."""
    found = read(program, text)
    assert not wants_to_leave(found)
    assert may_want_to_leave(found)


def test_a_subject_is_no_wish_where_the_letter_denies_it():
    """Subject and text are one letter, and a short word above a letter to a minister is meant for him."""
    assert not wants_to_leave(letter("Please do not take me off, as they did.", "Unsubscribe"))
    assert not wants_to_leave(letter("Dear Minister,\nshe is ill.", "Stop this"))
    assert not wants_to_leave(letter("", "Unsubscribe?"))
    assert may_want_to_leave(letter("Dear Minister,\nshe is ill.", "Stop this"))


STAYS = [
    ("Unsubscribe", "I don't wish to unsubscribe, I only have a new address."),
    ("Unsubscribe", "I never asked to unsubscribe. Please keep sending!"),
    ("Unsubscribe", "I never wanted to unsubscribe."),
    ("Unsubscribe", "I did not ask to unsubscribe."),
    ("Unsubscribe me", "Do not let anybody unsubscribe me."),
    ("Abmelden", "Ich möchte mich nicht abmelden, nur weniger oft lesen."),
    ("Abmelden", "Bitte nicht abmelden!"),
    ("Abbestellen", "Ich will den Brief nicht abbestellen."),
    ("Désabonnement", "Je ne veux pas me désabonner."),
    ("لغو اشتراک", "لطفا اشتراک من لغو نشود."),
    ("لغو اشتراک", "من اشتراکم را لغو نمی‌کنم."),
    ("لغو اشتراک", "نمی‌خواهم اشتراکم لغو شود."),
]


@pytest.mark.parametrize(("subject", "body"), STAYS)
def test_who_writes_beneath_it_that_they_stay_stays(subject, body):
    """Who answers "Unsubscribe" to keep their mail must not be taken off in silence."""
    assert not wants_to_leave(letter(body, subject))


GOES = [
    ("Unsubscribe", "I don't know how to unsubscribe."),
    ("Unsubscribe", "I never managed to unsubscribe by your page."),
    ("Abmelden", "Ich konnte mich nicht abmelden."),
    ("Abmelden", "Warum kann ich mich nicht abmelden."),
    ("Désabonnement", "Je ne peux pas me désabonner."),
    ("لغو اشتراک", "اشتراکم لغو نشد."),
    ("Unsubscribe", "Your link did not unsubscribe me."),
    ("Unsubscribe", "You didn't remove me last time."),
    ("Abmelden", "Bitte helfen Sie mir, ich kann mich nicht abmelden."),
    ("Abmelden", "Ich will keine Mails mehr und kann mich nicht abmelden."),
    ("Abmelden", "Ich möchte raus, kann mich aber nicht abmelden."),
    ("لغو عضویت", "دیگر نمی‌خواهم، مرا حذف کنید."),
    ("لغو عضویت", "نمی‌خواهم ایمیل بگیرم، لطفا نامم را حذف کنید."),
    ("لغو عضویت", "نامه‌های شما را نمی‌خواهم، لطفا اشتراکم را لغو کنید."),
]


@pytest.mark.parametrize(("subject", "body"), GOES)
def test_who_writes_beneath_it_that_it_did_not_work_goes(subject, body):
    """They asked for it twice."""
    assert wants_to_leave(letter(body, subject))


def test_what_takes_it_back_beneath_the_quote_counts():
    """Many write above and below."""
    assert not wants_to_leave(letter("Unsubscribe\n\n> Our news\n> of this week\n\nNo, wait."))


FOR_A_PERSON = [
    "I have loved your letters for years.\n\nPlease unsubscribe me.\n\nAnn",
    "Dear Friends, I am moving house. Please remove me from your list.",
    "Please unsubscribe me from all emails",
    "Delete me from your database",
    "Dear Minister,\nStop this.",
    "Dear Minister, stop this.",
    "I am moving house, so please do: take me off your list",
    "آدرس من عوض شد، لطفا مرا حذف کنید",
    "سافرت أمس، ألغوا اشتراكي",
    "Hello please do not\nremove me from your list",
    "hi he said,\nunsubscribe me",
    "If you write of him again,\nunsubscribe me",
    "سلام\nنامه‌های شما زیاد است.\nلطفا مرا حذف کنید",
    "مرحبا\nرسائلكم كثيرة.\nألغوا اشتراكي",
]


@pytest.mark.parametrize("program", WRITE)
@pytest.mark.parametrize("text", FOR_A_PERSON)
def test_a_wish_among_other_words_is_for_a_person_and_marked(program, text):
    """Whether they mean it only a person can tell; without a mark it lies among a hundred letters."""
    found = read(program, text)
    assert not wants_to_leave(found)
    assert may_want_to_leave(found)


ABOUT_IT = [
    "Why do people unsubscribe from you? I never would.",
    "Hello,\n\nHow do I unsubscribe my late mother?",
    "Dear Friends,\nyour unsubscribe link does not work for my brother.",
    "Dear Friends, stop the war",
    "Dear Friends,\nPlease do not remove me from your list!",
    "Hello",
    "Dear Friends,",
    "سلام\nچرا مردم لغو اشتراک می‌کنند؟",
    "مرحبا\nلماذا يلغي الناس الاشتراك؟",
]


@pytest.mark.parametrize("program", WRITE)
@pytest.mark.parametrize("text", ABOUT_IT)
def test_a_letter_about_leaving_is_no_wish_and_bears_no_mark(program, text):
    """Each of these quotes our "Unsubscribe" too: a mark on every letter would be looked at by nobody."""
    found = read(program, text)
    assert not wants_to_leave(found)
    assert not may_want_to_leave(found)


def test_a_wish_beneath_the_quote_is_marked_and_not_acted_on():
    """Some write below; where a line begins that our mail ended nobody can tell for certain."""
    found = letter("On Thu, 26 Nov 2026, Friends wrote:\n> Stop\n> Unsubscribe\n\nPlease unsubscribe me")
    assert not wants_to_leave(found)
    assert may_want_to_leave(found)


def test_every_phrase_of_the_table_is_a_wish_and_no_polite_word_is():
    """A phrase that the comparing itself cannot find would be there for nothing."""
    for written in parting.WISHES.values():
        for phrase in written.replace("،", ",").split(","):
            assert wants_to_leave(letter(phrase)), phrase
    for word in parting.POLITE.replace("،", ",").split(","):
        assert not wants_to_leave(letter(word)), word


@pytest.mark.parametrize(
    "subject", ["unsubscribe", "Re: Unsubscribe", "AW: RE: Abmelden", "پاسخ: لغو اشتراک", "رد: إلغاء الاشتراك"]
)
def test_a_subject_of_its_own_is_a_wish(subject):
    """Many write nothing but a subject."""
    assert wants_to_leave(letter("", subject))
    assert wants_to_leave(letter("I have too much mail.", subject))
    assert says_more(letter("I have too much mail.", subject))


def test_our_own_subject_repeated_is_no_wish():
    """An alert called "Stop!" would otherwise lose every reader who answers it."""
    assert not wants_to_leave(letter("Well said.", "Re: Stop!"), answered="Stop!")
    assert wants_to_leave(letter("unsubscribe", "Re: Stop!"), answered="Stop!")
    assert wants_to_leave(letter("", "Unsubscribe"), answered="Stop!")


def test_more_than_a_wish_is_read_by_a_person_too():
    """ "Unsubscribe, my mother has died": the first is done, the second is answered."""
    assert says_more(read("gmail", "Unsubscribe\n\nMy mother, who read you, has died."))
    assert own_lines(read("gmail", "Unsubscribe\nShe has died.").text) == ["Unsubscribe", "She has died."]


def test_outlook_that_sends_html_alone_is_read():
    """Some of its versions send no other part; the words in its style sheet are not the writer's."""
    found = read("outlook", "Unsubscribe", only_html=True)
    assert own_lines(found.text) == ["Unsubscribe"]
    assert wants_to_leave(found)
    assert not wants_to_leave(read("outlook", "Thank you", only_html=True))


@pytest.mark.parametrize(
    "quoted",
    [
        "On Thu, 26 Nov 2026, Friends wrote:\n> unsubscribe",
        "Am 26.11.2026 um 09:14 schrieb Friends of Sarand:\n> stop",
        "Le jeu. 26 nov. 2026 à 09:14, Friends <news@sarand.example> a écrit :\n> stop",
        "در پنجشنبه ۲۶ نوامبر ۲۰۲۶، دوستان سرند نوشت:\n> لغو",
        "في الخميس ٢٦ نوفمبر ٢٠٢٦، كتب أصدقاء سرند:\n> إلغاء",
        "-----Original Message-----\nunsubscribe",
        "-- \nunsubscribe",
        "> unsubscribe",
    ],
)
def test_what_is_quoted_is_not_said(quoted):
    """Each of our mails says "unsubscribe" in its last lines, and mail programs repeat it."""
    assert own_lines(quoted) == []
    assert not wants_to_leave(letter(quoted))
    assert own_lines(f"Thank you\n\n{quoted}") == ["Thank you"]


@given(st.text(max_size=300), st.text(max_size=80))
def test_no_letter_breaks_the_reading(text, subject):
    """It is a stranger's text."""
    may_want_to_leave(letter(text, subject))
    says_more(letter(text, subject))


@pytest.mark.parametrize(
    "piece",
    [
        "<",
        "<style",
        "<!--",
        "<div ",
        "> ",
        "On 1 ",
        "a" * 70 + "\n",
        "\u0654",
        "<br",
        "From: ",
        "Dear ",
        "Dear A\n",
        "! ",
        "A, ",
        "no. ",
        " - ",
    ],
)
def test_a_letter_made_to_be_slow_is_read_at_once(piece):
    """One letter must not hold up the bounces of a night."""
    began = time.process_time()
    for start in ("", "<p>", "On 1 "):
        may_want_to_leave(letter(start + piece * (100_000 // len(piece)), piece * 100))
    assert time.process_time() - began < 2
