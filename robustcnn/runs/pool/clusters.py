"""Clusters that are started for a list: processes of this machine, or what a table names."""

from __future__ import annotations

import logging
import os
from importlib import import_module
from typing import Any

import torch

from robustcnn.core.runtime import first_line
from robustcnn.runs.pool.pool_config import PoolConfig, read_cluster

HOME = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
"""Nobody else's ports are taken, and nobody from outside is let in."""


def cluster_of(config: PoolConfig, distributed: Any) -> Any:
    """As the config asks."""
    if config.cluster is None:
        return _local(config.workers or 1, distributed)
    table = read_cluster(config.cluster)
    module, _, name = table.kind.rpartition(".")
    try:
        kind = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as problem:
        raise ValueError(f"--cluster {config.cluster}: cannot find class {table.kind}: {problem}") from None
    try:
        cluster = kind(**table.options)
        if name != "SSHCluster":
            cluster.scale(config.workers or table.workers)
    except Exception as problem:  # of any kind: it is not our code
        raise ValueError(f"--cluster {config.cluster}: {table.kind} cannot start: {first_line(problem)}") from None
    return cluster


def _local(count: int, distributed: Any) -> Any:
    """Processes of this machine: one thread each, one GPU each where there are any, no limit on memory."""
    gpus = _gpus()

    def worker(number: int) -> dict[str, Any]:
        environ = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        if gpus:
            environ["CUDA_VISIBLE_DEVICES"] = gpus[number % len(gpus)]
        options = {"nthreads": 1, "memory_limit": 0, "env": environ, "dashboard": False}
        return {"cls": distributed.Nanny, "options": {**options, **HOME, "silence_logs": logging.CRITICAL}}

    scheduler = {"cls": distributed.Scheduler, "options": {**HOME, "dashboard": False}}
    workers = {number: worker(number) for number in range(count)}
    return distributed.SpecCluster(workers=workers, scheduler=scheduler, silence_logs=logging.CRITICAL)


def _gpus() -> list[str]:
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [each for each in named.split(",") if each.strip()]
    return [str(number) for number in range(torch.cuda.device_count())]
