"""The trained layers, in place in the model."""
