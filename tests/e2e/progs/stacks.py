# SPDX-License-Identifier: Apache-2.0
"""The kernel's stacks at what a program's calls come to: "function: caller+offset ...", each once.

usage: stacks.py HOOKS PROGRAM    HOOKS: emu/abi/hooks.inc
"""
import re
import subprocess
import sys

CHUNK = 25  # probes of one bpftrace
FUNCTION = re.compile(r'^FUNCTION\(\w+, "([^"]+)", \w+, (?!kUnknown)', re.M)
TRACEPOINT = re.compile(r"^TRACEPOINT\((sched|task|signal), (\w+), \w+, \d+, (?!kUnknown|kSwitch)", re.M)
STACK = re.compile(r"^@\[(\S+), ([^\]]*)\]: \d+$", re.M)

hooks, program = sys.argv[1:]
rows = open(hooks).read()
known = {line.split()[2] for line in open("/proc/kallsyms")}
functions = [name for name in FUNCTION.findall(rows) if name in known]
groups = [["kprobe:" + name for name in functions[n:n + CHUNK]] for n in range(0, len(functions), CHUNK)]
groups.append(["tracepoint:%s:%s" % names for names in TRACEPOINT.findall(rows)])
seen = set()
for probes in groups:
    text = '%s /comm == "stack_calls"/ { @[probe, kstack(20)] = count(); }' % ",".join(probes)
    shown = subprocess.run(["bpftrace", "-e", text, "-c", program], capture_output=True, text=True)
    sys.stderr.write(shown.stderr)
    seen.update(probe + ": " + " ".join(frames.split()) for probe, frames in STACK.findall(shown.stdout))
print(*sorted(seen), sep="\n")
