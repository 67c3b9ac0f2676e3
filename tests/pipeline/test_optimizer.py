"""The optimiser moves every parameter as its kind needs and continues where a saved run stopped."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from mambaad_demo.pipeline.optimizer import Optimizer

pytestmark = pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="Muon came with torch 2.9")


def _net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, groups=4), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 2)
    )


def _step(net: nn.Module, optimizer: Optimizer, scale: float = 1.0, rate: float = 0.1) -> None:
    torch.manual_seed(1)
    optimizer.zero_grad()
    (scale * net(torch.randn(5, 3, 6, 6)).square().sum()).backward()
    optimizer.step(adamw_rate=rate, muon_rate=rate)


def _changes(scale: float) -> dict[str, torch.Tensor]:
    net = _net()
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    _step(net, Optimizer(net, weight_decay=0.0), scale)
    return {name: p.detach() - before[name] for name, p in net.named_parameters()}


def test_every_parameter_moves_in_place() -> None:
    assert all(bool(change.abs().max() > 0) for change in _changes(1.0).values())


def test_updates_of_matrices_and_convolutions_are_nearly_orthogonal() -> None:
    changes = _changes(1.0)
    for name in ("0.weight", "4.weight"):  # convolution (4, 3, 3, 3) as a matrix (4, 27), linear (2, 16)
        values = torch.linalg.svdvals(changes[name].flatten(1))
        assert values.min() > 0.5 * values.max(), name


def test_the_size_of_the_gradient_does_not_matter() -> None:
    small, large = _changes(1.0), _changes(100.0)
    for name in ("0.weight", "4.weight"):
        torch.testing.assert_close(small[name], large[name], rtol=0.05, atol=1e-3)


def test_weight_decay_shrinks_matrices_and_spares_biases_and_norms() -> None:
    net, decayed = _net(), _net()
    _step(net, Optimizer(net, weight_decay=0.0))
    _step(decayed, Optimizer(decayed, weight_decay=0.5))
    differ = {
        n for (n, p), q in zip(net.named_parameters(), decayed.parameters(), strict=True) if p.ne(q).any()
    }
    assert differ == {"0.weight", "1.weight", "4.weight"}


def test_frozen_parameters_stay() -> None:
    net = _net()
    net[4].weight.requires_grad_(False)
    before = net[4].weight.clone()
    _step(net, Optimizer(net, weight_decay=0.1))
    assert torch.equal(net[4].weight, before)


def test_a_restored_optimiser_continues_bit_by_bit() -> None:
    net = _net()
    optimizer = Optimizer(net, weight_decay=0.1)
    _step(net, optimizer)
    twin = _net()
    twin.load_state_dict(net.state_dict())
    restored = Optimizer(twin, weight_decay=0.1)
    restored.load_state_dict(deepcopy(optimizer.state_dict()))
    _step(net, optimizer)
    _step(twin, restored)
    for one, other in zip(net.parameters(), twin.parameters(), strict=True):
        assert torch.equal(one, other)


def test_adamw_alone_updates_as_torchs_own_and_needs_no_muon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.optim, "Muon")  # no warning either: nothing is missing
    net, twin = _net(), _net()
    ours = Optimizer(net, weight_decay=0.5, kind="adamw")
    scalars = [p for p in twin.parameters() if p.ndim < 2]
    matrices = [p for p in twin.parameters() if p.ndim >= 2]
    published = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.5}, {"params": scalars, "weight_decay": 0.0}],
        lr=1e-2,
        betas=(0.9, 0.999),
    )
    for seed in range(3):
        for one in (net, twin):
            torch.manual_seed(seed)
            one.zero_grad()
            one(torch.randn(5, 3, 6, 6)).square().sum().backward()
        ours.step(adamw_rate=1e-2, muon_rate=1.0)
        published.step()
    for one, other in zip(net.parameters(), twin.parameters(), strict=True):
        assert torch.equal(one, other)


def test_another_kind_of_optimiser_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'sgd'.*muon, adamw"):
        Optimizer(_net(), weight_decay=0.0, kind="sgd")  # type: ignore[arg-type]


def test_without_muon_adamw_takes_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.optim, "Muon")
    net = _net()
    with pytest.warns(UserWarning, match=r"torch 2\.9"):
        optimizer = Optimizer(net, weight_decay=0.0)
    before = net[4].weight.detach().clone()
    _step(net, optimizer, rate=1e-2)
    change = net[4].weight.detach() - before
    assert change.abs().max().item() == pytest.approx(1e-2, rel=0.05)  # Adam's first step
