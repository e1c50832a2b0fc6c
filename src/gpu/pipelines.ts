import type { Device } from "./device.ts";
import { ShaderError } from "./errors.ts";

/** A text that is part of a shader, with the name that errors give it. */
export interface SourcePart {
  /** A path from the root, e.g. "shaders/lib/grid.wgsl", or what generated it. */
  readonly name: string;
  /** WGSL; parts share one module, so that names must differ between them. */
  readonly text: string;
}

/** How a shader uses a binding; bindings are numbered by their place in a list. */
export type BindingUse = "read" | "write" | "uniform";

/** What a compute pipeline is made of. */
export interface PipelineSpec {
  /** All that text and bindings depend on, so that equal specs are not composed twice. */
  readonly key: string;
  /** Kernel name, for labels, profiles and errors. */
  readonly label: string;
  /** Of group 0. */
  readonly bindings: readonly BindingUse[];
  /** Writes the text; called only where no pipeline was asked for by the key yet. */
  readonly source: () => readonly SourcePart[];
}

const BINDING_TYPES = { read: "read-only-storage", write: "storage", uniform: "uniform" } as const;

/** A compute pipeline, perhaps still compiling. */
export interface Pipeline {
  /** Kernel name. */
  readonly label: string;
  /** There at once, and the same object for all pipelines with the same list of uses. */
  readonly layout: GPUBindGroupLayout;
  /** Undefined while it compiles. */
  gpu?: GPUComputePipeline | undefined;
  /** Settles when `gpu` is there. */
  ready: Promise<void>;
}

/** The pipelines of one device: one for each text. */
export class Pipelines {
  readonly #device: Device;
  readonly #byKey = new Map<string, Pipeline>();
  readonly #byText = new Map<string, Pipeline>();
  readonly #layouts = new Map<string, GPUBindGroupLayout>();
  #pending = 0;
  #since = 0;
  #compileMs = 0;

  /** For the device itself. */
  constructor(device: Device) {
    this.#device = device;
  }

  /** Number of pipelines, and the wall time spent with at least one compiling. */
  get statistics(): { count: number; compileMs: number } {
    return { count: this.#byText.size, compileMs: this.#compileMs };
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
      pipeline = this.#ofText(spec, spec.source());
      this.#byKey.set(spec.key, pipeline);
    }
    return pipeline;
  }

  #ofText(spec: PipelineSpec, parts: readonly SourcePart[]): Pipeline {
    const text = [spec.bindings.join(), ...parts.map((part) => part.text)].join("\n");
    let pipeline = this.#byText.get(text);
    if (!pipeline) this.#byText.set(text, pipeline = this.#start(spec, parts));
    return pipeline;
  }

  #start(spec: PipelineSpec, parts: readonly SourcePart[]): Pipeline {
    const layout = this.#layout(spec.bindings);
    const pipeline: Pipeline = {
      label: spec.label,
      layout,
      ready: this.#compile(spec, parts, layout).then((gpu) => {
        pipeline.gpu = gpu;
      }),
    };
    pipeline.ready.catch(() => {}); // whoever awaits the pipeline gets the error
    return pipeline;
  }

  async #compile(
    spec: PipelineSpec,
    parts: readonly SourcePart[],
    layout: GPUBindGroupLayout,
  ): Promise<GPUComputePipeline> {
    const { gpu } = this.#device;
    if (this.#pending++ === 0) this.#since = performance.now();
    gpu.pushErrorScope("validation");
    const module = gpu.createShaderModule({
      label: spec.label,
      code: parts.map((part) => part.text).join("\n"),
    });
    const invalid = gpu.popErrorScope();
    try {
      return await gpu.createComputePipelineAsync({
        label: spec.label,
        layout: gpu.createPipelineLayout({ label: spec.label, bindGroupLayouts: [layout] }),
        compute: { module, entryPoint: "main" },
      });
    } catch (error) {
      await this.#device.losses();
      this.#device.assertAlive();
      throw await shaderError(spec.label, module, parts, (await invalid) ?? error);
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
