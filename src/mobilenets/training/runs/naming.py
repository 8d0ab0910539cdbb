"""Which folder a run is kept in, and what that is called where nobody says."""

import re
from pathlib import Path

from mobilenets.errors import TrainingError
from mobilenets.training.runs import NAME
from mobilenets.training.runs.arguments import FILE

ANY = re.compile(
    r"_?(data|datasets?|images?|imgs?|pictures?|jpegimages|labels?|masks?|boxes|annotations?|"
    r"(instances_)?(train|training|val|valid|validation|test|testing|all)\d*|"
    r"classes|split|list|index|raw|processed|inputs?|files?|downloads?|export|"
    r"annotations\.coco|metadata|tmp|temp|mnt|media|srv|var|opt|home|users)",
    re.IGNORECASE,
)
"""Names that say nothing of what is in a folder or a file."""
LONGEST = 80
"""Letters of a name: systems take 255 bytes, and the network's name and a number come too."""


def run_name(data: str) -> str:
    """What a data set is called: `photos` for photos, photos/data, photos/train and photos/a.csv.

    The nearest name above that says something: names such as `data`, `images` and `train` do not,
    unless there is nothing else up to the user's own folder.
    """
    path = Path(data)
    if not path.exists():
        return _plain(data)
    path = path.resolve()
    own = path.stem if path.is_file() else path.name
    first = own
    home = Path.home()
    for folder in path.parents:
        if own and not ANY.fullmatch(own):
            return _plain(own)
        if folder in (home, *home.parents):
            break
        own = folder.name
    return _plain(own if own and not ANY.fullmatch(own) else first)


def _plain(name: str) -> str:
    """Letters, digits, points and lines alone; `data` where nothing is left."""
    return re.sub(r"[^\w.-]+", "-", name)[:LONGEST].strip("-.") or "data"


def choose_folder(output: Path | None, model: str, data: str, *, resume: bool) -> Path:
    """The folder that was asked for; else the newest run of that name, or the next free one."""
    if output is None:
        base = Path("runs") / f"{model}-{run_name(data)}"
        folder, newest, number = base, base, 1
        while folder.exists() and any(folder.iterdir()):
            newest, number = folder if (folder / NAME).exists() else newest, number + 1
            folder = base.with_name(f"{base.name}-{number}")
        output = newest if resume else folder
    if resume and not (output / NAME).exists() and not (output / FILE).exists():
        raise TrainingError(f"{output} holds no run to resume; start it without --resume")
    if not resume and output.is_dir() and any(output.iterdir()):
        what = "a run; --resume goes on with it" if (output / NAME).exists() else "files"
        raise ValueError(f"output must be a new or empty folder, {output} already holds {what}")
    return output
