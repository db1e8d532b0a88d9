"""One file per story: publish, mailing, alert, letter, joining, leaving. Each calls the nouns in order and opens the
transactions; no SQL and no rules are here. `parts` is what every story needs.
"""
