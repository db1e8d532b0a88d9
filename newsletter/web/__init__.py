"""DOOR: the pages. `uvicorn --factory newsletter.web:create`.

GET never changes anything: it shows a button, POST acts. `security` sets what every answer carries; `public` are the pages that
need no login.
"""

from newsletter.web.app import create

__all__ = ["create"]
