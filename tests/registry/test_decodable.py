from __future__ import annotations

import subprocess
import sys

_RACE = """
import sys, threading
import msgspec
from registry.decodable import decodable

sys.setswitchinterval(1e-6)
for _ in range(15):
    fields = [(f"f{number}", dict[str, list[tuple[int, str]]], {}) for number in range(30)]
    inner = msgspec.defstruct("Inner", fields)
    outer = msgspec.defstruct("Outer", [("a", inner), ("more", dict[str, inner], {})])
    together = threading.Barrier(4)

    def decode():
        together.wait()
        msgspec.json.decode(b'{"a":{"f29":{"x":[[1,"q"]]}},"more":{"k":{"f28":{}}}}', type=decodable(outer))

    threads = [threading.Thread(target=decode) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""


def test_threads_may_decode_a_type_for_the_first_time_at_once() -> None:
    """In a process of its own: where the rule is broken, it ends by a segmentation fault."""
    done = subprocess.run([sys.executable, "-c", _RACE], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
