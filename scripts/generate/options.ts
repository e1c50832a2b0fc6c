import { parseArgs } from "node:util";
import { schedulerClasses } from "denoise/schedulers";
import { z } from "zod";

/** What `--help` prints. */
export const help = `Usage: deno run -A scripts/generate.ts [prompt] [options]

  --model PATH_OR_REPO   a folder, a repository such as CompVis/stable-diffusion-v1-4, or one file: .safetensors, .ckpt,
                         .gguf; default: the embedded model
  --base PATH_OR_REPO    for one file: where tokenizers are, and what else it lacks; default: its family's repository
  --config PATH_OR_REPO  for one file: whose configs it has; default: what its tensors tell
  --lora PATH_OR_REPO[:SCALE]  a style to add, e.g. style.safetensors:0.8; may be given several times
  --negative TEXT        what is not to be drawn
  --steps N              default 25
  --guidance N           how closely the picture follows the prompt; 1 leaves guidance out, but for FLUX
  --true-cfg N           FLUX: guidance by --negative beside its own; over 1, in twice the time
  --max-sequence-length N  FLUX: tokens of the prompt that T5 reads, at most 512
  --seed N               default 0; further pictures of --count take the seeds after it
  --scheduler CLASS      e.g. EulerDiscreteScheduler, DPMSolverMultistepScheduler; default: the model's
  --size WIDTHxHEIGHT    in pixels; default: what the model was trained for
  --image FILE           a picture to change instead of drawing from noise: a PNG, JPEG or WebP
  --strength N           how much of it is replaced: near 0 little, 1 all
  --mask FILE            white where the picture is drawn anew
  --count N              pictures, default 1
  --dtype f32|f16        default: f16 on a GPU that computes in it
  --memory 8G            of the GPU, for the models: what does not fit leaves in turn, or comes with fewer bits
  --quantize int8|int4   stores matrices in fewer bits
  --plan                 prints what the models take of the memory, from the headers of their files, and ends
  --preview [WHERE]      small pictures of the steps: in terminals that show pictures, or to FILE.png; N takes each Nth
                         step, kitty, iterm2 or sixel says how the terminal takes them; e.g. --preview 5,preview.png
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

/** What may be said on the command line, and what pictures' files say of how they were made. */
export const schema = z.object({
  prompt: z.string(),
  model: z.string(),
  base: z.string(),
  config: z.string(),
  lora: z.array(z.string()),
  negative: z.string(),
  steps: count,
  guidance: z.coerce.number().pipe(z.number()),
  "true-cfg": z.coerce.number().pipe(z.number()),
  "max-sequence-length": count,
  seed: z.coerce.number().pipe(z.int()),
  scheduler: z.enum(Object.keys(schedulerClasses) as [string]),
  size: z.string().regex(/^\d+x\d+$/, "expected WIDTHxHEIGHT, e.g. 512x512"),
  image: z.string(),
  strength: z.coerce.number().pipe(
    z.number().gt(0, "expected a number above 0").max(1, "expected a number of at most 1"),
  ),
  mask: z.string(),
  count,
  dtype: z.enum(["f32", "f16"]),
  memory: z.string().regex(/^\d+(\.\d+)?[GM]$/, "expected a number of GB or MB, e.g. 8G").transform(bytesOf),
  quantize: z.enum(["int8", "int4"]),
  plan: z.boolean(),
  preview: z.string(),
  out: z.string().regex(/\.png$/i, "expected a name that ends in .png"),
  replay: z.string(),
  help: z.boolean(),
}).partial();

/** Of a number with its unit, e.g. 8G. */
function bytesOf(text: string): number {
  return Math.round(parseFloat(text) * (text.endsWith("G") ? 1e9 : 1e6));
}

/** What was said. */
export type Options = z.infer<typeof schema>;

/** What pictures are drawn by. */
export type Settings = Options & { [K in keyof typeof defaults]: NonNullable<Options[K]> };

/** Joins numbers below 0 to their options, as parseArgs takes them for options themselves. */
function joinNegatives(args: string[]): string[] {
  return args.reduce<string[]>((joined, arg) => {
    const last = joined.at(-1) ?? "";
    if (!/^-[\d.]/.test(arg) || !/^--[a-z-]+$/.test(last)) return [...joined, arg];
    return [...joined.slice(0, -1), `${last}=${arg}`];
  }, []);
}

/** What the command line says. Throws one line that names what is wrong. */
export function readOptions(args: string[]): Options {
  const names = Object.keys(schema.shape).filter((name) => !["prompt", "help", "plan"].includes(name));
  const { values, positionals: [prompt, surplus] } = parseArgs({
    args: joinNegatives(args).map((arg, i, args) =>
      arg === "--preview" && /^(-|$)/.test(args[i + 1] ?? "") ? "--preview=" : arg
    ),
    allowPositionals: true,
    allowNegative: true,
    options: {
      ...Object.fromEntries(names.map((name) => [name, { type: "string" as const }])),
      lora: { type: "string", multiple: true },
      plan: { type: "boolean" },
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
  const [issue] = read.error.issues as [z.core.$ZodIssue];
  const name = String(issue.path[0]);
  throw new TypeError(`Cannot take --${name} ${values[name as keyof typeof values]}: ${issue.message}`);
}
