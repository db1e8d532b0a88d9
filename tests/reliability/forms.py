"""The two forms of a scenario: short, with few kills and readers, in the short proof; full, by `make reliability`."""

import pytest

SHORT, FULL = "short", "full"

either = pytest.mark.parametrize("form", [pytest.param(SHORT, marks=pytest.mark.short), FULL])
both_wires = pytest.mark.parametrize("relay", [True, False], ids=["pipelining", "serial"], indirect=True)


def of(form: str, *, short: int, full: int) -> int:
    """Return a scenario's size in its form."""
    return short if form == SHORT else full
