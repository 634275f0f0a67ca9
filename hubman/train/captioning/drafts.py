"""First drafts of captions for a folder: by the interrogator, a tagger, or a model that says what it sees."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

from hubman import tinybase
from hubman.progress import Progress, Report
from hubman.train.captioning import local_models
from hubman.train.captioning.captions import compose, draft_all, to_draft
from hubman.train.captioning.terms import read_terms
from hubman.train.data.dataset import training_files
from hubman.train.data.pictures import load_rgb, why_undecoded
from registry.errors import CancelledError, HubError, NotFoundError, UsageError

Source = Literal["interrogator", "tagger", "model"]
Mode = Literal["best", "fast", "classic", "negative"]
Describe = Callable[[Path], str]
CLIP_FILES = (
    "config.json", "model.safetensors|model.safetensors.index.json", "vocab.json", "merges.txt", "preprocessor_config.json",
)  # fmt: skip
CLIP_EXAMPLE = "openai/clip-vit-large-patch14"


class DraftRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to caption, with what, and what stands around each caption. Models are folders, or names in the local cache."""

    folder: str
    source: Source = "interrogator"
    model: str = ""
    """The tagger, the image-to-text model, or what says the interrogator's first sentence."""
    clip: str = ""
    terms: str = ""
    """The interrogator's word lists: a JSON file, or a folder of text files. By default the embedded ones."""
    mode: Mode = "best"
    prompt: str = ""
    general: float = 0.35
    character: float = 0.85
    trigger: str = ""
    prefix: str = ""
    suffix: str = ""
    blacklist: tuple[str, ...] = ()
    redraft: bool = False
    """Draft again what a draft wrote; never what a person typed."""


class Drafted(msgspec.Struct, frozen=True):
    """What came of it. ``texts`` are negative prompts, which are no captions: they are told, not written."""

    written: tuple[str, ...] = ()
    texts: dict[str, str] = {}
    problems: dict[str, str] = {}
    """Images that could not be captioned, and why."""


def check(request: DraftRequest) -> None:
    """Whether the request makes sense, before anything is loaded. Raises UsageError, NotFoundError without the folder."""
    if not Path(request.folder).is_dir():
        raise NotFoundError(f"{request.folder} is not a folder", "give the folder that holds the training images")
    if request.source in {"tagger", "model"} and not request.model:
        example = (
            "SmilingWolf/wd-vit-tagger-v3" if request.source == "tagger" else "Salesforce/blip-image-captioning-large"
        )
        raise UsageError(
            f"captions by a {request.source} need one", f"say --model with its folder or its name, such as {example}"
        )
    if request.source == "interrogator" and (request.model or request.clip) and not (request.clip and request.terms):
        raise UsageError(
            "the embedded word lists and CLIP only know the embedded base's shapes",
            f"say both --clip (such as {CLIP_EXAMPLE}) and --terms (a folder of word lists)",
        )
    if request.mode == "negative" and request.source != "interrogator":
        raise UsageError("only the interrogator finds negative prompts", "leave out --mode negative")


def draft_captions(
    request: DraftRequest,
    *,
    cache: Path | None = None,
    report: Report,
    should_stop: Callable[[], bool] = lambda: False,
) -> Drafted:
    """Write a draft beside each image that has no typed caption.

    ``cache`` is a folder that keeps the vectors of word lists. A picture that can't be decoded is told, and the others
    go on. Raises what the models raise: see :func:`describer`.
    """
    check(request)
    folder = Path(request.folder)
    negative = request.mode == "negative"
    images = [file.path for file in training_files(folder)] if negative else to_draft(folder, request.redraft)
    if not images:
        return Drafted()
    report(Progress(stage="load", message=request.model or request.clip or "the embedded CLIP"))
    describe = describer(request, cache)
    done, problems, texts = 0, dict[str, str](), dict[str, str]()

    def name(image: Path) -> str:
        return image.relative_to(folder).as_posix()

    def draft(image: Path) -> str | None:
        nonlocal done
        if should_stop():
            raise CancelledError("captioning was stopped", "the same command goes on from here")
        problem = _damage(image)
        text = "" if problem else describe(image)
        if not text:
            problems[name(image)] = problem or "nothing was found in it"
        done += 1
        report(Progress(stage="caption", done=done, total=len(images), unit="images", message=text or name(image)))
        return text

    if negative:
        texts = {name(image): text for image in images if (text := draft(image))}
        return Drafted(texts=texts, problems=problems)
    return Drafted(draft_all(folder, draft, request.redraft), problems=problems)


def describer(request: DraftRequest, cache: Path | None = None) -> Describe:
    """What captions one picture as asked for.

    Raises NotFoundError naming a file that is missing, DamagedFileError for one that can't be used, and
    MissingExtraError naming what to install.
    """
    make = _SOURCES[request.source](request, cache)
    if request.mode == "negative":
        return make

    def describe(image: Path) -> str:
        text = make(image)
        return compose(text, request.trigger, request.blacklist, request.prefix, request.suffix) if text else ""

    return describe


def _by_interrogator(request: DraftRequest, cache: Path | None) -> Describe:
    from hubman.train.captioning.clip_model import ClipModel
    from hubman.train.captioning.interrogator import Interrogator

    clip = local_models.find(request.clip, CLIP_FILES, "the CLIP model") if request.clip else tinybase.CLIP
    terms = read_terms(Path(request.terms).expanduser() if request.terms else tinybase.TERMS)
    sentence = _by_model(request, cache) if request.model else None
    if sentence is None and not terms.templates:
        raise HubError("these word lists have no sentence to begin with", "name a caption model with --model as well")
    interrogator = Interrogator(ClipModel(clip, _device()), terms, sentence, cache)
    return lambda image: interrogator.caption(image, request.mode)


def _by_tagger(request: DraftRequest, cache: Path | None) -> Describe:
    del cache
    from hubman.train.captioning.tagger import Tagger

    return Tagger(request.model, request.general, request.character).describe


def _by_model(request: DraftRequest, cache: Path | None) -> Describe:
    del cache
    from hubman.train.captioning.image_to_text import ImageToText

    return ImageToText(request.model, request.prompt, _device()).describe


_SOURCES: dict[Source, Callable[[DraftRequest, Path | None], Describe]] = {
    "interrogator": _by_interrogator, "tagger": _by_tagger, "model": _by_model,
}  # fmt: skip


def _damage(image: Path) -> str:
    """Why a picture can't be decoded, or nothing."""
    try:
        load_rgb(image)
    except Exception as error:
        return why_undecoded(error)
    return ""


def _device() -> str:
    try:
        import torch
    except ImportError:
        return "cpu"  # whoever needs it says so
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
