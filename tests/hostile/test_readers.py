"""Row 13 of docs/trust.md: whatever a file holds, its reader returns or ends with one line, and memory stays bounded.

Each case damages one file of a reader with a fixed seed. `make fuzz CASES=100000` runs as many cases of each reader.
"""

import faulthandler
import json
import os
import resource
import shutil
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import caffe_files
import numpy as np
import pytest
from clips import write_clip
from damage import damaged
from PIL import Image
from released_files import released_data, released_model

from vislang.core.errors import ToolkitError

ROOT = Path(__file__).resolve().parents[2]
CASES = int(os.environ.get("FUZZ_CASES", "0"))  # 0: those that each test names
SEED = int(os.environ.get("FUZZ_SEED", "0"))
MOST_MEMORY = 2**30  # bytes that the cases of one reader may add to the process
LONGEST = 60  # seconds of one case, after which the run ends with the place where it hangs


def attack(folder: Path, files: list[str], read: Callable[[], object], cases: int) -> None:
    """Damage one of the files again and again, and collect what `read` raises other than errors of one line."""
    contents = {name: (folder / name).read_bytes() for name in files}
    read()  # good files are read
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found: Counter[str] = Counter()
    examples = {}
    for case in range(CASES or cases):
        random = np.random.default_rng([SEED, case])
        name = files[random.integers(len(files))]
        (folder / name).write_bytes(damaged(contents[name], random, name))
        faulthandler.dump_traceback_later(LONGEST, exit=True)
        try:
            read()
        except ToolkitError as error:
            if "\n" in str(error):
                found["more than one line"] += 1
                examples["more than one line"] = f"case {case} of {name}: {error}"
        except Exception as error:
            frames = traceback.extract_tb(error.__traceback__)
            own = [frame for frame in frames if str(ROOT) in frame.filename and "/tests/" not in frame.filename]
            place = f"{type(error).__name__} at {own[-1].filename}:{own[-1].lineno}" if own else repr(error)
            found[place] += 1
            examples[place] = f"case {case} of {name}: {str(error)[:200]}"
        finally:
            faulthandler.cancel_dump_traceback_later()
            (folder / name).write_bytes(contents[name])
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    lines = [f"{count} x {place}: {examples[place]}" for place, count in found.most_common()]
    assert not found, "\n".join(lines)
    assert grown < MOST_MEMORY, f"memory grew by {grown} bytes"


def write_json(path: Path, document) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))


def coco(folder: Path):
    from datasets.captions.coco import read_coco

    for split in ("train", "dev"):
        images = [{"id": number, "file_name": f"{split}{number}.jpg"} for number in range(3)]
        notes = [{"id": 10 * n + k, "image_id": n, "caption": "A dog ."} for n in range(3) for k in range(2)]
        write_json(folder / f"captions_{split}.json", {"images": images, "annotations": notes})
    return ["captions_train.json", "captions_dev.json"], lambda: read_coco(folder, require_images=False)


def karpathy(folder: Path):
    from datasets.captions.karpathy import read_imgids, read_karpathy

    images = []
    for number, split in enumerate(("train", "val", "test", "restval")):
        sentences = [{"tokens": ["a", "dog"], "raw": "A dog ."}] * 2
        images.append({"imgid": number, "filename": f"{number}.jpg", "split": split, "sentences": sentences})
        images[-1]["filepath"] = "val"
    write_json(folder / "dataset.json", {"images": images})
    shutil.copytree(folder, folder / "with")
    for number in range(4):
        (folder / "with" / "images" / "val").mkdir(parents=True, exist_ok=True)
        (folder / "with" / "images" / "val" / f"{number}.jpg").touch()

    def read():
        for where in (folder, folder / "with"):
            read_karpathy(where, restval="train")
            read_imgids(where)

    return ["dataset.json", "with/dataset.json"], read


def msrvtt(folder: Path):
    from datasets.captions.msrvtt import read_msrvtt

    videos = [{"video_id": f"video{n}", "split": "train"} for n in range(4)]
    sentences = [{"video_id": f"video{n}", "caption": "a man sings"} for n in range(4)]
    write_json(folder / "videodatainfo.json", {"videos": videos, "sentences": sentences})
    return ["videodatainfo.json"], lambda: read_msrvtt(folder, dev=1)


def flickr(folder: Path):
    from datasets.captions.flickr import read_flickr8k

    lines = [f"{n}.jpg#{k}\tA dog number {k} ." for n in range(3) for k in range(5)]
    (folder / "Flickr8k.token.txt").write_text("\n".join(lines) + "\n")
    names = ["Flickr8k.token.txt"]
    for number, split in enumerate(("train", "dev", "test")):
        names.append(f"Flickr_8k.{split}Images.txt")
        (folder / names[-1]).write_text(f"{number}.jpg\n")
    return names, lambda: read_flickr8k(folder, require_images=False)


def entities(folder: Path):
    from datasets.captions.flickr30k_entities import read_entities

    thing = "<object><name>1</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>30</xmax><ymax>40</ymax></bndbox></object>"
    xml = f"<annotation><size><width>60</width><height>40</height></size>{thing}</annotation>"
    sentence = "[/EN#1/people A man] sits .\n"
    with zipfile.ZipFile(folder / "annotations.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("Annotations/1.xml", xml)
        archive.writestr("Sentences/1.txt", sentence)
    plain = folder / "plain"
    for name, text in (("Annotations/1.xml", xml), ("Sentences/1.txt", sentence)):
        (plain / name).parent.mkdir(parents=True)
        (plain / name).write_text(text)
    names = ["annotations.zip", "plain/Annotations/1.xml", "plain/Sentences/1.txt"]

    def read():
        read_entities(folder, ["1_f8k.jpg"])
        read_entities(plain, ["1_f8k.jpg"])

    return names, read


def precomputed(folder: Path):
    from datasets.captions.precomputed import read_precomputed, read_precomputed_features

    released_data(folder, "f8k", images=3)
    names = [path.name for path in folder.iterdir()]

    def read():
        read_precomputed(folder, name="f8k", splits=("dev", "test"))
        read_precomputed_features(folder, "f8k", splits=("dev", "test"))

    return names, read


def judgements(folder: Path):
    from datasets.captions.human_judgements import read_crowd, read_expert

    captions = {"1.jpg": ["a dog", "a cat"], "2.jpg": ["a car", "a bus"]}
    (folder / "expert.txt").write_text("1.jpg\t2.jpg#1\t1\t2\t3\n2.jpg\t1.jpg#0\t1\t2\t3\n")
    (folder / "crowd.txt").write_text("1.jpg\t2.jpg#1\t0.5\t2\t3\n2.jpg\t1.jpg#0\t1\t2\t3\n")

    def read():
        read_expert(folder / "expert.txt", captions)
        read_crowd(folder / "crowd.txt", captions)

    return ["expert.txt", "crowd.txt"], read


def fixations(folder: Path):
    from datasets.fixations.csv_file import read_fixations_csv

    Image.new("RGB", (60, 40)).save(folder / "dog.png")
    (folder / "all.csv").write_text("image,subject,x,y,duration\ndog.png,anna,3.5,14,220\ndog.png,ben,9,20,18\n")
    return ["all.csv", "dog.png"], lambda: read_fixations_csv(folder)


def scenes(folder: Path):
    from datasets.scenes.__main__ import main
    from datasets.scenes.dataset import read_scene_entities, read_scenes

    assert main(["--out", str(folder), "--train", "4", "--dev", "2", "--test", "2"]) == 0
    names = [path.name for path in folder.glob("*.json")]
    return names, lambda: read_scene_entities(folder, [record.image_id for record in read_scenes(folder)])


def archives(folder: Path):
    from datasets.download.http import Archive, _checked
    from datasets.download.zip_files import unpack

    with zipfile.ZipFile(folder / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(3):
            archive.writestr(f"images/{number}.txt", "a dog on the grass " * 20)
    content = Archive("a.zip", (), None, 10**6)

    def read():
        shutil.rmtree(folder / "out", ignore_errors=True)
        _checked(content, folder / "a.zip")
        unpack(folder / "a.zip", folder / "out", max_bytes=10**6)

    return ["a.zip"], read


def caption_files(folder: Path):
    from eval.metrics.captions.coco_files import read_references, read_results, references_of

    write_json(folder / "captions.json", [{"image_id": n, "caption": "a dog"} for n in range(3)])
    write_json(folder / "references.json", {str(n): ["a dog", "a cat"] for n in range(3)})
    write_json(folder / "coco.json", {"annotations": [{"image_id": n, "caption": "a dog"} for n in range(3)]})

    def read():
        captions = read_results(folder / "captions.json")
        for name in ("references.json", "coco.json"):
            references_of(captions, read_references(folder / name))

    return ["captions.json", "references.json", "coco.json"], read


def document_frequencies(folder: Path):
    from eval.metrics.captions.document_frequencies import DocumentFrequencies

    table = DocumentFrequencies.fit([["a dog runs", "a dog"], ["a dog sits", "a cat"]])
    for name in ("df.json", "df.json.gz"):
        table.save(folder / name)

    def read():
        for name in ("df.json", "df.json.gz"):
            DocumentFrequencies.load(folder / name).images_with(["a dog"])

    return ["df.json", "df.json.gz"], read


def results(folder: Path):
    from eval.results_page import results_page

    chosen: dict[str, Path] = {}
    for path in sorted((ROOT / "results").glob("*.json"), key=lambda path: path.stat().st_size):
        kind = json.loads(path.read_text()).get("kind")
        if kind and path.stat().st_size < 200_000:
            chosen.setdefault(kind, path)
    for path in chosen.values():
        shutil.copy(path, folder)
    return [path.name for path in chosen.values()], lambda: results_page(folder, "")


def ranks(folder: Path):
    from eval.metrics.ranking import Ranks
    from eval.results.ranks import SavedRanks, load_ranks, save_ranks

    of_fold = Ranks(np.array([1, 2]), np.array([1, 1, 2, 3]), np.array([0, 0, 1, 1]))
    save_ranks(folder / "ranks-a.npz", SavedRanks((of_fold,), "ab" * 32))
    return ["ranks-a.npz"], lambda: load_ranks(folder / "ranks-a.npz")


def saliency_maps(folder: Path):
    from eval.tasks.saliency_maps import read_map

    np.save(folder / "a.npy", np.eye(5))
    Image.fromarray(np.eye(9, dtype=np.uint8)).save(folder / "b.png")
    return ["a.npy", "b.png"], lambda: [read_map(folder / name) for name in ("a.npy", "b.png")]


def word_vectors(folder: Path):
    from vislang.text.vocabulary import Vocabulary
    from vislang.text.word_vectors import embedding_table

    (folder / "glove.txt").write_text("a 1 2 3\ndog 1.5 2 3e2\ncat -1 2 0\n")
    words = Vocabulary(["a", "dog", "cat"])
    return ["glove.txt"], lambda: embedding_table(folder / "glove.txt", words, 3)


def text_lists(folder: Path):
    from vislang.images.sources import image_sources
    from vse.search import read_sentences

    (folder / "paths.txt").write_text("a.jpg\nb.jpg\n")
    (folder / "sentences.txt").write_text("a dog\na cat\n")

    def read():
        image_sources(folder / "paths.txt")
        read_sentences(folder / "sentences.txt")

    return ["paths.txt", "sentences.txt"], read


def saved_state(folder: Path):
    from vislang.training.checkpoints import load_state, save_state

    like = [np.zeros((3, 4), np.float32), np.int64(3)]
    save_state(folder / "state.npz", like, {"epochs": 1, "history": []})
    return ["state.npz"], lambda: load_state(folder / "state.npz", like)


def original_ranker(folder: Path):
    from vse.kiros.load_released import read_original

    released_model(folder / "coco.npz")
    names = ["coco.npz", "coco.npz.dictionary.pkl", "coco.npz.pkl"]
    return names, lambda: read_original(folder / "coco.npz")


def image_index(folder: Path):
    from vse.index.folder import FolderStore
    from vse.index.store import Collection, Filter, Record

    collection = Collection("a" * 64, 4)
    with FolderStore(folder, collection) as store:
        store.add([Record("/a", caption="a dog"), Record("/b"), Record("/c")], np.eye(3, 4, dtype=np.float32))
        store.delete(["/c"])

    def read():
        with FolderStore(folder, collection, create=False) as damaged:
            damaged.search(np.ones((1, 4), np.float32), 2)
            damaged.search(np.ones((1, 4), np.float32), 2, where=Filter(words="dog"))
            damaged.vectors(list(damaged.records(list(damaged.ids()))))

    return ["images.sqlite", "vectors-1.f32"], read


def shards(folder: Path):
    from shard_jobs import job_of, picture, write_tar

    from vislang.features.cache.reader import FeatureKey, import_rows, open_cache
    from vislang.features.shards.job import read_list, read_report, write_report
    from vislang.features.shards.run import Engine, run_shards

    write_tar(folder / "images" / "a.tar", {"a.png": picture(0), "b/b.png": picture(1), "c.txt": b"text"})
    (folder / "images" / "d.png").write_bytes(picture(2))
    job = job_of(folder / "names", folder / "images").absolute()
    first, second = run_shards(job, Engine(), progress=False).manifest.shards
    features = folder / "features"
    features.mkdir()
    import_rows(features / "00000.h5", ["a"], np.ones((1, 3)), FeatureKey("toy", "pooled", "none", "f" * 64))
    state = {"name": "00000", "source": "", "state": "finished", "rows": 1, "reason": "", "skipped": []}
    manifest = {"format": "vislang shards/v1", "kind": "features", "ids": "path", "shards": [state]}
    write_json(features / "manifest.json", manifest)

    def read():
        open_cache(features).read("toy", "pooled")
        read_list(job.folder, second)
        report = read_report(job.folder, first)
        job.is_finished(second, report)
        job.is_finished(first, report)
        for image in job.images_of(first):
            assert len(image) < 10_000
        if report is not None:
            write_report(folder, first, report)

    return ["features/manifest.json", "images/a.tar", "names/00000.json", "names/00001.images.json"], read


def consensus(folder: Path):
    from captioner.decoding.consensus_reranking import ConsensusReranker, read_consensus_reranker

    embeddings = np.eye(3, dtype=np.float16)
    words = np.array([[4, 5, 6], [5, 6, 0], [4, 6, 5]])
    ConsensusReranker(embeddings, words, np.arange(3)).save(folder)

    def read():
        found = read_consensus_reranker(folder)
        found.scores(np.eye(3, dtype=np.float32)[:1], np.array([[[4, 5, 0], [6, 5, 4]]]), 2)

    return ["consensus.npz"], read


def caffe(folder: Path):
    from vislang.backbones.caffe.load import load

    kernel = np.ones((4, 3, 3, 3), np.float32)
    bias = np.zeros(4, np.float32)
    layers = [
        caffe_files.layer("conv1", "Convolution", "data", blobs=[kernel, bias], num_output=4, kernel_size=3),
        caffe_files.layer("relu1", "ReLU", "conv1", top="conv1"),
        caffe_files.layer("pool1", "Pooling", "conv1", pool="MAX", kernel_size=2, stride=2),
    ]
    text, weights = caffe_files.write(folder, layers, (1, 3, 16, 16))
    return [text.name, weights.name], lambda: load(text, weights)


def class_labels(folder: Path):
    from vislang.backbones.illustration2vec import NUM_TAGS, read_tags, read_thresholds

    write_json(folder / "tags.json", [f"tag {n}" for n in range(NUM_TAGS)])
    np.savez(folder / "thresholds.npz", np.zeros((NUM_TAGS, 3)))

    def read():
        read_tags(folder / "tags.json")
        read_thresholds(folder / "thresholds.npz")

    return ["tags.json", "thresholds.npz"], read


def images(folder: Path):
    from vislang.images.decode import decode_image, image_size

    pixels = Image.fromarray(np.random.default_rng(0).integers(0, 255, (30, 20, 3), dtype=np.uint8))
    names = [f"a.{suffix}" for suffix in ("jpg", "png", "gif", "webp", "bmp", "tif", "avif")]
    for name in names:
        pixels.save(folder / name)

    def read():
        for name in names:
            image_size(folder / name)
            decode_image(folder / name, shorter_side=16)

    return names, read


def videos(folder: Path):
    from vislang.images.video import sampled_frames, spread_frames

    for suffix in ("mp4", "mkv", "avi"):
        write_clip(folder / f"clip.{suffix}")
    names = [path.name for path in folder.iterdir()]

    def read():
        for name in names:
            spread_frames(folder / name)
            for _ in sampled_frames(folder / name, 8.0):
                pass

    return names, read


def checkpoint_files(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.is_file() and path.suffix in (".json", ".h5", ".npz")]


def ranker(folder: Path, tiny_ranker: Path):
    from vse.inference import TrainedRanker

    shutil.copytree(tiny_ranker, folder, dirs_exist_ok=True)

    def read():
        model = TrainedRanker.read(folder)
        assert model.fingerprint
        model.encode_sentences(["a dog"])

    return checkpoint_files(folder), read


def captioner(folder: Path, tiny_captioner: Path):
    from captioner.inference import TrainedCaptioner

    shutil.copytree(tiny_captioner, folder, dirs_exist_ok=True)
    write_json(folder / "calibration.json", {"temperature": 0.9, "bias": 0.1, "log_prob_weight": 0.3})
    descriptors = np.zeros((1, 2, 128), np.float32)

    def read():
        model = TrainedCaptioner.read(folder)
        assert model.fingerprint
        model.check_width(descriptors)

    return checkpoint_files(folder), read


def aligner(folder: Path):
    from captioner.alignment.config import AlignmentConfig
    from captioner.alignment.inference import TrainedAligner
    from captioner.alignment.model import Aligner
    from vislang.core.config import to_json
    from vislang.text.vocabulary import Vocabulary
    from vislang.training import checkpoints

    config = AlignmentConfig(word_dim=4, hidden_dim=4, joint_dim=6)
    words = Vocabulary(["a", "dog"])
    description = {"kind": "aligner", "preset": "tiny", "config": to_json(config), "seed": 0, "num_features": 5}
    description["num_beside"] = 0
    weights = {config.layers[0]: "0" * 64}
    description |= {"backbone": {"name": "compact_scenes", "weights": weights}, "data": {}}
    checkpoints.start_checkpoint(folder, description, words)
    checkpoints.save_weights(Aligner(config, len(words), 5), folder)

    def read():
        model = TrainedAligner.read(folder)
        assert model.fingerprint
        model.encode_sentences(["a dog"])

    return checkpoint_files(folder), read


def naturalness(folder: Path):
    from naturalness.config import NaturalnessConfig
    from naturalness.inference import TrainedNaturalness
    from naturalness.model import VisualLanguageModel
    from naturalness.reference import Reference, write_reference
    from vislang.backbones.registry import load_backbone
    from vislang.core.config import from_json, to_json
    from vislang.training import checkpoints

    experts = [{"layer": "grid"}, {"layer": "grid", "context": "scene", "space": "channels", "errors": "excess"}]
    config = from_json(NaturalnessConfig, {"experts": experts})
    description = {"kind": "naturalness", "preset": "tiny", "config": to_json(config), "channels": [128]}
    fingerprint = load_backbone("compact_scenes").fingerprint
    description |= {"backbone": {"name": "compact_scenes", "fingerprint": fingerprint}, "data": {}, "seed": 0}
    checkpoints.start_checkpoint(folder, description, None)
    checkpoints.save_weights(VisualLanguageModel(config, [128]), folder)
    write_reference(folder, Reference(10, (1.0, 2.0), tuple(map(float, range(101)))))

    def read():
        model = TrainedNaturalness.read(folder)
        assert model.fingerprint

    return checkpoint_files(folder), read


def classifier(folder: Path):
    from preimage.classifier.config import ClassifierConfig
    from preimage.classifier.model import ARCHITECTURE, build_classifier, load_classifier
    from vislang.core.config import to_json
    from vislang.training import checkpoints

    config = ClassifierConfig(backbone="", channels=(4, 6), preprocessing="squash-64-tf/v1")
    built = build_classifier(config, ["cat", "dog"])
    description = {"kind": "classifier", "preset": "tiny", "config": to_json(config), "seed": 0}
    description |= {"preprocessing": config.preprocessing, "classes": ["cat", "dog"], "layers": built.layers}
    checkpoints.start_checkpoint(folder, {**description, "backbone": {"name": "none"}, "data": {}}, None)
    (folder / ARCHITECTURE).write_text(built.model.to_json())
    checkpoints.save_weights(built.model, folder)
    return checkpoint_files(folder), lambda: load_classifier(folder)


def training_history(folder: Path):
    from eval.results.models import require_kind, training_seconds

    write_json(folder / "history.json", [{"epoch": 0, "seconds": 1.5}, {"epoch": 1, "seconds": 2}])
    write_json(folder / "config.json", {"kind": "vse"})

    def read():
        training_seconds(folder, 2)
        require_kind([folder], "vse")

    return ["history.json", "config.json"], read


FAST = [
    (coco, 300), (karpathy, 300), (msrvtt, 300), (flickr, 200), (entities, 300), (precomputed, 300), (judgements, 200),
    (fixations, 300), (scenes, 200), (archives, 300), (caption_files, 300), (document_frequencies, 300),
    (results, 100), (ranks, 300), (saliency_maps, 300), (word_vectors, 300), (text_lists, 200), (saved_state, 300),
    (original_ranker, 100), (image_index, 300), (shards, 400), (consensus, 300), (caffe, 100), (class_labels, 200),
    (images, 300), (videos, 100), (training_history, 200), (aligner, 60), (naturalness, 40), (classifier, 40),
]  # fmt: skip


@pytest.mark.parametrize(("make", "cases"), FAST, ids=[make.__name__ for make, _ in FAST])
def test_row_13_damaged_files_end_with_one_line(tmp_path, make, cases):
    attack(tmp_path, *make(tmp_path), cases)


def test_row_13_damaged_rankers_end_with_one_line(tmp_path, tiny_ranker):
    attack(tmp_path, *ranker(tmp_path, tiny_ranker), 60)


def test_row_13_damaged_captioners_end_with_one_line(tmp_path, tiny_captioner):
    attack(tmp_path, *captioner(tmp_path, tiny_captioner), 60)
