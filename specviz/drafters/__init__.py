"""Ways to propose tokens. One file per way; a drafter knows no rules and no cache internals."""
