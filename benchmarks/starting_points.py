"""What a start from predicted parameters is worth: accuracy after the same little training from either start.

    python -m benchmarks.starting_points --data-root FOLDER            # eight cheap networks of the test split
    python -m benchmarks.starting_points --data-root FOLDER --networks 20 --megamacs 60

Unseen networks of DeepNets-1M on CIFAR-10, once from their own random initialisation and once from a hypernetwork's
prediction: accuracy on test images at once, after a tenth of an epoch of SGD, and after an epoch.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

from benchmarks.common import markdown, save

PARTS = {"tenth": 0.1, "epoch": 1.0}
RATES = (0.1, 0.04, 0.01)
COLUMNS = {"index": "d", "megamacs": ".1f", "attention": ""} | {
    f"{start}_{when}": ".1f" for start in ("random", "predicted") for when in ("at_once", *PARTS)
}


class Measurement:
    """Data and hypernetwork of a comparison.

    Args:
        hypernetwork: Name or path.
        data_root: Folder of CIFAR-10.
        images: Test images for each accuracy.
    """

    def __init__(self, hypernetwork: str, data_root: Path | None, images: int) -> None:
        import ghn
        from ghn.data import Augmentation, ImageStream, load

        self.hypernet = ghn.from_pretrained(hypernetwork)
        self.images = images
        training, held_out = load("cifar10", root=data_root).hold_out(5000)
        self.training = ImageStream(training, batch_size=128, augmentation=Augmentation())
        self.held_out = ImageStream(held_out, batch_size=64, seed=7)
        self.test = ImageStream(load("cifar10", root=data_root, split="test"), batch_size=64, seed=1)

    def accuracy(self, network: Any, stream: Any, images: int) -> float:
        """Share of right answers in percent; batch norms use the statistics of batches of 64, as when predicted."""
        from ghn.evaluate import score

        network.eval()
        result = score(network, stream, images=images).top1
        network.train()
        return 100 * result

    def network(self, arguments: Any, graph: Any, start: str) -> Any:
        """A network with parameters from one of the starts."""
        import torch

        from ghn.deepnets import network_from_arguments

        torch.manual_seed(0)
        network = network_from_arguments(arguments)
        if start == "predicted":
            self.hypernet.initialize(network, graph=graph)
        return network

    def row(self, arguments: Any, graph: Any) -> dict[str, Any]:
        """All accuracies of one network; the rate that is best after a tenth of an epoch is taken for the epoch too."""
        from ghn.finetuning import FinetuneConfig, search

        found: dict[str, Any] = {}
        for start in ("random", "predicted"):
            found[f"{start}_at_once"] = self.accuracy(self.network(arguments, graph, start), self.test, self.images)
            rates: tuple[float, ...] = RATES
            for when, epochs in PARTS.items():
                network = self.network(arguments, graph, start)
                noise = 1e-5 if start == "predicted" else 0.0
                result = search(
                    network,
                    self.training,
                    lambda trained: self.accuracy(trained, self.held_out, 512),
                    FinetuneConfig(epochs=epochs, learning_rates=rates, noise=noise),
                )
                rates = (result.learning_rate,)
                found[f"{start}_{when}"] = self.accuracy(network, self.test, self.images)
            found[f"{start}_rate"] = rates[0]
        return found


def main() -> None:
    """Measure networks one by one; the table is written anew after each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ghn", default="ghn3-t-cifar10", help="hypernetwork: name, folder or file")
    parser.add_argument("--data-root", type=Path, help="folder of the data set")
    parser.add_argument("--networks", type=int, default=8)
    parser.add_argument("--megamacs", type=float, default=15.0, help="most multiply-adds of a network, in millions")
    parser.add_argument("--images", type=int, default=2048, help="test images for each accuracy")
    options = parser.parse_args()
    from ghn.deepnets import DeepNets
    from ghn.deepnets.cost import megamacs
    from ghn.deepnets.plan import plan_network

    measurement = Measurement(options.ghn, options.data_root, options.images)
    source = DeepNets("test")
    rows: list[dict[str, Any]] = []
    for index in range(len(source)):
        arguments = source.arguments(index)
        cost = megamacs(plan_network(arguments, source.num_classes, source.image_size))
        if cost > options.megamacs:
            continue
        began = time.perf_counter()
        row = {"index": index, "megamacs": cost, "attention": arguments.is_vit}
        row |= measurement.row(arguments, source.graph(arguments))
        rows.append(row | {"seconds": time.perf_counter() - began})
        print(" ".join(f"{key}={format(rows[-1][key], spec)}" for key, spec in COLUMNS.items()), flush=True)
        save("starting_points", rows, table=f"{summary(rows)}\n\n{markdown(rows, COLUMNS)}")
        if len(rows) == options.networks:
            break
    print(summary(rows))


def summary(rows: list[dict[str, Any]]) -> str:
    """Mean and standard deviation over the networks, and on how many the prediction is ahead."""
    lines = []
    for when in ("at_once", *PARTS):
        random, predicted = ([row[f"{start}_{when}"] for row in rows] for start in ("random", "predicted"))
        ahead = sum(second > first for first, second in zip(random, predicted, strict=True))
        lines.append(
            f"- {when}: random {statistics.fmean(random):.1f} ± {statistics.pstdev(random):.1f} %, predicted "
            f"{statistics.fmean(predicted):.1f} ± {statistics.pstdev(predicted):.1f} %; ahead on {ahead} of {len(rows)}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
