"""xstilts: does English intermediate-task training make XLM-R better in other languages?"""

__version__ = "0.1.0"
