"""What a training is gone on with: variables, random generators, callbacks and the place in it."""
