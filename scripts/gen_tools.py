#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes docs/tools.md: which of Debian's tools work, from the results in tests/tools/results.tsv.

usage: gen_tools.py [--check]   (--check: exit 1 when docs/tools.md is not what the results say)
"""
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OUT = os.path.join(ROOT, "docs", "tools.md")
FAMILIES = {"libbpf": "libbpf-tools", "bt": "bpftrace", "bcc": "bpfcc-tools"}
STATES = {
    "works": "does what it does on 6.1",
    "same": "prints or refuses what it does on 6.1, which there, too, is not what it is for",
    "host": "wants to know what no process tree can",
    "absent": "what it watches was not there",
    "refused": "wants what is not modelled",
}


def read():
    results = []
    with open(os.path.join(ROOT, "tests", "tools", "results.tsv")) as f:
        for number, line in enumerate(f, 1):
            if line.startswith("#"):
                continue
            fields = line.rstrip("\n").split("\t")
            if len(fields) != 5 or fields[0] not in FAMILIES or fields[3] not in STATES:
                sys.exit("tests/tools/results.tsv:%d: family, tool, command, state, why" % number)
            results.append(fields)
    return results


def code(text):
    return "`` %s ``" % text.replace("|", "\\|") if "`" in text else "`%s`" % text.replace("|", "\\|")


def table(head, rows):
    lines = ["| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows]]
    return "\n".join(lines)


results = read()
counts = table(["", *STATES], [[package, *(str(sum(r[0] == family and r[3] == state for r in results)) for state in STATES)]
                               for family, package in FAMILIES.items()])
parts = []
for family, package in FAMILIES.items():
    of = [r for r in results if r[0] == family]
    parts.append("## %s\n\nWork: %s.\n\n%s" % (
        package, ", ".join(code(r[2]) for r in of if r[3] == "works"),
        table(["tool", "state", "why"], [[code(r[2]), r[3], r[4]] for r in of if r[3] != "works"])))
text = """# Tools

Written by `scripts/gen_tools.py` from `tests/tools/results.tsv`: every tool of Debian's libbpf-tools, bpftrace and bpfcc-tools
beside a workload that does what it watches (files, processes, signals, sockets, threads, memory, terminals, uprobes, USDT), as
uid 65534 without capabilities. A tool works when it shows the workload's doings as it does for root on Debian's 6.1.

%s

%s

%s
""" % ("\n".join("- **%s**: %s." % state for state in STATES.items()), counts, "\n\n".join(parts))

if "--check" in sys.argv:
    same = os.path.exists(OUT) and open(OUT).read() == text
    if not same:
        print("docs/tools.md differs from the results: run scripts/gen_tools.py")
    sys.exit(0 if same else 1)
with open(OUT, "w") as f:
    f.write(text)
