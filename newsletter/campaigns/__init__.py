"""WHAT goes out urgently: `alerts` (and, later, letters, representatives and signatures).

What authorities say comes in by `cap` (a message as a value), is put in its order by `ordering`, kept by `bulletins`, and becomes a
manuscript by `wording`, with `markdown` for words of strangers.
"""
