"""Templates, their comparison and the search of a roster: numpy and the core's vocabulary, no models, no files, no clock.

Every score is "higher is more alike". Start at `gallery.build` and `Gallery.identify`.
"""
