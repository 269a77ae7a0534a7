"""Ways to take a run along, one file each; they read a Trace and nothing else."""
