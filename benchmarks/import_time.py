"""What `import langchain_prodpatterns` costs beyond `import langchain_core`.

Each import runs in a fresh interpreter; the two are taken in turns, so that a busy
machine slows both. Run it with `make bench-import`.
"""

import argparse
import statistics
import subprocess
import sys
import time

BASE = "import langchain_core"
OURS = "import langchain_core, langchain_prodpatterns"
GOAL_MS = 50.0


def seconds(statement: str) -> float:
    """Time one fresh interpreter that runs a statement."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)  # noqa: S603 - our own statement
    return time.perf_counter() - started


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    pairs = [(seconds(BASE), seconds(OURS)) for _ in range(rounds)]
    base = statistics.median(pair[0] for pair in pairs) * 1000
    ours = statistics.median(pair[1] for pair in pairs) * 1000
    extra = statistics.median(pair[1] - pair[0] for pair in pairs) * 1000
    print(f"{'fresh interpreter, median of ' + str(rounds):<44}{'ms':>8}")
    print(f"{BASE:<44}{base:>8.1f}")
    print(f"{'import langchain_core, langchain_prodpatterns':<44}{ours:>8.1f}")
    label = f"difference (goal: under {GOAL_MS:.0f})"
    print(f"{label:<44}{extra:>8.1f}")


if __name__ == "__main__":
    main()
