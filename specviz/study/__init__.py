"""Questions put to records and models: exact curves, advice, knob curves, sweeps."""
