"""A whole class: every submission graded once, entered in the gradebook, and accounted for."""
