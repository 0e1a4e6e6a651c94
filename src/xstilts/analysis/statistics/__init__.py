"""Tools that turn tables of changes into answers, held to their error rates by `benchmarks/calibrate.py`.

Arrays carry any number of leading axes, so that thousands of simulated tables pass through the same code as one study.
The last two axes are [seeds, languages] unless a function says otherwise.
"""
