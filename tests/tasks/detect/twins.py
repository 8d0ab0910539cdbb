"""COCO's and VOC 2007's average precision, slow and by the book, for scenes of a few images."""

import numpy as np


def overlap(a, b, crowd=False):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    area_a, area_b = (a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1])
    # Of a crowd nobody knows how much one detection should cover: its own area counts alone.
    return width * height / (area_a if crowd else area_a + area_b - width * height)


def coco_image(detections, objects, iou, low, high):
    """[(score, right or wrong)] of one image and class, and the number of objects to find."""
    detections = sorted(detections, key=lambda d: -d["score"])[:100]
    for thing in objects:
        thing["passed"] = thing["crowd"] or thing["difficult"] or not low <= thing["area"] <= high
    taken: set[int] = set()
    found = []
    for detection in detections:
        box = detection["box"]

        def best(passed, box=box):
            free = [
                (overlap(box, o["box"], o["crowd"]), i)
                for i, o in enumerate(objects)
                if o["passed"] == passed and (i not in taken or o["crowd"])
            ]
            return max((pair for pair in free if pair[0] >= iou), default=None)

        pair = best(False) or best(True)
        if pair is not None:
            taken.add(pair[1])
            if not objects[pair[1]]["passed"]:
                found.append((detection["score"], True))
            continue
        if low <= (box[2] - box[0]) * (box[3] - box[1]) <= high:
            found.append((detection["score"], False))
    return found, sum(not thing["passed"] for thing in objects)


def coco_ap(images, label, iou, low=0.0, high=1e10):
    """AP of a class over [(detections, objects)]; None where there is nothing to find."""
    rows, wanted = [], 0
    for detections, objects in images:
        found, count = coco_image(
            [d for d in detections if d["label"] == label],
            [o for o in objects if o["label"] == label],
            iou,
            low,
            high,
        )
        rows += found
        wanted += count
    if not wanted:
        return None
    rows.sort(key=lambda row: -row[0])
    right = np.cumsum([hit for _, hit in rows])
    precision = [n / (i + 1) for i, n in enumerate(right)]
    recall = [n / wanted for n in right]
    return float(
        np.mean(
            [
                max((p for p, r in zip(precision, recall, strict=True) if r >= point), default=0)
                for point in np.linspace(0, 1, 101)
            ]
        )
    )


def coco_mean(images, classes, ious, low=0.0, high=1e10):
    values = [coco_ap(images, k, iou, low, high) for k in range(classes) for iou in ious]
    return float(np.mean([value for value in values if value is not None]))


def voc_ap(images, label):
    """VOC 2007's AP of a class; None where there is nothing to find."""
    rows = [
        (d["score"], n, d["box"])
        for n, (detections, _) in enumerate(images)
        for d in detections
        if d["label"] == label
    ]
    things = [[o for o in objects if o["label"] == label] for _, objects in images]
    passed = [[o["difficult"] or o["crowd"] for o in image] for image in things]
    wanted = sum(not one for image in passed for one in image)
    if not wanted:
        return None
    taken = set()
    right, wrong = 0, 0
    points = []
    for _, n, box in sorted(rows, key=lambda row: -row[0]):
        overlaps = [overlap(box, o["box"]) for o in things[n]]
        best = int(np.argmax(overlaps)) if overlaps else -1
        if best >= 0 and overlaps[best] >= 0.5:
            if passed[n][best]:
                continue
            right += (n, best) not in taken
            wrong += (n, best) in taken
            taken.add((n, best))
        else:
            wrong += 1
        points.append((right, right / (right + wrong)))
    best_from = [
        max((p for n, p in points if n * 10 >= tenth * wanted), default=0) for tenth in range(11)
    ]
    return sum(best_from) / 11
