"""Looking at models."""

from kpool.utils.trace import trace_shapes

__all__ = ["trace_shapes"]
