"""The publish form: filled in from what is known, changed by what is typed, and always what Civitai's schemas take."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hubman.civitai import (
    checks_site,
    conformance,
    contract,
    describe,
    form_base,
    form_defaults,
    form_edit,
    form_fill,
    form_plan,
)
from hubman.civitai.form import FormFile, Permissions, PublishForm, VersionPart
from hubman.civitai.form_fields import FIELDS
from registry import edits, identify_base, library, previews, undo
from registry.database import Registry
from registry.errors import UsageError
from registry.scan import index_file
from tests.support.civitai import write_lora, write_png
from tests.support.kept_html import text_of_kept
from tests.support.publishing import NAME, form_of, make_version

NOW = datetime(2026, 9, 1, 12, 0, tzinfo=UTC)
KOHYA = {
    "ss_network_module": "networks.lora", "ss_network_dim": "16", "ss_network_alpha": "8", "ss_steps": "1200", "ss_epoch": "6",
    "ss_clip_skip": "2", "ss_resolution": "(512, 512)", "ss_sd_model_name": "C:\\\\models\\\\base.safetensors",
    "ss_dataset_dirs": json.dumps({"4_x": {"img_count": 24, "n_repeats": 4}}), "ss_unet_lr": "0.0001",
}  # fmt: skip


def trained(registry: Registry, path: Path, *, seed: int = 1, **header: str) -> str:
    return index_file(registry, write_lora(path, seed=seed, metadata=KOHYA | header))


# filled in ------------------------------------------------------------------------------------------------------------


def test_a_form_is_filled_from_what_is_known_and_says_where_it_comes_from(registry: Registry, tmp_path: Path) -> None:
    version_id = make_version(registry, tmp_path)
    form = form_fill.filled(registry, [version_id])
    part = form.parts[0]
    assert (form.name, form.category, form.tags, form.type) == (NAME, "style", ("ink",), "LORA")
    assert (part.strength, part.strength_min, part.strength_max) == (0.8, 0.5, 1.0)
    assert (part.base_model, part.trained_words) == ("SD 1.5", ("hrbr style",))
    assert (form.nsfw, form.poi, form.minor) == (None, None, None)
    assert (form.attach_training_data, form.early_access_days, form.published_at) == (False, 0, None)
    assert form_edit.source_of(form, "strength") == "library"
    assert form_edit.source_of(form, "allow_derivatives") == "default"
    assert form_edit.source_of(form, "description") == "template"


def test_training_facts_come_from_the_header_and_into_the_description(registry: Registry, tmp_path: Path) -> None:
    version_id = trained(registry, tmp_path / "m" / "a.safetensors")
    part = (form := form_fill.filled(registry, [version_id])).parts[0]
    assert (part.steps, part.epochs, part.clip_skip) == (1200, 6, 2)
    assert part.sources["steps"] == "header"
    assert part.facts["checkpoint"] == "base.safetensors", "a path tells its last part only"
    for line in ("Images: 24", "Steps: 1,200", "Resolution:", "Network: lora, rank"):
        assert line in form.description


def test_another_model_s_pictures_are_left_out_and_a_version_has_a_name(registry: Registry, tmp_path: Path) -> None:
    form = form_fill.filled(registry, [trained(registry, tmp_path / "m" / "a.safetensors")])
    assert (form.parts[0].name, form.parts[0].sources["version_name"]) == ("v1.0", "default")
    assert form.parts[0].pictures == ()


def test_several_versions_make_one_form_with_a_part_each(registry: Registry, tmp_path: Path) -> None:
    ids = [trained(registry, tmp_path / "m" / f"x-{epoch:06}.safetensors", seed=epoch) for epoch in (1, 2, 3)]
    form = form_fill.filled(registry, ids, name="One model")
    assert form.version_ids == tuple(ids)
    assert [part.name for part in form.parts] == ["x-000001", "x-000002", "x-000003"]
    form = form_edit.changed(form, {"strength": "0.7", "2.strength": "0.9", "1.version_name": "early"})
    assert [part.strength for part in form.parts] == [0.7, 0.9, 0.7]
    plan = form_plan.plan(form)
    assert [version.name for version in plan.versions] == ["early", "x-000002", "x-000003"]
    assert plan.model["name"] == "One model"
    with pytest.raises(UsageError, match="name of its own"):
        form_edit.changed(form, {"version_name": "same"})
    with pytest.raises(UsageError, match="no version 4"):
        form_edit.changed(form, {"4.strength": "1"})


def sent(registry: Registry, form: PublishForm) -> None:
    """As if the form had been sent."""
    plan = msgspec.json.encode(form_plan.plan(form, site="s")).decode()
    with registry.transaction() as db:
        db.execute(
            "INSERT INTO publications (id, version_id, site, plan, state, created_at) VALUES ('p', ?, 's', ?, 'open', '')",
            (form.version_ids[0], plan),
        )


def test_what_was_typed_is_there_again_in_the_next_form(registry: Registry, tmp_path: Path) -> None:
    version_id = make_version(registry, tmp_path)
    later = "2999-01-01T00:00+00:00"
    sent(
        registry,
        form_of(registry, version_id, name="Typed", strength="0.75", commercial_use="none", published_at=later),
    )
    again = form_fill.filled(registry, [version_id])
    assert (again.name, again.nsfw, again.parts[0].strength) == ("Typed", False, 0.75)
    assert again.permissions.commercial_use == ()
    assert form_edit.source_of(again, "nsfw") == "last time"
    assert "Strength: 0.75" in again.description
    assert again.published_at is not None
    sent_long_ago = "UPDATE publications SET plan = replace(plan, '2999', '2020')"
    registry.db.execute(sent_long_ago)
    assert form_fill.filled(registry, [version_id]).published_at is None


def test_a_model_s_next_version_knows_the_answers_and_gives_nothing_away(registry: Registry, tmp_path: Path) -> None:
    first = make_version(registry, tmp_path)
    giving = {"attach_training_data": "yes", "early_access_days": "7", "early_access_price": "500", "strength": "0.75"}
    form = form_of(registry, first, **giving)
    sent(registry, form)
    second = index_file(registry, write_lora(tmp_path / "models" / "harbor2.safetensors", seed=5))
    library.set_facts(registry, second, "user", {"model": form.model_id})
    again = form_fill.filled(registry, [second])
    assert (again.nsfw, again.poi, again.minor) == (False, False, False)
    assert (again.attach_training_data, again.early_access_days, again.parts[0].strength) == (False, 0, None)


def test_permissions_are_the_site_s_else_the_saved_else_the_usual(registry: Registry, tmp_path: Path) -> None:
    version_id = make_version(registry, tmp_path)
    chosen = Permissions(allow_derivatives=False, commercial_use=("Image",))
    form_defaults.save(registry, chosen)
    form = form_fill.filled(registry, [version_id])
    assert (form.permissions, form_edit.source_of(form, "commercial_use")) == (chosen, "saved")
    told = {"allowNoCredit": False, "allowDerivatives": True, "allowDifferentLicense": True}
    library.set_facts(registry, form.model_id, "civitai", {"permissions": told | {"allowCommercialUse": ["Rent"]}})
    form = form_fill.filled(registry, [version_id])
    assert (form.permissions.allow_no_credit, form.permissions.commercial_use) == (False, ("Rent",))
    (registry.home / form_defaults.FILE).write_text("[permissions]\nallow_all = true\n")
    library.set_facts(registry, form.model_id, "civitai", {"permissions": {}})
    with pytest.raises(UsageError, match=form_defaults.FILE):
        form_fill.filled(registry, [version_id])


def test_a_picture_s_other_models_are_known_by_their_ids_on_the_site(registry: Registry, tmp_path: Path) -> None:
    version_id = make_version(registry, tmp_path)
    other = index_file(registry, write_lora(tmp_path / "m" / "other.safetensors", seed=7))
    library.set_facts(registry, other, "civitai", {"civitai_version_id": 55})
    sha256 = library.version(registry, other).files[0].sha256
    told = {"prompt": "p", "loras": [{"name": "other", "sha256": sha256}, {"name": "x", "sha256": "0" * 64}]}
    previews.add_preview(registry, version_id, write_png(tmp_path / "g.png", "green"), generation=told)
    assert form_fill.filled(registry, [version_id]).parts[0].pictures[-1].links == {sha256: 55}


# base models ----------------------------------------------------------------------------------------------------------


def test_every_architecture_has_names_of_civitai_s() -> None:
    usual = {*identify_base._USUAL, *(name for name, _ in identify_base._BY_VARIANT)}
    for architecture in usual:
        names = form_base.candidates(architecture)
        assert names, architecture
        assert set(names) <= set(contract.base_models()), architecture
        if (told := identify_base._USUAL.get(architecture)) is not None:
            assert told in names


@pytest.mark.parametrize(
    ("told", "source", "architecture", "name", "is_sure"),
    [
        ("SD 1.5", "user", "sd1", "SD 1.5", True), ("SD 1.5", "header", "sd1", "SD 1.5", False),
        ("SD 1.4", "header", "sd1", "SD 1.4", True), ("Chroma", "header", "chroma", "Chroma", True),
        ("sd1.5", "sidecar", "sd1", "SD 1.5", True), ("stable-diffusion-v1-5", "sidecar", "", "SD 1.5", True),
        ("Pony", "guess", "sdxl", "Pony", False), ("SDXL 1.0", "guess", "sdxl", "SDXL 1.0", False),
        ("Pony", "training", "sdxl", "Pony", False), ("SD 3.5 Large", "training", "sd3", "SD 3.5 Large", True),
        ("Other", "training", "sdxl", "", False), ("Other", "user", "sdxl", "Other", True), ("Other", "training", "tiny", "Other", True),
        ("hubman-tinybase", "training", "tiny", "Other", True), ("My own merge", "sidecar", "sdxl", "", False),
        ("", "", "chroma", "Chroma", True), ("", "", "sdxl", "", False), ("", "", "", "", False),
    ],
)  # fmt: skip
def test_a_base_model_is_exact_or_asked(told: str, source: str, architecture: str, name: str, is_sure: bool) -> None:
    found = form_base.of(told, source, architecture, {})
    assert (found.name, found.is_sure) == (name, is_sure)


@pytest.mark.parametrize("name", sorted(contract.base_models()))
def test_an_exact_name_stays_itself(name: str) -> None:
    assert form_base.named(name) == name


@pytest.mark.parametrize(
    ("told", "architecture", "metadata", "is_sure"),
    [
        ("SDXL 1.0", "sdxl", {"modelspec.architecture": "stable-diffusion-xl-v1-base/lora"}, False),
        ("SDXL 1.0", "sdxl", {"ss_base_model_version": "sdxl_base_v1-0", "ss_sd_model_name": "my_merge.safetensors"}, False),
        ("SDXL 1.0", "sdxl", {"ss_sd_model_name": "sd_xl_base_1.0.safetensors"}, True),
        ("SDXL 1.0", "sdxl", {"ss_new_sd_model_hash": "31e35c80fc4829d14f90153f4c74cd59c90b779f6afe05a74cd6120b893f7e5b"}, True),
        ("SD 1.5", "sd1", {"ss_base_model_version": "sd_v1"}, False),
        ("SD 1.5", "sd1", {"ss_sd_model_name": "v1-5-pruned-emaonly.safetensors"}, True),
        ("SD 1.5", "sd1", {"ss_sd_model_name": "anything-v1.5.safetensors"}, False),
        ("Flux.1 D", "flux", {"ss_base_model_version": "flux1"}, False),
        ("Flux.1 D", "flux", {"ss_sd_model_name": "flux1-dev.safetensors"}, True),
        ("Wan Video 14B t2v", "wan", {}, True),
    ],
)  # fmt: skip
def test_the_usual_base_is_asked_unless_the_header_names_it(
    told: str, architecture: str, metadata: dict[str, str], is_sure: bool
) -> None:
    assert form_base.of(told, "header", architecture, metadata).is_sure == is_sure


def test_what_a_trainer_writes_for_every_base_is_asked(registry: Registry, tmp_path: Path) -> None:
    said = {"ss_base_model_version": "sd_v1", "ss_network_module": "networks.lora"}
    version_id = index_file(registry, write_lora(tmp_path / "ink.safetensors", metadata=said))
    part = form_of(registry, version_id).parts[0]
    assert (part.base_model, part.sources["base_model"]) == ("SD 1.5", "guess")


def test_a_guessed_base_model_is_asked_and_a_said_one_is_not(registry: Registry, tmp_path: Path) -> None:
    version_id = make_version(registry, tmp_path)
    library.set_facts(registry, version_id, "user", {"base_model": None})
    library.set_facts(registry, version_id, "guess", {"base_model": "SD 1.4"})
    form = form_of(registry, version_id)
    assert (form.parts[0].base_model, form.parts[0].sources["base_model"]) == ("SD 1.4", "guess")
    said = form_edit.changed(form, {"base_model": "SD 1.4"})
    assert said.parts[0].sources["base_model"] == "you"


# typed ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("nsfw", "yes", True), ("nsfw", "", None), ("strip", "no", False), ("strength", "0.8", 0.8), ("strength", "", None),
        ("epochs", "12", 12), ("trained_words", "a, b ,a,", ("a", "b")), ("commercial_use", "sell, image", ("Sell", "Image")),
        ("commercial_use", "none", ()), ("type", "locon", "LoCon"), ("published_at", "", None), ("published_at", "now", None),
        ("published_at", "+2d", "2026-09-03T12:00:00+00:00"), ("published_at", "+90m", "2026-09-01T13:30:00+00:00"),
        ("published_at", "2027-01-31T18:00+01:00", "2027-01-31T17:00:00+00:00"), ("civitai_model_id", "", 0),
    ],
)  # fmt: skip
def test_a_typed_value_is_read(registry: Registry, tmp_path: Path, name: str, text: str, value: object) -> None:
    form = form_edit.changed(form_fill.filled(registry, [make_version(registry, tmp_path)]), {name: text}, now=NOW)
    assert form_edit.value_of(form, name) == value
    assert form_edit.source_of(form, name) == "you"


@pytest.mark.parametrize(
    ("name", "text"),
    [("nsfw", "maybe"), ("strength", "strong"), ("strength", "nan"), ("epochs", "1.5"), ("clip_skip", "13"), ("type", "Lora2"),
     ("commercial_use", "Steal"), ("published_at", "tomorrow"), ("pictures", "ffff"), ("stregth", "1"), ("1.name", "x")],
)  # fmt: skip
def test_what_a_field_can_t_be_is_refused_in_words(registry: Registry, tmp_path: Path, name: str, text: str) -> None:
    form = form_fill.filled(registry, [make_version(registry, tmp_path)])
    with pytest.raises(UsageError) as caught:
        form_edit.changed(form, {name: text})
    assert caught.value.hint


def test_every_field_can_be_shown_and_typed_again(registry: Registry, tmp_path: Path) -> None:
    form = form_of(registry, make_version(registry, tmp_path), published_at="2027-01-31T18:00+00:00")
    for name in FIELDS:
        again = form_edit.changed(form, {name: form_edit.text_of(form, name)})
        assert form_edit.value_of(again, name) == form_edit.value_of(form, name), name


def test_pictures_are_chosen_in_order(registry: Registry, tmp_path: Path) -> None:
    form = form_of(registry, make_version(registry, tmp_path))
    first, second = form.parts[0].offered
    form = form_edit.changed(form, {"pictures": f"{second.sha256[:8]}, {first.sha256[:8]}"})
    assert form.parts[0].pictures == (second, first)
    assert form_edit.changed(form, {"pictures": first.sha256}).parts[0].pictures == (first,)
    told = form_edit.changed(form, {"pictures": f"{first.sha256[:8]} A boat at dawn"})
    assert [picture.caption for picture in told.parts[0].pictures] == ["A boat at dawn"]
    assert form_edit.changed(told, {"pictures": form_edit.text_of(told, "pictures")}) == told


def test_permissions_keep_to_the_base_model_s_licence_unless_somebody_says_otherwise(
    registry: Registry, tmp_path: Path
) -> None:
    version_id = make_version(registry, tmp_path)
    library.set_facts(registry, version_id, "user", {"base_model": "Flux.1 D"})
    form = form_fill.filled(registry, [version_id])
    assert (form.permissions.commercial_use, form_edit.source_of(form, "commercial_use")) == (("Image",), "base model")


def test_saved_permissions_can_be_taken_back(registry: Registry) -> None:
    form_defaults.save(registry, Permissions(allow_no_credit=False))
    form_defaults.save(registry, Permissions(commercial_use=()))
    undo.undo(registry)
    assert form_defaults.read(registry.home) == Permissions(allow_no_credit=False)


# every form is one that Civitai takes ---------------------------------------------------------------------------------

_ANY = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30).filter(str.strip)
_SCRIPTS = st.sampled_from(
    ["Ink", "墨の絵", "чернила", "رسم", "דיו", "잉크", "मसि", "หมึก", "🖋️ ink", "e\u0301tude", "a\u202eb"]
)
_LONG = st.text(max_size=300).map(lambda text: text * 20)
_PART = st.builds(
    VersionPart,
    version_id=st.uuids().map(str),
    name=_ANY | _SCRIPTS,
    file=st.just(FormFile(path="/x/a.safetensors", name="a.safetensors", sha256="0" * 64, size=4096)),
    base_model=st.sampled_from(sorted(contract.base_models())),
    description=_LONG,
    trained_words=st.lists(_ANY | _SCRIPTS, max_size=50).map(tuple),
    epochs=st.none() | st.integers(0, 100_000),
    steps=st.none() | st.integers(0, 2**31 - 1),
    clip_skip=st.none() | st.integers(1, 12),
    strength=st.none() | st.floats(-15, 15),
    facts=st.dictionaries(st.sampled_from(describe.NAMES), _ANY, max_size=5),
)
_FORMS = st.builds(
    PublishForm,
    model_id=st.just("m"),
    name=_ANY | _SCRIPTS,
    parts=st.lists(_PART, min_size=1, max_size=3).map(tuple),
    type=st.sampled_from(contract.enum_values("ModelType")),
    category=st.sampled_from(("style", "character")),
    tags=st.lists(_ANY, max_size=5).map(tuple),
    words=_LONG,
    permissions=st.builds(
        Permissions,
        allow_no_credit=st.booleans(),
        commercial_use=st.sets(st.sampled_from(("Image", "RentCivit", "Rent", "Sell"))).map(tuple),
    ),
    nsfw=st.sampled_from((None, True, False)),
    sources=st.just({"description": "template"}),
)


@given(_FORMS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_a_form_says_is_input_that_civitai_s_schemas_take(form: PublishForm) -> None:
    plan = form_plan.plan(form_edit.refreshed(form))
    assert list(conformance.problems(plan)) == []
    names = [tag["name"] for tag in plan.model["tagsOnModels"]]
    assert len(names) == len(set(names))
    assert names[0] == form.category
    assert plan.model["allowCommercialUse"] is not None, "left out, it would allow to sell"
    assert all(version.fields["usageControl"] == "Download" for version in plan.versions)
    assert all("earlyAccessGoalConfig" not in version.fields for version in plan.versions)
    text_of_kept(plan.model["description"] or "")
    assert msgspec.json.decode(msgspec.json.encode(form), type=PublishForm) == form


def test_the_lists_are_bundled_for_when_nobody_can_be_asked() -> None:
    lists = checks_site.lists(None)
    assert "style" in lists.categories
    assert set(contract.enum_values("ActiveBaseModel")) == set(lists.active_base_models)


def test_an_edit_in_the_library_reaches_the_next_form(registry: Registry, tmp_path: Path) -> None:
    version_id = make_version(registry, tmp_path)
    model: Any = form_fill.filled(registry, [version_id]).model_id
    edits.edit(registry, model, version_id, {"tags": "character, style", "trigger_words": "x"})
    form = form_fill.filled(registry, [version_id])
    assert (form.category, set(form.tags)) == ("", {"character", "style"})
    assert form.parts[0].trained_words == ("x",)
