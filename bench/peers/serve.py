"""Answers measurements asked for as JSON lines, so that the rounds of several engines can take turns."""

import json
import os
import sys
import time


def serve(name, prepare):
    """`prepare(problem, layers)` returns a function that runs a chain of so many layers and waits for its end."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not stand among the answers
    print(json.dumps({"ready": name}), file=out, flush=True)
    known = run = None
    for line in sys.stdin:
        ask = json.loads(line)
        try:
            if line != known:
                known = run = None  # one problem's weights at a time
                run = prepare(ask["problem"], ask["layers"])
                run()
                known = line
            answer = {"ms": mean_ms(run, ask["turnMs"]) / ask["layers"]}
        except Exception as error:
            answer = {"error": str(error).strip().splitlines()[0] if str(error).strip() else repr(error)}
        print(json.dumps(answer), file=out, flush=True)


def mean_ms(run, turn_ms):
    runs = 0
    start = time.perf_counter()
    while True:
        run()
        runs += 1
        ms = (time.perf_counter() - start) * 1000
        if ms >= turn_ms:
            return ms / runs
