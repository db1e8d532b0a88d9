"""Fetching, against real servers on loopback: what is refused, what is bounded, what comes through."""

import gzip
import ipaddress
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from newsletter import fetching, languages
from newsletter.errors import NewsletterError

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)
Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Answers by path from the table of its server, and remembers what it was asked."""

    protocol_version = "HTTP/1.1"
    server: "Site"

    def do_GET(self) -> None:
        """Answer one request."""
        self.server.asked.append((self.path, self.headers["Host"]))
        self.server.answers[self.path.partition("?")[0]](self)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Site(ThreadingHTTPServer):
    """A server on a free port of loopback."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, Answer] = {}
        self.asked: list[tuple[str, str]] = []

    def at(self, path: str = "/", host: str = "127.0.0.1") -> str:
        """Return the address of a path."""
        return f"http://{host}:{self.server_port}{path}"

    def handle_error(self, *_: object) -> None:
        """A caller who hangs up is no news."""


@contextmanager
def serving(made: Site) -> Iterator[Site]:
    """Run a server until the block ends."""
    thread = threading.Thread(target=made.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.shutdown()
        made.server_close()
        thread.join()


@pytest.fixture
def site() -> Iterator[Site]:
    """A web server."""
    with serving(Site()) as made:
        yield made


def document(body: bytes, **headers: str) -> Answer:
    """Return an answer that is a document."""

    def answer(handler: Handler) -> None:
        handler.send_response(200)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def moved(location: str) -> Answer:
    """Return an answer that points elsewhere."""

    def answer(handler: Handler) -> None:
        handler.send_response(302)
        handler.send_header("Location", location)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def status(code: int) -> Answer:
    """Return an answer without a document."""

    def answer(handler: Handler) -> None:
        handler.send_response(code)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def dripping(head: bytes = b"") -> Answer:
    """Return an answer that never ends: first `head`, then a byte every 50 ms, faster than any timeout of a socket."""

    def answer(handler: Handler) -> None:
        handler.close_connection = True
        handler.wfile.write(head)
        try:
            for _ in range(400):
                handler.wfile.write(b"x")
                handler.wfile.flush()
                time.sleep(0.05)
        except OSError:
            pass

    return answer


def test_a_document_comes_with_its_type_and_address(site: Site) -> None:
    """The feed reader needs the bytes, and the last address for relative links."""
    site.answers["/feed"] = document(b"<rss/>", Content_Type="application/rss+xml")
    found = fetching.fetch(site.at("/feed"), allow=LOOPBACK)
    assert found == fetching.Fetched(site.at("/feed"), b"<rss/>", "application/rss+xml")


def test_the_server_is_asked_by_the_name_that_was_given(site: Site) -> None:
    """The connection goes to a pinned address; a shared host finds the site by the name."""
    site.answers["/f"] = document(b"{}")
    fetching.fetch(site.at("/f?a=1&b=ü ü", host="localhost"), allow=(*LOOPBACK, ipaddress.ip_network("::1/128")))
    assert site.asked == [("/f?a=1&b=%C3%BC%20%C3%BC", f"localhost:{site.server_port}")]


def test_gzip_is_unpacked(site: Site) -> None:
    """Every feed host compresses."""
    packed = gzip.compress(b"news " * 1000)
    site.answers["/"] = document(packed, Content_Encoding="gzip")
    assert fetching.fetch(site.at(), allow=LOOPBACK).body == b"news " * 1000


def test_redirects_are_followed_five_times(site: Site) -> None:
    """Sites move; circles end."""
    site.answers["/0"] = document(b"here")
    for step in range(1, 7):
        site.answers[f"/{step}"] = moved(f"/{step - 1}")
    assert fetching.fetch(site.at("/5"), allow=LOOPBACK) == fetching.Fetched(site.at("/0"), b"here", "")
    with pytest.raises(fetching.Unreachable):
        fetching.fetch(site.at("/6"), allow=LOOPBACK)


def test_nothing_inside_is_fetched_unless_allowed(site: Site) -> None:
    """A feed address must not be a way to read the database's or the cloud's own pages."""
    site.answers["/"] = document(b"secret")
    with pytest.raises(fetching.NotPublic):
        fetching.fetch(site.at())
    assert site.asked == []


def test_a_redirect_inwards_is_refused(site: Site) -> None:
    """The oldest trick: a public address that answers with a private one."""
    site.answers["/"] = moved(f"http://127.0.0.2:{site.server_port}/inside")
    with pytest.raises(fetching.NotPublic):
        fetching.fetch(site.at(), allow=(ipaddress.ip_network("127.0.0.1/32"),))
    assert [path for path, _ in site.asked] == ["/"]


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "2130706433",
        "0x7f.1",
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "169.254.169.254",
        "192.168.1.1",
        "224.0.0.1",
        "255.255.255.255",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b:1::7f00:1]",
        "[2002:7f00:1::]",
        "[2001:0:1::1]",
        "[fd00::1]",
        "[fe80::1]",
        "[fec0::1]",
        "[ff02::1]",
    ],
)
def test_every_way_to_write_an_inner_address_is_refused(host: str) -> None:
    """Each of these has led somebody's fetcher inside."""
    with pytest.raises(fetching.NotPublic):
        fetching.fetch(f"http://{host}/")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "news",
        "file:///etc/passwd",
        "ftp://example.org/",
        "http://",
        "http:///path",
        "http://user:word@example.org/",
        "http://example.org:99999/",
        "http://example.org:0/",
        "http://[::1/",
        "http://exa mple.org/",
        "http://-ü-/",
    ],
)
def test_what_is_no_web_address_is_refused(url: str) -> None:
    """A refusal with a sentence, before anything is looked up."""
    with pytest.raises(fetching.BadUrl):
        fetching.fetch(url)


def test_a_redirect_to_no_web_address_is_refused(site: Site) -> None:
    """Neither a file of this machine nor a crash."""
    site.answers |= {"/file": moved("file:///etc/passwd"), "/odd": moved("http://[half/")}
    for path in ("/file", "/odd"):
        with pytest.raises(fetching.BadUrl):
            fetching.fetch(site.at(path), allow=LOOPBACK)


def test_no_more_than_the_limit_is_taken(site: Site) -> None:
    """Exactly the limit is a document; a byte more is refused, whatever the server announced."""
    site.answers |= {"/full": document(b"x" * 1000), "/over": document(b"x" * 1001)}
    assert len(fetching.fetch(site.at("/full"), allow=LOOPBACK, max_bytes=1000).body) == 1000
    with pytest.raises(fetching.TooMuch):
        fetching.fetch(site.at("/over"), allow=LOOPBACK, max_bytes=1000)


def test_a_bomb_is_not_unpacked(site: Site) -> None:
    """50 KB that unpack to 50 MB must not become 50 MB here."""
    site.answers["/"] = document(gzip.compress(b"\0" * 50_000_000), Content_Encoding="gzip")
    with pytest.raises(fetching.TooMuch):
        fetching.fetch(site.at(), allow=LOOPBACK)


@pytest.mark.parametrize(
    "head",
    [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", b"HTTP/1.1 200 OK\r\nX-Slow: "],
    ids=["body", "announced-body", "head"],
)
def test_an_answer_that_drips_ends_in_time(site: Site, head: bytes) -> None:
    """Each byte restarts a socket's timeout; a hostile server could hold a worker for hours."""
    site.answers["/"] = dripping(head)
    began = time.monotonic()
    with pytest.raises(fetching.TooSlow):
        fetching.fetch(site.at(), allow=LOOPBACK, timeout_seconds=0.4)
    assert time.monotonic() - began < 3


def test_a_server_that_says_nothing_is_given_up() -> None:
    """It accepts and stays silent."""
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(fetching.TooSlow):
        fetching.fetch(f"http://127.0.0.1:{silent.getsockname()[1]}/", allow=LOOPBACK, timeout_seconds=0.3)


@pytest.mark.parametrize(
    "answer",
    [
        status(404),
        status(304),
        document(b"half", Content_Length="9999", Connection="close"),
        document(gzip.compress(b"news" * 99)[:20], Content_Encoding="gzip"),
        document(b"no gzip at all", Content_Encoding="gzip"),
        document(b"?", Content_Encoding="br"),
        lambda handler: handler.wfile.write(b"no http\r\n\r\n"),
    ],
    ids=["missing", "empty", "short", "half-gzip", "no-gzip", "unknown-encoding", "no-http"],
)
def test_what_is_not_the_whole_document_is_none(site: Site, answer: Answer) -> None:
    """Half a feed must never be taken for a whole one."""

    def once(handler: Handler) -> None:
        answer(handler)
        handler.close_connection = True

    site.answers["/"] = once
    with pytest.raises(fetching.Unreachable):
        fetching.fetch(site.at(), allow=LOOPBACK)


def test_a_closed_port_and_an_unknown_name_are_told_apart() -> None:
    """The operator must know whether to correct the name or to call the site."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(fetching.Unreachable) as closed:
        fetching.fetch(f"http://127.0.0.1:{port}/", allow=LOOPBACK)
    assert closed.value.facts["reason"] == "it takes no connection"
    with pytest.raises(fetching.Unreachable) as unknown:
        fetching.fetch("http://feeds.invalid/", allow=LOOPBACK)
    assert unknown.value.facts["reason"] == "its name is not known"


def test_no_proxy_is_asked(site: Site) -> None:
    """A proxy would look the name up again, and fetch what was refused here."""
    site.answers["/"] = document(b"direct")
    code = """
import ipaddress, sys
from newsletter import fetching
print(fetching.fetch(sys.argv[1], allow=(ipaddress.ip_network("127.0.0.0/8"),)).body.decode())
"""
    proxied = os.environ | dict.fromkeys(("http_proxy", "HTTP_PROXY", "ALL_PROXY"), "http://127.0.0.1:9")
    proxied["no_proxy"] = proxied["NO_PROXY"] = ""
    ran = subprocess.run([sys.executable, "-c", code, site.at()], env=proxied, capture_output=True, text=True)
    assert ran.stdout.strip() == "direct"


def secure(folder: Path, name: str) -> tuple[Site, Path]:
    """Return a server over TLS with a certificate of its own for a name, and the certificate's file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / f"{name}.pem", folder / f"{name}.key"
    public.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    made = Site()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    made.socket = context.wrap_socket(made.socket, server_side=True)
    made.answers["/"] = document(b"over tls")
    return made, public


def fetched_trusting(certificate: Path, url: str) -> str:
    """Fetch in a process that trusts one certificate; return the document, or the reason there is none."""
    code = """
import ipaddress, sys
from newsletter import fetching
try:
    allow = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
    print(fetching.fetch(sys.argv[1], allow=allow).body.decode())
except fetching.Unreachable as error:
    print(error.facts["reason"])
"""
    trusting = os.environ | {"SSL_CERT_FILE": str(certificate)}
    ran = subprocess.run([sys.executable, "-c", code, url], env=trusting, capture_output=True, text=True, check=True)
    return ran.stdout.strip()


def test_a_certificate_counts_for_the_name_that_was_asked(tmp_path: Path) -> None:
    """The connection is made to an address, yet who answers must prove the name."""
    made, public = secure(tmp_path, "localhost")
    with serving(made):
        assert fetched_trusting(public, f"https://localhost:{made.server_port}/") == "over tls"
    made, public = secure(tmp_path, "elsewhere.example")
    with serving(made):
        refused = fetched_trusting(public, f"https://localhost:{made.server_port}/")
    assert refused == "its certificate cannot be trusted"


def test_a_stranger_s_certificate_is_refused(tmp_path: Path) -> None:
    """Somebody on the wire can make a certificate for any name."""
    made, _ = secure(tmp_path, "localhost")
    with serving(made), pytest.raises(fetching.Unreachable) as refused:
        fetching.fetch(f"https://127.0.0.1:{made.server_port}/", allow=LOOPBACK)
    assert refused.value.facts["reason"] == "its certificate cannot be trusted"


@pytest.mark.parametrize(
    "error",
    [
        fetching.BadUrl(),
        fetching.NotPublic("h.example"),
        fetching.Unreachable("h.example", "it answered 404"),
        fetching.TooMuch("h.example", "5 MB"),
        fetching.TooSlow("h.example", 10.0),
    ],
    ids=lambda error: error.message,
)
def test_each_refusal_has_a_sentence(error: NewsletterError) -> None:
    """The operator reads it; an id without words would be all they get."""
    said = languages.say(error.message, **error.facts)
    assert not said.startswith(error.message)
    assert said.endswith(".")
