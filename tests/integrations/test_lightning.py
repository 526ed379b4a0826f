"""The adaptive loss under the real Lightning trainer, with modules as people write them."""

import random
from copy import deepcopy
from dataclasses import replace
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

from lossforge.errors import ConfigurationError
from lossforge.methods import AdaLFL

lightning = pytest.importorskip("lightning", reason="lightning is an optional extra")
pytestmark = pytest.mark.filterwarnings("ignore")

from lightning.pytorch.callbacks import Callback, ModelCheckpoint  # noqa: E402
from lightning.pytorch.loggers import CSVLogger  # noqa: E402

from lossforge.integrations.lightning import AdaLFLCallback, AdaptiveLoss  # noqa: E402

QUICK = AdaLFL(
    warm_up_steps=2,
    warm_up_horizons=(2,),
    warm_up_scales=(1,),
    warm_up_numbers=(0.1,),
    meta_learning_rate=1e-2,
)


def loaders(dtype=torch.float32) -> tuple[DataLoader, DataLoader]:
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(96, 5, generator=draw, dtype=dtype)
    y = (x[:, 0] > 0).long() + (x[:, 1] > 0).long()
    return (
        DataLoader(TensorDataset(x[:64], y[:64]), batch_size=16, shuffle=True),
        DataLoader(TensorDataset(x[64:], y[64:]), batch_size=16),
    )


class Classifier(lightning.LightningModule):
    """A module with a training step of its own, a schedule, logging, counters and a penalty."""

    def __init__(self, penalty: float = 0.0, dropout: float = 0.1, optimizer: str = "sgd"):
        super().__init__()
        self.save_hyperparameters()
        torch.manual_seed(0)
        self.net = nn.Sequential(
            nn.Linear(5, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(dropout), nn.Linear(16, 3)
        )
        self.criterion = AdaptiveLoss(QUICK, outputs=3)
        self.runs, self.seen = 0, []

    def training_step(self, batch, batch_idx):
        x, y = batch
        self.runs += 1
        self.seen.append(batch_idx)
        self.log("runs", float(self.runs))
        x = x + 0.01 * random.random() * torch.randn_like(x)
        loss = self.criterion(self.net(x), y)
        if self.hparams.penalty:
            loss = loss + self.hparams.penalty * sum(
                p.square().sum() for p in self.net.parameters()
            )
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        outputs = self.net(x)
        self.log("valid_loss", self.criterion.task_loss(outputs, y))
        self.log("present_loss", self.criterion(outputs, y))

    def test_step(self, batch, batch_idx):
        x, y = batch
        self.log("test_loss", self.criterion(self.net(x), y))

    def configure_optimizers(self):
        if self.hparams.optimizer == "sgd":
            optimizer = torch.optim.SGD(self.parameters(), 0.1, momentum=0.9, nesterov=True)
        else:
            optimizer = torch.optim.AdamW(self.parameters(), 0.01)
        schedule = torch.optim.lr_scheduler.StepLR(optimizer, 2, gamma=0.5)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


def trainer(folder, callbacks=(), **settings):
    return lightning.Trainer(
        **{
            "max_steps": 6,
            "default_root_dir": folder,
            "accelerator": "cpu",
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "num_sanity_val_steps": 1,
            "callbacks": list(callbacks),
        }
        | settings
    )


class Replay(Callback):
    """Keeps a copy of the loss before each step, or trains under the copies that were kept."""

    def __init__(self, kept=None):
        self.kept, self.replays, self.index = [] if kept is None else kept, kept is not None, 0
        self.steps = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if batch_idx % trainer.accumulate_grad_batches:
            return
        if self.replays:
            pl_module.criterion.loss = self.kept[self.index]
            self.index += 1
        else:
            self.kept.append(deepcopy(pl_module.criterion.loss).requires_grad_(False))

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.steps.append([p.detach().clone() for p in pl_module.parameters()])


def adapted_and_plain(tmp_path, *, dtype=torch.float32, module=Classifier, **settings):
    """Return both modules' weights after each step, and the modules."""
    found = []
    kept = None
    for plain in (False, True):
        own = module()
        replay = Replay(kept)
        callbacks = [replay] if plain else [own.criterion.callback(), replay]
        torch.manual_seed(1)
        random.seed(1)
        fitted = trainer(tmp_path, callbacks, **settings)
        fitted.fit(own, *loaders(dtype))
        kept = replay.kept
        found.append((own, fitted, replay))
    return found


def require_same_training(adapted, plain):
    (own, fitted, replay), (other, reference, expected) = adapted, plain
    assert len(replay.steps) == len(expected.steps) > 0
    for mine, theirs in zip(replay.steps, expected.steps, strict=True):
        for a, b in zip(mine, theirs, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)
    for (name, a), (_, b) in zip(own.named_buffers(), other.named_buffers(), strict=True):
        torch.testing.assert_close(a, b, msg=name)
    assert own.runs == other.runs
    assert own.seen == other.seen
    assert fitted.global_step == reference.global_step
    for name, value in reference.logged_metrics.items():
        if not name.startswith("present_loss"):  # of the loss after the last update
            torch.testing.assert_close(fitted.logged_metrics[name], value, msg=name)
    first, last = replay.kept[0].state_dict(), replay.kept[-1].state_dict()
    assert any(not torch.equal(first[name], last[name]) for name in first)  # the loss did adapt


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"accumulate_grad_batches": 2, "max_steps": 3},
        {"gradient_clip_val": 0.1},
        {"gradient_clip_val": 0.02, "gradient_clip_algorithm": "value"},
        {"precision": "bf16-mixed"},
        {"precision": "16-mixed"},
        {"max_steps": -1, "max_epochs": 2, "val_check_interval": 2},
        {"module": partial(Classifier, penalty=0.01)},
        {"module": partial(Classifier, penalty=0.01), "accumulate_grad_batches": 2, "max_steps": 3},
        {"module": partial(Classifier, optimizer="adamw")},
    ],
    ids=str,
)
def test_training_is_plain_training_under_the_same_loss(tmp_path, settings):
    require_same_training(*adapted_and_plain(tmp_path, **settings))


def test_double_precision(tmp_path):
    require_same_training(
        *adapted_and_plain(tmp_path, dtype=torch.float64, precision="64-true", max_steps=3)
    )


class Seeded(Callback):
    """Makes every step's random numbers those of its number."""

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        torch.manual_seed(trainer.global_step)
        random.seed(trainer.global_step)


def in_order() -> tuple[DataLoader, DataLoader]:
    train, valid = loaders()
    return DataLoader(train.dataset, batch_size=16), DataLoader(valid.dataset, 8, shuffle=True)


def test_a_resumed_training_is_the_uninterrupted_one(tmp_path):
    whole = Classifier()
    each = ModelCheckpoint(tmp_path, "{step}", every_n_train_steps=4, save_top_k=-1)
    callbacks = [Seeded(), whole.criterion.callback(), each]
    trainer(tmp_path, callbacks, max_steps=8, enable_checkpointing=True).fit(whole, *in_order())
    assert sorted(path.name for path in tmp_path.glob("*.ckpt")) == [
        f"step={step}.ckpt" for step in (4, 8)
    ]
    resumed = Classifier()
    callbacks = [Seeded(), resumed.criterion.callback()]
    again = trainer(tmp_path, callbacks, max_steps=8)
    again.fit(resumed, *in_order(), ckpt_path=tmp_path / "step=4.ckpt", weights_only=True)
    assert again.global_step == 8
    assert callbacks[1].training.steps == 8
    for one, other in ((resumed, whole), (resumed.criterion.loss, whole.criterion.loss)):
        for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_the_loss_learns_as_in_a_loop_of_one_s_own(tmp_path):
    class Plain(Classifier):
        def training_step(self, batch, batch_idx):
            return self.criterion(self.net(batch[0]), batch[1])

    class Validated(Callback):
        def __init__(self, callback):
            self.callback, self.batches = callback, []

        def on_train_start(self, trainer, pl_module):
            run = self.callback._run
            draw = run._valid._prepare
            run._valid._prepare = lambda batch: self.batches.append(batch) or draw(batch)
            self.began = deepcopy(self.callback.training.state_dict())

    own = Plain(dropout=0.0)
    callback = own.criterion.callback()
    watch = Validated(callback)
    train, valid = in_order()
    trainer(tmp_path, [callback, watch]).fit(own, train, valid)
    other = Plain(dropout=0.0)
    optimizer = other.configure_optimizers()["optimizer"]
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 2, gamma=0.5)
    adapt = QUICK.attach(other.net, optimizer, outputs=3)
    adapt.load_state_dict(watch.began)
    batches = [tuple(batch) for _ in range(2) for batch in train]
    for batch, held_out in zip(batches[:6], watch.batches, strict=True):
        adapt.step(batch, tuple(held_out))
        schedule.step()
    for one, two in ((own.net, other.net), (own.criterion.loss, adapt.loss)):
        for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_the_loss_is_no_part_of_the_module_and_evaluates_anywhere(tmp_path):
    own = Classifier()
    assert not any("criterion" in name for name in own.state_dict())
    train, valid = in_order()
    fitted = trainer(tmp_path, [own.criterion.callback()])
    before = fitted.validate(own, valid, verbose=False)[0]
    assert before["present_loss"] == pytest.approx(before["valid_loss"])  # the task loss as yet
    fitted.fit(own, train, valid)
    path = tmp_path / "last.ckpt"
    fitted.save_checkpoint(path)
    torch.load(path, weights_only=True)
    expected = fitted.test(own, valid, verbose=False)[0]["test_loss"]
    assert "training_step" not in vars(own)
    loaded = Classifier.load_from_checkpoint(path, weights_only=True)
    again = trainer(tmp_path, [loaded.criterion.callback()])
    found = again.test(loaded, valid, ckpt_path=path, verbose=False, weights_only=True)[0]
    assert found["test_loss"] == pytest.approx(expected)
    assert found["test_loss"] != pytest.approx(
        again.validate(loaded, valid, verbose=False)[0]["valid_loss"], rel=1e-3
    )


def test_a_second_fit_goes_on_with_the_loss(tmp_path):
    own = Classifier()
    callback = own.criterion.callback()
    trainer(tmp_path, [callback], max_steps=3).fit(own, *in_order())
    first = deepcopy(own.criterion.loss.state_dict())
    trainer(tmp_path, [callback], max_steps=1).fit(own, *in_order())
    assert callback.training.steps == 4
    moved = [(a - first[name]).abs().max() for name, a in own.criterion.loss.state_dict().items()]
    assert 0 < max(moved) < 3 * QUICK.meta_learning_rate  # one step of Adam, and no warm-up


def test_the_task_loss_is_logged_and_repeated_runs_are_not(tmp_path):
    class Logging(Classifier):
        def training_step(self, batch, batch_idx):
            self.logger.experiment.log_metrics({"by_hand": float(self.runs)}, self.runs)
            return super().training_step(batch, batch_idx)

    own = Logging()
    logger = CSVLogger(tmp_path)
    trainer(tmp_path, [own.criterion.callback()], logger=logger, log_every_n_steps=1).fit(
        own, *in_order()
    )
    logger.save()
    text = next(tmp_path.rglob("metrics.csv")).read_text().splitlines()
    header = text[0].split(",")
    table = [dict(zip(header, line.split(","), strict=True)) for line in text[1:]]
    assert sum(bool(row["adalfl/task_loss"]) for row in table) == 6
    assert [float(row["by_hand"]) for row in table if row["by_hand"]] == [0, 1, 2, 3, 4, 5]


def test_batches_may_be_mappings_that_a_step_takes_apart(tmp_path):
    class Mapped(Classifier):
        def training_step(self, batch, batch_idx):
            return self.criterion(self.net(batch["x"]), batch.pop("y"))

        def validation_step(self, batch, batch_idx):
            pass

    def mapped(loader):
        rows = [{"x": x, "y": y} for x, y in loader.dataset]
        return DataLoader(rows, batch_size=16)

    own = Mapped()
    train, valid = in_order()
    trainer(tmp_path, [own.criterion.callback(mapped(valid))]).fit(own, mapped(train))


def test_a_loop_s_own_clipping_is_followed(tmp_path):
    class Clipping(Classifier):
        def configure_gradient_clipping(
            self, optimizer, gradient_clip_val, gradient_clip_algorithm
        ):
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

    require_same_training(*adapted_and_plain(tmp_path, module=Clipping, gradient_clip_val=0.1))


class Twice(Classifier):
    def training_step(self, batch, batch_idx):
        return self.criterion(self.net(batch[0]), batch[1]) + self.criterion(
            self.net(batch[0]), batch[1]
        )


class Never(Classifier):
    def training_step(self, batch, batch_idx):
        if self.trainer.global_step > 0:
            return F.cross_entropy(self.net(batch[0]), batch[1])
        return super().training_step(batch, batch_idx)


class Squared(Classifier):
    def training_step(self, batch, batch_idx):
        return self.criterion(self.net(batch[0]), batch[1]).square()


class Weighted(Classifier):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def training_step(self, batch, batch_idx):
        return self.weight * self.criterion(self.net(batch[0]), batch[1])


class Meddling(Classifier):
    def on_before_optimizer_step(self, optimizer):
        for theta in self.parameters():
            theta.grad.mul_(0.5)


class Manual(Classifier):
    def __init__(self):
        super().__init__()
        self.automatic_optimization = False


class Lbfgs(Classifier):
    def configure_optimizers(self):
        return torch.optim.LBFGS(self.parameters())


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (Twice, "more than once"),
        (Never, "not call the adaptive loss"),
        (Squared, "times a constant"),
        (Weighted, "times a constant"),
        (Meddling, "something changed them"),
        (Manual, "automatic optimization"),
        (Lbfgs, "cannot follow LBFGS"),
    ],
)
def test_what_a_loss_cannot_adapt_to_is_an_error(tmp_path, module, message):
    own = module()
    with pytest.raises(ConfigurationError, match=message):
        trainer(tmp_path, [own.criterion.callback()]).fit(own, *in_order())
    assert "training_step" not in vars(own)


def test_what_is_missing_or_contradicts_is_an_error(tmp_path):
    train, valid = in_order()
    own = Classifier()
    with pytest.raises(ConfigurationError, match="val_dataloaders"):
        trainer(tmp_path, [own.criterion.callback()]).fit(own, train)
    with pytest.raises(ConfigurationError, match="valid_loader"):
        trainer(tmp_path, [own.criterion.callback()], num_sanity_val_steps=0).fit(
            own, train, [valid, valid]
        )
    with pytest.raises(ConfigurationError, match="callbacks="):
        trainer(tmp_path).fit(Classifier(), train, valid)
    other = AdaptiveLoss(AdaLFL(clip_norm=1.0), outputs=3)
    with pytest.raises(ConfigurationError, match="gradient_clip_val"):
        trainer(tmp_path, [AdaLFLCallback(other)]).fit(own, train, valid)


def test_learning_every_second_step(tmp_path):
    own = Classifier()
    own.criterion = AdaptiveLoss(replace(QUICK, every=2), outputs=3)
    callback = own.criterion.callback()
    trainer(tmp_path, [callback], max_steps=4).fit(own, *in_order())
    assert callback.training.meta_optimizer.state_dict()["state"][0]["step"] == 2


class Even(Classifier):
    """Nothing in it depends on how a batch is divided."""

    def __init__(self):
        super().__init__()
        # The best temperature of the default form's objective is that of a process's own rows.
        self.criterion = AdaptiveLoss(replace(QUICK, form=""), outputs=3)
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(5, 16), nn.Tanh(), nn.Linear(16, 3))

    def training_step(self, batch, batch_idx):
        penalty = sum(p.square().sum() for p in self.net.parameters())
        return self.criterion(self.net(batch[0]), batch[1]) + 0.01 * penalty

    def train_dataloader(self):
        return self.divided(loaders()[0].dataset)

    def val_dataloader(self):
        return self.divided(loaders()[1].dataset)

    def divided(self, dataset):
        world, rank = self.trainer.world_size, self.trainer.global_rank
        return DataLoader(
            dataset, 16 // world, sampler=DistributedSampler(dataset, world, rank, shuffle=False)
        )


class Written(Callback):
    """Writes what a process ends with."""

    def __init__(self, folder):
        self.folder = folder

    def on_train_end(self, trainer, pl_module):
        state = {"net": pl_module.net.state_dict(), "loss": pl_module.criterion.loss.state_dict()}
        torch.save(state, self.folder / f"{trainer.world_size}-{trainer.global_rank}.pt")


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="processes are forked")
@pytest.mark.parametrize(
    "settings", [{}, {"gradient_clip_val": 0.05}, {"accumulate_grad_batches": 2}]
)
def test_two_processes_train_as_one(tmp_path, settings):
    for processes in (1, 2):
        own = Even()
        trainer(
            tmp_path,
            [own.criterion.callback(), Written(tmp_path)],
            max_steps=3,
            strategy="ddp_fork" if processes > 1 else "auto",
            devices=processes,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            **settings,
        ).fit(own)
    whole, first, second = (
        torch.load(tmp_path / f"{name}.pt", weights_only=True) for name in ("1-0", "2-0", "2-1")
    )
    for part in ("net", "loss"):
        for name, value in whole[part].items():
            torch.testing.assert_close(first[part][name], second[part][name], rtol=0, atol=0)
            # The loss is moved by Adam, which makes rounding large.
            atol = 1e-6 if part == "net" else 1e-5
            torch.testing.assert_close(first[part][name], value, rtol=1e-4, atol=atol)


def test_the_network_may_be_compiled_but_not_the_step(tmp_path):
    own = Classifier()
    with pytest.raises(ConfigurationError, match=r"self\.net = torch\.compile"):
        trainer(tmp_path, [own.criterion.callback()]).fit(
            torch.compile(own, backend="eager"), *in_order()
        )
    own = Classifier()
    own.net = torch.compile(own.net, backend="eager")
    callback = own.criterion.callback()
    trainer(tmp_path, [callback], max_steps=2).fit(own, *in_order())
    assert callback.training.steps == 2


def test_a_training_step_without_the_index(tmp_path):
    class Short(Classifier):
        def training_step(self, batch):
            return self.criterion(self.net(batch[0]), batch[1])

    own = Short()
    callback = own.criterion.callback()
    trainer(tmp_path, [callback], max_steps=2).fit(own, *in_order())
    assert callback.training.steps == 2
