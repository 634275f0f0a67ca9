"""Pictures from prompts and LoRAs: the prompt language, the engine, sweeps, and what the pictures say in numbers."""
