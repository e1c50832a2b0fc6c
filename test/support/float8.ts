import { openCheckpoint } from "../../src/io/formats/checkpoint.ts";
import { toFloats } from "../../src/io/formats/numbers.ts";
import { join, little, safetensors, type TestFolder } from "./files.ts";
import { fixture } from "./fixtures.ts";

/** All codes of a type of eight bits. */
export const codes = Uint8Array.from({ length: 256 }, (_, i) => i);

/** The numbers that torch makes of them. */
export async function torchNumbers(dtype: string): Promise<number[]> {
  using checkpoint = await openCheckpoint(fixture("gguf/float8.safetensors"));
  return [...toFloats(await checkpoint.read(checkpoint.tensors.get(`${dtype}.f32`)!, 0, 256), "F32")];
}

/** "a.weight" [3, 4] in E4M3, which holds 0 to 11, with its scale and its companions. */
export function scaledFile(folder: TestFolder, key: string, shape: number[], values: number[]): string {
  const numbers = toFloats(codes, "F8_E4M3");
  const weight = Array.from({ length: 12 }, (_, i) => numbers.indexOf(i));
  const bytes = new Uint8Array(Float32Array.from(values).buffer);
  const end = 12 + bytes.length;
  return folder.write(
    "scaled.safetensors",
    safetensors({
      "a.weight": { dtype: "F8_E4M3", shape: [3, 4], data_offsets: [0, 12] },
      [key]: { dtype: "F32", shape, data_offsets: [12, end] },
      "a.scale_input": { dtype: "F32", shape: [], data_offsets: [end, end + 4] },
      scaled_fp8: { dtype: "F8_E4M3", shape: [0], data_offsets: [end + 4, end + 4] },
    }, join(weight, bytes, little(0, 4))),
  );
}
