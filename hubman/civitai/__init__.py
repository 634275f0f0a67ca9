"""Civitai: one typed adapter for pulling and publishing, the same for the real site and for the sandbox.

Importing this package loads no HTTP library; :mod:`hubman.civitai.client` does.
"""
