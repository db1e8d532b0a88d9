"""The vault keeps what people trusted us with: sealed in its place, found blind, and useless without the key file."""

import base64
import json
import os
import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter import languages, vault
from newsletter.vault import Keyring, Ring, Vault

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
PLACE = ("mailbox", "address_sealed", 7)


def rotated(old: Keyring) -> Keyring:
    """Return the keyring after each purpose got a second key."""
    new = Keyring.make()

    def both(before: Ring, fresh: Ring) -> Ring:
        return Ring(2, {**before.keys, 2: fresh.keys[1]})

    return replace(
        old, seal=both(old.seal, new.seal), index=both(old.index, new.index), token=both(old.token, new.token)
    )


@given(st.text(max_size=200))
def test_what_is_sealed_comes_back(text: str) -> None:
    """Names come in every script; not a character may change."""
    safe = Vault(Keyring.make())
    assert (
        safe.unseal(*PLACE, safe.seal(*PLACE, text.encode(errors="ignore").decode()))
        == text.encode(errors="ignore").decode()
    )


def test_a_seal_hides_the_text_and_never_repeats() -> None:
    """Two equal addresses must not look equal in a stolen dump."""
    safe = Vault(Keyring.make())
    first, second = safe.seal(*PLACE, "maryam@example.org"), safe.seal(*PLACE, "maryam@example.org")
    assert first != second
    assert b"maryam" not in first
    assert len(first) == 29 + len("maryam@example.org")


@pytest.mark.parametrize(
    "elsewhere",
    [("mailbox", "address_sealed", 8), ("mailbox", "name_sealed", 7), ("subscriber", "address_sealed", 7)],
)
def test_a_seal_opens_only_in_its_place(elsewhere: tuple[str, str, int]) -> None:
    """Someone who can write rows must not be able to show one person's data as another's."""
    safe = Vault(Keyring.make())
    sealed = safe.seal(*PLACE, "maryam@example.org")
    with pytest.raises(vault.CannotUnseal):
        safe.unseal(*elsewhere, sealed)


def test_every_flipped_bit_and_every_cut_is_noticed() -> None:
    """A damaged value must be an error, never another value."""
    safe = Vault(Keyring.make())
    sealed = safe.seal(*PLACE, "maryam@example.org")
    for bit in range(len(sealed) * 8):
        damaged = bytearray(sealed)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(vault.CannotUnseal):
            safe.unseal(*PLACE, bytes(damaged))
    for length in range(len(sealed)):
        with pytest.raises(vault.CannotUnseal):
            safe.unseal(*PLACE, sealed[:length])


def test_an_old_seal_key_still_reads_and_a_new_one_writes() -> None:
    """A change of keys must not lock out the rows that wait to be resealed."""
    keys = Keyring.make()
    sealed = Vault(keys).seal(*PLACE, "maryam@example.org")
    later = Vault(rotated(keys))
    assert later.unseal(*PLACE, sealed) == "maryam@example.org"
    assert later.seal(*PLACE, "x")[0] == 2


def test_an_index_finds_the_same_address_under_every_key() -> None:
    """While two index keys live, a row written by either process must be found by both."""
    keys = Keyring.make()
    before = Vault(keys).index("maryam@example.org")
    after = Vault(rotated(keys)).index("maryam@example.org")
    assert [key_id for key_id, _ in after] == [2, 1]
    assert before[0] in after
    assert Vault(keys).index("someone@example.org") != before
    assert len(before[0][1]) == vault.INDEX_BYTES


def test_an_index_says_nothing_without_the_key() -> None:
    """Otherwise a stolen dump could be tested against any list of addresses."""
    assert Vault(Keyring.make()).index("a@example.org") != Vault(Keyring.make()).index("a@example.org")


def test_a_domain_and_an_address_of_the_same_text_have_different_digests() -> None:
    """One index must not answer questions put to the other."""
    safe = Vault(Keyring.make())
    assert safe.domain_index("example.org") != safe.index("example.org")[0][1]


def test_the_file_is_private_whole_and_read_back(tmp_path: Path) -> None:
    """The key file opens everything; nobody else on the machine may read it."""
    path = tmp_path / "deep" / "keys.json"
    made = Keyring.create(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [entry.name for entry in path.parent.iterdir()] == ["keys.json"]
    assert Keyring.load(path) == made


def test_keys_are_never_overwritten(tmp_path: Path) -> None:
    """New keys in the place of old ones would lose the whole list."""
    path = tmp_path / "keys.json"
    Keyring.create(path)
    before = path.read_bytes()
    with pytest.raises(vault.KeysExist):
        Keyring.create(path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["keys.json"]


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o660, 0o602])
def test_a_key_file_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    """A key that others could read must be noticed before data is written under it."""
    path = tmp_path / "keys.json"
    Keyring.create(path)
    path.chmod(mode)
    with pytest.raises(vault.KeysExposed):
        Keyring.load(path)


def test_a_key_file_its_group_may_read_is_accepted(tmp_path: Path) -> None:
    """In a container the file belongs to root and the process reads it through its group."""
    path = tmp_path / "keys.json"
    Keyring.create(path)
    path.chmod(0o640)
    assert Keyring.load(path).seal.live == 1


def test_a_missing_key_file_is_said(tmp_path: Path) -> None:
    """The operator must learn which file to put back."""
    with pytest.raises(vault.KeysMissing) as caught:
        Keyring.load(tmp_path / "keys.json")
    assert str(tmp_path / "keys.json") in languages.say(caught.value.message, **caught.value.facts)


def damaged_documents() -> list[object]:
    """Return key files that lack a part, or hold a part of the wrong kind or size."""
    good = {"live": 1, "keys": {"1": "A" * 43 + "="}}
    whole = {"format": 1, "seal": good, "index": good, "token": good}
    return [
        [],
        {},
        "keys",
        {**whole, "format": 3},
        {name: part for name, part in whole.items() if name != "token"},
        {**whole, "seal": {"live": 2, "keys": good["keys"]}},
        {**whole, "seal": {"live": 1, "keys": {"1": "c2hvcnQ="}}},
        {**whole, "seal": {"live": 1, "keys": {"1": "not base64"}}},
        {**whole, "seal": {"live": 300, "keys": {"300": "A" * 43 + "="}}},
        {**whole, "seal": {"live": 1, "keys": []}},
    ]


@pytest.mark.parametrize("document", damaged_documents())
def test_a_damaged_key_file_is_refused_without_quoting_it(tmp_path: Path, document: object) -> None:
    """What is left of a key must not reach a terminal or a log."""
    path = tmp_path / "keys.json"
    path.touch(0o600)
    path.write_text(json.dumps(document))
    with pytest.raises(vault.KeysUnreadable) as caught:
        Keyring.load(path)
    assert "AAAA" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """Starting on a read-only place must end in a sentence."""
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(vault.KeysUnreadable):
        Keyring.create(tmp_path / "file" / "keys.json")


def test_proofs_recognise_the_right_keys_and_no_others() -> None:
    """A wrong key file must be noticed at start, not when the first address fails to open."""
    keys = Keyring.make()
    proofs = Vault(keys).proofs()
    assert {(proof.purpose, proof.key_id) for proof in proofs} == {
        *(("seal", 1), ("team", 128), ("box", 192), ("index", 1), ("token", 1))
    }
    Vault(keys).check(proofs)
    Vault(rotated(keys)).check(proofs)
    with pytest.raises(vault.WrongKeys):
        Vault(Keyring.make()).check(proofs)
    with pytest.raises(vault.WrongKeys):
        Vault(keys).check(Vault(rotated(keys)).proofs())


def test_no_key_shows_in_a_repr() -> None:
    """A traceback that prints its values must not print keys."""
    keys = Keyring.make()
    for ring in (keys.seal, keys.index, keys.token):
        assert repr(ring.keys[1]) not in repr(keys)


@pytest.mark.parametrize(
    "error",
    [
        vault.KeysMissing(Path("k")),
        vault.KeysUnreadable(Path("k"), "it is empty"),
        vault.KeysExposed(Path("k"), 0o644),
        vault.KeysExist(Path("k")),
        vault.WrongKeys("seal", 1),
        vault.CannotUnseal("mailbox", "address_sealed", 7),
    ],
)
def test_every_refusal_has_its_sentence(error: vault.Conflict) -> None:
    """A refusal nobody can read helps nobody."""
    sentence = languages.say(error.message, **error.facts)
    assert not sentence.startswith(error.message)
    assert "{" not in sentence


def test_the_seal_takes_its_nonce_from_the_system() -> None:
    """A nonce used twice under one key would give both texts away; a fork must not repeat one."""
    safe = Vault(Keyring.make())
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, safe.seal(*PLACE, "x")[1:13])
        os._exit(0)
    ours = safe.seal(*PLACE, "x")[1:13]
    os.waitpid(child, 0)
    theirs = os.read(read, 12)
    os.close(read)
    os.close(write)
    assert ours != theirs


WISH = ("signup", "wish", 7)


def test_what_the_pages_take_in_the_workers_alone_open() -> None:
    """Whoever takes the pages over must not read what people wrote into them yesterday."""
    keys = Keyring.make()
    pages, worker = Vault(keys.for_pages()), Vault(keys)
    sealed = pages.seal(*WISH, "مریم <maryam@example.org>")
    assert worker.unseal(*WISH, sealed) == "مریم <maryam@example.org>"
    assert sealed != pages.seal(*WISH, "مریم <maryam@example.org>")
    assert b"maryam" not in sealed
    with pytest.raises(vault.CannotUnseal):
        pages.unseal(*WISH, sealed)
    with pytest.raises(vault.CannotUnseal):
        pages.unseal(*PLACE, worker.seal(*PLACE, "maryam@example.org"))


def test_a_box_opens_in_its_place_and_whole() -> None:
    """Someone who can write rows must not be able to move or to change what a person wrote."""
    keys = Keyring.make()
    worker, sealed = Vault(keys), Vault(keys.for_pages()).seal(*WISH, "maryam")
    for bit in range(len(sealed) * 8):
        damaged = bytearray(sealed)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(vault.CannotUnseal):
            worker.unseal(*WISH, bytes(damaged))
    for length in range(len(sealed)):
        with pytest.raises(vault.CannotUnseal):
            worker.unseal(*WISH, sealed[:length])
    with pytest.raises(vault.CannotUnseal):
        worker.unseal("signup", "wish", 8, sealed)


def test_a_box_vouches_for_nothing() -> None:
    """Anyone with the public half can close one: what a drill may send, or how a person agreed, must not come in it."""
    keys = Keyring.make()
    with pytest.raises(vault.CannotSeal):
        Vault(keys.for_pages()).seal("drill", "terms", 7, "{}")
    public = keys.for_pages().box
    assert public is not None
    forged = vault._closed(public.live, public.keys[public.live], b"{}", b"drill.terms.7")
    with pytest.raises(vault.CannotUnseal):
        Vault(keys).unseal("drill", "terms", 7, forged)


def test_the_team_s_own_is_opened_by_both() -> None:
    """The pages check a code of the phone and greet by name, with or without the key of readers."""
    keys = Keyring.make()
    place = ("operator", "totp", 3)
    for writer in (Vault(keys), Vault(keys.for_pages())):
        sealed = writer.seal_for_team(*place, "secret")
        assert Vault(keys).unseal(*place, sealed) == Vault(keys.for_pages()).unseal(*place, sealed) == "secret"


def test_the_pages_file_holds_nothing_that_opens_readers(tmp_path: Path) -> None:
    """It is what a thief of the pages gets: neither the key of readers nor the private half of a box may be in it."""
    whole = Keyring.create(tmp_path / "keys.json")
    whole.for_pages().save(tmp_path / "web" / "keys.json")
    assert Keyring.load(tmp_path / "web" / "keys.json") == whole.for_pages()
    written = (tmp_path / "web" / "keys.json").read_text()
    assert whole.seal is not None
    assert whole.box is not None
    for key in (*whole.seal.keys.values(), *whole.box.keys.values()):
        assert base64.b64encode(key).decode() not in written
    assert stat.S_IMODE((tmp_path / "web" / "keys.json").stat().st_mode) == 0o600


def test_the_pages_file_is_known_as_this_database_s() -> None:
    """Pages with another installation's keys would take in what nobody can open."""
    keys = Keyring.make()
    proofs = Vault(keys).proofs()
    Vault(keys.for_pages()).check(proofs)
    Vault(keys).check(Vault(keys.for_pages()).proofs())
    with pytest.raises(vault.WrongKeys):
        Vault(Keyring.make().for_pages()).check(proofs)
    with pytest.raises(vault.WrongKeys):
        Vault(replace(keys, team=None, box=None)).check(proofs)


def test_an_id_is_never_given_twice() -> None:
    """A value under a key that was dropped must not be tried with another of its name."""
    keys = Keyring.make().with_key("seal").with_live("seal", 2, now=NOW).without("seal", 1)
    again = keys.with_live("seal", 2, now=NOW).with_key("seal")
    assert again.seal is not None
    assert set(again.seal.keys) == {2, 3}
    assert again.with_live("seal", 3, now=NOW).without("seal", 2).with_key("seal").seal.newest == 4  # type: ignore[union-attr]


def test_a_file_remembers_since_when_a_key_writes_no_more(tmp_path: Path) -> None:
    """By it links are refused that are dated later: it must outlast the next change, and be in the pages' file too."""
    path, later = tmp_path / "keys.json", NOW + timedelta(days=1)
    once = Keyring.make().with_key("token").with_live("token", 2, now=NOW)
    once.save(path)
    assert Keyring.load(path) == once
    twice = Keyring.load(path).with_key("token").with_live("token", 3, now=later)
    assert dict(twice.token.retired) == {1: NOW, 2: later}
    twice.for_pages().save(path)
    assert dict(Keyring.load(path).token.retired) == {1: NOW, 2: later}


def test_a_key_of_an_old_file_is_retired_by_the_next_change(tmp_path: Path) -> None:
    """Files from before say nothing of it: they must load, and no honest link may be refused by a guess."""
    path = tmp_path / "keys.json"
    rotated_before = replace(Keyring.make().with_key("token").with_live("token", 2, now=NOW).token, retired={})
    replace(Keyring.make(), token=rotated_before).save(path)
    assert "retired" not in path.read_text()
    old = Keyring.load(path)
    assert dict(old.token.retired) == {}
    assert dict(old.with_key("token").with_live("token", 3, now=NOW).token.retired) == {1: NOW, 2: NOW}


def test_a_file_from_before_there_were_parts_is_read(tmp_path: Path) -> None:
    """Whoever updates must find every address and every log-in as they were."""
    old = replace(Keyring.make(), team=None, box=None)
    path = tmp_path / "keys.json"
    old.save(path)
    path.write_text(path.read_text().replace('"format": 2', '"format": 1'))
    read = Keyring.load(path)
    assert read.team is None
    sealed = Vault(read).seal_for_team("operator", "name", 1, "Mina")
    assert sealed[0] == 1
    assert Vault(read.with_key("team").with_key("box")).unseal("operator", "name", 1, sealed) == "Mina"
