"""What encoders said is kept on disk: found again by all that decides it, never wrong, bounded, shared."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from hubman.train.architectures import load_model
from hubman.train.encoding.encoded import Encoded
from hubman.train.encoding.tensor_store import TensorStore, entry_key
from hubman.train.encoding.weights_digest import Digests, Source
from hubman.train.versions import versions
from registry.errors import DamagedFileError
from tests.support.tiny_pipeline import make_tiny_pipeline

SIZE = (64, 64)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_pipeline(tmp_path_factory.mktemp("base"))


def opened(base: Path, folder: Path) -> Encoded:
    return Encoded(load_model(base, torch.device("cpu"), torch.float32, mixed=True), folder, "fp32")


def picture() -> Image.Image:
    return Image.effect_noise(SIZE, 60).convert("RGB")


def unneeded() -> Image.Image:
    raise AssertionError("a known picture was decoded")


def change_weights(folder: Path) -> None:
    (file,) = folder.glob("*.safetensors")
    tensors = load_file(file)
    name = sorted(tensors)[0]
    save_file({**tensors, name: tensors[name] + 1}, file, {"format": "pt"})


@pytest.fixture(scope="module")
def filled(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that knows one picture and one caption."""
    folder = tmp_path_factory.mktemp("cache")
    encoded = opened(base, folder)
    encoded.latent("pixels", SIZE, picture)
    encoded.text("a red circle", 1)
    assert encoded.missed == 2
    return folder


def test_the_next_run_asks_no_encoder(base: Path, filled: Path) -> None:
    again = opened(base, filled)
    assert again.latent("pixels", SIZE, unneeded).mean.shape == (4, 8, 8)
    assert again.text("a red circle", 1)["states"].shape[0] == 77
    assert again.missed == 0


def test_what_was_kept_is_what_the_encoder_says(base: Path, filled: Path) -> None:
    kept = opened(base, filled).text("a red circle", 1)["states"]
    with torch.no_grad():
        said = opened(base, filled)._architecture.encode_text(["a red circle"], 1)[0]["states"]
    assert torch.equal(kept, said)


@pytest.mark.parametrize(
    "ask",
    [
        lambda encoded: encoded.latent("other pixels", SIZE, picture),
        lambda encoded: encoded.latent("pixels", (64, 128), picture),
        lambda encoded: encoded.text("a red square", 1),
        lambda encoded: encoded.text("a red circle", 2),
        lambda encoded: encoded.text("a red circle", 1, 2),
    ],
)
def test_everything_that_changes_an_answer_is_in_its_key(
    base: Path, filled: Path, ask: Callable[[Encoded], object], tmp_path: Path
) -> None:
    shutil.copytree(filled, tmp_path / "cache")
    encoded = opened(base, tmp_path / "cache")
    ask(encoded)
    assert encoded.missed == 1


@pytest.mark.parametrize(
    ("part", "missed"), [("vae", [1, 0]), ("text_encoder", [0, 1]), ("unet", [0, 0])], ids=["vae", "text", "unet"]
)
def test_an_encoder_with_other_weights_is_asked_again_and_no_other(
    base: Path, filled: Path, part: str, missed: list[int], tmp_path: Path
) -> None:
    shutil.copytree(filled, tmp_path / "cache")
    shutil.copytree(base, tmp_path / "base")
    change_weights(tmp_path / "base" / part)
    encoded = opened(tmp_path / "base", tmp_path / "cache")
    encoded.latent("pixels", SIZE, picture)
    first = encoded.missed
    encoded.text("a red circle", 1)
    assert [first, encoded.missed - first] == missed


@pytest.mark.parametrize(
    ("name", "missed"), [("long_tokens", [0, 1]), ("class", [1, 1]), ("transformers", [0, 1]), ("diffusers", [1, 0])]
)
def test_an_answer_of_another_reading_or_version_is_not_taken(
    base: Path, filled: Path, name: str, missed: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(filled, tmp_path / "cache")
    encoded = opened(base, tmp_path / "cache")
    model: Any = encoded._architecture
    if name == "long_tokens":
        monkeypatch.setattr(model, name, 256)
    elif name == "class":
        model.__class__ = type("Other", (type(model),), {})
    else:
        monkeypatch.setattr("hubman.train.encoding.encoded.versions", lambda: {**versions(), name: "0"})
    encoded.latent("pixels", SIZE, picture)
    first = encoded.missed
    encoded.text("a red circle", 1)
    assert [first, encoded.missed - first] == missed


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "zeros"])
def test_a_damaged_entry_counts_as_missing_and_is_written_anew(damage: str, tmp_path: Path) -> None:
    store = TensorStore(tmp_path)
    store.put("ab12", {"x": torch.arange(8.0)})
    (path,) = tmp_path.glob("*/*.safetensors")
    content = path.read_bytes()
    flipped = content[:-1] + bytes([content[-1] ^ 1])
    path.write_bytes({"flip": flipped, "cut": content[:-3], "empty": b"", "zeros": bytes(len(content))}[damage])
    assert store.get("ab12") is None
    store.put("ab12", {"x": torch.arange(8.0)})
    assert torch.equal((store.get("ab12") or {})["x"], torch.arange(8.0))


def test_what_was_not_used_for_longest_goes_first(tmp_path: Path) -> None:
    store = TensorStore(tmp_path, limit=3000)
    for number in range(5):
        store.put(f"{number}x", {"x": torch.zeros(200)})
        (path,) = (tmp_path / f"{number}x").iterdir()
        os.utime(path, (1000 + number, 1000 + number))
    assert store.get("0x") is not None  # used now
    half_written = tmp_path / "0x" / ".of-a-killed-process.tmp"
    half_written.write_bytes(b"x")
    os.utime(half_written, (1000, 1000))
    (tmp_path / "0x" / ".being-written.tmp").write_bytes(b"x")
    store.trim()
    assert sorted(path.stem[0] for path in tmp_path.glob("*/*.safetensors")) == ["0", "3", "4"]
    assert [path.name for path in tmp_path.glob("*/*.tmp")] == [".being-written.tmp"]


def test_trainings_at_once_read_whole_entries_or_none(tmp_path: Path) -> None:
    wrong: list[object] = []
    ends = time.monotonic() + 0.3

    def work(number: int) -> None:
        store = TensorStore(tmp_path, limit=4000)
        while time.monotonic() < ends:
            for key in ("aa", "bb", "cc"):
                store.put(key, {"x": torch.full((300,), ord(key[0]))})
                found = store.get(key)
                if found is not None and not bool((found["x"] == ord(key[0])).all()):
                    wrong.append(key)
            store.trim()
            if store.problem:
                wrong.append((number, store.problem))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_folder_that_cannot_be_written_costs_only_time(base: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file is in the way")
    encoded = opened(base, tmp_path / "cache")
    assert encoded.latent("pixels", SIZE, picture).mean.shape == (4, 8, 8)
    assert "can't be written" in encoded.problem


def test_only_the_named_tensors_of_a_single_file_count(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    tensors = {"vae.a": torch.ones(3), "unet.a": torch.ones(2)}
    save_file(tensors, path)
    vae = [Source(path, ("vae.",))]
    before = Digests(tmp_path / "memory.json").of(vae)
    save_file({**tensors, "unet.a": torch.zeros(2), "unet.b": torch.zeros(9)}, path)
    assert Digests(tmp_path / "memory.json").of(vae) == before
    save_file({**tensors, "vae.a": torch.zeros(3)}, path)
    assert Digests(tmp_path / "memory.json").of(vae) != before
    path.write_bytes(b"\xff" * 40)
    with pytest.raises(DamagedFileError, match=r"model\.safetensors"):
        Digests(tmp_path / "memory.json").of(vae)


def test_no_two_sets_of_facts_have_one_key() -> None:
    assert entry_key(a="1", b="2") == entry_key(b="2", a="1")
    assert len({entry_key(a="1", b="2"), entry_key(a="12"), entry_key(a="1,b:2"), entry_key(a=1, b=2)}) == 4
