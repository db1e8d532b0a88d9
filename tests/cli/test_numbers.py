"""Numbers that the command line asks for: each within what a column, a port or a calendar holds."""

import typing

from newsletter.cli.commands import app


def commands(group, path=()):
    """Yield every command there is, by its words."""
    for one in group.registered_commands:
        yield *path, one.name or one.callback.__name__.replace("_", "-"), one.callback
    for one in group.registered_groups:
        yield from commands(one.typer_instance, (*path, one.name or one.typer_instance.info.name))


def of_numbers(hint):
    """Whether a parameter takes a number, or several, or none."""
    return hint in (int, float) or any(map(of_numbers, typing.get_args(hint)))


def test_every_number_that_is_asked_for_has_bounds():
    """What no column holds, no port has and no calendar reaches ended in a traceback: a number without bounds is forgotten."""
    bounds = {}
    for *words, command in commands(app):
        for name, hint in typing.get_type_hints(command, include_extras=True).items():
            if of_numbers(hint):
                told = getattr(hint, "__metadata__", (None,))[0]
                bounds[*words, name] = getattr(told, "min", None), getattr(told, "max", None)
    assert len(bounds) > 50
    assert [one for one, (least, most) in bounds.items() if least is None or most is None] == []
