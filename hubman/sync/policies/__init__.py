"""What a machine keeps: what it fetches, what it lets go of, and when."""
