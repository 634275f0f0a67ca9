"""Names and texts that want to do harm: to paths, terminals, pages and whoever reads them."""

from __future__ import annotations

NAMES = (
    "../../../../tmp/escaped.safetensors",
    "..\\..\\windows\\system32\\evil.safetensors",
    "/etc/passwd",
    "C:\\Users\\victim\\a.safetensors",
    "C:a.safetensors",
    "\\\\server\\share\\a.safetensors",
    "CON",
    "aux.safetensors",
    "NUL.safetensors.",
    "trailing. . .",
    " leading.safetensors",
    "-rf.safetensors",
    "~/a.safetensors",
    "a\x00b.safetensors",
    "line\nbreak\r\n.safetensors",
    "\x1b[2J\x1b]0;owned\x07red\x1b[31m.safetensors",
    "\x9b31mcsi.safetensors",
    "invoice\u202esrotsnetefas.exe",
    "\u2066isolated\u2069\u200b.safetensors",
    "x" * 300 + ".safetensors",
    "モデル" * 80 + ".safetensors",
    "<script>alert(1)</script>.safetensors",
    "<img src=x onerror=alert(1)>",
    "[bold red]markup[/] [link=file:///etc/passwd]x[/link]",
    "a:b?c*d|e\"f'g.safetensors",
    "$(touch owned).safetensors",
    "; rm -rf ~ #.safetensors",
    "{0.__class__}%s%n",
    "",
    ".",
    "..",
    ".hidden",
    "e\u0301".join("abc") + ".safetensors",
)

FIELDS = frozenset({
    "name", "fileName", "versionName", "modelName", "username", "description", "prompt", "negativePrompt", "title",
    "baseModel", "sampler",
})  # fmt: skip
"""Fields whose text is replaced."""

LISTS = frozenset({"trainedWords", "tags"})
"""Fields whose lists of texts are."""
