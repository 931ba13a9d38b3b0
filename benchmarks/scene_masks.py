"""Object words inside their object's own mask in drawn scenes, by the maps of three methods.

Scenes are drawn anew from their seed, which gives the exact mask of each object; the data sets hold boxes alone. Pairs
of colour and shape of the test split are in no training scene.

    vislang scenes --out D/scenes --train 1500 --dev 200 --test 300 --seed 0
    vislang scenes --out D/fresh --train 200 --dev 0 --test 0 --seed 1
    vislang extract --images D/scenes/images --backbone compact_scenes --cache D/scenes.h5 --layers pooled,grid
    vislang extract --images D/scenes/images --backbone compact_scenes --cache D/scenes-regions.h5 \
        --layers regions-selective,boxes-selective    (and D/fresh/images into D/fresh.h5 and D/fresh-regions.h5)
    vislang train ranker|captioner --preset scenes --dataset scenes --data D/scenes --cache D/scenes.h5 ...
    vislang train aligner --preset scenes --set layers=regions-selective,boxes-selective ...
    python -m benchmarks.scene_masks --folder D --ranker D/ranker --captioner D/captioner --aligner D/aligner

Prints one JSON document: for each method the per cent of object words that point inside.
"""

import argparse
import json
from pathlib import Path

import numpy as np

import captioner
import vse
from datasets.scenes.dataset import read_scenes
from datasets.scenes.draw import draw_scene
from eval.metrics.pointing_game import peak
from saliency.grid_features import cached_cells
from saliency.word_maps import Places, explain_by_regions, explain_cells
from vislang.draw.heatmap import enlarge
from vislang.features.cache.reader import open_cache

_IMAGES = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="holds both data sets and their caches")
    for name in ("ranker", "captioner", "aligner"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args()
    found = {}
    for pairs, name, split, seed in (("trained", "fresh", "train", 1), ("never trained", "scenes", "test", 0)):
        records = [one for one in read_scenes(args.folder / name) if one.split == split][:_IMAGES]
        found[pairs] = score(args, records, args.folder / name, split, seed)
    print(json.dumps(found, indent=1))


def score(args, records, place, split, seed):
    """Return {method: per cent of object words that point inside} and their number."""
    aligner = captioner.load_aligner(args.aligner)
    explainer = captioner.load_model(args.captioner)
    ranker = vse.load_model(args.ranker)
    ids = [one.image_id for one in records]
    methods = ("activation", "gradient", "regions")
    hits = {method: [] for method in methods}
    with open_cache(place.with_suffix(".h5")) as cache:
        all_cells = list(cached_cells(explainer, cache, ids))
    with open_cache(place.with_name(f"{place.name}-regions.h5")) as cache:
        encoded = aligner.encode_cached(cache, ids)
        boxes = aligner.cached_boxes(cache, ids)
    all_places = ranker.encode_cells([one.path for one in records])
    for row, (record, of_ranker) in enumerate(zip(records, all_places, strict=True)):
        scene = draw_scene(seed, row, split)
        assert tuple(scene.captions) == tuple(record.captions), "the scene is drawn otherwise than the data set's"
        places = Places(ranker, of_ranker)
        whole = all_cells[row].reshape(-1, all_cells[row].shape[-1])
        for number, caption in enumerate(scene.captions):
            maps = {}
            for method in methods[:2]:
                maps[method] = explain_cells(explainer, all_cells[row], caption, method=method, places=places).maps[0]
            found = explain_by_regions(explainer, aligner, encoded[[row]], boxes[row, :, :4], whole, caption)
            maps["regions"] = found.maps[0]
            for phrase in scene.phrases:
                if phrase.caption != number:
                    continue
                mask = np.any([scene.objects[index].mask for index in phrase.objects], axis=0)
                word = phrase.words[1] - 1  # the last word of a phrase is its object
                for method, of_words in maps.items():
                    hits[method].append(is_inside(mask, peak(enlarge(of_words[word], mask.shape[::-1]))))
    scores = {method: round(100 * float(np.mean(inside)), 1) for method, inside in hits.items()}
    return {**scores, "words": len(hits["regions"])}


def is_inside(mask, place):
    """Return whether a point (x, y) in shares of the sides lies in a mask bool [H, W]."""
    height, width = mask.shape
    x, y = place
    return bool(mask[min(height - 1, int(y * height)), min(width - 1, int(x * width))])


if __name__ == "__main__":
    main()
