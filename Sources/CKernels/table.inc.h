// Included once per instruction set, with ISA_NAME, ISA_TABLE, ISA_HAS_FMA, ISA_AVX512, TILE_M x
// (TILE_VECTORS * TILE_LANES), a register tile of the weight gradient, and FMA_CHAINS set.
#include <math.h>

#include "vector.h"

#include "gates.inc.h"
#include "softmax.inc.h"
#include "elementwise.inc.h"
#define PRODUCT_BF16 0
#define WEIGHT_GRADIENT weight_gradient
#include "weight_gradient.inc.h"
#include "pack.inc.h"
#include "product.inc.h"
#include "ceiling.inc.h"

const ls_kernels ISA_TABLE = {
    .name = ISA_NAME,
    .fma_per_iteration = FMA_CHAINS * TILE_LANES * 2,
    .weight_gradient = weight_gradient,
    .panel_columns = PANEL,
    .product = product,
    .pack_weights = pack_weights,
    .lstm_forward = lstm_forward,
    .lstm_backward = lstm_backward,
    .gru_after_forward = gru_after_forward,
    .gru_after_backward = gru_after_backward,
    .gru_before_forward_gates = gru_before_forward_gates,
    .gru_before_forward_output = gru_before_forward_output,
    .gru_before_backward_output = gru_before_backward_output,
    .gru_before_backward_gates = gru_before_backward_gates,
    .elman_forward = elman_forward,
    .elman_backward = elman_backward,
    .softmax_gradient = softmax_gradient,
    .softmax_loss = softmax_loss,
    .add = add,
    .sum = sum,
    .squared_norm = squared_norm,
    .dropout = dropout,
    .sgd = sgd,
    .momentum = momentum_,
    .adam = adam,
    .rmsprop = rmsprop,
    .adagrad = adagrad,
    .fma_burn = fma_burn,
};
