"""The two threads that decode pictures: more would only make the screen wait for the interpreter."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
Result = TypeVar("Result")
THREADS = 2

_pool = ThreadPoolExecutor(THREADS, "decode")


async def decoded(work: Callable[P, Result], *args: P.args, **kwargs: P.kwargs) -> Result:
    """``work(…)`` in one of the threads."""
    return await asyncio.get_running_loop().run_in_executor(_pool, partial(work, *args, **kwargs))
