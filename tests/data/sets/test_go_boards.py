"""Liberties, against a flood fill written out."""

from __future__ import annotations

import pytest
import torch

from robustcnn.data.sets.go_boards import SIDE, draw_boards, liberties


def flood(colour: list[list[bool]], empty: list[list[bool]], row: int, column: int) -> int:
    """Empty points beside the group of the stone there."""
    group, beside, todo = set(), set(), [(row, column)]
    while todo:
        place = todo.pop()
        if place in group:
            continue
        group.add(place)
        for down, across in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            near = (place[0] + down, place[1] + across)
            if 0 <= near[0] < SIDE and 0 <= near[1] < SIDE:
                if empty[near[0]][near[1]]:
                    beside.add(near)
                elif colour[near[0]][near[1]]:
                    todo.append(near)
    return len(beside)


def test_liberties_are_those_of_a_flood_fill() -> None:
    boards = draw_boards(3, seed=4)
    found, empty = liberties(boards.planes[:, :2].bool()), boards.planes[:, 2].bool()
    for board in range(3):
        for colour in range(2):
            stones = boards.planes[board, colour].bool()
            for row, column in stones.nonzero().tolist():
                known = flood(stones.tolist(), empty[board].tolist(), row, column)
                assert found[board, colour, row, column] == known
                assert boards.in_atari[board, row, column] == (known == 1)


def test_every_point_is_black_white_or_empty_and_no_group_is_without_liberty() -> None:
    boards = draw_boards(20)
    assert torch.equal(boards.planes.sum(1), torch.ones(20, SIDE, SIDE))
    stones = boards.planes[:, :2].bool()
    assert liberties(stones)[stones].min() >= 1


def test_a_lone_stone_in_the_corner_has_two_liberties() -> None:
    stones = torch.zeros(1, 2, SIDE, SIDE, dtype=torch.bool)
    stones[0, 0, 0, 0] = True
    found = liberties(stones)
    assert found[0, 0, 0, 0] == 2
    assert (found == -1).sum() == 2 * SIDE * SIDE - 1


def test_a_board_that_is_full_is_refused() -> None:
    with pytest.raises(ValueError, match=r"full must be two shares in \[0, 1\)"):
        draw_boards(2, full=(0.5, 1.0))
