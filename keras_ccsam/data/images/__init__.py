"""Images in files: decoded when they are asked for, and never all at once."""
