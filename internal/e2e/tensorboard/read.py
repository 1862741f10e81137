"""Tells what TensorBoard's own readers make of the folders of runs.

read.py CHECKOUT PROTOS RUN...

CHECKOUT is TensorBoard's source, PROTOS holds what protoc made of its .proto
files, and each RUN is a folder. Prints one JSON object: by folder, by reader, by
tag, the points as [step, wall time, value]. A number that JSON has not is a
string; a histogram is its rows of left edge, right edge and count.
"""

import importlib.util
import json
import logging
import math
import os
import sys

checkout, protos = sys.argv[1:3]
sys.path.insert(0, checkout)


class Compiled:
    """Finds modules that protoc made."""

    def find_spec(self, name, path, target=None):
        if name.endswith("_pb2"):
            file = os.path.join(protos, *name.split(".")) + ".py"
            if os.path.exists(file):
                return importlib.util.spec_from_file_location(name, file)
        return None


sys.meta_path.insert(0, Compiled())

from tensorboard.backend.event_processing import event_accumulator
from tensorboard.backend.event_processing import plugin_event_accumulator
from tensorboard.util import tensor_util

logging.disable(logging.CRITICAL)


def number(v):
    v = float(v)
    return v if math.isfinite(v) else str(v)


def value(tensor):
    array = tensor_util.make_ndarray(tensor)
    if array.ndim == 0:
        return number(array.item())
    return [[number(x) for x in row] for row in array]


def server(run):
    """The accumulator that the server's plugins read from."""
    a = plugin_event_accumulator.EventAccumulator(run, size_guidance={"tensors": 0})
    a.Reload()
    return {
        "plugins": {p: sorted(a.PluginTagToContent(p)) for p in a.ActivePlugins()},
        "points": {
            tag: [[e.step, e.wall_time, value(e.tensor_proto)] for e in a.Tensors(tag)]
            for tag in a.Tags()["tensors"]
        },
    }


def classic(run):
    """The accumulator that scripts and importers read with."""
    a = event_accumulator.EventAccumulator(
        run, size_guidance={"scalars": 0, "histograms": 0, "tensors": 0}
    )
    a.Reload()
    points = {
        tag: [[e.step, e.wall_time, number(e.value)] for e in a.Scalars(tag)]
        for tag in a.Tags()["scalars"]
    }
    for tag in a.Tags()["tensors"]:
        points[tag] = [[e.step, e.wall_time, value(e.tensor_proto)] for e in a.Tensors(tag)]
    for tag in a.Tags()["histograms"]:
        points[tag] = [
            [
                e.step,
                e.wall_time,
                {
                    "head": [h.min, h.max, h.num, h.sum, h.sum_squares],
                    "limits": list(h.bucket_limit),
                    "counts": list(h.bucket),
                },
            ]
            for e in a.Histograms(tag)
            for h in [e.histogram_value]
        ]
    return {"points": points}


json.dump({run: {"server": server(run), "classic": classic(run)} for run in sys.argv[3:]}, sys.stdout)
