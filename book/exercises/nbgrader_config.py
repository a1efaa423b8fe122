"""Where nbgrader finds the course. Run its commands in this folder, with the environment active."""

from pathlib import Path

c = get_config()  # noqa: F821 — given by nbgrader

c.CourseDirectory.course_id = "deep_recommenders"
c.CourseDirectory.root = str(Path.cwd())
c.Execute.timeout = 120  # seconds a cell; the first loads PyTorch
# Files handed in are called NAME_exercises_02.ipynb, or as Moodle names them,
# "Ada Lovelace_1234_assignsubmission_file_exercises_02.ipynb". Elsewhere change this line.
c.FileNameCollectorPlugin.named_regexp = (
    r".*/(?P<student_id>[^/]+?)_(?:\d+_assignsubmission_file_+)?(?P<file_id>exercises_\d\d)"
)
