"""How our temporary folders are called, so that those of killed processes can be told from others'."""

PREFIX = "mambaad-"
