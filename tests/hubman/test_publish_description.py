"""The description of a page: a template filled with what is known, and Markdown as the HTML that Civitai keeps."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubman.civitai import describe, form_edit, markdown
from registry.database import Registry
from registry.errors import UsageError
from tests.support.kept_html import text_of_kept
from tests.support.publishing import form_of, make_version


def test_an_own_template_is_used_and_what_is_typed_replaces_it(registry: Registry, tmp_path: Path) -> None:
    (registry.home / describe.FILE).write_text(
        "# {name}\n\nUse {triggers} at {strength_best}.\n\n## Data\n\n{images} images\n"
    )
    form = form_of(registry, make_version(registry, tmp_path))
    assert form.description == "# Harbor Style\n\nUse `hrbr style` at 0.8."
    changed = form_edit.changed(form, {"strength": "0.6", "trained_words": "a`b, c"})
    assert "Use ``a`b``, `c` at 0.6." in changed.description
    typed = form_edit.changed(changed, {"description": "All of {triggers} is mine."})
    assert typed.description == "All of {triggers} is mine."
    assert form_edit.changed(typed, {"strength": "0.5"}).description == typed.description
    assert form_edit.changed(typed, {"description": ""}).description == changed.description
    (registry.home / describe.FILE).write_text("{nothing}")
    with pytest.raises(UsageError, match="nothing"):
        form_of(registry, form.version_ids[0])


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("", ""), ("a\n\nb", "<p>a</p><p>b</p>"), ("a\nb", "<p>a<br>b</p>"), ("# Title", "<p><strong>Title</strong></p>"),
        ("**b** *i* ~~s~~ `c<d`", "<p><strong>b</strong> <em>i</em> <s>s</s> <code>c&lt;d</code></p>"),
        ("- a\n- b", "<ul><li>a</li><li>b</li></ul>"), ("1. a\n2. b", "<ol><li>a</li><li>b</li></ol>"),
        ("- a\n  - b\n- c", "<ul><li>a<ul><li>b</li></ul></li><li>c</li></ul>"), ("snake_case_word", "<p>snake_case_word</p>"),
        ("2 * 3 * 4", "<p>2 * 3 * 4</p>"), ("**open", "<p>**open</p>"), ("\\*a\\*", "<p>*a*</p>"),
        ("[x](https://e.org/?a=1&b)", '<p><a href="https://e.org/?a=1&amp;b">x</a></p>'),
        ("[x](javascript:alert)", "<p>[x](javascript:alert)</p>"), ("![p](https://e.org/x.png)", '<p><a href="https://e.org/x.png">p</a></p>'),
        ("see https://e.org/a.", '<p>see <a href="https://e.org/a">https://e.org/a</a>.</p>'),
        ("<script>x</script>", "<p>&lt;script&gt;x&lt;/script&gt;</p>"), ("```\n<b>\n```", "<pre><code>&lt;b&gt;</code></pre>"),
        ("> said\n> so", "<p><em>said<br>so</em></p>"), ("a\n---\nb", "<p>a</p><p>b</p>"), ("``a`b``", "<p><code>a`b</code></p>"),
    ],
)  # fmt: skip
def test_markdown_becomes_the_html_that_civitai_keeps(text: str, html: str) -> None:
    assert markdown.to_html(text) == html


_MARKED = st.lists(
    st.sampled_from(
        ["**", "*", "_", "__", "~~", "`", "``", "\n", "\n\n", "- ", "  - ", "1. ", "# ", "> ", "```", "<b>", "</p>", "&amp;", "[a](",
         "https://e.org/", ")", "](", "![", "word", " ", "    ", "\\", "<script>", '"', "\x00", "\u202e", "猫"]
    ),
    max_size=40,
).map("".join)  # fmt: skip


@given(_MARKED | st.text(max_size=200))
@settings(max_examples=100, deadline=None)
def test_any_text_makes_well_formed_html_with_allowed_tags_only(text: str) -> None:
    text_of_kept(markdown.to_html(text))


@given(st.text(max_size=60))
@settings(max_examples=50, deadline=None)
def test_what_is_escaped_or_code_says_itself(text: str) -> None:
    line = " ".join("".join(sign for sign in text if sign.isprintable() or sign.isspace()).split())
    for told in (markdown.escaped(line), markdown.code(line) if line else ""):
        if told:
            said = text_of_kept(markdown.to_html(f"x{told}x"))
            assert "".join(said.split()) == "".join(f"x{line}x".split())
