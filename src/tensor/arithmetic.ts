import { isFloat } from "../core/dtype.ts";
import { pointwise, type Value, where } from "./pointwise.ts";
import { plainType } from "./record.ts";
import type { Tensor } from "./tensor.ts";
import { TensorBase } from "./tensor_base.ts";

/**
 * The pointwise methods of tensors: arithmetic, comparisons, functions. They broadcast and meet in torch's types; a whole
 * number counts as an integer, for JavaScript does not tell 2.0 from 2. Integers divided by 0 give what the GPU gives.
 */
export abstract class TensorArithmetic extends TensorBase {
  /** Sum, broadcast as in numpy. */
  add(other: Value): Tensor {
    return pointwise("add", this, other);
  }

  /** Difference. */
  sub(other: Value): Tensor {
    return pointwise("sub", this, other);
  }

  /** other − this. */
  rsub(other: Value): Tensor {
    return pointwise("sub", other, this);
  }

  /** Product. */
  mul(other: Value): Tensor {
    return pointwise("mul", this, other);
  }

  /** Quotient, of integers too f32; with `roundingMode` rounded, and integers stay what they are. */
  div(other: Value, { roundingMode }: { roundingMode?: "trunc" | "floor" | undefined } = {}): Tensor {
    const operations = { none: "div", trunc: "trunc_divide", floor: "floor_divide" } as const;
    return pointwise(operations[roundingMode ?? "none"], this, other);
  }

  /** The quotient rounded down. */
  floorDivide(other: Value): Tensor {
    return pointwise("floor_divide", this, other);
  }

  /** The rest of a division that rounds down: it has the divisor's sign, as in Python. */
  remainder(other: Value): Tensor {
    return pointwise("remainder", this, other);
  }

  /** The rest of a division that rounds towards 0: it has the sign of `this`, as JavaScript's %. */
  fmod(other: Value): Tensor {
    return pointwise("fmod", this, other);
  }

  /** Power. Of a negative base, exponents that are not whole give NaN. */
  pow(exponent: Value): Tensor {
    const float = isFloat(plainType(this));
    if (float && exponent === 2) return this.square(); // exact, where a logarithm rounds
    if (float && exponent === 3) return this.square().mul(this);
    if (float && exponent === 0.5) return this.sqrt();
    if (float && exponent === -1) return this.reciprocal();
    if (!float && typeof exponent === "number" && Number.isInteger(exponent) && exponent < 0) {
      throw new RangeError(
        `Cannot raise ${this} to ${exponent}: integers have whole powers from 0; cast it to f32`,
      );
    }
    return pointwise("pow", this, exponent);
  }

  /** The smaller of each pair, NaN where either is. */
  minimum(other: Value): Tensor {
    return pointwise("min", this, other);
  }

  /** The larger of each pair, NaN where either is. */
  maximum(other: Value): Tensor {
    return pointwise("max", this, other);
  }

  /** The angle of the point (other, this), from −π to π. */
  atan2(other: Value): Tensor {
    return pointwise("atan2", this, other);
  }

  /** True where equal; NaN equals nothing. */
  eq(other: Value): Tensor {
    return pointwise("eq", this, other);
  }

  /** True where not equal, so too where either is NaN. */
  ne(other: Value): Tensor {
    return pointwise("not", this.eq(other));
  }

  /** True where smaller. */
  lt(other: Value): Tensor {
    return pointwise("lt", this, other);
  }

  /** True where smaller or equal. */
  le(other: Value): Tensor {
    return pointwise("le", this, other);
  }

  /** True where larger. */
  gt(other: Value): Tensor {
    return pointwise("lt", other, this);
  }

  /** True where larger or equal. */
  ge(other: Value): Tensor {
    return pointwise("le", other, this);
  }

  /** True where |this − other| ≤ atol + rtol · |other|, or where both are the same infinity. */
  isclose(
    other: TensorBase,
    { rtol = 1e-5, atol = 1e-8 }: { rtol?: number | undefined; atol?: number | undefined } = {},
  ): Tensor {
    const bound = pointwise("abs", other).mul(rtol).add(atol);
    const near = this.sub(other).abs().le(bound).logicalAnd(bound.isfinite());
    return near.logicalOr(this.eq(other));
  }

  /** True where both are not 0. */
  logicalAnd(other: Value): Tensor {
    return pointwise("and", this, other);
  }

  /** True where either is not 0. */
  logicalOr(other: Value): Tensor {
    return pointwise("or", this, other);
  }

  /** True where one of both is not 0. */
  logicalXor(other: Value): Tensor {
    return pointwise("xor", this, other);
  }

  /** True where 0. */
  logicalNot(): Tensor {
    return pointwise("not", this);
  }

  /** Bits that both integers have; of bools, whether both are true. */
  bitwiseAnd(other: Value): Tensor {
    return pointwise("bit_and", this, other);
  }

  /** Bits that either integer has; of bools, whether either is true. */
  bitwiseOr(other: Value): Tensor {
    return pointwise("bit_or", this, other);
  }

  /** Bits that one of both integers has; of bools, whether one of both is true. */
  bitwiseXor(other: Value): Tensor {
    return pointwise("bit_xor", this, other);
  }

  /** Bits that an integer does not have; of bools, the opposite. */
  bitwiseNot(): Tensor {
    return pointwise("bit_not", this);
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

  /** y where the condition holds not, as torch.where(condition, this, other). */
  where(condition: TensorBase, other: Value): Tensor {
    return where(condition, this, other);
  }

  /** The value where the mask holds, else the element. */
  maskedFill(mask: TensorBase, value: Value): Tensor {
    return where(mask, value, this);
  }

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
    return this.expm1().sub(this.neg().expm1()).mul(0.5);
  }

  /** Hyperbolic cosine. */
  cosh(): Tensor {
    return this.exp().add(this.neg().exp()).mul(0.5);
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

  /** What trunc() drops. */
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
  gelu({ approximate = "none" }: { approximate?: "none" | "tanh" | undefined } = {}): Tensor {
    return pointwise(approximate === "tanh" ? "gelu_tanh" : "gelu", this);
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

  /** Limits values to at least `min` and at most `max`, either of which may be left out. NaN stays. */
  clamp(min?: Value | null, max?: Value | null): Tensor {
    const bounded = min === undefined || min === null ? undefined : this.maximum(min);
    if (max !== undefined && max !== null) return (bounded ?? this).minimum(max);
    if (!bounded) {
      throw new TypeError(`Cannot clamp ${this}: expected a smallest or a largest value, got neither`);
    }
    return bounded;
  }

  /**
   * this + weight · (end − this), as torch.lerp: with weight = guidance scale it is classifier-free guidance.
   */
  lerp(end: Value, weight: Value): Tensor {
    return this.add(pointwise("sub", end, this).mul(weight));
  }

  /** this + value · a · b. */
  addcmul(a: TensorBase, b: Value, { value = 1 }: { value?: number | undefined } = {}): Tensor {
    return this.add(pointwise("mul", a, b).mul(value));
  }

  /** this + value · a / b. */
  addcdiv(a: TensorBase, b: Value, { value = 1 }: { value?: number | undefined } = {}): Tensor {
    return this.add(pointwise("div", a, b).mul(value));
  }
}
