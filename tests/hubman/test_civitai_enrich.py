"""What Civitai says of files that are here already: identified, described, illustrated, and kept when it is gone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hubman import config
from hubman.civitai.archived import archived
from hubman.civitai.enrich import Enriched
from hubman.civitai.errors import UnavailableError
from hubman.civitai.pictures import fetch
from hubman.civitai.records import RemoteImage
from hubman.civitai.wanted import Wanted, wanted
from hubman.cli.main import run
from hubman.progress import Progress
from hubman.sandbox import Fault, seed_model
from registry import archive, edits, fields, library, timestamps, upstream_hashes
from registry.errors import CancelledError
from registry.records import ModelDetail
from registry.roots import add as add_root
from registry.scan import index_file, scan
from tests.support.civitai import Bench, bench, write_png
from tests.support.enriching import DAY, Desk, desk, new_lora
from tests.support.library import add_entry

NO_PICTURES = Wanted(count=0)
HTML = "<p>Draws <b>harbours</b>.</p><p>Use 0.8.</p>"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("site")) as running:
        yield running


@pytest.fixture
def here(site: Bench, tmp_path: Path) -> Iterator[Desk]:
    with desk(site, tmp_path) as opened:
        yield opened


def _model(here: Desk, version_id: str) -> ModelDetail:
    return library.show(here.registry, library.version(here.registry, version_id).model_id)


# identifying ----------------------------------------------------------------------------------------------------------


def test_files_that_civitai_has_get_its_facts(here: Desk) -> None:
    known, seeded = here.shared("Harbor", description=HTML, base_model="SDXL 1.0")
    unknown, _ = here.file("mine")
    assert here.enrich() == Enriched(found=1, unknown=1, requests=3)
    version, model = library.version(here.registry, known), _model(here, known)
    assert (version.civitai_id, version.name, version.base_model) == (seeded.version_id, "v1.0", "SDXL 1.0")
    assert (version.trigger_words, model.tags) == (("word",), ("style",))
    assert (model.name, model.creator, model.kind, model.civitai_id) == ("Harbor", "creator", "lora", seeded.model_id)
    assert model.description == "Draws harbours.\n\nUse 0.8."
    assert model.permissions["allowCommercialUse"] == ["Image"]
    assert library.version(here.registry, unknown).civitai_id is None


def test_what_a_person_said_stays_in_every_field(here: Desk) -> None:
    version_id, _ = here.shared(
        "Harbor", description=HTML, version={"settings": {"strength": 0.9, "minStrength": 0.1, "maxStrength": 1.9}}
    )
    said = {
        "name": "Mine", "kind": "vae", "creator": "me", "rating": "4", "favourite": "yes", "alias": "hb",
        "nsfw_level": "x", "version_name": "final", "base_model": "Pony", "strength": "0.5", "strength_min": "0.2",
        "strength_max": "0.7", "negative_prompt": "blur", "notes": "note", "description": "My text",
        "changelog": "My change", "trigger_words": "mine", "trigger_groups": "", "tags": "own, style",
    }  # fmt: skip
    assert sorted(said) == fields.editable_names(), "a field that is new needs its word here"
    model = library.version(here.registry, version_id).model_id
    edits.edit(here.registry, model, version_id, said)
    here.enrich()
    version, found = library.version(here.registry, version_id), _model(here, version_id)
    assert found.civitai_id, "it is the model of the page now"
    shown = {name: edits.shown(name, found, version) for name in said}
    assert shown == said


def test_what_a_person_took_away_does_not_come_with_the_first_answer(here: Desk) -> None:
    version_id, _ = here.shared("Harbor", words=["word", "other"], tags=["style", "sea", "boat"], description=HTML)
    model = library.version(here.registry, version_id).model_id
    library.update_set(here.registry, model, "tags", add=["sea"])
    edits.edit(here.registry, model, version_id, {"trigger_words": "word", "tags": "own"})
    edits.edit(here.registry, model, version_id, {"trigger_words": "", "description": "Mine."})
    edits.edit(here.registry, model, version_id, {"description": ""})
    here.enrich()
    assert library.version(here.registry, version_id).trigger_words == ()
    assert (_model(here, version_id).tags, _model(here, version_id).description) == (("boat", "own", "style"), None)


def test_what_a_sidecar_numbered_gets_the_words_that_only_civitai_tells(here: Desk) -> None:
    version_id, seeded = here.shared("Harbor")
    library.set_facts(here.registry, version_id, "sidecar", {"civitai_version_id": seeded.version_id})
    here.enrich()
    assert library.version(here.registry, version_id).trigger_words == ("word",)


def test_a_second_run_asks_for_nothing(here: Desk) -> None:
    here.shared("Harbor")
    here.file("mine")
    first = here.enrich()
    before = here.asked()
    assert here.enrich() == Enriched(found=1, unknown=1, requests=0)
    assert (here.asked(), first.requests) == (before, 3)


def test_what_was_not_found_is_asked_again_after_a_day_a_week_and_each_month(here: Desk) -> None:
    here.file("mine")
    here.enrich()
    asked = []
    for day in range(1, 110):
        here.now += DAY
        if here.enrich(wanted=NO_PICTURES).requests:
            asked.append(day)
    assert asked == [1, 8, 38, 68, 98]


def test_again_asks_at_once_and_finds_what_came_meanwhile(here: Desk) -> None:
    version_id, path = here.file("mine")
    here.enrich()
    seed_model(here.site.sandbox, path, name="Late")
    assert here.enrich().unknown == 1
    assert here.enrich(again=True).found == 1
    assert _model(here, version_id).name == "Late"


def test_a_page_is_read_again_after_a_week(here: Desk) -> None:
    version_id, seeded = here.shared("Harbor")
    here.enrich()
    here.change("model", seeded.model_id, name="Port")
    here.now += 6 * DAY
    assert here.enrich().requests == 0
    here.now += DAY
    assert here.enrich().requests == 1
    assert _model(here, version_id).name == "Port"


def test_a_file_that_is_not_hashed_yet_waits(here: Desk) -> None:
    folder = here.folder / "loras"
    seed_model(here.site.sandbox, new_lora(folder / "late.safetensors"), name="Late")
    add_root(here.registry, folder)
    scan(here.registry, hashing=False)
    assert here.enrich() == Enriched(unhashed=1)
    scan(here.registry)
    assert here.enrich().found == 1


def test_a_query_limits_what_is_asked(here: Desk) -> None:
    first, _ = here.shared("Harbor")
    second, _ = here.shared("Meadow")
    assert here.enrich(models=library.model_ids(here.registry, "meadow")).found == 1
    assert library.version(here.registry, first).civitai_id is None
    assert library.version(here.registry, second).civitai_id is not None


def test_a_file_whose_header_was_edited_is_found_by_its_tensors(here: Desk) -> None:
    path = new_lora(here.folder / "original.safetensors")
    seeded = seed_model(here.site.sandbox, path, name="Harbor")
    header = int.from_bytes(path.read_bytes()[:8], "little")
    document = json.loads(path.read_bytes()[8 : 8 + header])
    document["__metadata__"]["note"] = "edited"
    text = json.dumps(document).encode()
    edited = here.folder / "edited.safetensors"
    edited.write_bytes(len(text).to_bytes(8, "little") + text + path.read_bytes()[8 + header :])
    version_id = index_file(here.registry, edited)
    assert here.enrich().found == 1
    assert library.version(here.registry, version_id).civitai_id == seeded.version_id
    assert here.enrich().requests == 0


def test_a_look_up_by_few_digits_believes_only_the_file_itself(here: Desk) -> None:
    """AutoV2, for files without tensors to hash, is ten digits of SHA-256."""
    path = here.folder / "old.pt"
    path.write_bytes(b"a pickle that is never opened")
    version_id = index_file(here.registry, path)
    file = library.version(here.registry, version_id).files[0]
    assert file.autov3 is None
    other = {"files": [{"name": "x", "hashes": {"AutoV2": file.autov2.upper(), "SHA256": "0" * 64}}]}
    answer = json.dumps({"id": 5, "modelId": 6, **other})
    here.site.sandbox.settings.faults = [Fault(f"/by-hash/{file.autov2}", status=200, body=answer)]
    assert here.enrich().unknown == 1
    assert here.site.asked(f"/by-hash/{file.autov2}") == 1
    own = seed_model(here.site.sandbox, path, name="Old")
    here.change("file", own.file_id, hashes={"AutoV2": file.autov2.upper()})
    assert here.enrich(again=True).found == 1
    assert library.version(here.registry, version_id).civitai_id == own.version_id


def test_what_was_trained_here_or_has_no_tensors_is_not_looked_for_by_them(here: Desk) -> None:
    made = add_entry(here.registry, "made", autov3="a" * 64)
    library.add_record(here.registry, "run", made, {"version_id": made, "name": "made"})
    add_entry(here.registry, "empty", autov3="e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    assert here.enrich().requests == 1


def test_what_is_nice_to_have_waits_when_the_requests_of_the_day_are_used_up(here: Desk) -> None:
    for number in range(5):
        add_entry(here.registry, f"edited {number}", autov3=f"{number}" * 64)
    with here.registry.transaction() as db:
        for _ in range(107):
            upstream_hashes.use(db, timestamps.of(here.now))
    first = here.enrich()
    assert (first.requests, first.waiting, first.unknown) == (3, 3, 5), "the list of hashes, and two by their tensors"
    assert here.enrich().requests == 0
    here.now += DAY
    assert here.enrich().waiting == 0, "the next day has its own"


# by-hash's oddities ---------------------------------------------------------------------------------------------------


def test_answers_in_any_order_with_holes_and_wrong_addresses_find_their_files(here: Desk, tmp_path: Path) -> None:
    picture = write_png(tmp_path / "example.png")
    versions = [
        here.shared(name, previews=[(picture, {"prompt": f"a {name}"})])[0] for name in ("Harbor", "Meadow", "Quarry")
    ]
    sha256s = [library.version(here.registry, one).files[0].sha256.upper() for one in versions]
    told = here.site.post("/api/v1/model-versions/by-hash", sha256s, key="").json()
    odd = [None, *({**one, "downloadUrl": "http://undefined/api"} for one in reversed(told[1:])), None, "?"]
    here.site.sandbox.settings.faults = [
        Fault("/model-versions/by-hash", method="POST", skip=1, status=200, body=json.dumps(odd))
    ]
    assert here.enrich().found == 3
    prompts = [
        [preview.generation["prompt"] for preview in library.version(here.registry, one).previews] for one in versions
    ]
    assert prompts == [[], ["a Meadow"], ["a Quarry"]], "the first was not in the answer"
    assert here.enrich().requests == 0


# failing half-way -----------------------------------------------------------------------------------------------------


def test_a_site_that_is_down_deletes_nothing(here: Desk) -> None:
    version_id, _ = here.shared("Harbor")
    here.enrich()
    here.site.sandbox.settings.faults = [Fault("/api/v1/models", status=503, times=99)]
    with pytest.raises(UnavailableError):
        here.enrich(again=True)
    assert not _model(here, version_id).upstream_deleted


def test_a_page_of_a_proxy_that_says_404_deletes_nothing(here: Desk) -> None:
    version_id, seeded = here.shared("Harbor")
    here.enrich()
    here.site.sandbox.settings.faults = [
        Fault("/api/v1/models/", status=404, body="<html>not here</html>", times=99),
        Fault("/api/v1/models", status=200, body='{"items":[],"metadata":{}}'),
    ]
    with pytest.raises(UnavailableError):
        here.enrich(again=True)
    assert not _model(here, version_id).upstream_deleted
    here.site.sandbox.settings.faults = []
    here.change("model", seeded.model_id, status="Deleted")
    here.enrich(again=True)
    assert _model(here, version_id).upstream_deleted


def test_a_short_list_deletes_nothing(here: Desk) -> None:
    version_id, _ = here.shared("Harbor")
    here.enrich()
    here.site.sandbox.settings.faults = [Fault("/api/v1/models", status=200, body='{"items":[],"metadata":{}}')]
    assert here.enrich(again=True).found == 1
    assert not _model(here, version_id).upstream_deleted


def test_an_answer_about_hashes_that_can_not_be_read_is_no_miss(here: Desk) -> None:
    version_id, seeded = here.shared("Harbor")
    here.file("mine")
    sha256 = library.version(here.registry, version_id).files[0].sha256.upper()
    ids = "/by-hash/ids"
    for body, misses in (
        ([{"modelVersionId": seeded.version_id, "hash": sha256}], 1),
        ([{"modelId": 1, "modelVersionId": 2, "hash": None}], 0),
        ([None], 0),
    ):
        here.site.sandbox.settings.faults = [Fault(ids, status=200, body=json.dumps(body))]
        here.enrich(again=True, wanted=NO_PICTURES)
        told = {one.sha256: one.asked_at for one in upstream_hashes.known(here.registry)}
        assert told.pop(sha256.lower()) == ""
        assert len(list(filter(None, told.values()))) == misses, body
        with here.registry.transaction() as db:
            db.execute("DELETE FROM upstream_hashes")
    for odd in ({"error": "busy"}, None):
        here.site.sandbox.settings.faults = [Fault(ids, status=200, body=json.dumps(odd))]
        with pytest.raises(UnavailableError):
            here.enrich()
    assert here.enrich().found == 1


def test_what_was_written_stays_when_it_fails_or_is_stopped_midway(here: Desk) -> None:
    known = [here.shared(f"Model {number}")[0] for number in range(3)]

    def stop(progress: Progress) -> None:
        if progress.stage == "read pages":
            raise CancelledError("stopped")

    with pytest.raises(CancelledError):
        here.enrich(report=stop)
    before = here.asked()
    assert here.enrich(wanted=NO_PICTURES).found == 3
    assert here.asked() - before == 1, "the hashes were not asked for again"
    assert all(library.version(here.registry, one).civitai_id for one in known)


def test_what_a_list_told_is_written_before_what_it_left_out_is_asked_for(here: Desk) -> None:
    known, listed = here.shared("Harbor")
    _, hidden = here.shared("Hidden")
    body = json.dumps({"items": [dict(here.client.model_raw(listed.model_id))], "metadata": {}})
    here.site.sandbox.settings.faults = [
        Fault(f"/models/{hidden.model_id}", status=503, times=99),
        Fault("/api/v1/models", status=200, body=body),
    ]
    with pytest.raises(UnavailableError):
        here.enrich()
    assert library.version(here.registry, known).civitai_id
    here.site.sandbox.settings.faults = []
    assert here.enrich().found == 2


def test_facts_that_were_not_written_are_taken_from_the_archive(here: Desk) -> None:
    first, _ = here.shared("Harbor")
    here.enrich()
    with here.registry.transaction() as db:
        db.execute("UPDATE upstream_hashes SET is_written = 0")
    library.set_facts(here.registry, first, "civitai", {"version_name": None})
    assert here.enrich().requests == 0
    assert library.version(here.registry, first).name == "v1.0"


# the archive ----------------------------------------------------------------------------------------------------------


def test_a_model_that_is_gone_stays_marked_until_it_is_back(here: Desk, tmp_path: Path) -> None:
    picture = write_png(tmp_path / "example.png")
    meta = {"prompt": "a harbour", "negativePrompt": "blur"}
    version_id, seeded = here.shared("Harbor", description=HTML, previews=[(picture, meta)])
    here.enrich()
    before = _model(here, version_id)
    here.change("model", seeded.model_id, status="Deleted")
    here.now += 7 * DAY
    assert here.enrich().gone == 1
    model = _model(here, version_id)
    assert (model.upstream_deleted, model.description, model.tags) == (True, before.description, before.tags)
    assert "X" in library.model_rows(here.registry, [model.id])[0].flags
    kept = archived(here.registry, seeded.model_id)
    assert kept is not None
    assert (kept.name, kept.creator, kept.gone_at) == ("Harbor", "creator", "2026-09-08T12:00:00.000Z")
    assert kept.description == "Draws harbours.\n\nUse 0.8."
    (version,) = kept.versions
    assert (version.trigger_words, version.files[0].hashes["SHA256"].lower()) == (
        ("word",),
        library.version(here.registry, version_id).files[0].sha256,
    )
    assert [(one.prompt, one.negative_prompt) for one in version.examples] == [("a harbour", "blur")]
    here.change("model", seeded.model_id, status="Published")
    here.now += 7 * DAY
    assert here.enrich().found == 1
    assert not _model(here, version_id).upstream_deleted


def test_what_the_site_takes_down_or_leaves_out_stays_known(here: Desk) -> None:
    version_id, seeded = here.shared("Harbor", description=HTML)
    here.enrich()
    raw = archive.model(here.registry, seeded.model_id)
    assert raw is not None
    reduced = {**raw, "mode": "TakenDown", "creator": None, "description": None, "tags": [], "modelVersions": []}
    body = json.dumps({"items": [reduced], "metadata": {}})
    here.site.sandbox.settings.faults = [Fault("/api/v1/models", status=200, body=body)]
    here.enrich(again=True)
    model = _model(here, version_id)
    assert (model.upstream_mode, model.creator, model.upstream_deleted) == ("TakenDown", "creator", False)
    kept = archived(here.registry, seeded.model_id)
    assert kept is not None
    assert (kept.mode, kept.creator, kept.description[:5], kept.tags) == ("TakenDown", "creator", "Draws", ("style",))
    assert [(one.name, one.is_gone, len(one.files)) for one in kept.versions] == [("v1.0", True, 1)]
    left = json.dumps({"items": [{**raw, "creator": None}], "metadata": {}})
    here.site.sandbox.settings.faults = [Fault("/api/v1/models", status=200, body=left)]
    here.enrich(again=True)
    assert (_model(here, version_id).upstream_mode, _model(here, version_id).creator) == (None, "creator")


def test_a_model_that_only_a_sidecar_numbered_is_marked_too(here: Desk) -> None:
    own, _ = here.file("own")
    seeded = seed_model(here.site.sandbox, new_lora(here.folder / "away.safetensors"), name="Away")
    library.set_facts(here.registry, own, "sidecar", {"civitai_model_id": seeded.model_id})
    here.enrich()
    marks = []
    for status in ("Deleted", "Published"):
        here.change("model", seeded.model_id, status=status)
        here.enrich(again=True)
        marks.append(_model(here, own).upstream_deleted)
    assert marks == [True, False]


_HOSTILE: list[dict[str, Any]] = [
    {"modelVersions": [{"id": [1]}, {"id": {"a": 1}}, {"id": None}, 5, None]},
    {"name": "\ud800", "tags": ["\ud800\udfff"], "description": "\x1b]0;x\x07"},
    {"allowNoCredit": 10**400, "nsfwLevel": 10**30, "extra": float("nan")},
    {"creator": [], "mode": {"a": 1}, "modelVersions": {"id": 1}},
    {"creator": {"username": 7}, "mode": "TakenDown", "modelVersions": [{"files": 3, "images": [None]}]},
]


def test_pages_that_nobody_expects_are_kept_and_harm_nothing(here: Desk) -> None:
    version_id, seeded = here.shared("Harbor")
    here.enrich()
    raw = dict(here.client.model_raw(seeded.model_id))
    for odd in _HOSTILE:
        body = json.dumps({"items": [None, {"id": "x"}, {**raw, **odd}], "metadata": {"nextPage": 5}})
        here.site.sandbox.settings.faults = [Fault("/api/v1/models", status=200, body=body)]
        here.enrich(again=True)
        here.updates()
        assert archived(here.registry, seeded.model_id) is not None
    here.enrich(again=True)
    model, version = _model(here, version_id), library.version(here.registry, version_id)
    assert (model.name, model.upstream_deleted, version.trigger_words) == ("Harbor", False, ("word",))


def test_show_tells_what_is_archived(
    here: Desk, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, seeded = here.shared("Harbor", description="<p>Draws \x1b[31mred.</p>")
    here.file("mine")
    here.enrich()
    here.change("model", seeded.model_id, status="Deleted")
    here.enrich(again=True)
    monkeypatch.setenv("HUBMAN_HOME", str(here.registry.home))
    assert run(["show", "Harbor", "--archive"]) == 0
    said = capsys.readouterr().out
    assert "gone since 2026-09-01" in said
    assert "Draws [31mred." in said
    assert run(["show", "Harbor", "--archive", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["versions"][0]["name"] == "v1.0"
    assert run(["show", "Harbor"]) == 0
    assert "deleted from Civitai" in capsys.readouterr().out
    assert run(["show", "mine", "--archive"]) == 1


# pictures -------------------------------------------------------------------------------------------------------------


def test_pictures_come_with_their_generation_data_up_to_the_number_that_is_wanted(here: Desk, tmp_path: Path) -> None:
    examples = [
        (write_png(tmp_path / f"{colour}.png", colour), {"prompt": colour, "comfy": {"big": 1}})
        for colour in ("red", "green", "blue")
    ]
    version_id, _ = here.shared("Harbor", previews=examples)
    assert here.enrich(wanted=Wanted(count=2)).pictures == 2
    shown = library.version(here.registry, version_id).previews
    assert [(one.generation, one.source, one.nsfw_level) for one in shown] == [
        ({"prompt": "red"}, "civitai", 1),
        ({"prompt": "green"}, "civitai", 1),
    ]
    assert here.enrich(wanted=Wanted(count=2)).requests == 0
    assert here.enrich(wanted=Wanted(count=5)).pictures == 1, "more are wanted now"


def test_none_come_where_none_are_wanted_or_there_are_some_already(here: Desk, tmp_path: Path) -> None:
    example = (write_png(tmp_path / "red.png"), {"prompt": "red"})
    version_id, _ = here.shared("Harbor", previews=[example])
    own, _ = here.shared("Meadow", previews=[example])
    edits.show_first(here.registry, own, write_png(tmp_path / "own.png", "green"))
    assert here.enrich(models=library.model_ids(here.registry, "harbor"), wanted=NO_PICTURES).pictures == 0
    assert library.version(here.registry, version_id).previews == ()
    assert here.enrich().pictures == 1
    assert [one.source for one in library.version(here.registry, own).previews] == ["user"]
    assert here.enrich(wanted=Wanted(count=20, is_archive=True)).pictures == 1
    assert [one.source for one in library.version(here.registry, own).previews] == ["user", "civitai"]


def test_above_the_level_that_a_person_set_no_picture_is_fetched(
    here: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version_id, seeded = here.shared(
        "Harbor", previews=[(write_png(tmp_path / f"{c}.png", c), {"prompt": c}) for c in ("red", "green", "blue")]
    )
    store = here.site.sandbox.world.store
    for image, level in zip(store.children("image", seeded.post_id), (1, 8, 0), strict=True):
        here.change("image", image["id"], nsfwLevel=level, ingestion="Scanned")
    monkeypatch.delenv("HUBMAN_NSFW", raising=False)
    assert wanted(here.registry.home).highest_level == 0, "the default of what is covered forbids nothing"
    (here.registry.home / config.FILE).write_text('nsfw = "r"\narchive_images = true\n')
    chosen = wanted(here.registry.home)
    assert (chosen.highest_level, chosen.is_archive, chosen.count) == (4, True, 20)
    here.enrich(wanted=chosen)
    assert [one.generation["prompt"] for one in library.version(here.registry, version_id).previews] == ["red"]


def test_a_picture_that_is_gone_is_left_out_and_a_host_that_is_down_is_asked_again(here: Desk, tmp_path: Path) -> None:
    examples = [(write_png(tmp_path / f"{c}.png", c), {"prompt": c}) for c in ("red", "green")]
    version_id, _ = here.shared("Harbor", previews=examples)
    here.site.sandbox.settings.faults = [Fault("/media/", status=404), Fault("/media/", status=500, times=9)]
    with pytest.raises(UnavailableError):
        here.enrich()
    here.site.sandbox.settings.faults = [Fault("/media/", status=404)]
    assert here.enrich().pictures == 1
    assert [one.generation["prompt"] for one in library.version(here.registry, version_id).previews] == ["green"]


def test_versions_whose_pictures_cannot_be_had_wait_and_keep_nobody_else_waiting(here: Desk, tmp_path: Path) -> None:
    seeded = [
        here.shared(name, previews=[(write_png(tmp_path / f"example {name}.png"), {"prompt": name})])[1]
        for name in ("Harbor", "Meadow", "Quarry", "Forest")
    ]
    keys = [here.site.sandbox.world.store.children("image", one.post_id)[0]["url"] for one in seeded]
    here.site.sandbox.settings.faults = [Fault("/media/", status=503, times=99)]
    with pytest.raises(UnavailableError):
        here.enrich()
    here.site.sandbox.settings.faults = [Fault(f"/media/{keys[0]}", status=503, times=99)]
    second = here.enrich()
    assert (second.pictures, second.waiting) == (3, 1)
    here.site.sandbox.settings.faults = []
    assert here.enrich().pictures == 1


def test_odd_pictures_are_left_out_and_the_run_goes_on(here: Desk, tmp_path: Path) -> None:
    """One too large, one that leads in circles, one at an address that is none: they are odd the next time too."""
    examples = [(write_png(tmp_path / f"{c}.png", c), {"prompt": c}) for c in ("red", "green", "white")]
    version_id, seeded = here.shared("Harbor", previews=examples)
    large, circling, _ = here.site.sandbox.world.store.children("image", seeded.post_id)
    way = {"Location": f"{here.site.sandbox.world.storage}/media/{circling['url']}/x.png"}
    here.site.sandbox.settings.faults = [
        Fault(f"/media/{large['url']}", status=200, body="x" * (65 << 20)),
        Fault(f"/media/{circling['url']}", status=302, headers=way, times=9),
    ]
    assert here.enrich().pictures == 1
    assert [one.generation["prompt"] for one in library.version(here.registry, version_id).previews] == ["white"]
    nowhere = RemoteImage(id=5, type="image", url="ftp://image.example/5.jpeg")
    assert fetch(here.registry, here.client, version_id, [nowhere], Wanted()) == 0


# the commands ---------------------------------------------------------------------------------------------------------


def test_the_command_tells_what_it_found(
    here: Desk, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    here.shared("Harbor")
    here.shared("Meadow")
    here.file("mine")
    monkeypatch.setenv("HUBMAN_HOME", str(here.registry.home))
    monkeypatch.setenv("HUBMAN_CIVITAI_URL", here.site.sandbox.url)
    assert run(["enrich", "meadow", "--previews", "0"]) == 0
    assert capsys.readouterr().out == "1 found, 0 unknown to Civitai, 0 gone from it\n"
    assert run(["enrich", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["found"] == 2
    assert run(["enrich", "--previews", "21"]) == 2
