"""The calls of layers that a model consists of."""

from __future__ import annotations

from typing import Any

import keras


def nodes_of(model: keras.Model) -> list[Any]:
    """Keras' nodes, one per call of a layer or function, each after those that it builds on.

    Raises:
        ValueError: If the model has no such graph.
    """
    outputs = getattr(model, "outputs", None) if isinstance(model, keras.Model) else None
    if not outputs:
        raise ValueError(
            "`model` must be a functional model, or a `keras.Sequential` that begins with `keras.Input` or has seen "
            f"an input. Received: model={model!r}"
        )
    ordered: dict[int, Any] = {}
    for output in outputs:
        waiting = [node_behind(output)]
        while waiting:
            missing = [node for node in waiting[-1].parent_nodes if id(node) not in ordered]
            if missing:
                waiting.append(missing[0])
            else:
                node = waiting.pop()
                ordered[id(node)] = node
    return list(ordered.values())


def node_behind(tensor: keras.KerasTensor) -> Any:
    """The call that a symbolic tensor came from."""
    operation, node_index, _ = tensor._keras_history
    return operation._inbound_nodes[node_index]
