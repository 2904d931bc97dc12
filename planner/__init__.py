"""How many GPUs, which ones, laid out how, for how long, at what cost, and will it fit?"""

__version__ = "0.1.0"
