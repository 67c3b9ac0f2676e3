"""Composition root: settings → catalog → page. Run it, or let a Hugging Face Space run it."""

import os

from mambaad_demo.pipeline.catalog import Catalog
from mambaad_demo.settings import Settings
from mambaad_demo.ui.launch import launch_options
from mambaad_demo.ui.layout import build_app


def main() -> None:
    """Serve the page until interrupted."""
    settings = Settings.from_env(os.environ)
    catalog = Catalog(settings.checkpoints, device=settings.device, kernel=settings.kernel)
    app = build_app(catalog, retention_minutes=settings.retention_minutes)
    app.launch(
        **launch_options(
            host=settings.host,
            port=settings.port,
            max_upload_mb=settings.max_upload_mb,
            on_space=settings.on_space,
        )
    )


if __name__ == "__main__":
    main()
