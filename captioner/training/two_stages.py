"""The captioner's training: cross-entropy on human captions, then, optionally, self-critical training."""

from typing import Any

import numpy as np
from keras import ops

from captioner.calibration import FILE
from captioner.config import CONFIGS
from captioner.decoding.consensus_reranking import ConsensusReranker
from captioner.decoding.options import DecodeOptions
from captioner.inference import TrainedCaptioner
from captioner.training.calibration import calibrate
from captioner.training.cider_rewards import cider_reward, cider_weights
from captioner.training.cross_entropy import CaptionBatches, CaptionTask, caption_task, encode_caption, start_biases
from captioner.training.self_critical import ImageBatches, SelfCriticalTask, self_critical_task
from eval.metrics.captions.ptb_tokenizer import TREEBANK
from eval.metrics.captions.score import score_captions
from vislang.core.errors import DataError
from vislang.text.vocabulary import pad_sentences
from vislang.training import checkpoints
from vislang.training.cached_data import CachedTraining, CaptionSource
from vislang.training.callbacks import Row
from vislang.training.fit import Report, Stage

FIRST_STAGE = "cross-entropy"  # folder of its checkpoint, where a second stage follows


class CaptionerTraining(CachedTraining):
    """The training of a captioner.

    Attributes:
        words: word ids of each of the M training captions, end mark included.
        image_of_caption: int64 [M], the row in `train` of each.
    """

    kind = TrainedCaptioner.kind
    configs = CONFIGS
    score = "score"
    model_class = TrainedCaptioner
    words: list[list[int]]
    image_of_caption: np.ndarray

    def read_data(self) -> None:
        """Read captions and features.

        Raises:
            ToolkitError: as for `read_captions`, or a dev split of one image, whose CIDEr is not defined.
        """
        super().read_data()
        for source in self.sources:
            if len(source.dev) == 1:
                raise DataError(
                    f"{source.name}: dev has one image, expected 2 or more, since CIDEr compares images; move others"
                    " to dev"
                )
        captions, self.image_of_caption = self.captions()
        self.words = [encode_caption(caption, self.config, self.vocabulary) for caption in captions]

    def initialize(self) -> None:
        """Set the output biases to word frequencies, and the statistics of the features."""
        self.model.set_output_bias(start_biases(self.words, len(self.vocabulary)))
        if self.config.image_scaling.startswith("standardised"):
            self.model.set_feature_statistics(*self.descriptors.statistics())

    def stages(self) -> list[Stage]:
        """Return cross-entropy training and, where the settings have epochs for it, self-critical training."""
        config = self.config
        kept = config.best_checkpoints
        if not config.self_critical_epochs:
            return [Stage(self.caption_batches, self.caption_task, config.epochs, num_kept=kept)]
        return [
            Stage(self.caption_batches, self.caption_task, config.epochs, folder=FIRST_STAGE),
            Stage(self.image_batches, self.self_critical_task, config.self_critical_epochs, num_kept=kept),
        ]

    def caption_batches(self) -> CaptionBatches:
        """Return the training captions with their images, in seeded batches."""
        config = self.config
        weights = None
        if config.weighted_cross_entropy:
            weights = cider_weights(self.train, config.weighted_cross_entropy)
        return CaptionBatches(
            self.words,
            self.image_of_caption,
            self.descriptors,
            batch_size=config.batch_size,
            batching=config.batching,
            seed=self.args.seed,
            sampling=self.sampling(),
            weights=weights,
        )

    def caption_task(self, updates: int) -> CaptionTask:
        """Return the compiled model of the cross-entropy stage."""
        return caption_task(self.model, self.descriptors, updates)

    def image_batches(self) -> ImageBatches:
        """Return the training images, in seeded batches with as many samples as the first stage's have captions."""
        batch_size = max(1, self.config.batch_size // self.config.self_critical_samples)
        return ImageBatches(self.descriptors, batch_size=batch_size, seed=self.args.seed)

    def self_critical_task(self, updates: int) -> SelfCriticalTask:
        """Return the compiled model of the self-critical stage, rewarded by CIDEr-D."""
        reward = cider_reward(self.vocabulary, self.train)
        return self_critical_task(self.model, self.descriptors, reward, updates)

    def validate_on(self, source: CaptionSource) -> dict[str, float]:
        """Caption dev greedily and score it without Java; the best weights have the highest "score"."""
        trained = self.trained_model()
        ids = [record.image_id for record in source.dev]
        references: dict[int | str, Any] = {record.image_id: record.captions for record in source.dev}
        found = trained.caption_cached(source.cache, ids, options=DecodeOptions(method="greedy"))
        captions: dict[int | str, str] = {image_id: best[0].text for image_id, best in zip(ids, found, strict=True)}
        scores = score_captions(captions, references, metrics=("bleu", "cider"), tokenizer=TREEBANK).corpus
        perplexity = trained.perplexity(source.cache, ids, list(references.values()))
        score = -perplexity
        if self.config.select_by == "cider":
            score = scores["cider"]
        return {"score": score, "cider": scores["cider"], "bleu4": scores["bleu4"], "perplexity": perplexity}

    def finish(self) -> None:
        """Add captions for re-ranking, and the calibration of the best weights, to the checkpoint."""
        if self.config.consensus_images:
            self.save_consensus_reranker()
        if not (self.args.out / FILE).is_file():  # else the run was finished before
            splits = [(source.cache, source.dev) for source in self.sources if source.dev]
            calibrate(TrainedCaptioner.read(self.args.out), splits, self.args.out)

    def save_consensus_reranker(self) -> None:
        """Write the training images' embeddings and their captions into the checkpoint."""
        checkpoints.load_weights(self.model, self.args.out)
        embeddings = []
        for block in self.descriptors.blocks(64):
            mask = ops.ones(block.shape[:2], "bool")
            embeddings.append(np.asarray(self.model.predict_image_embeddings(block, mask), np.float16))
        captions = pad_sentences([caption[:-1] for caption in self.words])
        reranker = ConsensusReranker(
            embeddings=np.concatenate(embeddings),
            words=captions.astype(np.min_scalar_type(captions.max())),
            image_of_caption=self.image_of_caption.astype(np.int32),
        )
        reranker.save(self.args.out)

    def report(self, rows: list[Row]) -> Report:
        """Return the last scores on dev."""
        last: dict[str, Any] = rows[-1]
        text = f"{self.args.out}: dev CIDEr {100 * last['cider']:.1f}, perplexity {last['perplexity']:.2f}"
        return Report(last, text, {})
