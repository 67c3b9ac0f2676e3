"""Write sample parts in MVTec layout: `python -m train.make_sample_parts --out DIR`."""

from pathlib import Path
from typing import Annotated

import typer

from mambaad_demo.data.sample_parts import CATEGORIES, write_sample_parts

app = typer.Typer(add_completion=False)


@app.command()
def main(
    out: Annotated[Path, typer.Option(help="Folder that receives one folder per category.")],
    train: Annotated[int, typer.Option(min=0, help="Good images for training per category.")] = 80,
    test_good: Annotated[int, typer.Option(min=0, help="Good images for testing per category.")] = 20,
    test_defect: Annotated[int, typer.Option(min=0, help="Images per defect of each category.")] = 5,
    seed: Annotated[int, typer.Option(help="Start of all randomness; another seed gives other parts.")] = 0,
    side: Annotated[int, typer.Option(min=32, help="Pixels of the square images.")] = 512,
    categories: Annotated[
        list[str] | None, typer.Option(help="Kind of part; repeat the option for several. All by default.")
    ] = None,
) -> None:
    """Draw sample parts and write them with their masks."""
    chosen = tuple(categories) if categories else CATEGORIES
    unknown = sorted(set(chosen) - set(CATEGORIES))
    if unknown:
        raise typer.BadParameter(f"Unknown: {', '.join(unknown)}. Known: {', '.join(CATEGORIES)}.")
    for category in chosen:
        write_sample_parts(
            out,
            train=train,
            test_good=test_good,
            test_defect=test_defect,
            seed=seed,
            categories=(category,),
            side=side,
        )
        typer.echo(f"{category}: written")


if __name__ == "__main__":
    app()
