"""How fast, how close to the literature, how sure its graders: every figure that the documents quote."""
