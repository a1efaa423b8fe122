"""What a piece of code really runs of this package: the modules it imports, and what they import.

Read from the source and never by running it, so that a cache or a record can ask whether the code
behind it is still the same. An import inside a function counts as well.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
#: Lines that IPython takes and Python does not: %magic and !command.
_MAGIC = re.compile(r"^(\s*)[%!].*$", re.MULTILINE)


def parse(source: str) -> ast.Module:
    """The syntax tree of a module or of a notebook's cells, magic lines left out."""
    return ast.parse(_MAGIC.sub(r"\1pass", source))


def closure(source: str, package: Path = PACKAGE) -> list[Path]:
    """Files of the package that the code depends on: modules, and the files these name.

    Args:
        source: of a module, or the code cells of a notebook put together.
        package: the folder of the package.

    Returns:
        sorted paths. A folder's `__init__.py` runs before its modules and is among them; so are
        files beside a module whose names stand in it as a string, such as a widget's script.

    Raises:
        SyntaxError: the source is no Python.
    """
    found: set[Path] = set()
    waiting = [parse(source)]
    while waiting:
        for path in _named(waiting.pop(), package):
            if path not in found:
                found.add(path)
                tree = ast.parse(path.read_text(encoding="utf-8"))
                waiting.append(tree)
                found |= _files_named(tree, path.parent)
    return sorted(found)


def records_read(sources: Iterable[str]) -> set[str] | None:
    """Names of the records that calls of `read_record` ask for.

    Args:
        sources: of modules or notebooks.

    Returns:
        the names; None where a call works its name out, so that any record may be meant.
    """
    names: set[str] = set()
    for source in sources:
        for node in ast.walk(parse(source)):
            if isinstance(node, ast.Call) and _called(node) == "read_record":
                name = node.args[0] if node.args else None
                if not (isinstance(name, ast.Constant) and isinstance(name.value, str)):
                    return None
                names.add(name.value)
    return names


def _called(call: ast.Call) -> str | None:
    target = call.func
    return getattr(target, "id", None) or getattr(target, "attr", None)


def _named(tree: ast.AST, package: Path) -> Iterator[Path]:
    """Files of the modules that the imports in a tree name, with the folders they lie in."""
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise ValueError(f"line {node.lineno} imports by dots; name the module in full")
            module = node.module or ""
            names = [module, *(f"{module}.{alias.name}" for alias in node.names)]
        for name in names:
            parts = name.split(".")
            if parts[0] != package.name:
                continue
            for depth in range(len(parts)):
                place = package.joinpath(*parts[1 : depth + 1])
                for path in (place / "__init__.py", place.with_suffix(".py")):
                    if path.is_file():
                        yield path


def _files_named(tree: ast.AST, folder: Path) -> set[Path]:
    names = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return {folder / n for n in names if re.fullmatch(r"[\w.-]+\.[a-z]+", n) and _is(folder / n)}


def _is(path: Path) -> bool:
    return path.is_file() and path.suffix != ".py"
