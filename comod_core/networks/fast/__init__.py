"""Networks in the form in which a CPU runs them quickest, built once a network and thrown away when its weights change.

The numbers are those of the networks themselves. Nothing here can be differentiated through.
"""
from ...ops.processor import good_at_bfloat16, has_amx
from .biggan import FastBigGAN
from .comodgan import FastCoModGAN
from .forms import fast_form, plain_form
from .stylegan2 import FastStyleGAN2
from .stylemapgan import FastStyleMapGAN

__all__ = ["FastBigGAN", "FastCoModGAN", "FastStyleGAN2", "FastStyleMapGAN", "fast_form", "good_at_bfloat16", "has_amx",
           "plain_form"]
