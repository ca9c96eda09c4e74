"""The pure core: standard library only, no clock, threads, files or logging. Time is an input."""
