import { parseArgs } from "node:util";
import { schedulerClasses } from "denoise/schedulers";
import { z } from "zod";

/** What `--help` prints. */
export const help = `Usage: deno run -A scripts/generate.ts [prompt] [options]

  --model PATH_OR_REPO   a folder, or a repository such as CompVis/stable-diffusion-v1-4; default: the embedded model
  --negative TEXT        what is not to be drawn
  --steps N              default 25
  --guidance N           how closely the picture follows the prompt; 1 leaves guidance out
  --seed N               default 0; further pictures of --count take the seeds after it
  --scheduler CLASS      e.g. EulerDiscreteScheduler, DPMSolverMultistepScheduler; default: the model's
  --size WIDTHxHEIGHT    in pixels; default: what the model was trained for
  --image FILE.png       a picture to change instead of drawing from noise
  --strength N           how much of it is replaced: near 0 little, 1 all
  --mask FILE.png        white where the picture is drawn anew
  --count N              pictures, default 1
  --dtype f32|f16        default: f16 on a GPU that computes in it
  --out FILE.png         default denoise.png
  --replay FILE.png      takes all settings from a picture that Denoise made`;

/** Settings where neither the command line nor a replayed picture says another. */
export const defaults = {
  prompt: "a nice flower",
  negative: "",
  model: "models/emoji-diffusion",
  steps: 25,
  seed: 0,
  count: 1,
  out: "denoise.png",
} as const;

const count = z.coerce.number().pipe(z.int().positive());

const schema = z.object({
  prompt: z.string(),
  model: z.string(),
  negative: z.string(),
  steps: count,
  guidance: z.coerce.number().pipe(z.number()),
  seed: z.coerce.number().pipe(z.int()),
  scheduler: z.enum(Object.keys(schedulerClasses) as [string]),
  size: z.string().regex(/^\d+x\d+$/, "WIDTHxHEIGHT, e.g. 512x512"),
  image: z.string(),
  strength: z.coerce.number().pipe(z.number()),
  mask: z.string(),
  count,
  dtype: z.enum(["f32", "f16"]),
  out: z.string(),
  replay: z.string(),
  help: z.boolean(),
}).partial();

/** What the command line says. Throws one line that names what is wrong. */
export function readOptions(args: string[]): z.infer<typeof schema> {
  const names = Object.keys(schema.shape).filter((name) => name !== "prompt" && name !== "help");
  const { values, positionals: [prompt, surplus] } = parseArgs({
    args,
    allowPositionals: true,
    allowNegative: true,
    options: {
      ...Object.fromEntries(names.map((name) => [name, { type: "string" as const }])),
      help: { type: "boolean", short: "h" },
    },
  });
  if (surplus !== undefined) {
    throw new TypeError(`Cannot draw: expected one prompt, got also "${surplus}"; put the prompt in quotes`);
  }
  const read = schema.safeParse(prompt === undefined ? values : { ...values, prompt });
  if (read.success && read.data.mask && !read.data.image) {
    throw new TypeError("Cannot take --mask alone: expected --image too, the picture that it belongs to");
  }
  if (read.success) return read.data;
  const [issue] = read.error.issues;
  const name = String(issue.path[0]);
  throw new TypeError(`Cannot take --${name} ${values[name as keyof typeof values]}: ${issue.message}`);
}
