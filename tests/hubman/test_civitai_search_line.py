"""The search line: what its words mean, and where its mistakes are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubman.civitai import image_settings
from hubman.civitai.image_records import SharedImage
from hubman.civitai.search import LORA_TYPES, ModelSearch, address
from hubman.civitai.search_line import UnknownNameInLineError, parse
from hubman.civitai.search_names import Names, bundled
from hubman.civitai.sift import Sift
from hubman.pointing import pointer
from registry.listing import plain_base
from registry.query_terms import QueryError


def of(line: str) -> ModelSearch:
    return parse(line)


def test_words_and_fields() -> None:
    search = of(
        'type:=LORA base:"sdxl 1.0" base:pony creator:@ann tag:ink sort:newest period:month lighthouse "red hair"'
    )
    assert search == ModelSearch(
        query='lighthouse "red hair"', tag="ink", username="ann", types=("LORA",), base_models=("SDXL 1.0", "Pony"),
        sort="Newest", period="Month", nsfw=True,
    )  # fmt: skip


def test_loras_are_meant_unless_the_line_names_types_or_numbers() -> None:
    assert of("").types == of("type:lora").types == LORA_TYPES
    assert of("type:any").types == of("id:5").types == of("version:5").types == ()
    assert of("type:ckpt,ti,vae").types == ("Checkpoint", "TextualInversion", "VAE")


def test_bases_are_written_however_and_a_star_takes_all_that_begin_so() -> None:
    for text in ("SD 1.5", "sd 1.5", "sd15"):
        assert of(f'base:="{text}"').base_models == ("SD 1.5",)
    assert {"SDXL 1.0", "SDXL Lightning", "SDXL Turbo"} <= set(of("base:sdxl*").base_models)
    plain = [plain_base(name) for name in bundled().bases]
    assert len(set(plain)) == len(plain)


def test_levels_choose_what_is_asked_and_what_is_left_out() -> None:
    levels = {line: (of(line).nsfw, of(line).sift.up_to) for line in ("nsfw:pg", "nsfw:no", "nsfw:<=r", "nsfw:xxx", "")}
    assert levels == {
        "nsfw:pg": (False, 1), "nsfw:no": (False, 1), "nsfw:<=r": (True, 4), "nsfw:xxx": (True, 16), "": (True, 16),
    }  # fmt: skip
    assert parse("", up_to=1).nsfw is False
    assert parse("nsfw:x", up_to=1).sift.up_to == 8


def test_what_the_site_cannot_be_asked_is_sifted_here() -> None:
    search = of("lic:sell,derivatives,nocredit -tag:Anime,Photo -by:bob -type:locon -base:pony")
    assert search.allow_commercial_use == ("Sell",)
    assert search.sift == Sift(
        licence=("derivatives", "nocredit"), without_tags=("anime", "photo"), without_creators=("bob",),
        without_types=("locon",), without_bases=("pony",),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("line", "wrong", "says"),
    [
        ("typ:lora", "typ", "did you mean type:?"),
        ("tag:a base:SDXL", "SDXL", "did you mean SDXL 1.0?"),
        ("type:lroa", "lroa", "there is no type 'lroa': did you mean LORA?"),
        ("type:lora,chekpoint", "chekpoint", "did you mean Checkpoint?"),
        ("sort:new", "new", "did you mean newest?"),
        ("early:yes", "early", "did you mean is:early?"),
        ("is:erly", "erly", "did you mean early?"),
        ("tag:a,b", "b", "takes one value"),
        ("tag:", "tag:", "needs a value"),
        ("lic:steal", "steal", "lic can't be 'steal'"),
        ("nsfw:lots", "lots", "say up to which level"),
        ("limit:0", "0", "a whole number from 1 to 100"),
        ("id:99999999999", "99999999999", "a whole number"),
        ('base:"SDXL 1.0",pony', ",pony", "write the field once more"),
        ("-ink", "-ink", "can't leave out words"),
        ("-sort:newest", "-sort:newest", "can't be left out"),
        ("~inkk", "~inkk", "forgives typos by itself"),
        ("~tag:a", "~", "forgives typos by itself"),
        ("/ink.*/", "/ink.*/", "write a part of the name"),
        ('say "open', '"open', "the quote is not closed"),
    ],
)
def test_a_mistake_is_pointed_at(line: str, wrong: str, says: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse(line)
    assert says in str(caught.value)
    shown, carets = pointer(caught.value)
    assert shown[carets.index("^") : len(carets)] == wrong


def test_names_that_the_bundled_lists_lack_come_from_the_site() -> None:
    with pytest.raises(UnknownNameInLineError):
        parse('base:"Brand New 2"')
    assert parse('base:"Brand New 2"', Names(("LORA",), ("Brand New 2",))).base_models == ("Brand New 2",)


_WORDS = st.sampled_from(
    [
        "type:",
        "base:",
        "tag:",
        "is:",
        "lic:",
        "nsfw:",
        "-",
        "~",
        '"',
        ",",
        "=",
        "lora",
        "sdxl*",
        "<=",
        "early",
        "/",
        " ",
    ]
)


@given(st.lists(_WORDS | st.text(max_size=6), max_size=12).map("".join))
def test_any_line_is_a_search_or_a_mistake_that_is_pointed_at(line: str) -> None:
    mistake: QueryError | None = None
    try:
        address(parse(line)).encode("ascii")
    except QueryError as error:
        mistake = error
    assert mistake is None or (0 <= mistake.start < mistake.end and "^" in pointer(mistake)[1])


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_META = st.dictionaries(
    st.sampled_from(
        ["prompt", "negativePrompt", "steps", "resources", "civitaiResources", "Size", "width", "height", "meta"]
    ),
    _JSON,
)


@given(_META)
def test_generation_data_of_any_shape_read_as_texts(meta: dict[str, object]) -> None:
    image = SharedImage(meta=meta)
    for name in ("prompt", "negative"):
        assert "\x1b" not in image_settings.text(image.settings, name)
    assert all(name and value for name, value in image_settings.facts(image.settings))


def test_settings_are_found_under_the_names_that_programs_use() -> None:
    meta = {
        "prompt": " an inn ", "negativePrompt": "blurry", "steps": "28", "cfgScale": 5, "Clip skip": 2, "Size": "64x64",
        "Model": "base", "resources": [{"name": "ink", "weight": 0.8}, {"name": ""}, 7],
        "civitaiResources": [{"modelVersionId": 5}],
    }  # fmt: skip
    wrapped = SharedImage(meta={"id": 1, "meta": meta}).settings
    assert (image_settings.text(wrapped, "prompt"), image_settings.text(wrapped, "negative")) == ("an inn", "blurry")
    assert image_settings.facts(wrapped) == [
        ("steps", "28"), ("cfg", "5"), ("clip skip", "2"), ("model", "base"), ("size", "64x64"), ("uses", "ink at 0.8"),
        ("uses", "version 5"),
    ]  # fmt: skip
