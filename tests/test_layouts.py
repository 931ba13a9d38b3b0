"""Small copies of the papers' data sets in their own layouts, through make's commands to tables with published rows.

The test splits have the published number of images, 32 pixels wide, so that published rows stand beside those here. The
commands are those that make prints, run in this process with smaller models on the small CNN of drawn scenes.
"""

import importlib
import io
import itertools
import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
COLOURS = ("red", "green", "blue", "white")
PLACES = ("snow", "grass", "sand")
KINDS = list(itertools.product(COLOURS, PLACES))
SMALLER = {
    "vse.train": ["hidden_dim=16", "embed_dim=16", "word_dim=8", "epochs=2"],
    "captioner.train": ["hidden_dim=16", "word_dim=16", "epochs=2", "min_count=1", "beam=1"],
    "captioner.alignment.train": ["layers=regions-grid", "hidden_dim=8", "word_dim=8", "joint_dim=8", "epochs=2"],
}
OWN_SIZE = ["BACKBONE=compact_scenes", "SECOND_CNN=", "LARGER_SIDE=", "SEEDS=0", "PROPOSALS=grid", "ENTITIES="]


def jpeg(colour: str, place: str) -> bytes:
    picture = Image.new("RGB", (32, 32), colour)
    picture.paste({"snow": "white", "grass": "darkgreen", "sand": "khaki"}[place], (0, 16, 32, 32))
    file = io.BytesIO()
    picture.save(file, "JPEG")
    return file.getvalue()


JPEGS = {kind: jpeg(*kind) for kind in KINDS}


def sentences(number: int, count: int = 5) -> list[str]:
    colour, place = KINDS[number % len(KINDS)]
    texts = [f"A {colour} thing on {place} .", f"something {colour} lies in the {place}", f"{place} below it"]
    texts += [f"it is {colour}", f"a {colour} thing"]
    return texts[:count]


def run_make(*words: str) -> None:
    """Run the commands that make prints for a target, each in this process; trainings of smaller models."""
    done = subprocess.run(["make", "--dry-run", *words], cwd=ROOT, capture_output=True, text=True, check=True)
    text = done.stdout.replace("\\\n", " ").replace("$seed", "0")
    for module, options in re.findall(r"python -m ((?!pip|venv)[\w.]+)([^|;&\n]*)", text):
        arguments = shlex.split(options)
        for setting in SMALLER.get(module, []):
            arguments += ["--set", setting]
        if module == "captioner.train" and "reading_order=given" not in arguments:
            arguments += ["--set", "layers=pooled"]
        assert importlib.import_module(module).main(arguments) == 0, (module, arguments)


def table(results: Path) -> str:
    return (results / "results.md").read_text()


@pytest.mark.slow
def test_flickr30k_from_files_to_tables(tmp_path):
    data = tmp_path / "flickr30k"
    (data / "flickr30k-images").mkdir(parents=True)
    lines = []
    first = 0
    for split, count in (("train", 40), ("val", 10), ("test", 1000)):
        names = [f"{1000092795 + first + number}.jpg" for number in range(count)]
        (data / f"imgs_{split}.txt").write_text("\n".join(names) + "\n")
        for number, name in enumerate(names):
            (data / "flickr30k-images" / name).write_bytes(JPEGS[KINDS[number % len(KINDS)]])
            lines += [f"{name}#{place}\t{text}" for place, text in enumerate(sentences(number))]
        first += count
    (data / "results_20130124.token").write_text("\n".join(lines) + "\n")
    words = ["DATASET=f30k", f"F30K={data}", f"RUNS={tmp_path / 'runs'}", f"RESULTS={tmp_path / 'results'}", *OWN_SIZE]
    run_make("train-ranker", "RANKER=kiros", *words)
    run_make("train-captioner", "CAPTIONER=karpathy", *words)
    run_make("train-aligner", "ALIGNER=karpathy", *words)
    run_make("eval", *words)
    text = table(tmp_path / "results")
    assert "Kiros repository, VGG-19 | 29.8" in text
    assert "BRNN, regions | 22.2" in text
    assert "Karpathy m-RNN, VGG | 57.3" in text
    for row in ("ranker kiros", "aligner karpathy-grid@320", "captioner karpathy"):
        assert f"| **[{row}, CNN of scenes]" in text, row


def write_coco(data: Path, test_images: int, captions: int) -> None:
    """Write Karpathy's dataset_coco.json and the folders of COCO's archives."""
    entries = []
    splits = [("train", "train2014", 30), ("restval", "val2014", 10), ("val", "val2014", 10)]
    for split, folder, count in (*splits, ("test", "val2014", test_images)):
        (data / folder).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            name = f"COCO_{folder}_{len(entries):012d}.jpg"
            (data / folder / name).write_bytes(JPEGS[KINDS[number % len(KINDS)]])
            rows = [{"raw": raw, "tokens": raw.lower().split()} for raw in sentences(number, captions)]
            entry = {"filepath": folder, "filename": name, "imgid": len(entries), "cocoid": len(entries)}
            entries.append({**entry, "split": split, "sentences": rows})
    (data / "dataset_coco.json").write_text(json.dumps({"dataset": "coco", "images": entries}))


def tables_by_setting(results: Path) -> dict[str, str]:
    parts = re.split(r"^### ", table(results), flags=re.MULTILINE)[1:]
    return {part.partition("\n")[0]: part for part in parts}


@pytest.mark.slow
def test_coco_from_files_to_tables_of_1k_5_x_1k_and_5k(tmp_path):
    write_coco(tmp_path / "coco", 5000, captions=1)
    words = ["DATASET=coco", f"COCO2014={tmp_path / 'coco'}", f"RUNS={tmp_path / 'runs'}"]
    words += [f"RESULTS={tmp_path / 'results'}", *OWN_SIZE]
    run_make("train-ranker", "RANKER=kiros", *words)
    run_make("eval", *words)
    tables = tables_by_setting(tmp_path / "results")
    for heading, published in (
        ("One pass over 1,000 images", "Kiros repository, VGG-19 | 43.4"),
        ("Mean of 5 folds of 1,000 images", "VSE∞, regions, BERT | 79.7"),
        ("One pass over 5,000 images", "BRNN, regions | 16.5"),
    ):
        assert published in tables[heading], heading
        assert "| **[ranker kiros, CNN of scenes]" in tables[heading], heading
    settings = json.loads((tmp_path / "runs" / "vse-coco-kiros-0" / "config.json").read_text())
    assert settings["data"]["options"] == ["restval=train"]


@pytest.mark.slow
def test_coco_from_files_to_tables_of_aligner_and_captioner(tmp_path):
    """Fewer images: their regions take minutes."""
    write_coco(tmp_path / "coco", 20, captions=5)
    words = ["DATASET=coco", f"COCO2014={tmp_path / 'coco'}", f"RUNS={tmp_path / 'runs'}"]
    words += [f"RESULTS={tmp_path / 'results'}", *OWN_SIZE]
    run_make("train-aligner", "ALIGNER=karpathy", *words)
    run_make("train-captioner", "CAPTIONER=karpathy", *words)
    run_make("eval", *words)
    tables = tables_by_setting(tmp_path / "results")
    for heading in ("One pass over 4 images", "Mean of 5 folds of 4 images", "One pass over 20 images"):
        assert "| **[aligner karpathy-grid@320, CNN of scenes]" in tables[heading], heading
    text = table(tmp_path / "results")
    assert "Karpathy m-RNN, VGG | 62.5" in text
    assert "| **[captioner karpathy, CNN of scenes]" in text


@pytest.mark.slow
def test_msr_vtt_from_files_to_tables(tmp_path):
    av = pytest.importorskip("av")
    data = tmp_path / "msrvtt"
    documents = {"train_val": ("TrainValVideo", ["train"] * 8 + ["validate"] * 3), "test": ("TestVideo", ["test"] * 4)}
    first = 0
    for name, (folder, splits) in documents.items():
        (data / folder).mkdir(parents=True)
        videos, rows = [], []
        for number, split in enumerate(splits, start=first):
            with av.open(str(data / folder / f"video{number}.mp4"), "w") as container:
                stream = container.add_stream("libx264", rate=10)
                stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
                frame = Image.open(io.BytesIO(JPEGS[KINDS[number % len(KINDS)]])).resize((64, 48))
                for _ in range(30):
                    container.mux(stream.encode(av.VideoFrame.from_image(frame)))
                container.mux(stream.encode())
            videos.append({"video_id": f"video{number}", "id": number, "split": split, "category": 1})
            rows += [{"video_id": f"video{number}", "caption": text} for text in sentences(number)]
        (data / f"{name}_videodatainfo.json").write_text(json.dumps({"videos": videos, "sentences": rows}))
        first += len(splits)
    words = ["DATASET=msrvtt", f"MSRVTT={data}", f"RUNS={tmp_path / 'runs'}", f"RESULTS={tmp_path / 'results'}"]
    words += OWN_SIZE
    run_make("train-s2vt", "S2VT=ramanishka", *words)
    run_make("eval", *words)
    text = table(tmp_path / "results")
    assert "S2VT of Ramanishka † |" in text
    assert "| **[captioner ramanishka, CNN of scenes]" in text
    run_make("train-s2vt", "S2VT=ramanishka", "DEV=2", *[word.replace("runs", "runs-dev") for word in words])
    settings = json.loads((tmp_path / "runs-dev" / "cap-msrvtt-ramanishka-0" / "config.json").read_text())
    assert settings["data"]["options"] == ["dev=2"]
