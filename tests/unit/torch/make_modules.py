"""Makes the TorchScript files of the tests with Debian's PyTorch: make_modules.py FOLDER."""
import os
import sys
import warnings

warnings.filterwarnings("ignore")
import torch
from torch import nn
from torch.nn import functional as F


class Chain(nn.Module):
    """What the zoo's small CNN is, written by hand."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.fc = nn.Linear(4 * 4 * 4, 3)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv(x)), 2)
        return self.fc(x.view(x.size(0), -1))


class WithNorm(nn.Module):
    """Batch norm and dropout: buffers, and a mode."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.5)
        self.fc = nn.Linear(4 * 4 * 4, 3)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.norm(self.conv(x))), 2)
        return self.fc(self.drop(torch.flatten(x, 1)))


class WithLoss(Chain):
    @torch.jit.export
    def loss(self, x, y):
        return F.cross_entropy(self.forward(x), y)


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(64, 64)
        self.b = nn.Linear(64, 3)

    def forward(self, x):
        x = torch.flatten(x, 1)
        return self.b(F.relu(self.a(x)) + x)


class InPlace(nn.Module):
    """A chain to whoever looks only at the flow of values, and yet not one."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(64, 3)

    def forward(self, x):
        x = torch.flatten(x, 1)
        y = self.fc(x)
        y.mul_(2.0)
        return y


class RawWeights(nn.Module):
    """Without any of PyTorch's layers."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.randn(3, 64))

    def forward(self, x):
        return F.linear(torch.flatten(x, 1), self.w)


class Baked(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(64, 3)

    def forward(self, x):
        return self.fc(F.dropout(torch.flatten(x, 1), 0.5, True))


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(64, 64, bias=False)
        self.b = nn.Linear(64, 64, bias=False)
        self.b.weight = self.a.weight

    def forward(self, x):
        return self.b(self.a(torch.flatten(x, 1)))


def main(folder):
    torch.manual_seed(7)
    example = torch.zeros(2, 1, 8, 8)
    save = lambda module, name: module.save(os.path.join(folder, name + ".pt"))
    chain = Chain()
    save(torch.jit.script(chain), "chain")
    torch.manual_seed(8)
    x = torch.rand(5, 1, 8, 8)
    x.numpy().tofile(os.path.join(folder, "x.f32"))
    chain.eval()(x).detach().numpy().tofile(os.path.join(folder, "chain_y.f32"))
    save(torch.jit.script(nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2, bias=False), nn.ReLU(), nn.AvgPool2d(2), nn.Dropout(0.3),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 6), nn.ReLU(inplace=True),
        nn.Linear(6, 3))), "sequential")
    save(torch.jit.script(nn.Sequential(
        nn.Conv2d(1, 4, (3, 5)), nn.ReLU(), nn.MaxPool2d(2, 1), nn.Flatten(),
        nn.Linear(4 * 5 * 3, 2))), "pooled")
    save(torch.jit.script(nn.Sequential(
        nn.Conv1d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool1d(2), nn.Flatten(),
        nn.Linear(4 * 8, 2))), "conv1d")
    save(torch.jit.script(WithNorm()), "with_norm")
    save(torch.jit.script(WithLoss()), "with_loss")
    save(torch.jit.script(Residual()), "residual")
    save(torch.jit.script(InPlace()), "in_place")
    save(torch.jit.script(RawWeights()), "raw_weights")
    save(torch.jit.script(Baked()), "baked")
    save(torch.jit.script(Tied()), "tied")
    save(torch.jit.script(Chain().double()), "double")
    save(torch.jit.trace(WithNorm(), example), "traced")
    save(torch.jit.trace(RawWeights(), example), "traced_raw")
    save(torch.jit.freeze(torch.jit.script(WithNorm().eval())), "frozen")
    save(torch.jit.freeze(torch.jit.script(Chain().eval()), preserved_attrs=["fc"]),
         "frozen_partly")
    with open(os.path.join(folder, "garbage.pt"), "wb") as file:
        file.write(b"no zip archive")


if __name__ == "__main__":
    main(sys.argv[1])
