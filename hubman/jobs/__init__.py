"""Long work: a job is its own process with a row in the registry and an append-only file of events."""
