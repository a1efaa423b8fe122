"""Run a notebook where it lies and print what came of it as JSON: python run_notebook.py PATH

With --to-first-check it runs up to the first cell that checks an exercise, that cell included.
"""

import json
import sys

import nbclient
import nbformat


def main() -> None:
    path, to_first_check = sys.argv[1], "--to-first-check" in sys.argv
    notebook = nbformat.read(path, as_version=4)
    if to_first_check:
        is_check = [
            c.metadata.get("nbgrader", {}).get("grade_id", "").startswith("check-")
            for c in notebook.cells
        ]
        notebook.cells = notebook.cells[: is_check.index(True) + 1]
    code = [c for c in notebook.cells if c.cell_type == "code" and c.source.strip()]
    error = None
    try:
        # A cell takes as long as it takes; this only ends what hangs.
        nbclient.NotebookClient(notebook, timeout=3_600, kernel_name="python3").execute()
    except nbclient.exceptions.CellExecutionError as told:
        error = str(told)
    ran = [c for c in code if c.execution_count is not None]
    set_up = next(c for c in code if "setup(" in c.source)
    print(
        json.dumps(
            {
                "error": error,
                "cell": notebook.cells.index(ran[-1]) if ran else None,
                "ran": len(ran),
                "to_run": len(code),
                "set_up": text(set_up),
            }
        )
    )


def text(cell) -> str:
    """What a cell printed and showed, as text."""
    return "".join(
        o.get("text", "") or o.get("data", {}).get("text/plain", "") for o in cell.outputs
    )


if __name__ == "__main__":
    main()
