"""Evaluation of completion: real pictures, holes by their share of the picture, completions, numbers, a report."""
