"""``lstm-rt recipe``."""

from typing import Annotated, Optional

import typer

from lstm_rt.cli import ui
from lstm_rt.cli.options import JsonOption
from lstm_rt.recipes import draft_recipe

NAME = "recipe"
EXAMPLES = (
    ("lstm-rt recipe tagger.pth", "Draft a recipe; add > tagger.toml to keep it"),
    ("lstm-rt recipe last.ckpt --key state_dict", "Choose one of several state_dicts of a checkpoint"),
    ("lstm-rt convert tagger.pth --recipe tagger.toml", "Convert with the finished recipe"),
)


def command(
    source: Annotated[str, typer.Argument(metavar="FILE", help="A PyTorch file of weights.", show_default=False)],
    key: Annotated[
        Optional[str], typer.Option("--key", help="Where in the file the weights are.", show_default=False)
    ] = None,
    json: JsonOption = False,
) -> None:
    """Print a draft of the recipe that a file of PyTorch weights needs.

    The layers come from the names and shapes of the weights. Activations, pooling and reshaping leave no weights; add
    them where the model has them.
    """
    draft = draft_recipe(source, key)
    if json:
        ui.print_json({"file": source, "recipe": draft})
    else:
        typer.echo(draft, nl=False)
