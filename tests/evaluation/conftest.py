"""One small evaluation, made once, that several tests look at."""
from __future__ import annotations

import warnings

import pytest
from small_evaluation import PROTOCOL, pictures, save_array, save_features, save_model

from comod_core.evaluation.completers import Network
from comod_core.evaluation.pictures import ArrayPictures
from comod_core.evaluation.run import evaluate
from comod_core.loading import load_model
from comod_core.metrics.loading import load_features


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """A folder with the model, the feature network and a data set of 16 pictures."""
    folder = tmp_path_factory.mktemp("evaluation")
    save_model(folder / "untrained.safetensors")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")     # TorchScript is deprecated, and still what people have
        save_features(folder / "statistics.pt")
    save_array(folder / "set", pictures(16))
    return folder


@pytest.fixture(scope="session")
def network(files):
    return Network(load_model(files / "untrained.safetensors"))


@pytest.fixture(scope="session")
def features(files):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return load_features(str(files / "statistics.pt"))


@pytest.fixture(scope="session")
def dataset(files):
    return ArrayPictures(files / "set")


@pytest.fixture(scope="session")
def evaluation(files, network, features, dataset):
    """(folder, result) of PROTOCOL."""
    return files / "out", evaluate(network, features, dataset, PROTOCOL, files / "out")
