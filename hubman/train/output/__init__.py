"""What a training leaves: the file, its header, and its place in the library."""
