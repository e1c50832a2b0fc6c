import text from "../../../shaders/attention/kept.wgsl" with { type: "text" };
import { bytesOf } from "../../core/dtype.ts";
import { snippet } from "../../tensor/mod.ts";
import { costOf, type Form } from "../cost.ts";
import { type Attention, operandsOf, PARAMS, paramsOf, sizesOf } from "./operands.ts";

const BODY = snippet("attention/kept", text, [PARAMS]);

/** For GPUs with subgroups: queries stay in workgroup memory, in the tensors' type; where they and a tile of keys fit. */
export const kept: Form<Attention> = (traits, a) => {
  if (!traits.subgroups || traits.subgroups.min < 2) return [];
  const { batch: [B, H], queries, keys, width, columns } = sizesOf(a);
  const type = [a.q, a.k, a.v].every(({ dtype }) => dtype === "f16") ? "f16" : "f32";
  const [wide, tall] = [Math.ceil(width / 4), Math.ceil(columns / 4)];
  // Ten lanes along the columns of heads of 40, 80 and 160 leave nothing over.
  const tiles = tall % 10 === 0 ? [[32, 10], [16, 10]] : [[16, 8]];
  const { code, set } = operandsOf(a);
  return tiles.flatMap(([rowLanes, colLanes]) => {
    const [rows, tile] = [4 * rowLanes!, 4 * colLanes!];
    const rounds = Math.ceil(tall / colLanes!);
    const vectors = rows * (wide | 1) + tile * Math.max(wide | 1, tall);
    const bytes = 4 * bytesOf(type) * vectors + 16 * rows * (colLanes! | 1) + 4 * rows;
    if (rounds > 4 || bytes > traits.workgroupMemory || rowLanes! * colLanes! > traits.invocations) return [];
    const workgroups = B * H * Math.ceil(queries / rows);
    return [{
      candidate: {
        name: `attention_kept_${rows}x${tile}`,
        code: [...code, BODY],
        set: {
          ...set,
          T: type,
          ROW_LANES: rowLanes!,
          COL_LANES: colLanes!,
          WIDTH: 4 * wide,
          COLUMNS: 4 * tall,
        },
        params: paramsOf(a),
        width: 4 as const,
        workgroups,
      },
      cost: costOf(traits, {
        workgroups,
        multiplyAdds: rows * Math.ceil(keys / tile) * tile * (4 * wide + 4 * rounds * colLanes!),
        rate: traits.software ? 0.4 : 1.2,
        resident: 4,
      }),
    }];
  });
};
