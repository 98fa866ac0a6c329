"""Breaks the kernels in small ways, one at a time, and says which of them no test notices.

    python tests/mutation/mutate.py WORK [--family NAME] [--seconds N]

builds a copy of kpool in the folder WORK with every mutation of `mutations.txt` in it, each behind a number that the
environment variable KPOOL_MUTANT names, and runs the tests once for each, in forks of a process that has imported what
takes its time. Results stay in WORK, so the run can be stopped, or limited to some seconds, and goes on where it was.
What was noticed is not tried again, even with other sources or tests: begin with an empty WORK for a score of those.
Needs a C compiler, and Python with what the tests need, Cython and setuptools.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
SWITCH = '''
cdef extern from *:
    """
    #include <pthread.h>
    #include <stdlib.h>
    static int kp_mutant = -1;
    static void kp_read_mutant(void) {
        if (getenv("KPOOL_MUTANT")) kp_mutant = atoi(getenv("KPOOL_MUTANT"));
    }
    __attribute__((constructor)) static void kp_watch_mutant(void) {
        kp_read_mutant();
        pthread_atfork(NULL, NULL, kp_read_mutant);
    }
    """
    int mutant "kp_mutant"
'''
# The files that name what the mutated ones cimport.
HEADS = [
    *["elements.pxd", "table.pxd", "geometry.pxd", "geometry.pyx", "forward.pyx", "backward.pyx", "driver.pyx"],
    "threads.pyx",
]


# Seconds for one test and for all of them, after which a mutation counts as noticed.
LONGEST_TEST = 60
LONGEST = 900
LATE = ["it did not end", f"exit code {-signal.SIGALRM}"]
# The tests that reach the kernels; of each family, those most likely to notice come first.
TESTS = [
    *["max_pool", "max_pool_gradients", "max_unpool", "native_ops", "average_pool", "average_sums", "properties"],
    *["one_nan", "indices", "adaptive_pool", "tall_windows", "global_pool", "rare_paths", "geometry", "levels"],
    *["threads", "detours", "few_channels", "memory_edges", "advisories_indices"],
    *["advisories_shapes"],
]
FIRST = {
    "max_pool": ["max_pool", "one_nan", "few_channels", "tall_windows", "indices"],
    "place": ["detours", "few_channels", "max_unpool", "native_ops", "max_pool_gradients"],
    "collect": ["detours", "max_unpool", "native_ops"],
    "average_pool": ["few_channels", "average_sums", "average_pool", "tall_windows"],
    "average_pool_backward": ["few_channels", "average_pool", "average_sums"],
    "move": ["native_ops", "max_unpool", "detours", "advisories_indices"],
    "shared": ["few_channels", "geometry", "native_ops", "max_pool", "tall_windows"],
}


class Mutation(NamedTuple):
    family: str
    file: str
    before: str  # the expression, and what stands in front of it and behind it
    expression: str
    behind: str
    after: str

    def __str__(self) -> str:
        return f"{self.file}: {self.before}«{self.expression}»{self.behind} => {self.after}".replace("\n", "\\n")


class Watch:
    """A plugin of pytest that ends the process with a signal where one test takes too long, whatever it is doing."""

    def pytest_runtest_logstart(self) -> None:
        signal.alarm(LONGEST_TEST)


def read_mutations() -> list[Mutation]:
    mutations = []
    family = file = ""
    for line in Path(__file__).with_name("mutations.txt").read_text().splitlines():
        if line.startswith("== "):
            family = line.removeprefix("== ")
        elif line.startswith("    "):
            context, after = line.strip().replace("\\n", "\n").split(" => ")
            mutations.append(Mutation(family, file, *re.split("[«»]", context), after))
        elif line and not line.startswith("#"):
            file = line
    return mutations


def find(text: str, mutation: Mutation) -> tuple[int, int]:
    """Where the expression stands that is to be replaced. There must be one such place."""
    whole = mutation.before + mutation.expression + mutation.behind
    if text.count(whole) != 1:
        raise SystemExit(f"{mutation.file} holds {text.count(whole)} times, not once:\n{whole}")
    begin = text.index(whole) + len(mutation.before)
    return begin, begin + len(mutation.expression)


def places_of(texts: dict[str, str], mutations: list[Mutation]) -> dict[str, list[tuple[int, int, list[int]]]]:
    """Where which mutations stand in each file, from the last place on. Two may share a place, but not overlap."""
    found: dict[str, dict[tuple[int, int], list[int]]] = defaultdict(lambda: defaultdict(list))
    for number, mutation in enumerate(mutations):
        found[mutation.file][find(texts[mutation.file], mutation)].append(number)
    places = {
        file: [(*place, numbers) for place, numbers in sorted(of.items(), reverse=True)] for file, of in found.items()
    }
    for file, ranges in places.items():
        for (begin, _, _), (_, end, _) in pairwise(ranges):
            if end > begin:
                raise SystemExit(f"{file}: two mutations overlap at:\n{texts[file][begin:end]}")
    return places


def mutate(kernels: Path, mutations: list[Mutation]) -> None:
    """Write all mutations into the sources, those of one place behind each other."""
    texts = {m.file: (kernels / m.file).read_text() for m in mutations}
    for file, places in places_of(texts, mutations).items():
        text = texts[file]
        for begin, end, numbers in places:
            choices = "".join(f"({mutations[n].after}) if mutant == {n} else " for n in numbers)
            text = f"{text[:begin]}({choices}({text[begin:end]})){text[end:]}"
        (kernels / file).write_text(text)
    (kernels / "mutant.pxd").write_text(SWITCH)
    for file in HEADS:
        text = (kernels / file).read_text()
        line = "from kpool.kernels.mutant cimport mutant\n"
        (kernels / file).write_text(re.sub(r"^from libc\.stdint", line + "from libc.stdint", text, count=1, flags=re.M))


def list_files() -> list[str]:
    """What is in the repository."""
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return files.split("\0")[:-1]


def fingerprint() -> str:
    """Of all that a copy is made from."""
    return hashlib.sha256(b"\0".join((ROOT / file).read_bytes() for file in list_files())).hexdigest()


def build(copy: Path, mutations: list[Mutation]) -> None:
    shutil.rmtree(copy, ignore_errors=True)
    for file in list_files():
        (copy / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, copy / file)
    mutate(copy / "kpool" / "kernels", mutations)
    command = [sys.executable, "setup.py", "--quiet", "build_ext", "--inplace"]
    env = {**os.environ, "KPOOL_DEBUG": "1", "KPOOL_LEVELS": "1"}
    done = subprocess.run(command, cwd=copy, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stdout[-3000:] + done.stderr[-3000:])


def prepare(copy: Path) -> None:
    """Import the mutated package and all that takes its time, for the forks to come."""
    os.chdir(copy)
    os.environ |= {"PYTHONPATH": str(copy), "TF_CPP_MIN_LOG_LEVEL": "3"}
    sys.path.insert(0, str(copy))
    for name in ("keras", "kpool"):
        import_module(name)


def who_notices(number: int, first: list[str]) -> str | None:
    """The first test that fails, or how it all ended, with a mutation at work; None if nothing is noticed."""
    tests = [f"tests/test_{name}.py" for name in [*first, *(name for name in TESTS if name not in first)]]
    os.environ["KPOOL_MUTANT"] = str(number)
    with tempfile.TemporaryFile("w+") as log:
        pid = os.fork()
        if pid == 0:
            os.setsid()
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
            code = import_module("pytest").main(["-qx", "-p", "no:cacheprovider", *tests], plugins=[Watch()])
            sys.stdout.flush()
            os._exit(code)
        until = time.monotonic() + LONGEST
        while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            if time.monotonic() > until:
                os.killpg(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                return LATE[0]
            time.sleep(0.05)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        log.seek(0)
        failed = re.search(r"^(?:FAILED|ERROR) (\S+)", log.read(), re.MULTILINE)
    return failed[1] if failed else f"exit code {code}" if code else None


def main() -> None:
    mutations = read_mutations()
    parser = argparse.ArgumentParser()
    parser.add_argument("work", type=Path)
    parser.add_argument("--family", choices=FIRST)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    arguments = parser.parse_args()
    copy, built, record = (arguments.work.resolve() / name for name in ("kpool", "built", "results.json"))
    results = json.loads(record.read_text()) if record.exists() else {}
    until = time.monotonic() + arguments.seconds
    found = fingerprint()
    fresh = not built.exists() or built.read_text() != found
    if fresh:
        built.unlink(missing_ok=True)
        build(copy, mutations)
    prepare(copy)
    if fresh and (noticed := who_notices(-1, [])):
        raise SystemExit(f"The tests fail without any mutation: {noticed}")
    built.write_text(found)
    for number, mutation in enumerate(mutations):
        if results.get(str(mutation)) or arguments.family not in (None, mutation.family) or time.monotonic() > until:
            continue
        results[str(mutation)] = who_notices(number, FIRST[mutation.family])
        record.write_text(json.dumps(results, indent=1))
        print(f"{mutation}: {results[str(mutation)]}", flush=True)
    print()
    for family in FIRST:
        tried = [m for m in mutations if m.family == family and str(m) in results]
        missed = [m for m in tried if not results[str(m)]]
        late = sum(results[str(m)] in LATE for m in tried)
        print(f"{family:22} {len(tried) - len(missed)} of {len(tried)} tried were noticed, {late} by a limit of time")
        for mutation in missed:
            print(f"    not noticed: {mutation}")


if __name__ == "__main__":
    main()
