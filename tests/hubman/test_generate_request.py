"""What decides the key of a picture, and which requests nobody could draw."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from hubman.generate.pictures import public
from hubman.generate.request import DrawRequest, Hires, LoraUse, check
from registry.errors import UsageError

USE = LoraUse(path="/a", name="a", sha256="a" * 64, strength=0.7, te_strength=0.2, start=2, stop=5)
PLAIN = DrawRequest(base="/x", prompt="p")


def _with(**fields: Any) -> DrawRequest:
    return msgspec.structs.replace(PLAIN, **fields)


def _use(**fields: Any) -> DrawRequest:
    return _with(loras=(msgspec.structs.replace(USE, **fields),))


def test_the_keys_of_pictures_drawn_by_the_first_release_stay() -> None:
    other = LoraUse(path="/b", name="b", sha256="b" * 64)
    full = _with(
        base_sha256="c" * 64, loras=(USE, other), cfg=3.0, seed=4, width=64, height=64, sampler="DPM++ 2M Karras"
    )
    assert PLAIN.key() == "da430426d32e5264baa6ac49d3c50e851e866eb8ae4ab4badf31c08b66ecf6a3"
    assert full.key() == "c4b241fba8daafa10f31595c493d0cbc0a144da8bebd581c5a4517e0b28abfdc"
    assert set(msgspec.to_builtins(PLAIN)) == {"base", "prompt"}


@pytest.mark.parametrize(
    "other",
    [
        _with(schedule="Karras"),
        _with(init="/p.png"),
        _with(hires=Hires()),
        _with(vae="/v"),
        _with(mode="fused"),
        _with(mode="switch"),
        _use(),
        _use(blocks="0,1"),
        _use(rank=4),
    ],
)
def test_what_changes_pixels_changes_the_key(other: DrawRequest) -> None:
    assert other.key() != PLAIN.key()
    assert other == _use() or other.key() != _use().key()
    assert msgspec.json.decode(msgspec.json.encode(other), type=DrawRequest) == other


@pytest.mark.parametrize(
    "one",
    [
        _with(cfg=3),
        _with(emphasis="".join(("Orig", "inal"))),
        _with(init="/p.png", denoise=1),
        _with(init="/p.png", denoise=3 / 4),
        _with(hires=Hires(scale=3, denoise=1)),
        _with(hires=Hires(width=64, height=64, denoise=7 / 10)),
    ],
)
def test_the_engine_that_reads_a_request_gives_it_the_key_of_who_wrote_it(one: DrawRequest) -> None:
    assert msgspec.json.decode(msgspec.json.encode(one), type=DrawRequest).key() == one.key()


def test_what_is_said_though_it_goes_without_saying_is_not_in_the_key() -> None:
    said = b'{"base":"/x","prompt":"p","emphasis":"Original","init":"/p.png","denoise":0.75,"hires":{"denoise":0.7,"scale":2}}'
    assert msgspec.json.decode(said, type=DrawRequest).key() == _with(init="/p.png", hires=Hires()).key()
    sized = Hires(width=64, height=64)
    assert _with(hires=sized).key() == _with(hires=msgspec.structs.replace(sized, scale=3.0)).key()


def test_content_decides_and_not_where_it_lies() -> None:
    one = _with(init="/a.png", init_sha256="d" * 64, vae="/v", vae_sha256="e" * 64)
    moved = msgspec.structs.replace(one, init="/b.png", vae="/w")
    assert one.key() == moved.key() != msgspec.structs.replace(one, init_sha256="f" * 64).key()
    assert one.key() != msgspec.structs.replace(one, denoise=0.5).key()
    assert public(one).init == "a.png"
    assert public(one).vae == "v"


def test_a_default_that_was_typed_is_the_default_on_both_sides_of_the_socket() -> None:
    typed = _with(mode="".join(["ba", "nk"]))  # not the very string of the default, as a value of an axis
    read = msgspec.json.decode(msgspec.json.encode(typed), type=DrawRequest)
    assert typed.key() == read.key() == PLAIN.key()


def test_what_has_no_effect_is_not_in_the_key() -> None:
    assert _with(denoise=0.3, switch_every=4).key() == PLAIN.key()


@pytest.mark.parametrize(
    ("request_", "problem"),
    [
        (_with(steps=0), "steps is 0"),
        (_with(cfg=float("nan")), "cfg is nan"),
        (_with(denoise=1.5), "denoise is 1.5"),
        (_with(hires=Hires(scale=1)), "hires.scale is 1"),
        (_with(hires=Hires(width=64)), "one side"),
        (_with(hires=Hires(denoise=2)), "hires.denoise is 2"),
        (_with(hires=Hires(width=65, height=64)), "hires.width is 65"),
        (_with(hires=Hires(), init="/p.png"), "init and hires"),
        (_with(switch_every=0), "switch_every is 0"),
        (_use(rank=0), "rank of LoRA a is 0"),
        (_use(strength=float("inf")), "strength of LoRA a"),
    ],
)
def test_what_nobody_could_draw_is_refused_by_its_field(request_: DrawRequest, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        check(request_)


def test_one_way_to_sample_has_one_key_however_it_is_spelled() -> None:
    old, new = _with(sampler="DPM++ 2M Karras"), _with(sampler="DPM++ 2M", schedule="Karras")
    assert old.key() == new.key() == _with(sampler="DPM++ 2M").key()
    assert _with(schedule="Karras").key() != PLAIN.key()
    assert _with(schedule="Exponential").key() == _with(sampler="Euler a Exponential").key()


@pytest.mark.parametrize(
    ("sampler", "schedule", "hint"),
    [
        ("DPM adaptive", "Automatic", "DPM fast"),
        ("Restart Karras", "Automatic", "Heun"),
        ("DDIM CFG++", "Automatic", "choose DDIM"),
        ("DDIM", "Karras", "Automatic"),
        ("Euler", "Steep", "Karras"),
        ("Oiler", "Automatic", "Euler a"),
    ],
)
def test_a_sampler_that_cannot_be_drawn_is_refused_and_the_nearest_named(
    sampler: str, schedule: str, hint: str
) -> None:
    with pytest.raises(UsageError) as caught:
        check(_with(sampler=sampler, schedule=schedule))
    assert hint in caught.value.hint
    assert "\n" not in str(caught.value)
