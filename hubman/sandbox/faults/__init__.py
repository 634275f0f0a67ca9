"""Making the sandbox's answers go wrong, as a test or a person wants it."""
