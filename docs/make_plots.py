"""Draw every plot of the documents again, and write the zoo's page: python docs/make_plots.py"""

from pathlib import Path

import torch
from matplotlib.figure import Figure

from lossforge.analysis.plots import force_figure
from lossforge.losses import SymbolicLoss
from lossforge.losses.resolve import resolve_loss
from lossforge.zoo import Card, card, card_table, names, told_verdicts

IMAGES = Path(__file__).parent / "images"
PAGE = Path(__file__).parent / "zoo.md"

FOUND_ON_DIGITS = "-0.1433*(5.611 - 299.6*p*y)*log(0.5432*p)"
"""the loss in the README"""

CLASSES = 10
GUESS = torch.tensor([1 / CLASSES])
LOSSES = {
    "cross-entropy": "cross_entropy",
    "label smoothing 0.1": "label_smoothing:smoothing=0.1",
    "SparseLSR 0.1": "sparse_lsr:smoothing=0.1",
    "focal, gamma 2": "focal:gamma=2",
    "Poly-1, epsilon 1": "poly1:epsilon=1",
    "generalized CE, q 0.7": "generalized_cross_entropy:power=0.7",
}
# Okabe and Ito's colors, which color-blind readers tell apart.
COLORS = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#D55E00", "#CC79A7")


def pull(loss: str, probability: torch.Tensor) -> torch.Tensor:
    """Return minus the derivative with respect to the target's logit, all others being equal."""
    logit = (probability / (1 - probability)).log() + torch.tensor(CLASSES - 1.0).log()
    outputs = torch.zeros(len(probability), CLASSES)
    outputs[:, 0] = logit
    outputs.requires_grad_()
    labels = torch.zeros(len(probability), dtype=torch.int64)
    resolve_loss(loss)(outputs, labels).mul(len(probability)).backward()
    return -outputs.grad[:, 0]


def gallery() -> Figure:
    """Return the pull of losses of the library, by the probability of the right class."""
    # SparseLSR lies on label smoothing where all other classes are equally likely, as here.
    lines = {name: "--" if "SparseLSR" in name else "-" for name in LOSSES}
    return pulls({name: (loss, 1.0) for name, loss in LOSSES.items()}, lines)


def zoo_gallery() -> Figure:
    """Return the pull of the zoo's losses beside cross-entropy's, all equal at a guess."""
    # Ten classes are drawn: one that was found on two is another loss there.
    cards = [each for each in map(card, names()) if each.classes > 2]
    shown = {"cross-entropy": ("cross_entropy", 1.0)}
    for found in cards:
        loss = f"zoo:{found.name}"
        at_guess = pull("cross_entropy", GUESS) / pull(loss, GUESS)
        shown[found.name] = (loss, float(at_guess[0]))
    return pulls(shown, {})


def pulls(losses: dict[str, tuple[str, float]], lines: dict[str, str]) -> Figure:
    """Return the pull of losses, each times a factor, by the probability of the right class."""
    probability = torch.linspace(0.002, 0.998, 400)
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    for (name, (loss, factor)), color in zip(losses.items(), COLORS, strict=False):
        line = lines.get(name, "-")
        axes.plot(probability, factor * pull(loss, probability), line, label=name, color=color)
    axes.axhline(0, color="gray", linewidth=0.8)
    axes.grid(color="#e4e4e4", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.set_xlabel("probability of the right class (ten classes)")
    axes.set_ylabel("pull on its logit")
    axes.legend(frameon=False)
    return figure


INTRODUCTION = """\
# The zoo

Learned losses that ship with lossforge. Each has a card, which says what it was found on, where
it helps and where it does not. No figure on this page is typed by hand: `benchmarks/make_zoo.py`
makes the cards from the runs, and `python docs/make_plots.py` this page from the cards.

```
lossforge list zoo
lossforge compare --losses cross_entropy zoo:NAME --task wine
lossforge train --task wine --loss zoo:NAME
lossforge search evomal --task wine --seed-expressions zoo:NAME
```

```python
import lossforge as lf

loss = lf.zoo.load("evomal-digits")  # as any loss: loss(outputs, targets)
lf.zoo.card("evomal-digits").checks  # what the table below holds
```

`lf.push_to_hub("zoo:evomal-digits", "me/a-loss")` puts one on the Hugging Face hub with its card,
and `lf.from_hub("me/a-loss")` reads it back. A name keeps its loss for ever; a better loss gets
another name.

**What to expect.** A search finds a loss for its task. On other tasks, the losses below are
seldom better than the best handcrafted loss at its best learning rate, and some are much worse.
Take them as starting points of searches and as examples of what searches find, and compare before
you use one.

How they were checked: each loss and its rivals train the network of the table at three learning
rates; validation rows choose the rate and the rival; all train from the same six seeds on one
split. Trainings are short, and the grid of rates is short too. The searches ran before the quick
preset changed (git commit dede1ad): their commands name the options that differ from today's
where they existed then, and find other losses today.

![pull on the target's logit, by the probability of the right class](images/zoo.png)
"""


def zoo_page() -> str:
    """Return the zoo's page in Markdown."""
    return "\n".join([INTRODUCTION, *(section(card(name)) for name in names())])


def section(found: Card) -> str:
    """Return what the page says of one loss."""
    warnings = "".join(f"\n- {each}" for each in found.warnings) or " none"
    told = "\n".join(f"- {label}: {sentence}" for label, sentence in found.findings)
    return f"""\
## {found.name}

{found.about[:1].upper()}{found.about[1:]}.

    {found.formula}

{told_verdicts(found.checks)}

{card_table(found).markdown()}
Found by `{found.origin.command}`. At the start, its gradients are {found.rate_factor:.3g} times
the default loss's. What `lossforge explain zoo:{found.name}` says:

{told}

Warnings:{warnings}
"""


def main() -> None:
    """Write the plots, and the zoo's page."""
    zoo_gallery().savefig(IMAGES / "zoo.png", dpi=150)
    PAGE.write_text(zoo_page(), encoding="utf-8")
    figure = force_figure(SymbolicLoss(FOUND_ON_DIGITS), classes=10)
    figure.savefig(IMAGES / "found_on_digits.png", dpi=150)
    gallery().savefig(IMAGES / "gallery.png", dpi=150)


if __name__ == "__main__":
    main()
