"""Two images with three boxes, written as annotation tools do: the same each time."""

import json

from tests.tasks.detect.formats.files import write

SIZE = (60, 40)
CAT, DOG = (15.0, 10.0, 45.0, 30.0), (6.0, 4.0, 12.0, 8.0)
"""The first image has both, the second a dog."""


def labelme(root):
    for name, things in (("a", [("cat", CAT), ("dog", DOG)]), ("b", [("dog", DOG)])):
        shapes = [
            {
                "label": label,
                "points": [[x, t], [r, b]],
                "shape_type": "rectangle",
                "group_id": None,
            }
            for label, (x, t, r, b) in things
        ]
        content = {
            "version": "5.0.1",
            "flags": {},
            "shapes": shapes,
            "imagePath": f"..\\images\\{name}.jpg",
            "imageData": None,
            "imageHeight": SIZE[1],
            "imageWidth": SIZE[0],
        }
        write(root / f"json/{name}.json", json.dumps(content))


def supervisely(root):
    for name, things in (("a", [("cat", CAT), ("dog", DOG)]), ("b", [("dog", DOG)])):
        objects = [
            {
                "classTitle": label,
                "geometryType": "rectangle",
                "points": {"exterior": [[r, b], [x, t]], "interior": []},
            }
            for label, (x, t, r, b) in things
        ]
        size = {"height": SIZE[1], "width": SIZE[0]}
        content = {"description": "", "tags": [], "size": size, "objects": objects}
        write(root / f"ann/{name}.jpg.json", json.dumps(content))
    write(root / "meta.json", '{"classes": []}')


def createml(root):
    def entry(name, things):
        return {
            "image": f"{name}.jpg",
            "annotations": [
                {
                    "label": label,
                    "coordinates": {
                        "x": (x + r) / 2, "y": (t + b) / 2, "width": r - x, "height": b - t,
                    },
                }
                for label, (x, t, r, b) in things
            ],
        }  # fmt: skip

    content = [entry("a", [("cat", CAT), ("dog", DOG)]), entry("b", [("dog", DOG)])]
    write(root / "_annotations.createml.json", json.dumps(content))


def studio(root, minimal=False):
    def result(label, box):
        x, t, r, b = box
        value = {
            "x": 100 * x / SIZE[0],
            "y": 100 * t / SIZE[1],
            "width": 100 * (r - x) / SIZE[0],
            "height": 100 * (b - t) / SIZE[1],
            "rotation": 0,
            "rectanglelabels": [label],
        }
        size = {"original_width": SIZE[0], "original_height": SIZE[1]}
        return {**value, **size} if minimal else {"type": "rectanglelabels", "value": value, **size}

    def task(image, results):
        if minimal:
            return {"image": image, "id": 1, "label": results, "annotator": 1}
        old = {"was_cancelled": True, "result": []}
        return {"id": 1, "data": {"image": image}, "annotations": [{"result": results}, old]}

    content = [
        task("/data/upload/1/a.jpg", [result("cat", CAT), result("dog", DOG)]),
        task("/data/local-files/?d=images%2Fb.jpg", [result("dog", DOG)]),
    ]
    write(root / "project-1-at-2024.json", json.dumps(content))


def studio_min(root):
    studio(root, minimal=True)


def via(root):
    def region(label, box):
        x, t, r, b = box
        shape = {"name": "rect", "x": x, "y": t, "width": r - x, "height": b - t}
        return {"shape_attributes": shape, "region_attributes": {"kind": label, "note": ""}}

    images = {"a.jpg12": [region("cat", CAT), region("dog", DOG)], "b.jpg9": [region("dog", DOG)]}
    content = {
        key: {"filename": f"{key[:1]}.jpg", "size": 12, "regions": regions, "file_attributes": {}}
        for key, regions in images.items()
    }
    write(
        root / "via_project.json", json.dumps({"_via_settings": {}, "_via_img_metadata": content})
    )
    return content


def via_export(root):
    content = via(root)
    content["a.jpg12"]["regions"] = dict(enumerate(content["a.jpg12"]["regions"]))  # version 1
    write(root / "via_project.json", json.dumps(content))


def cvat(root):
    def box(label, corners, more=""):
        said = " ".join(
            f'{k}="{v}"' for k, v in zip(("xtl", "ytl", "xbr", "ybr"), corners, strict=True)
        )
        return f'<box label="{label}" occluded="0" {said} {more}z_order="0"></box>'

    size = f'width="{SIZE[0]}" height="{SIZE[1]}"'
    write(
        root / "annotations.xml",
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version><meta/>'
        f'<image id="0" name="a.jpg" {size}>{box("cat", CAT)}{box("dog", DOG)}</image>'
        f'<image id="1" name="b.jpg" {size}>{box("dog", DOG, chr(32))}<tag label="x"/></image>'
        "</annotations>",
    )


def lines(root):
    rows = [
        ("a", {"bbox": [xywh(CAT), xywh(DOG)], "categories": ["cat", "dog"]}),
        ("b", {"bbox": [xywh(DOG)], "category": ["dog"]}),
    ]
    rows = [{"file_name": f"{name}.jpg", "objects": objects} for name, objects in rows]
    write(root / "images/metadata.jsonl", "\n".join(map(json.dumps, rows)))


def xywh(box):
    x, t, r, b = box
    return [x, t, r - x, b - t]


def csv(header, line):
    def make(root):
        rows = [("a", "cat", CAT), ("a", "dog", DOG), ("b", "dog", DOG)]
        text = [header] if header else []
        for name, label, (x, t, r, b) in rows:
            w, h = SIZE
            shares = [x / w, t / h, r / w, b / h]
            text.append(line.format(name, label, x, t, r, b, r - x, b - t, *shares))
        write(root / "_annotations.csv", "\n".join(text) + "\n")
        write(root / "class-descriptions-boxable.csv", "/m/cat,cat\n/m/dog,dog\n")

    return make


TABLES = {
    "tensorflow": csv(
        "filename,width,height,class,xmin,ymin,xmax,ymax", "{}.jpg,60,40,{},{},{},{},{}"
    ),
    "windows": csv("filename;class;x1;y1;x2;y2", "C:\\set\\images\\{}.jpg;{};{};{};{};{}"),
    "retina": csv("", "data/images/{0}.jpg,{2:.0f},{3:.0f},{4:.0f},{5:.0f},{1}"),
    "sides": csv("image,x,y,w,h,label", "images/{0}.jpg,{2},{3},{6},{7},{1}"),
    "kaggle": csv(
        "image_id,width,height,bbox,source,class", '{0},60,40,"[{2}, {3}, {6}, {7}]",x,{1}'
    ),
    "shares": csv("filename,label,xmin,ymin,xmax,ymax", "{0}.jpg,{1},{8},{9},{10},{11}"),
    "open images": csv(
        "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsGroupOf",
        "{0},xclick,/m/{1},1,{8},{10},{9},{11},0,0",
    ),
    "automl": csv("", "UNASSIGNED,gs://bucket/x/{0}.jpg,{1},{8},{9},,,{10},{11},,"),
    "via": csv(
        "#filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes",
        '{0}.jpg,9,"{{}}",1,0,"{{""name"":""rect"",""x"":{2},""y"":{3},""width"":{6},""height"":{7}}}","{{""kind"":""{1}""}}"',
    ),
}
TOOLS = [labelme, supervisely, createml, studio, studio_min, via, via_export, cvat, lines]
