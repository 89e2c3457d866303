"""The operator sets a model was written for: one version for each domain."""

from __future__ import annotations

from lstm_rt.errors import UnsupportedModelError

from .domains import DEFAULT_DOMAINS
from .model import SourceModel

OLDEST_OPSET, NEWEST_OPSET = 1, 28
_FIRST_IR_WITH_OPSETS = 3


class Opsets:
    """What a model imports.

    Raises
    ------
    UnsupportedModelError
        If ONNX's own operators are of a version that is not supported, or of two.
    """

    def __init__(self, model: SourceModel) -> None:
        imports = [(_plain(o.domain), int(o.version)) for o in model.proto.opset_import]
        if not imports and 0 < model.proto.ir_version < _FIRST_IR_WITH_OPSETS:
            imports = [("", 1)]
        self._versions = dict(imports)
        self._check(model.label, [version for domain, version in imports if not domain])

    def version(self, domain: str) -> int:
        """The version of a domain's operators; 1 where the model does not say."""
        return self._versions.get(_plain(domain), 1)

    def text(self, domain: str) -> str:
        """What messages say of a domain behind the name of an op."""
        plain = _plain(domain)
        return f" of {plain}" if plain else f", opset {self.version(plain)}"

    @staticmethod
    def _check(label: str, versions: list[int]) -> None:
        if len(set(versions)) == 1 and OLDEST_OPSET <= versions[0] <= NEWEST_OPSET:
            return
        raise UnsupportedModelError(
            f"{label}: opset {', '.join(map(str, versions)) or 'none'} is not supported. Export it with one opset "
            f"from {OLDEST_OPSET} to {NEWEST_OPSET}."
        )


def _plain(domain: str) -> str:
    return "" if domain in DEFAULT_DOMAINS else domain
