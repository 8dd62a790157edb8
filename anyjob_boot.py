"""Console entry of an installed AnyJob: finds the application folder, puts it first on the path, runs the CLI."""

import sys
from pathlib import Path


def main() -> None:
    """Run the command line interface from the wheel's private folder, or from the checkout this file lies in."""
    here = Path(__file__).resolve().parent
    app = here / "anyjob.app"
    sys.path.insert(0, str(app if app.is_dir() else here))
    from orchestrator.cli import main as cli_main  # noqa: PLC0415  only importable once the path is set

    cli_main()


if __name__ == "__main__":
    main()
