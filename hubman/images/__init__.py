"""Pictures on disk, whoever drew them: what they say they were drawn with, and counting it."""
