"""The version of this package, apart from everything else so that any layer can name it cheaply."""

__version__ = "0.1.0"
