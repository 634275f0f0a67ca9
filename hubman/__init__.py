"""The verbs: pull, train, generate, publish and sync. Every verb works without the TUI."""

__version__ = "0.1.0"
