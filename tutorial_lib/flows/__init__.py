"""Invertible maths: one small contract (see ``base``), one idea per file. Nothing here knows a paper's detector."""

from tutorial_lib.flows.base import Chain, Flow, Transform, per_sample, standard_normal_log_prob

__all__ = ["Chain", "Flow", "Transform", "per_sample", "standard_normal_log_prob"]
