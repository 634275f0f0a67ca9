"""Publishing on the Hugging Face Hub. Its library is imported when something is sent, never before."""
