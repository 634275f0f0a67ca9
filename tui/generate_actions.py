"""The actions of mode 4 and of what opens over it; part of :mod:`tui.actions`."""

from __future__ import annotations

from tui.action import Action

GENERATE_ACTIONS = (
    # the prompt and the stack
    Action("generate.prompt", "slash", "prompt", "Write the prompt; <lora: completes from the library"),
    Action("generate.add", "a", "add LoRA", "Put a LoRA on the stack"),
    Action("generate.draw", "D", "draw", "Draw the prompt with every seed", "prompt"),
    Action("generate.sweep", "W", "sweep", "Sweep the strength of the LoRA under the cursor", "lora"),
    Action("generate.grid", "M", "grid", "Draw the grid of the axes", "axes"),
    Action("generate.axis", "x", "axis", "Add an axis to the grid: what varies, and its values"),
    Action("generate.fix", "F", "fix", "Apply the fix of the remark under the cursor, or the first one", "fix"),
    Action("generate.combine", "C", "combine", "Draw every pair of strengths of two LoRAs", "two", footer=False),
    Action("generate.remove", "d", "remove", "Take off the LoRA, or the axis, under the cursor", "line", footer=False),
    Action("generate.stronger", "plus,equals_sign", "stronger", "Strengthen the LoRA by 0.05", "lora", footer=False),
    Action("generate.weaker", "minus", "weaker", "Weaken the LoRA by 0.05", "lora", footer=False),
    Action("generate.strength", "s", "strength", "Type the LoRA's strength, or its tag", "lora", footer=False),
    Action("generate.off", "space", "on or off", "Switch the LoRA off, or on again", "lora", footer=False),
    Action(
        "generate.words", "w", "trigger word", "Add a trigger word of the LoRA to the prompt", "words", footer=False
    ),
    Action("generate.copy", "y", "copy prompt", "Copy the prompt with its tags", "prompt", footer=False),
    Action("generate.settings", "e", "settings", "Edit seeds, steps, sampler, size and the like", footer=False),
    Action("generate.remarks", "i", "remarks", "Go to the remarks; enter applies a fix", "remarks", footer=False),
    Action(
        "generate.undo", "z", "undo", "Undo the last change of prompt, stack, settings and axes", "undo", footer=False
    ),
    Action("generate.load", "L", "load", "Load a saved recipe, or the settings of a picture", footer=False),
    # the pictures
    Action("generate.pictures", "v", "pictures", "Go to the pictures, or back", "drawn"),
    Action("generate.preview", "V", "use as preview", "Make the cell a preview of the LoRA", "cell"),
    Action("generate.recommend", "R", "recommend", "Make the cell's strength the recommended one", "cell"),
    Action(
        "generate.save", "S", "save recipe", "Save the cell, or what is set up, as a recipe to load again", "savable"
    ),
    Action("generate.publish", "p", "publish", "Publish the LoRA with the pinned picture, or the one here", "cell"),
    Action("generate.pin", "m", "pin", "Pin the cell, to compare others with it", "cell", footer=False),
    Action("generate.flip", "f", "flip", "Flip between the pinned cell and this one, large", "pinned", footer=False),
    Action("generate.take", "t", "take settings", "Take the cell's prompt, stack and settings", "cell", footer=False),
    Action(
        "generate.export",
        "E",
        "export",
        "Export the grid as a sheet with labels, or the pictures",
        "drawn",
        footer=False,
    ),
    Action("generate.results", "o", "results", "Choose among what was drawn before", "drawn", footer=False),
    Action("generate.next_page", "right_square_bracket", "next page", "Next page of the grid", "pages", footer=False),
    Action("generate.last_page", "left_square_bracket", "page before", "Page before", "pages", footer=False),
    Action("generate.stop", "c", "stop", "Stop what is being drawn; finished cells are kept", "drawing", footer=False),
    Action("generate.back", "escape", "back", "Back to the prompt and stack", footer=False, palette=False),
)
