"""Small networks that have learnt nothing, for tests."""
import torch


def filled(net):
    """The network with every parameter away from its start: biases, noise, gains."""
    torch.manual_seed(0)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name.endswith(("noise_strength", "gamma")):
                parameter.fill_(0.3)
            elif name.endswith("bias"):
                parameter.add_(torch.randn_like(parameter) * 0.2)
    return net.eval().requires_grad_(False)


def translator(pack, channels, kind="comodgan", **facts):
    """A 16x16 network of the pack that translates conditions of so many channels, as nodes pass it on.

    kind: "comodgan", "pix2pix" or "spade"; facts: of its `ModelInfo`.
    """
    networks, loading = pack("comod_core.networks"), pack("comod_core.loading")
    torch.manual_seed(0)
    if kind == "comodgan":
        net = networks.CoModGenerator(networks.CoModConfig(
            16, z_dim=8, w_dim=8, mapping_layers=2, mapping_fmaps=8, fmap_base=64, fmap_max=16, pix2pix=True,
            condition_channels=channels))
    elif kind == "pix2pix":
        net = networks.Pix2PixGenerator(networks.Pix2PixConfig(16, 3, channels, unet_channels=4, unet_max=8,
                                                               patch_layers=1))
    else:
        net = networks.SpadeGenerator(networks.SpadeConfig(16, 3, channels, z_dim=8, spade_channels=4, spade_max=8,
                                                           spade_hidden=4, patch_layers=1))
    net.eval().requires_grad_(False)
    net.info = loading.ModelInfo("tiny", kind, 16, 3, "none", "here", "0" * 64, **facts)
    return pack("nodes.host").host.wrap(net)
