"""What a person sees: console, progress, summaries.  Reads events and results only."""
