"""Make the outline of the land that maps are drawn with, from world-atlas' TopoJSON.

    npm pack world-atlas@2.0.2 && tar xzf world-atlas-2.0.2.tgz
    python bench/land_outline.py package/land-110m.json

The package world-atlas (Michael Bostock, ISC licence) has Natural Earth's 1:110m land, which is in
the public domain. Writes `src/mobilenets/tasks/geolocate/show/land.npz`: all corners of all rings
in hundredths of a degree, as int16, longitude first, where each ring ends, and which are holes.
"""

import json
import sys
from pathlib import Path

import numpy as np

OUTPUT = Path(__file__).parents[1] / "src/mobilenets/tasks/geolocate/show/land.npz"


def rings_of(topology: dict) -> tuple[list[np.ndarray], list[bool]]:
    """(corners, 2) longitudes and latitudes of each ring, and whether it is a hole."""
    scale, translate = (np.array(topology["transform"][k]) for k in ("scale", "translate"))
    arcs = [np.cumsum(arc, axis=0) * scale + translate for arc in topology["arcs"]]

    def line(index: int) -> np.ndarray:
        return arcs[index] if index >= 0 else arcs[~index][::-1]

    rings, holes = [], []
    for shape in topology["objects"]["land"]["geometries"]:
        for polygon in shape["arcs"]:
            for place, ring in enumerate(polygon):
                parts = [line(index) for index in ring]
                joined = [parts[0], *(part[1:] for part in parts[1:])]
                rings.append(np.concatenate(joined)[:-1])  # the last corner is the first again
                holes.append(place > 0)
    return rings, holes


def main() -> None:
    """Read the TopoJSON that the command line names, and write the outline."""
    rings, holes = rings_of(json.loads(Path(sys.argv[1]).read_text()))
    corners = np.rint(np.concatenate(rings) * 100).astype(np.int16)
    ends = np.cumsum([len(ring) for ring in rings]).astype(np.int32)
    np.savez_compressed(OUTPUT, corners=corners, ends=ends, holes=np.array(holes))
    size = OUTPUT.stat().st_size
    print(f"{len(rings)} rings, {sum(holes)} of them holes; {len(corners)} corners, {size:,} bytes")


if __name__ == "__main__":
    main()
