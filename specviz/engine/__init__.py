"""The decode loop and what drives it: one lane, several on a fair clock, many at once, many processes."""
