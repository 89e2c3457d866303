"""What changes nothing in inference."""

from __future__ import annotations

from ..node import Node, handler


@handler(
    "aten.alias",
    "aten.clone",
    "aten.contiguous",
    "aten.detach",
    "aten.lift_fresh",
    "aten.lift_fresh_copy",
    "aten.resolve_conj",
    "aten.resolve_neg",
)
def identity(node: Node) -> None:
    node.give(node.tensor("self"))


@handler(
    "aten.dropout", "aten.feature_dropout", "aten.alpha_dropout", "aten.feature_alpha_dropout", "aten.native_dropout"
)
def dropout(node: Node) -> None:
    """Nothing; in training mode it is refused."""
    if node.boolean("train", True) and node.number("p") > 0:
        node.refuse("it is in training mode. Export the module after module.eval().")
    node.skip("p")
    node.give(node.tensor("input"))


@handler(
    "aten.rand",
    "aten.randn",
    "aten.rand_like",
    "aten.randn_like",
    "aten.bernoulli",
    "aten.randint",
    "aten.normal_functional",
)
def random(node: Node) -> None:
    """Refused: a model gives the same outputs for the same inputs."""
    node.refuse("random numbers are not supported. Hand them in as an input.")
