"""Command lines for training and evaluation: parse arguments, call the package, print, save."""
