"""WHAT COMES BACK: how it comes in, whom it is for, and what is kept of it that is not of the books.

`intake` (LMTP), `maildir` and `sns` (Amazon's notices) take mail in; `routing` says by the recipient alone, without any database,
what a mail can be; `processing` says which delivery a report is about. What follows is the story of `journeys.returns`. `replies`
keeps letters for the operator, `arrivals` notices that wait for a worker, `probing` the self-test.
"""
