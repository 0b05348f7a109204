"""What makes, grades, publishes and measures the course; lessons import nothing of it.

`grading` takes one handed-in notebook to points and a page, `classroom` many of them to a gradebook;
`authoring` makes notebooks, archive and site from solutions/; `measuring` says how good and how fast it is.
"""
