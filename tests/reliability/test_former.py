"""The version before, by itself: two that are the same prove nothing side by side."""

import shutil
import subprocess

import pytest

from tests.journeys.workers import ROOT
from tests.reliability import former

MIGRATION = "newsletter/migrations/versions/0001_the_first.py"
CHANGED = [name for name, _, _ in former.OTHERWISE]


@pytest.fixture
def house(tmp_path):
    """A house of few files: what is changed of today's, a migration, and something that carries no mail."""
    root = tmp_path / "house"
    for name in (*CHANGED, MIGRATION, "workers/app.py", "templates/page.html", "newsletter/web/pages.py"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"# {name}\n")
    for name in CHANGED:
        shutil.copy(ROOT / name, root / name)
    return root


def commit(root, message):
    """Commit all there is."""
    who = ["-c", "user.name=Ann", "-c", "user.email=ann@example.org"]
    for words in (["init", "-q"], ["add", "-A"], [*who, "commit", "-q", "-m", message]):
        subprocess.run(["git", "-C", str(root), *words], check=True)


def test_what_stood_beside_today_s_tables_is_the_version_before(house, tmp_path):
    """During a deployment that is who works beside the new one."""
    commit(house, "The tables")
    (house / "newsletter/relay").mkdir()
    (house / "newsletter/relay/wire.py").write_text("new\n")
    commit(house, "A new wire")
    assert former.lay_out(house, tmp_path / "old") not in ("", "changed")
    assert former.differing(house, tmp_path / "old") == ["newsletter/relay/wire.py"]


@pytest.mark.parametrize("history", [True, False])
def test_where_nothing_differs_there_a_copy_is_made_another(house, tmp_path, history):
    """The newest migration came with the newest wire, or the clone is shallow: the same code twice would never disagree."""
    if history:
        commit(house, "Everything at once")
        (house / "newsletter/web/pages.py").write_text("carries no mail\n")
        commit(house, "A page")
    assert former.lay_out(house, tmp_path / "old") == "changed"
    assert former.differing(house, tmp_path / "old") == sorted(CHANGED)


def test_today_s_code_can_be_made_another(tmp_path):
    """Whoever renames what is changed here is told so at once, and not by a storm that has become a calm."""
    former.lay_out(ROOT, tmp_path / "old")
    assert former.differing(ROOT, tmp_path / "old")
    for name, now, _ in former.OTHERWISE:
        assert (ROOT / name).read_text().count(now) == 1
