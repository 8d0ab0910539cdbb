import pickle
import subprocess
import sys

import numpy as np
import pytest

from mobilenets.tasks.detect.formats.objects import Objects
from mobilenets.tasks.detect.measure.metrics import DetectionMetrics, eleven_points
from tests.tasks.detect.twins import coco_ap, coco_mean, voc_ap

IOUS = np.linspace(0.5, 0.95, 10)
CLASSES = ("cat", "dog", "cow", "never")


def scene(random, *, crowds=True, difficult=True):
    """One image: what is there, and what a middling detector sees; and the same for the twins."""
    count = random.integers(0, 7)
    centres, sides = random.uniform(0, 300, (count, 2)), random.uniform(8, 180, (count, 2))
    boxes = np.concatenate([centres - sides / 2, centres + sides / 2], 1).astype(np.float32)
    labels = random.integers(0, 3, count)
    objects = Objects.of(
        boxes,
        labels,
        crowd=crowds & (random.random(count) < 0.15),
        difficult=difficult & (random.random(count) < 0.15),
        areas=sides.prod(1) * random.uniform(0.5, 1, count),
    )
    near = np.repeat(boxes, 3, 0) + random.normal(0, 6, (count * 3, 4))
    far = random.uniform(0, 150, (5, 4)) + np.array([0, 0, 150, 150])
    seen = np.concatenate([near, far]).astype(np.float64)
    seen[:, 2:] = np.maximum(seen[:, 2:], seen[:, :2] + 1)
    classes = np.concatenate([np.repeat(labels, 3), random.integers(0, 3, 5)])
    classes = np.where(random.random(len(classes)) < 0.15, random.integers(0, 3), classes)
    scores = random.permutation(len(classes)) / 64 + random.random() / 64
    return (seen, scores, classes), objects


def scenes(count=40, seed=0, **options):
    random = np.random.default_rng(seed)
    return [scene(random, **options) for _ in range(count)]


def measured(images, classes=CLASSES):
    metrics = DetectionMetrics(classes, range(len(classes)))
    metrics.add(*zip(*images, strict=True))
    return metrics


def for_twins(images):
    """The same scenes as dictionaries."""
    return [
        (
            [
                {"box": box.tolist(), "score": float(score), "label": int(label)}
                for box, score, label in zip(*seen, strict=True)
            ],
            [
                {
                    "box": box.tolist(),
                    "label": int(label),
                    "area": float(area),
                    "crowd": bool(crowd),
                    "difficult": bool(hard),
                }
                for box, label, crowd, hard, area in zip(*objects, strict=True)
            ],
        )
        for seen, objects in images
    ]


@pytest.fixture(scope="module")
def images():
    return scenes()


@pytest.fixture(scope="module")
def twins(images):
    return for_twins(images)


def test_coco_is_the_protocol_by_the_book(images, twins):
    found = dict(measured(images).results())
    expected = {
        "ap": coco_mean(twins, 4, IOUS),
        "ap50": coco_mean(twins, 4, IOUS[:1]),
        "ap75": coco_mean(twins, 4, IOUS[5:6]),
        "ap_small": coco_mean(twins, 4, IOUS, 0, 32**2),
        "ap_medium": coco_mean(twins, 4, IOUS, 32**2, 96**2),
        "ap_large": coco_mean(twins, 4, IOUS, 96**2, 1e10),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-6)
    assert 0.05 < expected["ap"] < 0.9  # the scenes are neither hopeless nor solved
    assert found["images"] == 40


@pytest.mark.parametrize("options", [{"crowds": False}, {"difficult": False}])
def test_crowds_and_difficult_objects_count_each_in_its_way(options):
    images = scenes(15, seed=3, **options)
    found = dict(measured(images).results())
    assert found["ap"] == pytest.approx(coco_mean(for_twins(images), 4, IOUS), abs=1e-6)


def test_each_class_has_its_own(images, twins):
    found = measured(images).by_class()
    assert list(found) == ["cat", "dog", "cow"]
    for k, name in enumerate(found):
        expected = np.mean([coco_ap(twins, k, iou) for iou in IOUS]), coco_ap(twins, k, 0.5)
        assert found[name] == pytest.approx(expected, abs=1e-6)


def test_voc_2007_is_its_slow_twin(images, twins):
    values = [voc_ap(twins, k) for k in range(4)]
    assert values[3] is None
    found = dict(measured(images).results())["ap50_voc07"]
    assert found == pytest.approx(np.mean(values[:3]), abs=1e-12)


@pytest.mark.parametrize(
    ("right", "objects", "expected"),
    [
        ([1, 0, 1], 3, (4 * 1 + 3 * 2 / 3) / 11),
        ([1, 1, 1], 10, 4 / 11),  # recall .3 reaches the point .3, whatever floats say
        ([0, 0, 1], 1, 1 / 3),
        ([1], 1, 1),
        ([0, 0], 5, 0),
        ([], 5, 0),
    ],
)
def test_voc_2007_by_hand(right, objects, expected):
    assert eleven_points(np.array(right, bool), objects) == pytest.approx(expected)


BOX = np.array([[10.0, 10, 50, 50]])
NONE = (np.zeros((0, 4)), np.zeros(0), np.zeros(0, int))


def one(score=0.9, label=0, box=BOX):
    return box, np.array([score]), np.array([label])


def both(*seen):
    return tuple(np.concatenate(parts) for parts in zip(*seen, strict=True))


def test_what_is_seen_exactly_is_perfect():
    found = dict(measured([(one(), Objects.of(BOX, [0])), (NONE, Objects.of([], []))]).results())
    assert found == pytest.approx(
        {
            **dict.fromkeys(["ap", "ap50", "ap75", "ap_medium", "ar100", "ap50_voc07"], 1.0),
            "images": 2,
        }
    )


def test_a_detection_in_an_empty_image_is_wrong():
    empty = Objects.of([], [])
    found = dict(measured([(one(0.5), Objects.of(BOX, [0])), (one(0.9), empty)]).results())
    assert found["ap50"] == pytest.approx(0.5)
    assert found["ap50_voc07"] == pytest.approx(0.5)


def test_a_second_detection_of_an_object_is_wrong_but_in_a_crowd_right_or_wrong_is_not_asked():
    far = BOX + 200
    there = Objects.of(np.concatenate([BOX, far]), [0, 0])
    twice = both(one(0.9), one(0.8), one(0.7, box=far))
    assert dict(measured([(twice, there)]).results())["ap50"] < 0.9
    crowd = Objects.of(np.concatenate([BOX, far]), [0, 0], crowd=[True, False])
    assert dict(measured([(twice, crowd)]).results())["ap50"] == pytest.approx(1)
    difficult = Objects.of(np.concatenate([BOX, far]), [0, 0], difficult=[True, False])
    once = both(one(0.9), one(0.7, box=far))
    for name in ("ap50", "ap50_voc07"):
        assert dict(measured([(once, difficult)]).results())[name] == pytest.approx(1)
    assert dict(measured([(twice, difficult)]).results())["ap50_voc07"] == pytest.approx(1)


def test_without_objects_there_is_nothing_to_say_but_how_many_images():
    assert dict(measured([(one(), Objects.of([], []))]).results()) == {"images": 1}
    assert dict(DetectionMetrics(CLASSES, range(4)).results()) == {"images": 0}
    hard = Objects.of(BOX, [0], difficult=[True])
    assert dict(measured([(one(), hard)]).results()) == {"images": 1}
    assert measured([(one(), Objects.of([], []))]).by_class() == {}


def test_nothing_seen_is_no_precision():
    found = dict(measured([(NONE, Objects.of(BOX, [0]))]).results())
    assert (found["ap"], found["ap50_voc07"]) == (0, 0)


def test_classes_are_the_datas_and_others_are_not_counted():
    """The model has four classes; the data knows its last as 0 and its second as 1."""
    metrics = DetectionMetrics(["d", "b", "unknown"], [3, 1, -1])
    seen = both(one(0.5, 3), one(0.9, 0), one(0.9, 2), one(0.9, 99), one(0.5, 1, BOX + 100))
    metrics.add([seen], [Objects.of(np.concatenate([BOX, BOX + 100, BOX]), [0, 1, 2])])
    found = metrics.by_class()
    assert list(found) == ["d", "b", "unknown"]
    np.testing.assert_allclose(list(found.values()), [(1, 1), (1, 1), (0, 0)])


def test_parts_merge_to_the_whole(images):
    whole, part = measured(images), measured(images[:13])
    dict(part.results())
    part.merge(pickle.loads(pickle.dumps(measured(images[13:]))))
    assert dict(part.results()) == pytest.approx(dict(whole.results()))
    part.add([one()], [Objects.of(BOX, [3])])
    assert dict(part.results())["images"] == 41
    assert list(part.by_class()) == list(CLASSES)


def test_measuring_prints_nothing(images, capfd, caplog):
    dict(measured(images).results())
    assert capfd.readouterr() == ("", "")
    assert not [record for record in caplog.records if record.levelname != "INFO"]


@pytest.mark.parametrize("count", [0, 1, 3, 20])
def test_the_figure_names_every_class(count, tmp_path):
    names = [f"c{i} $x" for i in range(count)]
    boxes = np.repeat(BOX, count, 0)
    seen = (boxes, np.linspace(0.5, 0.9, count), np.arange(count))
    metrics = measured([(seen, Objects.of(boxes, range(count)))], names or ["c"])
    figure = metrics.figure()
    assert sorted(text.get_text() for text in figure.axes[0].get_yticklabels()) == sorted(names)
    curves = [line for line in figure.axes[1].get_lines() if line.get_label() in names]
    assert len(curves) == (count if count <= 8 else 0)
    figure.savefig(tmp_path / "figure.png", dpi=40)


def peers_figures(images, classes):
    """faster-coco-eval's, which are pycocotools': by name, and AP of each class."""
    from faster_coco_eval import COCO, COCOeval_faster

    common = {
        "images": [{"id": i} for i in range(len(images))],
        "categories": [{"id": k, "name": str(k)} for k in range(classes)],
    }
    there, found = [], []
    for i, (seen, objects) in enumerate(images):
        for box, label, crowd, hard, area in zip(*objects, strict=True):
            size = 1e11 if hard else float(area)
            there.append({**row(i, box, label), "area": size, "iscrowd": int(crowd)})
        for box, score, label in zip(*seen, strict=True):
            one = row(i, box, label)
            found.append({**one, "area": one["bbox"][2] * one["bbox"][3], "score": float(score)})
    for rows in (there, found):
        for number, one in enumerate(rows, 1):
            one["id"] = number
    judge = COCOeval_faster(
        *(COCO({**common, "annotations": rows}) for rows in (there, found)), "bbox"
    )
    judge.params.maxDets = [100]
    judge.evaluate()
    judge.accumulate()
    return judge.eval["precision"][..., 0], judge.eval["recall"][..., 0]


def row(image, box, label):
    left, top, right, bottom = (float(v) for v in box)
    return {
        "image_id": image,
        "category_id": int(label),
        "bbox": [left, top, right - left, bottom - top],
    }


@pytest.mark.parametrize("seed", [0, 7])
def test_every_figure_is_the_peers(seed):
    """Equal scores and overlaps, crowds and difficult objects among them, 130 of a class."""
    random = np.random.default_rng(seed)
    images = scenes(60, seed)
    seen, objects = images[0]
    many = random.uniform(0, 150, (130, 4)) + np.array([0, 0, 150, 150])
    crowded = both(seen, (many, np.round(random.random(130), 1), np.zeros(130, int)))
    images[0] = (crowded, objects)
    twice = Objects(*(np.concatenate([part, part]) for part in images[1][1]))
    images[1] = (images[1][0], twice)
    coco = measured(images).coco()
    precision, recall = peers_figures(images, 4)
    np.testing.assert_allclose(coco.precision, precision.mean(1), atol=1e-12)
    np.testing.assert_allclose(coco.recall, recall, atol=1e-12)
    np.testing.assert_allclose(coco.curves, precision[0, :, :, 0].T, atol=1e-7)


def test_what_stays_of_an_image_does_not_grow_with_its_classes():
    """5,000 images of 100 detections take 16 MB, and ten thousand classes no table of each pair."""
    random = np.random.default_rng(1)
    classes = 10_000
    metrics = DetectionMetrics([str(k) for k in range(classes)], range(classes))
    boxes = random.uniform(0, 99, (100, 4)) + np.array([0, 0, 100, 100])
    for _ in range(20):
        labels = random.integers(0, classes, 100)
        metrics.add([(boxes, random.random(100), labels)], [Objects.of(boxes[:5], labels[:5])])
    assert len(pickle.dumps(metrics._pairings)) < 20 * 100 * 40
    figures = metrics.coco()
    assert sum(part.nbytes for part in figures) < 15e6
    assert dict(metrics.results())["ap"] > 0.9


def test_nothing_is_loaded_before_it_is_needed():
    late = {"faster_coco_eval", "matplotlib", "torch"}
    code = f"import sys, mobilenets.tasks.detect.measure.metrics; print({late} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.assets
def test_photographs_with_80_classes_are_measured_by_the_book(assets):
    random = np.random.default_rng(5)
    images = []
    for path in sorted((assets / "coco128" / "labels").rglob("*.txt"))[:60]:
        rows = np.loadtxt(path, ndmin=2)
        centres, sides = rows[:, 1:3] * [640, 480], rows[:, 3:5] * [640, 480]
        boxes = np.concatenate([centres - sides / 2, centres + sides / 2], 1)
        labels = rows[:, 0].astype(int)
        near = boxes + random.normal(0, 0.08, boxes.shape) * np.tile(sides, 2)
        near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 1)
        images.append(((near, random.random(len(near)), labels), Objects.of(boxes, labels)))
    found = dict(measured(images, [f"c{i}" for i in range(80)]).results())
    assert found["ap"] == pytest.approx(coco_mean(for_twins(images), 80, IOUS), abs=1e-6)
