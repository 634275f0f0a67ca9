"""What a training takes of the machine, and what it does where that is too much."""
