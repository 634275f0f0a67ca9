"""Where a model's weights are, as each machine's list tells it."""

from __future__ import annotations

from pathlib import Path

from hubman.sync import remotes
from hubman.sync.policies import policy
from registry import changes, library, scan
from registry.database import Registry
from tests.support.machines import Machine, settle


def where(machine: Machine) -> dict[str, str]:
    rows = library.list_models(machine.registry)
    found: dict[str, str] = {row.name: row.where for row in rows}
    for asked, expected in (("elsewhere", {"elsewhere"}), ("here", {"here", "everywhere"}), ("nowhere", {"nowhere"})):
        ids = library.model_ids(machine.registry, f"where:{asked}")
        assert set(ids) == {row.id for row in rows if row.where in expected}
    return found


def test_a_model_is_here_then_elsewhere_then_everywhere(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    a.add_lora("ink")
    assert where(a) == {"ink": "here"}, "there is no other machine that could have it too"
    policy.set_policy(b.registry, policy.Policy(weights="none"))
    settle(pair)
    assert (where(a), where(b)) == ({"ink": "here"}, {"ink": "elsewhere"})
    policy.set_policy(b.registry, policy.Policy())
    settle(pair)
    assert (where(a), where(b)) == ({"ink": "everywhere"}, {"ink": "everywhere"})


def test_a_machine_that_came_or_was_retired_counts_at_once(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    a.add_lora("ink")
    settle(pair)
    other = Machine(a.home.parent, "c", a.remote)
    policy.set_policy(other.registry, policy.Policy(weights="none"))
    other.sync()
    a.sync()
    assert where(a) == {"ink": "here"}
    with b.registry.transaction() as db:
        changes.record(db, [changes.set_field(db, other.device, "user", "retired", value=True)])
    assert where(b) == {"ink": "everywhere"}
    settle([b, a])
    assert where(a) == {"ink": "everywhere"}
    other.registry.close()


def test_what_lies_nowhere_any_more_is_said_to(pair: tuple[Machine, Machine]) -> None:
    a, b = pair
    policy.set_policy(a.registry, policy.Policy(upload="no"))
    a.add_lora("ink")
    settle(pair)
    assert where(b) == {"ink": "elsewhere"}
    (a.registry.models_folder / "ink.safetensors").unlink()
    scan.scan(a.registry)
    assert where(a) == {"ink": "nowhere"}
    settle(pair)
    assert where(b) == {"ink": "nowhere"}
    remotes.remove(b.registry, "r")
    assert where(b) == {"ink": "nowhere"}


def test_a_registry_without_the_column_gets_it_filled(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "a", tmp_path / "remote")
    machine.add_lora("ink")
    db = machine.registry.db
    for statement in (
        "ALTER TABLE listing DROP COLUMN whereabouts", "DROP TABLE fetched", "DROP TABLE dropped",
        "DELETE FROM _sqlite_migrations WHERE name = 'm028_whereabouts'",
    ):  # fmt: skip
        db.execute(statement)
    machine.registry.close()
    with Registry(machine.home) as registry:
        assert [row.where for row in library.list_models(registry)] == ["here"]
