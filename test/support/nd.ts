import { broadcast, contiguousStrides, size } from "../../src/core/shape.ts";
import { type Tensor, tensor } from "../../src/tensor/mod.ts";
import type { Dice } from "./dice.ts";

/** All places of a shape in row-major order. */
export function* places(shape: readonly number[]): Generator<number[]> {
  const count = size(shape);
  const strides = contiguousStrides(shape);
  for (let i = 0; i < count; i++) yield shape.map((n, axis) => Math.floor(i / strides[axis]!) % n);
}

/** Where each place of a view lies in memory, in row-major order of the places. */
export function addresses(shape: readonly number[], strides: readonly number[], offset = 0): number[] {
  return Array.from(
    places(shape),
    (place) => place.reduce((sum, i, axis) => sum + i * strides[axis]!, offset),
  );
}

/** A plain array with numpy's rules: what tensors are compared with. */
export class Nd {
  constructor(readonly shape: readonly number[], readonly data: ArrayLike<number>) {}

  static random(dice: Dice, shape: readonly number[], reach = 2): Nd {
    return new Nd(shape, dice.numbers(size(shape), reach));
  }

  /** An array from a function of the place. */
  static from(shape: readonly number[], value: (place: number[]) => number): Nd {
    return new Nd(shape, Float64Array.from(places(shape), value));
  }

  /** The element at a place; axes of size 1 repeat, missing ones count from the back. */
  at(place: readonly number[]): number {
    const own = place.slice(place.length - this.shape.length);
    const strides = contiguousStrides(this.shape);
    return this
      .data[own.reduce((sum, i, axis) => sum + (this.shape[axis] === 1 ? 0 : i) * strides[axis]!, 0)]!;
  }

  map(f: (x: number) => number): Nd {
    return new Nd(this.shape, Float64Array.from(this.data, f));
  }

  zip(other: Nd, f: (a: number, b: number) => number): Nd {
    return Nd.from(broadcast(this.shape, other.shape), (place) => f(this.at(place), other.at(place)));
  }

  permute(axes: readonly number[]): Nd {
    return Nd.from(axes.map((axis) => this.shape[axis]!), (place) => {
      const source = new Array<number>(place.length);
      axes.forEach((axis, i) => source[axis] = place[i]!);
      return this.at(source);
    });
  }

  slice(axis: number, start: number, end: number): Nd {
    return Nd.from(
      this.shape.with(axis, end - start),
      (place) => this.at(place.with(axis, place[axis]! + start)),
    );
  }

  reshape(shape: readonly number[]): Nd {
    return new Nd(shape, this.data);
  }

  expand(shape: readonly number[]): Nd {
    return Nd.from(shape, (place) => this.at(place));
  }

  /** Folds axes, which become 1, with a function of all their elements. */
  fold(axes: readonly number[], f: (values: number[]) => number): Nd {
    const inner = this.shape.map((n, axis) => axes.includes(axis) ? n : 1);
    const outer = this.shape.map((n, axis) => axes.includes(axis) ? 1 : n);
    return Nd.from(
      outer,
      (place) => f(Array.from(places(inner), (rest) => this.at(rest.map((i, axis) => i + place[axis]!)))),
    );
  }

  /** The array on the GPU. */
  upload(): Tensor {
    return tensor(Float32Array.from(this.data), this.shape);
  }
}
