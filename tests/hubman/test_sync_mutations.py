"""The list of mutations is run by hand, so the suite only sees to it that each of them can still be made."""

from __future__ import annotations

import pytest

from tests.tools.mutations import MUTATIONS, ROOT, Mutation


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_mutation_finds_its_line(mutation: Mutation) -> None:
    assert (ROOT / mutation.file).read_text().count(mutation.old) == 1
    for name in mutation.tests.split():
        assert (ROOT / name).is_file()
