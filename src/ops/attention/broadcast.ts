import text from "../../../shaders/attention/broadcast.wgsl" with { type: "text" };
import { snippet } from "../../tensor/mod.ts";
import { costOf, type Form } from "../cost.ts";
import { type Attention, operandsOf, PARAMS, paramsOf, sizesOf } from "./operands.ts";

const BODY = snippet("attention/broadcast", text, [PARAMS]);

/** For software adapters with subgroups; not where values are too wide for their workgroup memory, and without masks. */
export const broadcast: Form<Attention> = (traits, a) => {
  const { software, lanes } = traits;
  if (!software || (lanes !== 8 && lanes !== 16) || a.mask) return []; // where 32 are reported, 16 run
  const { batch: [B, H], queries, keys, width, columns } = sizesOf(a);
  const most = Math.floor(traits.workgroupMemory / (16 * lanes) / 4) * 4;
  if (columns > most) return [];
  const { code, set } = operandsOf(a);
  const rows = 4 * lanes;
  const workgroups = B * H * Math.ceil(queries / rows);
  return [{
    candidate: {
      name: "attention_broadcast",
      code: [...code, BODY],
      set: { ...set, SG: lanes, MOST: most },
      params: paramsOf(a),
      width: 4,
      workgroups,
    },
    cost: costOf(traits, {
      workgroups,
      multiplyAdds: rows * keys * (width + columns),
      rate: 4,
      resident: 1,
    }),
  }];
};
