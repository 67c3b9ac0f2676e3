"""Checkpoints: named in the manifest, fetched when allowed, verified, loaded, saved."""
