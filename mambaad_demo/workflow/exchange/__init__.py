"""Labels out to the files that other tools read, and back in.

`exporting` and `importing` are the doors. Each format has a module of its own; `outgoing` and `incoming` hold
what the formats share, `packs` writes folders and zip files, `sources` reads them.
"""
