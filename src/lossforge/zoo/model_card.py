"""A loss and its card as text for people: Markdown that the Hugging Face hub shows."""

from collections.abc import Iterable, Sequence

from lossforge.analysis.explanation import explain
from lossforge.experiments.tables import Table, number, p_value
from lossforge.losses import Loss
from lossforge.losses.zoo import PREFIX, Card, Check

TAGS = ("lossforge", "loss-function", "meta-learning", "pytorch")

VERDICTS = {
    "better": "It is better than the best handcrafted loss on",
    "no difference": "No difference is shown on",
    "worse": "It is worse than the best handcrafted loss on",
    "diverged": "A network diverged under it on",
}
"""verdicts of checks as beginnings of sentences, in the order in which they are told"""


def card_table(card: Card) -> Table:
    """Return the checks of a card as a table.

    Examples:
        >>> from lossforge.losses import zoo
        >>> card_table(zoo.card("evomal-digits")).columns[:3]
        ('task', 'best handcrafted', 'its test')
    """
    return Table(
        f"{PREFIX}{card.name} and the best handcrafted loss, each at its best learning rate",
        ("task", "best handcrafted", "its test", "its rate", "test", "rate", "difference", "p"),
        tuple(_row(check, card) for check in card.checks),
        text_columns=2,
        notes=(
            f"Test metrics after {_several(check.steps for check in card.checks)} steps with "
            f"{_several(check.model for check in card.checks)}, means of "
            f"{_several(check.seeds for check in card.checks)} seeds; lower is better. Losses and "
            "learning rates are chosen on validation rows. p is Wilcoxon's, paired by seed, not "
            f"corrected for the {len(card.checks)} tests.",
            *(["* The loss was found on this task."] if card.elsewhere != card.checks else []),
        ),
    )


def model_card(loss: Loss, card: Card | None = None, *, repo: str = "", classes: int = 10) -> str:
    """Return the model card of a loss in Markdown, as the Hugging Face hub reads it.

    Args:
        loss: that the card is about.
        card: what is known of it; without one, the text says what the loss is and does.
        repo: of the hub where the loss will be; the zoo where empty.
        classes: outputs on which a classification loss without a card is explained.

    Examples:
        >>> from lossforge.losses import Huber
        >>> print(model_card(Huber(0.5), repo="me/huber").splitlines()[8])
        # huber:delta=0.5
    """
    findings, warnings = _explained(loss, card, classes)
    license_line = [] if card is None else [f"license: {card.license.lower()}"]
    head = ["---", *license_line, "library_name: lossforge", "tags:", *(f"- {t}" for t in TAGS)]
    title = str(loss) if card is None else card.name
    lines = [*head, "---", f"# {title}", "", *_what_it_is(loss), "", *_use(card, repo)]
    if card is not None:
        lines += ["", *_origin(card), "", *_where_it_helps(card)]
    lines += ["", "## What it does", "", *(f"- **{label}**: {told}" for label, told in findings)]
    if warnings:
        lines += ["", "## Warnings", "", *(f"- {each}" for each in warnings)]
    return "\n".join(lines) + "\n"


def _explained(
    loss: Loss, card: Card | None, classes: int
) -> tuple[Sequence[tuple[str, str]], Sequence[str]]:
    if card is not None:
        return card.findings, card.warnings
    told = explain(loss, classes)
    return [line for line in told.lines() if line[0] != "loss"], told.warnings


def _what_it_is(loss: Loss) -> list[str]:
    return [
        f"A loss for {loss.kind.name}, of targets y and predictions p, summed over the outputs:",
        "",
        f"    {loss}",
    ]


def _use(card: Card | None, repo: str) -> list[str]:
    call = f'lf.from_hub("{repo}")' if repo or card is None else f'lf.zoo.load("{card.name}")'
    return [
        "```python",
        "import lossforge as lf",
        "",
        f"loss = {call}",
        "loss(outputs, targets).backward()",
        "```",
    ]


def _origin(card: Card) -> list[str]:
    origin = card.origin
    rival = number(origin.rival_test)
    return [
        "## Where it is from",
        "",
        f"Found by {origin.method} (lossforge {origin.version}, seed {origin.seed}) on "
        f"{origin.task} with {origin.model}:",
        "",
        f"    {origin.command}",
        "",
        f"There its test {origin.metric} was {number(origin.test)} at its best learning rate, "
        f"{origin.rate:g}; that of {origin.rival}, the best handcrafted loss, {rival} at "
        f"{origin.rival_rate:g}. The search chose the loss on this task, so this is no fair test "
        "of it.",
    ]


def told_verdicts(checks: Sequence[Check]) -> str:
    """Return what checks show, in sentences that name the tasks."""
    return " ".join(
        f"{beginning} {', '.join(tasks)}."
        for verdict, beginning in VERDICTS.items()
        if (tasks := [check.task for check in checks if check.verdict == verdict])
    )


def _where_it_helps(card: Card) -> list[str]:
    own = [check for check in card.checks if check.task == card.origin.task]
    found_on = [f"On the task that it was found on: {told_verdicts(own)}", ""] if own else []
    return [
        "## Where it helps, and where it does not",
        "",
        "Against the best handcrafted loss on tasks that it was not found on: "
        f"{told_verdicts(card.elsewhere)}",
        "",
        *found_on,
        *card_table(card).markdown().splitlines(),
        "",
        f"    {card.check_command}",
        "",
        f"Its gradients are {card.rate_factor:.3g} times as large as the default loss's at the "
        "start of training: divide a learning rate that suits the default loss by that.",
    ]


def _row(check: Check, card: Card) -> tuple[str, ...]:
    return (
        f"{check.task}{'*' if check.task == card.origin.task else ''}",
        check.rival,
        number(check.rival_test),
        f"{check.rival_rate:g}",
        number(check.test),
        f"{check.rate:g}",
        "diverged" if check.difference is None else f"{check.difference:+.4f}",
        p_value(check.p),
    )


def _several(values: Iterable[object]) -> str:
    return " or ".join(map(str, dict.fromkeys(values)))
