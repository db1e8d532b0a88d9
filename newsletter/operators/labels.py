"""What operators call what is theirs, so that they know it again: a token, a passkey. Pure."""

import unicodedata

LONGEST = 60


def clean(written: str, *, otherwise: str) -> str:
    """Return a label as it is kept, without what no keyboard types, 60 letters at most; `otherwise` where nothing is left."""
    return "".join(one for one in written if unicodedata.category(one) != "Cc").strip()[:LONGEST] or otherwise
