"""What the policy of `RefineChain` is worth, beside what others do.

Scripted models measure the policy, not the model: nothing here says how good answers
are. A revision is drawn from a seed or played back, and what the critics see in it is,
too; a policy can only choose what to ask for, when to stop and which draft to return.

- Recorded refinements, played back (`refine_replay.py`). A revision of the best draft
  might have read differently from the recorded one, which was made from the attempt
  before. The pairwise judge is not replayed, since no comparison was recorded.
- Scripted critics (`refine_critics.py`): results worth less than the first draft. With
  a verifier, every run has a budget of a sort and a size that are drawn, too.
- Arithmetic (`refine_arithmetic.py`): right answers that turn wrong.
- The same model and calls for all (`refine_equal.py`): stories that use given words.
  With `--peers FOLDER`, dspy.Refine and dspy.BestOfN write, too, in an environment of
  their own, which pip makes in that folder.
- Overhead (`refine_speed.py`).

The data is looked for in `PRODPATTERNS_SHARED`, by default `../shared`.
"""

import argparse
import logging
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from cache_table import Figures
from refine_arithmetic import SYSTEMS, load_problems, solve
from refine_coverage import CALLS
from refine_critics import KINDS, PAIRWISE_KINDS, Outcomes, simulate
from refine_equal import Stories, compare, load_tasks
from refine_replay import MODELS, POLICIES, Readings, at_target, load, read_scores
from refine_speed import overhead_ms
from shared_data import SHARED

DATA = SHARED / "data/refine"
COLUMNS = (
    *POLICIES,
    *(name for name in SYSTEMS if name not in POLICIES),
    "dspy.Refine",
    "dspy.BestOfN",
)
OURS, LAST = "RefineChain", "take the last"
ALL = "all"


def add_replay(figures: Figures) -> None:
    """Add the recorded refinements, each model's and all together."""
    recorded = {
        name: load(DATA / f"trajectories_yelp_{name}.jsonl.gz") for name in MODELS
    }
    recorded[ALL] = [item for items in recorded.values() for item in items]
    for name, items in recorded.items():
        chosen = {
            policy: [choose(attempts) for attempts in items]
            for policy, choose in POLICIES.items()
        }
        head = f"{name}, {len(items)} recorded runs"
        reached = {policy: f"{at_target(c):.1%}" for policy, c in chosen.items()}
        goals = (">= 95%", "<= 4.5") if name == ALL else ("", "")
        figures.add(f"{head}: at target", reached, goals[0])
        calls = {
            policy: f"{statistics.fmean(one.calls for one in c):.1f}"
            for policy, c in chosen.items()
        }
        figures.add(f"{head}: calls a run", calls, goals[1])
    add_readings(figures, read_scores(recorded[ALL]))


def add_readings(figures: Figures, readings: Readings) -> None:
    """Add how the recorded score texts were read."""
    head = f"{readings.texts} recorded score texts"
    figures.add(f"{head}: read as their mark", {OURS: str(readings.numbers)})
    figures.add(f"{head}: explicitly unscored", {OURS: str(readings.unscored)})
    wrong = {OURS: str(readings.texts - readings.numbers - readings.unscored)}
    figures.add(f"{head}: anything else", wrong, "0")
    guessed = {OURS: str(readings.texts - readings.raw)}
    figures.add(f"{head}: guessed, as prose", guessed, "0")


def add_critics(figures: Figures, runs: int) -> None:
    """Add the scripted critics."""
    checked = {kind: simulate(kind, runs, verified=True) for kind in KINDS}
    for kind, outcomes in checked.items():
        cells = {OURS: str(outcomes.below), LAST: str(outcomes.last_below)}
        figures.add(f"{runs} runs, verifier, {kind} critic: below first", cells, "0")
    total = sum(checked.values(), Outcomes())
    figures.add(
        f"of these {total.runs} runs: over budget", {OURS: str(total.overshot)}, "0"
    )
    figures.add(f"of these {total.runs} runs: raised", {OURS: str(total.failed)}, "0")
    for kind in PAIRWISE_KINDS:
        outcomes = simulate(kind, runs, verified=False)
        cells = {
            OURS: f"{outcomes.below / runs:.1%}",
            LAST: f"{outcomes.last_below / runs:.1%}",
        }
        figure = f"{runs} runs, pairwise judge right in 75%, {kind}: below first"
        figures.add(figure, cells, "<= 1%")
    figures.remarks.append(
        "asking in both orders undoes errors by position, asking twice most of those "
        "by chance; who is always wrong on certain pairs is wrong each time"
    )


def add_arithmetic(figures: Figures) -> None:
    """Add the problems of GSM8K."""
    problems = load_problems(DATA / "gsm.jsonl.gz")
    solved = {name: solve(name, problems) for name in SYSTEMS}
    head = f"{len(problems)} problems of GSM8K"
    spoiled = {name: str(one.spoiled) for name, one in solved.items()}
    figures.add(f"{head}: right turned wrong", spoiled, "0")
    shares = {
        name: f"{one.first / one.problems:.0%} > {one.final / one.problems:.0%}"
        for name, one in solved.items()
    }
    figures.add(f"{head}: right first > at the end", shares)


def add_equal(figures: Figures, folder: Path | None) -> None:
    """Add the stories, at the same number of calls."""
    tasks = load_tasks(DATA / "commongen_hard.jsonl.gz")
    made: dict[str, Stories] = {}
    with figures.remarking():
        # One by one: what was written before a peer fails is kept.
        made.update(compare(tasks, folder))
    head = f"{len(tasks)} stories, {CALLS} calls at most"
    best = "the most" if len(made) > 1 else ""
    shares = {name: f"{one.share:.1%}" for name, one in made.items()}
    figures.add(f"{head}: words used", shares, best)
    below = {name: str(one.below) for name, one in made.items()}
    figures.add(f"{head}: below first", below, "0")
    calls = {name: f"{statistics.fmean(one.calls):.1f}" for name, one in made.items()}
    figures.add(f"{head}: calls each", calls, f"<= {CALLS}")
    tokens = {name: f"{one.tokens / len(tasks):.0f}" for name, one in made.items()}
    figures.add(f"{head}: tokens each", tokens)


def add_overhead(figures: Figures, repeats: int) -> None:
    """Add what a round costs beyond its calls."""
    rounds, measured = overhead_ms(repeats)
    figure = f"ms a round beyond its calls, over {rounds} rounds"
    figures.add(figure, {OURS: f"{measured:.2f}"}, "<= 1")


def report(options: argparse.Namespace) -> Figures:
    """Measure everything."""
    figures = Figures(COLUMNS)
    if DATA.is_dir():
        add_replay(figures)
        add_arithmetic(figures)
        add_equal(figures, options.peers)
    else:
        print(f"no data in {SHARED}: set PRODPATTERNS_SHARED", file=sys.stderr)
    add_critics(figures, options.runs)
    add_overhead(figures, options.repeats)
    figures.remarks.append("scripted models measure the policy, not the model")
    if options.peers is None:
        figures.remarks.append("dspy.Refine and dspy.BestOfN run with --peers FOLDER")
    return figures


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=1_000, help="runs a critic")
    parser.add_argument("--repeats", type=int, default=25, help="timed runs")
    parser.add_argument("--peers", type=Path, metavar="FOLDER")
    options = parser.parse_args(arguments)
    # Judges that fail on purpose would be reported thousands of times.
    logging.getLogger("langchain_prodpatterns").setLevel(logging.ERROR)
    print(report(options).render())


if __name__ == "__main__":
    main()
