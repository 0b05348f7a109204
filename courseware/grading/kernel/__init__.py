"""Where students' code runs: kernels behind walls, and the messages that come out."""
