"""The discriminator on features: what it sees, what learns, what a snapshot and a model file hold of it."""
import dataclasses

import numpy as np
import pytest
import torch

from comod_core import load_model
from comod_core.errors import CoModError
from comod_core.networks import BigGANConfig, CoModConfig
from comod_core.networks.stylegan2 import StyleGAN2Config
from comod_core.networks.stylemapgan import StyleMapConfig
from comod_core.training.export import export
from comod_core.training.loop import train
from comod_core.training.place import Place
from comod_core.training.projected import ProjectedDiscriminator
from comod_core.training.recipes import BigGANInstanceConfig, CompletionConfig, InstanceConfig, StyleMapTrainConfig
from comod_core.training.recipes.translation_config import TranslationConfig

CONFIG = CompletionConfig(
    network=CoModConfig(resolution=64, z_dim=8, w_dim=8, mapping_layers=2, mapping_fmaps=8, fmap_base=128, fmap_max=8),
    batch=4, total_kimg=0.012, r1_gamma=0.0, critic="features", snapshot_minutes=60.0, brush_width=(4.0, 12.0))


@pytest.fixture(scope="module")
def critic():
    torch.manual_seed(0)
    return ProjectedDiscriminator(64)


@pytest.fixture(scope="module")
def pictures():
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)


@pytest.fixture(scope="module")
def set_of_pictures():
    return np.random.default_rng(0).integers(0, 256, (16, 64, 64, 3), dtype=np.uint8)


def test_one_score_a_size_and_gradients_for_the_pictures(critic, pictures):
    seen = pictures.clone().requires_grad_()
    scores = critic(seen, torch.zeros(2, 1, 64, 64))
    assert scores.shape == (2, 4)
    (gradient,) = torch.autograd.grad(scores.sum(), seen)
    assert (gradient.abs().amax(dim=(1, 2, 3)) > 0).all()


def test_every_head_sees_the_mask(critic, pictures):
    mask = torch.zeros(2, 1, 64, 64)
    critic.eval()
    a, b = critic(pictures, mask), critic(pictures, mask + 1)
    critic.train()
    assert (a != b).all()


def test_only_the_heads_learn_and_the_feature_network_is_not_saved(critic):
    assert all(name.startswith("heads.") for name, _ in critic.named_parameters())
    state = critic.state_dict()
    assert sum(value.numel() for value in state.values()) < 1e6 and "across0" in state


def test_a_run_resumes_to_the_same_losses(set_of_pictures, tmp_path):
    def losses(folder, config):
        return [found.losses for found in train(config, set_of_pictures, tmp_path / folder, place=Place())]

    whole = losses("whole", CONFIG)
    halves = losses("halves", dataclasses.replace(CONFIG, total_kimg=0.004)) + losses("halves", CONFIG)
    assert len(whole) == 3 and set(whole[0]) == {"D", "G", "L1"} and whole == halves


def test_a_model_file_holds_the_generator_alone(set_of_pictures, tmp_path):
    list(train(dataclasses.replace(CONFIG, total_kimg=0.004), set_of_pictures, tmp_path, place=Place()))
    model = export(tmp_path / "snapshot.pt", tmp_path / "m.safetensors", {"name": "m", "licence": "none"})
    assert load_model(model).resolution == 64
    (again,) = train(dataclasses.replace(CONFIG, total_kimg=0.004), set_of_pictures, tmp_path / "b", place=Place(),
                     start=model)
    assert np.isfinite(list(again.losses.values())).all()


@pytest.mark.parametrize("architecture", ["comodgan", "pix2pix", "spade"])
def test_pairs_are_scored_by_their_features(architecture, set_of_pictures, tmp_path):
    config = TranslationConfig(network=dataclasses.replace(CONFIG.network, pix2pix=True, condition_channels=1),
                               architecture=architecture, batch=4, total_kimg=0.004, r1_gamma=0.0, critic="features",
                               adversarial="hinge", snapshot_minutes=60.0)
    edges = np.zeros((16, 64, 64, 1), np.uint8)
    (found,) = train(config, set_of_pictures, tmp_path, place=Place(), beside={"edges": edges})
    assert np.isfinite([found.losses["D"], found.losses["G"]]).all()
    weights = torch.load(tmp_path / "snapshot.pt", weights_only=True)["discriminator"]
    assert any(name.startswith("heads.") for name in weights)


@pytest.mark.parametrize("size", [0, 12])
@pytest.mark.parametrize("backbone", ["stylegan2", "biggan"])
def test_instances_are_scored_by_their_features(backbone, size, set_of_pictures, tmp_path):
    settings = {"batch": 4, "total_kimg": 0.004, "neighbours": 2, "critic": "features", "r1_gamma": 0.0}
    if backbone == "stylegan2":
        config = InstanceConfig(network=StyleGAN2Config(64, (8,) * 5, z_dim=8, w_dim=8, feature_size=size,
                                                        mapping_layers=2), **settings)
    else:
        config = BigGANInstanceConfig(network=BigGANConfig(64, 2, 20, feature_size=size, feature_dim=6,
                                                           attention=(32,)), **settings)
    rows = np.random.default_rng(0).normal(size=(16, size or 1)).astype(np.float16)
    (found,) = train(config, set_of_pictures, tmp_path, place=Place(), beside={"instances": rows})
    assert np.isfinite([found.losses["D"], found.losses["G"]]).all()
    weights = torch.load(tmp_path / "snapshot.pt", weights_only=True)["discriminator"]
    assert any(name.startswith("heads.") for name in weights) and ("feature.weight" in weights) == bool(size)
    if size and backbone == "stylegan2":
        export(tmp_path / "snapshot.pt", tmp_path / "m.safetensors", {"name": "m", "licence": "none"})
        assert load_model(tmp_path / "m.safetensors").resolution == 64


def test_style_maps_are_scored_by_their_features(set_of_pictures, tmp_path):
    config = StyleMapTrainConfig(
        network=StyleMapConfig(64, 8, 8, mapping_layers=2, channels=(8,) * 5), batch=4, total_kimg=0.008, r1_gamma=0.0,
        perceptual_weight=0.0, blend_weight=1.0, critic="features", adversarial_weight=0.3, snapshot_minutes=60.0)
    *_, found = train(config, set_of_pictures, tmp_path, place=Place())
    assert np.isfinite([found.losses[name] for name in ("D", "G", "G recon", "G blend")]).all()
    model = export(tmp_path / "snapshot.pt", tmp_path / "m.safetensors", {"name": "m", "licence": "none"})
    assert load_model(model).resolution == 64


def test_every_head_sees_the_feature(pictures):
    torch.manual_seed(0)
    critic = ProjectedDiscriminator(64, 8, feature_size=12).eval()
    assert (critic(pictures, torch.zeros(2, 12)) != critic(pictures, torch.ones(2, 12))).all()


def test_classes_do_not_go_with_it():
    with pytest.raises(CoModError, match="takes no classes"):
        InstanceConfig(network=StyleGAN2Config(64, (8, 8, 8, 8, 8), label_size=3, feature_size=12), r1_gamma=0.0,
                       critic="features")


def test_matching_needs_a_discriminator_that_gives_features():
    with pytest.raises(CoModError, match="matching_weight"):
        TranslationConfig(network=CoModConfig(resolution=64, pix2pix=True), architecture="spade", r1_gamma=0.0,
                          critic="features", matching_weight=1.0)


@pytest.mark.parametrize("change", [{"r1_gamma": 1.0}, {"freeze_d": 1}, {"network": CoModConfig(resolution=32)}])
def test_what_does_not_go_with_it(change):
    with pytest.raises(CoModError, match="critic 'features'"):
        dataclasses.replace(CONFIG, **change)


def test_an_unknown_critic():
    with pytest.raises(CoModError, match="there are 'pictures' and 'features'"):
        dataclasses.replace(CONFIG, critic="words")
