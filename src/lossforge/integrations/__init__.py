"""AdaLFL inside other people's training loops; each file needs its package (optional extras)."""
