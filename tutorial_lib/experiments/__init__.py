"""What a chapter reruns live and its benchmark runs in full: the same functions for both, so that the rows agree."""
