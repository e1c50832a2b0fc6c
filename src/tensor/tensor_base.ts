import { type DType, isPacked, type PlainDType } from "../core/dtype.ts";
import { formatShape, type Shape, size } from "../core/shape.ts";
import { currentDevice, type Device } from "../gpu/device.ts";
import { shown } from "./display.ts";
import { Leaf, type Node, type View } from "../graph/node.ts";

/** A view of a recorded value: what every tensor is, before it has methods. */
export abstract class TensorBase implements View {
  /** Values that the host has seen, as many of them as consoles show. */
  seen: readonly number[] | undefined;

  /** A view of a recorded value; scripts make tensors with `tensor`, `zeros`, `randn`. */
  constructor(
    readonly device: Device,
    /** The recorded value that this tensor views. */
    readonly node: Node,
    readonly shape: Shape,
    readonly strides: readonly number[],
    readonly offset: number,
  ) {}

  /** Element type. */
  get dtype(): DType {
    return this.node.dtype;
  }

  /** Number of axes. */
  get rank(): number {
    return this.shape.length;
  }

  /** Number of elements. */
  get size(): number {
    return size(this.shape);
  }

  /** A weight's key in its checkpoint, else "tensor". */
  get label(): string {
    return this.node instanceof Leaf && this.node.label ? this.node.label : "tensor";
  }

  /** e.g. `tensor [1, 3, 32, 32] f32`. */
  toString(): string {
    return `${this.label} ${formatShape(this.shape)} ${this.dtype}`;
  }

  /** Refuses operators, as in `x * 2`, which JavaScript would give NaN for. */
  [Symbol.toPrimitive](hint: string): string {
    if (hint !== "number") return this.toString();
    throw new TypeError(
      `Cannot take ${this} as a number: expected methods in place of operators, as in x.mul(2) or x.gt(0), or a value ` +
        "that was read, as in await x.item()",
    );
  }

  /** The text that Deno's console and REPL show: shape, type, and the values once they were read. */
  [Symbol.for("Deno.customInspect")](): string {
    return shown(this);
  }

  /** The text that Node's console shows, the same. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return shown(this);
  }
}

/** The tensor's type. Throws where only products read it. */
export function plainType(t: TensorBase): PlainDType {
  if (isPacked(t.dtype)) throw new TypeError(`Cannot compute with ${t}: only products read ${t.dtype}`);
  return t.dtype;
}

/** The device that all tensors are on. Throws where they are on several. */
export function deviceOf(tensors: readonly TensorBase[]): Device {
  const device = tensors[0]?.device ?? currentDevice();
  if (tensors.some((t) => t.device !== device)) {
    throw new Error("Cannot combine tensors of two devices: expected one; read the data and upload it again");
  }
  return device;
}
