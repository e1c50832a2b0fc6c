"""The problems of bench/cases.ts in onnxruntime's WebGPU provider, f32. See serve.py for the protocol.

A chain of layers is one model, so that what goes to the adapter and back, once a run, weighs little.
"""

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from serve import serve

PROVIDER = "WebGpuExecutionProvider"
if PROVIDER not in ort.get_available_providers():
    raise SystemExit(f"expected {PROVIDER} in onnxruntime {ort.__version__}, got none")

random = np.random.default_rng(0)


def array(*shape, scale=1.0):
    return (random.standard_normal(shape, dtype=np.float32) * np.float32(scale)).astype(np.float32)


class Graph:
    """A chain under construction."""

    def __init__(self, shape):
        self.shape, self.nodes, self.constants, self.last = shape, [], [], "x"

    def constant(self, name, value):
        self.constants.append(numpy_helper.from_array(value, name))

    def add(self, op, *constants, domain="", **attributes):
        y = f"y{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, [self.last, *constants], [y], domain=domain, **attributes))
        self.last = y

    def session(self):
        value = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, self.shape)
        self.nodes[-1].output[0] = "y"
        graph = helper.make_graph(self.nodes, "chain", [value("x")], [value("y")], self.constants)
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
        options = ort.SessionOptions()
        options.log_severity_level = 4
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")  # all of it on the adapter, or none
        return ort.InferenceSession(model.SerializeToString(), options, providers=[PROVIDER])


def prepare(problem, layers):
    graph = build(problem, layers)
    session = graph.session()
    x = array(*graph.shape)
    return lambda: session.run(None, {"x": x})


def build(p, layers):
    op = p["op"]
    if op == "matmul":
        g = Graph([p["size"], p["size"]])
        g.constant("b", array(p["size"], p["size"], scale=p["size"] ** -0.5))
        for _ in range(layers):
            g.add("MatMul", "b")
    elif op == "linear":  # MatMul with [in, out], as exporters write it
        a, b = p["widths"]
        g = Graph([p["rows"], a])
        g.constant("there", array(a, b, scale=a ** -0.5))
        g.constant("back", array(b, a, scale=b ** -0.5))
        for i in range(layers):
            g.add("MatMul", ["there", "back"][i % 2])
    elif op == "conv2d":
        c = p["channels"]
        g = Graph([1, c, p["side"], p["side"]])
        g.constant("w", array(c, c, 3, 3, scale=(9 * c) ** -0.5))
        for _ in range(layers):
            g.add("Conv", "w", kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    elif op == "attention":
        h, d = p["heads"], p["width"]
        g = Graph([1, p["queries"], h * d])
        g.constant("k", array(1, p["keys"], h * d))
        g.constant("v", array(1, p["keys"], h * d))
        for _ in range(layers):
            g.add("MultiHeadAttention", "k", "v", domain="com.microsoft", num_heads=h)
    elif op == "groupNorm":  # as exporters write it before opset 18
        c, side = p["channels"], p["side"]
        g = Graph([1, c, side, side])
        g.constant("groups", np.array([1, 32, -1], np.int64))
        g.constant("image", np.array([1, c, side, side], np.int64))
        g.constant("ones", np.ones(32, np.float32))
        g.constant("zeros", np.zeros(32, np.float32))
        g.constant("weight", array(1, c, 1, 1))
        g.constant("bias", array(1, c, 1, 1))
        for _ in range(layers):
            g.add("Reshape", "groups")
            g.add("InstanceNormalization", "ones", "zeros")
            g.add("Reshape", "image")
            g.add("Mul", "weight")
            g.add("Add", "bias")
    elif op == "layerNorm":
        g = Graph([p["rows"], p["width"]])
        g.constant("weight", array(p["width"]))
        g.constant("bias", array(p["width"]))
        for _ in range(layers):
            g.add("LayerNormalization", "weight", "bias")
    else:
        raise ValueError(f"no model of {op} here")
    return g


serve(f"onnxruntime {ort.__version__}, WebGPU", prepare)
