"""WHO reads: `importing` (a list comes in) · `consent` and `subscriptions` (what they asked for, and the proof) ·
`recipients` (who gets a mailing) · `people` (one person) · `unsubscribe` and `suppression` (who must be left alone).
"""
