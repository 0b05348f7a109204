"""One handed-in notebook to points and a page: read and repaired, run behind walls, judged outside them."""
