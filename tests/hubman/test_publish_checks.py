"""Before the first byte: each rule that Civitai or good sense has finds what breaks it, and says what to do."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from hubman.civitai import checks_site, contract, form_edit, preflight
from hubman.civitai.client import Civitai
from hubman.civitai.finding import HARMLESS, Finding, accepted, blocking
from hubman.civitai.form import FormPicture, Permissions, PublishForm
from hubman.cli.main import COMMANDS
from hubman.sandbox import seed_model
from registry import edits, library, timestamps
from registry.database import Registry
from registry.scan import index_file
from tests.support.civitai import Bench, bench, png, quick_registry, write_lora
from tests.support.publishing import form_of, make_version

NOW = datetime(2026, 9, 1, 12, 0, tzinfo=UTC)


class World(NamedTuple):
    """A form that passes every check, and all that it was made from."""

    site: Bench
    client: Civitai
    registry: Registry
    folder: Path
    form: PublishForm

    def found(self, form: PublishForm, *, online: bool = False) -> dict[str, Finding]:
        client = self.client if online else None
        return {one.code: one for one in preflight.findings(self.registry, client, form, now=lambda: NOW)}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("checks")
    with bench(folder) as site, site.client() as client, quick_registry(folder / "home") as registry:
        version_id = make_version(registry, folder)
        form = form_of(registry, version_id)
        more = form.parts[0].offered[0]
        third = write_bytes(folder / "third.png", png("green"))
        pictures = (*form.parts[0].offered, picture(third, generation=more.generation))
        yield World(site, client, registry, folder, of_part(form, pictures=pictures, offered=pictures))


def write_bytes(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def picture(path: Path, **fields: Any) -> FormPicture:
    return FormPicture(
        **{"sha256": path.name, "name": path.name, "path": str(path), "width": 32, "height": 24, **fields}
    )


def of_part(form: PublishForm, **fields: Any) -> PublishForm:
    return msgspec.structs.replace(form, parts=(msgspec.structs.replace(form.parts[0], **fields),))


def replace(form: PublishForm, **fields: Any) -> PublishForm:
    return msgspec.structs.replace(form, **fields)


def test_a_good_form_passes_every_check(world: World) -> None:
    assert world.found(world.form, online=True) == {}
    checked = preflight.check(world.registry, world.client, world.form)
    assert checked.plan is not None
    assert checked.plan.form is not None


TYPED = [
    ({"name": ""}, "name"),
    ({"name": "\ufeff"}, "name"), ({"category": "stile"}, "category-unknown"), ({"category": "", "tags": "ink"}, "category-missing"),
    ({"category": "", "tags": "style, character"}, "category-several"), ({"nsfw": ""}, "nsfw-unanswered"),
    ({"poi": ""}, "poi-unanswered"), ({"minor": ""}, "minor-unanswered"), ({"nsfw": "yes", "poi": "yes"}, "nsfw-poi"),
    ({"nsfw": "yes", "minor": "yes"}, "nsfw-minor"), ({"nsfw": "yes", "sfw_only": "yes"}, "nsfw-sfw-only"),
    ({"version_name": ""}, "version-name"), ({"base_model": ""}, "base-missing"), ({"base_model": "SD 9"}, "base-unknown"),
    ({"base_model": "sd 1.5"}, "base-unknown"), ({"base_model": "SDXL Turbo"}, "base-refused"),
    ({"nsfw": "yes", "base_model": "Stable Cascade"}, "base-nsfw"), ({"nsfw": "yes", "base_model": "Ideogram 4.0"}, "base-nsfw"),
    ({"base_model": "Ideogram 4.0", "early_access_days": "7", "early_access_price": "500"}, "base-monetised"),
    ({"early_access_days": "7"}, "early-access"), ({"early_access_days": "7", "early_access_price": "99"}, "early-access"),
    ({"trained_words": ""}, "triggers-missing"), ({"no_trigger_words": "yes"}, "triggers-none"),
    ({"strength_min": "1", "strength_max": "1"}, "strength-range"), ({"strength": "1.4"}, "strength-outside"),
    ({"strength": "0.2"}, "strength-outside"), ({"attach_training_data": "yes"}, "training-data"), ({"pictures": ""}, "pictures-missing"),
]  # fmt: skip
"""What is typed, and the error that it leads to."""


@pytest.mark.parametrize(("typed", "code"), TYPED)
def test_what_breaks_a_rule_is_an_error_that_says_what_to_do(world: World, typed: dict[str, str], code: str) -> None:
    found = world.found(form_edit.changed(world.form, typed))
    assert found[code].level == "error"
    assert found[code].hint
    assert blocking(accepted(found.values(), {code, HARMLESS})), "an error can't be accepted"


MADE: list[tuple[Callable[[World], PublishForm], str]] = [
    (lambda w: replace(w.form, kind="checkpoint"), "kind"),
    (lambda w: replace(w.form, description="  \n", sources={}), "description"),
    (lambda w: of_part(w.form, sources={"base_model": "guess"}), "base-guessed"),
    (lambda w: replace(w.form, parts=w.form.parts * 2), "weights-twice"),
    (lambda w: replace(w.form, parts=w.form.parts * 2), "version-twice"),
    (lambda w: _with_file(w, write_bytes(w.folder / "x.ckpt", b"x")), "file-format"),
    (lambda w: _with_file(w, w.folder / "gone.safetensors"), "file-missing"),
    (lambda w: _with_file(w, write_bytes(w.folder / "cut.safetensors", _lora_bytes(w)[:-9])), "file-damaged"),
    (lambda w: _with_file(w, write_bytes(w.folder / "other.safetensors", _lora_bytes(w)[:-1] + b"!")), "file-changed"),
    (lambda w: _with_file(w, write_bytes(w.folder / "nan.safetensors", _lora_bytes(w)[:-2] + b"\xff\xff")), "file-weights"),
    (lambda w: _with_file(w, _zeros(w)), "file-weights"),
    (lambda w: _mature(replace(w.form, poi=True)), "pictures-mature"),
    (lambda w: _mature(replace(w.form, sfw_only=True)), "pictures-mature"),
    (lambda w: of_part(w.form, epochs=100_001), "schema"),
    (lambda w: of_part(w.form, clip_skip=13), "schema"),
    (lambda w: replace(w.form, type="Lora"), "schema"),
    (lambda w: replace(w.form, published_at="soon"), "schedule"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "code"), MADE)
def test_what_can_t_be_typed_is_found_too(world: World, make: Callable[[World], PublishForm], code: str) -> None:
    assert world.found(make(world))[code].level == "error"


def _with_file(world: World, path: Path) -> PublishForm:
    return of_part(world.form, file=msgspec.structs.replace(world.form.parts[0].file, path=str(path)))


def _lora_bytes(world: World) -> bytes:
    return Path(world.form.parts[0].file.path).read_bytes()


def _zeros(world: World) -> Path:
    data = _lora_bytes(world)
    start = 8 + struct.unpack("<Q", data[:8])[0]
    return write_bytes(world.folder / "zero.safetensors", data[:start] + bytes(len(data) - start))


def _mature(form: PublishForm) -> PublishForm:
    shown = form.parts[0].pictures
    return of_part(form, pictures=(msgspec.structs.replace(shown[0], nsfw_level=4), *shown[1:]))


WARNED: list[tuple[Callable[[World], PublishForm], str, bool]] = [
    (lambda w: of_part(w.form, strength=None), "strength-missing", True),
    (lambda w: replace(w.form, tags=("ink", "character")), "category-others", True),
    (lambda w: replace(w.form, type="Checkpoint"), "type", False),
    (lambda w: of_part(w.form, base_model="SD 2.1 768"), "base-hidden", False),
    (lambda w: _of_sd1(w.form, base_model="Flux.1 D"), "base-other", False),
    (lambda w: of_part(w.form, base_model="Flux.1 D"), "base-licence", False),
    (lambda w: _mature(w.form), "nsfw-pictures", False),
    (lambda w: replace(w.form, published_at=(NOW - timedelta(hours=1)).isoformat()), "schedule-past", False),
    (lambda w: replace(w.form, published_at=(NOW + timedelta(minutes=30)).isoformat()), "schedule-soon", False),
    (lambda w: of_part(w.form, pictures=w.form.parts[0].pictures[:1]), "pictures-few", True),
    (lambda w: _and(w, *_copies(w.form, 21)), "pictures-many", True),
    (lambda w: _and(w, picture(w.folder / "away.png")), "picture-left-out", True),
    (lambda w: _and(w, picture(write_bytes(w.folder / "x.gif", b"GIF89a"))), "picture-left-out", True),
    (lambda w: _and(w, picture(write_bytes(w.folder / "cut.png", png()[:40]))), "picture-left-out", True),
    (lambda w: _and(w, picture(write_bytes(w.folder / "v.mp4", b"x"))), "picture-left-out", True),
    (lambda w: _silent(w.form), "pictures-silent", False),
    (lambda w: replace(w.form, poi=True), "pictures-unrated", True),
    (lambda w: _and(w, _of_another(w)), "pictures-other", True),
]  # fmt: skip


@pytest.mark.parametrize(("make", "code", "is_harmless"), WARNED)
def test_what_may_be_meant_is_a_warning_that_can_be_accepted(
    world: World, make: Callable[[World], PublishForm], code: str, is_harmless: bool
) -> None:
    found = world.found(make(world))
    assert (found[code].level, found[code].is_harmless) == ("warning", is_harmless)
    assert found[code].hint
    by_name = preflight.findings(world.registry, None, make(world), accept=(code,), now=lambda: NOW)
    assert next(one for one in by_name if one.code == code).accepted
    by_yes = preflight.findings(world.registry, None, make(world), accept=(HARMLESS,), now=lambda: NOW)
    assert next(one for one in by_yes if one.code == code).accepted is is_harmless


def _of_sd1(form: PublishForm, **fields: Any) -> PublishForm:
    return of_part(form, file=msgspec.structs.replace(form.parts[0].file, architecture="sd1"), **fields)


def _copies(form: PublishForm, count: int) -> list[FormPicture]:
    first = form.parts[0].pictures[0]
    return [msgspec.structs.replace(first, sha256=f"{number:064x}") for number in range(count)]


def _and(world: World, *more: FormPicture) -> PublishForm:
    return of_part(world.form, pictures=(*world.form.parts[0].pictures, *more))


def _of_another(world: World) -> FormPicture:
    first = world.form.parts[0].pictures[0]
    told = {**first.generation, "loras": [{"name": "another", "strength": 1}]}
    return msgspec.structs.replace(first, sha256="f" * 64, generation=told)


def _silent(form: PublishForm) -> PublishForm:
    shown = form.parts[0].pictures
    return of_part(form, pictures=tuple(msgspec.structs.replace(one, generation={}) for one in shown))


def test_what_is_left_out_is_not_sent(world: World) -> None:
    form = replace(_and(world, picture(world.folder / "away.png")), tags=("ink", "character"))
    checked = preflight.check(world.registry, world.client, form, accept=(HARMLESS,))
    assert checked.plan is not None
    assert [one.name for one in checked.plan.versions[0].pictures] == ["red.png", "blue.png", "third.png"]
    assert checked.plan.model["tagsOnModels"] == [{"name": "style"}, {"name": "ink"}]


@pytest.mark.parametrize("name", contract.enum_values("DeprecatedBaseModel"))
def test_a_refused_base_model_is_never_sent(world: World, name: str) -> None:
    assert world.found(of_part(world.form, base_model=name))["base-refused"].level == "error"


# what only the site knows ---------------------------------------------------------------------------------------------


def test_a_file_that_civitai_has_is_found_by_its_hash(world: World, tmp_path: Path) -> None:
    path = write_lora(tmp_path / "theirs.safetensors", seed=9)
    version_id = index_file(world.registry, path)
    form = form_of(world.registry, version_id)
    seeded = seed_model(world.site.sandbox, path, name="Theirs")
    found = world.found(form, online=True)["file-on-site"]
    assert found.level == "error"
    assert f"/models/{seeded.model_id}?" in found.hint


@pytest.mark.parametrize(("key", "code"), [("read-only", "key-scopes"), ("muted", "account")])
def test_a_key_that_may_not_publish_is_a_finding(world: World, key: str, code: str) -> None:
    with world.site.client(key) as client:
        found = preflight.findings(world.registry, client, world.form, now=lambda: NOW)
    assert [one.code for one in found] == [code]


def test_other_people_s_models_are_not_published(world: World) -> None:
    foreign = replace(world.form, origin="civitai", creator="somebody")
    assert world.found(foreign, online=True)["foreign"].level == "error"
    mine = replace(foreign, creator=world.client.me().username)
    assert "foreign" not in world.found(mine, online=True)


def test_a_model_to_add_to_must_be_one_s_own(world: World) -> None:
    theirs = seed_model(world.site.sandbox, write_lora(world.folder / "t.safetensors", seed=8), name="Not mine")
    with world.site.client("other") as other:
        for number in (theirs.model_id, 999_999):
            form = replace(world.form, civitai_model_id=number)
            found = {one.code: one for one in preflight.findings(world.registry, other, form, now=lambda: NOW)}
            assert found["model-foreign"].level == "error"
    fields = {"name": "Mine", "type": "LORA", "uploadType": "Created", "status": "Draft"}
    mine = world.client.upsert_model(fields)
    world.client.upsert_version({"modelId": mine, "name": "V1.0", "baseModel": "SD 1.5"})
    found = world.found(replace(world.form, civitai_model_id=mine), online=True)
    assert list(found) == ["version-on-site"]


def test_the_day_s_posts_are_counted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    site, now = world.client.site, datetime.now(UTC)
    publication = (
        "INSERT INTO publications (id, version_id, site, plan, state, created_at) VALUES (?, ?, ?, '{}', 'open', '')"
    )
    step = "INSERT INTO publication_steps (publication_id, name, state, started_at) VALUES (?, 'post', 'done', ?)"
    with world.registry.transaction() as db:
        for name, hours, where in (("a", 1, site), ("b", 23, site), ("c", 25, site), ("d", 1, "https://elsewhere")):
            db.execute(publication, (name, name, where))
            db.execute(step, (name, timestamps.of(now - timedelta(hours=hours))))
    assert checks_site.posts_made(world.registry, site, now) == 2
    assert "posts" not in world.found(world.form, online=True)
    monkeypatch.setattr(checks_site, "POSTS_A_DAY", 2)
    found = world.found(world.form, online=True)["posts"]
    assert (found.level, found.is_harmless) == ("warning", True)


# licences -------------------------------------------------------------------------------------------------------------


OPEN = {"allowNoCredit": True, "allowDerivatives": True, "allowDifferentLicense": True, "allowCommercialUse": ["Sell"]}
PARENTS: list[tuple[dict[str, Any], str | None, str]] = [
    (OPEN | {"allowDerivatives": False}, "parent-forbids", "error"),
    (OPEN | {"allowDifferentLicense": False, "allowCommercialUse": ["Image"]}, "parent-terms", "warning"),
    (OPEN | {"allowNoCredit": False}, "parent-credit", "warning"),
    ({}, "parent-unknown", "warning"),
    (OPEN, None, ""),
]  # fmt: skip


@pytest.fixture(scope="module")
def merged(world: World) -> tuple[str, PublishForm]:
    """(a parent's model id, the form of a merge of it)."""
    parent = index_file(world.registry, write_lora(world.folder / "parent.safetensors", seed=21))
    model = library.version(world.registry, parent).model_id
    edits.edit(world.registry, model, parent, {"name": "Parent", "creator": "ann"})
    header = {"modelspec.merged_from": "parent", "ss_network_module": "networks.lora"}
    child = index_file(world.registry, write_lora(world.folder / "merge.safetensors", seed=22, metadata=header))
    return model, form_of(world.registry, child)


@pytest.mark.parametrize(("permissions", "code", "level"), PARENTS)
def test_a_merge_keeps_to_its_parents_licence(
    world: World, merged: tuple[str, PublishForm], permissions: dict[str, Any], code: str | None, level: str
) -> None:
    model, form = merged
    library.set_facts(world.registry, model, "civitai", {"permissions": permissions})
    found = {name: one for name, one in world.found(form).items() if name.startswith("parent")}
    assert set(found) == ({code} if code else set())
    if code:
        assert found[code].level == level
    if code == "parent-credit":
        assert "parent-credit" not in world.found(form_edit.changed(form, {"description": "With work by Ann."}))


def test_a_parent_is_known_by_its_whole_name_and_one_s_own_forbids_nothing(
    world: World, merged: tuple[str, PublishForm]
) -> None:
    model, form = merged
    library.set_facts(world.registry, model, "civitai", {"permissions": OPEN | {"allowDerivatives": False}})
    library.set_facts(world.registry, model, "training", {"origin": "trained"})
    assert not any(name.startswith("parent") for name in world.found(form))
    library.set_facts(world.registry, model, "training", {"origin": None})
    assert "parent-forbids" in world.found(form)
    edits.edit(world.registry, model, library.show(world.registry, model).versions[0].id, {"name": "Parents of all"})
    header = {"modelspec.merged_from": "Parents"}
    child = index_file(world.registry, write_lora(world.folder / "m3.safetensors", seed=24, metadata=header))
    assert world.found(form_of(world.registry, child))["parent-unknown"].message.startswith(
        "it was merged from Parents"
    )


def test_every_code_is_told_in_the_documentation() -> None:
    root = Path(__file__).parents[2]
    sources = [path.read_text() for path in (root / "hubman" / "civitai").glob("checks_*.py")]
    sources.append((root / "hubman" / "civitai" / "preflight.py").read_text())
    calls = re.compile(r"(?:error|warning)\(\s*f?\"([a-z{}-]+)\"")
    codes = {code for text in sources for code in calls.findall(text)} - {"{name}-unanswered"}
    told = set(re.findall(r"[a-z][a-z-]+", (root / "docs" / "publishing.md").read_text()))
    assert {*codes, "header-secret", "header-private", "header-prompt", "poi-unanswered"} <= told
    assert len(codes) > 40


def test_what_a_hint_says_to_run_is_a_command() -> None:
    folder = Path(__file__).parents[2] / "hubman" / "civitai"
    text = " ".join(path.read_text() for path in [*folder.glob("checks_*.py"), *folder.glob("form_*.py")])
    named = set(re.findall(r"hubman ([a-z-]+)", text))
    assert named >= {"scan", "edit", "sweep", "publish"}
    assert named <= set(COMMANDS)


def test_a_parent_that_nobody_knows_is_told(world: World) -> None:
    header = {"sd_merge_models": '{"00ff": {"name": "gone.safetensors"}}'}
    child = index_file(world.registry, write_lora(world.folder / "m2.safetensors", seed=23, metadata=header))
    assert world.found(form_of(world.registry, child))["parent-unknown"].level == "warning"


def test_a_licence_that_is_not_for_earning_is_kept_by_earning_nothing(world: World) -> None:
    form = of_part(world.form, base_model="Flux.1 D")
    assert "base-licence" not in world.found(replace(form, permissions=Permissions(commercial_use=())))
