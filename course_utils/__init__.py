"""What the notebooks of the course on variational autoencoders import.

Read `models`, `objectives` and `training` as lessons: they are the mathematics of sections 1 to 6 in
the order in which it is taught. The rest serves them: `data` brings images in, `evaluation` computes
every number the text quotes, `plotting` draws every figure, `checks` looks at students' answers.
"""

__version__ = "0.1.0"
