#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs what scripts/test has built and counts: unit test cases, source checks, end-to-end cases. Two at a time, as long
as there are two CPUs.

usage: run_tests.py ROOT [PATTERN]
"""
import json
import os
import re
import subprocess
import sys
import threading
import time

ROOT, PATTERN = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""
BUILD = os.path.join(ROOT, "build-asan")
passed, failed, telling = 0, 0, threading.Lock()


def count(name, seconds, good, bad, output=""):
    global passed, failed
    with telling:
        passed, failed = passed + good, failed + bad
        word = "FAIL" if bad else "ok"
        print("%-4s %-40s %d passed, %d failed %7.1f s" % (word, name, good, bad, seconds), flush=True)
        if bad:
            print(output[-4000:], flush=True)


def unit_test(test):
    """One of Catch's programs counts by test case, any other as one."""
    name, begun = "unit/" + test["name"], time.monotonic()
    try:
        run = subprocess.run(test["cmd"], capture_output=True, text=True, errors="replace", timeout=900,
                             env=dict(os.environ, **test["env"]), cwd=test["workdir"] or BUILD)
    except subprocess.TimeoutExpired:
        return count(name, 900, 0, 1, "no end after 900 s")
    text, seconds = run.stdout + run.stderr, time.monotonic() - begun
    whole = re.search(r"All tests passed \(\d+ assertions? in (\d+) test cases?\)", text)
    parts = re.search(r"test cases: *\d+ \|(?: *(\d+) passed \|)? *(\d+) failed", text)
    if run.returncode == 0 and whole:
        count(name, seconds, int(whole[1]), 0)
    elif parts:
        count(name, seconds, int(parts[1] or 0), int(parts[2]), text)
    else:
        count(name, seconds, int(run.returncode == 0), int(run.returncode != 0), text)


def script(path, name):
    """A program that exits 0 when all is well."""
    begun = time.monotonic()
    try:
        run = subprocess.run([path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                             timeout=600, cwd=ROOT)
        good, text = run.returncode == 0, run.stdout
    except subprocess.TimeoutExpired:
        good, text = False, "no end after 600 s"
    count(name, time.monotonic() - begun, int(good), int(not good), text)


def lanes():
    """What is to be run: the programs that are traced, and beside them all else."""
    listed = subprocess.run(["meson", "introspect", BUILD, "--tests"], capture_output=True, check=True).stdout
    found = [("unit/" + test["name"], unit_test, (test,)) for test in json.loads(listed)]
    for folder, prefix in (("scripts/checks", "check/"), ("tests/e2e", "e2e/")):
        for name in sorted(os.listdir(os.path.join(ROOT, folder))):
            path = os.path.join(ROOT, folder, name)
            if os.access(path, os.X_OK) and not os.path.isdir(path):
                found.append((prefix + name, script, (path, prefix + name)))
    found = [line for line in found if re.search(PATTERN, line[0])]
    return [[line for line in found if ("(" in line[0]) == traced] for traced in (False, True)]


def follow(lane):
    for _, run, words in lane:
        run(*words)


beside = [threading.Thread(target=follow, args=(lane,)) for lane in lanes()]
for thread in beside:
    thread.start()
    if os.cpu_count() == 1:
        thread.join()
for thread in beside:
    thread.join()
print("%d passed, %d failed" % (passed, failed))
sys.exit(1 if failed or not passed else 0)
