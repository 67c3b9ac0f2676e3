"""Turn published `.pth` weights into a checkpoint folder of ours.

python -m train.export_checkpoint --weights mambaad_mvtec.pth --out checkpoints/mambaad_mvtec
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mambaad_demo.errors import DemoError
from mambaad_demo.hub.published import PublishedOptions, import_published


def main(arguments: Sequence[str] | None = None) -> int:
    """Export; returns the exit code."""
    options = _parse(arguments)
    published = PublishedOptions(
        name=options.name or options.out.name,
        decoder=options.decoder,
        encoder=options.encoder,
        input_side=options.input_side,
        path=options.path,
        categories=tuple(options.categories),
    )
    try:
        import_published(options.weights, options.out, published)
    except DemoError as error:
        print(f"export_checkpoint: {error}", file=sys.stderr)
        return 1
    print(f"checkpoint {published.name} written; it has no limits until it is calibrated with good images")
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    defaults = PublishedOptions(name="default")
    parser = argparse.ArgumentParser(
        prog="python -m train.export_checkpoint", description="Published weights → checkpoint folder."
    )
    parser.add_argument("--weights", type=Path, required=True, help="the .pth file")
    parser.add_argument("--out", type=Path, required=True, help="checkpoint folder to write")
    parser.add_argument("--name", help="name of the checkpoint; default: the folder's")
    parser.add_argument("--decoder", default=defaults.decoder, help="default: %(default)s")
    parser.add_argument("--encoder", default=defaults.encoder, help="timm model name; default: %(default)s")
    parser.add_argument("--input-side", type=int, default=defaults.input_side, help="default: %(default)s")
    parser.add_argument("--path", default=defaults.path, help="scan path; default: %(default)s")
    parser.add_argument("--categories", nargs="+", default=(), metavar="NAME", help="what it was trained on")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
