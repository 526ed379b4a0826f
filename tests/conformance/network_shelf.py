"""Networks that are hard to differentiate: small transformers and modules with awkward habits.

Every network comes in training mode, with random weights, and takes milliseconds. All randomness
in a forward pass comes from PyTorch's generator, so that a saved state of it replays the pass.
"""

from conformance.nasty_networks import NASTY
from conformance.specimen import Specimen, read_logits, run_network
from conformance.transformer_networks import TRANSFORMERS

__all__ = ["NASTY", "TRANSFORMERS", "Specimen", "read_logits", "run_network"]
