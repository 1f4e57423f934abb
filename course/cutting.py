"""Cuts an exercise out of a solution: what lies between the markers becomes a stub."""

import re

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
TODO = "# TODO: your code here"
_BLOCK = re.compile(rf"^([ \t]*){BEGIN}[^\n]*\n(.*?)^[ \t]*{END}[^\n]*$", re.MULTILINE | re.DOTALL)
_HEAD = re.compile(r"^([ \t]*)(?:async[ \t]+)?(?:def|class)[ \t]+(\w+)", re.MULTILINE)


def enclosing_name(before: str, indent: str) -> str:
    """Dotted name of the functions and classes around a block, e.g. ``ActNorm.forward``; empty at module level.

    ``before`` is the source above the block, ``indent`` the white space in front of the block's marker.
    """
    names, limit = [], len(indent)
    for head in reversed(list(_HEAD.finditer(before))):
        if len(head[1]) < limit:
            names.append(head[2])
            limit = len(head[1])
    return ".".join(reversed(names))


def cut(source: str) -> str:
    """A cell's source with every solution block replaced by a TODO, and inside a function by NotImplementedError too.

    Raises ValueError when a marker has no partner.
    """

    def stub(block: re.Match) -> str:
        indent = block[1]
        name = enclosing_name(source[: block.start()], indent)
        if not name:
            return f"{indent}{TODO}"
        return f'{indent}{TODO}\n{indent}raise NotImplementedError("{name}: your code here")'

    text = _BLOCK.sub(stub, source)
    for marker in (BEGIN, END):
        if marker in text:
            raise ValueError(f"a line '{marker}' has no partner. Every solution block needs both markers, "
                             f"each on a line of its own, the first before the second.")
    return text
