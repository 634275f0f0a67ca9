"""The README.md of a repository: its front matter, as hf.co/docs/hub/model-cards describes it, and the page below it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from hubman.civitai.form import FormPicture, PublishForm, VersionPart
from hubman.huggingface import bases

_TAG = re.compile(r"\s*<lora:[^<>]{1,200}>")
_LONGEST_PROMPT = 1000


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A picture with its name in the repository."""

    name: str
    picture: FormPicture


def compose(form: PublishForm, files: Mapping[str, str], shown: Sequence[Shown], *, repo: str) -> str:
    """The whole README.md. ``files`` are names in the repository by the library's id of their version."""
    import yaml

    front = yaml.safe_dump(front_matter(form, shown), sort_keys=False, allow_unicode=True, width=1000)
    parts = [f"# {_plain(form.name)}", "<Gallery />" if shown else "", form.description.strip(), _table(form, files)]
    newest = form.parts[-1]
    parts += [_usage(newest, files[newest.version_id], repo), _permissions(form)]
    return f"---\n{front}---\n\n" + "\n\n".join(part for part in parts if part) + "\n"


def front_matter(form: PublishForm, shown: Sequence[Shown]) -> dict[str, Any]:
    """What the Hub reads: licence, base model, tags, trigger words, the gallery."""
    newest = form.parts[-1]
    licence, base = bases.licence(newest.base_model), bases.repository(newest.base_model)
    kind = "text-to-video" if bases.is_video(newest.base_model) else "text-to-image"
    tags = [kind, "lora", "diffusers", "template:sd-lora", form.category, *form.tags]
    found: dict[str, Any] = {
        "license": licence.id,
        "license_name": licence.name,
        "base_model": base,
        "base_model_relation": "adapter" if base else "",
        "library_name": "diffusers",
        "pipeline_tag": kind,
        "tags": list(dict.fromkeys(_line(tag) for tag in tags if tag)),
        "instance_prompt": ", ".join(map(_line, newest.trained_words)),
        "not-for-all-audiences": form.nsfw or "",
        "widget": [_widget(one) for one in shown],
    }
    return {name: value for name, value in found.items() if value not in ("", [])}


def prompt_of(picture: FormPicture) -> tuple[str, str]:
    """(prompt, negative prompt) as a person may type them elsewhere: without the tags that load LoRAs."""
    told = picture.generation
    texts = [told.get("prompt"), told.get("negativePrompt") or told.get("negative_prompt") or told.get("negative")]
    words = [_line(_TAG.sub("", text)).strip(" ,")[:_LONGEST_PROMPT] if isinstance(text, str) else "" for text in texts]
    return words[0], words[1]


def _widget(shown: Shown) -> dict[str, Any]:
    prompt, negative = prompt_of(shown.picture)
    found: dict[str, Any] = {"text": prompt or _line(shown.picture.caption) or "-"}
    if negative:
        found["parameters"] = {"negative_prompt": negative}
    return {**found, "output": {"url": shown.name}}


def _table(form: PublishForm, files: Mapping[str, str]) -> str:
    lines = ["| version | file | base model | trigger words | strength |", "| --- | --- | --- | --- | --- |"]
    for part in reversed(form.parts):
        words = ", ".join(f"`{_cell(word)}`" for word in part.trained_words) or "none needed"
        name = files[part.version_id]
        link = f"[{_cell(name)}](<./{name}>)"
        lines.append(f"| {_cell(part.name)} | {link} | {_cell(part.base_model)} | {words} | {_strength(part)} |")
    return "## Versions\n\n" + "\n".join(lines)


def _strength(part: VersionPart) -> str:
    if part.strength is None:
        return ""
    text = f"{part.strength:g}"
    if part.strength_min is not None and part.strength_max is not None:
        text += f" ({part.strength_min:g} to {part.strength_max:g})"
    return text


def _usage(part: VersionPart, name: str, repo: str) -> str:
    """How it is loaded with diffusers, where the Hub has its base model."""
    base = bases.repository(part.base_model)
    if not base or bases.is_video(part.base_model):
        return ""
    weight = 1.0 if part.strength is None else part.strength
    lines = [
        "from diffusers import AutoPipelineForText2Image",
        "import torch",
        "",
        f"pipe = AutoPipelineForText2Image.from_pretrained({base!r}, torch_dtype=torch.float16).to('cuda')",
        f"pipe.load_lora_weights({repo!r}, weight_name={name!r}, adapter_name='lora')",
        f"pipe.set_adapters(['lora'], [{weight:g}])",
        f"image = pipe({', '.join(part.trained_words) or 'your prompt'!r}).images[0]",
    ]
    return "## Use it with diffusers\n\n```py\n" + "\n".join(lines) + "\n```"


def _permissions(form: PublishForm) -> str:
    """What the creator allows beside the licence of the base model, in words: the Hub has no fields for it."""
    said = form.permissions
    uses = {"Image": "sell images made with it", "RentCivit": "offer it on Civitai's generator",
            "Rent": "offer it on generation services", "Sell": "sell it or merges of it"}  # fmt: skip
    rows = [
        ("use it without naming the creator", said.allow_no_credit),
        ("share merges of it", said.allow_derivatives),
        ("give merges other permissions", said.allow_different_license),
        *((words, use in said.commercial_use) for use, words in uses.items()),
    ]
    return "## What is allowed\n\n" + "\n".join(f"- {words}: {'yes' if is_so else 'no'}" for words, is_so in rows)


def _line(text: str) -> str:
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def _plain(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>#|])", r"\\\1", _line(text))


def _cell(text: str) -> str:
    return _line(text).replace("|", "\\|").replace("`", "'")
