"""Which kinds of part there are, how each is built and which defects it can have."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from mambaad_demo.data.sample_parts import (
    bottle_cap,
    circuit_board,
    defects,
    gasket,
    gear,
    hex_nut,
    screw,
    surfaces,
    tablet,
)
from mambaad_demo.data.sample_parts.defects import Flaw, SurfaceDefect
from mambaad_demo.data.sample_parts.fields import Frame, linear
from mambaad_demo.data.sample_parts.scene import Scene


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of part."""

    build: Callable[[Frame, np.random.Generator, Flaw | None], Scene]
    surface_defects: Mapping[str, SurfaceDefect]
    """Defects laid over the finished scene."""
    shape_defects: tuple[str, ...] = ()
    """Defects that `build` itself makes."""


KINDS: dict[str, Kind] = {
    "bottle_cap": Kind(
        build=bottle_cap.build,
        surface_defects=bottle_cap.SURFACE_DEFECTS,
        shape_defects=bottle_cap.SHAPE_DEFECTS,
    ),
    "brushed_steel": Kind(
        build=surfaces.brushed_steel,
        surface_defects={
            "scratch": defects.scratch(color=linear(252, 252, 250), metal=1.0, length=0.36, width=0.0036),
            "dent": defects.dent(radius=0.055, depth=0.016),
            "rust": defects.stain(color=defects.RUST, radius=0.06, opacity=1.0, gloss=0.0, grain=0.8),
            "pore": defects.hole(color=defects.DARK, radius=0.012, count=4),
        },
    ),
    "canvas": Kind(
        build=surfaces.canvas,
        surface_defects={
            "hole": defects.hole(color=linear(28, 22, 18), radius=0.036, count=1, frayed=0.14),
            "stain": defects.stain(color=linear(96, 60, 40), radius=0.075, opacity=0.72, gloss=0.0),
            "fibre": defects.fibre(color=linear(36, 44, 92), length=0.42, width=0.0042, gloss=0.0),
        },
        shape_defects=("missing_thread",),
    ),
    "circuit_board": Kind(
        build=circuit_board.build,
        surface_defects=circuit_board.SURFACE_DEFECTS,
        shape_defects=circuit_board.SHAPE_DEFECTS,
    ),
    "gasket": Kind(
        build=gasket.build, surface_defects=gasket.SURFACE_DEFECTS, shape_defects=gasket.SHAPE_DEFECTS
    ),
    "gear": Kind(build=gear.build, surface_defects=gear.SURFACE_DEFECTS, shape_defects=gear.SHAPE_DEFECTS),
    "hex_nut": Kind(
        build=hex_nut.build, surface_defects=hex_nut.SURFACE_DEFECTS, shape_defects=hex_nut.SHAPE_DEFECTS
    ),
    "leather": Kind(
        build=surfaces.leather,
        surface_defects={
            "cut": defects.scratch(color=linear(206, 168, 132), metal=0.0, length=0.26, width=0.0055),
            "puncture": defects.hole(color=linear(20, 10, 6), radius=0.017, count=2),
            "glue": defects.stain(
                color=linear(206, 196, 172), radius=0.055, opacity=0.7, gloss=0.9, grain=0.3
            ),
            "discoloration": defects.stain(color=linear(62, 30, 24), radius=0.085, opacity=0.7, gloss=0.4),
        },
    ),
    "planks": Kind(
        build=surfaces.planks,
        surface_defects={
            "scratch": defects.scratch(color=linear(226, 196, 156), metal=0.0, length=0.36, width=0.0048),
            "crack": defects.crack(color=linear(26, 16, 10), length=0.46, width=0.0028, heading=0.0),
            "stain": defects.stain(color=linear(48, 34, 30), radius=0.075, opacity=0.75, gloss=0.3),
            "wormhole": defects.hole(color=linear(22, 14, 8), radius=0.015, count=4),
        },
    ),
    "screw": Kind(
        build=screw.build, surface_defects=screw.SURFACE_DEFECTS, shape_defects=screw.SHAPE_DEFECTS
    ),
    "tablet": Kind(
        build=tablet.build, surface_defects=tablet.SURFACE_DEFECTS, shape_defects=tablet.SHAPE_DEFECTS
    ),
    "terrazzo": Kind(
        build=surfaces.terrazzo,
        surface_defects={
            "crack": defects.crack(color=linear(44, 40, 38), length=0.55, width=0.0026),
            "oil_stain": defects.stain(color=linear(52, 38, 22), radius=0.08, opacity=0.82, gloss=0.5),
            "pit": defects.hole(color=linear(58, 52, 46), radius=0.026, count=3),
        },
    ),
}
