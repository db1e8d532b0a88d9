"""WHAT goes out urgently: `alerts` (and, later, letters, representatives and signatures)."""
