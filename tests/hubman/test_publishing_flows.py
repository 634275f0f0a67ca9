"""Whatever a model is called and says of itself, no request of any flow is one that Civitai would refuse."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.publish_flows import Flows, flows, pages


@pytest.fixture(scope="module")
def every(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flows]:
    with flows(tmp_path_factory.mktemp("flows")) as made:
        yield made


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(page=pages(), other=pages(), later=st.booleans())
def test_every_flow_of_generated_models_keeps_to_the_contract(
    every: Flows, page: dict[str, Any], other: dict[str, Any], later: bool
) -> None:
    every.run(page, other, later=later)
