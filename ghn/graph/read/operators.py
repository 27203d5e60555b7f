"""Names of ATen operators by what they do with features, for the rules of this folder."""

CONVOLUTIONS = {"convolution", "_convolution", "conv1d", "conv2d", "conv3d", "mkldnn_convolution", "thnn_conv2d"}
CONVOLUTIONS |= {"convolution_overrideable", "cudnn_convolution", "slow_conv3d_forward", "_slow_conv2d_forward"}
CONVOLUTIONS |= {"conv_depthwise3d", "_conv_depthwise2d"}

MATRIX_PRODUCTS = {"mm", "bmm", "matmul", "mv", "dot"}
# Rows that were sorted by experts, each with the weight of its own.
MATRIX_PRODUCTS |= {"_grouped_mm"}
MATRIX_PRODUCTS_ADDED = {"addmm", "baddbmm", "addbmm", "addmv"}

LAYERS = CONVOLUTIONS | MATRIX_PRODUCTS | MATRIX_PRODUCTS_ADDED
"""Operators whose operands may be features and a weight."""

# Position of the weight and the bias among the arguments.
NORMALISATIONS = {
    "native_batch_norm": ("bn", 1, 2),
    "_native_batch_norm_legit": ("bn", 1, 2),
    "_native_batch_norm_legit_no_training": ("bn", 1, 2),
    "_batch_norm_with_update": ("bn", 1, 2),
    "_batch_norm_no_update": ("bn", 1, 2),
    "batch_norm": ("bn", 1, 2),
    "cudnn_batch_norm": ("bn", 1, 2),
    "native_layer_norm": ("ln", 2, 3),
    "layer_norm": ("ln", 2, 3),
    "native_group_norm": ("ln", 1, 2),
    "group_norm": ("ln", 2, 3),
    "rms_norm": ("ln", 2, None),
    "_fused_rms_norm": ("ln", 2, None),
}

SOFTMAXES = {"_softmax", "_safe_softmax", "softmax", "special_softmax"}

LOG_SOFTMAXES = {"_log_softmax", "log_softmax", "special_log_softmax"}

MAX_POOLS = {"max_pool1d", "max_pool1d_with_indices", "max_pool2d", "max_pool2d_with_indices", "max_pool3d"}
MAX_POOLS |= {"max_pool3d_with_indices", "mkldnn_max_pool2d", "fractional_max_pool2d", "fractional_max_pool3d"}
AVG_POOLS = {"avg_pool1d", "avg_pool2d", "avg_pool3d"}
GLOBAL_AVG_POOLS = {"adaptive_avg_pool1d", "_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "adaptive_avg_pool2d"}
GLOBAL_MAX_POOLS = {"adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d"}

REDUCTIONS = {"mean", "var", "std", "var_mean", "std_mean", "linalg_vector_norm", "norm", "sum", "amax", "logsumexp"}

# Results depend on shapes only, whatever tensor stands for the shape.
SHAPE_ONLY = {"zeros_like", "ones_like", "empty_like", "full_like", "rand_like", "randn_like", "randint_like"}
SHAPE_ONLY |= {"new_zeros", "new_ones", "new_empty", "new_full", "new_empty_strided", "empty_strided"}
SHAPE_ONLY |= {"zero", "fill", "bernoulli", "uniform", "normal", "random", "exponential", "multinomial"}

VIEWS = {"t", "transpose", "permute", "view", "_unsafe_view", "_reshape_alias", "reshape", "expand", "squeeze"}
VIEWS |= {"unsqueeze", "select", "slice", "split", "split_with_sizes", "unsafe_split", "unsafe_chunk", "chunk"}
VIEWS |= {"unbind", "narrow", "alias", "detach", "_to_copy", "to", "clone", "contiguous", "as_strided", "lift_fresh"}
VIEWS |= {"diagonal", "view_as", "expand_as", "movedim", "unflatten", "flatten", "_conj", "_neg_view"}

COPIES = {"clone", "contiguous", "_to_copy", "to", "detach", "alias", "lift_fresh"}

INDEXED = {"index", "index_select", "gather", "take"}

PICKS = INDEXED | {"embedding", "repeat", "repeat_interleave", "roll"}
PICKS |= {"upsample_nearest2d", "upsample_bilinear2d", "upsample_bicubic2d", "_upsample_bicubic2d_aa"}
PICKS |= {"_upsample_bilinear2d_aa", "upsample_linear1d", "upsample_nearest1d", "grid_sampler_2d", "constant_pad_nd"}

# What may stand between a classification head and the output.
TRANSPARENT = VIEWS | SOFTMAXES | {"add", "mul", "div", "mean", "sum", "stack", "cat", "_log_softmax", "log_softmax"}
TRANSPARENT |= {"native_dropout", "dropout", "flatten", "copy", "adaptive_avg_pool2d", "_adaptive_avg_pool2d"}

ACTIVATIONS = {"relu", "relu6", "gelu", "silu", "hardswish", "hardsigmoid", "elu", "leaky_relu", "mish", "celu"}
ACTIVATIONS |= {"selu", "softplus", "hardtanh", "prelu", "_prelu_kernel", "tanh", "rrelu", "rrelu_with_noise", "glu"}

LOOKUPS = {"embedding", "_embedding_bag", "_embedding_bag_forward_only", "embedding_bag", "embedding_renorm"}

SCATTERS = {"slice_scatter", "select_scatter", "diagonal_scatter", "as_strided_scatter", "index_copy"}
SCATTERS |= {"index_put"}

MIXING = VIEWS | {"mul", "div", "add", "sub", "neg", "sum", "mean", "cat", "stack"}
"""Operators through which data-dependent kernels are followed back to the parameters that are mixed."""
