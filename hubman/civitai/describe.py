"""The texts of a page, from what the library knows: only tags that Civitai keeps, everything else escaped."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hubman.civitai.preflight import Material


def paragraphs(text: str) -> str:
    """Plain text as HTML paragraphs."""
    blocks = [block.strip() for block in text.replace("\r\n", "\n").split("\n\n")]
    return "".join(f"<p>{escape(block).replace(chr(10), '<br>')}</p>" for block in blocks if block)


def model_html(material: Material, chosen: str) -> str:
    """The model's description: a person's words first, then how to use it and how it was made."""
    words = chosen or material.model.description or ""
    return paragraphs(words) + _usage(material) + _training(material)


def version_html(material: Material) -> str | None:
    """What is new in this version, or None."""
    return paragraphs(material.version.changelog or "") or None


def _usage(material: Material) -> str:
    version = material.version
    lines = []
    if version.trigger_words:
        words = ", ".join(f"<code>{escape(word)}</code>" for word in version.trigger_words)
        lines.append(f"Trigger words: {words}")
    if version.strength is not None:
        text = f"Strength: {version.strength:g}"
        if version.strength_min is not None and version.strength_max is not None:
            text += f" (works from {version.strength_min:g} to {version.strength_max:g})"
        lines.append(text)
    return _section("How to use it", lines)


def _training(material: Material) -> str:
    file, run = material.file, material.run
    if run is None:
        return ""
    lines = [f"Base model: {escape(material.base_model)}"]
    if file.rank:
        alpha = f", alpha {file.alpha:g}" if file.alpha is not None else ""
        lines.append(f"Network: {escape(file.network_type or 'lora')}, rank {file.rank}{alpha}")
    lines.append(f"Steps: {run.steps:,}")
    names = {"epochs": "Epochs", "batch": "Batch", "resolution": "Resolution", "unet_lr": "Learning rate"}
    for key, name in names.items():
        value = run.recipe.get(key)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            lines.append(f"{name}: {value:g}")
    return _section("How it was trained", lines)


def _section(title: str, lines: list[str]) -> str:
    if not lines:
        return ""
    items = "".join(f"<li>{line}</li>" for line in lines)
    return f"<p><strong>{title}</strong></p><ul>{items}</ul>"
