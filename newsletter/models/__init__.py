"""The tables, one family a file; each family's SQL lives with the noun that owns it.

`base` maps Python's types to PostgreSQL's; nobody outside the owning package sees a row, only frozen views.
"""
