import assert from "node:assert/strict";
import { join } from "node:path";
import { instance } from "@viz-js/viz";
import { type DumpForm, openDevice, randn, type Tensor, tensor } from "denoise";
import { linear } from "denoise/ops";
import { graphForm } from "../../scripts/inspect/graph/form.ts";
import { openOneModel } from "../../scripts/inspect/find_model.ts";
import type { GraphDump } from "../../src/graph/dump/describe.ts";
import { graphDot } from "../../src/graph/dump/dot.ts";
import type { Graph } from "../../src/graph/dump/graph.ts";
import { modulesOf, partsOf } from "../../src/graph/dump/modules.ts";
import { streamOf } from "../../src/graph/run/stream.ts";
import { traced } from "../support/traced.ts";

const root = join(import.meta.dirname!, "../..");
const viz = await instance();

/** A model's graphs without its weights, as `device.dump("json")` has them. */
async function graphsOf(model: string, part?: string): Promise<GraphDump> {
  using device = await openDevice();
  using _model = await openOneModel("inspect", join(root, model), { part }, {
    headersOnly: true,
    dtype: "f32",
  });
  return graphForm.parse(JSON.parse(device.dump("json")));
}

/** Nodes and edges that Graphviz reads, by their names. */
function drawn(dot: string): { nodes: string[]; edges: string[]; clusters: string[] } {
  const { status, output, errors } = viz.render(dot, { format: "json0" });
  assert.deepEqual([status, errors], ["success", []]);
  const { objects, edges } = JSON.parse(output!) as {
    objects: { _gvid: number; name: string; id?: string; nodes?: number[] }[];
    edges: { tail: number; head: number }[];
  };
  const name = (at: number) => objects.find(({ _gvid }) => _gvid === at)!.name;
  return {
    nodes: objects.filter(({ id }) => id !== undefined).map(({ name }) => name),
    clusters: objects.filter(({ id }) => id === undefined).map(({ name }) => name),
    edges: edges.map(({ tail, head }) => `${name(tail)} ${name(head)}`),
  };
}

Deno.test("a dump says what is fused into a dispatch, in every form", async () => {
  using device = await openDevice();
  const [weight, bias] = [tensor([1, 2, 3, 4, 5, 6], [2, 3]), tensor([1, 2], [2])];
  const layer = (x: Tensor, y: Tensor) => [linear(x, { weight, bias }).mul(3).sigmoid().sub(y)];
  const { plan } = traced(device, [randn([5, 3]), randn([5, 2])], layer);
  const { graphs: [graph], ...facts } = graphForm.parse(JSON.parse(device.dump("json")));
  assert.deepEqual(graph, plan.graph());
  assert.deepEqual([facts.format, facts.version], ["denoise-graph", 1]);
  const [step, ...more] = graph!.steps;
  assert.equal(more.length, 0);
  assert.equal(step!.fused, "sigmoid((v + x1) * c0) - x2");
  const leaf = (id: number) => graph!.leaves.find((leaf) => leaf.id === id)!;
  assert.deepEqual(step!.inputs.map(({ id, as, shape }) => [leaf(id).kind, as, shape]), [
    ["input", undefined, [1, 5, 3]],
    ["weight", undefined, [2, 3]],
    ["weight", "x1", [1, 2]],
    ["input", "x2", [5, 2]],
  ]);
  assert.deepEqual([step!.dtype, step!.count, graph!.outputs], ["f32", 10, [step!.id]]);
  assert.match(device.dump(), /: sigmoid\(\(v \+ .*\) \* c0\) - input 1$/m);
  const { nodes, edges } = drawn(device.dump("dot"));
  assert.equal(nodes.length, 4); // both inputs, the dispatch, the result
  assert.equal(edges.length, 3);
  assert.throws(() => device.dump("svg" as DumpForm), /expected "text", "json" or "dot", got "svg"/);
});

/** What must hold in every graph. */
function expectWhole({ steps, leaves, outputs, arenas }: Graph): void {
  const known = new Set(leaves.map(({ id }) => id));
  for (const { id, inputs, arena, offset, count, dtype, fused } of steps) {
    assert.ok(inputs.every(({ id }) => known.has(id)), "a value is read before it is there");
    assert.ok(offset + count * (dtype === "f16" ? 2 : 4) <= arenas[arena]!);
    const operands = new Set(fused.match(/\bx\d+\b/g));
    assert.deepEqual(new Set(inputs.flatMap(({ as }) => as ?? [])), operands);
    known.add(id);
  }
  assert.ok(outputs.every((id) => known.has(id)));
}

for (
  const [model, part, labels] of [
    ["models/emoji-diffusion", undefined, ["UNet2DConditionModel"]],
    ["models/emoji-diffusion", "vae", ["AutoencoderKL", "AutoencoderKL"]],
    ["models/emoji-diffusion", "text_encoder", ["CLIPTextModel"]],
    ["test/fixtures/flux/pipeline", undefined, ["FluxTransformer2DModel", "FluxTransformer2DModel"]],
    ["test/fixtures/flux/pipeline", "text_encoder_2", ["T5EncoderModel"]],
  ] as const
) {
  Deno.test(`graphs of ${part ?? "the denoiser"} of ${model} are whole, and Graphviz draws all of them`, async () => {
    const { graphs } = await graphsOf(model, part);
    assert.deepEqual(graphs.map(({ label }) => label), labels);
    graphs.forEach(expectWhole);
    const { nodes, clusters } = drawn(graphDot(graphs));
    graphs.forEach(({ steps, outputs }, g) => {
      for (const { id } of steps) assert.ok(nodes.includes(`g${g}_${id}`));
      outputs.forEach((_, i) => assert.ok(nodes.includes(`g${g}_out${i}`)));
      const paths = new Set(steps.map(({ path }) => path).filter(Boolean));
      for (const path of paths) assert.ok(clusters.includes(`cluster_g${g}_${path}`), path);
    });
  });
}

Deno.test("folded, each module at a depth is one box, with lines between them", async () => {
  const { graphs } = await graphsOf("models/emoji-diffusion");
  const { nodes, edges, clusters } = drawn(graphDot(graphs, 1));
  const blocks = modulesOf(graphs[0]!.steps).parts.map(({ path }) => path);
  assert.deepEqual(blocks.slice(0, 3), ["time_embedding", "conv_in", "down_blocks.0"]);
  for (const path of blocks) assert.ok(nodes.includes(`g0_${path}`));
  assert.ok(edges.includes("g0_down_blocks.0 g0_down_blocks.1"));
  assert.ok(edges.includes("g0_conv_in g0_up_blocks.2")); // a skip
  assert.equal(new Set(edges).size, edges.length);
  assert.deepEqual(clusters, ["cluster_g0_"]);
});

Deno.test("a path's modules take the numbers behind their names", () => {
  assert.deepEqual(partsOf("down_blocks.0.resnets.1.conv1"), ["down_blocks.0", "resnets.1", "conv1"]);
  assert.deepEqual(partsOf("attn.to_out.0"), ["attn", "to_out.0"]);
  assert.deepEqual(partsOf(""), []);
});

Deno.test("a graph has the places that its plan takes", async () => {
  using device = await openDevice();
  const { plan, run } = traced(device, [randn([2, 8])], (x) => [x.softmax(1), x.mul(2).sum(1)]);
  const before = plan.graph();
  run(randn([2, 8]));
  await streamOf(device).flush();
  const { arenas, values } = plan.memory();
  const after = plan.graph();
  assert.deepEqual(
    after.steps.map(({ arena, offset }) => [arena, offset]),
    values.map((v) => [v.arena, v.offset]),
  );
  assert.deepEqual(after.arenas, arenas);
  assert.deepEqual(before.steps.map(({ fused }) => fused), after.steps.map(({ fused }) => fused));
});
