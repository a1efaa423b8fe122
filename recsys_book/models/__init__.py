"""Models, one a file. A reader never leaves a model's file to understand its `forward`."""
