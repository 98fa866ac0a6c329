"""The kernels, compiled for the least processor of the platform."""
include "kernels.pxi"
