"""DOOR: the command line. Each command makes one call and prints one document; the rules are elsewhere.

`door` holds what all commands share (JSON, refusals, progress); the other modules are the groups of commands.
"""

import gc


def main() -> None:
    """Run the command line; the entry point of `newsletter`."""
    # Everything imported here lives to the end: counting it again and again, and once more at the end, was half of a command.
    gc.disable()
    from newsletter.cli import door
    from newsletter.cli.commands import app

    gc.freeze()
    gc.enable()
    door.run(app)
