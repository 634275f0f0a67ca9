"""Pipelines of the real classes with random weights, small enough to train on one core in a test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from tests.support.tiny_pipeline import _text_settings, _tokenizer_files, make_tiny_pipeline


def _clip(vocabulary: int, width: int, *, projection: int = 0) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    settings = {**_text_settings(vocabulary), "hidden_size": width, "projection_dim": projection or width}
    return (CLIPTextModelWithProjection if projection else CLIPTextModel)(CLIPTextConfig(**settings))


def _clip_tokenizers(folder: Path, *names: str) -> dict[str, Any]:
    from transformers import CLIPTokenizer

    made = {}
    for name in names:
        _tokenizer_files(folder / name)
        made[name] = CLIPTokenizer.from_pretrained(str(folder / name))
    return made


def _vae(channels: int, **more: Any) -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(4, 4, 4, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=channels,
        norm_num_groups=2,
        sample_size=64,
        **more,
    )


def make_tiny_sdxl(folder: Path, *, velocity: bool = False) -> Path:
    """``StableDiffusionXLPipeline``: 64x64 pixels, the three levels of SDXL with one transformer each."""
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel

    tokenizers = _clip_tokenizers(folder, "tokenizer", "tokenizer_2")
    vocabulary = len(tokenizers["tokenizer"])
    with _seeded():
        unet = UNet2DConditionModel(
            sample_size=8,
            block_out_channels=(8, 16, 16),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            layers_per_block=2,
            transformer_layers_per_block=(1, 1, 1),
            attention_head_dim=(1, 2, 2),
            cross_attention_dim=48,
            norm_num_groups=4,
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=4,
            projection_class_embeddings_input_dim=4 * 6 + 16,
        )
        parts = {
            "unet": unet,
            "vae": _vae(4, scaling_factor=0.13025, force_upcast=True),
            "text_encoder": _clip(vocabulary, 16),
            "text_encoder_2": _clip(vocabulary, 32, projection=16),
        }
    scheduler = EulerDiscreteScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction" if velocity else "epsilon",
        rescale_betas_zero_snr=velocity,
        timestep_spacing="trailing" if velocity else "leading",
    )
    StableDiffusionXLPipeline(**parts, **tokenizers, scheduler=scheduler, add_watermarker=False).save_pretrained(folder)
    return folder


def _seeded() -> Any:
    """Random weights that are the same each time, without moving the caller's random state."""

    class _Seeded:
        def __enter__(self) -> None:
            self._kept = torch.random.get_rng_state()
            torch.manual_seed(0)

        def __exit__(self, *_: object) -> None:
            torch.random.set_rng_state(self._kept)

    return _Seeded()


def _t5_tokenizer() -> Any:
    from transformers import T5TokenizerFast

    letters = [("\u2581", -2.0), *((chr(code), -3.0) for code in range(ord("!"), ord("~") + 1))]
    return T5TokenizerFast(vocab=[("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *letters], extra_ids=0)


def _t5(tokenizer: Any, width: int) -> Any:
    from transformers import T5Config, T5EncoderModel

    return T5EncoderModel(
        T5Config(vocab_size=len(tokenizer), d_model=width, d_kv=8, d_ff=32, num_layers=1, num_heads=2)
    )


def make_tiny_flux(folder: Path, *, dev: bool = True) -> Path:
    """``FluxPipeline`` with one double and one single block."""
    from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel

    tokenizers = {**_clip_tokenizers(folder, "tokenizer"), "tokenizer_2": _t5_tokenizer()}
    with _seeded():
        parts = {
            "transformer": FluxTransformer2DModel(
                in_channels=16,
                num_layers=1,
                num_single_layers=1,
                attention_head_dim=8,
                num_attention_heads=2,
                joint_attention_dim=16,
                pooled_projection_dim=16,
                guidance_embeds=dev,
                axes_dims_rope=(2, 2, 4),
            ),
            "vae": _vae(4, scaling_factor=0.3611, shift_factor=0.1159, use_quant_conv=False, use_post_quant_conv=False),
            "text_encoder": _clip(len(tokenizers["tokenizer"]), 16),
            "text_encoder_2": _t5(tokenizers["tokenizer_2"], 16),
        }
    shifting = {"shift": 3.0, "use_dynamic_shifting": True} if dev else {"shift": 1.0}
    scheduler = FlowMatchEulerDiscreteScheduler(**shifting)
    FluxPipeline(**parts, **tokenizers, scheduler=scheduler).save_pretrained(folder)
    return folder


def make_tiny_sd3(folder: Path) -> Path:
    """``StableDiffusion3Pipeline`` with two blocks, the first of which attends twice as SD 3.5 medium's do."""
    from diffusers import FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel, StableDiffusion3Pipeline

    tokenizers = {**_clip_tokenizers(folder, "tokenizer", "tokenizer_2"), "tokenizer_3": _t5_tokenizer()}
    vocabulary = len(tokenizers["tokenizer"])
    with _seeded():
        parts = {
            "transformer": SD3Transformer2DModel(
                sample_size=8,
                in_channels=4,
                out_channels=4,
                num_layers=2,
                attention_head_dim=8,
                num_attention_heads=2,
                joint_attention_dim=64,
                caption_projection_dim=16,
                pooled_projection_dim=32,
                pos_embed_max_size=16,
                dual_attention_layers=(0,),
                qk_norm="rms_norm",
            ),
            "vae": _vae(4, scaling_factor=1.5305, shift_factor=0.0609, use_quant_conv=False, use_post_quant_conv=False),
            "text_encoder": _clip(vocabulary, 16, projection=16),
            "text_encoder_2": _clip(vocabulary, 32, projection=16),
            "text_encoder_3": _t5(tokenizers["tokenizer_3"], 64),
        }
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    StableDiffusion3Pipeline(**parts, **tokenizers, scheduler=scheduler).save_pretrained(folder)
    return folder


_CHAT = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def make_tiny_zimage(folder: Path) -> Path:
    """``ZImagePipeline`` with one block in each stack."""
    from diffusers import FlowMatchEulerDiscreteScheduler, ZImagePipeline, ZImageTransformer2DModel
    from tokenizers import pre_tokenizers
    from transformers import Qwen2TokenizerFast, Qwen3Config, Qwen3Model

    vocabulary = {letter: number for number, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Qwen2TokenizerFast(vocab={**vocabulary, "<|endoftext|>": len(vocabulary)}, merges=[])
    tokenizer.chat_template = _CHAT
    with _seeded():
        parts = {
            "transformer": ZImageTransformer2DModel(
                in_channels=4,
                dim=16,
                n_layers=1,
                n_refiner_layers=1,
                n_heads=2,
                n_kv_heads=2,
                cap_feat_dim=16,
                axes_dims=[2, 2, 4],
                axes_lens=[640, 32, 32],
            ),
            "vae": _vae(4, scaling_factor=0.3611, shift_factor=0.1159, use_quant_conv=False, use_post_quant_conv=False),
            "text_encoder": Qwen3Model(
                Qwen3Config(
                    vocab_size=len(tokenizer) + 8,
                    hidden_size=16,
                    intermediate_size=32,
                    num_hidden_layers=2,
                    num_attention_heads=2,
                    num_key_value_heads=2,
                    head_dim=8,
                )
            ),
        }
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    ZImagePipeline(**parts, tokenizer=tokenizer, scheduler=scheduler).save_pretrained(folder)
    return folder


MAKERS: dict[str, Callable[[Path], Path]] = {
    "sd15": make_tiny_pipeline,
    "sdxl": make_tiny_sdxl,
    "flux": make_tiny_flux,
    "sd35": make_tiny_sd3,
    "zimage": make_tiny_zimage,
}
