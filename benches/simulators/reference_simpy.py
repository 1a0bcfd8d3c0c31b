"""The reference workload in SimPy: W workers of one slot, N tasks of exp(1 s), one task per message, 1 ms to dispatch
and 1 ms for the result; the next task leaves when the result arrives. Prints one JSON object.

    python3 reference_simpy.py WORKERS TASKS
"""

import json
import math
import resource
import sys
import time

import simpy

MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15
SEED = 42
MESSAGE_S = 0.001


def task_ns(index):
    """SplitMix64 at a place; the top 53 bits as a number in 0..1; cut to nanoseconds."""
    z = (SEED + (index + 1) * GOLDEN) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    u = ((z ^ (z >> 31)) >> 11) / (1 << 53)
    return int(-math.log(1.0 - u) * 1e9)


def run(workers, tasks):
    env = simpy.Environment()
    waiting = iter(range(tasks))

    def worker():
        # The three steps of one task: dispatched, run, reported.
        for index in waiting:
            yield env.timeout(MESSAGE_S)
            yield env.timeout(task_ns(index) / 1e9)
            yield env.timeout(MESSAGE_S)

    for _ in range(min(workers, tasks)):
        env.process(worker())
    env.run()
    return env.now


def main():
    workers, tasks = int(sys.argv[1]), int(sys.argv[2])
    began = time.perf_counter()
    makespan = run(workers, tasks)
    print(
        json.dumps(
            {
                "simulator": "SimPy " + simpy.__version__,
                "workers": workers,
                "tasks": tasks,
                "makespan_s": makespan,
                "wall_s": time.perf_counter() - began,
                "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            }
        )
    )


main()
