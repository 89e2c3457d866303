"""Branches."""

from __future__ import annotations

from ..node import Node, handler


@handler("If")
def if_(node: Node) -> None:
    branches = {name: node.block(name) for name in ("then_branch", "else_branch")}
    for name, block in branches.items():
        if len(block.outputs) != len(node.output_names):
            node.refuse(
                f"{name} has {len(block.outputs)} outputs, the node has {len(node.output_names)}. The file is damaged."
            )
    node.emit(node.inputs(1), branches, most_outputs=-1)
