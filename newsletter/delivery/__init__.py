"""HOW IT LEAVES. The road: `planning` (rows) → `leasing` (a shard and its people) → `windows` (may it go now?) →
`sending` (stamp → relay → record) → `recovery` (what a lost nudge or a dead worker left). `pacing` holds the pure rules.

No transaction is open while mail is on the wire. Only `sending` is asynchronous.
"""
