"""What our own form brings back: when it was shown, and the answer to a sum that its browser worked out."""

import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from newsletter.subscribers import forms
from newsletter.subscribers.forms import Arrival
from newsletter.vault import Keyring, Vault

NOW = datetime(2026, 3, 2, 20, 0, tzinfo=UTC)
SCRIPT = Path(__file__).parents[2] / "templates/web/public/join.js"
ANN = "ann@example.org"


@pytest.fixture
def vault() -> Vault:
    return Vault(Keyring.make())


def test_a_form_that_comes_back_at_once_was_filled_in_by_a_program(vault) -> None:
    """Nobody reads it in less than two seconds."""
    shown = forms.stamp(vault, now=NOW)
    assert forms.quick(vault, shown, now=NOW + timedelta(seconds=1.9))
    assert not forms.quick(vault, shown, now=NOW + timedelta(seconds=2))


def test_no_stamp_says_nothing_and_a_forged_one_neither(vault) -> None:
    """Forms on other sites have none: they are judged by where they come from. Nobody makes one with a date of their own."""
    shown = forms.stamp(vault, now=NOW)
    number, _, signed = shown.partition(".")
    assert forms.age(vault, shown, now=NOW) == timedelta(0)
    for wrong in ("", "x", shown[:-1], f"{int(number) + 1}.{signed}", forms.stamp(Vault(Keyring.make()), now=NOW)):
        assert forms.age(vault, wrong, now=NOW) is None, wrong
        assert not forms.quick(vault, wrong, now=NOW)
    assert forms.age(vault, shown, now=NOW + forms.GOOD_FOR + timedelta(seconds=1)) is None


def test_a_sum_is_good_for_its_form_and_its_address_alone(vault) -> None:
    """Worked out once and used a thousand times, it would cost an attacker nothing."""
    shown = forms.stamp(vault, now=NOW)
    proof = forms.work(shown, ANN)
    later = forms.stamp(vault, now=NOW + timedelta(seconds=1))
    assert forms.proved(vault, Arrival(stamp=shown, proof=proof), ANN, now=NOW)
    for stamp, found, address in (
        (shown, proof, "bob@example.org"),
        (later, proof, ANN),
        (shown, "", ANN),
        (shown, ".".join(["0"] * forms.SUMS), ANN),
        (shown, proof.rpartition(".")[0], ANN),
        ("", forms.work("", ANN), ANN),
    ):
        assert not forms.proved(vault, Arrival(stamp=stamp, proof=found), address, now=NOW), (stamp, found)
    assert not forms.proved(vault, Arrival(stamp=shown, proof=proof), ANN, now=NOW + timedelta(days=1))


@pytest.mark.skipif(shutil.which("node") is None, reason="no JavaScript outside of a browser here")
@pytest.mark.parametrize("address", [ANN, "  ann@example.org ", "آن@example.org", "a" * 60 + "@example.org"])
def test_the_page_s_script_finds_what_the_server_looks_for(vault, address) -> None:
    """Two that count differently would hold everybody whose browser did its work."""
    shown = forms.stamp(vault, now=NOW)
    found = subprocess.run(["node", str(SCRIPT), shown, address], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == forms.work(shown, address)
    assert forms.proved(vault, Arrival(stamp=shown, proof=found.stdout.strip()), address, now=NOW)
