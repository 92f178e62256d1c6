"""semantic-router, in an environment and a process of its own."""

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
from cache_peers import Peer, PeerError, made
from routing_data import Labels, Problem
from routing_methods import PRECISIONS, Method, Results, of

__all__ = ["PeerError", "add_peers"]

PEER = Peer("semantic-router", ("semantic-router>=0.1.11,<0.2", "numpy"), embeds=True)
FITTED_ON = 500
"""Queries its `fit` is given at most: it routes each of them in every iteration."""

_WORKER = Path(__file__).with_name("routing_peer_worker.py")


def add_peers(methods: dict[str, Method], folder: Path) -> set[str]:
    """Add semantic-router, and return the names of what is slow.

    Raises:
        PeerError: When its environment cannot be made.
    """
    python = made(PEER, folder)
    methods["semantic-router, default"] = _method(python, fit=False)
    methods["semantic-router, fit()"] = _method(python, fit=True)
    return {"semantic-router, default", "semantic-router, fit()"}


def _method(python: Path, *, fit: bool) -> Method:
    def run(problem: Problem, tuning: Labels, reported: Labels) -> Results:
        with subprocess.Popen(  # noqa: S603 - a script of ours
            [python, _WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process:
            routes = [(route.name, route.texts) for route in problem.routes]
            vectors = problem.embeddings.table
            _ask(process, {"routes": routes, "vectors": vectors})
            if fit:
                _ask(process, {"fit": tuning[:FITTED_ON]})
            asked = {"route": [query for query, _ in reported]}
            chosen = _ask(process, asked)["chosen"]
            process.kill()
        decided = np.array([name is not None for name in chosen])
        right = np.array(
            [name == truth for name, (_, truth) in zip(chosen, reported, strict=True)]
        )
        # It knows no precision: one result, whatever is asked for.
        return dict.fromkeys(PRECISIONS, of(decided, right))

    return run


def _ask(process: "subprocess.Popen[str]", request: Any) -> dict[str, Any]:
    requests, results = process.stdin, process.stdout
    assert requests is not None  # noqa: S101 - both are pipes
    assert results is not None  # noqa: S101 - as above
    try:
        print(json.dumps(request), file=requests, flush=True)
        result: dict[str, Any] = json.loads(results.readline())
    except (OSError, ValueError) as error:
        process.kill()
        msg = f"{PEER.name} failed"
        raise PeerError(msg) from error
    return result
