"""What a header reveals is shown, and a copy that tells less is the same model with the same weights."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from hubman.civitai import form_edit, form_fill, preflight, reveal, stripping
from hubman.civitai.form import PublishForm
from hubman.civitai.publish import publish
from hubman.sandbox import seed_model
from hubman.train.architectures.base import Identity
from hubman.train.output.metadata import Origin, metadata
from hubman.train.recipe import Recipe
from registry import library, previews
from registry.database import Registry
from registry.headers import read_header
from registry.scan import index_file
from tests.support.civitai import Bench, bench, write_lora, write_png
from tests.support.publishing import GENERATION, form_of, make_version

SECRET = "hf_" + "a1B2" * 8
HEADER = {
    "ss_network_module": "networks.lora", "ss_output_name": "ink", "ss_steps": "10", "sshs_legacy_hash": "0badc0de",
    "sshs_model_hash": "0" * 64, "ss_sd_model_name": "/home/ann/models/base.safetensors",
    "ss_datasets": json.dumps([{"resolution": [512, 512], "subsets": [{"image_dir": "C:\\Users\\ann\\my pictures\\4_ink"}]}]),
    "ss_training_comment": f"token {SECRET}", "hubman.sample_prompt": "a secret idea", "modelspec.author": "ann@example.org",
    "ss_tag_frequency": json.dumps({"4_ink": {"boat": 3}}), "wandb_api_key": "0123456789abcdef",
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "kinds"),
    [
        ("a", "/home/ann/x/y.png", {"path", "user"}), ("a", "/Users/ann/x", {"path", "user"}), ("a", "D:\\data\\x", {"path"}),
        ("a", "C:/Users/ann/a", {"path", "user"}), ("a", "\\\\server\\share\\x", {"path"}), ("a", "~/loras/x", {"path"}),
        ("a", "/mnt/disk/pictures", {"path"}), ("a", '{"/data/x/1_a": {"n": 1}}', {"path"}),
        ("a", "file:///data/alice/img", {"path"}), ("a", "FILE:///C:/Users/ann/a%20b", {"path", "user"}),
        ("a", "../alice/private/x", {"path"}), ("a", "..\\alice\\x", {"path"}), ("a", "./../alice/x", {"path"}),
        ("a", '{"wandb_api_key": "x"}', {"secret"}), ("a", '{"to": [{"password": "x"}]}', {"secret"}),
        ("a", '{"to": "{\\"api_key\\": \\"x\\"}"}', {"secret"}), ("a", '{"token": 3, "password": "", "api_key": null}', set()),
        ("a", '{"to": "{\\"dir\\": \\"D:\\\\\\\\data\\\\\\\\x\\"}"}', {"path"}), ("a", "and so on.../or", set()),
        ("a", "networks.lora", set()), ("a", "1/2", set()), ("a", "and/or", set()), ("a", "https://civitai.com/models/1", set()),
        ("a", "torch.optim.adamw.AdamW(weight_decay=0.01)", set()), ("a", "base.safetensors", set()), ("a", "512x512", set()),
        ("a", "2025-01-01T10:00:00", set()), ("a", "stable-diffusion-v1-5/stable-diffusion-v1-5", set()), ("ss_seed", "42", set()),
        ("ss_max_token_length", "225", set()), ("ss_keep_tokens", "1", set()), ("ss_keep_tokens_separator", "|||", set()),
        ("a", SECRET, {"secret"}), ("a", "Bearer abcdefghijklmnop1234", {"secret"}), ("api_key", "x", {"secret"}),
        ("a", "https://ann:pw@host/x", {"secret"}), ("hub_token", "x", {"secret"}), ("hub_token", "None", set()),
        ("a", "ann@example.org", {"e-mail"}), ("prompt", "a boat", {"prompt"}), ("ss_sample_prompts", "a boat", {"prompt"}),
        ("modelspec.trigger_phrase", "ink", set()), ("hubman.sample_prompt", "", set()), ("workflow", "{}", set()),
        ("ss_tag_frequency", '{"x": {"boat": 1}}', {"captions"}), ("modelspec.thumbnail", "data:image/png;base64,AAAA", {"picture"}),
        ("sshs_model_hash", "ab" * 32, set()), ("ss_session_id", "1234567890", set()), ("ss_dataset_dirs", '{"4_ink": {}}', set()),
    ],
)  # fmt: skip
def test_an_entry_tells_what_it_tells(name: str, value: str, kinds: set[str]) -> None:
    assert {found.kind for found in reveal.of({name: value})} == kinds


def test_a_secret_is_not_shown_and_a_public_prompt_is_none() -> None:
    shown = [found.shown for found in reveal.of({"a": SECRET, "wandb_api_key": "0123456789abcdef"})]
    assert not any(SECRET[8:] in text or "0123" in text for text in shown)
    assert reveal.of({"prompt": "a boat"}, public={"a boat"}) == ()


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        ("prompt", f"a boat {SECRET}", SECRET), ("workflow", '{"api_key": "0123456789abcdef"}', "0123456789abcdef"),
        ("a", "https://ann:s3cret@host.example/x", "s3cret"), ("a", '{"password": "me@home.example"}', "me@home"),
        ("a", f"/home/ann/{SECRET}/x.png", SECRET), ("a", f"/home/{SECRET}/x.png", SECRET),
        ("ss_tag_frequency", '{"token": "0123456789abcdef"}', "0123456789abcdef"),
    ],
)  # fmt: skip
def test_a_secret_is_not_shown_as_part_of_anything_else(name: str, value: str, secret: str) -> None:
    found = reveal.of({name: value})
    assert len(found) > 1
    assert not any(secret[8:] in one.shown if len(secret) > 8 else secret in one.shown for one in found)


def test_a_copy_tells_no_secret_of_a_settings_file_and_no_folder_of_an_address() -> None:
    told = {
        "config": json.dumps({"wandb_api_key": "0123456789abcdef", "steps": 10}),
        "from": json.dumps({"dir": "file:///data/alice/img", "up": "../alice/private/x"}),
        "in": json.dumps({"text": json.dumps({"dir": "D:\\new\\x"})}),
    }
    assert reveal.stripped(told, autov3="") == {
        "from": json.dumps({"dir": "img", "up": "x"}), "in": json.dumps({"text": json.dumps({"dir": "x"})}),
    }  # fmt: skip


def test_this_machine_s_user_is_found_as_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "annika")
    assert [one.kind for one in reveal.of({"a": "made by Annika today"})] == ["user"]
    assert reveal.of({"a": "annikas"}) == ()


def test_what_was_trained_here_reveals_nothing() -> None:
    recipe = Recipe(base="/home/ann/base.safetensors", dataset="/home/ann/pictures", output="ink", trigger="ink")
    identity = Identity("base", "sd_v1", False, "stable-diffusion-v1/lora", "diffusers", "epsilon", "")
    origin = Origin(
        recipe=recipe, identity=identity, captions=["ink, a boat"], sizes=[(512, 512)], dataset_fingerprint="f" * 64,
        batches_per_pass=1, step=10, epoch=1, started_at=1.0, finished_at=2.0, sample_prompt="ink, a boat",
    )  # fmt: skip
    found = reveal.of(metadata(origin), public={"ink, a boat"})
    assert {one.kind for one in found} == {"captions"}
    recipe_text = json.loads(metadata(origin)["hubman.recipe"])
    assert "ann" not in json.dumps(recipe_text)


def revealing(registry: Registry, folder: Path) -> PublishForm:
    version_id = index_file(registry, write_lora(folder / "m" / "ink.safetensors", metadata=HEADER))
    for colour in ("red", "blue", "green"):
        told = GENERATION | {"loras": [{"name": "ink", "strength": 0.7}]}
        previews.add_preview(registry, version_id, write_png(folder / f"{colour}.png", colour), generation=told)
    return form_of(registry, version_id, category="style", base_model="SD 1.5", trained_words="ink", strength="0.8")


def test_what_the_header_tells_is_a_warning_that_stripping_ends(registry: Registry, tmp_path: Path) -> None:
    form = revealing(registry, tmp_path)
    found = {one.code: one for one in preflight.findings(registry, None, form)}
    assert {name for name in found if name.startswith("header")} == {
        "header-secret", "header-private", "header-prompt", "header-hash",
    }  # fmt: skip
    assert not found["header-secret"].is_harmless
    assert "--strip" in found["header-private"].hint
    assert SECRET[8:] not in found["header-secret"].message
    stripped = preflight.findings(registry, None, form_edit.changed(form, {"strip": "yes"}))
    assert not any(one.code.startswith("header") for one in stripped)


def test_a_stripped_copy_has_the_same_weights_and_is_the_same_model(registry: Registry, tmp_path: Path) -> None:
    form = revealing(registry, tmp_path)
    original = Path(form.parts[0].file.path)
    before, row = original.read_bytes(), library.list_models(registry)[0]
    form = stripping.with_copies(registry, form_edit.changed(form, {"strip": "yes"}))
    file = form.parts[0].file
    copy = Path(file.path)
    assert original.read_bytes() == before
    assert (file.name, file.is_stripped) == ("ink.safetensors", True)
    less = read_header(copy)
    assert less.tensors == read_header(original).tensors
    assert less.size % 8 == 0
    assert copy.read_bytes()[8 + less.size :] == before[8 + read_header(original).size :]
    assert reveal.of(less.metadata) == tuple(one for one in reveal.of(HEADER) if one.kind == "captions")
    text = copy.read_bytes()[: less.size]
    assert not any(word in text for word in (b"ann", b"secret", b"0badc0de", SECRET.encode()))
    assert less.metadata["ss_sd_model_name"] == "base.safetensors"
    assert json.loads(less.metadata["ss_datasets"])[0]["subsets"] == [{"image_dir": "4_ink"}]
    known = library.file_by_hash(registry, file.sha256)
    assert known is not None
    assert known.version_id == form.parts[0].version_id
    assert known.autov3 == file.autov3 == library.version(registry, known.version_id).files[0].autov3
    assert library.list_models(registry) == [row]
    assert library.resolve(registry, file.sha256[:16])[1] == form.parts[0].version_id


def test_the_same_file_makes_the_same_copy_and_a_clean_one_none(registry: Registry, tmp_path: Path) -> None:
    form = form_edit.changed(revealing(registry, tmp_path), {"strip": "yes"})
    once = stripping.with_copies(registry, form)
    written = Path(once.parts[0].file.path).stat().st_mtime_ns
    again = stripping.with_copies(registry, form)
    assert Path(once.parts[0].file.path).stat().st_mtime_ns == written
    assert once == again == stripping.with_copies(registry, once)
    clean = form_of(registry, make_version(registry, tmp_path), strip="yes")
    assert stripping.with_copies(registry, clean) == clean


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as running:
        yield running


def test_the_copy_is_what_is_sent(site: Bench, registry: Registry, tmp_path: Path) -> None:
    form = form_edit.changed(revealing(registry, tmp_path), {"strip": "yes"})
    with site.client() as client:
        plan = preflight.check(registry, client, form).plan
    assert plan is not None
    sent = plan.versions[0].files[0]
    assert Path(sent.path).parent == stripping.folder(registry, form.parts[0])
    assert sent.sha256 != form.parts[0].file.sha256
    # Pictures name the hashes of what the site will have.
    meta = plan.versions[0].pictures[0].meta
    assert meta["resources"][0]["hash"] == sent.sha256[:10]
    assert meta["hashes"] == {"lora:ink": form.parts[0].file.autov3[:12]}


def test_a_stripped_copy_that_civitai_has_is_not_published_again(
    site: Bench, registry: Registry, tmp_path: Path
) -> None:
    form = form_edit.changed(revealing(registry, tmp_path), {"strip": "yes"})
    copy = stripping.with_copies(registry, form).parts[0].file
    seed_model(site.sandbox, Path(copy.path), name="There")
    with site.client() as client:
        checked = preflight.check(registry, client, form)
    assert checked.plan is None
    assert [one.code for one in checked.findings] == ["file-on-site"]


def test_a_stripped_publication_is_the_model_s_own_and_goes_on_with_the_same_copy(
    site: Bench, registry: Registry, tmp_path: Path
) -> None:
    form = form_edit.changed(revealing(registry, tmp_path), {"strip": "yes"})
    with site.client() as client:
        draft = publish(registry, client, form, draft=True)
        done = publish(registry, client, form_fill.filled(registry, form.version_ids))
        assert (done.status, done.version_id) == ("published", draft.version_id)
        file = client.model_version(done.version_id).files[0]
    assert len(site.sandbox.models_named(form.name)[0]["versions"][0]["files"]) == 1
    known = library.file_by_hash(registry, file.sha256)
    assert known is not None
    assert known.version_id == form.parts[0].version_id
    assert library.version(registry, known.version_id).files[0].sha256 == form.parts[0].file.sha256
    assert library.version(registry, known.version_id).published_url == done.url
