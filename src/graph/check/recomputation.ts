import { type PlainDType, type ValueType, valueType, viewBytes } from "../../core/dtype.ts";
import type { Storage } from "../../gpu/memory/buffers.ts";
import { Uniforms } from "../../gpu/memory/uniforms.ts";
import type { Device } from "../../gpu/device.ts";
import { bindGroup, Encoding } from "../../gpu/encoding.ts";
import { foldGrid } from "../../gpu/shader/grid.ts";
import { type Expr, exprKey, exprType } from "../expr.ts";
import { type Group, valueGroup } from "../fusion/fuse.ts";
import { type Origin, type Step, stepsOfOrigin } from "../fusion/step.ts";
import { type Node, Scratch } from "../node.ts";
import { rangeOf, readValues } from "./values.ts";
import type { ValueRange } from "./error.ts";

/**
 * A dispatch computed again in parts, each in f32 and in memory of its own: the kernel's value by itself, and
 * each part of the expression that is fused into it. Disposing it frees the memory.
 */
export class Recomputation implements Disposable {
  readonly #device: Device;
  readonly #origin: Origin;
  /** The group with the kernel's value among its operands as any other. */
  readonly #group: Promise<Group>;
  readonly #storages: Map<Node, Storage>;
  readonly #made: Storage[] = [];
  readonly #parts = new Map<string, Promise<Node>>();

  /** For a result of this origin; `storages` has all that it reads. */
  constructor(device: Device, origin: Origin, storages: ReadonlyMap<Node, Storage>) {
    this.#device = device;
    this.#origin = origin;
    this.#storages = new Map(storages);
    this.#group = this.#withValue();
  }

  /** The kernel's own value where the expression has it, and the operand's node elsewhere. */
  async operand(index: number): Promise<Node> {
    return (await this.#group).operands[index]!.node;
  }

  /** A part of the expression at a place of the result's memory. */
  async at(expr: Expr, element: number): Promise<number> {
    const node = await this.#part(expr);
    const { buffer, offset } = this.#storages.get(node)!;
    return viewBytes(
      node.dtype as PlainDType,
      await this.#device.read(buffer, offset + 4 * element, 4),
      1,
    )[0]!;
  }

  /** The numbers of a part of the expression. */
  async range(expr: Expr): Promise<ValueRange> {
    const node = await this.#part(expr);
    return rangeOf(await readValues(this.#device, this.#storages.get(node)!, node));
  }

  /** The type of a part of the expression. */
  type(expr: Expr): ValueType {
    return exprType(expr, this.#origin.group.operands.map(({ node }) => valueType(node.dtype as PlainDType)));
  }

  async #withValue(): Promise<Group> {
    const { group, chosen } = this.#origin;
    const { kernel, ...rest } = group;
    if (!kernel || !chosen) return group;
    const { axes, strides } = chosen.spec;
    const value = new Scratch(
      this.type({ op: "operand", index: group.operands.findIndex(({ node }) => node === kernel) }),
      kernel.count,
      kernel.path,
    );
    await this.#run({ group: { ...valueGroup(kernel, axes, strides), kernel, output: value }, chosen });
    const operands = group.operands.map((operand) =>
      operand.node === kernel ? { ...operand, node: value } : operand
    );
    return { ...rest, operands };
  }

  #part(expr: Expr): Promise<Node> {
    const key = exprKey(expr);
    let part = this.#parts.get(key);
    if (!part) this.#parts.set(key, part = this.#compute(expr));
    return part;
  }

  async #compute(expr: Expr): Promise<Node> {
    const group = await this.#group;
    const output = new Scratch(this.type(expr), group.output.count, group.output.path);
    await this.#run({ group: { ...group, expr, output } });
    return output;
  }

  async #run(origin: Origin): Promise<void> {
    const encoding = new Encoding(this.#device);
    for (const step of stepsOfOrigin(origin)) await this.#dispatch(encoding, step);
    encoding.submit();
  }

  async #dispatch(
    encoding: Encoding,
    { output, inputs, uniforms, record, details, ...step }: Step,
  ): Promise<void> {
    const { buffers, pipelines, limits } = this.#device;
    const pipeline = pipelines.get(step.pipeline);
    await pipeline.ready;
    const storage = buffers.allocate("checking", output.bytes);
    this.#made.push(storage);
    this.#storages.set(output, storage);
    const own = new Uniforms(this.#device, "checking");
    encoding.afterSubmit(() => own.release());
    const reads = inputs.map((node) => this.#storages.get(node)!);
    const { bindings } = step.pipeline;
    const group = bindGroup(this.#device, pipeline, bindings, reads, storage, own.write(uniforms));
    const workgroups = foldGrid(step.workgroups, limits.maxComputeWorkgroupsPerDimension);
    encoding.dispatch({ pipeline, group, workgroups, record, details });
  }

  [Symbol.dispose](): void {
    for (const storage of this.#made.splice(0)) storage.release();
  }
}
