"""The public REST API: what anybody may read."""

from __future__ import annotations

from starlette.routing import BaseRoute

from hubman.sandbox.rest import account, collections, hashes, images, lists, models, tensors, versions

ROUTES: list[BaseRoute] = [
    *account.ROUTES, *models.ROUTES, *hashes.ROUTES, *versions.ROUTES, *images.ROUTES, *lists.ROUTES,
    *collections.ROUTES, *tensors.ROUTES,
]  # fmt: skip
