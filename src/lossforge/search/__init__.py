"""What all searches share: ask and tell, fitness, racing, meta-training and re-evaluation."""

from lossforge.search.archive import Archive, Evaluation
from lossforge.search.context import SearchContext
from lossforge.search.fitness import Fitness, Race, Trial
from lossforge.search.journal import Journal, NullJournal, Progress, State
from lossforge.search.meta_training import MetaTrainer, MetaTraining
from lossforge.search.method import Method
from lossforge.search.options import OptionName
from lossforge.search.population import PopulationSearch
from lossforge.search.problem import BaseTraining, Problem, make_problems
from lossforge.search.reevaluation import Reevaluation
from lossforge.search.result import FrontMember, SearchResult

__all__ = [
    "Archive",
    "BaseTraining",
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
    "Reevaluation",
    "SearchContext",
    "SearchResult",
    "State",
    "Trial",
    "make_problems",
]
