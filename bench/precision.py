"""The precisions of a model: what a weight costs to read and to multiply, and how far off answers may be."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Precision:
    """A way to hold weights.

    `bits` of one weight as read, scales that lie among them included. A multiply-add costs `products` of those that
    `unit` counts. `tolerance` bounds the root mean square of the error over that of the answer: far above what is
    measured, far below what a wrong gate does.
    """

    name: str
    bits: float
    unit: str
    products: int
    tolerance: float


PRECISIONS = {
    precision.name: precision
    for precision in (
        Precision("float32", 32, "float32", 1, 1e-4),
        Precision("int8", 8, "int8", 1, 0.1),
        Precision("int8x16", 8, "int8", 2, 0.1),  # an activation is two bytes, so a product is two
        Precision("int4", 4.5, "int8", 1, 0.3),  # a block of 32 has a scale of 16 bits
        Precision("bf16", 16, "float32", 1, 0.05),  # widened in registers, multiplied as float32
    )
}
FLOAT32 = PRECISIONS["float32"]
