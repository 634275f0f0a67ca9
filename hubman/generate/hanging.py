"""What hangs in a base now: the LoRAs of a batch in its bank, or written into its weights."""

from __future__ import annotations

from collections.abc import Callable

from hubman.generate.bank import Bank
from hubman.generate.cell_rows import text_strength
from hubman.generate.encode import Encoder
from hubman.generate.fused import Fused, StrengthAt
from hubman.generate.pipeline import Base
from hubman.generate.request import DrawRequest, LoraUse
from hubman.lora.blocks import Block, blocks_of, read_blocks
from hubman.lora.keys import TEXT_ENCODERS, Site
from hubman.lora.load import LoraWeights
from hubman.lora.truncating import truncated


def in_order(request: DrawRequest) -> list[LoraUse]:
    """LoRAs by hash: floating-point sums depend on the order, and one grid must have one."""
    return sorted(request.loras, key=lambda use: use.sha256)


def plan_of_loras(request: DrawRequest) -> tuple[object, ...]:
    """What cells that share a batch must have in common of their LoRAs: in the bank the files, fused all of them."""
    uses = in_order(request)
    if request.mode != "fused":
        return ("bank", *((use.sha256, use.rank) for use in uses))
    return ("fused", *((use.sha256, use.rank, use.strength, use.text_strength, use.blocks) for use in uses))


class Hanging:
    """The bank, the fused weights and the encoder of a base, of which one of the first two has the LoRAs."""

    def __init__(self, base: Base) -> None:
        self.base = base
        self.bank = Bank(
            base.model.roots,
            base.modules,
            originals=base.model.original_names,
            fixed=base.model.device.type == "cuda",
        )
        self.encoder = Encoder(base.model, self.bank)
        self._fused = Fused(base.modules)
        self._blocks = blocks_of(base.modules, base.model.original_names)
        self._now: tuple[object, ...] = ()

    @property
    def path(self) -> str:
        """``bank`` or ``fused``, as pictures tell how they were drawn."""
        return "fused" if self._fused.is_in else "bank"

    def compile(self, backend: str = "inductor") -> None:
        """Compile the denoiser: one program whatever the strengths are, at the cost of a minute or more when it first runs."""
        self.bank.fixed = True
        self.base.model.denoiser.compile(backend=backend, dynamic=False)

    def hang(self, request: DrawRequest, weights_of: Callable[[LoraUse], LoraWeights]) -> list[str]:
        """Hang the LoRAs of the batch of ``request``; the hashes of what is in the bank, in its order.

        ``weights_of`` reads a file; what it raises leaves the base without LoRAs.
        """
        wanted = plan_of_loras(request)
        uses = in_order(request)
        if wanted != self._now:
            self.take_down()
            loras = [_cut(weights_of(use), use.rank) for use in uses]
            if request.mode == "fused":
                self._fused.write([(lora, self._strength(use)) for lora, use in zip(loras, uses, strict=True)])
            else:
                self.bank.install(loras)
            self._now = wanted
        return [] if request.mode == "fused" else [use.sha256 for use in uses]

    def take_down(self) -> None:
        """Leave the base as it was loaded."""
        self._now = ()
        self._fused.restore()
        self.bank.remove()
        self.encoder.forget()

    def _strength(self, use: LoraUse) -> StrengthAt:
        weights = read_blocks(use.blocks)

        def at(site: Site) -> float:
            if site.component in TEXT_ENCODERS:
                return text_strength(use)
            return use.strength * (weights.of(self._blocks.get(site, Block(""))) if weights else 1.0)

        return at


def _cut(lora: LoraWeights, rank: int | None) -> LoraWeights:
    return lora if rank is None else truncated(lora, rank)
