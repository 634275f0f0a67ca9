"""The embedded base model: a tiny, real Stable Diffusion pipeline and what made it."""
