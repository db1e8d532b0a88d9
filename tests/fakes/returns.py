"""Mail that comes back, as servers and mail programs make it from a message of ours."""

import smtplib


def header(message: bytes) -> bytes:
    """Return the header of a message as a report returns it."""
    return message.partition(b"\r\n\r\n")[0] + b"\r\n"


def dsn(
    message: bytes, recipient: str, *, envid: str = "", action: str = "failed", words: str = "550 5.1.1 no such user"
) -> bytes:
    """Return a delivery status (RFC 3464) about a message."""
    status = words.split()[1]
    envelope = f"Original-Envelope-Id: {envid}\r\n" if envid else ""
    return (
        (
            "From: MAILER-DAEMON@mx.example.org\r\nSubject: Undelivered Mail\r\nMIME-Version: 1.0\r\n"
            'Content-Type: multipart/report; report-type=delivery-status; boundary="=b"\r\n\r\n'
            "--=b\r\n\r\nThat did not work.\r\n"
            "--=b\r\nContent-Type: message/delivery-status\r\n\r\n"
            f"Reporting-MTA: dns; mx.example.org\r\n{envelope}\r\n"
            f"Final-Recipient: rfc822; {recipient}\r\nAction: {action}\r\n"
            f"Status: {status}\r\nDiagnostic-Code: smtp; {words}\r\n\r\n"
            "--=b\r\nContent-Type: text/rfc822-headers\r\n\r\n"
        ).encode()
        + header(message)
        + b"\r\n--=b--\r\n"
    )


def complaint(message: bytes, recipient: str) -> bytes:
    """Return a complaint (RFC 5965) about a message."""
    return (
        (
            "From: fbl@example.net\r\nMIME-Version: 1.0\r\n"
            "Content-Type: multipart/report; report-type=feedback-report; boundary=c\r\n\r\n"
            "--c\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nVersion: 1\r\n"
            f"Original-Rcpt-To: {recipient}\r\n\r\n--c\r\nContent-Type: message/rfc822\r\n\r\n"
        ).encode()
        + message
        + b"\r\n--c--\r\n"
    )


def letter(sender: str, to: str, subject: str, text: str = "Hello") -> bytes:
    """Return a person's mail."""
    return f"From: {sender}\r\nTo: {to}\r\nSubject: {subject}\r\n\r\n{text}\r\n".encode()


def hand_over(port: int, sender: str, recipient: str, content: bytes) -> tuple[int, bytes]:
    """Hand a mail to an LMTP server on this machine, as Postfix does; return what it answers to RCPT or to the body."""
    with smtplib.LMTP("127.0.0.1", port, timeout=30) as connection:
        connection.ehlo()
        connection.mail(sender)
        code, words = connection.rcpt(recipient)
        return connection.data(content) if code == 250 else (code, words)
