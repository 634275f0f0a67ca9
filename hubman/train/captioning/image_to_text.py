"""A caption by any image-to-text model of ``transformers`` that is on this machine: BLIP, Florence-2, a model to chat with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hubman.train.captioning import local_models
from hubman.train.data.pictures import load_rgb
from registry.errors import DamagedFileError, MissingExtraError

if TYPE_CHECKING:
    from PIL import Image

CHAT_PROMPT = "Describe this picture in one plain sentence: what it shows, where, and how it is seen. No opinion."
TASK_PROMPT = "<DETAILED_CAPTION>"
SHORT, LONG = 32, 256
"""New tokens at most: of a model that only captions, and of one that follows a prompt."""
EXAMPLE = "Salesforce/blip-image-captioning-large"
_NEEDS = (
    "config.json",
    "model.safetensors|model.safetensors.index.json",
    "preprocessor_config.json|processor_config.json",
    "tokenizer.json|tokenizer_config.json",
)


class ImageToText:
    """A loaded model and its processor."""

    def __init__(self, model: str, prompt: str = "", device: str = "cpu") -> None:
        """Load ``model``: a folder, or a name in the local cache of Hugging Face. Nothing is downloaded.

        ``prompt`` is what a chat model is asked, Florence-2's task, or the beginning of a captioner's sentence. Raises
        NotFoundError naming a missing file, DamagedFileError for what is no such model, MissingExtraError without the
        ml extra.
        """
        folder = local_models.find(model, _NEEDS, "the caption model")
        try:
            import torch
            from transformers import AutoModelForImageTextToText, AutoProcessor
        except ImportError as error:
            raise MissingExtraError(
                "captions by a model need torch and transformers", "pip install 'hubman[ml]'"
            ) from error
        self._torch = torch
        self._device = torch.device(device)
        # Half precision is slow on a CPU, and on a graphics card the way such models are meant to run.
        dtype = torch.float32 if self._device.type == "cpu" else "auto"
        try:
            loaded: Any = AutoModelForImageTextToText.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, dtype=dtype
            )
            self._processor: Any = AutoProcessor.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError, KeyError, ImportError, TypeError) as error:
            line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise DamagedFileError(
                f"{folder} holds no image-to-text model ({line})", f"give one of transformers, such as {EXAMPLE}"
            ) from error
        self._model = loaded.to(self._device).eval()
        self._chats = bool(getattr(self._processor, "chat_template", None))
        self._has_tasks = hasattr(self._processor, "post_process_generation")
        self._prompt = prompt or (CHAT_PROMPT if self._chats else TASK_PROMPT if self._has_tasks else "")

    def describe(self, path: Path) -> str:
        """A caption of the picture in one line."""
        image = load_rgb(path)
        inputs = self._inputs(image).to(self._device)
        if self._model.dtype.is_floating_point and "pixel_values" in inputs:
            inputs["pixel_values"] = inputs["pixel_values"].to(self._model.dtype)
        length = LONG if self._chats or self._has_tasks else SHORT
        with self._torch.inference_mode():
            made = self._model.generate(**inputs, max_new_tokens=length, do_sample=False)[0]
        if self._chats and not self._model.config.is_encoder_decoder:
            made = made[inputs["input_ids"].shape[1] :]
        return " ".join(self._processor.decode(made, skip_special_tokens=True).split())

    def _inputs(self, image: Image.Image) -> Any:
        if self._chats:
            content = [{"type": "image", "image": image}, {"type": "text", "text": self._prompt}]
            return self._processor.apply_chat_template(
                [{"role": "user", "content": content}],
                add_generation_prompt=True,
                tokenize=True,
                return_dict=True,
                return_tensors="pt",
            )
        said = {"text": self._prompt} if self._prompt else {}
        return self._processor(images=image, return_tensors="pt", **said)
