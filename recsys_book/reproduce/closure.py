"""What a piece of code really runs of this package: the modules it imports, and what they import.

Read from the source and never by running it, so that a cache or a record can ask whether the code
behind it is still the same. An import inside a function counts as well.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
#: The engine of runs; what they work out stands elsewhere.
NOT_WHAT = ("reproduce/", "rooms.py")
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


def code_of(module: Path, package: Path = PACKAGE) -> dict[str, str]:
    """What a module runs: each file of its closure, itself among them → digest of what it does.

    Comments, docstrings and layout do not count: a word mended changes no figure.

    Args:
        module: its file.
        package: the folder of the package.

    Returns:
        path in the package, such as "models/ncf.py" → 12 hexadecimal digits.
    """
    source = module.read_text(encoding="utf-8")
    files = {module, *closure(source, package), *_files_named(parse(source), module.parent)}
    names = {file.relative_to(package).as_posix(): file for file in sorted(files)}
    # How a run is carried out changes none of its figures.
    return {name: _digest(f) for name, f in names.items() if not name.startswith(NOT_WHAT)}


def _digest(file: Path) -> str:
    source = file.read_bytes()
    if file.suffix == ".py":
        tree = ast.parse(source)
        for node in ast.walk(tree):
            with_doc = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
            if isinstance(node, with_doc) and ast.get_docstring(node, clean=False) is not None:
                node.body[0] = ast.Pass()
        source = repr(_plain(tree)).encode()
    return hashlib.sha256(source).hexdigest()[:12]


def _plain(node: object) -> object:
    """A tree as nested tuples, alike in every version of Python: `ast.dump` changes with them, and
    so does which empty fields there are."""
    if isinstance(node, list):
        return tuple(_plain(part) for part in node)
    if not isinstance(node, ast.AST):
        return (type(node).__name__, node)
    fields = ((name, getattr(node, name, None)) for name in sorted(node._fields))
    kept = tuple((n, _plain(v)) for n, v in fields if v is not None and v != [])
    return (type(node).__name__, *kept)


def records_read(sources: Iterable[str]) -> set[str] | None:
    """Names of the records that calls of `read_record` ask for.

    Args:
        sources: of modules or notebooks.

    Returns:
        the names; None where a call works its name out, so that any record may be meant.
    """
    names = [name for source in sources for name in _records_asked(source)]
    return None if None in names else {name for name in names if name is not None}


def records_named(source: str) -> set[str]:
    """As `records_read`, of one source, without the calls that work the name out."""
    return {name for name in _records_asked(source) if name is not None}


def _records_asked(source: str) -> Iterator[str | None]:
    for node in ast.walk(parse(source)):
        if isinstance(node, ast.Call) and _called(node) == "read_record":
            name = node.args[0] if node.args else None
            constant = isinstance(name, ast.Constant) and isinstance(name.value, str)
            yield name.value if constant else None


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
