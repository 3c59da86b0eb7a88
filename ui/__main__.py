"""`python -m ui [--host HOST] [--port PORT]`: the dashboard, with this folder's Streamlit settings.

CLAIMSIGHT_API_URL names the API that it shows. It has no key of its own: whoever opens it types theirs.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from streamlit.web.cli import main as streamlit_main

MAIN = Path(__file__).with_name("main.py")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m ui", description="The Claimsight dashboard.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8501, help="port to listen on (default: %(default)s)")
    arguments = parser.parse_args()
    # Streamlit puts main.py's own folder first on the path; the pages import the package `ui` beside it.
    root = str(MAIN.parent.parent)
    sys.path.insert(0, root)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    options = ["--server.address", arguments.host, "--server.port", str(arguments.port)]
    sys.argv = ["streamlit", "run", str(MAIN), *options]
    sys.exit(streamlit_main())


if __name__ == "__main__":
    main()
