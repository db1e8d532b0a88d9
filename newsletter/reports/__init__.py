"""ENGINE: mail that came back → what it says (`parse`) and what it means (`verdict`, which asks `relay.verdict` for codes).

Bytes in, frozen values out; no database, no clock, no I/O. Everything is bounded, since anyone may send anything: `mime` reads a
message in one pass, `parse` finds a delivery status (RFC 3464), a complaint (RFC 5965), an automatic answer (RFC 3834) or a letter
from a person; `ses` reads the same values from what Amazon SES says of mail it carried.
"""
