"""Memory gets its contents back."""

import torch

from ghn.graph.record.protected import Protected
from ghn.graph.record.recorder import Recorder


def test_what_is_written_to_strange_memory_is_undone() -> None:
    first, second = torch.zeros(3), torch.zeros(3)
    mean, variance = torch.zeros(3), torch.ones(3)
    recorder = Recorder()
    with torch.no_grad(), recorder:
        view = first[1:]
        view.add_(1)
        torch.add(second, 1, out=second)
        torch.nn.functional.batch_norm(torch.rand(4, 3), mean, variance, training=True)
        assert first.tolist() == [0, 1, 1]
    recorder.protected.restore()
    assert (first.sum(), second.sum(), mean.sum(), variance.sum()) == (0, 0, 0, 3)


def test_only_what_was_added_is_saved_and_only_once() -> None:
    own, others = torch.zeros(3), torch.zeros(3)
    protected = Protected()
    assert not protected
    protected.add(own)
    protected.add(torch.zeros(3, device="meta"))
    for tensor in (own, own[1:], others):
        protected.save_what_is_written(torch.ops.aten.fill_.Scalar, (tensor, 1), {})
        tensor.fill_(1)
    protected.restore()
    assert own.tolist() == [0, 0, 0]
    assert others.tolist() == [1, 1, 1]
