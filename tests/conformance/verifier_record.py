# SPDX-License-Identifier: Apache-2.0
"""What a kernel answered to test_verifier: read from its output (recorder.c), kept in the committed record."""
import hashlib
import lzma
import re
from dataclasses import dataclass, field

LEVELS = (1, 2, 4)

# A log longer than this is kept as a digest of each block of lines.
LONG_LOG = 64 << 10
BLOCK_LINES = 1000

# Not the verifier's: the time it took, and where a map lies in memory (a kernel address, or one of bpfemu's arena).
TIME = re.compile(r"^verification time \d+ usec", re.M)
ADDRESS = re.compile(r"(\(18\) r\d+ = )0x(?:ffff[89c-f][0-9a-f]{11}|551[0-9a-f]{9}) *")


def masked(log):
    log = TIME.sub("verification time N usec", log)
    return ADDRESS.sub(r"\1ADDRESS ", log)


def as_kept(log):
    """The log's lines, or for a long log what stands for them."""
    if len(log) <= LONG_LOG:
        return log
    lines = log.split("\n")
    blocks = ("\n".join(lines[i:i + BLOCK_LINES]) for i in range(0, len(lines), BLOCK_LINES))
    digests = [hashlib.sha256(block.encode()).hexdigest()[:16] for block in blocks]
    return f"{len(lines)} lines, each {BLOCK_LINES}:\n" + "\n".join(digests) + "\n"


@dataclass
class Case:
    number: int
    who: str  # u: without capabilities, p: with them
    name: str
    program: str = ""  # "TYPE INSNS"
    errno: int | None = None  # of the load; None: test_verifier did not get that far
    last_line: str = ""
    processed: int | None = None
    logs: dict = field(default_factory=dict)  # level: (errno, kept log)
    runs: list = field(default_factory=list)  # "ERRNO RETVAL"

    @property
    def key(self):
        return f"{self.number}/{self.who}"

    def add_log(self, level, errno, log):
        log = masked(log)
        self.logs[level] = (errno, as_kept(log))
        lines = log.rstrip("\n").split("\n")
        if level == 4:  # complete, since it is short
            said = [line for line in lines if not line.startswith(("processed ", "verification time ", "stack depth "))]
            self.last_line = said[-1] if said else ""
            counts = re.search(r"^processed (\d+)", log, re.M)
            self.processed = int(counts[1]) if counts else None


NAME = re.compile(r"#(\d+)/([up]) (.*)")


def parse_output(data):
    """The cases in the output of test_verifier with recorder.c, and its own summary line."""
    cases, summary, at = [], "", 0
    while at < len(data):
        end = data.find(b"\n", at)
        end = len(data) if end < 0 else end
        line = data[at:end].decode(errors="replace")
        at = end + 1
        if match := NAME.match(line):
            name = match[3]
            if name.endswith(" SKIP"):
                continue
            cases.append(Case(int(match[1]), match[2], name.strip()))
        elif line.startswith("@load "):
            kind, insns, errno = line.split()[1:]
            cases[-1].program, cases[-1].errno = f"{kind} {insns}", int(errno)
        elif line.startswith("@log "):
            level, errno, size = map(int, line.split()[1:])
            cases[-1].add_log(level, errno, data[at:at + size].decode(errors="replace"))
            at += size + 1
        elif line.startswith("@run "):
            cases[-1].runs.append(line[5:])
        elif line.startswith("Summary: "):
            summary = line[9:]
    return cases, summary


def settle(outputs):
    """Return values that differ from one run of the kernel to the next, as addresses do, become "ERRNO *"."""
    known = {}
    for case in (case for _, (cases, _) in outputs for case in cases):
        runs = known.setdefault(case.key, case.runs)
        for i, (one, other) in enumerate(zip(runs, case.runs)):
            if one != other:
                runs[i] = one.split()[0] + " *"
        case.runs = runs


def runs_agree(expected, got):
    def same(one, other):
        return one == other or (one.endswith(" *") and one.split()[0] == other.split()[0])
    return len(expected) == len(got) and all(map(same, expected, got))


def write_record(path, outputs):
    """`outputs`: [(unprivileged_bpf_disabled, (cases, summary))], the same mode more than once to see what is not always
    the same. A case that answers as in the first mode is only named."""
    settle(outputs)
    out, first, modes = [], {}, {}
    for mode, output in outputs:
        modes.setdefault(mode, output)
    for mode, (cases, summary) in modes.items():
        out.append(f"@mode {mode} {summary}\n")
        for case in cases:
            body = f"{case.name}\n{case.program}|{case.errno}|{case.processed}|{','.join(case.runs)}|{case.last_line}\n"
            for level, (errno, log) in case.logs.items():
                body += f"@log {level} {errno} {len(log.encode())}\n{log}\n"
            same = first.setdefault(case.key, body) is not body and first[case.key] == body
            out.append(f"@same {case.number} {case.who}\n" if same else f"@case {case.number} {case.who}\n{body}")
    with lzma.open(path, "wb", preset=9 | lzma.PRESET_EXTREME) as file:
        file.write("".join(out).encode())


def read_record(path):
    with lzma.open(path) as file:
        data = file.read()
    modes, known, at = {}, {}, 0

    def line():
        nonlocal at
        end = data.index(b"\n", at)
        text, at = data[at:end].decode(), end + 1
        return text

    while at < len(data):
        words = line().split(" ", 2)
        if words[0] == "@mode":
            modes[words[1]] = cases, _ = ([], words[2])
        elif words[0] == "@same":
            cases.append(known[words[1], words[2]])
        elif words[0] == "@case":
            case = Case(int(words[1]), words[2], line())
            case.program, errno, processed, runs, case.last_line = line().split("|", 4)
            case.errno = None if errno == "None" else int(errno)
            case.processed = None if processed == "None" else int(processed)
            case.runs = runs.split(",") if runs else []
            known.setdefault((words[1], words[2]), case)
            cases.append(case)
        elif words[0] == "@log":
            level, errno, size = int(words[1]), *map(int, words[2].split())
            case.logs[level] = (errno, data[at:at + size].decode())
            at += size + 1
    return modes
