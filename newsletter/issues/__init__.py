"""WHAT goes out regularly. The road: `feeds` (bytes → texts) → `articles` (stored, numbered as they become ready) →
`schedule` (which numbers are due) → `cutting` (an issue covers what came since the last) → `selection` (articles →
what one group of readers is shown). `manuscript` reads the text an operator wrote; `archive` finds what was sent.
"""
