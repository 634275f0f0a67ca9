"""News of what is here and of what a person follows: newer versions, what changed in them, what is ignored."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from hubman.civitai import follow
from hubman.civitai.changelog import Changes
from hubman.civitai.client import Civitai
from hubman.civitai.enrich import enrich
from hubman.civitai.updates import early_words, known, not_on_civitai, tell, untold, updates
from hubman.cli.main import run
from hubman.jobs.handlers import collection
from hubman.progress import silent
from hubman.sandbox import Fault, Seeded, seed_model
from registry import archive, changes, library, projection, undo
from registry.errors import NotFoundError, UsageError
from registry.scan import index_file
from tests.support.civitai import Bench, bench, quick_registry
from tests.support.enriching import DAY, Desk, desk, new_lora
from tests.support.jobs import fake_job


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("site")) as running:
        yield running


@pytest.fixture
def here(site: Bench, tmp_path: Path) -> Iterator[Desk]:
    with desk(site, tmp_path) as opened:
        opened.now = site.clock.now
        yield opened


@pytest.fixture
def cli(here: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setenv("HUBMAN_HOME", str(here.registry.home))
    monkeypatch.setenv("HUBMAN_CIVITAI_URL", here.site.sandbox.url)
    return here


def _outdated(here: Desk, name: str = "Harbor", **fields: object) -> tuple[str, Seeded, int]:
    """A model that is here with a newer version on the site: (its id here, the model there, the version's number)."""
    version_id, seeded = here.shared(name, base_model="SD 1.5")
    here.enrich()
    here.site.clock.now += timedelta(minutes=1)
    number = here.published(seeded, "v2.0", **fields)
    here.now = here.site.clock.now
    return library.version(here.registry, version_id).model_id, seeded, number


def _flags(here: Desk, model: str) -> str:
    return library.model_rows(here.registry, [model])[0].flags


# newer versions -------------------------------------------------------------------------------------------------------


def test_newer_versions_are_news_until_they_are_here(here: Desk) -> None:
    version_id, seeded = here.shared("Harbor")
    here.enrich()
    assert here.updates() == []
    number = here.published(seeded, "v2.0")
    (update,) = here.updates()
    assert (update.name, update.have, update.newest, update.why) == ("Harbor", "v1.0", "v2.0", "newer")
    assert update.model_id == library.version(here.registry, version_id).model_id
    assert update.ref.endswith(f"/models/{seeded.model_id}?modelVersionId={number}")
    assert here.updates([update.model_id]) == [update]
    assert here.updates(["another"]) == []
    assert "U" in _flags(here, update.model_id)
    index_file(here.registry, here.folder / "elsewhere" / "v2.0.safetensors")
    here.enrich()
    assert here.updates() == []
    assert "U" not in _flags(here, update.model_id)


def test_an_update_tells_what_changed(here: Desk) -> None:
    _, _, number = _outdated(
        here,
        baseModel="SDXL 1.0",
        trainedWords=["Word,", "harbour"],
        description="<p>Sharper.</p><ul><li>new eyes</li></ul>",
    )
    (file,) = here.site.sandbox.world.files(number)
    here.change("file", file["id"], sizeKB=file["sizeKB"] + 3)
    (update,) = here.updates()
    assert update.changelog == "Sharper.\n\n- new eyes"
    # Some bytes more in a header are no news.
    assert update.changes == Changes(base_model_before="SD 1.5", base_model="SDXL 1.0", words_added=("harbour",))
    assert list(update.changes.lines()) == [("base", "SD 1.5 → SDXL 1.0"), ("words", "+harbour")]
    assert (update.version, update.creator) == (number, "creator")


def test_size_formats_and_licence_are_compared_too(here: Desk) -> None:
    model, seeded, number = _outdated(here, trainedWords=["other"])
    (file,) = here.site.sandbox.world.files(number)
    here.change("file", file["id"], sizeKB=250_000, metadata={"format": "GGUF"})
    here.change("model", seeded.model_id, allowCommercialUse=["Sell"], allowDerivatives=False)
    before = library.show(here.registry, model).permissions
    (update,) = here.updates()
    assert update.changes.size > 200e6 > update.changes.size_before > 0
    assert (update.changes.formats_before, update.changes.formats) == (("SafeTensor",), ("GGUF",))
    assert (update.changes.licence_before, update.changes.licence) == ("CI--D", "C--S-")
    assert (update.changes.words_added, update.changes.words_removed) == (("other",), ("word",))
    assert library.show(here.registry, model).permissions == before, "only asking for news changes no fact"


def test_a_version_that_only_moved_to_the_front_is_no_news(here: Desk) -> None:
    _, seeded = here.shared("Harbor")
    here.published(seeded, "v2.0")
    index_file(here.registry, here.folder / "elsewhere" / "v2.0.safetensors")
    here.enrich()
    (here.folder / "Harbor.safetensors").unlink()
    document = here.client.model_raw(seeded.model_id)
    turned = {**document, "modelVersions": [*reversed(document["modelVersions"])]}
    body = json.dumps({"items": [turned], "metadata": {}})
    here.site.sandbox.settings.faults = [Fault("/api/v1/models", status=200, body=body)]
    assert here.updates() == []


def test_the_newest_is_the_one_made_last_wherever_it_stands_on_the_page(here: Desk) -> None:
    model, seeded, _ = _outdated(here)
    number = here.published(seeded, "v3.0")
    document = here.client.model_raw(seeded.model_id)
    turned = {**document, "modelVersions": [*reversed(document["modelVersions"])]}
    body = json.dumps({"items": [turned], "metadata": {}})
    here.site.sandbox.settings.faults = [Fault("/api/v1/models", status=200, body=body)]
    (update,) = here.updates()
    assert (update.version, update.between) == (number, ("v2.0",))
    assert "U" in _flags(here, model)


def test_early_access_is_marked_with_its_deadline(here: Desk) -> None:
    _, seeded, number = _outdated(here)
    document = here.client.model_raw(seeded.model_id)
    versions = [
        {**one, "earlyAccessDeadline": "2026-09-20T00:00:00.000Z"} if one["id"] == number else one
        for one in document["modelVersions"]
    ]
    body = json.dumps({"items": [{**document, "modelVersions": versions}], "metadata": {}})
    here.site.sandbox.settings.faults = [Fault("/api/v1/models", status=200, body=body)]
    (update,) = here.updates()
    assert early_words(update, "2026-09-10T00:00:00.000Z") == "early access until 2026-09-20"
    assert early_words(update, "2026-09-21T00:00:00.000Z") == ""


def test_what_was_seen_is_told_without_asking(here: Desk) -> None:
    _outdated(here)
    found = here.updates()
    before = here.asked()
    assert known(here.registry, site=here.client.site) == found
    assert here.asked() == before


def test_a_model_that_is_gone_has_no_updates(here: Desk) -> None:
    _, seeded, _ = _outdated(here)
    assert here.updates()
    here.change("model", seeded.model_id, status="Deleted")
    assert here.updates() == []


def test_what_is_gone_is_asked_for_again_after_a_week_and_not_each_time(here: Desk) -> None:
    model, seeded, _ = _outdated(here)
    here.change("model", seeded.model_id, status="Deleted")
    page = f"/api/v1/models/{seeded.model_id}"
    before, asked = here.site.asked(page), []
    for day in range(9):
        here.updates()
        asked.append(here.site.asked(page) - before)
        here.now += DAY
        assert library.show(here.registry, model).upstream_deleted, day
    assert asked == [1, 1, 1, 1, 1, 1, 1, 2, 2]
    here.change("model", seeded.model_id, status="Published")
    assert here.updates(), "a list tells at once that it is back"


def test_the_requests_left_go_to_what_was_not_asked_for_longest(here: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    seeded = [_outdated(here, name)[1].model_id for name in ("Harbor", "Meadow", "Quarry")]
    monkeypatch.setattr("hubman.civitai.archiving.MODELS_AT_ONCE", 1)
    # The three lists and one model.
    monkeypatch.setattr("hubman.civitai.allowance._PER_10_000", 4)
    for number in seeded:
        here.change("model", number, status="Deleted")
    for gone in (1, 2, 3):
        here.updates()
        assert sum(bool(page.gone_at) for page in archive.pages(here.registry).values()) == gone
        here.now += 8 * DAY


def test_a_rehearsal_says_nothing_of_the_library(here: Desk) -> None:
    """The sandbox numbers other models: what it does not have is not gone."""
    model, seeded, _ = _outdated(here)
    here.change("model", seeded.model_id, status="Deleted")
    with Civitai(here.site.sandbox.url, is_rehearsal=True) as rehearsal:
        assert updates(here.registry, rehearsal) == []
        assert enrich(here.registry, rehearsal, report=silent, again=True).found == 0
    assert not library.show(here.registry, model).upstream_deleted


def test_what_was_told_is_no_longer_new(here: Desk) -> None:
    _, seeded, _ = _outdated(here)
    found = here.updates()
    assert untold(here.registry, found) == found
    tell(here.registry, found)
    assert untold(here.registry, here.updates()) == []
    here.published(seeded, "v3.0")
    assert [update.newest for update in untold(here.registry, here.updates())] == ["v3.0"]


# ignoring -------------------------------------------------------------------------------------------------------------


def test_an_ignored_version_is_no_news_until_a_later_one_comes(here: Desk) -> None:
    model, seeded, number = _outdated(here)
    here.updates()
    follow.ignore(here.registry, seeded.model_id, number)
    assert "U" not in _flags(here, model), "at once"
    assert here.updates() == []
    here.published(seeded, "v3.0")
    (update,) = here.updates()
    assert (update.newest, update.between) == ("v3.0", ())
    assert "U" in _flags(here, model)


def test_an_ignored_model_has_no_news_until_it_is_not_ignored(here: Desk) -> None:
    model, seeded, _ = _outdated(here)
    follow.ignore(here.registry, seeded.model_id)
    here.published(seeded, "v3.0")
    assert here.updates() == []
    follow.unignore(here.registry, seeded.model_id)
    assert len(here.updates()) == 1
    assert "U" in _flags(here, model)


def test_ignoring_can_be_taken_back_and_done_anew(here: Desk) -> None:
    model, seeded, _ = _outdated(here)
    here.updates()
    follow.ignore(here.registry, seeded.model_id)
    undo.undo(here.registry)
    assert "U" in _flags(here, model), "at once"
    assert (follow.ignored(here.registry), len(here.updates())) == ([], 1)
    assert follow.unignore(here.registry, seeded.model_id) is None


def test_follows_and_ignores_reach_another_machine(here: Desk, tmp_path: Path) -> None:
    columns = "name, kind, location, repo, part, added_at"
    here.registry.db.execute(f"INSERT INTO remotes ({columns}) VALUES ('r', 'folder', '', '', 0, '')")  # noqa: S608
    follow.follow(here.registry, creator="Mori")
    follow.follow(here.registry, model=7, name="Seven")
    follow.ignore(here.registry, 8, 9)
    sent = [json.loads(row[0]) for row in here.registry.db.execute("SELECT change FROM outbox ORDER BY id")]
    with quick_registry(tmp_path / "other") as other:
        with other.transaction() as db:
            for change in reversed(sent):
                projection.rebuild(db, changes.apply(db, change))
        assert follow.following(other) == follow.following(here.registry)
        assert follow.ignored(other) == [follow.Ignored(number=8, through=9)]


# following ------------------------------------------------------------------------------------------------------------


def test_new_models_of_a_followed_creator_are_news(here: Desk) -> None:
    old = seed_model(here.site.sandbox, new_lora(here.folder / "away" / "old.safetensors"), name="Old")
    here.site.clock.now += timedelta(minutes=1)
    here.now = here.site.clock.now
    follow.follow(here.registry, creator="CREATOR", now="2026-09-01T00:00:00.000Z")
    follow.unfollow(here.registry, creator="creator")
    followed = follow.follow(here.registry, creator="CREATOR", now=here.now.isoformat(timespec="milliseconds"))
    here.site.clock.now += timedelta(minutes=1)
    here.published(old, "v2.0")
    assert here.updates() == [], "an old model of his with a new version is not a new model"
    new = seed_model(here.site.sandbox, new_lora(here.folder / "away" / "new.safetensors"), name="New")
    (update,) = here.updates()
    assert (update.name, update.why, update.model_id, update.have) == ("New", "followed creator", "", "")
    assert update.ref.endswith(f"/models/{new.model_id}?modelVersionId={new.version_id}")
    assert here.updates(["some model"]) == [], "asked for one model only"
    follow.ignore(here.registry, new.model_id)
    assert here.updates() == []
    follow.unignore(here.registry, new.model_id)
    index_file(here.registry, here.folder / "away" / "new.safetensors")
    here.enrich()
    assert here.updates() == [], "it is here now"
    assert follow.following(here.registry) == [followed]


def test_new_versions_of_a_followed_model_that_is_not_here_are_news(here: Desk) -> None:
    away = seed_model(here.site.sandbox, new_lora(here.folder / "away" / "far.safetensors"), name="Far")
    here.site.clock.now += timedelta(minutes=1)
    since = here.site.clock.now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    follow.follow(here.registry, model=away.model_id, name="Far", now=since)
    assert here.updates() == []
    here.site.clock.now += timedelta(minutes=1)
    number = here.published(away, "v2.0")
    (update,) = here.updates()
    assert (update.version, update.why, update.between) == (number, "followed model", ())


def test_following_can_be_taken_back(here: Desk) -> None:
    follow.follow(here.registry, creator="mori")
    undo.undo(here.registry)
    assert follow.following(here.registry) == []
    with pytest.raises(NotFoundError):
        follow.unfollow(here.registry, creator="mori")
    with pytest.raises(UsageError):
        follow.follow(here.registry, creator="a/b")


# the commands and the job ---------------------------------------------------------------------------------------------


def test_updates_lists_for_people_and_for_programs(cli: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    _, seeded, number = _outdated(cli, description="<p>Sharper.</p>")
    assert run(["updates"]) == 0
    assert capsys.readouterr().out.split("\t")[:4] == ["Harbor", "v1.0", "v2.0", "SD 1.5"]
    for expected in (1, 0):
        assert run(["updates", "--new", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert len(found) == expected
        for one in found:
            assert (one["number"], one["version"], one["changelog"]) == (seeded.model_id, number, "Sharper.")
            assert {"model_id", "name", "have", "newest", "base_model", "ref", "why", "early_until", "changes"} <= set(
                one
            )
    assert run(["updates"]) == 0
    assert "Harbor" in capsys.readouterr().out


def test_updates_are_ignored_by_name_version_and_address(cli: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    _, seeded, number = _outdated(cli)
    assert run(["updates", "--json"]) == 0
    capsys.readouterr()
    for ref in (
        "Harbor@v2.0",
        f"Harbor@{number}",
        f"{cli.site.sandbox.url}/models/{seeded.model_id}?modelVersionId={number}",
    ):
        assert run(["updates", "--ignore", ref, "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told == [{"model": seeded.model_id, "name": "Harbor", "through": number}]
        assert run(["updates", "--unignore", str(seeded.model_id), "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == []
    assert run(["updates", "--ignore", "Harbor"]) == 0
    assert capsys.readouterr().out == f"Harbor\t{seeded.model_id}\teverything\n"
    assert run(["updates", "--ignore", "Harbor@v9"]) == 2
    assert "v2.0" in capsys.readouterr().err


def test_creators_and_models_are_followed_by_name_model_and_address(
    cli: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    _, seeded, number = _outdated(cli)
    away = seed_model(cli.site.sandbox, new_lora(cli.folder / "away" / "far.safetensors"), name="Far")
    page = f"https://civitai.com/models/{away.model_id}"
    for ref in ("creator", "Harbor", "https://civitai.com/user/creator/models", page, str(away.version_id)):
        assert run(["follow", "creator", ref]) == 0
        assert run(["following", "--json"]) == 0
        said = capsys.readouterr().out
        assert '"name": "creator"' in said
        assert run(["unfollow", "creator", "creator"]) == 0
    for ref in ("Harbor", f"https://civitai.com/models/{seeded.model_id}", str(number)):
        assert run(["follow", "model", ref]) == 0
        assert run(["unfollow", "model", str(seeded.model_id)]) == 0
    capsys.readouterr()
    assert run(["following", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert run(["follow", "creator", "nobody"]) == 1
    assert "no creator called nobody" in capsys.readouterr().err
    assert run(["unfollow", "creator", "nobody"]) == 1
    assert run(["follow", "everyone", "x"]) == 2


def test_the_job_tells_what_civitai_was_not_asked_about(here: Desk) -> None:
    own, _ = here.file("own")
    model = library.version(here.registry, own).model_id
    for models in ([model], []):
        job = fake_job(here.registry, "updates", "ask", {"models": models}, state="running")
        found = collection.updates(here.registry, job, silent, lambda: False)
        assert found == {"updates": [], "asked": 0, "unknown": 1, "names": ["own"]}


def test_what_civitai_does_not_know_is_named(here: Desk) -> None:
    known_here, _ = here.shared("Harbor")
    here.enrich()
    own, _ = here.file("own")
    model = library.version(here.registry, known_here).model_id
    assert not_on_civitai(here.registry) == ["own"]
    assert not_on_civitai(here.registry, [model]) == []
    assert not_on_civitai(here.registry, [library.version(here.registry, own).model_id]) == ["own"]
