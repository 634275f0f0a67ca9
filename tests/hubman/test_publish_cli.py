"""``hubman publish``: the form as options, its checks before anything is sent, what the header reveals."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hubman.civitai import form_defaults, form_fill
from hubman.cli import publish_form
from hubman.cli.main import run
from registry import library
from registry.database import Registry
from registry.scan import index_file
from tests.support.civitai import Bench, bench, write_lora
from tests.support.publishing import NAME, make_version

ANSWERED = ["--no-nsfw", "--no-poi", "--no-minor"]


@pytest.fixture
def site(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """The configured site is a sandbox, and the library has one model that can be published."""
    with bench(tmp_path) as running:
        monkeypatch.setenv("HUBMAN_CIVITAI_URL", running.sandbox.url)
        monkeypatch.setenv("CIVITAI_API_KEY", running.sandbox.token("creator"))
        with Registry(home) as registry:
            make_version(registry, tmp_path)
        yield running


def told(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_every_field_is_an_option(site: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    fields = [
        "--name",
        "Typed",
        "--strength",
        "0.7",
        "--commercial-use",
        "none",
        "--published-at",
        "+2d",
        "--set",
        "1.steps=9",
    ]
    assert run(["publish", "harbor", *ANSWERED, "--no-allow-derivatives", *fields, "--yes", "--json"]) == 0
    assert told(capsys)["status"] == "scheduled"
    model = site.sandbox.models_named("Typed")[0]
    assert (model["allowDerivatives"], model["allowCommercialUse"], model["status"]) == (False, [], "Scheduled")
    version = model["versions"][0]
    assert (version["settings"]["strength"], version["steps"]) == (0.7, 9)


def test_what_stands_in_the_way_is_listed_with_what_to_do(site: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["publish", "harbor", "--no-nsfw", "--yes"]) == 1
    out = capsys.readouterr()
    assert "error poi-unanswered: not answered yet: does it depict a real person?: say --poi or --no-poi" in out.out
    assert out.err.count("\n") == 1
    assert run(["publish", "harbor", *ANSWERED, "--json"]) == 1
    found = told(capsys)
    assert [one["code"] for one in found["findings"]] == ["pictures-few"]
    assert site.sandbox.models_named(NAME) == []
    assert run(["publish", "harbor", *ANSWERED, "--json", "--accept", "pictures-few"]) == 0
    assert told(capsys)["status"] == "published"


def test_without_a_person_nothing_goes_public_unasked(site: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["publish", "harbor", *ANSWERED]) == 2
    assert "--yes" in capsys.readouterr().err
    assert site.sandbox.models_named(NAME) == []


def test_what_only_looks_hides_nothing(site: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["publish", "harbor", *ANSWERED, "--yes", "--json"]) == 0
    for look in ("--check", "--reveals", "--make-pictures"):
        assert run(["publish", "harbor", "--unpublish", look, "--json"]) == 2
    assert run(["publish", "harbor", *ANSWERED, "--repo", "ink", "--yes", "--json"]) == 2
    assert site.sandbox.models_named(NAME)[0]["status"] == "Published"


def test_the_form_is_shown_with_its_sources_and_civitai_s_tags(site: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    with site.client() as client:
        fields = {"name": "Else", "type": "LORA", "uploadType": "Created", "status": "Draft"}
        client.upsert_model({**fields, "tagsOnModels": [{"name": "ink wash"}]})
    assert run(["publish", "harbor", "--check"]) == 1
    out = capsys.readouterr().out
    assert "strength\t0.8\tlibrary" in out
    assert "nsfw\t?\t" in out
    assert "ink wash" in out
    assert run(["publish", "harbor", *ANSWERED, "--check", "--yes", "--json"]) == 0
    found = told(capsys)
    assert found["form"]["parts"][0]["base_model"] == "SD 1.5"
    assert all(one["accepted"] for one in found["findings"])


def test_a_person_is_asked_what_only_a_person_knows(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Registry(home) as registry:
        version = make_version(registry, tmp_path)
        library.set_facts(registry, version, "user", {"base_model": None})
        library.set_facts(registry, version, "guess", {"base_model": "SD 1.4"})
        form = form_fill.filled(registry, [version])
    with CliRunner().isolation(input="y\nn\nn\nSD 1.5\n"):
        answered = publish_form.asked(form)
        assert publish_form.asked(answered) == answered
    assert (answered.nsfw, answered.poi, answered.minor) == (True, False, False)
    assert (answered.parts[0].base_model, answered.parts[0].sources["base_model"]) == ("SD 1.5", "you")
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("site")
def test_permissions_are_saved_for_the_next_time(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saving = ["publish", "harbor", *ANSWERED, "--commercial-use", "image", "--save-permissions", "--dry-run", "--json"]
    assert run(saving) == 0
    saved = form_defaults.read(home)
    assert saved is not None
    assert saved.commercial_use == ("Image",)
    capsys.readouterr()
    assert run(["publish", "harbor", "--check", "--json"]) == 1
    assert told(capsys)["form"]["permissions"]["commercial_use"] == ["Image"]


@pytest.mark.usefixtures("site")
def test_what_the_header_reveals_is_shown_and_stripped(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    header = {"ss_network_module": "networks.lora", "ss_sd_model_name": "/home/ann/base.safetensors"}
    with Registry(home) as registry:
        version = index_file(registry, write_lora(tmp_path / "models" / "wash.safetensors", seed=4, metadata=header))
        for preview in library.version(registry, library.resolve(registry, "harbor")[1]).previews:
            library.update_set(registry, version, "previews", add=[preview.sha256])
    assert run(["publish", "wash", "--reveals"]) == 0
    assert "ss_sd_model_name\tpath\t/home/ann/base.safetensors\tstripped" in capsys.readouterr().out
    chosen = [
        *ANSWERED,
        "--base-model",
        "SD 1.5",
        "--category",
        "style",
        "--no-trigger-words",
        "--description",
        "x",
        "--strength",
        "1",
    ]
    assert run(["publish", "wash", *chosen, "--check", "--yes"]) == 1
    out = capsys.readouterr().out
    assert "warning header-private" in out
    assert "--strip" in out
    assert run(["publish", "harbor", "--reveals", "--json"]) == 0
    assert told(capsys) == []


@pytest.mark.usefixtures("site")
def test_versions_are_named_by_a_query_too(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Registry(home) as registry:
        index_file(registry, write_lora(tmp_path / "models" / "second.safetensors", seed=4))
    assert run(["publish", "harbor", "--query", "second", "--check", "--json"]) == 1
    form = told(capsys)["form"]
    assert [part["file"]["name"] for part in form["parts"]] == ["harbor.safetensors", "second.safetensors"]
    assert run(["publish", "--check"]) == 2
    assert run(["publish", "harbor", "--all-epochs", "--check"]) == 1
    assert run(["publish", "harbor", "--set", "strength", "--check"]) == 2
