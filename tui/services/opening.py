"""Open a page or a folder with the desktop's own program, where there is a desktop."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from registry.records import ModelDetail, VersionRow


def targets(model: ModelDetail, version: VersionRow | None) -> list[tuple[str, str]]:
    """(what it is, address or folder) of what can be opened of a model."""
    from hubman.civitai.auth import site_url

    found: list[tuple[str, str]] = []
    if version is not None and version.published_url:
        found.append(("the page where it was published", version.published_url))
    elif model.civitai_id:
        wanted = f"?modelVersionId={version.civitai_id}" if version is not None and version.civitai_id else ""
        found.append(("its page on Civitai", f"{site_url()}/models/{model.civitai_id}{wanted}"))
    if version is not None and version.hub_url:
        found.append(("its page on the Hugging Face Hub", version.hub_url))
    places = [place for file in version.files for place in file.places] if version is not None else []
    folders = dict.fromkeys(str(Path(place.path).parent) for place in places if place.state in {"present", "damaged"})
    return found + [("the folder that it lies in", folder) for folder in folders]


def launch(target: str) -> str:
    """Hand ``target`` to the desktop; the program's name, or empty where there is none."""
    if sys.platform == "darwin":
        tool = "open"
    elif os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        tool = "xdg-open"
    else:
        return ""
    if shutil.which(tool) is None:
        return ""
    quiet = subprocess.DEVNULL
    try:
        subprocess.Popen([tool, target], stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)
    except OSError:
        return ""
    return tool
