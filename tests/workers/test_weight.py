"""What a sending process carries with it."""

import subprocess
import sys

_LOADED = """
import sys
import newsletter.delivery.sending, newsletter.assembly, newsletter.journeys.leaving
heavy = ("lxml", "PIL", "premailer", "cssutils", "jinja2", "fastapi", "alembic", "babel", "nh3", "typer")
print(",".join(name for name in heavy if name in sys.modules))
"""


def test_a_sender_loads_neither_lxml_nor_templates():
    """Eight children on a cheap server must fit into its memory: what composes is not loaded where mail is only sent."""
    found = subprocess.run([sys.executable, "-c", _LOADED], capture_output=True, text=True, check=True).stdout.strip()
    assert found == ""
