"""Images and captions as the model reads them, kept on disk."""
