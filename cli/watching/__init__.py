"""What `ccsam watch` shows: run directories that may be written while they are read."""
