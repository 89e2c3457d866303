"""A plugin of pytest for the onnx of Debian bookworm, 1.12: a name of newer ones, and no check of newer opsets."""

import numpy as np
from onnx import checker, defs, helper, mapping

helper.np_dtype_to_tensor_dtype = lambda dtype: mapping.NP_TYPE_TO_TENSOR_TYPE[np.dtype(dtype)]
check_model = checker.check_model


def check_known(model):
    if all(opset.version <= defs.onnx_opset_version() for opset in model.opset_import):
        check_model(model)


checker.check_model = check_known
