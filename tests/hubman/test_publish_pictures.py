"""The bytes of a picture that goes out say how it was drawn, and nothing else; so do the attached training images."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from hubman.civitai import image_meta, preflight, showcase, training_data
from hubman.civitai.form import PublishForm
from hubman.civitai.image_clean import cleaned, mime_type
from hubman.civitai.image_meta import Own
from hubman.generate import pictures
from hubman.generate import showcase as drawing
from hubman.generate.infotext_reading import read
from hubman.sandbox.images import made_on_site
from registry import picture_text, previews
from registry.database import Registry
from registry.errors import DamagedFileError, NotFoundError
from tests.support.civitai import Bench, bench
from tests.support.publishing import form_of, make_version, publish_now

SECRET = b"SECRET"
TEXT = "a boat, <lora:harbor:0.7>\nNegative prompt: blurry\nSteps: 28, Sampler: Euler a"


def telling(kind: str, mode: str = "RGB") -> bytes:
    """A picture that tells of its camera, place, author, workflow and owner, lying on its side."""
    image = Image.effect_noise((24, 16), 60).convert(mode)
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x013B] = 6, "SECRET camera", "SECRET author"
    exif[0x8825] = {1: "N", 2: (52.0, 31.0, 12.0), 29: "SECRET"}
    more: dict[str, Any] = {"exif": exif.tobytes()}
    if kind == "PNG":
        notes = PngInfo()
        for key in ("parameters", "workflow", "prompt", "Comment", "hubman"):
            notes.add_text(key, f"SECRET {key}", zip=key == "Comment")
        notes.add_itxt("XML:com.adobe.xmp", "SECRET")
        more |= {"pnginfo": notes}
    elif kind == "JPEG":
        more |= {"comment": SECRET, "icc_profile": b"colours" * 20}
    else:
        more |= {"xmp": b"<x>SECRET</x>", "lossless": mode == "RGBA"}
    buffer = io.BytesIO()
    image.save(buffer, kind, **more)
    data = buffer.getvalue()
    assert SECRET in data
    return data


@pytest.mark.parametrize("text", ["", TEXT, TEXT.replace("boat", "舟 🛶")])
@pytest.mark.parametrize(
    ("kind", "mode"),
    [("PNG", "RGB"), ("PNG", "RGBA"), ("PNG", "P"), ("JPEG", "RGB"), ("JPEG", "L"), ("JPEG", "CMYK"), ("WEBP", "RGB"), ("WEBP", "RGBA")],
)  # fmt: skip
def test_only_pixels_and_the_given_text_remain(kind: str, mode: str, text: str, tmp_path: Path) -> None:
    data = telling(kind, mode)
    less = cleaned(data, text)
    assert SECRET not in less
    with Image.open(io.BytesIO(data)) as before, Image.open(io.BytesIO(less)) as after:
        assert before.convert("RGBA").tobytes() == after.convert("RGBA").tobytes()
        tags = set(after.getexif())
        assert tags <= {0x0112, 0x8769}, "orientation and the comment's folder only"
        assert (after.getexif().get(0x0112) == 6) is (kind != "PNG")
    texts = picture_text.read(io.BytesIO(less)).texts
    assert set(texts) == ({"parameters" if kind == "PNG" else "UserComment"} if text else set())
    path = tmp_path / "x"
    path.write_bytes(less)
    info = pictures.read_info(path)[0]
    assert (info.prompt if info else "") == text.split("\n", maxsplit=1)[0]
    assert cleaned(less, text) == less
    assert mime_type(less) == mime_type(data)


def test_what_stands_behind_a_jpeg_is_cut_off() -> None:
    data = telling("JPEG")
    assert cleaned(data + b"SECRET video") == cleaned(data)


def test_nothing_is_told_between_the_scans_of_a_progressive_jpeg() -> None:
    buffer = io.BytesIO()
    Image.effect_noise((64, 48), 60).convert("RGB").save(buffer, "JPEG", progressive=True)
    data = buffer.getvalue()
    scans = data.count(b"\xff\xda")
    told = b"\xff\xfe\x00\x0e\xff\xd9SECRET1234" + b"\xff\xe1\x00\x0cSECRET1234"
    less = cleaned(data.replace(b"\xff\xda", told + b"\xff\xda"))
    assert (scans > 2, SECRET in less, less.count(b"\xff\xda")) == (True, False, scans)
    with Image.open(io.BytesIO(data)) as before, Image.open(io.BytesIO(less)) as after:
        assert before.tobytes() == after.tobytes()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_cut_picture_is_refused_in_words(kind: str) -> None:
    data = telling(kind)
    with pytest.raises(DamagedFileError):
        cleaned(data[: len(data) // 2])
    with pytest.raises(DamagedFileError):
        cleaned(b"GIF89a")


def test_an_animated_webp_is_refused() -> None:
    buffer = io.BytesIO()
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(buffer, "WEBP", save_all=True, append_images=frames[1:])
    with pytest.raises(DamagedFileError, match="animated"):
        cleaned(buffer.getvalue())


@given(st.sampled_from([telling("PNG"), telling("JPEG"), telling("WEBP")]), st.integers(0, 400), st.binary(max_size=8))
@settings(max_examples=60, deadline=None)
def test_any_bytes_are_cleaned_or_refused(data: bytes, place: int, other: bytes) -> None:
    try:
        less = cleaned(data[:place] + other + data[place + len(other) :])
    except DamagedFileError:
        return
    assert mime_type(less) is not None


# what a picture says ---------------------------------------------------------------------------------------------------

LORA = Own(name="harbor", names=frozenset({"harbor", "hrb"}), sha256="ab" * 32, autov3="cd" * 32, strength=0.8)


def composed(generation: dict[str, Any]) -> dict[str, Any]:
    return image_meta.linked(image_meta.compose(generation, LORA, path=Path("nowhere")).meta, 7, None)


def test_meta_has_numbers_as_numbers_and_is_not_taken_for_the_site_s_own() -> None:
    meta = composed(
        {"prompt": "p <lora:hrb:0.6>", "steps": "28", "cfg": "5.5", "seed": "12", "clip_skip": 2, "sampler": "Euler a", "width": 512,
         "height": 768, "Model": "urn:air:sdxl:checkpoint:civitai:1@2", "Model hash": "0a1b2c3d4e"}
    )  # fmt: skip
    assert (meta["steps"], meta["cfgScale"], meta["seed"], meta["clipSkip"]) == (28, 5.5, 12, 2)
    assert meta["resources"] == [{"type": "lora", "name": "harbor", "weight": 0.6, "hash": "ab" * 5}]
    assert meta["hashes"] == {"model": "0a1b2c3d4e", "lora:harbor": "cd" * 6}
    assert meta["civitaiResources"][0]["modelVersionId"] == 7
    assert meta["Version"].startswith("hubman ")
    assert not made_on_site(meta)


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ("/home/ann/sd15.safetensors", "sd15"),
        ("C:\\models\\x.ckpt", "x"),
        ("plain", "plain"),
        ("v1.5", "v1.5"),
        ("a/b", "b"),
    ],
)
def test_a_checkpoint_is_called_by_its_name_and_never_by_its_place(told: str, name: str) -> None:
    for key in ("Model", "base"):
        assert composed({"prompt": "p", "steps": 1, key: told})["Model"] == name


def test_a_picture_without_a_prompt_says_nothing() -> None:
    assert composed({"seed": 1}) == {}
    assert image_meta.infotext({}) == ""


_WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\n\r<>"), max_size=40).map(
    lambda text: " ".join(text.split())
)


@given(_WORDS.filter(bool), _WORDS, st.integers(0, 2**63 - 1), st.integers(1, 150), st.floats(0, 30))
@settings(max_examples=60, deadline=None)
def test_the_infotext_reads_back(prompt: str, negative: str, seed: int, steps: int, cfg: float) -> None:
    meta = composed(
        {"prompt": prompt, "negative": negative, "seed": seed, "steps": steps, "cfg": cfg, "sampler": "DPM++ 2M, x"}
    )
    text = image_meta.infotext(meta)
    found = read(text)
    assert found.prompt.split() == prompt.split()
    assert (found.fields["Steps"], found.fields["Sampler"]) == (str(steps), "DPM++ 2M, x")
    assert found.fields["Seed"] == str(seed)
    assert found.lora_hashes == {"harbor": "cd" * 6}
    # As Civitai cuts it: up to the first "}]", flat objects only.
    told = text.split("Civitai resources: ", 1)[1].split("}]", 1)[0] + "}]"
    assert json.loads(told) == meta["civitaiResources"]


# sent, attached, made --------------------------------------------------------------------------------------------------


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as running:
        yield running


def test_the_bytes_that_the_site_gets_tell_only_how_they_were_drawn(
    site: Bench, registry: Registry, tmp_path: Path
) -> None:
    version_id = make_version(registry, tmp_path)
    for number, kind in enumerate(("PNG", "JPEG", "WEBP")):
        path = tmp_path / f"{number}.{kind.lower()}"
        path.write_bytes(telling(kind))
        told = {"prompt": "a boat", "steps": 20, "seed": number, "workflow": "SECRET"}
        previews.add_preview(registry, version_id, path, generation=told)
    with site.client() as client:
        publish_now(registry, client, version_id)
    model = site.sandbox.models_named("Harbor Style")[0]
    images = model["versions"][0]["posts"][0]["images"]
    assert len(images) == 5
    for image in images:
        data = site.sandbox.world.blob_path(image["url"]).read_bytes()
        assert SECRET not in data
        assert b"hubman" in data.replace(b"\0", b"")
        assert SECRET.decode() not in json.dumps(image)
        assert image["metadata"]["size"] == len(data)
        texts = picture_text.read(io.BytesIO(data)).texts
        assert len(texts) == 1
        assert f'"modelVersionId": {model["versions"][0]["id"]}' in next(iter(texts.values()))


def dataset(folder: Path) -> Path:
    folder.mkdir()
    for number, kind in enumerate(("PNG", "JPEG")):
        (folder / f"{number}.{kind.lower()}").write_bytes(telling(kind))
        (folder / f"{number}.txt").write_text(f"hrbr style, boat {number}")
    return folder


def attached(registry: Registry, tmp_path: Path) -> PublishForm:
    form = form_of(registry, make_version(registry, tmp_path), attach_training_data="yes")
    part = msgspec.structs.replace(form.parts[0], dataset=str(dataset(tmp_path / "data")))
    return msgspec.structs.replace(form, parts=(part,))


def test_training_data_are_attached_without_what_they_tell_of_themselves(
    site: Bench, registry: Registry, tmp_path: Path
) -> None:
    form = attached(registry, tmp_path)
    with site.client() as client:
        plan = preflight.check(registry, client, form, accept=("harmless",)).plan
        again = preflight.check(registry, client, form, accept=("harmless",)).plan
    assert plan is not None
    assert plan == again, "the same images make the same archive"
    packed = plan.versions[0].files[1]
    assert (packed.kind, packed.metadata["numImages"], packed.metadata["numCaptions"]) == ("Training Data", 2, 2)
    with zipfile.ZipFile(packed.path) as archive:
        assert archive.namelist() == ["0.png", "0.txt", "1.jpeg", "1.txt"]
        assert archive.read("0.txt") == b"hrbr style, boat 0"
        assert not any(SECRET in archive.read(name) for name in archive.namelist())


def test_training_data_stay_private_unless_it_is_said(site: Bench, registry: Registry, tmp_path: Path) -> None:
    form = msgspec.structs.replace(attached(registry, tmp_path), attach_training_data=False)
    with site.client() as client:
        plan = preflight.check(registry, client, form, accept=("harmless",)).plan
    assert plan is not None
    assert [file.kind for file in plan.versions[0].files] == ["Model"]
    with pytest.raises(NotFoundError):
        training_data.pack(msgspec.structs.replace(form.parts[0], dataset=str(tmp_path / "gone")), tmp_path)


def test_pictures_are_made_from_the_training_captions_at_the_recommended_strength(
    registry: Registry, tmp_path: Path
) -> None:
    part = attached(registry, tmp_path).parts[0]
    wanted = showcase.request(registry, part, count=3, base="tiny")
    assert wanted["prompts"] == ["hrbr style, boat 0", "hrbr style, boat 1", "hrbr style, boat 0"]
    assert (wanted["strength"], wanted["base"]) == (0.8, "tiny")
    with pytest.raises(NotFoundError, match="base"):
        showcase.request(registry, part)
    counted = {"ss_tag_frequency": '{"1_x": {"boat": 3, "sea": 9}}'}
    assert drawing.prompts("", counted, ["hrbr"], 1) == ["hrbr, sea, boat"]
    assert drawing.prompts("", {}, ["hrbr"], 2) == ["hrbr", "hrbr"]
    with pytest.raises(NotFoundError):
        drawing.prompts("", {}, [])
