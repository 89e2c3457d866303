"""Makes text from files safe to show: names and paths in it may hold characters that a terminal obeys."""

from __future__ import annotations

import re

# C0 except tab and newline, DEL, C1, line and paragraph separators, marks that reverse the direction of text, and
# surrogates, which stand for bytes of file names that are not UTF-8 and cannot be printed. The pattern is compiled by
# its first use: importing lstm_rt does not pay for it.
_UNSAFE = "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"


def printable(text: str) -> str:
    """Escape what a terminal would obey or could not show.

    Parameters
    ----------
    text : str
        Any text, for instance a message that quotes a file.

    Returns
    -------
    str
        The text with control characters and surrogates written as ``\\x1b`` or ``\\u202e``. Newlines and tabs stay.

    Examples
    --------
    >>> printable("layer\\x1b[31m")
    'layer\\\\x1b[31m'
    """
    return re.sub(_UNSAFE, _escaped, text)


def one_line(name: str) -> str:
    """Escape the same characters, and newlines and tabs, in a name from a file.

    Parameters
    ----------
    name : str
        The name of a port, a layer or a dim.

    Returns
    -------
    str
        The name on one line.

    Examples
    --------
    >>> one_line("x\\nerror: forged")
    'x\\\\x0aerror: forged'
    """
    return printable(name).replace("\n", "\\x0a").replace("\t", "\\x09")


def json_text(text: str) -> str:
    """Escape the same characters in JSON text that was written without ``ensure_ascii``.

    Parameters
    ----------
    text : str
        JSON.

    Returns
    -------
    str
        JSON of the same value.
    """
    return re.sub(_UNSAFE, lambda found: f"\\u{ord(found[0]):04x}", text)


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file name, as os.fsdecode keeps it
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
