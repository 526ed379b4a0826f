"""A training recipe as a script that needs no lossforge: the loss, its learning rate and schedule.

The script trains a network of the person's own on data loaders of their own. It does what
``lossforge train`` does: the same loss, optimizer, schedule and clipping, and the weights that do
best on validation data.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from lossforge.errors import ConfigurationError, RunError
from lossforge.experiments.arguments import LossLike, from_plain
from lossforge.experiments.closing import LEARNED
from lossforge.losses import Loss
from lossforge.losses.resolve import resolve_loss
from lossforge.methods.adaptive import is_adaptive
from lossforge.runs import RunFolder
from lossforge.runs.folder import LOSS
from lossforge.training.full import FIRST, LAST, RISE, Recipe


class Trained(NamedTuple):
    """What a script trains with.

    Attributes:
        loss: fixed.
        recipe: of the training.
    """

    loss: Loss
    recipe: Recipe


def recipe_of(source: LossLike) -> Trained | None:
    """Return the loss and the recipe that a run ends with, None where `source` is no run.

    Args:
        source: the folder of a complete ``lossforge train`` or ``lossforge search``; of a search,
            the loss that it recommends at the learning rate that it recommends.

    Raises:
        RunError: the run is not complete, or of another command.
        ConfigurationError: its loss adapts while a network trains.
    """
    if not isinstance(source, str | Path) or not (Path(source) / "config.json").is_file():
        return None
    folder = RunFolder.open(Path(source))
    config, result = folder.config, folder.result
    if result is None:
        raise RunError(f"{source} is not complete; go on with `lossforge resume {source}`")
    if "tasks" in result:
        raise RunError(
            f"{source} is a search on several tasks, and recommends something on each; export its "
            f"loss: lossforge export {source}/{LOSS} --to torch"
        )
    if config["command"] == "train":
        return _of_training(config, folder)
    if "recommended" in result:
        return _of_search(config, result, folder)
    raise RunError(f"{source} is a run of {config['command']}; give one of train or search")


def _of_training(config: dict[str, Any], folder: RunFolder) -> Trained:
    if is_adaptive(config["loss"]):
        raise ConfigurationError(
            f"{config['loss']} adapts while a network trains, which needs lossforge; export the "
            f"loss that it ended with: lossforge export {folder.path}/loss.json --to torch"
        )
    saved = config.get("loss_objects", ())
    name = config["loss"]
    where = folder.path / "losses" / f"{saved.index(name)}.json" if name in saved else name
    return Trained(resolve_loss(str(where)), from_plain(Recipe, config["recipe"]))


def _of_search(config: dict[str, Any], result: dict[str, Any], folder: RunFolder) -> Trained:
    recommended = result["recommended"]
    loss = folder.loss if recommended["name"] == LEARNED else None
    if loss is None:
        loss = resolve_loss(recommended["name"])
    names = ("momentum", "nesterov", "weight_decay", "batch_size")
    base = {name: config["settings"][name] for name in names if name in config["settings"]}
    recipe = replace(
        Recipe(),
        learning_rate=recommended["rate"],
        steps=result["compare_steps"],
        check_every=max(1, result["compare_steps"] // 10),
        **base,
    )
    return Trained(loss, recipe)


def write_script(loss_source: str, recipe: Recipe) -> str:
    """Return a standalone script.

    Args:
        loss_source: Python text that imports torch and defines ``loss(outputs, targets)``.
        recipe: of the training.
    """
    header, _, definitions = loss_source.partition("import torch\n")
    return "".join(
        [
            header,
            "import copy\nimport math\n\nimport torch\n",
            definitions.rstrip("\n"),
            f"\n\n\n{_schedule(recipe)}\n\n{_optimizer(recipe)}\n\n{_training(recipe)}",
        ]
    )


def _schedule(recipe: Recipe) -> str:
    rate = repr(recipe.learning_rate)
    if recipe.schedule == "cosine":
        body = f"return {rate} * 0.5 * (1 + math.cos(math.pi * step / steps))"
    elif recipe.schedule == "multistep":
        body = (
            f"passed = sum(step >= share * steps for share in {recipe.milestones!r})\n"
            f"    return {rate} * {recipe.decay!r} ** passed"
        )
    elif recipe.schedule == "one_cycle":
        body = (
            f"peak, last = max(0.0, {RISE!r} * steps - 1), steps - 1\n"
            f"    begin, end, share = ({FIRST!r}, 1.0, step / peak) if step < peak else "
            f"(1.0, {LAST!r}, 0.0)\n"
            "    if step >= peak and last > peak:\n"
            "        share = (step - peak) / (last - peak)\n"
            "    factor = end + (begin - end) * 0.5 * (1 + math.cos(math.pi * share))\n"
            f"    return {rate} * factor"
        )
    else:
        body = f"return {rate}"
    return (
        "def learning_rate(step, steps):\n"
        f'    """The {recipe.schedule} schedule; the first step is 0."""\n    {body}\n'
    )


def _optimizer(recipe: Recipe) -> str:
    decay = f"weight_decay={recipe.weight_decay!r}"
    if recipe.optimizer == "sgd":
        options = f"momentum={recipe.momentum!r}, nesterov={recipe.nesterov}, {decay}"
        made = f"torch.optim.SGD(parameters, {recipe.learning_rate!r}, {options})"
    else:
        rule = {"adam": "Adam", "adamw": "AdamW"}[recipe.optimizer]
        made = f"torch.optim.{rule}(parameters, {recipe.learning_rate!r}, {decay})"
    return f"def make_optimizer(parameters):\n    return {made}\n"


def _training(recipe: Recipe) -> str:
    clip = (
        ""
        if recipe.clip_norm is None
        else f"torch.nn.utils.clip_grad_norm_(model.parameters(), {recipe.clip_norm!r})\n        "
    )
    return f'''def train(model, train_loader, validate=None, steps={recipe.steps}):
    """Train a model, and give it the weights that did best.

    The recipe was made for batches of {recipe.batch_size} rows.

    Args:
        model: returns outputs [B, C] for a batch of inputs.
        train_loader: yields batches (inputs, targets), in a new order each time.
        validate: returns the error of the model, lower is better; None keeps the last weights.
        steps: batches to train on.
    """
    optimizer = make_optimizer([p for p in model.parameters() if p.requires_grad])
    best, weights, batches = math.inf, None, iter(())
    for step in range(steps):
        try:
            inputs, targets = next(batches)
        except StopIteration:
            batches = iter(train_loader)
            inputs, targets = next(batches)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps)
        model.train()
        optimizer.zero_grad()
        loss(model(inputs), targets).backward()
        {clip}optimizer.step()
        if validate is not None and ((step + 1) % {recipe.check_every} == 0 or step + 1 == steps):
            model.eval()
            with torch.no_grad():
                error = float(validate(model))
            if error < best:
                best, weights = error, copy.deepcopy(model.state_dict())
    if weights is not None:
        model.load_state_dict(weights)
    model.eval()
    return best
'''
