"""What jobs do: each handler turns a job's request into calls of the verbs, and their result into plain data."""
