#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs what scripts/test has built and counts: unit test cases, source checks, end-to-end cases.

usage: run_tests.py ROOT [PATTERN]
"""
import json
import os
import re
import subprocess
import sys
import time

ROOT, PATTERN = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""
passed, failed, begun = 0, 0, time.monotonic()


def count(name, good, bad, output=""):
    global passed, failed, begun
    passed, failed, before, begun = passed + good, failed + bad, begun, time.monotonic()
    word, seconds = "FAIL" if bad else "ok", begun - before
    print("%-4s %-40s %d passed, %d failed %7.1f s" % (word, name, good, bad, seconds), flush=True)
    if bad:
        print(output[-4000:])


def unit_tests():
    """Every program that meson knows as a test; one of Catch's counts by test case, any other as one."""
    build = os.path.join(ROOT, "build-asan")
    tests = json.loads(subprocess.run(["meson", "introspect", build, "--tests"], capture_output=True, check=True).stdout)
    for test in tests:
        if not re.search(PATTERN, "unit/" + test["name"]):
            continue
        try:
            run = subprocess.run(test["cmd"], capture_output=True, text=True, errors="replace", timeout=900,
                                 env=dict(os.environ, **test["env"]), cwd=test["workdir"] or build)
        except subprocess.TimeoutExpired:
            count("unit/" + test["name"], 0, 1, "no end after 900 s")
            continue
        text = run.stdout + run.stderr
        whole = re.search(r"All tests passed \(\d+ assertions? in (\d+) test cases?\)", text)
        parts = re.search(r"test cases: *\d+ \|(?: *(\d+) passed \|)? *(\d+) failed", text)
        if run.returncode == 0 and whole:
            count("unit/" + test["name"], int(whole[1]), 0)
        elif parts:
            count("unit/" + test["name"], int(parts[1] or 0), int(parts[2]), text)
        else:
            count("unit/" + test["name"], int(run.returncode == 0), int(run.returncode != 0), text)


def scripts(folder, prefix):
    """Programs that exit 0 when all is well."""
    for name in sorted(os.listdir(os.path.join(ROOT, folder))):
        path = os.path.join(ROOT, folder, name)
        if not os.access(path, os.X_OK) or os.path.isdir(path) or not re.search(PATTERN, prefix + name):
            continue
        try:
            run = subprocess.run([path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                                 timeout=600, cwd=ROOT)
            good, text = run.returncode == 0, run.stdout
        except subprocess.TimeoutExpired:
            good, text = False, "no end after 600 s"
        count(prefix + name, int(good), int(not good), text)


unit_tests()
scripts("scripts/checks", "check/")
scripts("tests/e2e", "e2e/")
print("%d passed, %d failed" % (passed, failed))
sys.exit(1 if failed or not passed else 0)
