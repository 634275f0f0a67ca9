"""Captions: their files and edits, and first drafts by taggers, image-to-text models and CLIP."""
