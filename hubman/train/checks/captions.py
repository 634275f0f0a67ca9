"""What is wrong with captions: by themselves, and against those of the other images."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from hubman.train.captioning.tags import frequencies, has_trigger
from hubman.train.checks.counts import FEWEST
from hubman.train.checks.findings import Finding
from hubman.train.checks.rules import Rules
from hubman.train.checks.tokens import CountTokens, estimate_tokens
from hubman.train.data.dataset import DatasetImage

CUT_TOKENS = 225
MOST_SHARE, LEAST_IMAGES = 0.5, 10
"""A tag in more than this share of the images, in sets of at least so many, is worth a look."""

_WRITE = "write one, or let hubman draft them"


def caption(image: DatasetImage, rules: Rules, count_tokens: CountTokens) -> Iterator[Finding]:
    """What is wrong with the caption of ``image``."""
    name, text = image.name, image.caption
    if image.caption_error:
        remedy = "save the caption as UTF-8 text"
        yield Finding(name, "error", "caption-unreadable", image.caption_error, remedy)
        return
    if text is None:
        yield Finding(name, "warn", "caption-missing", "has no caption", _WRITE)
        return
    if image.caption_is_folder:
        sentence = f"has no caption: its folder's words {text!r} stand for it"
        yield Finding(name, "warn", "caption-missing", sentence, _WRITE)
    if not text:
        yield Finding(name, "warn", "caption-empty", "its caption is empty", _WRITE)
        return
    if not all(has_trigger(line, rules.trigger) for line in text.splitlines()):
        sentence = f"its caption lacks the trigger {rules.trigger!r}"
        yield Finding(name, "warn", "trigger-missing", sentence, "put the trigger first; training adds it otherwise")
    tokens = max(count_tokens(line) for line in text.splitlines())
    if tokens > rules.max_tokens:
        cut = f"over {CUT_TOKENS} no trainer reads" if tokens > CUT_TOKENS >= rules.max_tokens else ""
        about = "about " if count_tokens is estimate_tokens else ""
        sentence = f"its caption has {about}{tokens} tokens: {cut or f'only {rules.max_tokens} are read'}"
        yield Finding(name, "warn", "caption-long", sentence, "put what matters first")


def identical(images: Sequence[DatasetImage]) -> Iterator[Finding]:
    """Captions that several images share, and caption files that do."""
    sharing: dict[str, list[str]] = defaultdict(list)
    stems: dict[PurePosixPath, list[str]] = defaultdict(list)
    for image in images:
        stems[PurePosixPath(image.name).with_suffix("")].append(image.name)
        if image.caption and not image.caption_is_folder:
            sharing[image.caption].append(image.name)
    for text, names in sharing.items():
        if len(names) > 1:
            sentence = f"{len(names)} images share the caption {text[:60]!r}"
            remedy = "say what differs between them"
            yield Finding(None, "warn", "caption-identical", sentence, remedy, tuple(names))
    for stem, names in stems.items():
        if len(names) > 1:
            sentence = f"{' and '.join(names[:3])} share one caption file, {stem.name}.txt"
            yield Finding(None, "warn", "caption-shared", sentence, "rename one of them", tuple(names))


def balance(images: Sequence[DatasetImage], rules: Rules) -> Iterator[Finding]:
    """Tags that are in every caption, in most, or in one."""
    tagged = [(image.name, image.caption) for image in images if image.caption and "," in image.caption]
    if len(tagged) < FEWEST:
        return
    trigger = rules.trigger.lower()
    count = {each.tag: each.count for each in frequencies(tagged) if each.tag.lower() != trigger}
    for tag, times in count.items():
        if times == len(images):
            sentence = f"the tag {tag!r} is in every caption: it becomes part of what the trigger means"
            yield Finding(None, "note", "tag-everywhere", sentence, "leave it out if the trigger shall absorb it")
    often = [tag for tag, times in count.items() if MOST_SHARE * len(images) < times < len(images)]
    if often and len(images) >= LEAST_IMAGES:
        told = _listed([f"{tag} ({count[tag]} of {len(images)})" for tag in often])
        sentence = f"the LoRA leans towards tags that most captions have: {told}"
        yield Finding(None, "note", "tag-often", sentence, "add images without them, or check those that lack them")
    once = sorted(tag for tag, times in count.items() if times == 1)
    if once:
        sentence = f"{len(once)} tags are in one caption only: {_listed(once)}"
        yield Finding(None, "note", "tag-once", sentence, "check for typing errors")


def _listed(words: Sequence[str]) -> str:
    return ", ".join(words[:8]) + (f" and {len(words) - 8} more" if len(words) > 8 else "")
