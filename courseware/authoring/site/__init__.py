"""The executed course as a web site."""
