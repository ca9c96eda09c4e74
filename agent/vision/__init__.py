"""From a frame to what the core is told of it: faces, tracks, samples, probes, comparisons. No thread, no queue, no clock.

Start at `recogniser.Recogniser.see`.
"""
