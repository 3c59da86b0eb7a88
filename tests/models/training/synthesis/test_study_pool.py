"""The pages of the study are the same however many processes compose them."""

from __future__ import annotations

from pathlib import Path

import torch

from models.training.losses import StepSize
from models.training.settings import Stage, TrainSettings
from models.training.study.pool import Pool, compose_share
from models.training.study.settings import StudySettings
from tests.models.training.tiny import TINY

RUN = TrainSettings(
    name="small", steps=0, network=TINY, stages=(Stage(352, 384, 1, 0, 1.0, StepSize(cells=128, chunks=64, words=8)),)
)  # fmt: skip
SETTINGS = StudySettings(
    run=RUN, steps=1, seeds=(0,), processes=1, pool=2, held_out=1, needle=(1,), candidates=1, real_pages=1
)


def pages(folder: Path, assets: Path, processes: int) -> tuple[torch.Tensor, torch.Tensor]:
    folder.mkdir()
    for process in range(processes):
        compose_share(SETTINGS, assets, folder, "cpu", process, processes)
    pool = Pool(SETTINGS, folder, "cpu")
    return torch.cat([batch[0] for batch in pool.training]), torch.cat([batch[0] for batch in pool.held_out])


def test_two_processes_compose_the_pages_of_one(tmp_path: Path, assets_folder: Path) -> None:
    by_one, by_two = (pages(tmp_path / str(count), assets_folder, count) for count in (1, 2))
    assert len(by_one[0]) == SETTINGS.pool
    assert len(by_one[1]) == SETTINGS.held_out
    for mine, theirs in zip(by_one, by_two, strict=True):
        assert torch.equal(mine, theirs)
    every = torch.cat(by_one).flatten(1)
    assert len(every.unique(dim=0)) == len(every)
