import assert from "node:assert/strict";
import { tensorOperations } from "../conformance/tensor.ts";
import { fixture } from "../support/fixtures.ts";
import { testOnBothEngines } from "../support/engines.ts";

/** Operations that are built; at the end the fixture's all are. */
const BUILT = new Set(
  "fft ifft fft2 ifft2 fftn ifftn rfft irfft fftshift ifftshift fftfreq interpolate sort argsort topk argmax argmin cumsum cumprod quantile conv1d conv2d conv_transpose2d matmul bmm einsum"
    .split(
      " ",
    ),
);

testOnBothEngines("tensor operations give what torch gives", async () => {
  const verdicts = await Array.fromAsync(tensorOperations(fixture("tensor"), (op) => BUILT.has(op)));
  assert.deepEqual(verdicts.filter(({ status }) => status !== "passed"), []);
  assert.ok(verdicts.length > 100);
});
