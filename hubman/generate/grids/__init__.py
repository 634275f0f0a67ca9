"""Grids: what varies, which requests that makes, where their pictures lie, and what is shown and exported of them."""
