"""Publishing: checked first, complete at the end, and never twice."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hubman.civitai import blurhash, errors
from hubman.civitai.client import Civitai
from hubman.civitai.finding import PreflightError
from hubman.civitai.form_plan import expand_uses
from hubman.progress import Progress
from hubman.sandbox import Fault, seed_model
from registry import library, previews
from registry.database import Registry
from registry.errors import HubError
from registry.scan import index_file
from tests.support.civitai import Bench, bench, write_lora, write_png
from tests.support.publishing import (
    GENERATION,
    NAME,
    add_version,
    held_bytes,
    local_bytes,
    make_version,
    publish_now,
    the_only_one,
)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path, chunk_size=1000) as running:
        yield running


@pytest.fixture
def version_id(registry: Registry, tmp_path: Path) -> str:
    return make_version(registry, tmp_path)


def test_one_call_publishes_everything(site: Bench, client: Civitai, registry: Registry, version_id: str) -> None:
    heard: list[Progress] = []
    done = publish_now(registry, client, version_id, report=heard.append)
    version = the_only_one(site)
    assert (done.status, done.version_id) == ("published", version["id"])
    assert done.url == f"{site.sandbox.url}/models/{done.model_id}?modelVersionId={done.version_id}"
    assert (version["baseModel"], version["trainedWords"]) == ("SD 1.5", ["hrbr style"])
    assert version["settings"] == {"strength": 0.8, "minStrength": 0.5, "maxStrength": 1.0}
    assert version["files"][0]["metadata"]["fp"] == "fp16"
    model = site.sandbox.models_named(NAME)[0]
    assert model["allowCommercialUse"] == ["Image", "RentCivit", "Rent", "Sell"]
    assert model["description"].startswith("<p>Boats &lt;&amp; more&gt;</p><p>Second.</p>")
    assert "<code>hrbr style</code>" in model["description"]
    assert "works from 0.5 to 1" in model["description"]
    found = client.model(done.model_id)
    assert found.tags == ("style", "ink")
    assert client.by_hash(library.version(registry, version_id).files[0].sha256).id == done.version_id
    assert library.version(registry, version_id).published_url == done.url
    assert heard[-1].data == {"url": done.url, "status": "published"}
    assert site.sandbox.sweep() == []


def test_pictures_say_how_they_were_made_and_link_to_the_version(
    site: Bench, client: Civitai, registry: Registry, version_id: str
) -> None:
    done = publish_now(registry, client, version_id)
    picture = the_only_one(site)["posts"][0]["images"][0]
    meta = picture["meta"]
    assert {key: meta[key] for key in ("prompt", "negativePrompt", "seed", "steps", "cfgScale", "sampler", "Model")} == {
        "prompt": "hrbr style, a boat", "negativePrompt": "blurry", "seed": 2**60, "steps": 28, "cfgScale": 5.5,
        "sampler": "Euler a", "Model": "sd15",
    }  # fmt: skip
    sha256 = library.version(registry, version_id).files[0].sha256
    assert meta["resources"] == [{"type": "lora", "name": "harbor", "weight": 0.7, "hash": sha256[:10]}]
    assert meta["civitaiResources"] == [{"type": "lora", "modelVersionId": done.version_id, "weight": 0.7}]
    # Without "Version" the site would take it for a picture of its own generator.
    assert meta["Version"].startswith("hubman ")
    assert not client.model_version(done.version_id).images[0].meta.get("onSite", False)
    assert (picture["width"], picture["height"], len(picture["hash"])) == (32, 24, 36)
    assert picture["resources"] == [done.version_id]


def test_a_second_call_changes_nothing(site: Bench, client: Civitai, registry: Registry, version_id: str) -> None:
    first = publish_now(registry, client, version_id)
    before = site.asked("/api/trpc/")
    assert publish_now(registry, client, version_id) == first
    the_only_one(site)
    assert all(status == 200 for _method, _path, status in site.sandbox.requests)
    assert site.asked("/api/trpc/") - before < 10


def test_a_draft_stays_invisible_until_the_same_call_publishes_it(
    site: Bench, client: Civitai, registry: Registry, version_id: str
) -> None:
    draft = publish_now(registry, client, version_id, draft=True)
    assert draft.status == "draft"
    the_only_one(site, status="Draft")
    assert library.version(registry, version_id).published_url is None
    with pytest.raises(errors.MissingError):
        client.model(draft.model_id)
    assert publish_now(registry, client, version_id).version_id == draft.version_id
    the_only_one(site)


def test_a_dry_run_sends_nothing(site: Bench, client: Civitai, registry: Registry, version_id: str) -> None:
    done = publish_now(registry, client, version_id, dry_run=True)
    assert (done.status, done.model_id) == ("dry-run", 0)
    assert done.plan is not None
    assert done.plan.model["name"] == NAME
    assert site.sandbox.models_named(NAME) == []
    changing = {"POST", "PUT"}
    assert [path for method, path, _status in site.sandbox.requests if method in changing] == [
        "/api/v1/model-versions/by-hash/ids"
    ]


def test_a_further_version_joins_the_model_that_is_public(
    site: Bench, client: Civitai, registry: Registry, version_id: str, tmp_path: Path
) -> None:
    first = publish_now(registry, client, version_id)
    second_id = index_file(registry, write_lora(tmp_path / "models" / "harbor2.safetensors", seed=5))
    model = library.version(registry, version_id).model_id
    library.set_facts(registry, second_id, "user", {"model": model, "version_name": "v2.0", "base_model": "SD 1.5"})
    library.update_set(registry, second_id, "trigger_words", add=["hrbr style"])
    previews.add_preview(registry, second_id, write_png(tmp_path / "green.png", "green"), generation=GENERATION)
    second = publish_now(registry, client, second_id)
    assert second.model_id == first.model_id
    model_there = site.sandbox.models_named(NAME)
    assert [version["name"] for version in model_there[0]["versions"]] == ["v2.0", "v1.0"]
    assert {version["status"] for version in model_there[0]["versions"]} == {"Published"}


# checks -------------------------------------------------------------------------------------------------------------


def _no_triggers(registry: Registry, version_id: str) -> None:
    library.replace_set(registry, version_id, "trigger_words", [])


def _no_pictures(registry: Registry, version_id: str) -> None:
    library.replace_set(registry, version_id, "previews", [])


def _two_categories(registry: Registry, version_id: str) -> None:
    library.update_set(registry, library.version(registry, version_id).model_id, "tags", add=["character"])


def _no_category(registry: Registry, version_id: str) -> None:
    library.replace_set(registry, library.version(registry, version_id).model_id, "tags", ["ink"])


def _wrong_base(registry: Registry, version_id: str) -> None:
    library.set_facts(registry, version_id, "user", {"base_model": "SDXL 1"})


def _deprecated_base(registry: Registry, version_id: str) -> None:
    library.set_facts(registry, version_id, "user", {"base_model": "SDXL Turbo"})


def _wrong_strength(registry: Registry, version_id: str) -> None:
    library.set_facts(registry, version_id, "user", {"strength": 1.4})


def _pulled(registry: Registry, version_id: str) -> None:
    library.set_facts(registry, library.version(registry, version_id).model_id, "user", {"origin": "civitai"})


def _changed_file(registry: Registry, version_id: str) -> None:
    path = Path(library.version(registry, version_id).files[0].places[0].path)
    path.write_bytes(path.read_bytes()[:-1] + b"!")


def _cut_file(registry: Registry, version_id: str) -> None:
    path = Path(library.version(registry, version_id).files[0].places[0].path)
    path.write_bytes(path.read_bytes()[:-9])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_no_triggers, "no trigger words"), (_no_pictures, "no picture to show"), (_two_categories, "are all categories"),
        (_no_category, "no category is set"), (_wrong_base, "did you mean SDXL 1.0"), (_deprecated_base, "takes no new models"),
        (_wrong_strength, "outside of its own range"), (_pulled, "was pulled from Civitai"), (_changed_file, "has changed"),
        (_cut_file, "harbor.safetensors"),
    ],
)  # fmt: skip
def test_what_stands_in_the_way_is_told_before_the_first_byte(
    site: Bench,
    client: Civitai,
    registry: Registry,
    version_id: str,
    spoil: Callable[[Registry, str], None],
    message: str,
) -> None:
    spoil(registry, version_id)
    with pytest.raises(PreflightError) as caught:
        publish_now(registry, client, version_id)
    assert message in str(caught.value)
    assert site.sandbox.models_named(NAME) == []


@pytest.mark.parametrize(
    ("flag", "message"), [("poi", "real person"), ("minor", "minor"), ("sfw_only", "safe for work")]
)
def test_mature_content_rules_are_checked(
    client: Civitai, registry: Registry, version_id: str, flag: str, message: str
) -> None:
    with pytest.raises(PreflightError, match=message):
        publish_now(registry, client, version_id, **{"nsfw": "yes", flag: "yes"})


def test_every_problem_is_named_at_once(client: Civitai, registry: Registry, version_id: str) -> None:
    _no_triggers(registry, version_id)
    _no_pictures(registry, version_id)
    with pytest.raises(PreflightError) as caught:
        publish_now(registry, client, version_id)
    assert len(caught.value.findings) == 2


def test_other_people_s_pictures_are_not_shown_as_one_s_own(
    client: Civitai, registry: Registry, version_id: str, tmp_path: Path
) -> None:
    _no_pictures(registry, version_id)
    previews.add_preview(
        registry, version_id, write_png(tmp_path / "x.png", "gray"), generation=GENERATION, source="civitai"
    )
    with pytest.raises(PreflightError, match="no picture to show"):
        publish_now(registry, client, version_id)


def test_a_picture_must_say_how_it_was_made(
    client: Civitai, registry: Registry, version_id: str, tmp_path: Path
) -> None:
    _no_pictures(registry, version_id)
    previews.add_preview(registry, version_id, write_png(tmp_path / "x.png", "gray"))
    with pytest.raises(PreflightError, match="says how it was made"):
        publish_now(registry, client, version_id)


def test_a_file_that_civitai_has_is_not_published_again(
    site: Bench, client: Civitai, registry: Registry, version_id: str, tmp_path: Path
) -> None:
    seeded = seed_model(site.sandbox, tmp_path / "models" / "harbor.safetensors", name="Somebody else's")
    with pytest.raises(PreflightError) as caught:
        publish_now(registry, client, version_id)
    assert f"/models/{seeded.model_id}" in caught.value.hint


@pytest.mark.parametrize(("key", "kind"), [("read-only", errors.ScopeError), ("muted", errors.AccountError)])
def test_an_account_that_may_not_publish_is_told_first(
    site: Bench, registry: Registry, version_id: str, key: str, kind: type[HubError]
) -> None:
    with site.client(key) as client, pytest.raises(kind):
        publish_now(registry, client, version_id)
    assert {path for _method, path, _status in site.sandbox.requests} == {"/api/v1/me"}


# interruptions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["model.upsert", "modelVersion.upsert", "modelFile.create", "post.create", "post.addImage", "model.publish",
     "/api/upload", "/api/upload/complete", "/api/v1/image-upload"],
)  # fmt: skip
@pytest.mark.parametrize("happened", [True, False])
def test_a_lost_answer_makes_no_duplicate(
    site: Bench, client: Civitai, registry: Registry, version_id: str, path: str, happened: bool
) -> None:
    fault = Fault(path, method="POST", after=happened, drop=True)
    site.sandbox.settings.faults = [fault]
    assert publish_now(registry, client, version_id).status == "published"
    assert fault.times == 0
    the_only_one(site)


@dataclass
class _LastWords(Fault):
    """After it struck, ``then`` strikes at everything."""

    then: Fault = field(default_factory=lambda: Fault("/api/"))

    def strikes(self, method: str, path: str) -> bool:
        hit = super().strikes(method, path)
        if hit:
            self.then.times = 10_000
        return hit


@pytest.mark.parametrize("path", ["model.upsert", "modelVersion.upsert", "modelFile.create", "post.create"])
def test_a_site_that_goes_away_after_the_work_is_found_again_later(
    site: Bench, client: Civitai, registry: Registry, version_id: str, path: str
) -> None:
    down = Fault("/api/", status=503, times=0)
    site.sandbox.settings.faults = [_LastWords(path, after=True, drop=True, then=down), down]
    with pytest.raises(errors.UnavailableError):
        publish_now(registry, client, version_id)
    site.sandbox.settings.faults = []
    assert publish_now(registry, client, version_id).status == "published"
    the_only_one(site)


def test_a_lagging_replica_makes_no_duplicate(
    site: Bench, client: Civitai, registry: Registry, version_id: str
) -> None:
    site.sandbox.settings.replica_lag = 2
    site.sandbox.settings.faults = [
        Fault("model.upsert", after=True, drop=True),
        Fault("post.create", after=True, drop=True),
    ]
    assert publish_now(registry, client, version_id).status == "published"
    the_only_one(site)


def test_an_older_draft_of_the_same_name_is_left_alone(
    site: Bench, client: Civitai, registry: Registry, version_id: str
) -> None:
    older = client.upsert_model({"name": NAME, "type": "LORA", "uploadType": "Created", "status": "Draft"})
    site.sandbox.settings.faults = [Fault("model.upsert", after=True, drop=True)]
    assert publish_now(registry, client, version_id).model_id != older
    assert [model["status"] for model in site.sandbox.models_named(NAME)] == ["Draft", "Published"]


def test_the_post_limit_keeps_the_draft_for_tomorrow(
    site: Bench, client: Civitai, registry: Registry, version_id: str
) -> None:
    site.sandbox.settings.posts_per_day = 0
    with pytest.raises(errors.PostLimitError):
        publish_now(registry, client, version_id)
    site.sandbox.settings.posts_per_day = None
    publish_now(registry, client, version_id)
    the_only_one(site)


def test_a_refusal_can_be_corrected_and_gone_on_from(
    site: Bench, client: Civitai, registry: Registry, version_id: str
) -> None:
    body = '{"error":{"json":{"message":"Blocked tag: ink","code":-32600,"data":{"code":"BAD_REQUEST"}}}}'
    site.sandbox.settings.faults = [Fault("model.upsert", status=400, body=body)]
    with pytest.raises(errors.RejectedError, match="Blocked tag: ink"):
        publish_now(registry, client, version_id)
    library.replace_set(registry, library.version(registry, version_id).model_id, "tags", ["style"])
    publish_now(registry, client, version_id)
    the_only_one(site)


def test_a_draft_that_the_site_threw_away_is_begun_anew(
    site: Bench, client: Civitai, registry: Registry, version_id: str
) -> None:
    draft = publish_now(registry, client, version_id, draft=True)
    site.sandbox.world.store.delete("model", draft.model_id)
    site.sandbox.world.store.delete("version", draft.version_id)
    registry.db.execute("UPDATE publication_steps SET started_at = '2026-01-01T00:00:00.000Z'")
    again = publish_now(registry, client, version_id)
    assert (again.status, again.model_id != draft.model_id) == ("published", True)
    the_only_one(site)


def test_a_page_that_was_public_and_is_deleted_is_made_anew_also_for_a_version_that_joined_it(
    site: Bench, client: Civitai, registry: Registry, version_id: str, tmp_path: Path
) -> None:
    first = publish_now(registry, client, version_id)
    second = add_version(registry, tmp_path, version_id)
    joined = publish_now(registry, client, second)
    assert joined.model_id == first.model_id
    store = site.sandbox.world.store
    for kind, number in (("model", first.model_id), ("version", first.version_id), ("version", joined.version_id)):
        store.delete(kind, number)
    registry.db.execute("UPDATE publication_steps SET started_at = '2026-01-01T00:00:00.000Z'")
    again = publish_now(registry, client, second)
    assert (again.status, again.model_id != first.model_id) == ("published", True)
    assert publish_now(registry, client, version_id).model_id == again.model_id
    (page,) = site.sandbox.models_named(NAME)
    assert len(page["versions"]) == 2


def test_what_the_scan_calls_dangerous_stays_a_draft(
    site: Bench, client: Civitai, registry: Registry, tmp_path: Path
) -> None:
    version_id = make_version(registry, tmp_path)
    path = Path(library.version(registry, version_id).files[0].places[0].path)
    renamed = path.rename(path.with_name("infected.safetensors"))
    registry.db.execute("UPDATE places SET path = ?", (str(renamed),))
    registry.db.execute("UPDATE files SET name = 'infected.safetensors'")
    with pytest.raises(errors.CivitaiError, match="dangerous"):
        publish_now(registry, client, version_id)
    the_only_one(site, status="Draft")


def test_two_processes_do_not_publish_at_once(
    site: Bench, client: Civitai, registry: Registry, version_id: str
) -> None:
    from hubman.civitai.journal import only_one

    with only_one(registry), pytest.raises(HubError, match="another publication"):
        publish_now(registry, client, version_id)


def test_the_journal_holds_no_key_and_no_signature(
    site: Bench, client: Civitai, registry: Registry, version_id: str
) -> None:
    publish_now(registry, client, version_id)
    rows = registry.db.execute("SELECT plan FROM publications UNION ALL SELECT answer FROM publication_steps")
    text = " ".join(row[0] for row in rows)
    assert site.sandbox.token() not in text
    assert "X-Amz-Signature" not in text


_PUBLISH_AND_DIE = """
import os, signal, sys
from pathlib import Path
from hubman.civitai.client import Civitai
from registry.database import Registry
from tests.support.publishing import publish_now

home, site, token, version, step, state = sys.argv[1:]

def die(progress):
    if progress.data.get("step", "").startswith(step) and progress.data.get("state") == state:
        os.kill(os.getpid(), signal.SIGKILL)

with Registry(Path(home)) as registry, Civitai(site, token) as client:
    publish_now(registry, client, version, report=die)
"""


@pytest.mark.parametrize(
    ("step", "state"),
    [("model", "sent"), ("upload", "2 parts"), ("file", "sent"), ("add ", "sent"), ("publish model", "sent")],
)
def test_a_publication_killed_at_any_step_resumes_without_a_duplicate(
    site: Bench, client: Civitai, registry: Registry, version_id: str, step: str, state: str
) -> None:
    arguments = [str(registry.home), site.sandbox.url, site.sandbox.token(), version_id, step, state]
    killed = subprocess.run(
        [sys.executable, "-c", _PUBLISH_AND_DIE, *arguments],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    sent_parts = site.asked("/sandbox-models/")
    assert publish_now(registry, client, version_id).status == "published"
    assert held_bytes(site, the_only_one(site)) == local_bytes(registry, version_id)
    if step == "upload":
        assert site.asked("/api/upload/sign-part") == 5 - 2
        assert sent_parts >= 2


# small parts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "expanded"),
    [((), []), (("Image",), ["Image"]), (("Rent",), ["RentCivit", "Rent"]), (("Sell",), ["Image", "RentCivit", "Rent", "Sell"])],
)  # fmt: skip
def test_a_use_allows_what_it_implies(given: tuple[str, ...], expanded: list[str]) -> None:
    assert expand_uses(given) == expanded


def test_a_blurhash_is_the_reference_encoder_s() -> None:
    from PIL import Image

    image = Image.new("RGB", (32, 32))
    for x in range(32):
        for y in range(32):
            image.putpixel((x, y), (x * 8, y * 8, (x * y) % 256))
    # From the blurhash package 1.1.
    assert blurhash.encode(image) == "UxH2cZ2mwtX3l[WAjve?gFflfTflnhWrjvfO"
