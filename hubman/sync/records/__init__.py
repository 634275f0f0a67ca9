"""What is written on a remote: batches, heads and snapshots, and when they are made and let go of."""
