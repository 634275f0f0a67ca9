"""The steps of a run: accumulated batches, the running mean of the weights, and going on from a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from hubman.progress import silent
from hubman.train.adapters.network import Target
from hubman.train.adapters.network_plan import make_network
from hubman.train.capacity.team import Team
from hubman.train.encoding.encoded import Encoded
from hubman.train.encoding.material import TextStates, encode_items
from hubman.train.learning.checkpoint import State, last_checkpoint, save_checkpoint
from hubman.train.learning.course import Course
from hubman.train.learning.learner import Learner
from hubman.train.learning.rates import optimizer_for
from hubman.train.loss.flow import FlowMatching
from hubman.train.loss.objective import Objective
from hubman.train.recipe import Recipe
from hubman.train.recipe_data import read_data
from hubman.train.recipe_fields import changed
from tests.support.small_unet import SmallUnet, random_items

PLAIN = changed(
    Recipe(base="b", dataset="d", output="o", seed=3),
    {
        "length.steps": 8,
        "length.epochs": 1,
        "loss.min_snr_gamma": 0.0,
        "optimizer.unet_lr": 1e-2,
        "captions.shuffle": True,
        "captions.dropout": 0.3,
    },
)
ITEMS = random_items(5)
EVERYTHING: dict[str, Any] = {
    "length.accumulate": 2,
    "network.ema": 0.9,
    "noise.multires_iterations": 3,
    "noise.perturbation": 0.1,
    "timesteps.sampling": "logit_normal",
    "timesteps.shift": 0.0,
    "prior.weight": 0.5,
    "prior.caption": "woman",
    "loss.kind": "huber",
}


class Run:
    """A learner with all that it needs."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        recipe = changed(PLAIN, changes)
        small = SmallUnet(FlowMatching())
        targets = small.targets(conv=False, text=False)
        self.network = make_network(targets, recipe)
        texts = TextStates(Encoded(small, folder, "fp32"), 1, small.device)
        self.objective = Objective(small, self.network, recipe, texts)
        self.course = Course(recipe, ITEMS, Team())
        self.learner = Learner(recipe, self.network, self.objective, self.course, small.device)

    def step(self, step: int) -> Tensor:
        loss = self.learner.gradients(step)
        self.learner.update(step)
        return loss

    def weights(self) -> list[Tensor]:
        return [parameter.detach().clone() for parameter in self.network.parameters()]


def same(one: list[Tensor], other: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("name", ["adamw", "prodigy"])
def test_a_run_goes_on_from_its_checkpoint_to_the_very_same_weights(name: str, tmp_path: Path) -> None:
    rate = 1.0 if name == "prodigy" else 1e-2
    changes = {**EVERYTHING, "optimizer.name": name, "optimizer.unet_lr": rate}
    whole = Run(tmp_path / "cache", **changes)
    losses = [whole.step(step) for step in range(6)]
    stopped = Run(tmp_path / "cache", **changes)
    for step in range(4):
        stopped.step(step)
    state = State(step=4, seconds=0, started_at=0, learning_digest="", dataset_fingerprint="", base_digest="")
    save_checkpoint(tmp_path / "checkpoints", state, stopped.learner.parts())
    checkpoint = last_checkpoint(tmp_path / "checkpoints")
    assert checkpoint is not None
    resumed = Run(tmp_path / "cache", **changes)
    resumed.learner.restore(checkpoint)
    assert [resumed.step(step) for step in range(4, 6)] == losses[4:]
    assert same(resumed.weights(), whole.weights())
    with resumed.learner.kept(), whole.learner.kept():
        assert same(resumed.weights(), whole.weights())
    assert resumed.learner.step_size == whole.learner.step_size
    assert (whole.learner.step_size is None) == (name != "prodigy")


def test_accumulated_batches_count_as_their_mean(tmp_path: Path) -> None:
    run = Run(tmp_path, **{"length.accumulate": 3, "optimizer.max_grad_norm": 0.0})
    losses, gradients = [], []
    for items, batch, pass_ in run.course.batches(0):
        loss = run.objective.loss(items, batch, pass_)
        losses.append(loss.detach())
        gradients.append(torch.autograd.grad(loss, run.network.parameters()))
    mean = [torch.stack(each).mean(dim=0) for each in zip(*gradients, strict=True)]
    seen: list[Tensor] = []
    for parameter in run.network.parameters():
        parameter.register_post_accumulate_grad_hook(lambda tensor: seen.append(tensor.grad.clone()))  # type: ignore[no-untyped-call]
    found = run.step(0)
    assert found.item() == pytest.approx(torch.stack(losses).mean().item())
    last = {id(parameter): at for at, parameter in enumerate(run.network.parameters())}
    assert len(seen) == 3 * len(last)
    total = sorted(float(tensor.norm()) for tensor in seen[-len(last) :])
    assert total == pytest.approx(sorted(float(tensor.norm()) for tensor in mean), rel=1e-4, abs=1e-8)
    assert [batch for step in range(3) for _, batch, _ in run.course.batches(step)] == list(range(9))


def test_a_batch_in_parts_is_the_same_step(tmp_path: Path) -> None:
    found = []
    for split in (1, 2, 4):
        run = Run(tmp_path, **{**EVERYTHING, "length.batch": 4, "noise.offset": 0.05, "captions.dropout": 0.5})
        loss = run.learner.gradients(0, split)
        gradients = [parameter.grad for parameter in run.network.parameters()]
        found.append([loss, *(gradient for gradient in gradients if gradient is not None)])
    for parts in found[1:]:
        for one, other in zip(found[0], parts, strict=True):
            assert torch.allclose(one, other, rtol=1e-4, atol=1e-7)


def test_every_image_is_seen_once_a_pass_and_passes_are_counted(tmp_path: Path) -> None:
    run = Run(tmp_path, **{"length.accumulate": 3})
    batches = [each for step in range(2) for each in run.course.batches(step)]
    assert [pass_ for _, _, pass_ in batches] == [0, 0, 0, 1, 1, 1]
    for which in range(2):
        assert {item.name for items, _, pass_ in batches if pass_ == which for item in items} == {
            item.name for item in ITEMS
        }


def test_the_mean_of_the_weights_is_what_is_kept(tmp_path: Path) -> None:
    run = Run(tmp_path, **{"network.ema": 0.5})
    means = run.weights()
    for step in range(4):
        run.step(step)
        decay = min(0.5, (1 + step) / (10 + step))
        means = [decay * mean + (1 - decay) * now for mean, now in zip(means, run.weights(), strict=True)]
    live = run.weights()
    with run.learner.kept():
        for kept, mean in zip(run.weights(), means, strict=True):
            assert torch.allclose(kept, mean, atol=1e-7)
    assert same(run.weights(), live)


def test_all_readings_are_known_before_the_first_step(tmp_path: Path) -> None:
    run = Run(tmp_path)
    known = run.course.readings(run.objective, most=100)
    assert known is not None
    assert "" in known
    assert {item.caption for item in ITEMS} <= known
    read = {
        reading
        for step in range(8)
        for items, batch, pass_ in run.course.batches(step)
        for reading in run.objective.readings(items, batch, pass_)
    }
    assert read <= known
    assert run.course.readings(run.objective, most=3) is None


def test_every_line_of_a_caption_gets_trigger_prefix_and_suffix_and_can_be_read_alone(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    Image.new("RGBA", (32, 32), (255, 0, 0, 128)).save(folder / "a.png")
    (folder / "a.txt").write_text("a {red|blue} hat\n\n  sitting,   zvk\n")
    settings: dict[str, Any] = {"dataset": str(folder), "trigger": "zvk", "loss.masked": True, "images.masks": "alpha"}
    settings |= {"captions.prefix": "photo,", "captions.suffix": "outdoors", "captions.dropout": 0.0}
    settings |= {"images.resolutions": (64,), "images.bucket_low": 64, "images.bucket_high": 64}
    recipe = changed(PLAIN, {**settings, "captions.shuffle": False})
    small = SmallUnet(FlowMatching())
    (item,) = encode_items(read_data(recipe, tmp_path), Encoded(small, tmp_path / "cache", "fp32"), recipe, silent)
    assert item.caption == "zvk, photo, a {red|blue} hat outdoors\nphoto, sitting, zvk outdoors"
    assert item.mask is not None
    assert float(item.mask.mean()) == pytest.approx(128 / 255, abs=0.01)
    targets = small.targets(conv=False, text=False)
    texts = TextStates(Encoded(small, tmp_path / "cache", "fp32"), 1, small.device)
    objective = Objective(small, make_network(targets, recipe), recipe, texts)
    read = {reading for batch in range(40) for reading in objective.readings([item], batch, 0)}
    assert read == {"zvk, photo, a red hat outdoors", "zvk, photo, a blue hat outdoors", "photo, sitting, zvk outdoors"}


def test_each_text_encoder_learns_at_its_own_rate() -> None:
    root = torch.nn.Sequential(*(torch.nn.Linear(4, 4) for _ in range(3)))
    keys = ("lora_unet_a", "lora_te1_b", "lora_te2_c")
    targets = [Target(key, root, str(at), text=at > 0) for at, key in enumerate(keys)]
    for second, expected in ((-1.0, 3e-5), (0.5, 0.5)):
        rates = {"optimizer.unet_lr": 1e-4, "optimizer.text_lr": 3e-5, "optimizer.text2_lr": second}
        recipe = changed(PLAIN, {**rates, "optimizer.lora_plus": 2.0})
        optimizer = optimizer_for(make_network(targets, recipe), recipe, torch.device("cpu"))
        found = {group["name"]: group["base_lr"] for group in optimizer.param_groups}
        full = {"model": 1e-4, "text": 3e-5, "text2": expected}
        assert found == full | {f"{part} up": 2 * rate for part, rate in full.items()}
        assert all(len(group["params"]) == 1 for group in optimizer.param_groups)
    assert not changed(PLAIN, {"optimizer.text_lr": 0.0}).optimizer.trains_text
    assert changed(PLAIN, {"optimizer.text_lr": 0.0, "optimizer.text2_lr": 0.1}).optimizer.trains_text


def test_prodigy_is_guarded_where_the_rate_warms_up() -> None:
    root = torch.nn.Sequential(torch.nn.Linear(4, 4))
    guards = []
    for warmup in (0.0, 0.1):
        recipe = changed(PLAIN, {"optimizer.name": "prodigy", "optimizer.unet_lr": 1.0, "schedule.warmup": warmup})
        network = make_network([Target("lora_unet_a", root, "0")], recipe)
        guards.append(optimizer_for(network, recipe, torch.device("cpu")).param_groups[0]["safeguard_warmup"])
    assert guards == [False, True]
