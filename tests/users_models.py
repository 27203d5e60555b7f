"""Models that a user might have written, as the text of a module."""

ZOO = '''
"""Models that a user might write."""

import time
import torch
from torch import nn


def net(num_classes=10, width=8):
    layers = nn.Conv2d(3, width, 3), nn.BatchNorm2d(width), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    return nn.Sequential(*layers, nn.Linear(width, num_classes))


def vector():
    return nn.Sequential(nn.Linear(5, 10)), torch.zeros(2, 5)


def sized(image_size=8):
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * image_size**2, 10))


def fixed(size=8):
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * size**2, 10))


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(10, 10), nn.Linear(10, 10)
        self.second.weight = self.first.weight
        self.register_buffer("corner", self.first.weight.detach()[:2, :2])
        self.register_buffer("columns", torch.arange(12.0).reshape(3, 4).t())

    def forward(self, x):
        return self.second(self.first(x)) + self.corner.sum()


class Fails(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 3)

    def forward(self, x):
        raise RuntimeError("no such\\nthing")


class Extra(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 10)

    def forward(self, x):
        return self.linear(x)

    def get_extra_state(self):
        return "a text"

    def set_extra_state(self, state):
        assert state == "a text"


def empty():
    return nn.ReLU()


def raises():
    raise RuntimeError("no\\nGPU")


def three():
    return 3


def sleeps():
    time.sleep(60)


class holder:
    inner = staticmethod(net)


ready = net()
number = 4
'''
