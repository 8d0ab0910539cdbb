"""TFLite files: bytes in and near their tables."""

import random
from pathlib import Path

import numpy as np

from tests.fuzz import mutate
from tests.weights.tflite_files import table_positions

_TABLES: dict[Path, list[int]] = {}


def damage(rng: random.Random, seed: Path, folder: Path) -> Path:
    data = seed.read_bytes()
    path = folder / seed.name
    if rng.random() < 0.2:
        path.write_bytes(mutate.damaged(rng, data))
        return path
    if seed not in _TABLES:
        _TABLES[seed] = [int(place) for place in table_positions(data)]
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 3])):
        place = rng.choice(_TABLES[seed]) + rng.randrange(-16, 48)
        if rng.random() < 0.5:
            changed[min(place, len(data) - 1)] ^= 1 << rng.randrange(8)
        else:
            place = min(place - place % 4, len(data) - 4)
            value = rng.choice([*mutate.NUMBERS, rng.randrange(40)])
            changed[place : place + 4] = np.uint32(value & 0xFFFFFFFF).tobytes()
    path.write_bytes(changed)
    return path
