"""Generated models through every flow, each request held against the contract: python benchmarks/publish_flows.py."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.support.publish_flows import flows, pages


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=200)
    count = parser.parse_args().models
    began = perf_counter()
    with tempfile.TemporaryDirectory() as folder, flows(Path(folder)) as every:

        @settings(
            max_examples=count, deadline=None, database=None, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(page=pages(), other=pages(), later=st.booleans())
        def check(page: dict[str, Any], other: dict[str, Any], later: bool) -> None:
            every.run(page, other, later=later)

        check()
        requests = every.requests
    print(
        f"{count} generated models through first publication, schedule, added version, edit and hiding: {requests} requests, "
        f"none refused, none with a key that no schema has; {perf_counter() - began:.0f} s"
    )


if __name__ == "__main__":
    main()
