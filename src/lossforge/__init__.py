"""lossforge learns the loss function that a network trains on."""

__version__ = "0.1.0"
