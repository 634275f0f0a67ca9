"""fetch, drop, pin, unpin and device policy on the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from hubman.cli.main import run
from hubman.generate.naming import find_lora
from hubman.sync.care import devices
from hubman.sync.policies import letting_go, policy
from hubman.sync.policies.policy import Policy
from registry import library
from registry.errors import HubError
from tests.support.machines import Machine, quick_folder, settle


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Machine, Machine]]:
    """The command line is that of the second machine, which fetches nothing by itself and is called b."""
    with quick_folder(tmp_path) as place:
        a, b = Machine(place, "a", place / "remote"), Machine(place, "b", place / "remote")
        a.add_lora("ink", seed=1)
        a.add_lora("other", seed=2)
        policy.set_policy(b.registry, Policy(weights="none"))
        devices.rename(b.registry, b.device, "laptop")
        settle([a, b])
        monkeypatch.setenv("HUBMAN_HOME", str(b.home))
        yield a, b
        for machine in (a, b):
            machine.registry.close()


def here(machine: Machine) -> set[str]:
    return {row.name for row in library.list_models(machine.registry, "where:here")}


def test_a_policy_is_set_from_any_machine(
    pair: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = pair
    monkeypatch.setenv("HUBMAN_HOME", str(a.home))
    wanted = ["--weights", "query:rating:>=4", "--limit", "1.5GB", "--rate-up", "5MB", "--window", "01:00-07:00"]
    assert run(["device", "policy", "laptop", "--preset", "laptop", *wanted, "--upload", "no"]) == 0
    capsys.readouterr()
    assert run(["device", "policy", "laptop", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["name"] == "laptop"
    assert said["policy"] == {
        "previews": "thumbs", "weights": "query:rating:>=4", "limit": 1_500_000_000, "upload": "no",
        "rate_up": 5_000_000, "rate_down": None, "window": "01:00-07:00",
    }  # fmt: skip
    settle(pair)
    assert run(["device", "policy", "laptop", "--limit", "none", "--window", "always"]) == 0
    assert policy.of_device(a.registry.db, b.device).limit is None
    assert run(["device", "policy"]) == 0
    assert "weights    all" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["--preset", "phone"], "there is no preset phone: use one of workstation, laptop, rented"),
        (["--weights", "query:rating:high"], "rating can't be 'high'"),
        (["--weights", "few"], "weights can't be 'few': use all, pinned, none or query:"),
        (["--limit", "much"], "--limit can't be 'much': for example 200GB"),
        (["--window", "night"], "window can't be 'night': use 01:00-07:00"),
    ],
)
def test_a_policy_that_makes_no_sense_is_one_line(
    pair: tuple[Machine, Machine], capsys: pytest.CaptureFixture[str], wrong: list[str], message: str
) -> None:
    assert run(["device", "policy", *wrong]) == 2
    assert message in capsys.readouterr().err
    assert policy.of_device(pair[1].registry.db, pair[1].device) == Policy(weights="none")


def test_what_is_elsewhere_is_named_with_what_brings_it_here(
    pair: tuple[Machine, Machine], capsys: pytest.CaptureFixture[str]
) -> None:
    _, b = pair
    with pytest.raises(HubError, match="the file of ink is not on this machine: hubman fetch ink brings it here"):
        find_lora(b.registry, "ink")
    assert run(["ls", "where:elsewhere", "--json"]) == 0
    assert {row["name"]: row["where"] for row in json.loads(capsys.readouterr().out)} == {
        "ink": "elsewhere", "other": "elsewhere",
    }  # fmt: skip
    assert run(["fetch", "ink"]) == 0
    assert "ink is here now" in capsys.readouterr().out
    assert find_lora(b.registry, "ink").name == "ink"
    assert run(["ls", "ink"]) == 0
    assert capsys.readouterr().out.rstrip().endswith("\teverywhere")


def test_one_that_can_not_be_had_does_not_keep_the_others_away(
    pair: tuple[Machine, Machine], capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = pair
    (sha256,) = (
        file.sha256 for file in library.show(a.registry, library.resolve(a.registry, "ink")[0]).versions[0].files
    )
    next(a.remote.glob(f"blob/*/{sha256}")).unlink()
    assert run(["fetch", "ink", "other", "--json"]) == 1
    told = capsys.readouterr()
    assert [one["name"] for one in json.loads(told.out)] == ["other"]
    assert "ink.safetensors is not on the remote yet" in told.err
    assert here(b) == {"other"}
    assert run(["fetch", "nobody"]) == 1


def test_dropping_frees_the_disk_and_asks_for_what_is_large(
    pair: tuple[Machine, Machine], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, b = pair
    assert run(["fetch", "ink", "other"]) == 0
    monkeypatch.setattr(letting_go, "LARGE", 100)
    b.registry.db.execute("UPDATE fetched SET at = '2020-01-01T00:00:00.000Z'")
    assert run(["drop", "ink"]) == 1
    assert "nobody read ink.safetensors whole on r for 90 days, so it stays" in capsys.readouterr().err
    assert here(b) == {"ink", "other"}
    assert run(["drop", "ink", "--yes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["files"] == 1
    assert here(b) == {"other"}


def test_a_pin_fetches_now_and_keeps_from_being_dropped(
    pair: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = pair
    assert run(["pin", "ink"]) == 0
    assert here(b) == {"ink"}
    assert run(["drop", "ink"]) == 2
    assert "ink is pinned here: hubman unpin ink first" in capsys.readouterr().err
    assert run(["unpin", "ink"]) == 0
    assert run(["drop", "ink"]) == 0
    monkeypatch.setenv("HUBMAN_HOME", str(a.home))
    settle(pair)
    assert run(["pin", "ink", "other", "--device", "laptop"]) == 0
    policy.set_policy(a.registry, Policy(weights="pinned"), b.device)
    settle(pair)
    assert here(b) == {"ink", "other"}
