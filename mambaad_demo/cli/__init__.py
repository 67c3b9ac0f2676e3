"""The command line, one file a family of commands; `mambaad_demo.__main__` puts them together."""
