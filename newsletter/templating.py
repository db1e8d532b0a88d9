"""Finds templates and renders them strictly.

An organisation's own folder is searched first, then the bundled one, so a changed footer is one file and
not a fork. A name that does not exist in the facts is an error, never an empty gap. Pages and mail share
the rules; what they say differs.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2

from newsletter import languages
from newsletter.errors import Invalid, NotFound


class NoTemplate(NotFound):
    """Neither the organisation's folder nor the bundled one holds the file."""

    def __init__(self, name: str) -> None:
        super().__init__("template.missing", template=name)


class BrokenTemplate(Invalid):
    """A template, very likely one of the organisation's own, cannot be used; `why` is for whoever wrote it."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__("template.broken", template=name, why=why)


def bundled() -> Path:
    """Return the folder of the bundled templates: inside an installed package, beside it in a checkout."""
    package = Path(__file__).parent
    installed = package / "_templates"
    return installed if installed.is_dir() else package.parent / "templates"


class Templates:
    """The templates of one organisation.

    own   its own folder, searched first; same names as the bundled files ("email/digest/body.html"), or None

    `.html` is escaped automatically, every other ending is not. Templates know `say(message, language,
    **facts)` and `direction(language)` of `languages`.
    """

    def __init__(self, own: Path | None = None) -> None:
        folders = [own, bundled()] if own else [bundled()]
        self.environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(folders),
            undefined=jinja2.StrictUndefined,
            autoescape=jinja2.select_autoescape(enabled_extensions=("html",), default=False),
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.environment.globals.update(say=languages.say, direction=languages.direction)

    def get(self, name: str) -> jinja2.Template:
        """Return a template by its path below the templates folder; NoTemplate when it is nowhere, BrokenTemplate."""
        with _named(name):
            return self.environment.get_template(name)

    def render(self, name: str, /, **facts: Any) -> str:
        """Return the rendered template; BrokenTemplate when it uses a fact that is not given."""
        with _named(name):
            return self.environment.get_template(name).render(facts)

    def names(self, folder: str, ending: str) -> list[str]:
        """Return the files of a folder that end so, bare: "raid" for frames/raid.md."""
        found = self.environment.list_templates(extensions=[ending])
        return sorted(Path(name).stem for name in found if Path(name).parent == Path(folder))

    def source(self, name: str) -> str:
        """Return a file as it is (a style sheet); NoTemplate when it is nowhere."""
        loader = self.environment.loader
        assert loader is not None
        with _named(name):
            return loader.get_source(self.environment, name)[0]


@lru_cache(maxsize=8)
def templates_of(own: Path | None) -> Templates:
    """Return the templates of an organisation, compiled once for a process; a file that changes is read again."""
    return Templates(own)


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Say which template is missing or broken, in words for its author."""
    try:
        yield
    except jinja2.TemplateNotFound as missing:
        raise NoTemplate(str(missing.name or name)) from missing
    except jinja2.TemplateSyntaxError as broken:
        raise BrokenTemplate(str(broken.name or name), f"line {broken.lineno}: {broken.message}") from broken
    except jinja2.UndefinedError as unknown:
        raise BrokenTemplate(name, str(unknown.message)) from unknown
    except UnicodeDecodeError as unreadable:
        raise BrokenTemplate(name, "it is not text in UTF-8") from unreadable
