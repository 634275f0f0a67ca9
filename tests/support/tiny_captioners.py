"""Image-to-text models of random weights, of the real classes, small enough to answer in milliseconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

WORDS = "a an the red green blue circle square star on of picture describe sentence what it shows where and how . , :"
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[ENC]", "<s>", "</s>", "<image>")
SIDE = 16
CHAT = (
    "{% for message in messages %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endfor %} :"
)


def _tokenizer(**special: Any) -> Any:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    names = [*SPECIAL, *WORDS.split()]
    made = Tokenizer(models.WordLevel({name: number for number, name in enumerate(names)}, unk_token="[UNK]"))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    if "cls_token" in special:
        ends = [("[CLS]", _id("[CLS]")), ("[SEP]", _id("[SEP]"))]
        made.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    return PreTrainedTokenizerFast(tokenizer_object=made, unk_token="[UNK]", pad_token="[PAD]", **special)


def _id(name: str) -> int:
    return SPECIAL.index(name)


def _vocabulary() -> int:
    return len(SPECIAL) + len(WORDS.split())


def _pictures() -> Any:
    from transformers import CLIPImageProcessorPil

    sides = {"height": SIDE, "width": SIDE}
    return CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size=sides)


def make_tiny_blip(folder: Path, seed: int = 0) -> Path:
    """Save a random ``BlipForConditionalGeneration`` and its processor into ``folder``; returns it."""
    import torch
    from transformers import BlipConfig, BlipForConditionalGeneration, BlipProcessor

    vision = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {
        **vision, "encoder_hidden_size": 16, "vocab_size": _vocabulary(), "max_position_embeddings": 64,
        "bos_token_id": _id("[ENC]"), "eos_token_id": _id("[SEP]"), "sep_token_id": _id("[SEP]"), "pad_token_id": 0,
    }  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        sizes = {"image_size": SIDE, "patch_size": 8, "initializer_range": 0.5}
        config = BlipConfig(text_config={**text, "initializer_range": 0.5}, vision_config={**vision, **sizes})
        model = BlipForConditionalGeneration(config)
    model.save_pretrained(folder)
    processor = BlipProcessor(_pictures(), _tokenizer(cls_token="[CLS]", sep_token="[SEP]", bos_token="[ENC]"))
    processor.save_pretrained(folder)
    return folder


def make_tiny_chat_model(folder: Path, seed: int = 0) -> Path:
    """Save a random ``LlavaForConditionalGeneration`` and its processor into ``folder``; returns it."""
    import torch
    from transformers import LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor

    vision = {
        "model_type": "clip_vision_model", "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2,
        "num_attention_heads": 2, "image_size": SIDE, "patch_size": 8,
    }  # fmt: skip
    text = {
        "model_type": "llama", "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1,
        "num_attention_heads": 2, "vocab_size": _vocabulary(), "max_position_embeddings": 512, "initializer_range": 0.5,
        "bos_token_id": _id("<s>"), "eos_token_id": _id("</s>"), "pad_token_id": 0,
    }  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlavaForConditionalGeneration(
            LlavaConfig(vision_config=vision, text_config=text, image_token_id=_id("<image>"))
        )
    model.save_pretrained(folder)
    tokenizer = _tokenizer(bos_token="<s>", eos_token="</s>", extra_special_tokens={"image_token": "<image>"})
    processor = LlavaProcessor(
        _pictures(), tokenizer, patch_size=8, vision_feature_select_strategy="default", chat_template=CHAT,
        num_additional_image_tokens=1,
    )  # fmt: skip
    processor.save_pretrained(folder)
    return folder


def make_tiny_florence(folder: Path, seed: int = 0) -> Path:
    """Save a random ``Florence2ForConditionalGeneration`` and its processor into ``folder``; returns it."""
    import torch
    from transformers import Florence2Config, Florence2ForConditionalGeneration, Florence2Processor

    vision = {
        "depths": [1], "patch_size": [7], "patch_stride": [4], "patch_padding": [3], "patch_prenorm": [False],
        "embed_dim": [8], "num_heads": [2], "num_groups": [2], "window_size": 4, "projection_dim": 16,
    }  # fmt: skip
    text = {
        "model_type": "bart", "d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 32,
        "decoder_ffn_dim": 32, "encoder_attention_heads": 2, "decoder_attention_heads": 2, "vocab_size": _vocabulary(),
        "max_position_embeddings": 512, "bos_token_id": _id("<s>"), "eos_token_id": _id("</s>"), "pad_token_id": 0,
        "decoder_start_token_id": _id("</s>"), "forced_eos_token_id": None, "init_std": 0.5,
    }  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Florence2ForConditionalGeneration(
            Florence2Config(vision_config=vision, text_config=text, image_token_id=_id("<image>"))
        )
    model.save_pretrained(folder)
    tokenizer = _tokenizer(bos_token="<s>", eos_token="</s>", extra_special_tokens={"image_token": "<image>"})
    pictures = _pictures()
    pictures.image_seq_length = (SIDE // 4) ** 2 + 1
    Florence2Processor(pictures, tokenizer).save_pretrained(folder)
    return folder
