import { expectOptions } from "../core/error.ts";
import { isFloat } from "../core/dtype.ts";
import { pointwise, type Value, where } from "./pointwise.ts";
import type { Tensor } from "./tensor.ts";
import { plainType, TensorBase } from "./tensor_base.ts";

/**
 * The pointwise methods of several values: arithmetic, comparisons, choices. They broadcast and meet in torch's types; a whole
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
  div(other: Value, options: { roundingMode?: "trunc" | "floor" | undefined } = {}): Tensor {
    expectOptions("divide", options, ["roundingMode"]);
    const operations = { none: "div", trunc: "trunc_divide", floor: "floor_divide" } as const;
    return pointwise(operations[options.roundingMode ?? "none"], this, other);
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
  pow(this: Tensor, exponent: Value): Tensor {
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
    options: { rtol?: number | undefined; atol?: number | undefined } = {},
  ): Tensor {
    expectOptions("compare", options, ["rtol", "atol"]);
    const { rtol = 1e-5, atol = 1e-8 } = options;
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

  /** y where the condition holds not, as torch.where(condition, this, other). */
  where(condition: TensorBase, other: Value): Tensor {
    return where(condition, this, other);
  }

  /** The value where the mask holds, else the element. */
  maskedFill(mask: TensorBase, value: Value): Tensor {
    return where(mask, value, this);
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
   * this + weight · (end − this): with weight = guidance scale it is classifier-free guidance, to the bit as diffusers
   * computes it. torch.lerp goes back from the end for weights from ½ on, with other last bits.
   */
  lerp(end: Value, weight: Value): Tensor {
    return this.add(pointwise("sub", end, this).mul(weight));
  }

  /** this + value · a · b. */
  addcmul(a: TensorBase, b: Value, options: { value?: number | undefined } = {}): Tensor {
    expectOptions("compute addcmul", options, ["value"]);
    return this.add(pointwise("mul", a, b).mul(options.value ?? 1));
  }

  /** this + value · a / b. */
  addcdiv(a: TensorBase, b: Value, options: { value?: number | undefined } = {}): Tensor {
    expectOptions("compute addcdiv", options, ["value"]);
    return this.add(pointwise("div", a, b).mul(options.value ?? 1));
  }
}
