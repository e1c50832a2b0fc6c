import text from "../../../shaders/attention/tiled.wgsl" with { type: "text" };
import { snippet } from "../../tensor/mod.ts";
import { costOf, type Form } from "../cost.ts";
import { type Attention, operandsOf, PARAMS, paramsOf, sizesOf } from "./operands.ts";

const BODY = snippet("attention/tiled", text, [PARAMS]);

/** For any adapter, in f32, without subgroups; not where values are too wide for its workgroup memory. */
export const tiled: Form<Attention> = (traits, a) => {
  const { batch: [B, H], queries, keys, width, columns } = sizesOf(a);
  const vectors = Math.ceil(columns / 4);
  const rows = [64, 32, 16].find((rows) => vectors * rows <= 40 * 64); // a lane then sums up at most 20 vectors
  if (!rows) return [];
  const tile = 2048 / rows;
  const chunk = rows === 16 ? 2 : vectors % 5 === 0 ? 5 : 4; // 5 leaves nothing over for heads of 40, 80 and 160
  const scored = (rows + tile) * (chunk | 1); // vectors staged for the scores
  const staged = [32, 16, 8, 4].find((n) => n * vectors <= Math.max(512, scored))!;
  const bytes = 16 * (Math.max(scored, staged * vectors) + rows * tile / 4) + 8 * 128;
  if (bytes > traits.workgroupMemory) return [];
  const { code, set } = operandsOf(a);
  const workgroups = B * H * Math.ceil(queries / rows);
  return [{
    candidate: {
      name: "attention_tiled",
      plain: true,
      code: [...code, BODY],
      set: { ...set, ROWS: rows, COLUMNS: 4 * vectors, CHUNK: chunk, STAGED: staged },
      params: paramsOf(a),
      width: 4,
      workgroups,
    },
    cost: costOf(traits, {
      workgroups,
      multiplyAdds: rows * Math.ceil(keys / tile) * tile * (width + columns),
      rate: traits.software ? 0.5 : 1,
      resident: 4,
    }),
  }];
};
