import { pointwise, type Value } from "./pointwise.ts";
import type { Tensor } from "./tensor.ts";
import { TensorBase } from "./tensor_base.ts";

/** The pointwise methods of tensors. */
export abstract class TensorArithmetic extends TensorBase {
  /** Sum, broadcast as in numpy. */
  add(other: Value): Tensor {
    return pointwise("add", this, other);
  }
  /** Difference. */
  sub(other: Value): Tensor {
    return pointwise("sub", this, other);
  }
  /** Product. */
  mul(other: Value): Tensor {
    return pointwise("mul", this, other);
  }
  /** Quotient. */
  div(other: Value): Tensor {
    return pointwise("div", this, other);
  }
  /** Power; a negative base takes whole exponents only. */
  pow(exponent: Value): Tensor {
    return pointwise("pow", this, exponent);
  }
  /** The smaller of each pair. */
  minimum(other: Value): Tensor {
    return pointwise("min", this, other);
  }
  /** The larger of each pair. */
  maximum(other: Value): Tensor {
    return pointwise("max", this, other);
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

  /** −x. */
  neg(): Tensor {
    return pointwise("neg", this);
  }
  /** |x|. */
  abs(): Tensor {
    return pointwise("abs", this);
  }
  /** √x. */
  sqrt(): Tensor {
    return pointwise("sqrt", this);
  }
  /** 1 / √x. */
  rsqrt(): Tensor {
    return pointwise("rsqrt", this);
  }
  /** eˣ. */
  exp(): Tensor {
    return pointwise("exp", this);
  }
  /** Natural logarithm. */
  log(): Tensor {
    return pointwise("log", this);
  }
  /** Sine; exact to 1e-6 only for |x| up to about 10. */
  sin(): Tensor {
    return pointwise("sin", this);
  }
  /** Cosine; exact to 1e-6 only for |x| up to about 10. */
  cos(): Tensor {
    return pointwise("cos", this);
  }
  /** Hyperbolic tangent. */
  tanh(): Tensor {
    return pointwise("tanh", this);
  }
  /** Nearest whole number, halves to even. */
  round(): Tensor {
    return pointwise("round", this);
  }
  /** Largest whole number not above x. */
  floor(): Tensor {
    return pointwise("floor", this);
  }

  /** Limits values to [low, high]. */
  clamp(low: number, high: number): Tensor {
    return this.maximum(low).minimum(high);
  }

  /**
   * this + weight · (end − this), as torch.lerp: with weight = guidance scale it is classifier-free guidance.
   */
  lerp(end: Value, weight: Value): Tensor {
    return this.add(pointwise("sub", end, this).mul(weight));
  }
}
