"""Builds kpool's extensions from their Cython sources. Needs a C compiler; TensorFlow is not needed.

KPOOL_DEBUG=1 builds for a debugger: little optimisation, debug information that names the Cython sources, Cython's
checks. KPOOL_LEVELS=1 builds kernels for the least instruction set alone, 2 for the least two. CFLAGS are heeded too.
"""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

if sys.platform == "win32":
    sys.exit("kpool builds on Linux and macOS, not on Windows: there, install it inside WSL (Linux on Windows).")

DEBUG = os.environ.get("KPOOL_DEBUG", "0") != "0"
MACOS = sys.platform == "darwin"

DIRECTIVES = {
    "language_level": 3,
    "cdivision": True,
    "boundscheck": DEBUG,
    "wraparound": False,
    # Plain builtins, which AutoGraph calls as they are instead of warning that it cannot convert them.
    "binding": False,
    "embedsignature": True,
}

FLAGS = [
    # NaN comparisons stay exact: the two no-flags only drop traps and errno. Never -ffast-math.
    "-O1" if DEBUG else "-O3",
    "-g" if DEBUG else "-g0",
    # Loops over sixteen lanes become vector code, not sixteen steps one after the other. Clang, which knows none of
    # gcc's parameters, needs no word for it, nor one about it.
    "--param=max-completely-peel-times=8",
    "-Wno-unused-command-line-argument",
    "-fno-trapping-math",
    "-fno-math-errno",
    # Sums are written in a fixed order and without fused multiply-add, so every machine gets the same bits.
    "-ffp-contract=off",
    # No number is meant to wrap around, and in a debug build sanitizers can see it if one does.
    "-fno-wrapv" if DEBUG else "-fwrapv",
    # Kernels go by an element's width, so they read floats as words of the same size.
    "-fno-strict-aliasing",
    "-fvisibility=hidden",
    # Cython writes every combination of fused types; the kernels use some.
    "-Wno-unused-function",
    # Lines are kept on the stack, in at most a quarter of what a worker has.
    "-Wframe-larger-than=524288",
]

# The kernels call their loops with literal flags; each call must become a loop of its own.
INLINE = ("CYTHON_INLINE", "inline __attribute__((always_inline))")


# Two modules of kernels per instruction set; the driver imports the best that the processor has.
LEVELS = {"baseline": []}
if platform.machine() == "x86_64":
    LEVELS["avx2"] = ["-march=x86-64-v3"]
    LEVELS["avx512"] = ["-march=x86-64-v4", "-mprefer-vector-width=512"]
COUNT = os.environ.get("KPOOL_LEVELS", str(len(LEVELS)))
if COUNT not in map(str, range(1, len(LEVELS) + 1)):
    sys.exit(
        f"`KPOOL_LEVELS` must be an integer from 1 to {len(LEVELS)} on this machine. Received: KPOOL_LEVELS={COUNT!r}"
    )
LEVELS = dict(list(LEVELS.items())[: int(COUNT)])
if len(LEVELS) > 1 and not DEBUG:
    # Nearly every processor has one of the others. Without what takes -O3 half of its time this is hardly slower.
    LEVELS["baseline"] = ["-O2", "-ftree-vectorize", "-fvect-cost-model"]


# One binary serves every CPython from this one on.
STABLE_ABI = ("Py_LIMITED_API", "0x030B0000")


def extension(
    name: str, flags: Sequence[str] = (), macros: Sequence[tuple] = (), source: str | None = None, **options: list
) -> Extension:
    return Extension(
        name,
        [source or name.replace(".", "/") + ".pyx"],
        extra_compile_args=[*FLAGS, *flags],
        define_macros=[STABLE_ABI, *macros],
        py_limited_api=True,
        **options,
    )


def translated(*extensions: Extension) -> list[Extension]:
    """The extensions, with the C that Cython makes of their sources."""
    return cythonize(
        list(extensions),
        compiler_directives=DIRECTIVES,
        build_dir="build/cython",
        force=DEBUG,
        emit_linenums=DEBUG,
        nthreads=os.cpu_count(),
    )


def of_every_level(kernels: Extension) -> Iterator[Extension]:
    """One part of the kernels as a module per instruction set: what Cython made of it once, under another name each."""
    source = Path(kernels.sources[0])
    for level, flags in reversed(LEVELS.items()):
        copy = source.with_stem(f"{source.stem}_{level}")
        # In quotes the name is a string of its own, and not a part of one whose length is written elsewhere.
        code = source.read_text().replace(f"PyInit_{source.stem}", f"PyInit_{copy.stem}")
        code = code.replace(f'"{kernels.name}"', f'"kpool.kernels.{copy.stem}"')
        if not copy.exists() or copy.read_text() != code:
            copy.write_text(code)
        yield extension(f"kpool.kernels.{copy.stem}", flags, [INLINE], str(copy))


class BuildExtensions(build_ext):
    """Links the native ops against TensorFlow by name alone.

    The loader finds the library by its soname, because TensorFlow has loaded it by then. An empty library of that
    name stands in for it here, so one binary serves every TensorFlow and building needs none.
    """

    def build_extensions(self) -> None:
        compiler = self.compiler.compiler_so[0]
        if shutil.which(compiler) is None:
            sys.exit(
                f"kpool needs a C compiler, and there is no {compiler!r}: install gcc or clang (on Debian and Ubuntu "
                "`apt-get install gcc python3-dev`), or name one in the environment variable CC."
            )
        self.check_compiler()
        if not MACOS:
            folder = Path(self.build_temp)
            folder.mkdir(parents=True, exist_ok=True)
            source = folder / "empty.c"
            source.write_text("typedef int nothing;\n")
            library = folder / "libtensorflow_framework.so.2"
            soname = f"-Wl,-soname,{library.name}"
            subprocess.run([*self.compiler.compiler_so, "-shared", soname, str(source), "-o", str(library)], check=True)
            native = next(e for e in self.extensions if e.name == "kpool.tf.native")
            native.extra_link_args = ["-Wl,--no-as-needed", str(library)]
        # One compiler per core: a set of kernels takes minutes.
        self.parallel = self.parallel or os.cpu_count()
        super().build_extensions()

    def check_compiler(self) -> None:
        """Say in one sentence what the compiler lacks, before it does in a page about code that Cython wrote."""
        for count, (level, flags) in enumerate(LEVELS.items()):
            if reason := self.refusal("", flags):
                fewer = f", or build for fewer instruction sets with KPOOL_LEVELS={count}" if count else ""
                sys.exit(
                    "kpool needs gcc 11 or clang 12 or newer: install one and name it in the environment variable CC"
                    f"{fewer}. For {level!r} {self.compiler.compiler_so[0]!r} says: {reason}"
                )
        if reason := self.refusal("#include <Python.h>"):
            sys.exit(
                "kpool needs Python's headers: install them (on Debian and Ubuntu `apt-get install python3-dev`). "
                f"{self.compiler.compiler_so[0]!r} says: {reason}"
            )

    def refusal(self, source: str, flags: Sequence[str] = ()) -> str:
        """The compiler's first error about a source; nothing if it takes it."""
        folders = [f"-I{folder}" for folder in self.compiler.include_dirs]
        command = [*self.compiler.compiler_so, *folders, *FLAGS, *flags, "-fsyntax-only", "-x", "c", "-"]
        result = subprocess.run(command, input=source, capture_output=True, text=True)
        lines = result.stderr.splitlines() or [f"exit code {result.returncode}"]
        return next((line for line in lines if "error" in line), lines[0]) if result.returncode else ""


# Cython's processes may import this file.
if __name__ == "__main__":
    kernels = translated(extension("kpool.kernels.forward"), extension("kpool.kernels.backward"))
    others = translated(
        extension("kpool.kernels.geometry"),
        extension("kpool.kernels.threads"),
        extension("kpool.kernels.driver", macros=[("KPOOL_LEVELS", len(LEVELS))]),
        extension("kpool.tf.native", extra_link_args=["-Wl,-undefined,dynamic_lookup"] if MACOS else []),
    )
    setup(
        options={"bdist_wheel": {"py_limited_api": "cp311"}},
        cmdclass={"build_ext": BuildExtensions},
        # What takes longest to compile comes first.
        ext_modules=[*(module for part in kernels for module in of_every_level(part)), *others],
    )
