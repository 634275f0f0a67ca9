"""What prompts call the versions of a model, and the way back from such a name."""

from __future__ import annotations

from pathlib import Path

import pytest

from registry import edits, library, prompt_name, roots
from registry.database import Registry
from registry.errors import NotFoundError
from registry.scan import scan
from tests.support.model_files import small_lora, write_model


@pytest.fixture
def versions(registry: Registry, tmp_path: Path) -> dict[str, str]:
    """The model ``ink`` with two versions by their files' names: ``ink2``, its newest, and ``ink``."""
    folder = tmp_path / "loras"
    for seed, name in enumerate(("ink", "ink2"), 1):
        write_model(folder / f"{name}.safetensors", small_lora(), seed=seed)
        roots.add(registry, folder)
        scan(registry)
    model, newest = library.resolve(registry, "ink2")
    old = library.resolve(registry, "ink")[1]
    library.set_facts(registry, old, "user", {"model": model})
    library.set_facts(registry, model, "civitai", {"name": "ink"})
    ids = [version.id for version in library.show(registry, model).versions]
    assert set(ids) == {newest, old}
    return {"model": model, "ink2": newest, "ink": old}


def _name(registry: Registry, model: str, version: str) -> str:
    return prompt_name.of(library.show(registry, model), library.version(registry, version))


def test_each_version_goes_by_its_own_file_and_is_found_by_it(registry: Registry, versions: dict[str, str]) -> None:
    for stem in ("ink", "ink2"):
        assert _name(registry, versions["model"], versions[stem]) == stem
        assert prompt_name.find(registry, stem) == (versions["model"], versions[stem])


def test_a_persons_alias_stands_for_the_newest_version(registry: Registry, versions: dict[str, str]) -> None:
    model = versions["model"]
    newest, other = [version.id for version in library.show(registry, model).versions]
    edits.edit(registry, model, newest, {"alias": "wash"})
    assert _name(registry, model, newest) == "wash"
    assert _name(registry, model, other) in {"ink", "ink2"}
    assert prompt_name.find(registry, "wash") == (model, newest)


def test_a_file_that_is_renamed_renames_its_version(
    registry: Registry, versions: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "loras" / "ink.safetensors").rename(tmp_path / "loras" / "early.v1.safetensors")
    scan(registry)
    assert _name(registry, versions["model"], versions["ink"]) == "early.v1"
    assert prompt_name.find(registry, "early.v1") == (versions["model"], versions["ink"])
    with pytest.raises(NotFoundError):
        prompt_name.find(registry, "early")
