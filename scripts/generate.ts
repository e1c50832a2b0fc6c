/**
 * Draws pictures from words, with any pipeline that is built. `--help` lists the options.
 * Run: deno task start "a nice flower"
 */
import "./plain_errors.ts";
import "./command_line/shown_only.ts";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { loadingBar, savePng } from "denoise";
import { AutoencoderTiny } from "denoise/models";
import { DiffusionPipeline } from "denoise/pipelines";
import { Bar } from "../src/core/bar.ts";
import { numbered } from "../src/io/images/save_png.ts";
import { addTo } from "./generate/additions.ts";
import { counting } from "./generate/cache.ts";
import {
  BATCH,
  drawing,
  inBatches,
  loadPictures,
  picturesAtOnce,
  seedsOf,
  seesAsTheyAre,
} from "./generate/draw.ts";
import { drawingSizeOf, readSides, sidesOf } from "./generate/drawing_size.ts";
import { contentsOf } from "./generate/contents.ts";
import { expectFitting } from "./generate/fitting.ts";
import { findLoras, schedulesOf, strengthsOf } from "./generate/lora.ts";
import { pathsOf, readControlNet } from "./generate/named_files.ts";
import { previewsTo } from "./generate/preview.ts";
import { recipeOf, recipeOfPicture } from "./generate/recipe.ts";
import { tellDifferences } from "./generate/replay.ts";
import { readTask } from "./generate/settings.ts";
import { phase, phases } from "./generate/phases.ts";
import { EMBEDDED, EMBEDDED_NAME } from "./generate/usual.ts";
import { expectRoom, openEngine, tellSize, tellWeights, warmUp } from "./generate/start.ts";
import { planMemoryOf } from "./inspect/plan.ts";

const { settings, given, replayed } = await readTask(Deno.args);
const isEmbedded = settings.model === EMBEDDED ||
  settings.model === EMBEDDED_NAME && !existsSync(EMBEDDED_NAME); // as a server's recipes name it
const model = isEmbedded ? join(import.meta.dirname!, "..", EMBEDDED) : settings.model;
const { dtype, memory, quantize, base, config, variant, vae, steps } = settings;
const className = await expectFitting(model, settings, given);

if (settings.plan) {
  const { controlnet: nets, "t2i-adapter": t2i, "ip-adapter": ip } = settings;
  const beside = {
    controlnet: pathsOf(nets, readControlNet),
    adapter: pathsOf(t2i),
    ipAdapters: pathsOf(ip),
  };
  const batch = settings.cache === undefined ? Math.min(settings.count, BATCH) : 1;
  const size = drawingSizeOf(className, settings, batch, await readSides(className, settings));
  console.log(
    await planMemoryOf(model, { memory, dtype, base, config, variant, vae, ...beside, ...size }),
  );
  Deno.exit(0);
}

const onProgress = loadingBar();
using device = await phase("set-up", openEngine(given, replayed));
const pictures = await loadPictures(settings, { asTheyAre: seesAsTheyAre(className) });
const loras = await findLoras(settings.lora ?? [], onProgress);
const { preview: wish, "preview-vae": previewVae } = settings;
using decoder = previewVae === undefined
  ? undefined
  : await phase("load", AutoencoderTiny.fromPretrained(previewVae, { dtype, onProgress }));
const preview = wish === undefined ? undefined : previewsTo(wish, decoder);
using pipeline = await phase(
  "load",
  DiffusionPipeline.fromPretrained(model, {
    ...{ dtype, memory, quantize, base, config, variant, vae, onProgress },
    controlnet: pathsOf(settings.controlnet, readControlNet),
    adapter: pathsOf(settings["t2i-adapter"]),
  }),
);
const adapters: string[] = [];
for (const lora of loras) {
  const scale = strengthsOf(lora, pipeline.parts);
  const report = await phase("lora", pipeline.loadLoraWeights(lora.path, { scale, onProgress }));
  adapters.push(report.adapterName);
}
const adapterScales = schedulesOf(loras, adapters, pipeline);
if (settings.embedding ?? settings["ip-adapter"]) {
  await phase("add", addTo(pipeline, settings, onProgress));
}
expectRoom(pipeline, settings, drawingSizeOf(className, settings, 1, sidesOf(pictures)));
tellSize(pipeline, settings, pictures);
tellWeights(pipeline, settings);
const draw = drawing(pipeline, settings, pictures);
const seeds = seedsOf(settings);
const recipe = recipeOf(pipeline, settings, await contentsOf(pipeline, settings, model));
if (replayed) tellDifferences(replayed, recipe, device);
await phase("compile", warmUp(device, draw, settings));

const cache = settings.cache === undefined ? undefined : counting(settings.cache);
const paths: string[] = [];
const bar = seeds.length > BATCH ? new Bar(seeds.length, { label: "pictures", beat: () => "" }) : undefined;
const batches = inBatches(seeds, picturesAtOnce(device, settings), (some) => {
  const label = seeds.length === 1 ? "sample" : `sample ${paths.length + 1}/${seeds.length}`;
  return phase(
    "sample",
    draw(some, {
      numInferenceSteps: steps,
      hiresSteps: settings["hires-steps"],
      progress: bar ? false : { label },
      preview,
      adapterScales,
      cache,
    }),
  );
});
for await (const [seed, picture] of batches) {
  const [height, width] = picture.shape.slice(2) as [number, number];
  const path = seeds.length === 1 ? settings.out : numbered(settings.out, paths.length + 1);
  await phase("save", savePng(path, picture, recipeOfPicture(recipe, settings, { width, height }, seed)));
  paths.push(path);
  if (bar) bar.update(paths.length);
  else console.log(path);
}
bar?.end();
if (bar) console.log(`${paths[0]} to ${paths.at(-1)}`);
if (cache) console.log(cache.describe());
console.log(`Drawn by ${device.describe()}`);
console.log(phases());
