"""A folder of training images: what is in it, how it is cut and shown, what is left out."""
