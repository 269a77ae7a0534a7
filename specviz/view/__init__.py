"""What the browser runs: scripts and styles, and what they must know before they start."""
