"""Custom operations of style-based GANs: reference maths first, the fast path behind the same function."""
from .attention import attention
from .bias_act import ACTIVATION_GAIN, bias_act
from .modulated_conv2d import modulated_conv2d, weight_energy
from .upfirdn2d import setup_filter, upfirdn2d, upsample2d

__all__ = ["ACTIVATION_GAIN", "attention", "bias_act", "modulated_conv2d", "setup_filter", "upfirdn2d", "upsample2d",
           "weight_energy"]
