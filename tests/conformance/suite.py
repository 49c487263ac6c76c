# SPDX-License-Identifier: Apache-2.0
"""What the runners of other projects' tests share: how one test is run, on a real 6.1 or here, and what is said of it."""
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
NAMESPACES = ["sh", "-c", 'ip link set lo up; exec "$@"', "sh"]
# No machine has one process alone, as a supervised tree may have.
COMPANY = ["sh", "-c", 'sleep 600 & "$@"; status=$?; kill $!; [ $status -le 128 ] || kill -$((status - 128)) $$; exit $status', "sh"]
REASON = re.compile(r"not modelled: .*|^\S*:FAIL:.*|^libbpf: .*(?:fail|not found|-\d+).*|^.*: FAIL.*", re.M)


def built(script, *programs):
    """The folder that a build script prints."""
    return Path(subprocess.run([HERE / script, *programs], check=True, stdout=subprocess.PIPE, text=True).stdout.strip())


def add_options(parser):
    parser.add_argument("tests", nargs="*")
    parser.add_argument("--record")
    parser.add_argument("--logs", help="folder for the output of each test")
    parser.add_argument("--jobs", type=int, default=2)


def run(command, folder, seconds):
    """(exit status, None after a timeout; output)"""
    try:
        done = subprocess.run(["timeout", "-k", "5", str(seconds), *command], cwd=folder, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    except OSError as error:
        sys.exit(f"{command[0]}: {error}")
    return None if done.returncode in (124, 137) else done.returncode, done.stdout


def reason(output):
    found = REASON.search(output)
    return found.group(0) if found else (output.strip().splitlines() or [""])[-1]


def read(path):
    """{test: what the line says of it}"""
    if not path.exists():
        return {}
    lines = (line.split(None, 1) for line in path.read_text().splitlines() if line and not line.startswith("#"))
    return {words[0]: words[1] if len(words) > 1 else "" for words in lines}


def without_rights(folder=None):
    """The command that its arguments run behind, as uid 65534 without capabilities; `folder` is given to that user."""
    if os.getuid() != 0:
        return []
    for path, _, files in os.walk(folder) if folder else ():
        for name in (path, *(os.path.join(path, file) for file in files)):
            os.chown(name, 65534, 65534, follow_symlinks=False)
    return ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps=-all",
            "--bounding-set=-all", "env", "HOME=/tmp"]


def bpfemu():
    return [os.environ.get("BPFEMU", str(ROOT / "build/bpfemu")), "--explain=never", "--"]


def prefix(folder, real, plain=False):
    """The command before a test's: here bpfemu, as nobody; with namespaces of its own unless `plain`."""
    if real:
        return ["unshare", "-nm", *NAMESPACES]
    namespaces = [] if plain else ["unshare", "-Urnm", *NAMESPACES]
    return [*without_rights(folder), *namespaces, *bpfemu(), *COMPANY]


@contextmanager
def copy(source):
    """A folder with what the tests read, where anyone may read it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        for path in source.iterdir():
            if path.is_file() and not path.name.endswith((".h", ".test.o")):
                shutil.copy2(path, folder)
        (folder / "bpftool").unlink(missing_ok=True)
        (folder / "bpftool").symlink_to("/usr/sbin/bpftool")
        shutil.copytree(source / "progs", folder / "progs")
        yield folder


def run_all(tests, run_one, options):
    """{test: (verdict, output)}; on a real kernel the verdicts are added to the record one by one."""
    if options.record and not platform.release().startswith("6.1."):
        sys.exit("--record wants a 6.1 kernel")
    if options.logs:
        Path(options.logs).mkdir(exist_ok=True)
    results = {}
    with ThreadPoolExecutor(1 if options.record else options.jobs) as pool:
        for test, (verdict, output) in zip(tests, pool.map(run_one, tests)):
            results[test] = verdict, output
            if options.logs:
                (Path(options.logs) / test).write_text(output)
            if options.record:
                with open(options.record, "a") as record:
                    record.write(f"{test}\t{verdict}\n")
    return results


def report(results, record, differs):
    """Prints a line a test; exit status 1 when one differs from the record that is not listed, or a listed one agrees."""
    wrong, agreeing, counts = 0, 0, {}
    for test, (verdict, output) in results.items():
        real = record.get(test, "PASS")  # those that take minutes in an emulated machine were not recorded
        agrees = verdict == real
        agreeing += agrees
        if agrees == (test in differs):
            wrong += 1
        text = "" if agrees else f"  [6.1: {real}] {differs.get(test) or reason(output)[:150]}"
        print(f"{verdict}\t{test}{text}", flush=True)
        word = verdict.split()[0]
        counts[word] = counts.get(word, 0) + 1
    print(", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items())),
          f"; {agreeing} of {len(results)} as on 6.1, {wrong} not as listed")
    return 1 if wrong else 0
