"""The compose file and the image, checked as text: no daemon is needed to see that a queue has no worker."""

import re
from typing import Any

import pytest
import yaml

from newsletter.cli import running
from newsletter.jobs import HOOKS, LINKS, QUEUES
from newsletter.settings import PREFIX, Settings
from tests.architecture.sources import ROOT

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if str(service["image"]).startswith("newsletter:")}
FIELDS = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
# What the compose specification knows of and we use; a misspelt key would be refused only on the day of the move.
TOP_KEYS = {"name", "services", "configs", "secrets", "volumes", "x-app", "x-environment", "x-volumes", "x-worker"}
SERVICE_KEYS = {
    *(
        "image",
        "build",
        "user",
        "restart",
        "init",
        "read_only",
        "tmpfs",
        "cap_drop",
        "security_opt",
        "stop_grace_period",
    ),
    *(
        "command",
        "environment",
        "secrets",
        "configs",
        "volumes",
        "ports",
        "depends_on",
        "healthcheck",
        "profiles",
        "shm_size",
    ),
}
HEALTH_KEYS = {"test", "interval", "timeout", "retries", "start_period"}
PARTS = {
    *("postgres", "redis", "migrate", "web", "worker-urgent", "worker-presses", "worker-prompt"),
    *("worker-outside", "worker-bulk", "worker-desk"),
    *("lifeboat", "beat", "intake", "mailpit"),
}


def queues_of(service: dict[str, Any]) -> list[str]:
    """Return the queues a worker serves."""
    command = service.get("command", [])
    return command[command.index("-Q") + 1].split(",") if "-Q" in command else []


def test_every_key_is_one_compose_knows() -> None:
    """A misspelt key is refused by compose, or worse, does nothing."""
    assert set(COMPOSE) <= TOP_KEYS
    for name, service in SERVICES.items():
        assert set(service) <= SERVICE_KEYS, name
        assert set(service.get("healthcheck", {})) <= HEALTH_KEYS, name


def test_all_parts_are_there() -> None:
    """A part that is missing is a promise that is not kept: without the lifeboat, no mail when Redis is away."""
    assert set(SERVICES) == PARTS
    assert SERVICES["mailpit"]["profiles"] == ["dev"]
    assert SERVICES["intake"]["profiles"] == ["inbound"]


@pytest.mark.parametrize("queue", QUEUES)
def test_every_queue_has_one_service(queue: str) -> None:
    """A nudge into a queue that nobody serves is a mailing that waits for the lifeboat."""
    assert [name for name, service in SERVICES.items() if queue in queues_of(service)] != []


def test_workers_serve_only_queues_that_exist() -> None:
    """A misspelt queue is a worker that never works."""
    assert {queue for service in SERVICES.values() for queue in queues_of(service)} == set(QUEUES)


BY_COMPOSE = [queues_of(service) for service in SERVICES.values() if queues_of(service)]
BY_UP = [queues_of({"command": one.split()}) for one in running.workers(2)]


@pytest.mark.parametrize("layout", [BY_COMPOSE, BY_UP])
def test_what_must_not_wait_has_a_worker_of_its_own(layout: list[list[str]]) -> None:
    """Beside a digest's turn, slow links or a pager that hangs an alert waited half a minute for its two seconds."""
    assert sorted(queue for served in layout for queue in served) == sorted(QUEUES)
    alone = [served[0] for served in layout if len(served) == 1]
    assert {"urgent", "presses", HOOKS.queue, LINKS.queue} <= set(alone)


def test_every_variable_is_a_setting() -> None:
    """A variable that no setting reads is a wish the product ignores."""
    for name, service in OURS.items():
        for variable in service["environment"]:
            assert variable.removesuffix("_FILE") in FIELDS, f"{name}: {variable}"


def test_every_setting_can_be_set() -> None:
    """An alert's own relay that only a fork of the compose file can name is one that nobody has on the night."""
    set_ = {variable.removesuffix("_FILE") for service in OURS.values() for variable in service["environment"]}
    assert FIELDS - set_ == set()


def test_a_relay_s_log_can_be_looked_in() -> None:
    """Without it what was in doubt stays so. The folder is mounted: a log that is put aside leaves the mount of its file behind."""
    mount = "${NEWSLETTER_RELAY_LOG_FOLDER:-relay-log}:/relay-log:ro"
    assert "relay-log" in COMPOSE["volumes"], "no bind of nothing, where none is named"
    for name, service in OURS.items():
        if "NEWSLETTER_RELAY_LOG" in service["environment"]:
            assert mount in service["volumes"], name


def test_the_page_makes_every_secret() -> None:
    """Compose refuses to start for a file that is missing; the commands of the page must make each."""
    page = (ROOT / "docs/operating.md").read_text(encoding="utf-8").partition("## By compose")[2].partition("## ")[0]
    roles = {f"{role}_url" for role in ("owner", "worker", "web")}  # made by a loop
    assert [name for name in COMPOSE["secrets"] if name not in roles and not re.search(rf"\b{name}\b", page)] == []


def test_secrets_are_files_everywhere() -> None:
    """An environment is printed by a dozen tools; a file is not."""
    secret = {
        f"{PREFIX}{name.upper()}" for name, kind in Settings.model_fields.items() if "SecretStr" in str(kind.annotation)
    }
    for name, service in OURS.items():
        assert not secret & set(service["environment"]), name
        for variable, value in service["environment"].items():
            if variable.endswith("_FILE"):
                assert value.removeprefix("/run/secrets/") in service["secrets"], f"{name}: {variable}"
    assert {secret for service in SERVICES.values() for secret in service.get("secrets", [])} == set(COMPOSE["secrets"])


def test_each_part_logs_in_as_itself() -> None:
    """Pages must not write the books, and nothing but the migration may change tables."""
    for name, service in OURS.items():
        expected = {"migrate": {"owner_url"}, "web": {"web_url"}}.get(name, {"worker_url"})
        shared = {"redis_url", "relay_url", "relay_url_urgent", "relay_url_transactional", "dkim_key", "hook"}
        assert set(service["secrets"]) - shared == expected, name


def test_images_are_pinned_by_version() -> None:
    """“latest” is another product every month."""
    for name, service in SERVICES.items():
        tag = str(service["image"]).partition(":")[2]
        assert re.search(r"\d+\.\d+", tag), name
        assert "latest" not in tag
    for line in (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines():
        if line.startswith("FROM"):
            assert re.match(r"FROM python:3\.\d+\.\d+-slim", line)


def test_our_containers_can_do_little() -> None:
    """What breaks into a worker finds no root, no writable program and no capability."""
    for name, service in OURS.items():
        assert service["user"] == "10001:10001", name
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
    image = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert "USER 10001:10001" in image
    assert image.count("\nFROM ") == 2


def test_everything_that_stays_is_watched() -> None:
    """A part that hangs must be seen; the migration ends by itself."""
    assert {name for name, service in SERVICES.items() if "healthcheck" not in service} == {"migrate"}


def test_nothing_starts_before_the_migration() -> None:
    """A worker of the new version on the old tables fails each task until someone looks."""
    for name in OURS.keys() - {"migrate"}:
        assert SERVICES[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}, name
    assert "redis" not in SERVICES["lifeboat"]["depends_on"]


def test_intake_listens_for_the_host_s_mail_server_alone() -> None:
    """Whoever can reach it can try tokens and fill the operator's desk; and bounces must count while Redis is away."""
    intake = SERVICES["intake"]
    [port] = intake["ports"]
    inside = port.rpartition(":")[2]
    assert intake["environment"]["NEWSLETTER_LMTP"] == f"0.0.0.0:{inside}"
    assert inside in " ".join(intake["healthcheck"]["test"])
    assert intake["environment"]["NEWSLETTER_LMTP_PEERS"]
    assert "redis" not in intake["depends_on"]


def test_redis_never_evicts_and_keeps_its_file() -> None:
    """allkeys-lru loses jobs without a word."""
    command = SERVICES["redis"]["command"][-1]
    assert "--maxmemory-policy noeviction" in command
    assert "--appendonly yes" in command


def test_nothing_listens_beyond_this_machine() -> None:
    """The proxy with TLS is the only way in; the database has none."""
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_keys_never_lie_in_the_data() -> None:
    """A backup of the data volume must not hold what opens it."""
    for name, service in OURS.items():
        assert service["environment"]["NEWSLETTER_KEYS"].startswith("/keys/"), name
        assert any(volume.endswith(":/keys:ro") for volume in service["volumes"]), name


def test_the_pages_are_given_their_part_of_the_keys_alone() -> None:
    """The part most likely to be taken over must not hold what opens the list."""
    folders = {name: [one for one in service["volumes"] if one.endswith(":/keys:ro")] for name, service in OURS.items()}
    assert [one.rpartition("/keys-web:")[2] for one in folders.pop("web")] == ["/keys:ro"]
    assert not any("keys-web" in one for mounted in folders.values() for one in mounted)


def test_the_table_of_the_environment_is_complete() -> None:
    """A setting that no page names is one that nobody can use; a name that no setting reads is a lie."""
    page = (ROOT / "docs/operating.md").read_text(encoding="utf-8").partition("## Environment")[2]
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == FIELDS
