"""The scene: what lies before the camera as maps of height, color and gloss; light is added elsewhere."""

from dataclasses import dataclass

import numpy as np

from mambaad_demo.data.sample_parts.fields import Field, Frame


@dataclass(slots=True, kw_only=True)
class Scene:
    """Maps of one arrangement of part and background; defects change them in place.

    Heights are in image widths above the table, reflectances linear 0–1.
    """

    frame: Frame
    """Upright coordinates of the picture."""
    part: Frame
    """Coordinates fixed to the part, in the part's own pose."""
    height: Field
    albedo: Field
    """(S, S, 3) diffuse reflectance; for metal the tint of the mirror image."""
    metal: Field
    """0 for paint, plastic, cloth; 1 for bare metal, which only mirrors its surroundings."""
    gloss: Field
    """Strength of the highlight on what is not metal, 0–1."""
    rough: Field
    """Width of highlights and mirror images: 0.1 polished, 0.6 matt."""
    body: Field
    """Coverage 0–1 of the part, where defects may lie; it also casts the shadow."""
    caster: Field | None = None
    """Coverage 0–1 of what casts a shadow, where that is not the whole body."""
    brushed: Field | None = None
    """Direction of the grooves of turned or brushed metal, radians; NaN where the surface has none."""
    lift: float = 0.03
    """How far the part's shadow falls, in image widths."""
    shadow: float = 0.6
    """Strength of that shadow, 0–1."""

    def copy(self) -> "Scene":
        """A scene whose maps can be changed without changing these."""
        return Scene(
            frame=self.frame,
            part=self.part,
            height=self.height.copy(),
            albedo=self.albedo.copy(),
            metal=self.metal.copy(),
            gloss=self.gloss.copy(),
            rough=self.rough.copy(),
            body=self.body.copy(),
            caster=self.caster,
            brushed=self.brushed,
            lift=self.lift,
            shadow=self.shadow,
        )

    def cover(
        self,
        coverage: Field,
        color: Field,
        *,
        metal: float | Field = 0.0,
        gloss: float | Field = 0.1,
        rough: float | Field = 0.4,
    ) -> None:
        """Lay a material over the scene where `coverage` (0–1) says; heights stay as they are."""
        self.albedo += coverage[..., None] * (color - self.albedo)
        self.metal += coverage * (metal - self.metal)
        self.gloss += coverage * (gloss - self.gloss)
        self.rough += coverage * (rough - self.rough)


def empty_scene(frame: Frame, part: Frame, color: Field, *, gloss: float = 0.05, rough: float = 0.5) -> Scene:
    """A flat table of one color without any part."""
    shape = (frame.side, frame.side)
    albedo = np.empty((*shape, 3), np.float32)
    albedo[:] = color
    return Scene(
        frame=frame,
        part=part,
        height=np.zeros(shape, np.float32),
        albedo=albedo,
        metal=np.zeros(shape, np.float32),
        gloss=np.full(shape, gloss, np.float32),
        rough=np.full(shape, rough, np.float32),
        body=np.zeros(shape, np.float32),
    )
