"""The crash matrix: a run is killed at each of its points, and what the next one makes of it is judged from outside."""
