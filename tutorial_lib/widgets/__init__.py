"""Sliders in, plots out. Each widget is a pure ``state -> View(png, numbers, alt)`` and thin controls around it.

``canvas``      fast redrawing: kept pixels, only what moved is drawn again
``frame``       question, guess, content, and one sentence to complete
``microscope``  a trained flow layer by layer (chapters 05, 06)
``bench``       parts of a flow switched off (chapter 05)
``threshold``   where would you draw the line? (chapter 00)
"""
