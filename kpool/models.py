"""Whole models: Keras' pooling layers exchanged for kpool's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any

import keras

from kpool import layers

EQUIVALENTS: dict[type, Any] = {
    getattr(keras.layers, name): getattr(layers, name) for name in layers.__all__ if hasattr(keras.layers, name)
}

GRAPHS = (keras.Sequential, keras.Function)


def replace_pooling(model: keras.Model, verbose: bool = True) -> keras.Model:
    """A copy of a model in which every pooling layer of Keras is kpool's layer of that name.

    The copy has the original's weights, names, dtype policies and trainability. If the original was compiled, so is the
    copy, with the same losses, with metrics and an optimizer as their configs make them again, and with the optimizer's
    state; only a model with a `compile` of its own must be compiled again, unless it has a `compile_from_config` as
    well. The copy's predictions are the same, with averages to rounding. The original stays as it is, and shares
    nothing that changes with it.

    Nested and shared layers, nested models and layers inside wrappers such as `keras.layers.TimeDistributed` are found
    as well. What is kept and listed as such: subclasses of Keras' pooling layers, and layers that a custom layer makes
    in code of its own.

    Args:
        model: A Sequential or functional model, whose layers can be made again from their configs, as for
            `keras.models.clone_model`.
        verbose: Whether to print which layers were replaced, which pooling layers were kept, and which models must be
            compiled again.

    Returns:
        The copy. A subclass of `keras.Sequential`, or one of `keras.Model` that builds a functional model in a
        constructor of its own, becomes the plain model, as with `keras.models.clone_model`.

    Raises:
        ValueError: If `model` is neither Sequential nor functional. A subclassed model's layers are made by its own
            code, where `kpool.layers` can take the place of `keras.layers`. Or if the config of a layer or an optimizer
            does not make it again, but one with other variables, or if the model has lost variables since it was
            compiled.

    Example:

    >>> model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.MaxPooling2D(name="pool")])
    >>> kpool.replace_pooling(model).get_layer("pool")
    replaced  pool: MaxPooling2D
    <MaxPooling2D name=pool, built=True>
    """
    if not (isinstance(model, GRAPHS) and isinstance(model, keras.Model)):
        raise ValueError(
            "`model` must be a Sequential or functional model. The layers of a subclassed model are made by its own "
            f"code: use `kpool.layers` there in place of `keras.layers`. Received: model of type {type(model).__name__}"
        )
    if not model.layers:
        raise ValueError(f"`model` must have layers. Received: model={model!r}")
    originals = dict(_layers(model))
    with _uncompiled([layer for layer in originals.values() if isinstance(layer, keras.Model)]):
        copy = _copy(model, {})
    copies = dict(_layers(copy))
    _copy_state(originals, copies)
    if verbose:
        _report(originals, copies)
    return copy


def _layers(model: keras.layers.Layer, path: str = "") -> Iterator[tuple[str, keras.layers.Layer]]:
    """The model and all layers inside it, each with its place, parents first."""
    yield path, model
    inside = (
        model.layers if isinstance(model, keras.Model) else model._flatten_layers(recursive=False, include_self=False)
    )
    for layer in inside:
        yield from _layers(layer, f"{path}/{layer.name}".lstrip("/"))


@contextmanager
def _uncompiled(models: list[keras.Model]) -> Iterator[None]:
    """Models without their compile state, which Keras would copy by its config; that loses more than it must."""
    compiled = [model for model in models if model.compiled]
    try:
        for model in compiled:
            model.compiled = False
        yield
    finally:
        for model in compiled:
            model.compiled = True


def _copy(model: keras.Model, made: dict[int, Any]) -> keras.Model:
    """A copy of a graph of layers, without their weights. What is shared is in `made` by its original's id."""

    def copy(layer: Any) -> Any:
        if id(layer) not in made:
            made[id(layer)] = _copy(layer, made) if isinstance(layer, GRAPHS) else _copy_layer(layer)
        return made[id(layer)]

    inputs = None
    if isinstance(model, keras.Function):
        # Keras would name the layers after their tensors.
        sources = {id(layer.output): layer for layer in model.layers if isinstance(layer, keras.layers.InputLayer)}
        inputs = keras.tree.map_structure(lambda tensor: _remade(sources[id(tensor)]).output, model.input)
    return keras.models.clone_model(model, inputs, copy)


def _copy_layer(layer: Any) -> Any:
    """A layer's copy, without its weights; of a pooling layer its equivalent."""
    config = _with_layers_exchanged(layer.get_config())
    if isinstance(layer, keras.layers.Lambda):
        # Its functions would lose what they refer to on their way through a config.
        functions = {
            "function": layer.function,
            # It is not public. Without it Keras calls the function to see the shape.
            "output_shape": getattr(layer, "_output_shape", None),
            "mask": layer.mask,
        }
        return type(layer)(**{**config, **functions, "arguments": layer.arguments})
    if type(layer) in EQUIVALENTS:
        return EQUIVALENTS[type(layer)].from_config({**config, "autocast": layer.autocast})
    copy = type(layer).from_config(config)
    if isinstance(layer, keras.layers.Layer):
        copy.autocast = layer.autocast
    return copy


def _with_layers_exchanged(config: Any) -> Any:
    """A config in which the layers that others contain are exchanged."""
    if isinstance(config, dict):
        if config.get("module") == "keras.layers" and "config" in config:
            layer = getattr(keras.layers, str(config.get("class_name")), None)
            if layer in EQUIVALENTS:
                return keras.saving.serialize_keras_object(EQUIVALENTS[layer].from_config(config["config"]))
        return {key: _with_layers_exchanged(value) for key, value in config.items()}
    if type(config) in (list, tuple):
        return type(config)(_with_layers_exchanged(value) for value in config)
    return config


def _copy_state(originals: dict[str, keras.layers.Layer], copies: dict[str, keras.layers.Layer]) -> None:
    """Copy what is in no config: weights, trainability, dtype policies and compile states."""
    # What a custom layer makes may have another name each time.
    shared = [(layer, copies[path]) for path, layer in originals.items() if path in copies]
    for layer, copy in shared:
        # Parents come first: what one says of its layers, they may say otherwise.
        copy.trainable = layer.trainable
        if isinstance(layer, keras.Model):
            copy.dtype_policy = layer.dtype_policy
    _check_variables(originals, copies)
    variables = {}
    for variable, copied in zip(originals[""].variables, copies[""].variables, strict=True):
        copied.assign(variable)
        copied.trainable = variable.trainable
        variables[id(variable)] = copied
    for layer, copy in shared:
        # As files do it: what layers make of their variables, vocabularies.
        store: dict[str, Any] = {}
        layer.save_own_variables(store)
        copy.load_own_variables(store)
        if hasattr(layer, "save_assets"):
            with TemporaryDirectory() as folder:
                layer.save_assets(folder)
                copy.load_assets(folder)
    for layer, copy in shared:
        if isinstance(layer, keras.Model) and layer.compiled:
            _compile_as(copy, layer, variables)


def _check_variables(originals: dict[str, keras.layers.Layer], copies: dict[str, keras.layers.Layer]) -> None:
    """Raise an error for the innermost layer whose copy has other variables."""
    for path, layer in reversed(originals.items()):
        shapes, copied = ([v.shape for v in x.variables] for x in (layer, copies.get(path, layer)))
        if copied != shapes:
            raise ValueError(
                f"`model` must consist of layers that their configs make again. That of {path or layer.name!r} makes "
                f"one with variables of shapes {copied}. Received: a layer with variables of shapes {shapes}"
            )


def _compile_as(model: keras.Model, original: keras.Model, variables: dict[int, keras.Variable]) -> None:
    """Compile a model as the original is. `variables` has the model's variables by the ids of the original's."""
    if type(original).compile is not keras.Model.compile:
        # It knows itself how to do that, or Keras warns.
        model.compile_from_config(original.get_compile_config())
        if model.compiled:
            for name, optimizer in vars(original).items():
                if isinstance(optimizer, keras.optimizers.Optimizer):
                    setattr(model, name, _copy_optimizer(optimizer, variables))
        return
    arguments = original._compile_config.config
    metrics = {
        name: keras.tree.map_structure(
            lambda m: _remade(m) if isinstance(m, keras.metrics.Metric) else m, arguments[name]
        )
        for name in ("metrics", "weighted_metrics")
    }
    model.compile(
        **{
            **arguments,
            **metrics,
            "optimizer": _copy_optimizer(original.optimizer, variables),
            "auto_scale_loss": False,
        }
    )


def _copy_optimizer(original: Any, variables: dict[int, keras.Variable]) -> Any:
    """An optimizer in the original's state, for the copies of its variables."""
    optimizer = _remade(original)
    inner = getattr(original, "inner_optimizer", original)
    if inner.built:
        lost = [variable.path for variable in inner._trainable_variables if id(variable) not in variables]
        if lost:
            raise ValueError(
                "`model` must have every variable of its optimizer: call its `compile` again after taking layers from "
                f"it. Received: an optimizer with {lost}"
            )
        optimizer.build([variables[id(variable)] for variable in inner._trainable_variables])
        shapes, copied_shapes = ([v.shape for v in x.variables] for x in (original, optimizer))
        if copied_shapes != shapes:
            raise ValueError(
                "`model` must have an optimizer that its config makes again. That of "
                f"{type(original).__name__} makes one with variables of shapes {copied_shapes}. Received: an optimizer "
                f"with variables of shapes {shapes}"
            )
        for variable, copied in zip(original.variables, optimizer.variables, strict=True):
            copied.assign(variable)
    return optimizer


def _remade(thing: Any) -> Any:
    return type(thing).from_config(thing.get_config())


def _report(originals: dict[str, keras.layers.Layer], copies: dict[str, keras.layers.Layer]) -> None:
    """Print what became of every pooling layer of Keras, and which models are no longer compiled."""
    seen = set()
    for path, layer in originals.items():
        if isinstance(layer, tuple(EQUIVALENTS)) and id(layer) not in seen:
            seen.add(id(layer))
            replaced = type(copies.get(path)) is EQUIVALENTS.get(type(layer))
            print(f"{'replaced' if replaced else 'kept':<8}  {path}: {type(layer).__name__}")
    if not seen:
        print("no pooling layer of Keras to replace")
    for path, layer in originals.items():
        if isinstance(layer, keras.Model) and layer.compiled and path in copies and not copies[path].compiled:
            print(f"not compiled  {path or layer.name}: call its compile()")
