"""Printable reports of batches and studies: what goes in, HTML, PDF."""
