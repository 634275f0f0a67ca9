"""The weight W' that each kind of adapter makes, in NumPy and float64, straight from the definitions of the formats."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Array = np.ndarray
Tensors = dict[str, Array]


class Case:
    """Random tensors of one kind for a weight, and the change that they make."""

    def __init__(self, weight: Array, seed: int = 0) -> None:
        self.weight = weight
        self.rng = np.random.default_rng(seed)
        self.out, self.inputs, *self.kernel = weight.shape

    def draw(self, *shape: int) -> Array:
        # As large as trained factors are.
        return (self.rng.standard_normal(shape) * 0.3).astype(np.float32)

    @property
    def ones(self) -> tuple[int, ...]:
        return (1,) * len(self.kernel)


def lora(case: Case) -> tuple[Tensors, Array]:
    down, up = case.draw(4, case.inputs, *case.kernel), case.draw(case.out, 4, *case.ones)
    delta = (d64(up).reshape(case.out, 4) @ d64(down).reshape(4, -1)).reshape(case.weight.shape) * 1.5 / 4
    return {"lora_down.weight": down, "lora_up.weight": up, "alpha": scalar(1.5)}, delta


def lora_tucker(case: Case) -> tuple[Tensors, Array]:
    mid, down, up = case.draw(3, 3, *case.kernel), case.draw(3, case.inputs, 1, 1), case.draw(case.out, 3, 1, 1)
    delta = np.einsum("mnhw,im,nj->ijhw", d64(mid), d64(up)[:, :, 0, 0], d64(down)[:, :, 0, 0]) * 2 / 3
    return {
        "lora_mid.weight": mid,
        "lora_down.weight": down,
        "lora_up.weight": up,
        "alpha": scalar(2),
    }, delta


def loha(case: Case, rank: int = 2) -> tuple[Tensors, Array]:
    columns = case.inputs * int(np.prod(case.kernel))
    w1a, w1b = case.draw(case.out, rank), case.draw(rank, columns)
    w2a, w2b = case.draw(case.out, rank), case.draw(rank, columns)
    delta = (d64(w1a) @ d64(w1b)) * (d64(w2a) @ d64(w2b)) * 0.5 / rank
    tensors = {"hada_w1_a": w1a, "hada_w1_b": w1b, "hada_w2_a": w2a, "hada_w2_b": w2b, "alpha": scalar(0.5)}
    return tensors, delta.reshape(case.weight.shape)


def loha_wide(case: Case) -> tuple[Tensors, Array]:
    return loha(case, rank=6)


def loha_tucker(case: Case) -> tuple[Tensors, Array]:
    tensors: Tensors = {"alpha": scalar(1)}
    sides = []
    for number in (1, 2):
        t, a, b = case.draw(3, 3, *case.kernel), case.draw(3, case.out), case.draw(3, case.inputs)
        tensors |= {f"hada_t{number}": t, f"hada_w{number}_a": a, f"hada_w{number}_b": b}
        sides.append(np.einsum("ijhw,jr,ip->prhw", d64(t), d64(b), d64(a)))
    return tensors, sides[0] * sides[1] / 3


def lokr_full(case: Case) -> tuple[Tensors, Array]:
    w1, w2 = case.draw(4, 2), case.draw(case.out // 4, case.inputs // 2, *case.kernel)
    # Both full: the stored alpha is only the nominal rank.
    return {"lokr_w1": w1, "lokr_w2": w2, "alpha": scalar(5)}, kron(d64(w1), d64(w2))


def lokr_second(case: Case) -> tuple[Tensors, Array]:
    columns = case.inputs // 2 * int(np.prod(case.kernel))
    w1, a, b = case.draw(4, 2), case.draw(case.out // 4, 2), case.draw(2, columns)
    w2 = (d64(a) @ d64(b)).reshape(case.out // 4, case.inputs // 2, *case.kernel)
    return {"lokr_w1": w1, "lokr_w2_a": a, "lokr_w2_b": b, "alpha": scalar(1)}, kron(d64(w1), w2) / 2


def lokr_first(case: Case) -> tuple[Tensors, Array]:
    a, b, w2 = case.draw(4, 1), case.draw(1, 2), case.draw(case.out // 4, case.inputs // 2, *case.kernel)
    tensors = {"lokr_w1_a": a, "lokr_w1_b": b, "lokr_w2": w2, "alpha": scalar(3)}
    return tensors, kron(d64(a) @ d64(b), d64(w2)) * 3


def lokr_both(case: Case) -> tuple[Tensors, Array]:
    columns = case.inputs // 2 * int(np.prod(case.kernel))
    a1, b1, a2, b2 = case.draw(4, 2), case.draw(2, 2), case.draw(case.out // 4, 2), case.draw(2, columns)
    w2 = (d64(a2) @ d64(b2)).reshape(case.out // 4, case.inputs // 2, *case.kernel)
    tensors = {"lokr_w1_a": a1, "lokr_w1_b": b1, "lokr_w2_a": a2, "lokr_w2_b": b2, "alpha": scalar(3)}
    return tensors, kron(d64(a1) @ d64(b1), w2) * 3 / 2


def lokr_tucker(case: Case) -> tuple[Tensors, Array]:
    w1, t = case.draw(4, 2), case.draw(3, 3, *case.kernel)
    a, b = case.draw(3, case.out // 4), case.draw(3, case.inputs // 2)
    w2 = np.einsum("ijhw,jr,ip->prhw", d64(t), d64(b), d64(a))
    return {"lokr_w1": w1, "lokr_t2": t, "lokr_w2_a": a, "lokr_w2_b": b, "alpha": scalar(1)}, kron(d64(w1), w2) / 3


def full(case: Case) -> tuple[Tensors, Array]:
    diff = case.draw(*case.weight.shape)
    return {"diff": diff}, d64(diff)


def diag_oft(case: Case) -> tuple[Tensors, Array]:
    return _rotated(case, constraint=0)


def diag_oft_constrained(case: Case) -> tuple[Tensors, Array]:
    return _rotated(case, constraint=0.01)


def diag_oft_rescaled(case: Case) -> tuple[Tensors, Array]:
    tensors, delta = _rotated(case, constraint=0)
    rescale = case.draw(case.out, 1, *case.ones) + 1
    return {**tensors, "rescale": rescale}, (d64(case.weight) + delta) * d64(rescale) - d64(case.weight)


def _rotated(case: Case, constraint: float) -> tuple[Tensors, Array]:
    size = 4
    blocks = case.draw(case.out // size, size, size)
    turned = d64(case.weight).copy()
    for number, r in enumerate(cayley(d64(blocks), constraint * case.out)):
        rows = slice(number * size, (number + 1) * size)
        flat = turned[rows].reshape(size, -1)
        turned[rows] = (r.T @ flat).reshape(turned[rows].shape)
    return {"oft_blocks": blocks, "alpha": scalar(constraint)}, turned - d64(case.weight)


def boft(case: Case) -> tuple[Tensors, Array]:
    size, stages = 4, 2
    blocks = case.draw(stages, case.out // size, size, size)
    turned = d64(case.weight).reshape(case.out, -1)
    rotations = cayley(d64(blocks), 0)
    for stage in range(stages):
        # A permutation that brings rows 2^stage * size/2 apart side by side, a block diagonal, and back.
        apart = 2**stage * size // 2
        order = np.arange(case.out).reshape(-1, 2, apart).transpose(0, 2, 1).reshape(-1)
        block = np.zeros((case.out, case.out))
        for number, r in enumerate(rotations[stage]):
            rows = slice(number * size, (number + 1) * size)
            block[rows, rows] = r
        swap = np.eye(case.out)[order]
        turned = swap.T @ block @ swap @ turned
    return {"oft_blocks": blocks, "alpha": scalar(0)}, turned.reshape(case.weight.shape) - d64(case.weight)


def glora(case: Case) -> tuple[Tensors, Array]:
    a1, a2 = case.draw(case.inputs, 2, *case.ones), case.draw(2, case.inputs, *case.ones)
    b1, b2 = case.draw(case.out, 2, *case.ones), case.draw(2, case.inputs, *case.kernel)
    mixed = d64(a1).reshape(case.inputs, 2) @ d64(a2).reshape(2, case.inputs)
    turned = np.einsum("oi...,ij->oj...", d64(case.weight), mixed)
    added = (d64(b1).reshape(case.out, 2) @ d64(b2).reshape(2, -1)).reshape(case.weight.shape)
    tensors = {"a1.weight": a1, "a2.weight": a2, "b1.weight": b1, "b2.weight": b2, "alpha": scalar(1)}
    return tensors, (turned + added) / 2


def ia3_output(case: Case) -> tuple[Tensors, Array]:
    vector = case.draw(case.out) if not case.kernel else case.draw(1, case.out, *case.ones)
    delta = d64(case.weight) * d64(vector).reshape(-1, 1, *case.ones)
    return {"weight": vector, "on_input": np.array(0)}, delta


def ia3_input(case: Case) -> tuple[Tensors, Array]:
    vector = case.draw(case.inputs) if not case.kernel else case.draw(1, case.inputs, *case.ones)
    delta = d64(case.weight) * d64(vector).reshape(1, -1, *case.ones)
    return {"weight": vector, "on_input": np.array(1)}, delta


def dora(make: Callable[[Case], tuple[Tensors, Array]], *, by_input: bool) -> Callable[[Case], tuple[Tensors, Array]]:
    """``make`` with magnitudes along one axis."""

    def made(case: Case) -> tuple[Tensors, Array]:
        tensors, delta = make(case)
        kept = 1 if by_input else 0
        shape = [1] * case.weight.ndim
        shape[kept] = case.weight.shape[kept]
        magnitude = case.draw(*shape) + 1
        whole = d64(case.weight) + delta
        axes = tuple(axis for axis in range(whole.ndim) if axis != kept)
        norm = np.sqrt((whole**2).sum(axis=axes, keepdims=True))
        return {**tensors, "dora_scale": magnitude}, whole * d64(magnitude) / norm - d64(case.weight)

    return made


MATRIX = {
    "LoRA": lora,
    "LoHa": loha,
    "LoHa of high rank": loha_wide,
    "LoKr": lokr_full,
    "LoKr second": lokr_second,
    "LoKr first": lokr_first,
    "LoKr both": lokr_both,
    "full": full,
    "Diag-OFT": diag_oft,
    "Diag-OFT constrained": diag_oft_constrained,
    "Diag-OFT rescaled": diag_oft_rescaled,
    "BOFT": boft,
    "GLoRA": glora,
    "IA3 output": ia3_output,
    "IA3 input": ia3_input,
    "DoRA output": dora(lora, by_input=False),
    "DoRA input": dora(lora, by_input=True),
    "DoRA LoHa input": dora(loha, by_input=True),
    "DoRA LoKr output": dora(lokr_second, by_input=False),
}
CONV = {"LoCon Tucker": lora_tucker, "LoHa Tucker": loha_tucker, "LoKr Tucker": lokr_tucker}
"""Only for convolutions larger than 1x1."""


def cayley(blocks: Array, most: float) -> Array:
    """(I + Q)(I - Q)⁻¹ of Q = B - Bᵀ, its norm over all blocks at most ``most`` (0: no bound)."""
    skew = blocks - np.swapaxes(blocks, -1, -2)
    norm = np.sqrt((skew**2).sum())
    if 0 < most < norm:
        skew = skew * most / norm
    eye = np.eye(blocks.shape[-1])
    rotation: Array = (eye + skew) @ np.linalg.inv(eye - skew)
    return rotation


def kron(w1: Array, w2: Array) -> Array:
    return np.kron(w1.reshape(*w1.shape, *[1] * (w2.ndim - 2)), w2)


def d64(array: Array) -> Array:
    return array.astype(np.float64)


def scalar(value: float) -> Array:
    return np.array(value, np.float32)
