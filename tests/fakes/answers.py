"""Answers as Gmail, Outlook and Apple's mail program write them, to a message of ours."""

import email
import email.policy
from base64 import b64encode
from email.message import EmailMessage
from quopri import encodestring


def _of(message: bytes) -> EmailMessage:
    found = email.message_from_bytes(message, policy=email.policy.default)
    assert isinstance(found, EmailMessage)
    return found


def _threading(sent: EmailMessage) -> str:
    return f"In-Reply-To: {sent['Message-ID']}\r\nReferences: {sent['Message-ID']}\r\n"


def gmail(message: bytes, sender: str, text: str, *, subject: str = "") -> bytes:
    """Return what Gmail sends: the attribution broken over two lines, the quote in both parts, text/plain in base64."""
    sent = _of(message)
    first = f"{text}\n\nOn Thu, Nov 26, 2026 at 9:14 AM Friends of Sarand <\nnews@sarand.example> wrote:\n\n"
    plain = first + "".join(f"> {line}\n" for line in "Unsubscribe\nThe well runs dry\nStop\n".splitlines())
    rich = (
        f'<div dir="auto">{text}</div><br><div class="gmail_quote gmail_quote_container"><div dir="ltr" class="gmail_attr">'
        'On Thu, Nov 26, 2026 at 9:14 AM Friends of Sarand &lt;<a href="mailto:news@sarand.example">news@sarand.example</a>&gt;'
        ' wrote:<br></div><blockquote class="gmail_quote" style="margin:0"><p>Unsubscribe</p></blockquote></div>'
    )
    head = (
        f"MIME-Version: 1.0\r\nDate: Thu, 26 Nov 2026 09:20:01 +0000\r\nMessage-ID: <CAF9@mail.gmail.com>\r\n"
        f"Subject: {subject or 'Re: ' + sent['Subject']}\r\nFrom: {sender}\r\nTo: <news@sarand.example>\r\n{_threading(sent)}"
        'Content-Type: multipart/alternative; boundary="0000000000004f"\r\n\r\n'
    )
    body = "".join(
        f'--0000000000004f\r\nContent-Type: text/{kind}; charset="UTF-8"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
        f"{b64encode(what.encode()).decode()}\r\n"
        for kind, what in (("plain", plain), ("html", rich))
    )
    return (f"{head}{body}--0000000000004f--\r\n").encode()


def outlook(message: bytes, sender: str, text: str, *, subject: str = "", only_html: bool = False) -> bytes:
    """Return what Outlook sends: a rule and a block of From, Sent, To, Subject instead of marks before each line."""
    sent = _of(message)
    block = f"From: Friends of Sarand <news@sarand.example>\nSent: Thursday, 26 November 2026 09:14\nSubject: {sent['Subject']}\n"
    plain = f"{text}\n\n________________________________\n{block}\nUnsubscribe\n"
    rich = (
        '<html xmlns:o="urn:schemas-microsoft-com:office:office"><head>\n<style type="text/css">P {margin:0}</style></head>'
        f'<body dir="ltr">\n<div class="elementToProof" style="font-size:12pt">{text}</div>\n<div id="appendonsend"></div><hr>'
        f'<div id="divRplyFwdMsg" dir="ltr"><b>From:</b> Friends of Sarand</div><p>Unsubscribe</p></body></html>'
    )
    parts = [("html", rich)] if only_html else [("plain", plain), ("html", rich)]
    head = (
        f"From: {sender}\r\nTo: Friends of Sarand <news@sarand.example>\r\nSubject: {subject or 'RE: ' + sent['Subject']}\r\n"
        f"Thread-Index: AQHb\r\n{_threading(sent)}X-MS-Has-Attach:\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/alternative; boundary="_000_DB9PR"\r\n\r\n'
    )
    body = "".join(
        f'--_000_DB9PR\r\nContent-Type: text/{kind}; charset="utf-8"\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n'
        f"{encodestring(what.encode()).decode()}\r\n"
        for kind, what in parts
    )
    return f"{head}{body}--_000_DB9PR--\r\n".encode()


def apple(message: bytes, sender: str, text: str, *, subject: str = "") -> bytes:
    """Return what a telephone sends: one plain part, its own advertisement before the quote."""
    sent = _of(message)
    return (
        f"From: {sender}\r\nContent-Type: text/plain; charset=utf-8\r\n"
        "Content-Transfer-Encoding: 8bit\r\nMIME-Version: 1.0 (1.0)\r\n"
        f"Subject: {subject or 'Re: ' + sent['Subject']}\r\nTo: news@sarand.example\r\n{_threading(sent)}\r\n"
        f"{text}\r\n\r\nSent from my iPhone\r\n\r\n> On 26 Nov 2026, at 09:14, Friends of Sarand <news@sarand.example> wrote:\r\n"
        "> \r\n> Unsubscribe\r\n"
    ).encode()
