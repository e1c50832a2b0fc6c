import type { DeviceBase } from "../device_base.ts";
import { ShaderError } from "../errors.ts";
import { SHADER_FILES, type Snippet, type SourcePart } from "./snippet.ts";
import { unroll } from "./unroll.ts";

/** Use of a binding in a shader; bindings are numbered by their place in a list. */
export type BindingUse = "read" | "write" | "uniform";

/** Parts of a compute pipeline. */
export interface PipelineSpec {
  /** All that text and bindings depend on, so that equal specs are not composed twice. */
  readonly key: string;
  /** Kernel name, for labels, profiles and errors. */
  readonly label: string;
  /** Bindings of group 0. */
  readonly bindings: readonly BindingUse[];
  /** Writes the text, with `texts` in place of snippets' own; called where no pipeline was asked for by the key yet. */
  readonly source: (texts?: ReadonlyMap<Snippet, string>) => readonly SourcePart[];
}

const BINDING_TYPES = { read: "read-only-storage", write: "storage", uniform: "uniform" } as const;

/** A compute pipeline, perhaps still compiling. Read `gpu` at every encoding: `Pipelines.replace` changes it. */
export interface Pipeline {
  /** Kernel name. */
  readonly label: string;
  /** There at once, and the same object for all pipelines with the same list of uses. */
  readonly layout: GPUBindGroupLayout;
  /** Undefined while it compiles. */
  gpu?: GPUComputePipeline | undefined;
  /** Bound as group 1 where the pipeline runs a text that counts: see `Pipelines.runCounting`. */
  counters?: GPUBindGroup | undefined;
  /** Settles when `gpu` is there. */
  ready: Promise<void>;
}

/** A pipeline with the first spec that asked for its text. */
interface Made {
  readonly spec: PipelineSpec;
  readonly pipeline: Pipeline;
  /** Its last text before it was replaced, compiled: to be taken again without a compilation. */
  before?: { readonly text: string; readonly gpu: GPUComputePipeline } | undefined;
}

/** The pipelines of one device: one for each text. */
export class Pipelines {
  readonly #device: DeviceBase;
  readonly #byKey = new Map<string, Pipeline>();
  readonly #byText = new Map<string, Made>();
  readonly #layouts = new Map<string, GPUBindGroupLayout>();
  #texts = new Map<Snippet, string>();
  #replacing: Promise<unknown> = Promise.resolve();
  /** Number of texts replaced so far: results of an earlier count may be others now. */
  replacements = 0;
  #pending = 0;
  #since = 0;
  #compileMs = 0;

  /** For the device itself. */
  constructor(device: DeviceBase) {
    this.#device = device;
  }

  /** Number of pipelines, and the wall time spent with at least one compiling. */
  get statistics(): { count: number; compileMs: number } {
    return { count: this.#byText.size, compileMs: this.#compileMs };
  }

  /** Texts that replace those of snippets. */
  get texts(): ReadonlyMap<Snippet, string> {
    return this.#texts;
  }

  /** Forgets the pipelines of a GPU that was lost. */
  forget(): void {
    this.#byKey.clear();
    this.#byText.clear();
    this.#layouts.clear();
  }

  /** The pipeline of a spec; the first request starts its compilation. */
  get(spec: PipelineSpec): Pipeline {
    let pipeline = this.#byKey.get(spec.key);
    if (!pipeline) {
      pipeline = this.#ofText(spec, this.sourceOf(spec));
      this.#byKey.set(spec.key, pipeline);
    }
    return pipeline;
  }

  /** The text of a pipeline as it is compiled now, part by part: written once more, for whoever looks at it. */
  partsOf(pipeline: Pipeline): readonly SourcePart[] {
    return this.sourceOf(this.#specOf(pipeline));
  }

  /** The same before loops are unrolled: line by line equal but for those. */
  loopsOf(pipeline: Pipeline): readonly SourcePart[] {
    return this.#specOf(pipeline).source(this.#texts);
  }

  #specOf(pipeline: Pipeline): PipelineSpec {
    const made = this.#byText.values().find((made) => made.pipeline === pipeline);
    if (!made) throw new Error(`Cannot show ${pipeline.label}: its device was lost since; run it again`);
    return made.spec;
  }

  /**
   * Runs a text in place of a pipeline's own, one that counts what it does in a storage buffer, binding 0 of group 1, until the
   * result is disposed of. Throws where it does not compile, and where no storage buffer is left.
   */
  async runCounting(pipeline: Pipeline, text: string, counts: GPUBuffer): Promise<Disposable> {
    const { gpu, limits: { maxStorageBuffersPerShaderStage: most } } = this.#device;
    const used = this.#specOf(pipeline).bindings.filter((use) => use !== "uniform").length;
    if (used >= most) {
      throw new Error(
        `Cannot count in ${pipeline.label}: expected a storage buffer that is free, got all ${most} in use`,
      );
    }
    const layout = this.#layout(["write"]);
    const entries = [{ binding: 0, resource: { buffer: counts } }];
    const counters = gpu.createBindGroup({ label: "counters", layout, entries });
    const parts = [{ name: `${pipeline.label} with counters`, text }];
    const compiled = await this.#compile(pipeline.label, parts, [pipeline.layout, layout]);
    const own = pipeline.gpu;
    Object.assign(pipeline, { gpu: compiled, counters });
    return { [Symbol.dispose]: () => void Object.assign(pipeline, { gpu: own, counters: undefined }) };
  }

  /** The text of a spec in its parts, as it is compiled; with `texts` in place of those that stand in for files' own now. */
  sourceOf(
    spec: PipelineSpec,
    texts: ReadonlyMap<Snippet, string> = this.#texts,
  ): readonly SourcePart[] {
    const parts = spec.source(texts);
    return this.#device.traits.unrolls ? parts : unroll(spec.label, parts);
  }

  /** Compiles a spec whether or not there is a pipeline of its text, and keeps nothing. Throws a ShaderError where it does not compile. */
  async compile(
    spec: PipelineSpec,
    texts: ReadonlyMap<Snippet, string> = this.#texts,
  ): Promise<GPUComputePipeline> {
    return await this.#compile(spec.label, this.sourceOf(spec, texts), [this.#layout(spec.bindings)]);
  }

  #ofText(spec: PipelineSpec, parts: readonly SourcePart[]): Pipeline {
    const text = textOf(spec, parts);
    let made = this.#byText.get(text);
    if (!made) this.#byText.set(text, made = { spec, pipeline: this.#start(spec, parts) });
    return made.pipeline;
  }

  /**
   * Replaces files' texts, or restores their own where a text is undefined, and recompiles the pipelines that have them, but
   * for those whose last text before comes back. All change at once; where one does not compile, it throws and none changes.
   * Resolves to the number of those that changed.
   */
  async replace(changes: ReadonlyMap<Snippet, string | undefined>): Promise<number> {
    const replaced = this.#replacing.then(() => this.#replace(changes)); // one after the other
    this.#replacing = replaced.catch(() => {});
    return await replaced;
  }

  async #replace(changes: ReadonlyMap<Snippet, string | undefined>): Promise<number> {
    const { gpu } = this.#device;
    const texts = new Map(this.#texts);
    for (const [file, text] of changes) {
      if (text === undefined) texts.delete(file);
      else texts.set(file, text);
    }
    const compiled = new Map<string, { made: Made; now: string; gpu: GPUComputePipeline }>(); // by the text until now
    const others = () =>
      [...this.#byText].filter(([before]) => !compiled.has(before)).map(([before, made]) => {
        const parts = this.sourceOf(made.spec, texts);
        return { before, now: textOf(made.spec, parts), parts, made };
      }).filter(({ before, now }) => now !== before);
    for (let some = others(); some.length; some = others()) { // more may be asked for meanwhile
      await Promise.all(some.map(async ({ before, now, parts, made }) => {
        const { spec, pipeline } = made;
        await pipeline.ready.catch(() => {}); // else its first compilation might end after this one
        const known = made.before?.text === now ? made.before.gpu : undefined;
        compiled.set(before, {
          made,
          now,
          gpu: known ?? await this.#compile(spec.label, parts, [pipeline.layout]),
        });
      }));
    }
    if (gpu !== this.#device.gpu) return await this.#replace(changes); // it was lost meanwhile, with all of these
    for (const [before, { made, now, gpu }] of compiled) {
      this.#byText.delete(before);
      this.#byText.set(now, made);
      made.before = made.pipeline.gpu && { text: before, gpu: made.pipeline.gpu };
      made.pipeline.gpu = gpu;
      made.pipeline.ready = Promise.resolve();
    }
    this.#texts = texts;
    this.replacements++;
    return compiled.size;
  }

  #start(spec: PipelineSpec, parts: readonly SourcePart[]): Pipeline {
    const layout = this.#layout(spec.bindings);
    const pipeline: Pipeline = {
      label: spec.label,
      layout,
      ready: this.#compile(spec.label, parts, [layout]).then((gpu) => {
        pipeline.gpu = gpu;
      }),
    };
    pipeline.ready.catch(() => {}); // whoever awaits the pipeline gets the error
    return pipeline;
  }

  async #compile(
    label: string,
    parts: readonly SourcePart[],
    bindGroupLayouts: GPUBindGroupLayout[],
  ): Promise<GPUComputePipeline> {
    const { gpu } = this.#device;
    if (this.#pending++ === 0) this.#since = performance.now();
    gpu.pushErrorScope("validation");
    const module = gpu.createShaderModule({
      label,
      code: parts.map((part) => part.text).join("\n"),
    });
    const invalid = gpu.popErrorScope();
    try {
      return await gpu.createComputePipelineAsync({
        label,
        layout: gpu.createPipelineLayout({ label, bindGroupLayouts }),
        compute: { module, entryPoint: "main" },
      });
    } catch (error) {
      await this.#device.lossReported();
      this.#device.assertAlive();
      throw await shaderError(label, module, parts, (await invalid) ?? error);
    } finally {
      if (--this.#pending === 0) this.#compileMs += performance.now() - this.#since;
    }
  }

  /** Layouts are shared: a bind group layout is the same for equal lists of uses. */
  #layout(bindings: readonly BindingUse[]): GPUBindGroupLayout {
    const key = bindings.join();
    let layout = this.#layouts.get(key);
    if (!layout) {
      layout = this.#device.gpu.createBindGroupLayout({
        label: key,
        entries: bindings.map((use, binding) => ({
          binding,
          visibility: GPUShaderStage.COMPUTE,
          buffer: { type: BINDING_TYPES[use] },
        })),
      });
      this.#layouts.set(key, layout);
    }
    return layout;
  }
}

/** Equal for pipelines that are compiled once: all their text, and the names of files in it, which may be replaced. */
function textOf({ bindings }: PipelineSpec, parts: readonly SourcePart[]): string {
  const texts = parts.map(({ name, text }) => SHADER_FILES.has(name) ? `${name}\n${text}` : text);
  return [bindings.join(), ...texts].join("\n");
}

/** Names the file and line of the first compiler message. */
async function shaderError(
  label: string,
  module: GPUShaderModule,
  parts: readonly SourcePart[],
  cause: unknown,
): Promise<ShaderError> {
  const { messages } = await module.getCompilationInfo();
  const message = messages.find((m) => m.type === "error");
  if (!message) {
    const detail = (cause as { message?: string }).message ?? String(cause);
    return new ShaderError(`Cannot compile ${label}: ${detail}`, { cause });
  }
  let line = message.lineNum;
  for (const part of parts) {
    const lines = part.text.split("\n");
    if (line <= lines.length) {
      const source = lines[line - 1]?.trim();
      return new ShaderError(
        `Cannot compile ${part.name}:${line}:${message.linePos}: ${oneLine(message.message)} in "${source}"`,
        { cause },
      );
    }
    line -= lines.length;
  }
  return new ShaderError(`Cannot compile ${label}: ${oneLine(message.message)}`, { cause });
}

/** The first line that says something: naga's messages draw the source below it. */
function oneLine(message: string): string {
  return message.split("\n").find((line) => line.trim()) ?? message;
}
