import { expectOptions } from "../core/error.ts";
import { isFloat } from "../core/dtype.ts";
import { TensorArithmetic } from "./tensor_arithmetic.ts";
import { pointwise, where } from "./pointwise.ts";
import type { Tensor } from "./tensor.ts";

/** The pointwise methods of one tensor: functions, activations, and tests of what a number is. */
export abstract class TensorFunctions extends TensorArithmetic {
  /** −x. */
  neg(): Tensor {
    return pointwise("neg", this);
  }

  /** |x|. */
  abs(): Tensor {
    return pointwise("abs", this);
  }

  /** −1, 0 or 1; of NaN 0, as in torch. */
  sign(): Tensor {
    return pointwise("sign", this);
  }

  /** x². */
  square(): Tensor {
    return pointwise("mul", this, this);
  }

  /** √x, NaN below 0. */
  sqrt(): Tensor {
    return pointwise("sqrt", this);
  }

  /** 1 / √x. */
  rsqrt(): Tensor {
    return pointwise("rsqrt", this);
  }

  /** 1 / x. */
  reciprocal(): Tensor {
    return pointwise("div", 1, this);
  }

  /** eˣ. */
  exp(): Tensor {
    return pointwise("exp", this);
  }

  /** 2ˣ. */
  exp2(): Tensor {
    return pointwise("exp2", this);
  }

  /** eˣ − 1, exact near 0. */
  expm1(): Tensor {
    return pointwise("expm1", this);
  }

  /** Natural logarithm. */
  log(): Tensor {
    return pointwise("log", this);
  }

  /** Logarithm to the base of 2. */
  log2(): Tensor {
    return pointwise("log2", this);
  }

  /** Logarithm to the base of 10. */
  log10(): Tensor {
    return this.log().mul(Math.LOG10E);
  }

  /** log(1 + x), exact near 0. */
  log1p(): Tensor {
    return pointwise("log1p", this);
  }

  /** Sine; exact to 1e-6 for |x| up to about 10,000. */
  sin(): Tensor {
    return pointwise("sin", this);
  }

  /** Cosine; exact to 1e-6 for |x| up to about 10,000. */
  cos(): Tensor {
    return pointwise("cos", this);
  }

  /** Tangent. */
  tan(): Tensor {
    return this.sin().div(this.cos());
  }

  /** Arc sine, NaN beyond ±1. */
  asin(): Tensor {
    return this.atan2(this.rsub(1).mul(this.add(1)).sqrt());
  }

  /** Arc cosine, NaN beyond ±1. */
  acos(): Tensor {
    return this.rsub(1).mul(this.add(1)).sqrt().atan2(this);
  }

  /** Arc tangent. */
  atan(): Tensor {
    return this.atan2(1);
  }

  /** Hyperbolic sine. */
  sinh(): Tensor {
    const half = this.mul(0.5); // eˣ overflows before its half does: sinh x = 2 sinh(x / 2) cosh(x / 2)
    return half.expm1().sub(half.neg().expm1()).mul(0.5).mul(half.exp().add(half.neg().exp()));
  }

  /** Hyperbolic cosine. */
  cosh(): Tensor {
    const half = this.mul(0.5).abs().exp(); // eˣ overflows before its half does
    return half.mul(0.5).mul(half).add(half.reciprocal().square().mul(0.5));
  }

  /** Hyperbolic tangent. */
  tanh(): Tensor {
    return pointwise("tanh", this);
  }

  /** The error function 2 / √π · ∫₀ˣ exp(−t²) dt. */
  erf(): Tensor {
    return pointwise("erf", this);
  }

  /** Largest whole number not above x. */
  floor(): Tensor {
    return pointwise("floor", this);
  }

  /** Smallest whole number not below x. */
  ceil(): Tensor {
    return pointwise("ceil", this);
  }

  /** Nearest whole number, halves to even. */
  round(): Tensor {
    return pointwise("round", this);
  }

  /** The whole part, towards 0. */
  trunc(): Tensor {
    return pointwise("trunc", this);
  }

  /** The fraction that trunc() drops. */
  frac(): Tensor {
    return this.sub(this.trunc());
  }

  /** 1 / (1 + e⁻ˣ). */
  sigmoid(): Tensor {
    return pointwise("sigmoid", this);
  }

  /** x · σ(x) (Elfwing et al. 2017), also called swish. */
  silu(): Tensor {
    return pointwise("silu", this);
  }

  /** x · Φ(x) with the exact normal distribution, or with its tanh approximation (Hendrycks & Gimpel 2016). */
  gelu(options: { approximate?: "none" | "tanh" | undefined } = {}): Tensor {
    expectOptions("compute gelu", options, ["approximate"]);
    return pointwise(options.approximate === "tanh" ? "gelu_tanh" : "gelu", this);
  }

  /** max(x, 0). */
  relu(): Tensor {
    return pointwise("relu", this);
  }

  /** log(1 + eˣ), linear beyond 20. */
  softplus(): Tensor {
    return pointwise("softplus", this);
  }

  /** x · tanh(softplus(x)) (Misra 2019). */
  mish(): Tensor {
    return pointwise("mish", this);
  }

  /** True where NaN. */
  isnan(): Tensor {
    return pointwise("is_nan", this);
  }

  /** True where ±∞. */
  isinf(): Tensor {
    return pointwise("is_inf", this);
  }

  /** True where neither NaN nor ±∞. */
  isfinite(): Tensor {
    return pointwise("not", this.isnan().logicalOr(this.isinf()));
  }

  /** NaN and ±∞ replaced, by default by 0 and by the largest numbers of the type. */
  nanToNum(this: Tensor, nan = 0, posinf?: number, neginf?: number): Tensor {
    if (!isFloat(this.dtype)) return this;
    const largest = this.dtype === "f16" ? 65504 : 3.4028234663852886e38;
    const some = where(this.isnan(), nan, this);
    const infinite = this.isinf();
    const replaced = where(infinite.logicalAnd(this.gt(0)), posinf ?? largest, some);
    return where(infinite.logicalAnd(this.lt(0)), neginf ?? -largest, replaced);
  }
}
