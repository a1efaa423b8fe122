"""Where nbgrader finds the course. Run its commands in this folder, with the environment active."""

from pathlib import Path

c = get_config()  # noqa: F821 — given by nbgrader

c.CourseDirectory.course_id = "deep_recommenders"
c.CourseDirectory.root = str(Path.cwd())
c.Execute.timeout = 120  # seconds a cell; the first loads PyTorch
