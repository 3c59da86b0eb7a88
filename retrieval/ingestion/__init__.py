"""Uploaded files to searchable pages: intake.Intake takes them, worker.Worker works on them, limits.Limits bounds both.

Nothing is imported here: the rendering process starts from this package and must start fast.
"""
