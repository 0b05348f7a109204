"""Grading with nbgrader: the verdict outside the student's process, and an eye on students' own work.

`preprocessors` holds what nbgrader_config.py puts into nbgrader's chain; `own_work` reads code without
running it.
"""
