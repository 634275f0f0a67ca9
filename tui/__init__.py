"""The Textual interface: shows state and sends intents."""
