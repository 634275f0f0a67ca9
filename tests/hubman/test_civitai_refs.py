"""What a person pastes: every form is understood, nothing else is, and lists are read past what surrounds them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubman.civitai import ref_list
from hubman.civitai.refs import Ref, parse_ref, same_as
from registry.errors import UsageError
from tests.support.patient import PATIENT

_SITE = "https://civitai.com"


@pytest.mark.parametrize(
    ("text", "ref"),
    [
        ("civitai.com/models/5/name?modelVersionId=7", Ref(model_id=5, version_id=7)),
        ("www.civitai.red/models/5", Ref(model_id=5)),
        ("https://civitai.com/images/81", Ref(image_id=81)),
        ("https://civitai.com/images/81?postId=4", Ref(image_id=81)),
        ("https://civitai.com/collections/9", Ref(collection_id=9)),
        ("https://civitai.com/user/ann_b", Ref(creator="ann_b")),
        ("https://civitai.red/user/ann_b/models", Ref(creator="ann_b")),
        ("https://civitai.com/api/v1/model-versions/by-hash/FB3603C617", Ref(hash="fb3603c617")),
        ("https://civitai.com/api/download/models/7?type=Model&format=SafeTensor&size=pruned&fp=fp16",
         Ref(version_id=7, type="Model", format="SafeTensor", size="pruned", fp="fp16")),
        ("https://civitai.com/api/download/models/7?fileId=12&token=abc", Ref(version_id=7, file_id=12)),
        ("https://civitai.com/api/download/models/7?format=GGUF&quantType=Q8_0", Ref(version_id=7, format="GGUF", quant="Q8_0")),
        ("civitai:5@7+12", Ref(model_id=5, version_id=7, file_id=12)),
        ("urn:air:sd1:lora:civitai:5@7.ckpt", Ref(model_id=5, version_id=7, format="PickleTensor")),
        ("model:5", Ref(model_id=5)), ("version:7", Ref(version_id=7)), ("image:81", Ref(image_id=81)),
        ("collection:9", Ref(collection_id=9)), ("creator:ann_b", Ref(creator="ann_b")), ("user:@ann_b", Ref(creator="ann_b")),
        ("hash:12345678", Ref(hash="12345678")), ("sha256:" + "AB" * 32, Ref(hash="ab" * 32)), ("crc32:D6C3E694", Ref(hash="d6c3e694")),
    ],
)  # fmt: skip
def test_every_kind_of_thing_can_be_named(text: str, ref: Ref) -> None:
    assert parse_ref(text) == ref


@pytest.mark.parametrize(
    "text",
    ["creator:", "creator:../x", "creator:a b", "collection:0", "model:x", "hash:xyz", "https://civitai.com/user/",
     "https://civitai.com/user/a%2fb", "https://evil.example/images/5", "civitai.com.evil.example/models/5",
     "civitai:5@seven", "https://civitai.com/collections/99999999999"],
)  # fmt: skip
def test_what_is_almost_a_reference_is_none(text: str) -> None:
    with pytest.raises(UsageError):
        parse_ref(text)


def test_the_same_version_is_the_same_however_it_is_named() -> None:
    named = ["7", "https://civitai.com/models/5?modelVersionId=7", "civitai.com/model-versions/7", "civitai:5@7"]
    assert len({same_as(parse_ref(text)) for text in named}) == 1
    assert same_as(parse_ref("7")) != same_as(parse_ref("civitai:5@7+12"))


@PATIENT
@given(st.text(max_size=60) | st.text("civita:@+./0123456789abcdefurn-_%?=#", max_size=60))
def test_any_text_is_a_reference_or_wrong_usage(text: str) -> None:
    try:
        ref = parse_ref(text)
    except UsageError:
        return
    assert ref != Ref()
    assert max(ref.version_id, ref.model_id, ref.image_id, ref.collection_id) < 2**31


_NUMBER = st.integers(1, 2**31 - 1)


@PATIENT
@given(_NUMBER, _NUMBER, st.none() | _NUMBER)
def test_numbers_come_back_out_of_every_form(model: int, version: int, file: int | None) -> None:
    tail = f"+{file}" if file else ""
    assert parse_ref(f"urn:air:sdxl:lora:civitai:{model}@{version}{tail}") == Ref(
        model_id=model, version_id=version, file_id=file or 0
    )
    assert parse_ref(f"https://civitai.com/models/{model}?modelVersionId={version}") == Ref(
        model_id=model, version_id=version
    )


# lists ---------------------------------------------------------------------------------------------------------------


def test_a_list_is_read_past_comments_columns_and_prose() -> None:
    text = """\ufeffname,url,downloads
# mine
https://civitai.com/models/5   # the good one
7
"Ink, wash",https://civitai.com/models/6?modelVersionId=8,1234
- [harbour](https://civitai.com/models/9).
910001;some name;77
creator:ann_b

https://civitai.com/models/5
"""
    assert ref_list.read(text.splitlines(), "list.txt", site=_SITE) == [
        "https://civitai.com/models/5", "7", "https://civitai.com/models/6?modelVersionId=8",
        "https://civitai.com/models/9", "910001", "creator:ann_b",
    ]  # fmt: skip


def test_lines_that_name_nothing_are_named() -> None:
    with pytest.raises(UsageError) as caught:
        ref_list.read(["7", "", "harbour style", "https://evil.example/models/5"], "list.txt", site=_SITE)
    assert "list.txt: line 3 ('harbour style'), line 4" in str(caught.value)
    with pytest.raises(UsageError, match="names nothing"):
        ref_list.read(["# only words"], "list.txt", site=_SITE)


@PATIENT
@given(st.lists(st.text(max_size=40), max_size=8))
def test_any_list_is_read_or_wrong_usage(lines: list[str]) -> None:
    try:
        found = ref_list.read(lines, "list.txt", site=_SITE)
    except UsageError:
        return
    assert found
    assert all(parse_ref(text) for text in found)
