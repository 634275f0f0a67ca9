"""Publishing on the Hugging Face Hub: through its own library, against a server on loopback."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from hubman.civitai import form_edit, form_fill
from hubman.civitai.finding import PreflightError
from hubman.cli.main import run
from hubman.cli.publishing_hub import publish_on_hub
from hubman.huggingface.client import Hub
from hubman.huggingface.page import compose
from hubman.huggingface.publish import HubPublication, publish
from hubman.progress import Progress, silent, stoppable
from registry import library, previews
from registry.database import Registry
from registry.errors import CancelledError, HubError
from registry.scan import index_file
from tests.support.civitai import quick_registry, write_lora, write_png
from tests.support.hub_server import TOKEN, HubServer, Refusal, hub_server
from tests.support.publishing import NAME, make_version

# The Hub's library says this of httpx's successor, which is nothing that this project can change.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
REPO = "mara/Harbor-Style"
SAID = ["--set", "nsfw=no", "--set", "poi=no", "--set", "minor=no"]
ANSWERS = {"nsfw": "no", "poi": "no", "minor": "no"}


@pytest.fixture(scope="module")
def running() -> Iterator[HubServer]:
    with hub_server() as server:
        yield server


@pytest.fixture
def site(running: HubServer) -> HubServer:
    """The server with nothing on it."""
    fresh = HubServer()
    for name in ("repos", "objects", "refusals", "asked", "role", "part_size", "parts"):
        setattr(running, name, getattr(fresh, name))
    return running


@pytest.fixture
def hub(site: HubServer) -> Hub:
    return Hub(site.url, TOKEN)


@pytest.fixture
def version_id(registry: Registry, tmp_path: Path) -> str:
    return make_version(registry, tmp_path)


def put(
    registry: Registry, hub: Hub, *version_ids: str, told: dict[str, str] | None = None, **options: Any
) -> HubPublication:
    form = form_edit.changed(form_fill.filled(registry, version_ids), ANSWERS | (told or {}))
    return publish(registry, hub, form, **{"report": silent, "accept": ("harmless",), **options})


def front_of(readme: bytes) -> dict[str, Any]:
    found = yaml.safe_load(readme.decode().split("---\n")[1])
    assert isinstance(found, dict)
    return found


# the whole ----------------------------------------------------------------------------------------------------------


def test_one_call_makes_the_repository_with_its_card(
    site: HubServer, hub: Hub, registry: Registry, version_id: str
) -> None:
    heard: list[Progress] = []
    done = put(registry, hub, version_id, report=heard.append)
    repo = site.repos[REPO]
    assert (done.status, done.url, repo.is_private) == ("published", f"{site.url}/{REPO}", False)
    weights = Path(library.version(registry, version_id).files[0].places[0].path).read_bytes()
    assert repo.files["harbor.safetensors"] == weights
    front = front_of(repo.files["README.md"])
    assert front["license"] == "creativeml-openrail-m"
    assert front["base_model"] == "stable-diffusion-v1-5/stable-diffusion-v1-5"
    assert {"lora", "diffusers", "text-to-image", "style", "ink"} <= set(front["tags"])
    assert front["instance_prompt"] == "hrbr style"
    shown = [one["output"]["url"] for one in front["widget"]]
    assert [repo.files[name][:4] for name in shown] == [b"\x89PNG", b"\x89PNG"]
    assert front["widget"][0]["text"] == "hrbr style, a boat"
    assert front["widget"][0]["parameters"] == {"negative_prompt": "blurry"}
    text = repo.files["README.md"].decode()
    assert "`hrbr style` | 0.8 (0.5 to 1)" in text
    assert "load_lora_weights('mara/Harbor-Style', weight_name='harbor.safetensors'" in text
    assert "/home/someone" not in text, "a path of this machine"
    assert library.version(registry, version_id).hub_url == done.url
    assert library.model_rows(registry, [library.version(registry, version_id).model_id])[0].flags == "P"
    assert [event for event in heard if event.stage == "upload"][-1].done == len(weights)


def test_a_file_goes_in_parts_where_the_hub_wants_it_so(
    site: HubServer, hub: Hub, registry: Registry, version_id: str
) -> None:
    site.part_size = 1000
    heard: list[Progress] = []
    put(registry, hub, version_id, report=heard.append)
    file = library.version(registry, version_id).files[0]
    assert site.repos[REPO].files["harbor.safetensors"] == Path(file.places[0].path).read_bytes()
    assert site.count("PUT", "/lfs/") == -(-file.size // 1000)
    assert [event.done for event in heard if event.stage == "upload"][-1] == file.size


def test_the_same_call_again_sends_nothing(site: HubServer, hub: Hub, registry: Registry, version_id: str) -> None:
    put(registry, hub, version_id)
    site.asked.clear()
    put(registry, hub, version_id)
    assert {method for method, _ in site.asked} == {"GET"}
    assert len(site.repos[REPO].commits) == 1


def test_what_changed_since_is_one_commit_more(site: HubServer, hub: Hub, registry: Registry, version_id: str) -> None:
    put(registry, hub, version_id)
    sent = site.count("PUT", "/lfs/")
    put(registry, hub, version_id, told={"description": "Other words."})
    assert "Other words." in site.repos[REPO].files["README.md"].decode()
    assert (len(site.repos[REPO].commits), site.count("PUT", "/lfs/")) == (2, sent)


def test_a_draft_is_a_private_repository_that_the_next_call_opens(
    site: HubServer, hub: Hub, registry: Registry, version_id: str
) -> None:
    assert put(registry, hub, version_id, draft=True).status == "draft"
    assert site.repos[REPO].is_private
    assert library.version(registry, version_id).hub_url is None
    assert put(registry, hub, version_id).status == "published"
    assert not site.repos[REPO].is_private
    assert site.count("POST", "/api/repos/create") == 1


def test_a_draft_never_goes_into_a_public_repository(
    site: HubServer, hub: Hub, registry: Registry, version_id: str
) -> None:
    put(registry, hub, version_id)
    page = site.repos[REPO].files["README.md"]
    with pytest.raises(PreflightError, match="is public already"):
        put(registry, hub, version_id, draft=True, told={"description": "Not for all."})
    assert site.repos[REPO].files["README.md"] == page


def test_a_repository_that_becomes_public_after_the_checks_gets_no_draft(
    site: HubServer, hub: Hub, registry: Registry, version_id: str
) -> None:
    def opens(event: Progress) -> None:
        if event.data.get("step") == "repo" and event.data.get("state") == "done":
            site.repos[REPO].is_private = False

    with pytest.raises(HubError, match="would be seen by all"):
        put(registry, hub, version_id, draft=True, report=opens)
    assert site.repos[REPO].files == {}


def test_nobody_sees_a_repository_before_all_is_in_it(
    site: HubServer, hub: Hub, registry: Registry, version_id: str
) -> None:
    half: list[str] = []

    def looks(event: Progress) -> None:
        half.extend(name for name, repo in site.repos.items() if not repo.is_private and not repo.files)

    put(registry, hub, version_id, report=looks)
    assert (half, site.repos[REPO].is_private) == ([], False)


def test_a_repository_that_its_owner_hid_is_public_again(
    site: HubServer, hub: Hub, registry: Registry, version_id: str
) -> None:
    put(registry, hub, version_id, draft=True)
    for _ in range(2):
        put(registry, hub, version_id)
        assert not site.repos[REPO].is_private
        site.repos[REPO].is_private = True


def test_several_versions_share_a_repository(
    site: HubServer, hub: Hub, registry: Registry, version_id: str, tmp_path: Path
) -> None:
    other = index_file(registry, write_lora(tmp_path / "more" / "harbor.safetensors", seed=5))
    library.set_facts(registry, other, "user", {"base_model": "SD 1.5", "version_name": "v2.0"})
    put(registry, hub, version_id, other, told={"trained_words": "hrbr"})
    files = [name for name in site.repos[REPO].files if name.endswith(".safetensors")]
    assert sorted(files) == ["v1.0-1-harbor.safetensors", "v2.0-2-harbor.safetensors"]
    page = f"{site.url}/{REPO}"
    assert {library.version(registry, one).hub_url for one in (version_id, other)} == {page}


def test_a_dry_run_only_asks(site: HubServer, hub: Hub, registry: Registry, version_id: str) -> None:
    done = put(registry, hub, version_id, dry_run=True)
    assert (done.status, done.repo) == ("dry-run", REPO)
    assert done.readme.startswith("---\nlicense:")
    assert {method for method, _ in site.asked} == {"GET"}


# broken off -----------------------------------------------------------------------------------------------------------


def test_an_upload_that_was_stopped_goes_on(site: HubServer, hub: Hub, registry: Registry, version_id: str) -> None:
    stop: list[Progress] = []

    def heard(event: Progress) -> None:
        if event.stage == "upload":
            stop.append(event)

    with pytest.raises(CancelledError):
        put(registry, hub, version_id, report=stoppable(heard, lambda: bool(stop)))
    assert site.repos[REPO].files == {}
    put(registry, hub, version_id)
    assert len(site.repos[REPO].commits) == 1
    assert site.count("POST", "/api/repos/create") == 1


@pytest.mark.parametrize(
    ("step", "state"),
    [("repo", "sent"), ("upload harbor", "sent"), ("commit", "started"), ("commit", "sent"), ("public", "sent")],
)
def test_a_publication_that_dies_at_a_step_goes_on_without_a_second_commit(
    site: HubServer, hub: Hub, registry: Registry, version_id: str, step: str, state: str
) -> None:
    def dies(event: Progress) -> None:
        if event.data.get("step", "").startswith(step) and event.data.get("state") == state:
            raise KeyboardInterrupt

    put(registry, hub, version_id, draft=True) if step == "public" else None
    with pytest.raises(KeyboardInterrupt):
        put(registry, hub, version_id, report=dies)
    assert put(registry, hub, version_id).status == "published"
    assert (len(site.repos[REPO].commits), site.count("PUT", "/lfs/")) == (1, 1)
    assert not site.repos[REPO].is_private


def test_a_commit_whose_answer_got_lost_is_found(
    site: HubServer, hub: Hub, registry: Registry, version_id: str
) -> None:
    site.refusals = [Refusal("/commit/", 502, after=True)]
    assert put(registry, hub, version_id).status == "published"
    assert len(site.repos[REPO].commits) == 1


def test_a_repository_that_was_deleted_is_made_anew(
    site: HubServer, hub: Hub, registry: Registry, version_id: str
) -> None:
    put(registry, hub, version_id)
    site.repos.clear()
    put(registry, hub, version_id)
    assert "harbor.safetensors" in site.repos[REPO].files


# what stands in the way -------------------------------------------------------------------------------------------------


def test_somebody_s_own_repository_is_replaced_only_when_that_was_accepted(
    site: HubServer, hub: Hub, registry: Registry, version_id: str, tmp_path: Path
) -> None:
    with quick_registry(tmp_path / "elsewhere") as other:
        put(other, hub, make_version(other, tmp_path / "b"))
    with pytest.raises(PreflightError, match="is there already"):
        put(registry, hub, version_id, accept=("harmless",))
    # Named once, it is accepted from then on; the other warnings stand in the way still.
    with pytest.raises(PreflightError):
        put(registry, hub, version_id, accept=("hub-exists",))
    assert put(registry, hub, version_id, accept=("harmless",)).status == "published"
    assert put(registry, hub, version_id, repo="Other.Name").repo == "mara/Other.Name"


def _read_only(site: HubServer, registry: Registry, version: str) -> dict[str, str]:
    site.role = "read"
    return {}


def _no_pictures(site: HubServer, registry: Registry, version: str) -> dict[str, str]:
    library.replace_set(registry, version, "previews", [])
    return {}


def _plain_picture(site: HubServer, registry: Registry, version: str) -> dict[str, str]:
    library.replace_set(registry, version, "previews", [])
    previews.add_preview(registry, version, write_png(registry.home / "x.png", "gray"))
    return {}


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_read_only, "may only read"), (_no_pictures, "no picture to show"), (_plain_picture, "no picture says"),
        (lambda *_: {"base_model": "Pony"}, "no base model Pony"), (lambda *_: {"base_model": "Other"}, "licence of Other is not known"),
        (lambda *_: {"base_model": "Flux.1 D"}, "Non-Commercial"), (lambda *_: {"poi": ""}, "real person"),
    ],
)  # fmt: skip
def test_what_stands_in_the_way_is_told_before_the_first_byte(
    site: HubServer,
    hub: Hub,
    registry: Registry,
    version_id: str,
    spoil: Callable[[HubServer, Registry, str], dict[str, str]],
    message: str,
) -> None:
    told = spoil(site, registry, version_id)
    with pytest.raises(PreflightError, match=message):
        put(registry, hub, version_id, told=told, accept=())
    assert site.repos == {}


def test_another_s_name_is_not_taken(hub: Hub, registry: Registry, version_id: str) -> None:
    with pytest.raises(PreflightError, match="somebody is not yours"):
        put(registry, hub, version_id, repo="somebody/ink")
    assert put(registry, hub, version_id, repo="studio/ink").repo == "studio/ink"


def test_a_file_that_changed_since_is_not_sent(hub: Hub, registry: Registry, version_id: str) -> None:
    path = Path(library.version(registry, version_id).files[0].places[0].path)
    page = compose(form_fill.filled(registry, [version_id]), REPO)
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(PreflightError, match="has changed since"):
        put(registry, hub, version_id)
    with pytest.raises(HubError, match="has changed since"):
        hub.send(REPO, page.uploads[0], lambda *_: None)


def test_a_copy_whose_header_tells_nothing_is_what_is_sent(
    site: HubServer, hub: Hub, registry: Registry, tmp_path: Path
) -> None:
    path = write_lora(tmp_path / "told.safetensors", metadata={"ss_sd_model_name": "/home/someone/sd.safetensors"})
    version = index_file(registry, path)
    told = {"base_model": "SD 1.5", "trained_words": "ink", "description": "Ink.", "name": "Ink"}
    with pytest.raises(PreflightError, match="/home/someone"):
        put(registry, hub, version, told=told)
    put(registry, hub, version, told={**told, "strip": "yes"})
    assert b"/home/someone" not in site.repos["mara/Ink"].files["told.safetensors"]
    assert b"/home/someone" in path.read_bytes()


@pytest.mark.parametrize(
    ("refusal", "message"),
    [
        (Refusal("/whoami", 401, "Invalid credentials"), "does not take the token"),
        (Refusal("/repos/create", 403, "You don't have the rights"), "may not write to mara/Harbor-Style"),
        (Refusal("/preupload/", 403, "gated", code="GatedRepo"), "is gated"),
        (Refusal("/commit/", 403, "Private repository storage limit reached"), "has no room"),
        (Refusal("/lfs/d9", 403, "SignatureDoesNotMatch"), "may not write to"),
        (Refusal("/commit/", 429, "slow down"), "wants a pause"),
        (Refusal("/commit/", 500, "oops hf_abcdefgh1234"), "out of order"),
    ],
)
def test_a_refusal_is_one_line_that_says_what_to_do_and_no_secret(
    site: HubServer, hub: Hub, registry: Registry, version_id: str, refusal: Refusal, message: str
) -> None:
    refusal.times = 9
    site.refusals = [refusal]
    with pytest.raises(HubError, match=message) as caught:
        put(registry, hub, version_id)
    told = str(caught.value)
    assert "\n" not in told
    assert caught.value.hint
    assert not [secret for secret in (TOKEN, "s3cret", "X-Amz", "hf_abcdefgh") if secret in told]
    site.refusals = []
    assert put(registry, hub, version_id).status == "published"


def test_a_hub_that_is_away_is_told(registry: Registry, version_id: str) -> None:
    with pytest.raises(HubError, match=r"127.0.0.1:9 does not answer"):
        put(registry, Hub("http://127.0.0.1:9", TOKEN), version_id)


def test_without_a_token_nothing_is_asked() -> None:
    with pytest.raises(HubError, match="no Hugging Face token"):
        Hub("http://127.0.0.1:9", "")


def test_the_token_is_nowhere(
    site: HubServer, hub: Hub, registry: Registry, version_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        put(registry, hub, version_id)
    rows = registry.db.execute("SELECT plan FROM publications UNION ALL SELECT answer FROM publication_steps")
    assert TOKEN not in " ".join(row[0] for row in rows) + caplog.text
    assert "s3cret" not in " ".join(
        record.getMessage() for record in caplog.records if record.name.startswith("hubman")
    )


# the command ------------------------------------------------------------------------------------------------------------


def test_the_command_publishes_and_says_where(
    site: HubServer,
    registry: Registry,
    version_id: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HUBMAN_HOME", str(registry.home))
    monkeypatch.setenv("HF_ENDPOINT", site.url)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert run(["publish", NAME, "--to", "hf", "--check"]) == 1
    checked = capsys.readouterr().out
    assert "strength\t0.8\tlibrary" in checked
    assert "error poi-unanswered: " in checked
    # Nobody is asked what can't be: whether it becomes public.
    assert run(["publish", NAME, "--to", "hf", *SAID]) == 2
    assert run(["publish", NAME, "--to", "hf", *SAID, "--json"]) == 1
    assert '"status": "refused"' in capsys.readouterr().out
    assert site.repos == {}
    assert run(["publish", NAME, "--to", "hf", "--repo", "ink", "--dry-run"]) == 0
    assert f"dry-run: {site.url}/mara/ink\n  harbor.safetensors\n" in capsys.readouterr().out
    assert run(["publish", NAME, "--to", "hf", "--repo", "ink", "--yes", *SAID]) == 0
    assert f"published: {site.url}/mara/ink\n" in capsys.readouterr().out
    assert run(["show", NAME]) == 0
    assert f"hub      {site.url}/mara/ink" in capsys.readouterr().out
    assert run(["publish", NAME, "--to", "hf", "--repo", "no/such/name"]) == 2


def test_a_person_at_the_terminal_says_yes_in_spite_of_what_was_found(
    site: HubServer, hub: Hub, registry: Registry, version_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for stream in (sys.stdin, sys.stdout):
        monkeypatch.setattr(stream, "isatty", lambda: True)
    shown: list[str] = []

    def yes(question: str) -> bool:
        shown.append(question)
        return True

    monkeypatch.setattr("click.confirm", yes)
    form = form_edit.changed(form_fill.filled(registry, [version_id]), ANSWERS)
    monkeypatch.setenv("HF_ENDPOINT", site.url)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    ways: dict[str, Any] = {"repo": "", "draft": False, "dry_run": False, "only_check": False, "as_json": False}
    publish_on_hub(registry, form, accept=(), ask=True, **ways)
    assert shown == [f"Make public {NAME} as {REPO} on {site.url} in spite of these warnings?"]
    assert not site.repos[REPO].is_private


_WITHOUT = """
import sys
sys.modules["huggingface_hub"] = None
from hubman.cli.main import run
sys.exit(run(["publish", "x", "--to", "hf"]) if len(sys.argv) > 1 else 0)
"""


def test_without_the_library_the_command_says_what_installs_it(
    registry: Registry, version_id: str, tmp_path: Path
) -> None:
    library.set_facts(registry, library.version(registry, version_id).model_id, "user", {"name": "x"})
    environment = {**os.environ, "HUBMAN_HOME": str(registry.home), "HF_TOKEN": TOKEN}
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT, "x"],
        cwd=Path(__file__).parents[2],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "pip install 'hubman[hf]'" in done.stderr) == (1, True)
