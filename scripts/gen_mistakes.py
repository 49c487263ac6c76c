#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes docs/mistakes.md: the programs of tests/mistakes, and what bpfemu says of each.

usage: gen_mistakes.py [--check] [BPFEMU]   (--check: exit 1 when the page is not what bpfemu says now)
"""
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
OUT = os.path.join(ROOT, "docs/mistakes.md")
arguments = [a for a in sys.argv[1:] if a != "--check"]
bpfemu = arguments[0] if arguments else os.path.join(ROOT, "build/bpfemu")

MISTAKES = [
    ("null_check", "Missing NULL check",
     "A lookup finds nothing until somebody has put the key there. The verifier follows both outcomes."),
    ("unbounded_index", "Unbounded index",
     "The verifier knows the value that an index can have on each path, and nothing of what the kernel promises."),
    ("stack_bounds", "Stack out of bounds",
     "The size that a helper is given counts, not the size of the variable."),
    ("unreleased", "Unreleased reference",
     "What was acquired must be given back on every path, those for errors included."),
    ("context_field", "Wrong context field",
     "Program types share a context structure and differ in the members that they may use."),
    ("endless_loop", "Unbounded loop",
     "A loop is followed round by round. When a round changes nothing that decides about the end, there is none."),
    ("uninitialised", "Uninitialised read",
     "A variable without a value is a register without one: the compiler gives a warning and leaves it at that."),
    ("helper", "Helper not allowed",
     "Each program type has its own list of helpers."),
    ("packet_range", "Packet range",
     "Only bytes before an address that was compared with `data_end` may be read."),
    ("too_complex", "Too complex",
     "Every round of a loop counts against the limit of a million instructions."),
]


def explanation(name):
    run = subprocess.run([bpfemu, "verify", os.path.join(ROOT, "tests/mistakes", name + ".bpf.o")], capture_output=True,
                         text=True, timeout=120)
    if run.returncode != 1 or not run.stderr.startswith("error[BV"):
        sys.exit("%s: exit status %d, not a refusal that is explained:\n%s%s" % (name, run.returncode, run.stdout,
                                                                              run.stderr))
    return run.stderr.partition("bpfemu: ")[0]  # errno and libbpf's line follow


def source(name):
    text = open(os.path.join(ROOT, "tests/mistakes", name + ".bpf.c")).read()
    return re.search(r"^SEC\(\"(?!\.maps|license).*?^}\n", text, re.M | re.S)[0]


def codes():
    text = open(os.path.join(ROOT, "emu/explain/codes.inc")).read()
    text = re.sub(r"//[^\n]*", "", text)
    for number, title in re.findall(r"^CODE\((\d+), \w+, \"([^\"]*)\"", text, re.M):
        yield "| BV%03d | %s |\n" % (int(number), title)


page = """# Common mistakes

Written by `scripts/gen_mistakes.py`. The programs are in `tests/mistakes`; Linux 6.1 refuses each of them as bpfemu does, and
accepts them as put right in `corrected.bpf.c` there.

When a tool's program is refused, bpfemu explains it on its own stderr. The tool sees what the kernel would give it: the
errno and the verifier's log, nothing else.

- `error[BV010]` is a code that stays the same from version to version. The list is at the end.
- Below it are lines of the source, in the order in which the program runs through them: where the value comes from (`-`)
  and where the program was refused (`^`). They come from the program's BTF (`clang -g`); a program without it is shown as
  instructions.
- `verifier:` is the kernel's message, `help:` a suggestion.

`bpfemu verify OBJECT` explains every program that is refused, at once. `bpfemu -- TOOL` waits until the process that
loaded the program ends, and explains when that failed or had no program loaded. It leaves out programs that the process
loaded in the end under the same name, and short ones without lines of source: by such programs loaders ask what a kernel can do.
`--explain=always` explains all, `--explain=never` none.
"""
for number, (name, title, text) in enumerate(MISTAKES, 1):
    page += "\n## %d. %s\n\n%s\n\n```c\n%s```\n\n```\n%s```\n" % (number, title, text, source(name), explanation(name))
page += "\n## Codes\n\n| code | meaning |\n|---|---|\n" + "".join(codes())

if "--check" in sys.argv:
    if open(OUT).read() != page:
        sys.exit("docs/mistakes.md is not what bpfemu says: run scripts/gen_mistakes.py")
else:
    open(OUT, "w").write(page)
