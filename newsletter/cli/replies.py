"""newsletter replies …"""

from typing import Annotated

import typer

from newsletter import languages
from newsletter.cli.door import LARGEST, AsJson, Limit, listing, newsletter, page, screen, show
from newsletter.cli.privacy import Operator
from newsletter.journeys import answering

app = typer.Typer(no_args_is_help=True, help="What readers wrote back, kept sealed until it is dealt with.")

Number = Annotated[int, typer.Argument(metavar="REPLY", min=1, max=LARGEST, help="As the list numbers it.")]


@app.command("list")
def list_(
    done: Annotated[bool, typer.Option("--done", help="Those already dealt with.")] = False,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """List the letters that wait, the oldest first."""
    with newsletter() as made:
        found = answering.listed(made.parts, limit=limit, done=done)
    rows = [
        {"reply": one.reply, "came": one.came_at, "subject": one.subject, "wish": one.wish, "done": one.done_at}
        for one in found
    ]
    show(rows, as_json=as_json, words=lambda: listing(list(rows), empty="Nobody waits for an answer."))


@app.command("show")
def show_(number: Number, operator: Operator = None, as_json: AsJson = False) -> None:
    """Show one letter, with the address it came from; that somebody read it stands in the audit."""
    with newsletter() as made:
        found = answering.shown(made.parts, number, by=operator)
    reply, letter = found.reply, found.reply.letter
    if found.masked:
        screen.print(languages.say("replies.masked"), soft_wrap=True)
    document = {
        "reply": reply.id,
        "came": reply.came_at,
        "from": letter.sender,
        "subject": letter.subject,
        "wish": reply.wish,
        "text": letter.text,
    }
    sentence = (
        f"From: {letter.sender}\nSubject: {letter.subject}\nCame: {reply.came_at:%Y-%m-%d %H:%M}\n\n{letter.text}"
    )
    show(document, as_json=as_json, words=lambda: page.print(_harmless(sentence), markup=False, soft_wrap=True))


@app.command()
def done(reply: Number, as_json: AsJson = False) -> None:
    """Say that a letter was dealt with; it is deleted a week later."""
    with newsletter() as made:
        answering.done(made.parts, reply)
    show({"reply": reply, "done": True}, as_json=as_json)


def _harmless(text: str) -> str:
    """A stranger's letter must not command the terminal it is read on."""
    return "".join(letter for letter in text if letter == "\n" or letter.isprintable())
