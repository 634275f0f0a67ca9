"""Adapters of many architectures in the names of many trainers: module names and widths as in the real models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

Modules = Mapping[str, tuple[int, int]]
"""Name of a module in its model to (inputs, outputs)."""

_NONE: Modules = {}

Shapes = dict[str, tuple[str, list[int]]]


def blocks(pattern: str, count: int, modules: Modules) -> dict[str, tuple[int, int]]:
    """The same modules in ``count`` blocks; ``pattern`` holds ``{}`` for the block's number."""
    return {f"{pattern.format(i)}.{name}": shape for i in range(count) for name, shape in modules.items()}


def attention(width: int, inner: Sequence[str] = ("to_q", "to_k", "to_v", "to_out.0")) -> dict[str, tuple[int, int]]:
    return dict.fromkeys(inner, (width, width))


def within(name: str, modules: Modules) -> dict[str, tuple[int, int]]:
    return {f"{name}.{module}": shape for module, shape in modules.items()}


@dataclass(frozen=True)
class Model:
    """A model whose LoRAs are to be told apart; ``own``: the names in its own code, ``diffusers``: in diffusers."""

    architecture: str
    variant: str | None
    base: str | None
    own: Modules | None = None
    diffusers: Modules | None = None
    metadata: Mapping[str, str] | None = None

    def __str__(self) -> str:
        return f"{self.architecture} {self.variant or ''}".strip()


def _unet(cross: int, *, depth: int = 1) -> dict[str, tuple[int, int]]:
    attn = {
        **within("attn1", attention(640)),
        "attn2.to_q": (640, 640),
        "attn2.to_k": (cross, 640),
        "attn2.to_v": (cross, 640),
    }
    inner = {**attn, "ff.net.0.proj": (640, 5120), "ff.net.2": (2560, 640)}
    return {
        **blocks("down_blocks.1.attentions.0.transformer_blocks.{}", depth, inner),
        **blocks("up_blocks.1.attentions.1.transformer_blocks.{}", depth, inner),
        "mid_block.attentions.0.proj_in": (1280, 1280),
    }


def _ldm(cross: int, *, depth: int = 2) -> dict[str, tuple[int, int]]:
    names = {"down_blocks.1.attentions.0": "input_blocks.4.1", "up_blocks.1.attentions.1": "output_blocks.4.1"}
    found = {}
    for name, shape in _unet(cross, depth=depth).items():
        for diffusers, ldm in {**names, "mid_block.attentions.0": "middle_block.1"}.items():
            name = name.replace(diffusers, ldm)  # noqa: PLW2901
        found[name] = shape
    return found


def _double(width: int, double: int, single: int, out: int) -> dict[str, tuple[int, int]]:
    qkv = (width, 3 * width)
    return {
        **blocks("double_blocks.{}", double, {
            "img_attn.qkv": qkv, "img_attn.proj": (width, width), "txt_attn.qkv": qkv, "img_mlp.0": (width, 4 * width),
            "img_mlp.2": (4 * width, width), "img_mod.lin": (width, 6 * width),
        }),
        **blocks("single_blocks.{}", single, {"linear1": (width, out), "linear2": (5 * width, width)}),
    }  # fmt: skip


def _joint(width: int, double: int, single: int) -> dict[str, tuple[int, int]]:
    both = {
        **attention(width),
        "add_q_proj": (width, width),
        "add_k_proj": (width, width),
        "to_add_out": (width, width),
    }
    return {
        **blocks("transformer_blocks.{}.attn", double, both),
        **blocks("transformer_blocks.{}", double, {"ff.net.0.proj": (width, 4 * width)}),
        **blocks("single_transformer_blocks.{}.attn", single, attention(width, ("to_q", "to_k", "to_v"))),
    }


def _flux2(width: int, single: int) -> dict[str, tuple[int, int]]:
    return {
        **blocks("transformer_blocks.{}.attn", 8, attention(width)),
        **blocks("transformer_blocks.{}", 8, {"ff.linear_in": (width, 6 * width), "ff.linear_out": (3 * width, width)}),
        **blocks(
            "single_transformer_blocks.{}.attn",
            single,
            {"to_qkv_mlp_proj": (width, 9 * width), "to_out": (4 * width, width)},
        ),
    }


def _hunyuan(width: int, double: int, single: int) -> dict[str, tuple[int, int]]:
    qkv = (width, 3 * width)
    return {
        **blocks("double_blocks.{}", double, {
            "img_attn_qkv": qkv, "img_attn_proj": (width, width), "img_mlp.fc1": (width, 4 * width), "txt_attn_qkv": qkv,
        }),
        **blocks("single_blocks.{}", single, {"linear1": (width, 7 * width), "modulation.linear": (width, 3 * width)}),
    }  # fmt: skip


def _wan(width: int, extra: Modules = _NONE) -> dict[str, tuple[int, int]]:
    one = attention(width, ("self_attn.q", "self_attn.k", "self_attn.v", "self_attn.o", "cross_attn.q", "cross_attn.k"))
    return blocks("blocks.{}", 30, {**one, "ffn.0": (width, 4 * width), "ffn.2": (4 * width, width), **extra})


def _wan_diffusers(width: int) -> dict[str, tuple[int, int]]:
    one = {
        **within("attn1", attention(width)),
        **within("attn2", attention(width)),
        "ffn.net.0.proj": (width, 4 * width),
    }
    return blocks("blocks.{}", 30, one)


def _dit(width: int, count: int, *, cross: bool = True) -> dict[str, tuple[int, int]]:
    one = {**within("attn1", attention(width)), **(within("attn2", attention(width)) if cross else {})}
    return blocks(
        "transformer_blocks.{}", count, {**one, "ff.net.0.proj": (width, 4 * width), "ff.net.2": (4 * width, width)}
    )


def _qwen() -> dict[str, tuple[int, int]]:
    return {
        **_joint(3072, 60, 0),
        **blocks("transformer_blocks.{}", 60, {"img_mlp.net.0.proj": (3072, 12288), "img_mod.1": (3072, 18432)}),
    }


def _sd3(width: int, count: int, extra: Modules = _NONE) -> dict[str, tuple[int, int]]:
    one = {
        "x_block.attn.qkv": (width, 3 * width),
        "context_block.attn.proj": (width, width),
        "x_block.mlp.fc1": (width, 4 * width),
    }
    return blocks("joint_blocks.{}", count, {**one, **extra})


_CASCADE = blocks("down_blocks.0.{}", 6, {
    "channelwise.0": (2048, 8192), "attention.to_q": (2048, 2048), "kv_mapper.1": (2048, 2048),
})  # fmt: skip
_ANIMA = blocks("blocks.{}", 28, {
    "self_attn.q_proj": (2048, 2048), "self_attn.output_proj": (2048, 2048), "cross_attn.k_proj": (1024, 2048),
    "mlp.layer1": (2048, 8192), "adaln_modulation_mlp.1": (2048, 256),
})  # fmt: skip
_ZIMAGE = blocks("layers.{}", 30, {**within("attention", attention(3840)), "feed_forward.w1": (3840, 10240)})
_LUMINA = blocks(
    "layers.{}", 26, {"attention.qkv": (2304, 3840), "attention.out": (2304, 2304), "feed_forward.w1": (2304, 9216)}
)
_HIDREAM = blocks("double_stream_blocks.{}.block", 16, {
    **within("attn1", attention(2560)), "ff_i.shared_experts.w1": (2560, 3584), "ff_i.experts.0.w1": (2560, 6912),
})  # fmt: skip
_HYDIT = blocks("blocks.{}", 40, {
    "attn1.Wqkv": (1408, 4224), "attn1.out_proj": (1408, 1408), "attn2.q_proj": (1408, 1408), "attn2.kv_proj": (1024, 2816),
})  # fmt: skip
_HYDIT_DIFFUSERS = blocks("blocks.{}", 40, {
    **within("attn1", attention(1408)), "attn2.to_q": (1408, 1408), "attn2.to_k": (1024, 1408),
})  # fmt: skip
_AURA = {
    **blocks("joint_transformer_blocks.{}.attn", 4, {**attention(3072), "add_q_proj": (3072, 3072)}),
    **blocks("single_transformer_blocks.{}.attn", 32, attention(3072)),
}
_MOCHI = blocks("blocks.{}", 48, {"attn.qkv_x": (3072, 9216), "attn.qkv_y": (1536, 9216), "attn.proj_x": (3072, 3072)})
_MOCHI_DIFFUSERS = blocks("transformer_blocks.{}.attn1", 48, {**attention(3072), "add_q_proj": (1536, 3072)})
_KREA2 = blocks("blocks.{}", 28, {
    "attn.wq": (6144, 6144), "attn.wk": (6144, 1536), "attn.wo": (6144, 6144), "mlp.gate": (6144, 16384),
})  # fmt: skip
_KREA2_DIFFUSERS = blocks("transformer_blocks.{}.attn", 28, {**attention(6144), "to_gate": (6144, 6144)})
_LTX2 = {
    **_dit(4096, 48),
    **blocks("transformer_blocks.{}", 48, {"audio_attn1.to_q": (2048, 2048), "audio_ff.net.0.proj": (2048, 8192)}),
}
_PIXART = blocks(
    "blocks.{}",
    28,
    {"attn.qkv": (1152, 3456), "cross_attn.q_linear": (1152, 1152), "cross_attn.kv_linear": (1152, 2304)},
)
_LUMINA_DIFFUSERS = blocks("layers.{}.attn", 26, {**attention(2304), "to_k": (2304, 768)})

MODELS = (
    Model("sd1", None, "SD 1.5", None, _unet(768)),
    Model("sd2", None, "SD 2.1", None, _unet(1024)),
    Model("sdxl", None, "SDXL 1.0", _ldm(2048), _unet(2048, depth=2)),
    Model("sdxl", "refiner", "SDXL 1.0", _ldm(1280), _unet(1280, depth=2)),
    Model("kolors", None, "Kolors", _ldm(2048), _unet(2048, depth=2), {"modelspec.architecture": "kolors/lora"}),
    Model("sd3", "medium", "SD 3", _sd3(1536, 24), _joint(1536, 24, 0)),
    Model("sd3", "3.5 medium", "SD 3.5 Medium", _sd3(1536, 24, {"x_block.attn2.qkv": (1536, 4608)})),
    Model("sd3", "large", "SD 3.5 Large", _sd3(2432, 38), _joint(2432, 38, 0)),
    Model("flux", None, "Flux.1 D", _double(3072, 19, 38, 21504), _joint(3072, 19, 38)),
    Model("flux", None, "Flux.1 S", _double(3072, 19, 38, 21504), _joint(3072, 19, 38), {"ss_sd_model_name": "flux1-schnell"}),
    Model("chroma", None, "Chroma", _double(3072, 19, 38, 21504), _joint(3072, 19, 38), {"ss_base_model_version": "chroma"}),
    Model("flux2", "Klein 4B", "Flux.2 Klein 4B", _double(3072, 5, 20, 27648), _flux2(3072, 20)),
    Model("flux2", "Klein 9B", "Flux.2 Klein 9B", _double(4096, 8, 24, 36864), _flux2(4096, 24)),
    Model("flux2", "Dev", "Flux.2 D", _double(6144, 8, 48, 55296), _flux2(6144, 48)),
    Model("z-image", None, "ZImageTurbo", _ZIMAGE, _ZIMAGE),
    Model("lumina", None, "Lumina", _LUMINA, _LUMINA_DIFFUSERS),
    Model("qwen", None, "Qwen", None, _qwen()),
    Model("wan", "1.3B", "Wan Video 1.3B t2v", _wan(1536), _wan_diffusers(1536)),
    Model("wan", "5B", "Wan Video 2.2 TI2V-5B", _wan(3072), _wan_diffusers(3072)),
    Model("wan", "14B", None, _wan(5120), _wan_diffusers(5120)),
    Model("wan", "14B I2V", None, _wan(5120, {"cross_attn.k_img": (5120, 5120)})),
    Model("wan", "14B", "Wan Video 2.2 T2V-A14B", _wan(5120), None, {"ss_sd_model_name": "wan2.2_t2v_low_noise_14B"}),
    Model("hunyuan-video", None, "Hunyuan Video", _hunyuan(3072, 20, 40), _joint(3072, 20, 40)),
    Model("hunyuan-video", "1.5", "Hunyuan Video", _hunyuan(2048, 54, 0)),
    Model("hunyuan-image", None, None, _hunyuan(3584, 20, 40)),
    Model("hunyuan-dit", None, "Hunyuan 1", _HYDIT, _HYDIT_DIFFUSERS),
    Model("pixart", None, "PixArt E", _PIXART, _dit(1152, 28)),
    Model("sana", None, None, None, _dit(2240, 20)),
    Model("cascade", None, "Stable Cascade", _CASCADE, _CASCADE),
    Model("anima", None, "Anima", _ANIMA),
    Model("auraflow", None, "AuraFlow", None, _AURA),
    Model("auraflow", None, "Pony V7", None, _AURA, {"ss_sd_model_name": "pony-v7-base"}),
    Model("hidream", None, "HiDream", _HIDREAM, _HIDREAM),
    Model("ltx", "2B", "LTXV", _dit(2048, 28), _dit(2048, 28)),
    Model("ltx", "13B", "LTXV", _dit(4096, 48), _dit(4096, 48)),
    Model("ltx2", None, "LTXV2", _LTX2, _LTX2),
    Model("cogvideo", "2B", "CogVideoX", None, _dit(1920, 30, cross=False)),
    Model("cogvideo", "5B", "CogVideoX", None, _dit(3072, 42, cross=False)),
    Model("mochi", None, "Mochi", _MOCHI, _MOCHI_DIFFUSERS),
    Model("krea2", None, "Krea 2", _KREA2, _KREA2_DIFFUSERS),
)  # fmt: skip

_DENOISER = {"sd1": "unet", "sd2": "unet", "sdxl": "unet", "kolors": "unet", "cascade": "unet"}


def _named(modules: Modules, prefix: str, parts: tuple[str, str, str | None], *, flat: bool) -> Shapes:
    found: Shapes = {}
    for name, (inputs, outputs) in modules.items():
        module = prefix + (name.replace(".", "_") if flat else name)
        if parts[2]:
            found[f"{module}.{parts[2]}"] = ("F16", [])
        found[f"{module}.{parts[0]}"] = ("F16", [4, inputs])
        found[f"{module}.{parts[1]}"] = ("F16", [outputs, 4])
    return found


_KOHYA = ("lora_down.weight", "lora_up.weight", "alpha")
_PEFT = ("lora_A.weight", "lora_B.weight", None)


def files(model: Model) -> Iterator[tuple[str, str, Shapes]]:
    """(trainer, naming, tensors) for each way in which LoRAs of ``model`` are written."""
    if model.own:
        yield "kohya", "kohya", _named(model.own, "lora_unet_", _KOHYA, flat=True)
        yield "ComfyUI", "original", _named(model.own, "diffusion_model.", _PEFT, flat=False)
        yield "musubi", "original", _named(model.own, "diffusion_model.", _KOHYA, flat=False)
        yield (
            "PEFT",
            "peft",
            _named(
                model.own, "base_model.model.", ("lora_A.default.weight", "lora_B.default.weight", None), flat=False
            ),
        )
    if model.diffusers:
        part = _DENOISER.get(model.architecture, "transformer")
        naming = "diffusers" if part == "unet" else "transformer"
        yield "diffusers", naming, _named(model.diffusers, f"{part}.", _PEFT, flat=False)
        yield (
            "script",
            naming,
            _named(model.diffusers, f"{part}.", ("lora.down.weight", "lora.up.weight", None), flat=False),
        )
        yield "kohya of diffusers", "kohya", _named(model.diffusers, f"lora_{part}_", _KOHYA, flat=True)
        yield "SimpleTuner", "lycoris", _named(model.diffusers, "lycoris_", _KOHYA, flat=True)


def checkpoint(modules: Modules, prefix: str = "") -> Shapes:
    """The weights themselves, as a file of the whole model has them."""
    return {f"{prefix}{name}.weight": ("BF16", [outputs, inputs]) for name, (inputs, outputs) in modules.items()}
