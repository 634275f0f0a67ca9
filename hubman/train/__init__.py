"""Training: from a folder of images to a LoRA file. Importing this package loads no torch."""
