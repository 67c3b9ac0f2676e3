"""What the JSON files of a checkpoint folder may hold, as pydantic models that refuse everything else.

These are the border: the files may come from a stranger. The detector's own options are checked once more by
`DetectorConfig.from_dict`.
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
CheckpointName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
CategoryName = Annotated[str, Field(min_length=1, max_length=100)]
Score = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Percent = Annotated[float, Field(ge=0.0, le=100.0, allow_inf_nan=False)]
SourceOfNumbers = Annotated[str, Field(max_length=300)]
Resize = Literal["letterbox", "square"]

LearnedPhoto = Annotated[str, Field(pattern=r"^[0-9a-f]{144}$")]

MOST_LEARNED_PHOTOS = 10_000
"""That a checkpoint keeps the hashes of: some 1.5 MB."""
MOST_TILES = 16
"""Along the longer side of an image: about 200 passes for one photo."""


class Border(BaseModel):
    """Base of all border schemas: unknown keys are refused, instances do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class EncoderRecord(Border):
    """The frozen encoder the decoder was trained against; its name and source stand in the detector's
    options."""

    sha256: Sha256 | None = None
    """Of the encoder's tensors, names and values, so that another set of weights is noticed; None where they
    lie in `model.safetensors`."""
    mean: tuple[Finite, Finite, Finite]
    std: tuple[Finite, Finite, Finite]


class FileHashes(Border):
    """SHA-256 of the files that `config.json` vouches for."""

    model: Sha256
    calibration: Sha256
    golden: Sha256


class QuotedMetrics(Border):
    """Figures the authors of published weights report, in per cent; never measured here."""

    image_auroc: Percent
    image_ap: Percent
    image_f1_max: Percent
    pixel_auroc: Percent
    pixel_ap: Percent
    pixel_f1_max: Percent
    au_pro: Percent
    """Up to a false-positive rate of 30 %."""
    source: Annotated[SourceOfNumbers, Field(min_length=1)]
    """The table they stand in, and over what they were measured."""


class CheckpointConfig(Border):
    """`config.json`: everything needed to build the detector and prepare its input."""

    schema_version: Literal[1] = 1
    name: CheckpointName
    detector: dict[str, JsonValue]
    """Options of `DetectorConfig`."""
    resize: Resize = "letterbox"
    """How an image becomes the square model input."""
    tiles: Annotated[int, Field(ge=1, le=MOST_TILES)] = 1
    """Overlapping model inputs along an image's longer side, as trained and calibrated; 1 sees it whole."""
    categories: tuple[CategoryName, ...] = ()
    """Categories it was trained on; may be empty for imported weights."""
    training: dict[str, JsonValue] = Field(default_factory=dict)
    """Provenance: data, steps, seed, versions; shown to people. Of a fine-tuned version, `learned` names the
    categories it and its bases learned from photos."""
    license: str = "apache-2.0"
    quoted: QuotedMetrics | None = None
    """Of imported weights, for the model card."""
    source_of_numbers: SourceOfNumbers = ""
    """Where figures quoted of imported weights come from."""
    encoder: EncoderRecord | None = None
    """Filled in on saving."""
    sha256: FileHashes | None = None
    """Filled in on saving."""
    learned_photos: Annotated[tuple[LearnedPhoto, ...], Field(max_length=MOST_LEARNED_PHOTOS)] = ()
    """Perceptual hashes of the photos that it and its bases were fine-tuned on, the oldest first: a further
    version holds out others. See `pipeline.learned`."""


class Rates(Border):
    """False-reject rates the limits aim at, as shares of good parts."""

    check: Annotated[float, Field(gt=0.0, lt=1.0)]
    reject: Annotated[float, Field(gt=0.0, lt=1.0)]


class CategoryCalibration(Border):
    """What held-out good images of one category look like to the detector."""

    scores: Annotated[tuple[Score, ...], Field(min_length=1)]
    """Image scores in ascending order."""
    pixel_quantiles: dict[Literal["0.5", "0.9", "0.99", "0.999"], Finite]
    """Quantiles of all map values of these images."""
    check: Score
    """Image score from which a person should look."""
    reject: Score
    """Image score from which a part is rejected; level 1 of the colour scale."""
    images: Annotated[int, Field(ge=1)]
    """How many good images the limits rest on."""
    rates: Rates
    embedding: tuple[Finite, ...]
    """(E,) centroid of the encoder embeddings."""
    embedding_distances: tuple[Score, ...]
    """Standardized distances of the images to that centroid, in ascending order."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        for name, values in (("scores", self.scores), ("embedding_distances", self.embedding_distances)):
            if len(values) != self.images or list(values) != sorted(values):
                raise ValueError(f"{name} must hold {self.images} ascending numbers")
        if self.check > self.reject:
            raise ValueError(f"the check limit {self.check} lies above the reject limit {self.reject}")
        if "0.5" not in self.pixel_quantiles:
            raise ValueError("pixel_quantiles lacks 0.5, the zero of the colour scale")
        return self


class CalibrationFile(Border):
    """`calibration.json`; without categories the checkpoint predicts, but judges nothing."""

    schema_version: Literal[1] = 1
    embedding_scale: tuple[Annotated[float, Field(gt=0.0, allow_inf_nan=False)], ...] = ()
    """(E,) spread of the embedding within a category, pooled over categories: the unit of its distances."""
    categories: dict[CategoryName, CategoryCalibration] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _embeddings_have_one_length(self) -> Self:
        for name, category in self.categories.items():
            if len(category.embedding) != len(self.embedding_scale):
                raise ValueError(
                    f"the embedding of {name} has {len(category.embedding)} numbers, "
                    f"the scale {len(self.embedding_scale)}"
                )
        return self
