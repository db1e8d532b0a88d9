"""What the name system is asked: nothing about names that are for examples."""

from newsletter.cli import names


def test_names_for_examples_are_asked_of_nobody():
    """A test or a demo must not send a single packet to a resolver."""
    for domain in ("sarand.example", "example.org", "mail.example.com", "here.test"):
        [(check, ok, _)] = names.look(domain)
        assert (check, ok) == ("DNS", None)
