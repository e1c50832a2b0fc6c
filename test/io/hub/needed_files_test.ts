import assert from "node:assert/strict";
import { neededFiles, type Wanted } from "../../../src/io/hub/needed_files.ts";

const stem = "diffusion_pytorch_model";
const unet: Wanted = { kind: "model", subfolder: "unet" };

const cases: [what: string, wanted: Wanted, listing: string[], expected: string[]][] = [
  ["safetensors before a pickle", unet, [
    "unet/config.json",
    `unet/${stem}.bin`,
    `unet/${stem}.safetensors`,
    `unet/${stem}.fp16.safetensors`,
    "vae/config.json",
  ], ["unet/config.json", `unet/${stem}.safetensors`]],
  ["a pickle where there is nothing else, in a flat repository", unet, [
    "config.json",
    `${stem}.bin`,
    "model_index.json",
    "scheduler_config.json",
  ], ["config.json", `${stem}.bin`]],
  ["the variant", { ...unet, variant: "fp16" }, [
    "unet/config.json",
    `unet/${stem}.safetensors`,
    `unet/${stem}.fp16.safetensors`,
  ], ["unet/config.json", `unet/${stem}.fp16.safetensors`]],
  ["the plain weights where the variant is absent", { ...unet, variant: "bf16" }, [
    "unet/config.json",
    `unet/${stem}.safetensors`,
    `unet/${stem}.fp16.safetensors`,
  ], ["unet/config.json", `unet/${stem}.safetensors`]],
  ["transformers' names", { kind: "model", subfolder: "text_encoder" }, [
    "text_encoder/config.json",
    "text_encoder/pytorch_model.bin",
    "text_encoder/model.safetensors",
  ], ["text_encoder/config.json", "text_encoder/model.safetensors"]],
  ["one file before shards for transformers", { ...unet, library: "transformers" }, [
    "unet/config.json",
    "unet/model.safetensors",
    "unet/model.safetensors.index.json",
  ], ["unet/config.json", "unet/model.safetensors"]],
  ["the usual name of absent weights of transformers", { kind: "model", library: "transformers" }, [
    "config.json",
  ], ["config.json", "model.safetensors"]],
  ["the index of shards", unet, [
    "unet/config.json",
    `unet/${stem}-00001-of-00002.safetensors`,
    `unet/${stem}-00002-of-00002.safetensors`,
    `unet/${stem}.safetensors.index.json`,
    `unet/${stem}.bin.index.json`,
  ], ["unet/config.json", `unet/${stem}.safetensors.index.json`]],
  ["the index of a variant", { ...unet, variant: "fp16" }, [
    "unet/config.json",
    `unet/${stem}.safetensors.index.json`,
    `unet/${stem}.safetensors.index.fp16.json`,
  ], ["unet/config.json", `unet/${stem}.safetensors.index.fp16.json`]],
  ["the older index of a variant", { ...unet, variant: "fp16" }, [
    "unet/config.json",
    `unet/${stem}.safetensors.index.json`,
    `unet/${stem}.safetensors.fp16.index.json`,
  ], ["unet/config.json", `unet/${stem}.safetensors.fp16.index.json`]],
  ["the usual names where all is absent", unet, ["README.md"], ["config.json", `${stem}.safetensors`]],
  ["a scheduler", { kind: "scheduler", subfolder: "scheduler" }, [
    "scheduler/scheduler_config.json",
    "model_index.json",
  ], ["scheduler/scheduler_config.json"]],
  ["the scheduler of a flat repository", { kind: "scheduler", subfolder: "scheduler" }, [
    "config.json",
    "scheduler_config.json",
  ], ["scheduler_config.json"]],
  ["an image processor", { kind: "image processor", subfolder: "feature_extractor" }, [
    "feature_extractor/preprocessor_config.json",
    "model_index.json",
  ], ["feature_extractor/preprocessor_config.json"]],
  ["a tokenizer's files", { kind: "tokenizer", subfolder: "tokenizer" }, [
    "tokenizer/merges.txt",
    "tokenizer/vocab.json",
    "tokenizer/README.md",
  ], ["tokenizer/vocab.json", "tokenizer/merges.txt"]],
  ["the usual name of an absent tokenizer", { kind: "tokenizer" }, ["merges.txt"], [
    "merges.txt",
    "tokenizer.json",
  ]],
  ["a pipeline's index", { kind: "pipeline" }, ["model_index.json", "unet/config.json"], [
    "model_index.json",
  ]],
];

for (const [what, wanted, listing, expected] of cases) {
  Deno.test(`neededFiles() chooses ${what}`, () => assert.deepEqual(neededFiles(listing, wanted), expected));
}
