import type { Tensor } from "../../tensor/mod.ts";

/** Complex numbers as two tensors of one shape. */
export interface Complex {
  /** Real parts. */
  readonly real: Tensor;
  /** Imaginary parts. */
  readonly imag: Tensor;
}

/** Complex numbers of which all may be real. */
export interface PerhapsReal {
  readonly real: Tensor;
  readonly imag?: Tensor | undefined;
}

/** Both parts by the same operation. */
export function mapParts(z: PerhapsReal, f: (part: Tensor) => Tensor): PerhapsReal {
  return { real: f(z.real), imag: z.imag && f(z.imag) };
}

/** a · b, broadcast. */
export function complexProduct(a: PerhapsReal, b: Complex): Complex {
  const [rr, ri] = [a.real.mul(b.real), a.real.mul(b.imag)];
  if (!a.imag) return { real: rr, imag: ri };
  return { real: rr.sub(a.imag.mul(b.imag)), imag: ri.add(a.imag.mul(b.real)) };
}
