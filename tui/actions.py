"""Every action once, by id: bindings, footer, help and palette are views of this table."""

from __future__ import annotations

from collections.abc import Iterable

from textual.binding import Binding

from tui.action import Action
from tui.generate_actions import GENERATE_ACTIONS
from tui.sync_actions import SYNC_ACTIONS
from tui.train_actions import TRAIN_ACTIONS

__all__ = ["ACTIONS", "MODES", "Action", "bindings", "key_names", "of_scope"]

MODES = ("library", "civitai", "train", "generate", "sync", "jobs")
"""In the order of their digits."""


def _move(name: str, keys: str, description: str) -> Action:
    return Action(f"move.{name}", keys, name, description, footer=False, palette=False)


_ACTIONS = (
    # everywhere
    Action("app.help", "question_mark,f1", "keys", "Show the keys of this screen", palette=False),
    Action("app.palette", "colon", "commands", "Search all commands", footer=False, palette=False),
    *(
        Action(f"app.{mode}", str(number), mode.title(), f"Go to {mode.title()}", footer=False)
        for number, mode in enumerate(MODES, 1)
    ),
    Action("app.privacy", "X,f8", "privacy", "Hide names, words and pictures everywhere, or show them", footer=False),
    Action("app.theme", "f2", "theme", "Choose the colours", footer=False),
    Action(
        "app.leave", "q", "back, or quit", "Go back; from a mode's own screen, quit hubman", footer=False, palette=False
    ),
    Action("app.quit", "ctrl+q", "quit", "Quit hubman; jobs go on", footer=False),
    # lists
    _move("down", "j,down", "Next line"),
    _move("up", "k,up", "Previous line"),
    _move("top", "g,home", "First line"),
    _move("bottom", "G,end", "Last line"),
    _move("page_down", "ctrl+d,pagedown", "A page down"),
    _move("page_up", "ctrl+u,pageup", "A page up"),
    _move("open", "enter", "Open, or choose"),
    # grids of pictures
    _move("left", "h,left", "Left"),
    _move("right", "l,right", "Right"),
    # library
    Action("library.filter", "slash", "filter", "Filter the library with a query"),
    Action("library.next", "n", "next hit", "Next model that the last query found", "hits", footer=False),
    Action("library.previous", "N", "previous hit", "Previous model that the last query found", "hits", footer=False),
    Action("library.mark", "space", "mark", "Mark or unmark the model", "model"),
    Action("library.range", "v", "range", "Mark a range: from here to where v is pressed again", "model", footer=False),
    Action("library.copy", "y", "copy tag", "Copy <lora:alias:strength>", "lora"),
    Action(
        "library.copy_words",
        "Y",
        "copy with words",
        "Copy the tag and the required trigger words",
        "lora",
        footer=False,
    ),
    Action("library.test", "T", "test", "Test it in Generate, with a strength sweep prepared", "lora"),
    Action("library.combo", "x", "combo", "Put it into the combo for Generate, or take it out", "lora", footer=False),
    Action("library.merge", "M", "merge", "Make one LoRA of the marked, each at its ratio", "lora", footer=False),
    Action("library.publish", "p", "publish", "Publish the marked, this, or the collection as one model", "model"),
    Action("library.edit", "e", "edit", "Edit a field", "model"),
    Action("library.tags", "t", "tags", "Edit the tags", "model"),
    Action("library.words", "w", "words", "Trigger words: which are copied, groups", "model", footer=False),
    Action("library.strength", "s", "strength", "Set the recommended strength", "model", footer=False),
    Action("library.undo", "z", "undo", "Undo the last change", "undo"),
    Action("library.journal", "Z", "journal", "Show what was done, to undo any of it", footer=False),
    Action(
        "library.trash",
        "d",
        "trash",
        "Put the marked, or this, into the trash; there: bring back",
        "model",
    ),
    Action(
        "library.organise", "m", "move", "Move and rename files by a template, the plan first", "model", footer=False
    ),
    Action("library.rename", "r", "rename", "Rename the model, and its files if you like", "model", footer=False),
    Action("library.duplicates", "D", "duplicates", "Show what is there more than once", footer=False),
    Action("library.open", "o", "open", "Open the model's page or folder", "opening", footer=False),
    Action(
        "library.updates",
        "u",
        "updates",
        "Newer versions on Civitai of the marked, or this",
        "model",
        footer=False,
    ),
    Action(
        "library.updates_all",
        "U",
        "all updates",
        "Newer versions of all, and what is new of those you follow",
        footer=False,
    ),
    Action(
        "library.enrich", "I", "identify", "Ask Civitai what it knows of the marked, or this", "model", footer=False
    ),
    Action("library.cards", "c", "cards", "Switch between list and cards"),
    Action("library.sort", "S", "sort", "Choose the order", footer=False),
    Action("library.views", "F", "views", "Choose, save, rename or remove a view (a named query)", footer=False),
    Action("library.metadata", "i", "metadata", "Show what the file says of itself", "model", footer=False),
    Action("library.rescan", "R", "rescan", "Look for new and changed files; on a folder facet, there", footer=False),
    Action("library.add_folder", "A", "add folder", "Add a folder of models to the library", footer=False),
    Action("library.facets", "f", "facets", "Show, or go to, the facets", footer=False),
    Action("library.favourite", "b", "favourite", "Make the model a favourite, or no longer", "model", footer=False),
    Action(
        "library.collect",
        "a",
        "collect",
        "Put the marked models, or this one, into a collection",
        "model",
        footer=False,
    ),
    Action("library.mark_all", "asterisk", "mark all", "Mark all models that the query finds", footer=False),
    Action(
        "library.rate_up", "greater_than_sign", "one star more", "Rate the model one star higher", "model", footer=False
    ),
    Action(
        "library.rate_down", "less_than_sign", "one star less", "Rate the model one star lower", "model", footer=False
    ),
    Action("library.bring", "B", "bring here", "Fetch weights that are on other machines", "shared", footer=False),
    Action("library.keep", "K", "keep here", "Keep the weights on this machine, or no longer", "shared", footer=False),
    Action("library.free", "E", "free here", "Delete the weights here that a remote has", "shared", footer=False),
    Action("library.pull", "plus", "pull", "Pull from Civitai by URL, AIR, id or hash", footer=False),
    Action("library.invert", "V", "invert marks", "Invert the marks", footer=False),
    Action("library.level", "L", "level", "Choose up to which level pictures are shown", footer=False),
    Action("library.next_picture", "right_square_bracket", "next picture", "Next picture", "picture", footer=False),
    Action("library.last_picture", "left_square_bracket", "last picture", "Picture before", "picture", footer=False),
    Action(
        "library.picture_level",
        "P",
        "picture's level",
        "Say the level of the picture that is shown",
        "picture",
        footer=False,
    ),
    Action("library.back", "escape", "back", "Clear marks, then the query", footer=False, palette=False),
    # the facets beside it
    Action(
        "facets.negate", "minus,exclamation_mark", "exclude", "Exclude what has the facet, or no longer", footer=False
    ),
    # trigger words over the library
    Action("words.toggle", "space", "copied", "Whether the word goes into a copy", "word"),
    Action("words.add", "a", "add", "Add words"),
    Action("words.group", "e", "group", "Name the group that the word belongs to", "word"),
    Action("words.remove", "d", "remove", "Remove the word", "word"),
    Action("words.copy", "y", "copy", "Copy the words that go into a copy", "word"),
    Action("words.copy_tag", "Y", "copy with tag", "Copy the tag and these words", "word"),
    Action("words.save", "escape,q", "save", "Back to the library"),
    # the table of moves over the library
    Action("organise.template", "slash,e", "template", "Write the template"),
    Action("organise.folder", "f", "folder", "Choose the folder that they go to, also on another drive"),
    Action("organise.go", "m", "move", "Move what has no conflict", "plan"),
    Action("organise.back", "escape", "back", "Back to the library; nothing is moved"),
    # the duplicates over the library
    Action("duplicates.mark", "space", "mark", "Mark the set, or no longer", "set"),
    Action("duplicates.mark_all", "asterisk", "all", "Mark all sets, or none", "set"),
    Action("duplicates.keep", "enter", "keep", "Keep this file of its set", "set"),
    Action("duplicates.rule", "s", "rule", "Choose which file of each set stays", "set"),
    Action("duplicates.resolve", "d", "resolve", "Trash what does not stay, of the marked sets or of all", "set"),
    Action("duplicates.kind", "f", "kind", "Same bytes, same weights, or older versions"),
    Action("duplicates.undo", "z", "undo", "Undo the last change", "undo"),
    Action("duplicates.back", "escape", "back", "Back to the library"),
    # the updates over the library
    Action("updates.pull", "space", "pull", "Queue the download (enter does too)", "update"),
    Action("updates.pull_all", "asterisk", "pull all", "Queue the downloads of all that can be had", "update"),
    Action("updates.open", "o", "open", "Open the page", "update"),
    Action("updates.copy", "y", "copy address", "Copy the address of the page", "update", footer=False),
    Action("updates.ignore", "i", "ignore", "Ignore this version until a newer one comes", "update"),
    Action("updates.ignore_model", "I", "ignore model", "Ignore all updates of the model", "update", footer=False),
    Action("updates.follow", "f", "follow", "Follow its creator, or no longer", "creator"),
    Action("updates.queue", "Q", "queue", "Show the queue of downloads", footer=False),
    Action("updates.again", "r", "ask again", "Ask Civitai again", "asked", footer=False),
    Action("updates.undo", "z", "undo", "Undo the last change", "undo"),
    Action("updates.back", "escape", "back", "Back to the library"),
    # what a file says of itself, over the library
    Action("metadata.filter", "slash", "search", "Search names and values"),
    Action("metadata.sources", "i", "who says what", "What the file says, or who says what of the model"),
    Action("metadata.copy", "y", "copy", "Copy the value", "value"),
    Action("metadata.back", "escape", "back", "Back to the library"),
    # the publish form over the library
    Action("publish.publish", "p", "publish", "Publish it, or go on with a publication that was cut off", "ready"),
    Action("publish.edit", "e", "edit", "Edit the field, or turn it over", "form"),
    Action("publish.yes", "y", "yes", "Answer the question with yes", "flag"),
    Action("publish.no", "n", "no", "Answer the question with no", "flag"),
    Action("publish.accept", "a", "accept", "Accept the warning, or take that back", "warning"),
    Action("publish.fix", "f", "fix", "Do what is offered about the finding", "fix"),
    Action("publish.site", "b", "where", "Civitai, the local sandbox, or the Hugging Face Hub", "form"),
    Action("publish.draft", "d", "draft", "Leave it a draft, or make it public", "form"),
    Action("publish.accept_all", "A", "accept all", "Accept all warnings that harm nobody", "finding", footer=False),
    Action("publish.check", "c", "check", "Run the checks again", "form"),
    Action("publish.save", "s", "save permissions", "Make these permissions the default", "form", footer=False),
    Action("publish.back", "escape", "back", "Back to where it was opened"),
    # the pictures of a page, over the publish form
    Action("shown.choose", "space", "choose", "Show the picture, or leave it out", "picture"),
    Action("shown.earlier", "K,shift+up", "earlier", "Show it earlier", "shown"),
    Action("shown.later", "J,shift+down", "later", "Show it later", "shown"),
    Action("shown.level", "P", "level", "Say the picture's level", "picture"),
    Action("shown.save", "escape,q", "save", "Back to the form"),
    # a publication as it goes
    Action("publishing.cancel", "x", "cancel", "Stop it at its next safe point; what was sent is kept", "running"),
    Action("publishing.resume", "r", "go on", "Go on where it stopped", "resumable"),
    Action("publishing.open", "o", "open", "Open the page", "page"),
    Action("publishing.copy", "y", "copy", "Copy the page's address", "page"),
    Action("publishing.edit", "e", "form", "Back to the form, to correct it", "resumable"),
    Action("publishing.back", "escape", "back", "Leave; it goes on"),
    # civitai
    Action("civitai.filter", "slash", "search", "Search Civitai"),
    Action("civitai.pull", "space", "pull", "Queue a download of the version into the library", "result"),
    Action("civitai.values", "f", "filters", "Choose types and base models"),
    Action("civitai.sort", "S", "sort", "Choose the order"),
    Action("civitai.period", "P", "period", "Choose from which time", footer=False),
    Action("civitai.creator", "at", "creator", "Show everything of its creator", "result"),
    Action("civitai.cards", "c", "cards", "Switch between list and cards"),
    Action("civitai.open", "o", "open", "Open the page in the browser", "result"),
    Action("civitai.queue", "Q", "queue", "Show the queue of downloads"),
    Action("civitai.pull_ref", "plus", "pull by address", "Pull by URL, AIR, id or hash", footer=False),
    Action("civitai.copy", "y", "copy address", "Copy the address of the model's page", "result", footer=False),
    Action("civitai.more", "n", "more", "Fetch the next page of results", "more", footer=False),
    Action("civitai.level", "L", "level", "Choose up to which level is shown", footer=False),
    Action("civitai.site", "b", "sandbox", "Switch between Civitai and the local sandbox", footer=False),
    Action("civitai.back", "escape", "back", "Back to the results", footer=False, palette=False),
    # a model's page over the results
    Action("page.pull", "space", "pull", "Queue a download of the version into the library", "version"),
    Action("page.next_picture", "right_square_bracket", "next picture", "Next picture", "picture"),
    Action("page.last_picture", "left_square_bracket", "last picture", "Picture before", "picture", footer=False),
    Action("page.look", "enter", "look", "Show the picture as large as the screen", "picture"),
    Action("page.test", "T", "use prompt", "Take the picture's prompt into Generate", "prompt"),
    Action("page.copy_words", "Y", "copy words", "Copy the trigger words", "words", footer=False),
    Action("page.creator", "at", "creator", "Show everything of its creator", "creator"),
    Action("page.follow", "f", "follow", "Follow its creator, or no longer", "creator", footer=False),
    Action("page.open", "o", "open", "Open the page in the browser"),
    Action("page.copy", "y", "copy address", "Copy the address of the model's page", footer=False),
    Action("page.level", "L", "level", "Choose up to which level is shown", footer=False),
    Action("page.queue", "Q", "queue", "Show the queue of downloads"),
    Action("page.back", "escape", "back", "Back to the results"),
    # the queue of downloads over Civitai
    Action("queue.hold", "space", "pause", "Pause the download, or let it go on", "waiting"),
    Action("queue.hold_all", "P", "pause all", "Pause all downloads, or let all go on", "any"),
    Action("queue.up", "K", "earlier", "Move it one place up", "waiting"),
    Action("queue.down", "J", "later", "Move it one place down", "waiting"),
    Action("queue.first", "t", "first", "Move it to the top", "waiting", footer=False),
    Action("queue.retry", "r", "retry", "Try it once more", "failed"),
    Action("queue.retry_all", "R", "retry all", "Try all that failed once more", "failures", footer=False),
    Action("queue.remove", "d", "remove", "Take it out of the queue; files that are whole stay", "item"),
    Action("queue.clear", "D", "clear", "Take out all that have ended", "any", footer=False),
    Action("queue.copy", "y", "copy", "Copy where its file is, or why it failed", "item", footer=False),
    Action("queue.back", "escape", "back", "Back to Civitai"),
    *TRAIN_ACTIONS,
    *GENERATE_ACTIONS,
    *SYNC_ACTIONS,
    # jobs
    Action("jobs.cancel", "x", "cancel", "Cancel the job at its next safe point", "running"),
    Action("jobs.resume", "r", "resume", "Go on with a failed or cancelled job", "resumable"),
    Action("jobs.log", "l", "log", "Show what the job printed", "job", footer=False),
    Action("jobs.show", "o", "result", "Go to what the job made", "done"),
)

ACTIONS: dict[str, Action] = {action.id: action for action in _ACTIONS}


def of_scope(scope: str) -> list[Action]:
    return [action for action in _ACTIONS if action.scope == scope]


def bindings(*scopes: str, only: Iterable[str] = ()) -> list[Binding]:
    """Bindings to ``act(id)`` for all actions of the scopes, or for the named ones of them."""
    names = set(only)
    return [
        Binding(action.keys, f"act('{action.id}')", action.description, show=False, id=action.id)
        for scope in scopes
        for action in of_scope(scope)
        if not names or action.name in names
    ]


_KEY_NAMES = {
    "question_mark": "?",
    "at": "@",
    "slash": "/",
    "colon": ":",
    "plus": "+",
    "right_square_bracket": "]",
    "left_square_bracket": "[",
    "minus": "-",
    "equals_sign": "=",
    "asterisk": "*",
    "exclamation_mark": "!",
    "greater_than_sign": ">",
    "less_than_sign": "<",
    "comma": ",",
    "down": "↓",
    "up": "↑",
    "left": "←",
    "right": "→",
    "escape": "esc",
    "pagedown": "pgdn",
    "pageup": "pgup",
}


def key_names(keys: str) -> list[str]:
    """``"j,down"`` as a person reads it: ``["j", "↓"]``."""
    return [_KEY_NAMES.get(key.strip(), key.strip()) for key in keys.split(",")]
