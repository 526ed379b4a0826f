"""What all searches share: ask and tell, calibration, fitness, meta-training, re-evaluation."""

from lossforge.searching.archive import Archive, Evaluation
from lossforge.searching.calibrate import (
    Calibrated,
    Calibration,
    Calibrator,
    RatedLoss,
    handcrafted_rivals,
    rivals_of,
    weighs_classes,
)
from lossforge.searching.context import SearchContext
from lossforge.searching.fitness import Fitness, Race, Trial
from lossforge.searching.journal import Journal, NullJournal, Progress, State
from lossforge.searching.level import is_level
from lossforge.searching.meta_training import MetaTrainer, MetaTraining
from lossforge.searching.method import Method
from lossforge.searching.options import OptionName
from lossforge.searching.population import PopulationSearch
from lossforge.searching.problem import BaseTraining, Problem, make_problems
from lossforge.searching.reevaluation import Reevaluation
from lossforge.searching.result import FrontMember, SearchResult

__all__ = [
    "Archive",
    "BaseTraining",
    "Calibrated",
    "Calibration",
    "Calibrator",
    "Evaluation",
    "Fitness",
    "FrontMember",
    "Journal",
    "MetaTrainer",
    "MetaTraining",
    "Method",
    "NullJournal",
    "OptionName",
    "PopulationSearch",
    "Problem",
    "Progress",
    "Race",
    "RatedLoss",
    "Reevaluation",
    "SearchContext",
    "SearchResult",
    "State",
    "Trial",
    "handcrafted_rivals",
    "is_level",
    "make_problems",
    "rivals_of",
    "weighs_classes",
]
