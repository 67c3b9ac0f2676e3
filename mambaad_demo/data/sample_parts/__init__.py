"""Sample parts: photographs of industrial parts, good and defective, drawn by code with exact masks."""

from mambaad_demo.data.sample_parts.rendering import CATEGORIES, DEFECTS, Part, render_part
from mambaad_demo.data.sample_parts.writing import write_sample_parts

__all__ = ["CATEGORIES", "DEFECTS", "Part", "render_part", "write_sample_parts"]
