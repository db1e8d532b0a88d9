"""One JSON line per unit of work, on stderr; no address and no token ever.

Values that look like an address and paths behind a mailed link's prefix are cut before a line is written, so that a
careless call cannot leak one.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

# A token stands only behind these prefixes (architecture, decision 7).
TOKEN_PATH = re.compile(r"/(u|p|c|s|e|h)/[^\s?\"'#]+")
ADDRESS = re.compile(r"[^\s<>\"'@=,;:/]{1,64}@[^\s<>\"'@,;:/]+")


def cut(text: str) -> str:
    """Return the text with every mailed link's token and every address replaced."""
    return ADDRESS.sub("…@…", TOKEN_PATH.sub(r"/\1/…", text))


def _cut_values(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {name: cut(value) if isinstance(value, str) else value for name, value in event.items()}


class _CutFilter(logging.Filter):
    """Cuts what libraries log through the standard logger (uvicorn's access lines, Celery's)."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = cut(record.getMessage()), ()
        return True


def configure(level: str = "INFO") -> None:
    """Send structlog and the standard library's loggers to stderr as JSON lines."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _cut_values,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_CutFilter())
    handler.setFormatter(logging.Formatter('{"level": "%(levelname)s", "logger": "%(name)s", "event": "%(message)s"}'))
    logging.basicConfig(level=level, handlers=[handler], force=True)
