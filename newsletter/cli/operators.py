"""newsletter operators …, newsletter audit …"""

import hashlib
import io
from datetime import timedelta
from typing import Annotated, Any

import segno
import typer

from newsletter import database
from newsletter.assembly import Newsletter
from newsletter.cli.door import LARGEST, AsJson, Limit, ask_address, listing, newsletter, page, screen, show
from newsletter.jobs import OPERATORS
from newsletter.journeys import team
from newsletter.operators import audit, people, tokens
from newsletter.operators.audit import SHELL, Fault, Head, Verdict
from newsletter.operators.enrolment import Invited
from newsletter.operators.roles import May, Role
from newsletter.operators.tokens import LONGEST, USUAL

app = typer.Typer(no_args_is_help=True, help="People who log in, and what they may do.")
programs = typer.Typer(no_args_is_help=True, help="Keys by which programs act as an operator.")
records = typer.Typer(no_args_is_help=True, help="Who did what, and whether the record still holds.")
app.add_typer(programs, name="tokens")

Number = Annotated[
    int, typer.Argument(metavar="NUMBER", min=1, max=LARGEST, help="Of the operator, as “operators list” shows it.")
]
Roles = Annotated[list[Role], typer.Option("--role", help="May be given several times.")]


@app.command()
def add(role: Roles, as_json: AsJson = False) -> None:
    """Add an operator and print the link by which they enrol. Address and name are asked for, or read from stdin, a line each."""
    address, name = ask_address(), ask_address("Name")
    with newsletter() as made:
        _print(made, team.add(made.parts, address, name=name, roles=role), as_json=as_json)


@app.command()
def invite(number: Number, as_json: AsJson = False) -> None:
    """Print a new link for an operator who lost the first, or everything; who was disabled comes back by it."""
    with newsletter() as made:
        _print(made, team.invite(made.parts, number), as_json=as_json)


def _print(made: Newsletter, invited: Invited, *, as_json: bool) -> None:
    url = team.enrol_url(made.parts, invited)
    document = {"operator": invited.operator_id, "url": url, "expires_at": invited.expires_at}
    show(document, as_json=as_json, words=lambda: _words(document))


def _words(document: dict[str, Any]) -> None:
    page.print(
        f"Operator no. {document['operator']}. The link works once, until {document['expires_at']:%d %B %H:%M} UTC:"
    )
    # soft_wrap: a link that is broken over two lines is no link.
    page.print(document["url"], soft_wrap=True)
    if page.is_terminal:
        drawn = io.StringIO()
        segno.make(document["url"], error="m").terminal(drawn, compact=True)
        print(drawn.getvalue())


@app.command()
def pin(as_json: AsJson = False) -> None:
    """Pin the team's passkeys on this machine: workers here let a large alert go for these alone.

    Compare the numbers with the people, and what each may do: whoever could write to the database could have registered a key
    of their own, or made themselves an approver.
    """
    with newsletter() as made:
        path = made.settings.pins
        keys = team.pin(made.parts, path)
    rows = [
        {"operator": one.operator, "may": sorted(one.may), "key": hashlib.sha256(one.public_key).hexdigest()[:12]}
        for one in keys
    ]
    words = f"No passkey is registered yet, so none is pinned ({path})."
    show({"file": str(path), "keys": rows}, as_json=as_json, words=lambda: listing(list(rows), empty=words))


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List who may log in; addresses are masked."""
    with newsletter() as made:
        rows = [_row(member) for member in team.members(made.parts)]
    show(
        rows,
        as_json=as_json,
        words=lambda: listing(list(rows), empty="Nobody may log in yet: newsletter operators add"),
    )


def _row(member: team.Member) -> dict[str, Any]:
    one = member.operator
    state = "disabled" if one.disabled_at else "active" if one.enrolled_at else "invited"
    signed = list(member.vouching.signers) if member.vouching else []
    return {
        "number": one.id,
        "name": one.name,
        "address": one.masked,
        "roles": one.roles,
        "state": state,
        "phone_lost_say": signed,
    }


@app.command()
def roles(number: Number, role: Roles, as_json: AsJson = False) -> None:
    """Give an operator these roles and no others."""
    with newsletter() as made, made.parts.database.transaction() as session:
        people.set_roles(session, number, role, now=database.now(session))
    show({"operator": number, "roles": sorted(set(role))}, as_json=as_json)


@app.command()
def disable(number: Number, as_json: AsJson = False) -> None:
    """End an operator's access, with every session, token and open invitation."""
    with newsletter() as made:
        with made.parts.database.transaction() as session:
            people.disable(session, number, by=SHELL, now=database.now(session))
        made.parts.nudger.nudge(OPERATORS)
    show({"operator": number, "disabled": True}, as_json=as_json)


@programs.command("add")
def add_token(
    number: Number,
    scope: Annotated[list[May], typer.Option("--scope", help="stop or audit; may be given several times.")],
    label: Annotated[str, typer.Option(help="What it is for.")],
    days: Annotated[int, typer.Option(min=1, max=LONGEST.days, help="How long it is good for.")] = USUAL.days,
    as_json: AsJson = False,
) -> None:
    """Make a token for a program that acts as an operator. It is printed once and kept nowhere."""
    with newsletter() as made, made.parts.database.transaction() as session:
        owner = people.by_id(session, number)
        life, now = timedelta(days=days), database.now(session)
        token = tokens.add(session, owner, label=label, scopes=scope, life=life, by=SHELL, now=now)
    document = {"token": token.token.id, "expires_at": token.token.expires_at, "secret": token.secret}
    show(document, as_json=as_json)


@programs.command("list")
def list_tokens(as_json: AsJson = False) -> None:
    """List the tokens of all operators; never what they are."""
    with newsletter() as made, made.parts.database.transaction() as session:
        rows = [
            {
                "number": one.id,
                "operator": one.operator_id,
                "label": one.label,
                "scopes": one.scopes,
                "expires_at": one.expires_at,
                "used_at": one.used_at,
                "ended_at": one.ended_at,
            }
            for one in tokens.listed(session)
        ]
    show(rows, as_json=as_json, words=lambda: listing(list(rows), empty="There are no tokens."))


@programs.command("revoke")
def revoke_token(
    number: Annotated[int, typer.Argument(metavar="NUMBER", min=1, max=LARGEST, help="Of the token.")],
    as_json: AsJson = False,
) -> None:
    """End a token."""
    with newsletter() as made, made.parts.database.transaction() as session:
        tokens.revoke(session, number, by=SHELL, now=database.now(session))
    show({"token": number, "ended": True}, as_json=as_json)


WORDS = {
    Fault.CHANGED: "Row {number} is not what was written: it, or the row before it, was changed afterwards.",
    Fault.MISSING: "Row {number} is missing: it was removed afterwards.",
    Fault.FORKED: "Row {number} is not the one whose digits you kept: the record was written anew, from there or before.",
    Fault.CUT: "Row {number}, which you kept, is not there any more: the record was cut short.",
}


@records.command()
def verify(
    against: Annotated[str | None, typer.Option(metavar="HEAD", help="The line of a mail that was kept.")] = None,
    as_json: AsJson = False,
) -> None:
    """Read the whole record and say whether it holds; ends with 1 and names the row where it does not."""
    head = Head.parse(against) if against is not None else None
    with newsletter() as made, made.parts.database.transaction() as session:
        verdict = audit.verify(session, head)
    document = {
        "sound": verdict.sound,
        "rows": verdict.rows,
        "head": str(verdict.head),
        "fault": verdict.fault,
        "row": verdict.number,
    }
    show(document, as_json=as_json, words=lambda: _say(verdict, compared=head is not None))
    if not verdict.sound:
        raise typer.Exit(1)


def _say(verdict: Verdict, *, compared: bool) -> None:
    if verdict.fault is not None:
        screen.print(WORDS[verdict.fault].format(number=verdict.number), style="red" if screen.is_terminal else None)
        return
    also = ", and the row you kept is among them" if compared else ""
    page.print(f"{verdict.rows} rows, each fits the one before{also}. Head:")
    page.print(str(verdict.head), soft_wrap=True)


@records.command("list")
def list_entries(limit: Limit = 50, as_json: AsJson = False) -> None:
    """List what was done, newest first. Operators stand there by number."""
    with newsletter() as made, made.parts.database.transaction() as session:
        rows = [
            {"row": one.number, "at": one.at, "by": one.actor, "act": one.act, "facts": one.facts}
            for one in audit.listed(session, limit=limit)
        ]
    show(rows, as_json=as_json, words=lambda: listing(list(rows), empty="Nothing was done yet."))
