"""ENGINE: content becomes a message. No database, no clock, no I/O but templates.

The road: `content` values → `digest`, `mailing`, `alert`, `letter` or `notice` (each `compose(content,
frame, layout)`) → `inlining` (templates and premailer, once per block) → `message.Compiled` →
`stamping.Stamper` (one reader's bytes). Senders import `message` and `stamping` alone and never load lxml.
"""
