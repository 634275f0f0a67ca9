"""State that outlives a screen. Services know no widget."""
