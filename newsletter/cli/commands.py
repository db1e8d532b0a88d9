"""The tree of commands."""

import typer

from newsletter.cli import (
    alerts,
    articles,
    demo,
    digests,
    drill,
    intake,
    issues,
    lanes,
    machine,
    mailings,
    operators,
    relays,
    replies,
    segments,
    subscribers,
    suppressions,
    topics,
)

app = typer.Typer(
    name="newsletter",
    help="Newsletters and urgent alerts for campaigns whose readers may be at risk.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
for group, name in (
    (digests.app, "digests"),
    (topics.app, "topics"),
    (segments.app, "segments"),
    (subscribers.app, "subscribers"),
    (articles.app, "articles"),
    (issues.app, "issues"),
    (mailings.app, "mailings"),
    (alerts.app, "alerts"),
    (lanes.app, "lanes"),
    (relays.app, "relays"),
    (suppressions.app, "suppressions"),
    (operators.app, "operators"),
    (operators.records, "audit"),
    (replies.app, "replies"),
    (machine.servers, "servers"),
    (machine.db, "db"),
):
    app.add_typer(group, name=name)
app.command()(machine.up)
app.command()(machine.deliver)
app.command()(intake.intake)
app.command()(drill.drill)
app.command()(machine.doctor)
app.command()(demo.demo)
