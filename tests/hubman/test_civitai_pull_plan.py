"""From names to a plan to files: pictures, creators, collections, lists, and what the command says of them."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from hubman.civitai import pull_plan, queue
from hubman.civitai.choosing import AmbiguousError, Choice, Preference
from hubman.civitai.client import Civitai
from hubman.civitai.collection_members import collection_members
from hubman.civitai.downloader import drain
from hubman.civitai.errors import GoneError, MissingError, UnavailableError
from hubman.civitai.pull import Terms, pull
from hubman.civitai.pull_plan import Plan, queue_entries
from hubman.civitai.records import RemoteFile, RemoteVersion
from hubman.civitai.refs import parse_ref
from hubman.civitai.resolving import resolve
from hubman.cli.main import run
from hubman.progress import silent
from hubman.sandbox import Fault, Seeded, seed_model
from hubman.sandbox.accounts import FULL, Caller, user
from registry import library
from registry.database import Registry
from registry.errors import DamagedFileError, HubError
from registry.scan import index_file
from tests.support.civitai import Bench, bench, write_lora, write_png


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("site")) as running:
        yield running


@pytest.fixture(scope="module")
def files(site: Bench) -> list[Path]:
    return [write_lora(site.folder / f"boat{number}.safetensors", seed=number) for number in range(3)]


@pytest.fixture(scope="module")
def seeded(site: Bench, files: list[Path]) -> list[Seeded]:
    """Two models, the second with a picture that was drawn with both."""
    first = seed_model(site.sandbox, files[0], name="Boat 0")
    sha256 = hashlib.sha256(files[0].read_bytes()).hexdigest()
    meta = {"prompt": "a boat", "resources": [{"type": "lora", "name": "boat0", "hash": sha256[:10]}]}
    second = seed_model(
        site.sandbox, files[1], name="Boat 1", previews=[(write_png(site.folder / "p.png"), meta)], words=["brt"]
    )
    return [first, second]


@pytest.fixture
def client(site: Bench) -> Iterator[Civitai]:
    site.sandbox.settings.faults = []
    with site.client("") as opened:
        yield opened


def _plan(registry: Registry, client: Civitai, *refs: str, choice: Choice | None = None, **more: Any) -> Plan:
    return pull_plan.make(
        registry, client, refs, choice=choice or Choice(), prefer=Preference(), into=registry.home / "new", **more
    )


def _resolved(client: Civitai, text: str) -> list[int]:
    return [version.id for _model, version in resolve(client, parse_ref(text, site=client.site))]


def _image(site: Bench) -> int:
    return next(int(doc["id"]) for doc in site.sandbox.world.store.every("image"))


def test_a_creator_is_planned_with_what_is_here_left_out(
    registry: Registry, client: Civitai, seeded: list[Seeded], files: list[Path]
) -> None:
    index_file(registry, files[0])
    plan = _plan(registry, client, "creator:creator")
    assert plan.is_many
    assert {(line.model, line.skip) for line in plan.lines} == {("Boat 0", "here already"), ("Boat 1", "")}
    assert plan.size == files[1].stat().st_size
    assert plan.free > 0
    queue.queued(registry, queue_entries(plan, site=None, into=registry.home / "new", choice=Choice()))
    assert drain(registry, lambda _site: client, silent, lambda: False, lambda _db: None) == {"done": 1, "failed": 0}
    (item,) = queue.items(registry)
    assert Path(item.path).read_bytes() == files[1].read_bytes()
    assert [line.skip for line in _plan(registry, client, "creator:creator").lines] == ["here already"] * 2


def test_what_is_named_by_itself_is_looked_at_again(
    registry: Registry, client: Civitai, seeded: list[Seeded], files: list[Path]
) -> None:
    index_file(registry, files[0])
    plan = _plan(registry, client, str(seeded[0].version_id), f"civitai:{seeded[0].model_id}@{seeded[0].version_id}")
    assert [(line.note, line.skip) for line in plan.lines] == [("here already", "")]
    assert not plan.is_many


def test_a_picture_stands_for_what_it_was_drawn_with(
    registry: Registry, client: Civitai, site: Bench, seeded: list[Seeded]
) -> None:
    number = _image(site)
    assert set(_resolved(client, f"{site.sandbox.url}/images/{number}")) == {one.version_id for one in seeded}
    (item,) = queue.add(registry, [f"image:{number}"], site=None, into=None)
    assert drain(registry, lambda _site: client, silent, lambda: False, lambda _db: None) == {"done": 2, "failed": 0}
    done = queue.items(registry)
    assert len({one.version_id for one in done}) == 2
    assert item.id in {one.id for one in done}


def test_of_a_picture_that_names_very_much_only_so_much_is_asked_for(client: Civitai, site: Bench) -> None:
    many = {"civitaiResources": [{"modelVersionId": 10**6 + n} for n in range(40)]}
    meta = {**many, "hashes": {str(n): f"{n:064x}" for n in range(500)}}
    body = json.dumps({"items": [{"id": 5, "meta": meta}], "metadata": {}})
    site.sandbox.settings.faults = [Fault("/api/v1/images", status=200, body=body)]
    before = site.asked("/model-versions/")
    with pytest.raises(MissingError):
        _resolved(client, "image:5")
    # A whole hash is asked for twice: as it is, and as an AutoV3.
    assert site.asked("/model-versions/") - before <= 50 + 10


def test_what_leads_nowhere_says_so(client: Civitai, seeded: list[Seeded]) -> None:
    for text, says in (
        ("image:99999", "no picture"), ("creator:nobody", "no model of a creator"), (f"version:{seeded[0].model_id}", "model:"),
    ):  # fmt: skip
        with pytest.raises(MissingError, match=says):
            _resolved(client, text)


def test_a_whole_autov3_is_found_by_its_first_digits(
    client: Civitai, seeded: list[Seeded], registry: Registry, files: list[Path]
) -> None:
    version = client.model_version(seeded[0].version_id)
    shown = str(version.files[0].hashes["AutoV3"])
    whole = registry.db.execute(
        "SELECT autov3 FROM files WHERE version_id = ?", (index_file(registry, files[0]),)
    ).fetchone()[0]
    assert whole.startswith(shown.lower())
    assert _resolved(client, whole) == [seeded[0].version_id]


def test_a_model_that_was_taken_down_is_told(client: Civitai, site: Bench, seeded: list[Seeded]) -> None:
    body = json.dumps({"id": 5, "name": "Gone", "mode": "TakenDown", "modelVersions": []})
    site.sandbox.settings.faults = [Fault("/api/v1/models/5", status=200, body=body)]
    with pytest.raises(GoneError, match="Gone was taken down"):
        _resolved(client, "model:5")


@pytest.mark.parametrize(
    "raw",
    [
        {"items": [{"type": "Model", "id": 5}, {"type": "Image", "id": 8}, {"type": "ModelVersion", "id": 6}]},
        {"items": [{"modelId": 5, "imageId": None}, {"modelVersionId": 6, "modelId": 4}, {"articleId": 9}]},
        {"collectionItems": [{"model": {"id": 5, "name": "x"}}, {"type": "modelVersion", "data": {"id": 6}}]},
        [{"type": "model", "entityId": 5}, {"entityType": "ModelVersion", "entityId": 6}, "x", None, {"type": 3}],
    ],
)  # fmt: skip
def test_a_collection_is_read_in_whatever_shape(raw: object) -> None:
    assert collection_members(raw) == ([5], [6])


@pytest.mark.parametrize("raw", [None, "x", 7, {}, {"items": "no"}, {"items": [{"type": "Image", "id": 3}]}, [[]]])
def test_an_answer_without_models_is_an_empty_collection(raw: object) -> None:
    assert collection_members(raw) == ([], [])


def test_a_collection_that_can_not_be_read_says_what_to_do(client: Civitai, site: Bench, seeded: list[Seeded]) -> None:
    site.sandbox.settings.faults = [Fault("/api/v1/collections/9", status=200, body='{"id":9,"name":"Boats"}')]
    with pytest.raises(HubError, match="names no models"):
        _resolved(client, "collection:9")
    members = json.dumps({"items": [{"type": "Model", "id": one.model_id} for one in seeded]})
    site.sandbox.settings.faults = [Fault("/api/v1/collections/9", status=200, body=members)]
    assert set(_resolved(client, "https://civitai.com/collections/9")) == {one.version_id for one in seeded}


def test_twins_are_a_question_or_an_error_with_the_choices(
    registry: Registry, client: Civitai, site: Bench, seeded: list[Seeded]
) -> None:
    ref = str(seeded[0].version_id)
    version = site.get(f"/api/v1/model-versions/{ref}").json()
    twin = {**version["files"][0], "id": 77, "name": "low.safetensors", "primary": False}
    version["files"].append(twin)
    listed = site.get("/api/v1/models?username=creator").json()
    for model in listed["items"]:
        model["modelVersions"][0]["files"].append(twin)
    site.sandbox.settings.faults = [
        Fault(f"/api/v1/model-versions/{ref}", status=200, body=json.dumps(version), times=3),
        Fault("/api/v1/models", status=200, body=json.dumps(listed)),
    ]
    with pytest.raises(AmbiguousError, match=f"{seeded[0].file_id} boat0.safetensors, 77 low.safetensors"):
        _plan(registry, client, ref)
    asked: list[int] = []

    def ask(version: RemoteVersion, found: Sequence[RemoteFile]) -> Sequence[RemoteFile]:
        asked.append(version.id)
        return found[1:]

    assert [line.file_id for line in _plan(registry, client, ref, ask=ask).lines] == [77]
    assert asked == [seeded[0].version_id]
    both = _plan(registry, client, ref, choice=Choice(all_files=True))
    assert [line.file_id for line in both.lines] == [seeded[0].file_id, 77]
    many = {line.file_id: line.note for line in _plan(registry, client, "creator:creator").lines}
    assert "--all-files" in many[seeded[0].file_id]


def test_a_template_and_a_folder_place_a_pulled_file(
    registry: Registry, client: Civitai, seeded: list[Seeded], tmp_path: Path
) -> None:
    plan = _plan(registry, client, str(seeded[1].version_id))
    choice = Choice(path="{base_model}/{creator}/{trigger}-{name}")
    queue.queued(registry, queue_entries(plan, site=None, into=tmp_path / "new", choice=choice))
    drain(registry, lambda _site: client, silent, lambda: False, lambda _db: None)
    assert queue.items(registry)[0].path == str(tmp_path / "new" / "SD 1.5" / "creator" / "brt-boat1.safetensors")


def test_prompts_that_the_version_lacks_come_from_the_list_of_pictures(
    registry: Registry, client: Civitai, site: Bench, seeded: list[Seeded]
) -> None:
    whole = site.get(f"/api/v1/model-versions/{seeded[1].version_id}").json()
    for image in whole["images"]:
        image["meta"] = None
    site.sandbox.settings.faults = [
        Fault(f"/api/v1/model-versions/{seeded[1].version_id}", status=200, body=json.dumps(whole))
    ]
    pulled = pull(registry, client, str(seeded[1].version_id), into=registry.home / "new", report=silent)
    (preview,) = library.version(registry, pulled.version_id).previews
    assert preview.generation["prompt"] == "a boat"


def test_an_archive_is_kept_by_its_true_name_or_unpacked(
    registry: Registry, client: Civitai, site: Bench, files: list[Path]
) -> None:
    packed = site.folder / "packed.safetensors"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(files[2], "in/../boat.safetensors")
    version = seed_model(site.sandbox, packed, name="Packed", owner=Caller(user(43), FULL, 0)).version_id
    queue.add(registry, [str(version)], site=None, into=registry.home / "kept")
    drain(registry, lambda _site: client, silent, lambda: False, lambda _db: None)
    (item,) = queue.items(registry)
    assert item.path == str(registry.home / "kept" / "packed.zip")
    Path(item.path).unlink()
    terms = Terms(choice=Choice(unpack=True))
    pulled = pull(registry, client, str(version), into=registry.home / "open", report=silent, terms=terms)
    assert pulled.path == registry.home / "open" / "boat.safetensors"
    assert pulled.path.read_bytes() == files[2].read_bytes()
    assert library.show(registry, library.version(registry, pulled.version_id).model_id).name == "Packed"


def test_an_archive_is_unpacked_once_and_a_broken_off_try_is_ended(
    registry: Registry, client: Civitai, site: Bench, files: list[Path]
) -> None:
    packed = site.folder / "twice.safetensors"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(files[2], "boat.safetensors")
        archive.writestr("notes.txt", "for twice")
    version = seed_model(site.sandbox, packed, name="Twice", owner=Caller(user(44), FULL, 0)).version_id
    into, terms = registry.home / "open", Terms(choice=Choice(unpack=True))

    def again() -> list[str]:
        pulled = pull(registry, client, str(version), into=into, report=silent, terms=terms)
        assert pulled.path == into / "boat.safetensors"
        return [path.name for path in into.iterdir()]

    assert again() == ["boat.safetensors"]
    asked = site.asked("/api/download/")
    assert again() == ["boat.safetensors"]
    # Killed before the archive was opened, and before it was taken away.
    registry.db.execute("DELETE FROM meta WHERE key LIKE 'unpacked %'")
    for name in ("twice.safetensors", "twice.zip"):
        (into / name).write_bytes(packed.read_bytes())
        assert again() == ["boat.safetensors"]
        registry.db.execute("DELETE FROM meta WHERE key LIKE 'unpacked %'")
    assert site.asked("/api/download/") == asked


def test_an_archive_that_can_not_be_opened_is_never_called_done(
    registry: Registry, client: Civitai, site: Bench
) -> None:
    bomb = site.folder / "bomb.safetensors"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.safetensors", bytes(1 << 20))
    version = seed_model(site.sandbox, bomb, name="Bomb", owner=Caller(user(45), FULL, 0)).version_id
    into, terms = registry.home / "open", Terms(choice=Choice(unpack=True))
    for _ in range(2):
        with pytest.raises(DamagedFileError, match="beyond measure"):
            pull(registry, client, str(version), into=into, report=silent, terms=terms)
    assert [path.name for path in into.iterdir()] == ["bomb.zip"]


# the commands --------------------------------------------------------------------------------------------------------


@pytest.fixture
def reached(home: Path, site: Bench, seeded: list[Seeded], monkeypatch: pytest.MonkeyPatch) -> Bench:
    site.sandbox.settings.faults = []
    monkeypatch.setenv("HUBMAN_CIVITAI_URL", site.sandbox.url)
    return site


def test_pull_reads_a_list_queues_downloads_and_tells(
    reached: Bench, seeded: list[Seeded], files: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text(f"# boats\n{seeded[0].version_id}\n{reached.sandbox.url}/models/{seeded[1].model_id}\n")
    assert run(["pull", "-f", str(listed), "--into", str(tmp_path / "in"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [(item["state"], item["verified"]) for item in told] == [("done", True)] * 2
    assert [Path(item["path"]).read_bytes() for item in told] == [file.read_bytes() for file in files[:2]]
    assert run(["queue", "--help"]) == 0
    capsys.readouterr()
    assert run(["queue", "ls", "--json"]) == 0
    assert [item["state"] for item in json.loads(capsys.readouterr().out)] == ["done", "done"]
    assert run(["queue", "rm", "--ended"]) == 0
    assert run(["queue"]) == 0
    assert "nothing is queued" in capsys.readouterr().err


def test_what_is_gone_keeps_nothing_else_from_coming(
    reached: Bench, seeded: list[Seeded], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    monkeypatch.setattr("hubman.jobs.store.spawn", lambda _registry, _job: None)
    listed = tmp_path / "list.txt"
    listed.write_text(f"model:99998\n{seeded[0].version_id}\nmodel:99999\n")
    assert run(["pull", "-f", str(listed), "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert [line["ref"] for line in plan["lines"] if line["is_lost"]] == ["model:99998", "model:99999"]
    assert run(["pull", "-f", str(listed), "--detach", "--json"]) == 1
    told = capsys.readouterr()
    assert [item["title"] for item in json.loads(told.out)] == ["Boat 0 v1.0"]
    assert [line.split(": ")[0] for line in told.err.splitlines()[:2]] == ["model:99998", "model:99999"]
    assert "2 of 3 can't be had" in told.err
    assert run(["pull", "model:99998", "model:99999"]) == 1
    assert run(["queue", "ls", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 1


def test_a_site_that_can_not_be_asked_makes_no_plan(
    registry: Registry, client: Civitai, site: Bench, seeded: list[Seeded]
) -> None:
    site.sandbox.settings.faults = [Fault("/api/v1/model-versions/", status=503, times=5)]
    with pytest.raises(UnavailableError):
        _plan(registry, client, str(seeded[0].version_id), str(seeded[1].version_id))


def test_many_are_only_shown_or_need_a_yes(reached: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["pull", "creator:creator", "--dry-run"]) == 0
    told = capsys.readouterr()
    assert "Boat 0\tv1.0\tboat0.safetensors" in told.out
    assert "files, " in told.err
    assert run(["pull", "creator:creator"]) == 2
    assert "--yes" in capsys.readouterr().err
    assert run(["queue", "ls", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_a_detached_pull_waits_in_the_queue(
    reached: Bench, seeded: list[Seeded], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("hubman.jobs.store.spawn", lambda _registry, _job: None)
    assert run(["pull", str(seeded[0].version_id), str(seeded[1].version_id), "--detach"]) == 0
    assert "Boat 0 v1.0 is number 1 in the queue" in capsys.readouterr().out
    assert run(["queue", "pause"]) == 0
    assert "2 paused" in capsys.readouterr().out
    assert run(["queue", "move", "2", "1"]) == 0
    assert run(["queue", "ls"]) == 0
    assert [line.split("\t")[:2] for line in capsys.readouterr().out.splitlines()] == [
        ["Boat 1 v1.0", "paused"], ["Boat 0 v1.0", "paused"],
    ]  # fmt: skip
    assert run(["queue", "run"]) == 0
    assert "nothing to download" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["pull"], 2, "-f FILE"), (["pull", "nothing of the kind"], 2, "names nothing"), (["queue", "rm"], 2, "--ended"),
        (["pull", "7", "--path", "{nam}"], 2, "did you mean {name}"), (["pull", "7", "--limit-rate", "x"], 2, "5M"),
        (["pull", "7"], 1, "model:7"), (["queue", "move", "9", "1"], 1, "hubman queue"),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_one_line(
    reached: Bench, arguments: list[str], status: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == status
    told = capsys.readouterr().err.strip()
    assert says in told
    assert "\n" not in told


def test_ctrl_c_holds_what_was_asked_for_and_says_so(
    reached: Bench, seeded: list[Seeded], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hubman.jobs.store.spawn", lambda _registry, _job: None)
    monkeypatch.setattr("hubman.civitai.queue.time.sleep", interrupt)
    assert run(["pull", str(seeded[0].version_id)]) == 1
    assert "hubman queue resume" in capsys.readouterr().err
    assert run(["queue", "ls", "--json"]) == 0
    assert [item["state"] for item in json.loads(capsys.readouterr().out)] == ["paused"]
