import * as D from "denoise"; import { groupNorm, silu, conv2d } from "denoise/ops"; import { traced } from "./test/support/traced.ts"; import { Dice } from "./test/support/dice.ts";
using dev = await D.openDevice();
  const dice = new Dice(11);
  const upload = (shape: number[]) => D.tensor(dice.numbers(shape.reduce((a, b) => a * b), 0.5), shape);
  const x = upload([1, 4, 5, 6]).channelsLast();
  const [weight, bias, scale, shift] = [[6, 4, 3, 3], [6], [4], [4]].map(upload);
  const layer = (x: D.Tensor) => {
    const [w, b, s, t] = [weight, bias, scale, shift].map((weights) => weights.cast(x.dtype));
    return conv2d(silu(groupNorm(x, { weight: s, bias: t }, { groups: 2 })), { weight: w, bias: b }, { padding: 1 });
  };
let s = performance.now();
const lap = (n: string) => { console.log(n, performance.now() - s | 0); s = performance.now(); };
await layer(x).data(); lap("f32");
const half = x.cast("f16").channelsLast();
const { plan, run } = traced(dev, [half], (x) => [layer(x).cast("f32")]); lap("traced");
await Promise.all(plan.compiling); lap("compiled"); console.log(plan.dump());
for (let i = 0; i < 3; i++) { await run(half)[0].data(); lap("run"); }
