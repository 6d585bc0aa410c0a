"""Which operators an exported program may use: pure ATen operators, by their full names.

Each gives new tensors (or views) of its arguments and does nothing else: none writes in place, reads uninitialised
memory, knows files, devices or other namespaces, or gives shapes that depend on values. What is not here is refused.
"""

from functools import cache
from typing import Any

import torch

_POINTWISE = """
abs.default acos.default acosh.default add.Scalar add.Tensor addcdiv.default addcmul.default asin.default
asinh.default atan.default atan2.default atanh.default bitwise_and.Scalar bitwise_and.Tensor bitwise_not.default
bitwise_or.Scalar bitwise_or.Tensor bitwise_xor.Scalar bitwise_xor.Tensor ceil.default celu.default clamp.default
clamp.Tensor clamp_max.default clamp_max.Tensor clamp_min.default clamp_min.Tensor cos.default cosh.default div.Scalar
div.Scalar_mode div.Tensor div.Tensor_mode elu.default eq.Scalar eq.Tensor erf.default erfc.default erfinv.default
exp.default exp2.default expm1.default floor.default floor_divide.default fmod.Scalar fmod.Tensor frac.default
ge.Scalar ge.Tensor gelu.default glu.default gt.Scalar gt.Tensor hardshrink.default hardsigmoid.default
hardswish.default hardtanh.default isfinite.default isinf.default isnan.default le.Scalar le.Tensor leaky_relu.default
lerp.Scalar lerp.Tensor lgamma.default log.default log10.default log1p.default log2.default log_sigmoid.default
logaddexp.default logical_and.default logical_not.default logical_or.default logical_xor.default logit.default
lt.Scalar lt.Tensor masked_fill.Scalar masked_fill.Tensor maximum.default minimum.default mish.default mul.Scalar
mul.Tensor nan_to_num.default ne.Scalar ne.Tensor neg.default pow.Scalar pow.Tensor_Scalar pow.Tensor_Tensor
prelu.default _prelu_kernel.default reciprocal.default relu.default relu6.default remainder.Scalar remainder.Tensor
round.decimals round.default rsqrt.default rsub.Scalar rsub.Tensor selu.default sigmoid.default sign.default
silu.default sin.default sinc.default sinh.default softplus.default softshrink.default sqrt.default square.default
sub.Scalar sub.Tensor tan.default tanh.default threshold.default trunc.default where.Scalar where.ScalarOther
where.ScalarSelf where.self xlogy.Scalar_Other xlogy.Tensor
"""

_REDUCING = """
all.default all.dim amax.default amin.default any.default any.dim argmax.default argmin.default argsort.default
cummax.default cumprod.default cumsum.default linalg_vector_norm.default log_softmax.int _log_softmax.default
logcumsumexp.default logsumexp.default max.default max.dim mean.default mean.dim median.dim min.default min.dim
norm.ScalarOpt_dim norm.Scalar prod.default prod.dim_int softmax.int _softmax.default _safe_softmax.default
sort.default std.correction std.dim sum.default sum.dim_IntList topk.default var.correction var.dim
var_mean.correction
"""

_SHAPING = """
alias.default cat.default chunk.default clone.default constant_pad_nd.default contiguous.default detach.default
diagonal.default diff.default expand.default expand_as.default flatten.using_ints flip.default gather.default
index.Tensor index_add.default index_put.default index_select.default meshgrid.indexing movedim.intlist narrow.default
one_hot.default pad.default permute.default pixel_shuffle.default pixel_unshuffle.default reflection_pad1d.default
reflection_pad2d.default repeat.default repeat_interleave.self_int replication_pad1d.default replication_pad2d.default
reshape.default roll.default scatter.src scatter.value scatter_add.default select.int slice.Tensor split.Tensor
split_with_sizes.default squeeze.default squeeze.dim squeeze.dims stack.default t.default to.dtype _to_copy.default
transpose.int tril.default triu.default type_as.default unbind.int unflatten.int unsqueeze.default view_as.default
"""

_MAKING = """
arange.default arange.start arange.start_step eye.default eye.m full.default full_like.default linspace.default
new_full.default new_ones.default new_zeros.default ones.default ones_like.default scalar_tensor.default zeros.default
zeros_like.default
"""

_LAYERS = """
adaptive_avg_pool1d.default adaptive_avg_pool2d.default _adaptive_avg_pool2d.default addbmm.default addmm.default
addmv.default avg_pool1d.default avg_pool2d.default avg_pool3d.default baddbmm.default batch_norm.default
bilinear.default bmm.default conv1d.default conv1d.padding conv2d.default conv2d.padding conv3d.default conv3d.padding
conv_transpose1d.default conv_transpose2d.input convolution.default cosine_similarity.default dot.default
einsum.default embedding.default group_norm.default gru.input instance_norm.default layer_norm.default linear.default
lstm.input matmul.default max_pool1d.default max_pool2d.default max_pool2d_with_indices.default max_pool3d.default
mm.default mv.default _native_batch_norm_legit_no_training.default native_group_norm.default native_layer_norm.default
outer.default rms_norm.default rnn_relu.input rnn_tanh.input scaled_dot_product_attention.default
upsample_bicubic2d.vec upsample_bilinear2d.vec upsample_nearest1d.vec upsample_nearest2d.vec
"""

_LOSSES = """
binary_cross_entropy.default binary_cross_entropy_with_logits.default cosine_embedding_loss.default
cross_entropy_loss.default hinge_embedding_loss.default huber_loss.default kl_div.default l1_loss.default
margin_ranking_loss.default mse_loss.default nll_loss.default nll_loss2d.default nll_loss_nd.default
poisson_nll_loss.default smooth_l1_loss.default soft_margin_loss.default triplet_margin_loss.default
"""

_RANDOM = """
alpha_dropout.default bernoulli.default bernoulli.p dropout.default feature_dropout.default native_dropout.default
rand.default rand_like.default randn.default randn_like.default
"""

GROUPS = {
    "elementwise": _POINTWISE,
    "sums and orders": _REDUCING,
    "shapes and positions": _SHAPING,
    "new tensors": _MAKING,
    "layers": _LAYERS,
    "losses": _LOSSES,
    "random, in training only": _RANDOM,
}
"""What is allowed, as docs/programs.md lists it."""

NAMES = frozenset(f"aten.{name}" for group in GROUPS.values() for name in group.split())
"""Full names such as aten.add.Tensor."""


@cache
def operator(name: str) -> torch._ops.OpOverload:
    """The operator of a name in NAMES. Raises ValueError for every other name: it is not looked up."""
    if name not in NAMES:
        raise ValueError(f"operator {name[:100]!r} is not one that an exported program may use")
    _, packet, overload = name.split(".")
    found: torch._ops.OpOverload = getattr(getattr(torch.ops.aten, packet), overload)
    return found


def check_call(name: str, given: dict[str, Any]) -> None:
    """Raises ValueError for arguments with which an allowed operator would do more than to give a value.

    given: the arguments by name; those that are left out have their defaults.
    """
    normalises = name in ("aten.batch_norm.default", "aten.instance_norm.default")
    kept = given.get("running_mean") is not None or given.get("running_var") is not None
    if normalises and kept and (given.get("training") or given.get("use_input_stats")):
        raise ValueError(f"{name} would change its running statistics: normalisations keep to the base's")
    if name == "aten.one_hot.default" and given.get("num_classes", -1) < 1:
        raise ValueError(f"{name} has no num_classes: a shape cannot depend on values")
    if given.get("reduction", 0) not in (0, 1, 2):  # torch's kernels and its shapes take others for different ones
        raise ValueError(f"{name} has the reduction {given['reduction']}: 0 (none), 1 (mean) or 2 (sum) is expected")
    for argument in ("sparse", "scale_grad_by_freq"):
        if given.get(argument):
            raise ValueError(f"{name} has {argument}: gradients are dense")


def randomises(func: torch._ops.OpOverload, args: tuple[Any, ...]) -> bool:
    """Whether a call, as torch dispatches it, draws random numbers."""
    if func is torch.ops.aten.native_dropout.default:
        return args[2] is not False
    return torch.Tag.nondeterministic_seeded in func.tags
