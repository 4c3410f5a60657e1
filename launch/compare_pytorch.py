#!/usr/bin/env python3
"""Runs Lockstep and PyTorch in turn on the same sizes and prints the ratios. Started by launch/compare-pytorch.

Machines drift: a figure counts only against a twin of the same minutes. So each row is measured in pairs, Lockstep then
PyTorch, and the ratio is the median of the pairs' ratios.
"""
import argparse
import json
import os
import re
import statistics
import subprocess
import sys

SIZES = {  # as in `lockstep benchmark --size`
    "S": dict(layers=2, hidden=200, embedding=200, vocabulary=10000, streams=20, window=20),
    "M": dict(layers=2, hidden=650, embedding=650, vocabulary=10000, streams=20, window=35),
    "L": dict(layers=2, hidden=1500, embedding=1500, vocabulary=10000, streams=20, window=35),
    "C": dict(layers=3, hidden=512, embedding=512, vocabulary=128, streams=64, window=64),
    "W": dict(layers=3, hidden=1150, embedding=400, vocabulary=33278, streams=40, window=70),
}
# name: (Lockstep's precision, Lockstep's workers, options of pytorch_peer.py, whether to preload allocator and OpenMP)
ROWS = {
    "f32-default": ("f32", 1, [], False),
    "f32-tuned": ("f32", 1, ["--matmul", "medium"], True),
    "f32-tuned-lce": ("f32", 1, ["--matmul", "medium", "--fused-loss"], True),
    "bf16-autocast": ("bf16", 1, ["--matmul", "medium", "--precision", "autocast"], True),
    "bf16-head": ("bf16", 1, ["--matmul", "medium", "--precision", "head"], True),
    "bf16-cell": ("bf16", 1, ["--matmul", "medium", "--model", "cell"], True),
    "ddp-f32": ("f32", 2, ["--matmul", "medium", "--workers", "ddp"], True),
    "mpi4py-f32": ("f32", 2, ["--matmul", "medium", "--workers", "mpi4py"], True),
}

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--sizes", default="S,M,L,C,W", help="comma-separated")
parser.add_argument("--rows", default=".", help="regular expression over row names: " + ", ".join(ROWS))
parser.add_argument("--pairs", type=int, default=3)
parser.add_argument("--seconds", type=float, default=20, help="time budget of one run's timed steps")
parser.add_argument("--output", help="write every figure to this JSON file")
parser.add_argument("--lockstep", required=True, help=argparse.SUPPRESS)
parser.add_argument("--python", required=True, help=argparse.SUPPRESS)
parser.add_argument("--preload", default="", help=argparse.SUPPRESS)
arguments = parser.parse_args()
PEER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "pytorch_peer.py")


def run(command, preload=False):
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("OPENBLAS_", "OMP_", "MKL_"))}
    if preload and arguments.preload:
        environment["LD_PRELOAD"] = arguments.preload
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        print(f"failed ({done.returncode}): {' '.join(command)}\n{done.stderr[-2000:]}", file=sys.stderr)
        return None
    return json.loads(done.stdout[done.stdout.index("{"):])


def lockstep(size, precision, workers, milliseconds):
    steps = max(3, min(100, int(1e3 * arguments.seconds / milliseconds))) if milliseconds else 3
    pin = ["taskset", "-c", "0"] if workers == 1 else []
    return run(pin + [arguments.lockstep, "benchmark", "--size", size, "--precision", precision, "--workers",
                      str(workers), "--steps", str(steps), "--warmup", "2", "--json"])


def peer(size, options, preload):
    shape = dict(SIZES[size])
    two = "--workers" in options
    if two:
        shape["streams"] //= 2
    command = [arguments.python, PEER, "--seconds", str(arguments.seconds)]
    if "ddp" in options:
        command[1:2] = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", PEER]
    elif "mpi4py" in options:
        command = ["mpirun", "-n", "2", "--bind-to", "none"] + command
    else:
        command = ["taskset", "-c", "0"] + command
    for name, value in shape.items():
        command += [f"--{name}", str(value)]
    return run(command + options, preload)


def spread(values):
    return f"{statistics.median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


results = []
print("| size | row | Lockstep tokens/s | of ceiling | PyTorch tokens/s | ratio (min–max) | memory ratio |")
print("| --- | --- | ---: | ---: | ---: | --- | ---: |", flush=True)
for size in arguments.sizes.split(","):
    if size not in SIZES:
        sys.exit(f"no size '{size}'; there are {', '.join(SIZES)}")
    for name, (precision, workers, options, preload) in ROWS.items():
        if not re.search(arguments.rows, name):
            continue
        pairs, milliseconds = [], None
        for _ in range(arguments.pairs):
            ours = lockstep(size, precision, workers, milliseconds)
            theirs = peer(size, options, preload)
            if ours is None or theirs is None:
                break
            milliseconds = ours["milliseconds_per_step"]
            pairs.append((ours, theirs))
        if not pairs:
            print(f"| {size} | {name} | | | | failed, see above | |", flush=True)
            continue
        results.append(dict(size=size, row=name, pairs=pairs))
        ratios = [a["tokens_per_second"] / b["tokens_per_second"] for a, b in pairs]
        median = lambda key, side: statistics.median(p[side][key] for p in pairs)  # noqa: E731
        memory = median("peak_memory_bytes", 0) / median("peak_memory_bytes", 1) / (1 if workers == 1 else 2)
        print(f"| {size} | {name} | {median('tokens_per_second', 0):,.0f} | {100 * median('ceiling_share', 0):.0f} % | "
              f"{median('tokens_per_second', 1):,.0f} | {spread(ratios)} | {memory:.2f} |", flush=True)


def lead(size, names):
    """How far Lockstep leads the fastest of the named rows: the least of their medians."""
    ratios = [statistics.median(a["tokens_per_second"] / b["tokens_per_second"] for a, b in result["pairs"])
              for result in results if result["size"] == size and result["row"] in names]
    return f"{min(ratios):.2f}" if ratios else ""


def share(size, precision):
    """Of the ceiling, by one worker."""
    shares = [a["ceiling_share"] for result in results if result["size"] == size for a, _ in result["pairs"]
              if a["workers"] == 1 and a["precision"] == precision]
    return f"{100 * statistics.median(shares):.0f} %" if shares else ""


SUMMARY = {
    "f32, of the ceiling": lambda size: share(size, "f32"),
    "bf16, of the ceiling": lambda size: share(size, "bf16"),
    "f32 ÷ PyTorch as it comes": lambda size: lead(size, ["f32-default"]),
    "f32 ÷ PyTorch tuned, best line": lambda size: lead(size, ["f32-tuned", "f32-tuned-lce"]),
    "f32, 2 workers ÷ 2 processes, best line": lambda size: lead(size, ["ddp-f32", "mpi4py-f32"]),
    "bf16 ÷ PyTorch in bf16, best line": lambda size: lead(size, ["bf16-autocast", "bf16-head", "bf16-cell"]),
    "bf16 ÷ nn.LSTM in bf16": lambda size: lead(size, ["bf16-autocast"]),
}
sizes = [size for size in SIZES if any(result["size"] == size for result in results)]
print(f"\n| | {' | '.join(sizes)} |\n| --- |{' ---: |' * len(sizes)}")
for title, cell in SUMMARY.items():
    print(f"| {title} | {' | '.join(cell(size) for size in sizes)} |")
if arguments.output:
    with open(arguments.output, "w") as file:
        json.dump(results, file, indent=1)
