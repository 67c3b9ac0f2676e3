"""Studies of the measuring system: does a verdict repeat, and do checkpoint and people agree on parts."""
