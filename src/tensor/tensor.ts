import { bytesOf, type DType, type HostArray, isPacked, type PlainDType, viewBytes } from "../core/dtype.ts";
import { channelsLastStrides, contiguousStrides, sameStrides } from "../core/shape.ts";
import { streamOf } from "../graph/stream.ts";
import { gatherAlong, selectAlong } from "./gather.ts";
import { TensorOrder } from "./order.ts";
import { recordPointwise } from "./record.ts";
import { reduce, type ReduceOptions } from "./reduce.ts";

/**
 * An immutable array on the GPU. Operations are recorded and run when something waits for a result. Shapes
 * are as in torch; 4-D activations may lie channels-last in memory, which only kernels see.
 */
export class Tensor extends TensorOrder {
  /** Sum over some axes, or over all. */
  sum(axes?: number | readonly number[], options?: ReduceOptions): Tensor {
    return reduce("sum", this, axes, options?.keepdim);
  }
  /** Mean over some axes, or over all. */
  mean(axes?: number | readonly number[], options?: ReduceOptions): Tensor {
    return reduce("mean", this, axes, options?.keepdim);
  }
  /** Smallest element over some axes, or over all. */
  min(axes?: number | readonly number[], options?: ReduceOptions): Tensor {
    return reduce("min", this, axes, options?.keepdim);
  }
  /** Largest element over some axes, or over all. */
  max(axes?: number | readonly number[], options?: ReduceOptions): Tensor {
    return reduce("max", this, axes, options?.keepdim);
  }

  /** Product over some axes, or over all. */
  prod(axes?: number | readonly number[], options?: ReduceOptions): Tensor {
    return reduce("prod", this, axes, options?.keepdim);
  }

  /** The elements along an axis by the numbers in `index`, as torch: y[i][j] = x[index[i][j]][j] for axis 0. */
  gather(axis: number, index: Tensor): Tensor {
    return gatherAlong(this, axis, index);
  }

  /**
   * The slices along an axis by their numbers. index [M]. Negative numbers count from the end; others out of range
   * take the nearest slice.
   */
  indexSelect(axis: number, index: Tensor): Tensor {
    return selectAlong(this, axis, index);
  }

  /**
   * The elements as another type: f16 rounds to nearest even where it is stored, integers drop the fraction,
   * bools are true for what is not 0.
   */
  cast(dtype: DType): Tensor {
    return dtype === this.dtype ? this : recordPointwise({ op: "operand", index: 0 }, [this], { dtype });
  }

  /** The same as `cast`, by torch's name. */
  to(dtype: PlainDType): Tensor {
    return this.cast(dtype);
  }

  /** True where the elements lie in memory one after the other in the order of `strides`. */
  isDense(strides: readonly number[]): boolean {
    return this.offset === 0 && this.node.count === this.size &&
      sameStrides(this.shape, this.strides, strides);
  }

  /** The same tensor, dense in row-major order (or with the given strides) in memory of its own. */
  contiguous(strides: readonly number[] = contiguousStrides(this.shape)): Tensor {
    if (this.isDense(strides)) return this;
    return recordPointwise({ op: "operand", index: 0 }, [this], { strides });
  }

  /** The same [B, C, H, W] tensor with channels innermost in memory, as kernels take it. */
  channelsLast(): Tensor {
    return this.contiguous(channelsLastStrides(this.shape));
  }

  /** Runs what was recorded, waits, and returns the elements in row-major order. */
  async data(): Promise<HostArray> {
    const { dtype } = this;
    if (isPacked(dtype)) throw new TypeError(`Cannot read ${this}: expected plain numbers, got ${dtype}`);
    const dense = this.contiguous();
    const stream = streamOf(this.device);
    while (!dense.node.storage) { // again where the failure of other work made a flush forget this one
      stream.want(dense.node);
      await stream.flush();
    }
    const { storage } = dense.node;
    if (storage.released) throw new Error(`Cannot read ${this}: it was disposed; keep it with scope.keep()`);
    const bytes = this.size * bytesOf(dtype);
    const buffer = await this.device.read(storage.buffer, storage.offset, Math.ceil(bytes / 4) * 4);
    if (dense !== this) storage.release(); // a copy in row-major order, which nobody else has
    return viewBytes(dtype, buffer, this.size);
  }

  /** The value of a tensor of one element. */
  async item(): Promise<number> {
    if (this.size !== 1) {
      throw new RangeError(`Cannot read one item of ${this}: it has ${this.size} elements`);
    }
    return (await this.data())[0]!;
  }
}
