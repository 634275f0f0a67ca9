"""What fingerprints of LoRAs cost: python benchmarks/fingerprints.py.

A LoRA of the 722 modules of SDXL's UNet at rank 128 (681 MB in fp16) is read on one thread with its file in memory,
beside a bare pass over its bytes; then one is compared with a thousand. Times are of the processor, best of some.
"""

from __future__ import annotations

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from hubman.lora import fingerprint_store
from hubman.lora.conflict import meter
from hubman.lora.fingerprints import SIZE, Fingerprint, fingerprint
from hubman.lora.relatives import origin
from registry import fingerprints as kept
from registry.database import Registry
from registry.fingerprints import StoredNorms

RANK, MODULES, RUNS, LIBRARY = 128, 722, 8, 1000
FINGERPRINT_S, COMPARE_S, METER_S = 0.6, 0.5, 0.02


def sdxl_modules() -> Iterator[tuple[str, int, int]]:
    """Names (kohya's), rows and columns of the attention and feed-forward layers of SDXL's UNet."""
    blocks = [(f"input_blocks_{n}_1", 640, 2) for n in (4, 5)] + [(f"input_blocks_{n}_1", 1280, 10) for n in (7, 8)]
    blocks += [("middle_block_1", 1280, 10)] + [(f"output_blocks_{n}_1", 1280, 10) for n in (0, 1, 2)]
    blocks += [(f"output_blocks_{n}_1", 640, 2) for n in (3, 4, 5)]
    for block, width, depth in blocks:
        for name in ("proj_in", "proj_out"):
            yield f"lora_unet_{block}_{name}", width, width
        for layer in range(depth):
            inner = f"lora_unet_{block}_transformer_blocks_{layer}"
            for name in ("attn1_to_q", "attn1_to_k", "attn1_to_v", "attn1_to_out_0", "attn2_to_q", "attn2_to_out_0"):
                yield f"{inner}_{name}", width, width
            for name in ("attn2_to_k", "attn2_to_v"):
                yield f"{inner}_{name}", width, 2048
            yield f"{inner}_ff_net_0_proj", 8 * width, width
            yield f"{inner}_ff_net_2", width, 4 * width


def write_lora(path: Path) -> None:
    shapes = {}
    for name, out, columns in sdxl_modules():
        shapes[f"{name}.lora_down.weight"] = [RANK, columns]
        shapes[f"{name}.lora_up.weight"] = [out, RANK]
    header, end = {}, 0
    for name, shape in shapes.items():
        size = shape[0] * shape[1] * 2
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    raw = json.dumps(header).encode()
    rng = np.random.default_rng(0)
    with path.open("wb") as file:
        file.write(len(raw).to_bytes(8, "little") + raw)
        for shape in shapes.values():
            file.write((rng.standard_normal(shape, np.float32) * 0.02).astype(np.float16).tobytes())


def fill(registry: Registry, like: Fingerprint) -> None:
    """A thousand fingerprints of one layout, of files that are not there."""
    rng = np.random.default_rng(1)
    for number in range(LIBRARY):
        rows = rng.standard_normal((len(like.layout.names), SIZE), np.float32) * np.float32(like.norm / 430)
        one = Fingerprint(like.layout, rows, 0, like.ranks)
        blocks = dict.fromkeys(like.layout.blocks, one.norm / 4)
        norms = StoredNorms(f"{number:064x}", like.layout.id, one.norm, one.ranks, blocks)
        kept.put(registry, norms, like.layout.names, one.encoded())
        registry.db.execute(
            "INSERT INTO files (sha256, version_id, name, size, autov2, format, architecture, added_at) "
            "VALUES (?, '', '', 0, '', 'safetensors', 'sdxl', '')",
            (norms.sha256,),
        )


def best(work: Callable[[], object]) -> float:
    """Seconds of the processor, the least of some runs after one that warms the caches."""
    times = []
    for _ in range(RUNS + 1):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return min(times[1:])


def line(name: str, seconds: float, bar: float) -> bool:
    print(f"{name:<58} {seconds * 1000:>8.1f} ms  <= {bar * 1000:g} ms  {'holds' if seconds <= bar else 'FAILS'}")
    return seconds <= bar


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sdxl.safetensors"
        write_lora(path)
        made = fingerprint(path)
        assert len(made.layout.names) == MODULES  # noqa: S101 - else the figure is of another file
        size = path.stat().st_size / 1e6
        print(
            f"{f'a pass over the {size:.0f} MB':<58} {best(lambda: np.fromfile(path, np.uint64).sum()) * 1000:>8.1f} ms"
        )
        holds = [line(f"fingerprint, rank {RANK}, {MODULES} modules", best(lambda: fingerprint(path)), FINGERPRINT_S)]
        path.unlink()
        with Registry(Path(folder) / "home") as registry:
            fill(registry, made)
            one = fingerprint_store.stored(registry, f"{0:064x}")
            assert one is not None  # noqa: S101 - it was put there above
            compare = best(lambda: origin(one, fingerprint_store.each_stored(registry)))
            holds.append(line(f"one against {LIBRARY}", compare, COMPARE_S))
            uses = [(f"{number:064x}", 0.8) for number in range(3)]
            holds.append(line("the meter of three", best(lambda: meter(registry, uses)), METER_S))
    return not all(holds)


if __name__ == "__main__":
    sys.exit(main())
