import assert from "node:assert/strict";
import { expf, sqrtf } from "../../src/core/float32.ts";
import { alphasCumprod } from "../../src/schedulers/betas.ts";

const f = Math.fround;

/**
 * Bits of x and of torch.exp(x), from torch 2.15.0+cu132 (MKL 2024.2) on AMD Zen 5:
 *
 *     args = torch.linspace(-14, 14, 1_000_003)
 *     odd = args[torch.exp(args) != args.double().exp().float()]  # 0.99 %
 *     x = torch.cat([odd[:: len(odd) // 23][:24], torch.tensor([…])])  # the values named below
 *     x.view(torch.int32), torch.exp(x).view(torch.int32)
 */
const ROUNDED_TO_SECOND_NEAREST = [
  [0xc15ffc54, 0x355f6977],
  [0xc14ac94e, 0x36521eca],
  [0xc136eecd, 0x3735ad5c],
  [0xc1259ff4, 0x3805fac1],
  [0xc1116d9a, 0x38ecb592],
  [0xc0fb2807, 0x39cc9f05],
  [0xc0d48b8c, 0x3aaaf76b],
  [0xc0ae19bb, 0x3b8e1ae6],
  [0xc085b0e5, 0x3c7b311c],
  [0xc03d7a0c, 0x3d5420e2],
  [0xbfef75fd, 0x3e1db2c3],
  [0xbf3d925c, 0x3ef4281b],
  [0x3f00388f, 0x3fd337f1],
  [0x3fe4eb9e, 0x40bf5d22],
  [0x404033ce, 0x41a13174],
  [0x408344e5, 0x4271e210],
  [0x40abd10e, 0x4356b4b9],
  [0x40d4df45, 0x4441a1d4],
  [0x40f91802, 0x451624c0],
  [0x4110d49b, 0x46055b26],
  [0x41247fa1, 0x46e3f35e],
  [0x41393395, 0x47cfd70c],
  [0x414d7e5d, 0x48b8b322],
  [0x415f4fba, 0x498c9e5b],
];
const ORDINARY = [
  [0x80000000, 0x3f800000], // -0
  [0x00000000, 0x3f800000], // 0
  [0xb3d6bf95, 0x3f7ffffe], // -1e-7
  [0xbc23d70a, 0x3f7d73e8], // -0.01
  [0xbf000000, 0x3f1b4598], // -0.5
  [0xc0935d8e, 0x3c23d70a], // -math.log(10000) / 2
  [0xc1135d8e, 0x38d1b716], // -math.log(10000)
  [0x3f800000, 0x402df854], // 1
  [0x41f40000, 0x558031fa], // 30.5
  [0xc2710000, 0x1407135e], // -60.25
  [0x42ae0000, 0x7e36d809], // 87
  [0xc2ae0000, 0x00b33687], // -87
  [0xbc10be51, 0x3f7dbf94], // r² rounded before it is added
  [0xbdd8430d, 0x3f665879], // 128 x / ln 2 rounded to a tie, then to even
];
const EXTREME = [
  [0xc2aeae14, 0x007f8f18], // -87.34, the first of three subnormals
  [0xc2be0000, 0x00000f64], // -95
  [0xc2cfcccd, 0x00000001], // -103.9
  [0xc2d00000, 0x00000000], // -104
  [0x42aeae14, 0x7e80714c], // 87.34
  [0x42b170a4, 0x7f7f4648], // 88.72
  [0x42b175c3, 0x7f800000], // 88.73
  [0xff800000, 0x00000000], // -inf
  [0x7f800000, 0x7f800000], // inf
];

Deno.test("expf() gives torch's second nearest f32 where torch does", () => {
  for (const [x, y] of ROUNDED_TO_SECOND_NEAREST) {
    assertBits(x!, y!);
    assert.notEqual(expf(fromBits(x!)), f(Math.exp(fromBits(x!))));
  }
});

Deno.test("expf() gives torch's f32 for ordinary arguments", () => {
  for (const [x, y] of ORDINARY) assertBits(x!, y!);
});

Deno.test("expf() gives torch's f32 where results overflow or are subnormal, and NaN for NaN", () => {
  for (const [x, y] of EXTREME) assertBits(x!, y!);
  assert.ok(Number.isNaN(expf(NaN)));
});

/**
 * Sums of bits over all frequencies of timestep features with 4 to 640 frequencies:
 *
 *     for half in range(4, 641):
 *         for shift in (0, 1):
 *             x = -math.log(max_period) * torch.arange(half, dtype=torch.float32) / (half - shift)
 *             total += torch.exp(x).view(torch.int32).sum(dtype=torch.int64).item()
 */
for (
  const [maxPeriod, total] of [[100, 425424558163441], [1000, 419719551063256], [10000, 414014295684065]]
) {
  Deno.test(`expf() gives torch's frequencies of timestep features up to the period ${maxPeriod}`, () => {
    const step = f(-Math.log(maxPeriod!));
    let sum = 0;
    for (let half = 4; half <= 640; half++) {
      for (const shift of [0, 1]) {
        for (let i = 0; i < half; i++) sum += toBits(expf(f(f(step * i) / (half - shift))));
      }
    }
    assert.equal(sum, total);
  });
}

const view = new DataView(new ArrayBuffer(4));

function fromBits(bits: number): number {
  view.setUint32(0, bits);
  return view.getFloat32(0);
}

function toBits(value: number): number {
  view.setFloat32(0, value);
  return view.getUint32(0);
}

/** Compares bits, shown as in the table. */
function assertBits(x: number, y: number) {
  const got = toBits(expf(fromBits(x)));
  assert.equal(got.toString(16), y.toString(16), `expf(${fromBits(x)})`);
}

/**
 * By how much torch's √((1 − ᾱ) / ᾱ) of Stable Diffusion's 1000 timesteps lies above or below the nearest f32:
 * torch 2.13 with MKL_CBWR=COMPATIBLE, `((1 - a) / a) ** 0.5` for the a of `cumprod(1 - linspace(…) ** 2)`.
 */
const roots =
  "+==+=================-=-========================+=+-+=+==============================+=======+======" +
  "==========================+==+===-=-=-====+===========-+======-====-+-=-===========+=-=+=+=-=-======" +
  "=====-=======--=============-===========-=====-=============-==+=========-======+==+===++==-=+-=====" +
  "=+=======-=-=+-+=======+======--=++=+++=-=--=++=++=+=++=-=-===---==========+=+=-===-====-========-==" +
  "========-=====-==============-===-==========-====-=======-===+==-==+==+-====-==+==========++====+===" +
  "==+========-===+==++==+==+===++=-=+-=+==+=--==+=-====-+==--=+==-=+==-====-=====-======-===-==-===-==" +
  "==-==============-==========================================+==+======-=-=++=+==========+===+==-====" +
  "====-==+=====+==-==-==+================+==-===========+==-=======-================+=-===========-===" +
  "===+==-=================-===========+=========+======-==+==+===+===========+====++=+===+-======+--==" +
  "-=============-======================-======================+==--=-===================+==-===+==+++=";

Deno.test("sqrtf() rounds as torch does, all noise levels of Stable Diffusion", () => {
  const bars = alphasCumprod({
    num_train_timesteps: 1000,
    beta_start: 0.00085,
    beta_end: 0.012,
    beta_schedule: "scaled_linear",
    trained_betas: null,
    rescale_betas_zero_snr: false,
  });
  const found = Array.from(bars, (bar) => {
    const x = Math.fround(Math.fround(1 - bar) / bar);
    return "=+-".at(Math.sign(sqrtf(x) - Math.fround(Math.sqrt(x))));
  });
  assert.equal(found.join(""), roots);
  assert.ok(found.filter((sign) => sign !== "=").length > 150);
});

Deno.test("sqrtf() of what has no root, of 0, of subnormal numbers and of powers of two", () => {
  assert.deepEqual([NaN, -1, 0, Infinity].map(sqrtf), [NaN, NaN, 0, Infinity]);
  assert.deepEqual([4 ** -70, 0.25, 1, 16, 4 ** 60].map(sqrtf), [2 ** -70, 0.5, 1, 4, 2 ** 60]);
  assert.equal(sqrtf(2 ** 24 - 1), 4096); // amid two f32
});
