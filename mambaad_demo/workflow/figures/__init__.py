"""Figures of what has been labeled: metrics, error rates, drift, agreement; each with what it rests on."""
