"""Binary classification: malignant or benign (569 biopsies, scikit-learn's breast_cancer)."""

from protocol import arguments, search

from lossforge.tasks import load

search(load("breast_cancer", split_seed=arguments().seed), "mlp:width=32", arguments())
