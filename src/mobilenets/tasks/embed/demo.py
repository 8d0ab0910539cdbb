"""The demo: shapes of kinds that were never seen in training, found again."""

from mobilenets.tasks.values import Demo

DEMO = Demo(
    "Search",
    "embedding_mobilenet_v2",
    {"epochs": 1, "learning_rate": 0.001, "crop_scale": 0.7, "probe": False},
    metric="recall@1",
    threshold=0.93,
    guessing="guessing gives 0.25",
    resolution=64,
)
