"""The description of the API, taken at its word: one answer of each status it names, and programs that try to break it.

Schemathesis reads the document as a maker of programs would, and judges every answer by it; what is left behind is judged here.
"""

import json
from collections import Counter
from datetime import timedelta

import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import StopReason, events, from_schema
from starlette.testclient import TestClient

from newsletter.journeys import alert, joining
from newsletter.operators import audit, people, tokens
from newsletter.operators.roles import May, Role
from newsletter.web import create
from newsletter.web.api import describing
from newsletter.web.api.shapes import Scope
from tests import house
from tests.web import scanning
from tests.web.visiting import BASE, rows

ANN = {"email": "ann@example.org"}
CODE = {"pending": "x" * 22, "code": "000000"}
SIGN_UP, SAY_YES = "POST /api/v1/signups", "POST /api/v1/signups/code"
ME, HEAD, STOP = "GET /api/v1/me", "GET /api/v1/audit/head", "POST /api/v1/alerts/{number}/stop"


@pytest.fixture
def worker(tmp_path, database_urls, sink):
    made = house.build(tmp_path, database_urls, sink.url, base_url=BASE)
    yield made
    made.close()


@pytest.fixture
def secret(worker, crew, now):
    """Make tokens with any scopes, of somebody who may do all that programs may."""
    member = crew.member(Role.SENDER, Role.AUDITOR)

    def make(*scopes) -> str:
        with worker.parts.database.transaction() as session:
            owner = people.by_id(session, member.id)
            life = timedelta(days=1)
            return tokens.add(session, owner, label="x", scopes=scopes, life=life, by=member.id, now=now).secret

    return make


@pytest.fixture
def alerted(worker, tmp_path):
    """Send alerts to nobody but one reader, and return a number of one."""
    house.add_readers(worker, tmp_path, ["reader@example.org"])

    def send(word: str) -> int:
        (tmp_path / "alert.md").write_text(f"# {word}\n\nFourteen lorries stand at the second gate.\n")
        return alert.send(worker.parts, [str(tmp_path / "alert.md")], digest_key=house.DIGEST)

    return send


def bearer(secret) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def test_the_description_names_each_route_of_the_api_and_nothing_else(app) -> None:
    """What it leaves out nobody can use, and what it invents costs somebody an afternoon."""
    document = TestClient(app, base_url=BASE).get(describing.PATH).json()
    there = {(path, one) for path, methods in scanning.routes(app) for one in methods if path.startswith("/api/")}
    told = {(path, method.upper()) for path, item in document["paths"].items() for method in item}
    assert there - told == {(describing.PATH, "GET"), (describing.PATH, "HEAD")}
    assert told <= there
    assert document["servers"] == [{"url": BASE}]
    assert {one.value for one in Scope} == tokens.FOR_PROGRAMS
    assert "HTTPValidationError" not in json.dumps(document)


def test_everything_in_the_description_is_in_words(app) -> None:
    """Whoever reads it has nobody to ask."""
    document = TestClient(app, base_url=BASE).get(describing.PATH).json()
    for item in document["paths"].values():
        for operation in item.values():
            assert operation["summary"]
            assert operation["description"].endswith(".")
            assert all(answer["description"].endswith(".") for answer in operation["responses"].values())
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"


def test_every_status_of_the_description_comes_and_looks_as_it_says(app, made, secret, alerted, tmp_path) -> None:
    """A status that never comes is a branch that somebody writes for nothing; one that is not named is a program that dies."""
    both, stop = bearer(secret(May.STOP, May.AUDIT)), bearer(secret(May.STOP))
    running, large = alerted("Lorries"), {"content": b"x" * 70_000, "headers": {"content-type": "application/json"}}
    text = {"content": b"x", "headers": {"content-type": "text/plain"}}
    asked = {
        SIGN_UP: {
            202: {"json": ANN},
            404: {"json": ANN | {"digests": ["none"]}},
            413: large,
            415: text,
            422: {"json": 1},
        },
        SAY_YES: {413: large, 415: text, 422: {"json": CODE}},
        ME: {200: {"headers": both}, 401: {}},
        HEAD: {200: {"headers": both}, 401: {}, 403: {"headers": stop}},
        STOP: {
            200: {"headers": both},
            401: {},
            403: {"headers": bearer(secret(May.AUDIT))},
            404: {"headers": both, "number": 4711},
            409: {"headers": both},
            413: large,
            422: {"headers": both, "number": 0},
        },
    }
    schema = schemathesis.openapi.from_dict(describing.describe(BASE), config=SchemathesisConfig())
    client = TestClient(app, base_url=BASE, raise_server_exceptions=False)

    def check(who, operation, status, number=running, **request) -> None:
        method, path = operation.split()
        answer = who.request(method, path.format(number=number), **request)
        assert answer.status_code == status, (operation, status, answer.text)
        schema[path][method].validate_response(answer)
        if status >= 400:
            assert answer.json().keys() == {"error", "sentence"}
        if status == 401:
            assert answer.headers["www-authenticate"] == "Bearer"

    for operation, cases in asked.items():
        for status, request in cases.items():
            check(client, operation, status, **request)
    away = house.settings.read(**(made.settings.model_dump() | {"database_url": "postgresql://x:y@127.0.0.1:9/none"}))
    lost = TestClient(create(house.assembly.assemble(away, role="web")), base_url=BASE, raise_server_exceptions=False)
    for operation in asked:
        check(
            lost, operation, 503, **(next(iter(asked[operation].values())) if operation != SAY_YES else {"json": CODE})
        )
    # Beside these: 202 by the right figures (tests/journeys/test_joining.py), 408 and 500 (tests/web/test_hostile_http.py).
    elsewhere = {SIGN_UP: {408, 500}, SAY_YES: {202, 408, 500}}
    for operation, cases in asked.items():
        method, path = operation.split()
        told = set(map(int, schema[path][method].responses.status_codes))
        assert told == cases.keys() | {503} | elsewhere.get(operation, {500}), operation


# Schemathesis

VALID_BUT_WRONG = {
    # Figures that nobody was mailed are a wrong code, however well they are written.
    "include-name": SAY_YES,
    "checks": {"positive_data_acceptance": {"expected-statuses": ["2xx", "422"]}},
}


def tried(base, *, document=None, secret=None, examples, seed=7, phases=None, number=None, but=()):
    """Let Schemathesis try an API by all its checks; return the answers by operation and status, what failed, and what was sent.

    document   what to believe; by default the description that is served there
    phases     by default all: examples, coverage, fuzzing, and chains of calls by the links of the description
    number     of an alert, to be stopped in each call
    but        what is not tried
    """
    operations = [VALID_BUT_WRONG, *({"include-name": one, "enabled": False} for one in but)]
    if number is not None:
        operations.append({"include-name": STOP, "parameters": {"path.number": number}})
    settings = {
        "base-url": base,
        "seed": seed,
        # A machine that is busy is no finding.
        "request-timeout": 60,
        "suppress-health-check": ["all"],
        "continue-on-failure": True,
        "headers": bearer(secret) if secret else {},
        "generation": {"max-examples": examples, "database": "none", "no-shrink": True},
        "operations": operations,
        "phases": phases or {},
    }
    config = SchemathesisConfig.from_dict(settings)
    if document is None:
        described = schemathesis.openapi.from_url(base + describing.PATH, config=config)
    else:
        described = schemathesis.openapi.from_dict(document, config=config)
    answers, failed, sent = Counter(), [], []
    for event in from_schema(described).execute():
        if isinstance(event, events.NonFatalError | events.FatalError):
            failed.append(repr(event))
        elif isinstance(event, events.EngineFinished):
            assert event.stop_reason is StopReason.COMPLETED
        elif isinstance(event, events.ScenarioFinished):
            _keep(event.recorder, answers, failed, sent)
    return answers, failed, sent


def _keep(recorder, answers, failed, sent) -> None:
    for key, exchange in recorder.interactions.items():
        case = recorder.cases[key].value
        assert exchange.response is not None, "the server did not answer"
        answers[case.operation.label, exchange.response.status_code] += 1
        sent.append((case, exchange.response.status_code))
    for checks in recorder.checks.values():
        failed += [
            f"{check.name}: {check.failure_info.failure.title}: {check.failure_info.code_sample}"
            for check in checks
            if check.failure_info is not None
        ]


def addresses(sent):
    """Return the addresses that were taken."""
    bodies = [case.body for case, status in sent if status == 202 and isinstance(case.body, dict)]
    return {body["email"].strip() for body in bodies if "email" in body}


def left_behind(worker, sink, sent, before, after, log, secrets) -> None:
    """Judge what programs that send everything leave behind."""
    changed = {name for name in before if before[name] != after[name]}
    assert changed <= {"signup", "signup_answer", "sequences", "api_token", "mailing", "audit", "hook_call"}
    taken = addresses(sent)
    assert len(taken) > 5
    assert [one for one in taken if len(one) > 6 and one in log] == []
    assert [one for one in secrets if one in log] == []
    with worker.parts.database.transaction() as session:
        assert audit.verify(session).sound
    handed = len(sink.messages)
    joining.work(worker.parts)
    worker.deliver("transactional", seconds=5)
    asked = [one.recipient for one in sink.messages[handed:] if not one.recipient.endswith("@sarand.example")]
    # All came from one place: ten in a quarter of an hour, one question for an address (standards §23).
    assert 0 < len(asked) <= 10
    assert len(set(map(str.lower, asked))) == len(asked)
    waiting = rows(worker, "SELECT count(*) FROM signup WHERE state = 'waiting'")
    assert waiting == [(0,)], "one wish that cannot be dealt with keeps the others waiting"
    assert rows(worker, "SELECT count(*) FROM subscriber") == [(1,)], "nobody comes in without a yes"


def test_programs_that_send_everything_break_nothing(app, worker, secret, alerted, sink, database_urls, capfd) -> None:
    """All phases and all checks, with tokens of each scope and without: answers are as described and nothing else is touched."""
    running = alerted("Lorries")
    kinds = {"both": secret(May.STOP, May.AUDIT), "stop": secret(May.STOP), "audit": secret(May.AUDIT), "none": None}
    once = {"stateful": {"enabled": False}, "examples": {"enabled": False}}
    with scanning.served(app) as base, house.judging(worker):
        before = scanning.dump(database_urls.owner)
        answers, failed, sent = tried(base, secret=kinds["both"], examples=15)
        for kind in ("stop", "audit", "none"):
            number = running if kind == "stop" else None
            # What asks for no token reads none: with one it is tried above, without one in the last round.
            but = () if kind == "none" else (SIGN_UP, SAY_YES)
            more = tried(base, secret=kinds[kind], examples=3, phases=once, number=number, but=but)
            answers, failed, sent = answers + more[0], failed + more[1], sent + more[2]
        after = scanning.dump(database_urls.owner)
    assert failed == []
    assert {status for _, status in answers if status >= 500} == set()
    assert answers[SIGN_UP, 202] > 20
    assert answers[SAY_YES, 422] > 30
    assert answers[STOP, 409] > 0
    assert answers[HEAD, 403] > 0
    assert rows(worker, "SELECT state FROM mailing WHERE kind = 'alert'") == [("stopped",)]
    secrets = [one for one in kinds.values() if one]
    left_behind(worker, sink, sent, before, after, capfd.readouterr().err, secrets)


@pytest.mark.proof
@pytest.mark.parametrize("seed", [7, 8])
def test_programs_that_send_everything_break_nothing_long(
    app, worker, secret, alerted, sink, database_urls, capfd, seed
) -> None:
    """The same, hundreds of times each."""
    running, both = alerted("Lorries"), secret(May.STOP, May.AUDIT)
    with scanning.served(app) as base:
        before = scanning.dump(database_urls.owner)
        answers, failed, sent = tried(base, secret=both, examples=400, seed=seed)
        more = tried(base, secret=both, examples=100, seed=seed, number=running)
        after = scanning.dump(database_urls.owner)
    assert (failed + more[1], {status for _, status in answers if status >= 500}) == ([], set())
    left_behind(worker, sink, sent + more[2], before, after, capfd.readouterr().err, [both])


def test_what_the_test_tries_with_sees_a_lie(app, secret) -> None:
    """A check that cannot fail proves nothing: a description without a status, a field or a token's need is found out."""
    document = describing.describe(BASE)
    del document["paths"]["/api/v1/signups"]["post"]["responses"]["422"]
    document["components"]["schemas"]["Head"]["properties"]["number"]["type"] = "string"
    document["paths"]["/api/v1/signups"]["post"]["security"] = [{"token": []}]
    once = {"stateful": {"enabled": False}, "fuzzing": {"enabled": False}}
    with scanning.served(app) as base:
        _, failed, _ = tried(base, document=document, secret=secret(May.STOP, May.AUDIT), examples=1, phases=once)
    found = {one.partition(":")[0] for one in failed}
    assert {"status_code_conformance", "response_schema_conformance", "ignored_auth"} <= found
