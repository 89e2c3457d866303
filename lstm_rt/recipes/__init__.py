"""Recipes: short descriptions of a model's layers, for files that hold weights and nothing else.

A state_dict says what each weight is called, not what is done with it. A recipe says that, in Python or TOML; whatever
the weights show by their shapes (sizes, how many layers, directions, biases) it need not say.
docs/pytorch.md has the table of layers.
"""

from __future__ import annotations

from .draft import draft_recipe
from .layer import Layer, kinds
from .plain import *  # noqa: F403
from .recipe import Input, Recipe
from .recurrent import *  # noqa: F403
from .weighted import *  # noqa: F403

__all__ = ["Input", "Layer", "Recipe", "draft_recipe", "kinds", *kinds()]
