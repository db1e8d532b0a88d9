"""WHAT goes out regularly. The road: `feeds` (bytes → texts) → `articles` (stored, numbered as they become ready) → `cutting`
(an issue covers what came since the last) → `selection` (articles → what one group of readers is shown). `withdrawal` takes one
back. `digests` are the series; `manuscript` reads the text an operator wrote.
"""
