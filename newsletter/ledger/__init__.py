"""The record of every sending: mailings, their variants, shards, deliveries, and what became of them.

The road: `mailings.draft` → `variants.store` → `mailings.approve` → `planning.plan` (rows) → `shards.take` → `shards.announce`
→ `deliveries.record` → `shards.end` → `books`. All SQL on these tables is here; rules of sending are in `delivery`.
"""
