"""Latents on sockets: seeds, truncation, sweeps."""
import pytest
import torch


@pytest.fixture(scope="module")
def latents(pack):
    sockets = pack("nodes.sockets")
    w = torch.randn(3, 10, 8, generator=torch.Generator().manual_seed(0))
    return sockets.SeededLatents(w, (5, 6, 7), torch.arange(8.0))


def test_seeds_follow_each_other(pack):
    seeds_from = pack("nodes.sockets").seeds_from
    assert seeds_from(5, 3) == (5, 6, 7)
    assert seeds_from(2 ** 64 - 2, 4) == (2 ** 64 - 2, 2 ** 64 - 1, 0, 1)


def test_truncation_moves_to_the_average(nodes, latents):
    truncated = nodes["CoModTruncate"].execute(latents, 0.25)[0]
    assert torch.allclose(truncated.w, 0.75 * latents.w_avg + 0.25 * latents.w, atol=1e-6)
    assert truncated.seeds == (5, 6, 7)


def test_cutoff_leaves_the_finer_layers(nodes, latents):
    truncated = nodes["CoModTruncate"].execute(latents, 0.0, 4)[0].w
    assert torch.equal(truncated[:, 4:], latents.w[:, 4:])
    assert torch.equal(truncated[:, :4], latents.w_avg.expand(3, 4, -1))
    assert torch.equal(nodes["CoModTruncate"].execute(latents, 0.0, 0)[0].w, latents.w), "no layer lies below 0"


def test_sweep_is_psi_by_psi_with_its_seeds(nodes, latents):
    swept, columns = nodes["CoModPsiSweep"].execute(latents, "0, 0.5; 1").result
    assert columns == 3 and swept.seeds == (5, 6, 7) * 3
    for row, psi in enumerate((0.0, 0.5, 1.0)):
        alone = nodes["CoModTruncate"].execute(latents, psi)[0].w
        assert torch.equal(swept.w[3 * row:3 * row + 3], alone)


@pytest.mark.parametrize("text", ["", " , ", "a", "0, b", "-1", "2.5", "nan", "1 2"])
def test_sweep_refuses_what_is_no_list_of_psis(pack, nodes, latents, text):
    with pytest.raises(pack("comod_core.errors").CoModError, match="0, 0.5, 1"):
        nodes["CoModPsiSweep"].execute(latents, text)
