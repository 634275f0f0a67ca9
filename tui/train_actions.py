"""The actions of mode 3 and of what opens over it; part of :mod:`tui.actions`."""

from __future__ import annotations

from tui.action import Action

TRAIN_ACTIONS = (
    # train
    Action("train.start", "s", "start", "Start the training", "recipe"),
    Action("train.turn", "space", "leave out", "Leave the image out, take it back; turn a value over; choose", "line"),
    Action("train.look", "i", "choices", "From the three choices to images and recipe, or back"),
    Action("train.edit", "e", "edit", "Edit the line: a caption, a value of the recipe", "line"),
    Action("train.filter", "f", "with findings", "Only images with findings, or only values that are yours", "images"),
    Action("train.cards", "c", "sheet", "Switch between list and contact sheet", "images"),
    Action("train.captions", "C", "captions", "Write and edit all captions beside their pictures", "dataset"),
    Action("train.runs", "r", "trainings", "Show the trainings so far: loss, samples, epochs"),
    Action("train.dataset", "o", "images", "Choose the folder of training images"),
    Action("train.base", "b", "base", "Choose the base model", footer=False),
    Action("train.kind", "t", "teach", "Choose what to teach: style, character or concept", footer=False),
    Action("train.duplicates", "D", "look-alikes", "Only images that look alike, in groups", "images", footer=False),
    Action("train.keep", "K", "keep this", "Leave out all that look like this image", "twin", footer=False),
    Action(
        "train.clean", "H", "clean", "Leave out all that do harm: damaged, blurred, doubled", "images", footer=False
    ),
    Action(
        "train.draft", "d", "draft captions", "Draft captions for the images that have none", "dataset", footer=False
    ),
    Action(
        "train.forecast",
        "F",
        "forecast",
        "Say what it takes of memory and time, before it starts",
        "recipe",
        footer=False,
    ),
    Action("train.reset", "backspace", "reset", "Take the preset's value again", "value", footer=False),
    Action("train.find", "slash", "find", "Go to a value of the recipe by its name", "recipe", footer=False),
    Action("train.undo", "z", "undo", "Undo the last change", "undo", footer=False),
    Action("train.save", "w", "save recipe", "Save the recipe to a file", "recipe", footer=False),
    Action("train.load", "L", "load recipe", "Load a recipe from a file", footer=False),
    Action(
        "train.back",
        "escape",
        "back",
        "Back: from the recipe to the images, then to the choices",
        footer=False,
        palette=False,
    ),
    # the captions over train
    Action("captions.edit", "e", "write", "Write the caption (enter does too); page keys go on, esc saves", "picture"),
    Action("captions.replace", "R", "replace", "Search and replace in all captions", "captions"),
    Action("captions.add", "a", "add", "Add tags to all captions", "captions"),
    Action("captions.remove", "d", "remove", "Remove a tag from all captions", "tags"),
    Action("captions.undo", "z", "undo", "Undo the last edit of captions, also of another day", "undo"),
    Action("captions.tags", "f", "tags", "Go to the tags and find one; enter shows the pictures with it"),
    Action("captions.next", "n", "next to do", "Next picture without caption or trigger, or with too many tokens"),
    Action("captions.previous", "N", "previous to do", "Picture before with something wanting", footer=False),
    Action("captions.draft", "c", "draft", "Draft the captions that are missing; what is typed stays"),
    Action("captions.filter", "slash", "filter", "Only pictures whose captions have some words"),
    Action("captions.rename", "r", "rename tag", "Rename a tag in all captions", "tags", footer=False),
    Action(
        "captions.tidy", "s", "tidy", "Remove doubled tags, or sort them, in all captions", "captions", footer=False
    ),
    Action("captions.trigger", "t", "trigger", "Say the trigger word that captions should have", footer=False),
    Action("captions.back", "escape", "back", "Back to the list, to all pictures, to Train"),
    # the trainings over it
    Action("runs.mark", "space", "mark", "Mark the epoch, or the training, to compare it", "epoch"),
    Action("runs.compare", "c", "compare", "Compare what is marked: samples, validation, recipes", "marks"),
    Action("runs.pause", "P", "pause", "Let it wait where it is, with all that it has loaded, or go on", "running"),
    Action("runs.stop", "x", "stop", "Stop it after this step; a checkpoint is kept", "running"),
    Action("runs.resume", "r", "resume", "Go on with a stopped or failed training", "resumable"),
    Action("runs.test", "T", "test", "Test the epoch in Generate, with a strength sweep prepared", "trained"),
    Action("runs.publish", "p", "publish", "Publish the epoch", "trained"),
    Action("runs.again", "e", "recipe", "Take its recipe, to train again with changes", "recipe", footer=False),
    Action("runs.back", "escape", "back", "Back to the data set"),
    # a comparison over the trainings
    Action("compare.back", "escape", "back", "Back to the trainings"),
)
