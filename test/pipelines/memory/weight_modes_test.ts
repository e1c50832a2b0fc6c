import assert from "node:assert/strict";
import {
  type Footprint,
  roomsBeside,
  SMALL_BUFFERS,
  type WeightMode,
} from "../../../src/pipelines/memory/weight_modes.ts";

const small = SMALL_BUFFERS;

/** Footprints of a model of so many bytes, with what is small. */
function ways(bytes: number): Footprint[] {
  const sizes: [WeightMode, number][] = [["whole", 1], ["int8", 0.5], ["int4", 0.25], ["streamed", 0.1]];
  return sizes.map(([mode, share]) => ({ mode, bytes: share * bytes + small }));
}

const modeIn = (footprints: readonly Footprint[], room: number) =>
  footprints.find(({ bytes }) => bytes <= room)?.mode;

Deno.test("models that work together take no fewer bits than the worst of them has to", () => {
  const [first, one, two] = [ways(100e9), ways(40e9), ways(20e9)];
  const modes = (memory: number) => {
    const rooms = roomsBeside(first!, [one!, two!], memory + small);
    return [modeIn(one!, rooms[0]!), modeIn(two!, rooms[1]!)];
  };
  assert.deepEqual(modes(160e9), ["whole", "whole"]);
  assert.deepEqual(modes(110e9), ["whole", "whole"]); // the first in int8: 50 + 40 + 20
  assert.deepEqual(modes(109e9), ["whole", "int8"]);
  assert.deepEqual(modes(80e9), ["int8", "int8"]); // 50 + 20 + 10
  assert.deepEqual(modes(79e9), ["whole", "int8"]); // the first in int4: 25 + 40 + 10
  assert.deepEqual(modes(40e9), ["int4", "int4"]); // 25 + 10 + 5
  assert.deepEqual(modes(39e9), ["int8", "int4"]); // the first comes from the disk: 10 + 20 + 5
  assert.deepEqual(modes(16e9), ["streamed", "streamed"]);
});
