"""DOOR: the command line. Each command makes one call and prints one document; the rules are elsewhere.

`door` holds what all commands share (JSON, refusals, progress); the other modules are the groups of commands.
"""

from newsletter.cli.door import main

__all__ = ["main"]
