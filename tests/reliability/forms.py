"""The two forms of a scenario: short, with few kills and readers, in the short proof; full, by `make reliability`.

What takes its minute in any form, or repeats what another scenario shows, has a full one only.
"""

import pytest

SHORT, FULL = "short", "full"
PIPELINING, SERIAL = "pipelining", "serial"

either = pytest.mark.parametrize("form", [pytest.param(SHORT, marks=pytest.mark.short), FULL])
on_both_wires = pytest.mark.parametrize("relay", [PIPELINING, SERIAL], indirect=True)
both_wires = pytest.mark.parametrize(
    ("form", "relay"),
    [
        pytest.param(SHORT, PIPELINING, marks=pytest.mark.short, id="short"),
        pytest.param(FULL, PIPELINING, id="full-pipelining"),
        pytest.param(FULL, SERIAL, id="full-serial"),
    ],
    indirect=["relay"],
)


def of(form: str, *, short: int, full: int) -> int:
    """Return a scenario's size in its form."""
    return short if form == SHORT else full
