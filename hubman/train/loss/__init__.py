"""What is asked at a step and how the answer's error counts."""
