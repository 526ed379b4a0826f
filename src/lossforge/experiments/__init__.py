"""Experiments: searches, trainings and comparisons from first to last."""
