"""What the generated models, people and prompts are named with."""

from __future__ import annotations

ADJECTIVES = (
    "Amber", "Ancient", "Brutalist", "Celestial", "Chrome", "Cozy", "Crystal", "Dreamy", "Dusty", "Ethereal", "Faded",
    "Frosted", "Gilded", "Glass", "Gothic", "Hazy", "Inked", "Iron", "Ivory", "Liquid", "Lunar", "Midnight", "Misty",
    "Neon", "Noir", "Opal", "Paper", "Pastel", "Quiet", "Rusty", "Silver", "Soft", "Stained", "Velvet", "Vivid", "Woven",
)  # fmt: skip
NOUNS = (
    "Alley", "Archive", "Atlas", "Bazaar", "Canyon", "Cathedral", "Coast", "Dragon", "Engine", "Falcon", "Forest",
    "Fox", "Garden", "Harbor", "Horizon", "Island", "Knight", "Lantern", "Library", "Lighthouse", "Machine", "Market",
    "Meadow", "Mountain", "Ocean", "Orchard", "Owl", "Portrait", "Robot", "Samurai", "Skyline", "Stag", "Temple",
    "Tower", "Train", "Village", "Whale", "Witch", "Wolf", "Workshop",
)  # fmt: skip
ENDINGS = ("", "", "", " Style", " Concept", " XL", " Mix", " 2.0", " [Experimental]", " (remastered)", " 風", " ✨")
CREATORS = (
    "aquarelle", "bitloom", "cinder", "doodlebug", "echolight", "fernweh", "gravure", "hatchling", "inkwell", "juniper",
    "kiln", "lumen", "moss", "nocturne", "otter", "pixelsmith", "quill", "rookery", "saffron", "tinkerer", "umbra",
    "vellum", "willow", "xylo", "yonder", "zephyr",
)  # fmt: skip
TAGS = (
    "anime", "architecture", "armor", "art style", "car", "cartoon", "cat", "city", "comic", "cyberpunk", "dark",
    "dragon", "fantasy", "film", "flower", "food", "furniture", "game", "illustration", "interior", "jewelry",
    "landscape", "lighting", "line art", "macro", "mecha", "minimalist", "nature", "night", "oil painting", "outfit",
    "photo", "pixel art", "portrait", "realistic", "retro", "robot", "sci-fi", "sketch", "space", "sticker", "texture",
    "toy", "urban", "vintage", "water", "watercolor", "winter", "wood", "woman",
)  # fmt: skip
SUBJECTS = (
    "a lighthouse on a cliff", "a red fox in the snow", "a city street at night", "an old library", "a knight in armor",
    "a bowl of ramen", "a steam train", "a woman with an umbrella", "a robot watering plants", "a harbor at dawn",
    "a cat on a windowsill", "a ship in a storm", "a field of flowers", "a mountain village", "an owl in flight",
)  # fmt: skip
LOOKS = (
    "soft light", "highly detailed", "film grain", "rim lighting", "golden hour", "wide angle", "bokeh", "flat colors",
    "thick outlines", "muted palette", "volumetric fog", "masterpiece", "best quality", "8k", "studio photo",
)  # fmt: skip
SAMPLERS = ("Euler a", "DPM++ 2M Karras", "DPM++ SDE", "DDIM", "UniPC", "Euler")
CHANGES = (
    "Retrained on a larger dataset.", "Less burnt at high strength.", "Better hands.", "Captions were cleaned.",
    "Smaller rank, the same look.", "Now also knows the night scenes.", "Fixes the yellow tint of the last version.",
)  # fmt: skip
