"""The composer: content becomes a message, a message becomes one reader's bytes."""
