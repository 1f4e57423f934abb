"""Invertible maths: one small contract (see ``base``), one idea per file. Nothing here knows a paper's detector."""

from tutorial_lib.flows.actnorm import ActNorm
from tutorial_lib.flows.all_in_one import all_in_one
from tutorial_lib.flows.base import Chain, Flow, Transform, check_channels, per_sample, standard_normal_log_prob
from tutorial_lib.flows.channel_scale import SoftplusScale
from tutorial_lib.flows.clamps import (
    Atan0636Clamp,
    Atan0636RawClamp,
    AtanClamp,
    NoClamp,
    SigmoidClamp,
    TanhClamp,
)
from tutorial_lib.flows.coupling import AffineCoupling, TwoSidedCoupling
from tutorial_lib.flows.cross_scale_coupling import CrossScaleCoupling, EachScale
from tutorial_lib.flows.cross_scale_net import CrossScaleNet, cross_scale
from tutorial_lib.flows.flattened import Flattened
from tutorial_lib.flows.glow import glow_step
from tutorial_lib.flows.grey_levels import bits_per_dim, dequantise, quantise
from tutorial_lib.flows.levels import DownCoupling, LevelCoupling, OnLevel
from tutorial_lib.flows.mixing import Permutation, Rotation
from tutorial_lib.flows.multiscale import FactorOut, Undo
from tutorial_lib.flows.position_code import position_code
from tutorial_lib.flows.pyramid import (
    blur,
    laplacian_join,
    laplacian_split,
    level_contributions,
    max_down,
    nearest_down,
    smooth_up,
)
from tutorial_lib.flows.pyramid_stacks import pyramid_stacks, stack_order
from tutorial_lib.flows.reshape import Squeeze
from tutorial_lib.flows.reversible import reversible
from tutorial_lib.flows.subnets import conv, dense
from tutorial_lib.flows.training import maximum_likelihood
from tutorial_lib.flows.triangular import Invertible1x1, Whitening
from tutorial_lib.flows.volume import ChannelVolumeNorm, NoVolumeNorm, SpatialVolumeNorm, UnitVolume1x1, volume_norm

__all__ = ["ActNorm", "AffineCoupling", "Atan0636Clamp", "Atan0636RawClamp", "AtanClamp", "Chain", "ChannelVolumeNorm",
           "CrossScaleCoupling", "CrossScaleNet", "DownCoupling", "EachScale", "FactorOut", "Flattened", "Flow",
           "Invertible1x1", "LevelCoupling", "NoClamp", "NoVolumeNorm", "OnLevel", "Permutation", "Rotation",
           "SigmoidClamp", "SoftplusScale", "SpatialVolumeNorm", "Squeeze", "TanhClamp", "Transform",
           "TwoSidedCoupling", "Undo", "UnitVolume1x1", "Whitening", "all_in_one", "bits_per_dim", "blur",
           "check_channels", "conv", "cross_scale", "dense", "dequantise", "glow_step", "laplacian_join",
           "laplacian_split", "level_contributions", "max_down", "maximum_likelihood", "nearest_down", "per_sample",
           "position_code", "pyramid_stacks", "quantise", "reversible", "smooth_up", "stack_order",
           "standard_normal_log_prob", "volume_norm"]
