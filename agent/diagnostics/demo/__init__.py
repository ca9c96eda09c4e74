"""The demo: one simulated lane of real parts (broker, controller on a pseudo-terminal, models, signed roster), told as a timeline.

site.py lays out the site, play.py runs the processes, judge.py reads the facts from the controller's log and the collector's store,
report.py tells them.
"""
