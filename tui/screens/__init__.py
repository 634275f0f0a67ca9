"""One module and one style sheet a screen; imported when first shown."""
