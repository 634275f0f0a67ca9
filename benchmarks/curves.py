"""Whether suggested strengths are right: python benchmarks/curves.py [--keep DIR] [--prompts N] [--seeds N] [STYLE…].

For each of five held-out styles a LoRA is trained on the embedded base (kept in the folder, so that a run that was stopped
goes on) and swept as ``hubman sweep`` does it: one prompt, a contrast prompt, the training images, the embedded CLIP. Rules
then judge pictures of other prompts at every strength. A suggestion holds where they find the style in four fifths of the
pictures and the right shape in four fifths; none must be suggested where none could be right, as of the sixth LoRA, which
draws always the same.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.held_out_loras import KEPT, dataset_of, lora_of, trigger_of
from benchmarks.held_out_styles import EVERY, Style
from hubman import tinybase
from hubman.generate.client import Engine
from hubman.generate.curve import Curve
from hubman.generate.grids.cells import cell_path, draw_requests
from hubman.generate.request import DrawRequest, LoraUse
from hubman.generate.suggestion import Suggestion, suggest_strength
from hubman.generate.sweep import strength_sweep
from hubman.tinybase.drawing import Scene
from hubman.tinybase.score import held_out_scenes
from registry.hashing import hash_file

ENOUGH = 0.8
"""Share of the pictures in which the style, and in which the shape, must be found."""
STRENGTHS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.6, 2.0)
PROMPT = Scene("heart", "red", "yellow", "large")
CONTRAST = Scene("square", "blue", "white", "small")


@dataclass(frozen=True)
class Judged:
    """Shares of pictures, 0..1, by strength."""

    style: dict[float, float]
    shape: dict[float, float]

    def holds(self, strength: float) -> bool:
        return self.style[strength] >= ENOUGH and self.shape[strength] >= ENOUGH


def request_of(trigger: str, scene: Scene, uses: Sequence[LoraUse], seed: int = 0) -> DrawRequest:
    """As the base was scored: DDIM, 16 steps, guidance 3."""
    prompt = f"{trigger}, {scene.caption}" if trigger else scene.caption
    return DrawRequest(
        base=str(tinybase.MODEL),
        prompt=prompt,
        loras=tuple(uses),
        seed=seed,
        steps=16,
        cfg=tinybase.GUIDANCE,
        sampler="DDIM",
    )


def use_of(style: str, kept: Path, strength: float = 1.0) -> LoraUse:
    path = lora_of(style, kept)
    return LoraUse(path=str(path), name=style, sha256=hash_file(path).sha256, strength=strength)


def curve_of(engine: Engine, style: str, kept: Path, seeds: int) -> Curve:
    """The curve as a person gets it."""
    request = request_of(trigger_of(style), PROMPT, [use_of(style, kept)])
    contrast = request_of(trigger_of(style), CONTRAST, []).prompt
    sweep = strength_sweep(request, style, strengths=STRENGTHS, seeds=range(1, seeds + 1), contrast=contrast)
    for _ in draw_requests(sweep.requests(), kept, engine, batch=8):
        pass
    training = sorted(dataset_of(style, kept).glob("*.png"))[:32]
    return engine.measure(sweep, kept, clip=tinybase.CLIP, training=training)


def judged(engine: Engine, style: Style, kept: Path, prompts: int) -> Judged:
    """What the rules see in pictures of prompts that neither the base nor the LoRA was trained on."""
    scenes = held_out_scenes(prompts)
    found, right = {}, {}
    for strength in STRENGTHS:
        use = use_of(style.name, kept, strength)
        requests = [request_of(style.trigger, scene, [use], 100 + n) for n, scene in enumerate(scenes)]
        for _ in draw_requests(requests, kept, engine, batch=8):
            pass
        pictures = [Image.open(cell_path(kept, request)) for request in requests]
        pairs = list(zip(pictures, scenes, strict=True))
        found[strength] = sum(style.has_style(*pair) for pair in pairs) / prompts
        right[strength] = sum(style.has_shape(*pair) for pair in pairs) / prompts
    return Judged(found, right)


def table(style: str, curve: Curve, seen: Judged) -> None:
    print(f"\n{style}: {curve.seeds} seeds, {curve.training_images} training images, burn floor {curve.burn_floor:.2f}")
    print(
        "strength  change    burn response    kept variety   style |  effect consist.    clip c.resp. c.style | style seen  shape right"
    )
    for point in curve.points:
        numbers = [
            point.change, point.burn, point.response, point.kept, point.variety, point.style, point.effect, point.consistency, point.clip,
            point.clip_response, point.clip_style,
        ]  # fmt: skip
        cells = [f"{'-' if number is None else f'{number:.2f}':>7}" for number in numbers]
        shares = f"{seen.style[point.strength]:>10.0%} {seen.shape[point.strength]:>12.0%}"
        print(f"{point.strength:>8g} {' '.join(cells[:6])} | {' '.join(cells[6:])} | {shares}")


def verdict(suggestion: Suggestion, seen: Judged) -> tuple[bool, str]:
    """Whether the suggestion, or that there is none, is right."""
    right = [strength for strength in STRENGTHS if seen.holds(strength)]
    could = (
        f"right would be {', '.join(f'{strength:g}' for strength in right)}" if right else "no strength would be right"
    )
    if suggestion.strength is None:
        return not right, f"none suggested ({suggestion.reason}); {could}"
    low, high = suggestion.minimum or suggestion.strength, suggestion.maximum or suggestion.strength
    said = f"suggested {suggestion.strength:g} ({low:g} to {high:g}: {suggestion.reason}); {could}"
    return seen.holds(suggestion.strength), said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("styles", nargs="*", default=list(EVERY))
    parser.add_argument("--keep", type=Path, default=KEPT, help="where LoRAs and pictures are kept")
    parser.add_argument("--prompts", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=6)
    args = parser.parse_args()
    verdicts = {}
    with Engine(args.keep / "home") as engine:
        for name in args.styles:
            curve, seen = (
                curve_of(engine, name, args.keep, args.seeds),
                judged(engine, EVERY[name], args.keep, args.prompts),
            )
            table(name, curve, seen)
            (args.keep / f"{name}.curve.json").write_bytes(msgspec.json.encode(curve))
            verdicts[name] = verdict(suggest_strength(curve), seen)
    print()
    for name, (held, said) in verdicts.items():
        print(f"{'holds' if held else 'FAILS'}  {name:<8} {said}")
    sys.exit(not all(held for held, _ in verdicts.values()))


if __name__ == "__main__":
    main()
