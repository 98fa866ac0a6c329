"""Where XLA cannot call the kernels, on machines with a GPU and where a look-up fails; and what it cannot do at all."""

import importlib.util
import shutil
import subprocess
import sys
from types import ModuleType

import pytest
import tensorflow as tf
from conftest import CALLED_BY_XLA, run_python, small_integers
from test_xla import compiled, segmenter

from kpool import layers
from kpool.ops import average_pool, max_pool, max_unpool
from kpool.tf import composition, xla


@pytest.fixture
def with_gpu(monkeypatch):
    """A machine that seems to have a GPU."""
    for kind, device in (("physical", tf.config.PhysicalDevice), ("logical", tf.config.LogicalDevice)):
        devices = [device(f"/{kind}_device:{name}:0", name) for name in ("CPU", "GPU")]
        monkeypatch.setattr(tf.config, f"list_{kind}_devices", lambda _=None, devices=devices: devices)


def test_other_processors_get_ops_that_they_have(with_gpu):
    compiled(lambda x: max_pool(x, 2), "composition", tf.TensorSpec((1, 4, 4, 1)))


@pytest.mark.parametrize("jit_compile", ["auto", False])
def test_keras_compiles_by_default_where_there_is_a_gpu(jit_compile, with_gpu, monkeypatch, rng):
    composed = []
    for name, op in composition.OPS.items():
        monkeypatch.setitem(
            composition.OPS, name, lambda *x, _op=op, _name=name, **a: composed.append(_name) or _op(*x, **a)
        )
    model = segmenter(layers.MaxPooling2D(2, return_indices=True), layers.MaxUnpooling2D(2))
    model.compile("sgd", "mse", jit_compile=jit_compile)
    x = small_integers(rng, (2, 8, 8, 2), most=2)
    model.fit(x, x[..., :1], epochs=1, verbose=0)
    assert model.jit_compile is (jit_compile == "auto")
    assert set(composed) == ({"kpool_max_pool", "kpool_max_unpool"} if jit_compile else set())


@pytest.mark.parametrize(
    ("function", "op"),
    [
        (lambda x: max_pool(x, 2), "kpool_max_pool_backward"),
        (lambda x: average_pool(x, 2), "kpool_average_pool_backward"),
        (lambda x: max_unpool(x, tf.zeros(x.shape, tf.int32), 2), "kpool_max_unpool_backward"),
    ],
)
def test_gradients_of_what_was_computed_before(function, op, with_gpu):
    """An eager tape holds native ops, and their gradients are others than those of the composition."""
    x = tf.ones((1, 4, 4, 1))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = function(x)
    message = rf"XLA has no ops for the gradient `{op}`.* Take the gradient in the function that computes .*jit_compile"
    with pytest.raises(NotImplementedError, match=message):
        tf.function(lambda: tape.gradient(y, x), jit_compile=True, autograph=False)()


def test_functions_that_were_traced_uncompiled():
    """The documentation quotes what XLA says."""
    function = tf.function(lambda x: max_pool(x, 2)).get_concrete_function(tf.TensorSpec((1, 4, 4, 1)))
    message = "Detected unsupported operations when trying to compile graph .*: KpoolMaxPool "
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        tf.function(lambda x: function(x), jit_compile=True, autograph=False)(tf.ones((1, 4, 4, 1)))


def test_a_gradient_of_another_package(monkeypatch):
    """TensorFlow refuses a second one, here one after kpool's own."""
    monkeypatch.setattr(xla, "calls_kernels", True)
    xla.register_gradient(lambda node, *gradients: None)
    compiled(lambda x: max_pool(x, 2), "composition", tf.TensorSpec((1, 4, 4, 1)))


def imported_anew():
    """kpool.tf.xla once more, beside the one in use."""
    spec = importlib.util.spec_from_file_location("xla_imported_anew", xla.__file__)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@CALLED_BY_XLA
def test_a_tensorflow_without_its_private_functions(monkeypatch):
    whole = imported_anew()
    assert whole.calls_kernels
    assert whole.control_flow_util
    for name in ("tensorflow.compiler.tf2xla.python.xla", "tensorflow.python.ops"):
        monkeypatch.setitem(sys.modules, name, ModuleType("empty"))
    module = imported_anew()
    assert not module.calls_kernels
    seen = []

    def trace(x):
        seen.append((whole.is_compiled(), module.is_compiled()))
        return x

    tf.function(trace, jit_compile=True, autograph=False)(tf.zeros(1))
    # Then XLA meets the native ops, as the documentation says.
    assert seen == [(True, False)]


# XLA's functions as another TensorFlow may have them: with a status that keeps its message elsewhere, or without one.
LIBRARY = """
#include <stdlib.h>
typedef struct { size_t size; const char* text; _Bool failed; } message;
void* _ZN3xla24CustomCallTargetRegistry6GlobalEv(void) { return NULL; }
void _ZN3xla24CustomCallTargetRegistry8RegisterERKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEEPvS8_(void) {
    abort();
}
void* _Znwm(size_t size) { return malloc(size); }
#ifdef OTHER_STATUS
message _ZN3xla26CustomCallStatusGetMessageEPK20XlaCustomCallStatus_(const char* status) {
    return (message){4, status + 64, status[0] != 0};
}
#endif
"""
LOADER = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <string.h>
void* dlopen(const char* path, int flags) {
    void* (*open)(const char*, int) = dlsym(RTLD_NEXT, "dlopen");
    return open(path && strcmp(path, "libtensorflow_cc.so.2") == 0 ? OTHER : path, flags & ~RTLD_NOLOAD);
}
"""


@CALLED_BY_XLA
@pytest.mark.parametrize("flag", ["-DOTHER_STATUS", "-DNO_STATUS"])
def test_a_tensorflow_whose_xla_is_another(flag, tmp_path):
    """The look-up finds it out, registers nothing, and the composition takes over."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("there is no compiler to make another XLA with")
    library, loader = tmp_path / "library.so", tmp_path / "loader.so"
    for source, path, *flags in ((LIBRARY, library, flag), (LOADER, loader, f'-DOTHER="{library}"', "-ldl")):
        command = [compiler, "-shared", "-fPIC", "-x", "c", "-", "-o", str(path), *flags]
        subprocess.run(command, input=source, text=True, check=True)
    code = "from kpool.tf import xla; print(xla.calls_kernels, xla.call_module is not None)"
    assert run_python(code, LD_PRELOAD=str(loader)).stdout == "False True\n"
