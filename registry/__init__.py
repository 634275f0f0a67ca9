"""The nouns: models, versions, files and what is known of them, in SQLite. Needs no network, no torch, no UI."""
