#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs a tracee program bare and under a launcher; standard output and exit status must be the same.

usage: run.py [--demand] PROGRAM -- LAUNCHER...    --demand: what the launcher gives must be able to load and probe
"""
import os
import subprocess
import sys

demand = sys.argv[1] == "--demand"
program, _, *launcher = sys.argv[1 + demand:]


def run(words, **environment):
    try:
        done = subprocess.run(words, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=300,
                              env=dict(os.environ, **environment))
        return done.returncode, done.stdout.decode(errors="replace")
    except subprocess.TimeoutExpired as expired:
        return "timed out", (expired.stdout or b"").decode(errors="replace")


bare, supervised = run([program]), run([*launcher, program], **({"BPF_DEMANDED": "1"} if demand else {}))
if bare == supervised and "is false" not in bare[1]:
    sys.exit(0)
print(f"bare: {bare[0]}\n{bare[1]}\nunder {launcher[0]}: {supervised[0]}\n{supervised[1]}")
sys.exit(1)
