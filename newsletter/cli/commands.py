"""The tree of commands."""

import typer

from newsletter.cli import (
    alerts,
    articles,
    demo,
    digests,
    drill,
    exposure,
    finding,
    intake,
    issues,
    keys,
    lanes,
    machine,
    mailings,
    operators,
    privacy,
    relays,
    replies,
    segments,
    signups,
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
subscribers.app.command("find")(finding.find)
subscribers.app.add_typer(finding.exports, name="export")
privacy.app.command("blast-radius")(exposure.blast_radius)
for group, name in (
    (digests.app, "digests"),
    (topics.app, "topics"),
    (segments.app, "segments"),
    (subscribers.app, "subscribers"),
    (signups.app, "signups"),
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
    (privacy.app, "privacy"),
    (machine.servers, "servers"),
    (machine.db, "db"),
    (keys.app, "keys"),
):
    app.add_typer(group, name=name)
app.command()(machine.up)
app.command()(machine.deliver)
app.command()(intake.intake)
app.command()(drill.drill)
app.command()(machine.doctor)
app.command()(demo.demo)
