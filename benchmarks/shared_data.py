"""Where the benchmarks find their data and models, wherever they are started."""

import os
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent

SHARED = Path(os.environ.get("PRODPATTERNS_SHARED", _ROOT.parent / "shared"))
"""`PRODPATTERNS_SHARED`, by default the folder `shared` beside the repository."""
