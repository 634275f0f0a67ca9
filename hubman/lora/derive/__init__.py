"""LoRA files made of others: merged, cut to another rank, extracted from checkpoints; verified, then written at once."""
