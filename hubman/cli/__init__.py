"""The commands: thin wrappers over the verbs, one module for each group of them."""
