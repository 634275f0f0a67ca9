"""LoRA weights: their names in files, their mathematics, and what can be said of them without drawing."""
