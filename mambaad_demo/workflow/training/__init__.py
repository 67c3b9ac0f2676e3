"""Fine-tuning as jobs: each in a process and a folder of its own, one at a time."""
