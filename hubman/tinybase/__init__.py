"""The embedded base model: a tiny, real Stable Diffusion pipeline, its CLIP, and the drawings that made it."""

from __future__ import annotations

from pathlib import Path

MODEL = Path(__file__).parent / "model"
"""A diffusers folder for ``StableDiffusionPipeline.from_pretrained``: 64x64 pixels, v-prediction, fp16."""

CLIP = Path(__file__).parent / "clip"
"""A transformers folder for ``CLIPModel.from_pretrained``: the same text tower, and an image tower."""

NAME = "hubman-tinybase"

TERMS = Path(__file__).parent / "terms.json"
"""What the embedded CLIP has words for, as whole sentences of the captioner."""

PHRASES = Path(__file__).parent / "phrases.json"
"""The same words as phrases, which the captioner's chain puts together by itself."""

GUIDANCE = 3.0
"""The classifier-free guidance at which the base was scored."""

SAMPLE_LORA = Path(__file__).parent / "level_lines.safetensors"
"""A LoRA that was trained on the base by ``scripts/tinybase_sample_lora.py``: what the demo pulls from the sandbox."""
