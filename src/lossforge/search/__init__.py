"""What all searches share: the loop, fitness, racing, meta-training and re-evaluation."""

from lossforge.search.method import Found, FrontMember, Journal, Method, Silent, State
from lossforge.search.problem import BaseTraining, Problem, pose

__all__ = [
    "BaseTraining",
    "Found",
    "FrontMember",
    "Journal",
    "Method",
    "Problem",
    "Silent",
    "State",
    "pose",
]
