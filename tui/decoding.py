"""At most two threads decode pictures at a time: more would only make the screen wait for the interpreter."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import BoundedSemaphore
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
Result = TypeVar("Result")
THREADS = 2

slots = BoundedSemaphore(THREADS)
"""Held by whoever decodes, in whichever thread: the detail is read in another one than the cards. Not to be nested."""

_pool = ThreadPoolExecutor(THREADS, "decode")


async def decoded(work: Callable[P, Result], *args: P.args, **kwargs: P.kwargs) -> Result:
    """``work(…)`` in one of the threads."""
    return await asyncio.get_running_loop().run_in_executor(_pool, partial(work, *args, **kwargs))
